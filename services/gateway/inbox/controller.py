"""`/inbox`."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Annotated, Any, TypeAlias
from uuid import UUID

from litestar import Controller, Request, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, QueryParameter
from litestar.response import Stream
from sqlalchemy.ext.asyncio import AsyncConnection

from services.gateway.http.access import any_agent, produces
from services.gateway.http.act import Act, CurrentAct
from services.gateway.http.documentation import fails
from services.gateway.http.replies import ActionDone, Reply, reply
from services.gateway.http.streaming import EVENT_STREAM, stream_of, token_of
from services.gateway.http.trail import AnyRequest
from services.gateway.inbox.service import InboxService
from services.gateway.inbox.stream import InboxStreams
from services.gateway.inbox.waiters import Waiter
from services.gateway.inbox.wire import AckOptions, ExtendOptions, InboxPage, NackOptions
from shared.vocabulary.limits import (
    INBOX_ITEMS,
    INBOX_VISIBILITY_SECONDS,
    INBOX_VISIBILITY_SECONDS_DEFAULT,
    INBOX_WAIT_SECONDS,
)

Wait: TypeAlias = Annotated[
    int, QueryParameter(ge=0, le=INBOX_WAIT_SECONDS, description="How many seconds to wait while the inbox is empty.")
]
Items: TypeAlias = Annotated[int, QueryParameter(ge=1, le=INBOX_ITEMS, description="How many messages at most.")]
Window: TypeAlias = Annotated[
    int, QueryParameter(ge=1, le=INBOX_ITEMS, description="How many messages may be out, unacknowledged, at a time.")
]
Visibility: TypeAlias = Annotated[
    int,
    QueryParameter(
        ge=1,
        le=INBOX_VISIBILITY_SECONDS,
        description="After how many seconds a message comes again, unless it is acknowledged.",
    ),
]
Inbox: TypeAlias = NamedDependency[InboxService]
Change: TypeAlias = Callable[[AsyncConnection], Awaitable[ActionDone]]

ITEMS_DEFAULT = 10
WINDOW_DEFAULT = 10


class InboxController(Controller):
    path = "/inbox"
    tags = ("inbox",)

    @get(opt=any_agent() | fails("too_many_waiters"), summary="Take messages from the own inbox, or wait for some")
    async def take_messages(
        self,
        *,
        request: Request[Any, Any, Any],
        act: CurrentAct,
        inbox: Inbox,
        wait: Wait = 0,
        limit: Items = ITEMS_DEFAULT,
        visibility_seconds: Visibility = INBOX_VISIBILITY_SECONDS_DEFAULT,
    ) -> InboxPage:
        """Each is the caller's for `visibility_seconds`; unless it is acknowledged by then, it comes again. With `wait`
        the answer comes as soon as there is something."""
        agent_id = act.caller.agent_id
        if wait == 0:
            return InboxPage(await inbox.take(agent_id, limit, visibility_seconds))
        # Entered before the first look, so that no bell falls between the two.
        with inbox.waiters.enter(agent_id) as waiter:
            async with _ending_with_the_client(request, waiter):
                return InboxPage(await inbox.wait(waiter, agent_id, limit, visibility_seconds, wait))

    @get(
        "/stream",
        opt={**any_agent(), **produces(EVENT_STREAM)} | fails("too_many_waiters"),
        media_type=EVENT_STREAM,
        summary="Take messages from the own inbox as they come, as server-sent events",
    )
    async def stream_messages(
        self,
        *,
        request: Request[Any, Any, Any],
        act: CurrentAct,
        streams: NamedDependency[InboxStreams],
        window: Window = WINDOW_DEFAULT,
        visibility_seconds: Visibility = INBOX_VISIBILITY_SECONDS_DEFAULT,
    ) -> Stream:
        """Each event is a message. It stays the caller's until it is acknowledged or its visibility has passed."""
        token = token_of(request)
        stream = streams.open(act.caller.agent_id, token, window=window, visibility_seconds=visibility_seconds)
        return stream_of(stream.events())

    @post(
        "/{message_id:uuid}/ack",
        opt=any_agent() | fails("lease_lost", "payload_too_large"),
        status_code=200,
        summary="Acknowledge a message",
    )
    async def ack_message(
        self, act: CurrentAct, inbox: Inbox, message_id: FromPath[UUID], data: JSONBody[AckOptions]
    ) -> Response[ActionDone]:
        """It does not come again. `output` becomes that of the step that waits for it."""
        return await _done(act, lambda connection: inbox.ack(connection, act, message_id, data))

    @post(
        "/{message_id:uuid}/nack",
        opt=any_agent() | fails("lease_lost"),
        status_code=200,
        summary="Give a message back, or up",
    )
    async def nack_message(
        self, act: CurrentAct, inbox: Inbox, message_id: FromPath[UUID], data: JSONBody[NackOptions]
    ) -> Response[ActionDone]:
        """It comes again after `delay_seconds` or, with `dead`, never."""
        return await _done(act, lambda connection: inbox.nack(connection, act, message_id, data))

    @post(
        "/{message_id:uuid}/extend",
        opt=any_agent() | fails("lease_lost"),
        status_code=200,
        summary="Keep a message for longer",
    )
    async def extend_message(
        self, act: CurrentAct, inbox: Inbox, message_id: FromPath[UUID], data: JSONBody[ExtendOptions]
    ) -> Response[ActionDone]:
        """Counted from now."""
        return await _done(act, lambda connection: inbox.extend(connection, act, message_id, data))


async def _done(act: Act, action: Change) -> Response[Any]:
    async def change(connection: AsyncConnection) -> Reply:
        return reply(await action(connection))

    return await act.write(change)


@contextlib.asynccontextmanager
async def _ending_with_the_client(request: AnyRequest, waiter: Waiter) -> AsyncIterator[None]:
    """A client that goes away takes no message with it."""

    async def listen() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass
        waiter.end()

    listening = asyncio.create_task(listen())
    try:
        yield
    finally:
        listening.cancel()
