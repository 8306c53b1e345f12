"""Writes failed authentications into the audit trail, without anybody waiting for it."""

import asyncio
from collections import deque

import msgspec
import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from services.gateway.audit.repository import insert_entry
from services.gateway.audit.wire import Action, Entry
from services.gateway.database import Database
from shared.runtime.loop import Part
from shared.vocabulary.faults import Unavailable

logger = structlog.get_logger(__name__)

NOBODY = "anonymous"
NO_SUBJECT = "unknown"
# More are not kept while the database is away; the limits let no more through in five minutes.
NOTES_KEPT = 1000
AWAY_SECONDS = 1.0


class Failure(msgspec.Struct, frozen=True):
    """Never the token. `key_id`: None for what has not the form of a token."""

    key_id: str | None
    address: str
    reason: str
    request_id: str
    trace_id: str | None

    def entry(self) -> Entry:
        details = {"address": self.address, "reason": self.reason}
        subject_id = self.key_id or NO_SUBJECT
        return Entry(None, NOBODY, Action.AUTH_FAILED, "auth", subject_id, details, self.request_id, self.trace_id)


class Noted(msgspec.Struct, frozen=True):
    pause_seconds: float = 0.0


class FailureNotes(Part):
    name = "failure notes"

    def __init__(self, database: Database) -> None:
        self._database = database
        self._waiting: deque[Failure] = deque(maxlen=NOTES_KEPT)
        self._is_noted = asyncio.Event()

    def add(self, failure: Failure) -> None:
        self._waiting.append(failure)
        self._is_noted.set()

    async def run_once(self) -> Noted:
        await self._is_noted.wait()
        return await self._write_waiting()

    async def stop(self) -> None:
        await self._write_waiting()

    async def _write_waiting(self) -> Noted:
        """In a transaction of their own; kept when it fails."""
        self._is_noted.clear()
        failures = [*self._waiting]
        try:
            if failures:
                await self._database.write(lambda connection: _insert(connection, failures))
        except Unavailable as fault:
            logger.warning("auth_failures_not_noted", failures=len(failures), error=fault.detail)
            self._is_noted.set()
            return Noted(AWAY_SECONDS)
        self._forget(failures)
        return Noted()

    def _forget(self, written: list[Failure]) -> None:
        """Others may have come, or the oldest have gone, in the meantime."""
        for failure in written:
            if self._waiting and self._waiting[0] is failure:
                self._waiting.popleft()


async def _insert(connection: AsyncConnection, failures: list[Failure]) -> None:
    for failure in failures:
        await insert_entry(connection, failure.entry())
