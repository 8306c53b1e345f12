"""What feeds the streams: ears, which hear what Redis tells at once, and looks into the database, which miss
nothing."""

import time

import msgspec
from redis.asyncio import Redis

from services.gateway.live.event_watch import EventWatch
from services.gateway.live.run_watch import RunWatch
from shared.runtime.loop import Part
from shared.streams.event_tail import EventTail
from shared.streams.run_updates import RunUpdateTail, want
from shared.vocabulary.faults import Unavailable

# What Redis did not tell is found after this long.
LOOK_SECONDS = 1.5
HEAR_SECONDS = 1.0
# The more there is to tell, the more of it is read together: one run is told at once, and thousands cost little.
COLLECT_SECONDS_EACH = 0.0005
COLLECT_SECONDS = 0.25
AFTER_FAILURE_SECONDS = 1.0


class Heard(msgspec.Struct, frozen=True):
    """`told`: how much of it somebody follows."""

    told: int
    pause_seconds: float = 0.0


class RunEar(Part):
    """Its pause is the blocking read itself. While nobody listens it asks nothing, and nobody tells."""

    name = "run_ear"

    def __init__(self, redis: Redis, watch: RunWatch) -> None:
        self._redis = redis
        self._tail = RunUpdateTail(redis)
        self._watch = watch
        self._want_at = 0.0

    async def run_once(self) -> Heard:
        await self._watch.followed()
        if time.monotonic() >= self._want_at:
            await want(self._redis)
            self._want_at = time.monotonic() + HEAR_SECONDS
        changes = await self._tail.heard(HEAR_SECONDS)
        if not self._watch.is_followed:
            self._tail.leave()
        if not changes:
            return Heard(0)
        try:
            told = await self._watch.tell(changes)
        except Unavailable:  # the look finds it
            return Heard(0, AFTER_FAILURE_SECONDS)
        return Heard(told, min(COLLECT_SECONDS, told * COLLECT_SECONDS_EACH))


class RunLook(Part):
    """One look for all who follow runs here."""

    name = "run_look"

    def __init__(self, watch: RunWatch) -> None:
        self._watch = watch

    async def run_once(self) -> Heard:
        await self._watch.followed()
        try:
            return Heard(await self._watch.look(), LOOK_SECONDS)
        except Unavailable:
            return Heard(0, AFTER_FAILURE_SECONDS)


class EventEar(Part):
    name = "event_ear"

    def __init__(self, redis: Redis, watch: EventWatch) -> None:
        self._tail = EventTail(redis)
        self._watch = watch

    async def run_once(self) -> Heard:
        await self._watch.followed()
        envelopes = await self._tail.heard(HEAR_SECONDS)
        if not self._watch.is_followed:
            self._tail.leave()
        return Heard(self._watch.tell(envelopes))


class EventLook(Part):
    name = "event_look"

    def __init__(self, watch: EventWatch) -> None:
        self._watch = watch

    async def run_once(self) -> Heard:
        await self._watch.followed()
        try:
            return Heard(await self._watch.look(), LOOK_SECONDS)
        except Unavailable:
            return Heard(0, AFTER_FAILURE_SECONDS)
