"""Which topics there are: what tasks wait for, and what was published lately."""

import time
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from datetime import timedelta
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from services.gateway.clock import DatabaseClock
from services.gateway.events import repository
from services.gateway.events.wire import TopicView
from services.gateway.http.act import Act
from services.gateway.http.instants import wrong_query
from services.gateway.http.paging import Page
from shared.events.listening import SEGMENTS_ENUMERATED, candidate_patterns, patterns_by_topic
from shared.vocabulary.limits import TOPICS_SHOWN
from shared.vocabulary.topics import ONE, problem_of_pattern

LATELY = timedelta(hours=24)
PUBLISHED_COUNTED = 1000
# Names are looked for once within this time; what is counted of them is always of now.
NAMES_KEPT_SECONDS = 1.0
SEARCHES_KEPT = 256


class TopicNames:
    """The names that begin alike, at most TOPICS_SHOWN of what is waited for and as many of what was published."""

    def __init__(self) -> None:
        self._found: OrderedDict[str, tuple[float, Sequence[str]]] = OrderedDict()

    def kept(self, prefix: str) -> Sequence[str] | None:
        found_at, names = self._found.get(prefix, (float("-inf"), ()))
        return names if time.monotonic() - found_at < NAMES_KEPT_SECONDS else None

    def keep(self, prefix: str, names: Sequence[str]) -> None:
        self._found[prefix] = (time.monotonic(), names)
        self._found.move_to_end(prefix)
        while len(self._found) > SEARCHES_KEPT:
            self._found.popitem(last=False)


class TopicService:
    def __init__(self, clock: DatabaseClock) -> None:
        self._clock = clock
        self._names = TopicNames()

    async def page(self, act: Act, prefix: str, limit: int, offset: int) -> Page[TopicView]:
        """In the order of their names."""

        async def query(connection: AsyncConnection) -> Page[TopicView]:
            names = self._names.kept(prefix)
            if names is None:
                names = await self._find(connection, prefix)
                self._names.keep(prefix, names)
            shown = names[:TOPICS_SHOWN][offset : offset + limit]
            items = await self._counted(connection, shown, act.caller.agent_id)
            total = min(len(names), TOPICS_SHOWN)
            return Page(items, total, limit, offset, offset + len(items) < total, len(names) > TOPICS_SHOWN)

        return await act.read_list(query)

    async def _find(self, connection: AsyncConnection, prefix: str) -> Sequence[str]:
        patterns = await repository.list_patterns(connection, prefix, TOPICS_SHOWN + 1)
        since = self._clock.now() - LATELY
        topics = await repository.list_topics(connection, prefix, TOPICS_SHOWN + 1, since)
        return sorted({*patterns, *topics})

    async def _counted(self, connection: AsyncConnection, names: Sequence[str], caller_id: UUID) -> list[TopicView]:
        topics = [name for name in names if not is_pattern(name)]
        owners = await repository.count_listeners(
            connection, _patterns_of(names), with_every_pattern=any(map(_is_long, topics))
        )
        covering = {**patterns_by_topic(topics, owners), **{name: [name] for name in names if is_pattern(name)}}
        since = self._clock.now() - LATELY
        published = await repository.count_published(connection, topics, since, PUBLISHED_COUNTED + 1)
        views = []
        for name in names:
            counts = [owners.get(pattern, {}) for pattern in covering[name]]
            events, last = published.get(name, (0, None))
            views.append(
                TopicView(
                    topic=name,
                    is_pattern=is_pattern(name),
                    listeners=sum(sum(count.values()) for count in counts),
                    own_listeners=sum(count.get(caller_id, 0) for count in counts),
                    published=min(events, PUBLISHED_COUNTED),
                    is_published_capped=events > PUBLISHED_COUNTED,
                    last_published_at=last,
                )
            )
        return views


def is_pattern(name: str) -> bool:
    return ONE in name


def matching(pattern: str, topics: Iterable[str]) -> list[str]:
    """Of these topics, those that a well-formed pattern covers."""
    return [topic for topic, covering in patterns_by_topic(topics, [pattern]).items() if covering]


def beginning_of(pattern: str) -> str:
    """What all topics begin with that the pattern covers."""
    return pattern.partition(ONE)[0]


async def find_topics(connection: AsyncConnection, pattern: str) -> list[str] | None:
    """Those of kept events that a well-formed topic or pattern covers; None when there are too many to look at."""
    if not is_pattern(pattern):
        return [pattern]
    known = await repository.list_topics(connection, beginning_of(pattern), TOPICS_SHOWN + 1)
    return None if len(known) > TOPICS_SHOWN else matching(pattern, known)


def check_topic_query(pattern: str) -> None:
    """Raises BadRequest."""
    problem = problem_of_pattern(pattern)
    if problem is not None:
        raise wrong_query("topic", problem.message, "invalid_topic")


def _patterns_of(names: Iterable[str]) -> Sequence[str]:
    return [
        *{pattern for name in names for pattern in ([name] if is_pattern(name) else candidate_patterns(name) or [name])}
    ]


def _is_long(topic: str) -> bool:
    return topic.count(".") >= SEGMENTS_ENUMERATED
