"""Counts created tasks against the limit of their agent, over all gateways: only what was created costs."""

from collections.abc import Awaitable, Callable
from typing import NoReturn, TypeAlias

from sqlalchemy.ext.asyncio import AsyncConnection

from services.gateway.http.replies import CREATED, Reply
from services.gateway.http.trail import AnyRequest, trail_of
from services.gateway.limits.account import Standing
from services.gateway.limits.requests import RequestLimits, refused

Change: TypeAlias = Callable[[AsyncConnection], Awaitable[Reply]]
Begin: TypeAlias = Callable[[Change], Awaitable[Reply]]


async def charged(request: AnyRequest, limits: RequestLimits, tasks: int, change: Change, begin: Begin) -> Reply:
    """The reply of `begin(change)`, a transaction. Redis is asked before it: no transaction waits for another store.
    Who may create no more is still told what it was told before, and may still change what exists."""
    trail = trail_of(request.scope)
    caller = trail.identity
    standing = await limits.creation(caller, tasks)
    if standing is None:
        return await begin(change)
    trail.standing = standing
    if standing.retry_after_seconds:
        if request.method == "POST" and "idempotency-key" not in request.headers:
            _refuse(standing)
        return await begin(_refusing(standing, change, is_post=request.method == "POST"))
    is_created = False
    try:
        made = await begin(change)
        is_created = made.status == CREATED and not made.is_replayed
        return made
    finally:
        if not is_created:
            trail.standing = await limits.not_created(caller, tasks)


def _refusing(standing: Standing, change: Change, *, is_post: bool) -> Change:
    """In the place of `change`: it comes to nothing if it would create."""

    async def within(connection: AsyncConnection) -> Reply:
        if is_post:
            _refuse(standing)
        made = await change(connection)
        if made.status == CREATED:
            _refuse(standing)
        return made

    return within


def _refuse(standing: Standing) -> NoReturn:
    raise refused(standing, f"This agent may create {standing.limit} tasks per hour.")
