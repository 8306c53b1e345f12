"""The way to Postgres: one request is one transaction, and an error that passes is a 503."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeVar

import asyncpg
import msgspec
import structlog
from sqlalchemy import RowMapping
from sqlalchemy.exc import DBAPIError, IntegrityError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from shared.database.asking import Ask
from shared.database.faults import CONNECTION_LOST, DATABASE_ERRORS, as_unavailable, is_transient
from shared.database.pool import COMMAND_TIMEOUT_SECONDS, LIMITS
from shared.database.statements import Statement

logger = structlog.get_logger(__name__)

T = TypeVar("T")

POOL_WAIT_SECONDS = 2.0
CONNECT_SECONDS = 2.0
ATTEMPTS = 3
# After these Postgres has rolled back, and the same transaction can succeed at once.
ROLLED_BACK = frozenset({"40001", "40P01"})


class Database:
    """A pool that opens connections when they are needed, so that the service starts while Postgres is away."""

    def __init__(self, url: str, *, application_name: str, size: int, overflow: int) -> None:
        settings = {**LIMITS, "application_name": application_name}

        async def connect() -> asyncpg.Connection:
            try:
                return await asyncpg.connect(
                    url,
                    timeout=CONNECT_SECONDS,
                    command_timeout=COMMAND_TIMEOUT_SECONDS,
                    server_settings=settings,
                )
            except (ValueError, *DATABASE_ERRORS) as error:
                # Whatever keeps us out, be it a wrong password: no client caused it, and an operator can end it.
                logger.warning("database_not_reached", error=repr(error))
                raise as_unavailable(error) from error

        self._engine = _engine(connect, size, overflow)
        self._reading = self._engine.execution_options(isolation_level="AUTOCOMMIT")

    async def close(self) -> None:
        await self._engine.dispose()

    async def read(self, query: Callable[[AsyncConnection], Awaitable[T]]) -> T:
        """Run a query that changes nothing."""
        return await self._tried(lambda: self._read_once(query))

    async def write(self, change: Callable[[AsyncConnection], Awaitable[T]]) -> T:
        """Run `change` as one transaction, again from its start when Postgres rolled it back for others' sake or when a
        pooled connection turned out to be dead: it must have no effect beside the transaction."""
        return await self._tried(lambda: self._write_once(change))

    async def _read_once(self, query: Callable[[AsyncConnection], Awaitable[T]]) -> T:
        async with self._reading.connect() as connection:
            return await _guarded(connection, query)

    async def _write_once(self, change: Callable[[AsyncConnection], Awaitable[T]]) -> T:
        async with self._engine.connect() as connection:
            result = await _guarded(connection, change)
            try:
                await connection.commit()
            except (SQLAlchemyError, *CONNECTION_LOST) as error:
                # Whether it was committed is unknown: only the client can decide to ask again.
                raise _as_fault(error) from error
            return result

    async def _tried(self, act: Callable[[], Awaitable[T]]) -> T:
        for attempt in range(1, ATTEMPTS):
            try:
                return await act()
            except DBAPIError as error:
                if not _is_worth_another_try(error):
                    raise _as_fault(error) from error
                logger.info("transaction_repeated", attempt=attempt, error=repr(error.orig))
            except (PoolTimeout, asyncpg.PostgresError, *CONNECTION_LOST) as error:
                raise _as_fault(error) from error
        try:
            return await act()
        except (SQLAlchemyError, asyncpg.PostgresError, *CONNECTION_LOST) as error:
            raise _as_fault(error) from error


async def run(connection: AsyncConnection, statement: Statement, *arguments: object) -> Sequence[RowMapping]:
    """Execute a named statement; jsonb goes in and comes out as text."""
    result = await connection.exec_driver_sql(statement.sql, arguments)
    return result.mappings().all() if result.returns_rows else ()


def asking(connection: AsyncConnection) -> Ask:
    """For what other services do alike."""

    async def ask(statement: Statement, /, *arguments: object) -> Sequence[Mapping[str, Any]]:
        return [
            {str(name): value for name, value in row.items()} for row in await run(connection, statement, *arguments)
        ]

    return ask


def violated_constraint(error: IntegrityError) -> str | None:
    """The name of the constraint, from which a repository knows the fault."""
    return getattr(_cause(error), "constraint_name", None)


def to_jsonb(value: object) -> str:
    return msgspec.json.encode(value).decode()


def _engine(connect: Callable[[], Awaitable[asyncpg.Connection]], size: int, overflow: int) -> AsyncEngine:
    return create_async_engine(
        "postgresql+asyncpg://",
        async_creator=connect,
        pool_size=size,
        max_overflow=overflow,
        pool_timeout=POOL_WAIT_SECONDS,
        pool_use_lifo=True,
        json_serializer=to_jsonb,
        # What is stored as JSON goes to the client as it is, without being decoded on the way.
        json_deserializer=lambda text: msgspec.Raw(text.encode()),
    )


async def _guarded(connection: AsyncConnection, act: Callable[[AsyncConnection], Awaitable[T]]) -> T:
    try:
        return await act(connection)
    except CONNECTION_LOST:
        # The driver gave up in the middle of an exchange; nobody else may get this connection.
        await connection.invalidate()
        raise


def _is_worth_another_try(error: DBAPIError) -> bool:
    return error.connection_invalidated or getattr(_cause(error), "sqlstate", None) in ROLLED_BACK


def _as_fault(error: BaseException) -> BaseException:
    cause = _cause(error)
    if isinstance(error, PoolTimeout | TimeoutError) or is_transient(cause):
        logger.warning("database_unavailable", error=repr(cause))
        return as_unavailable(cause)
    return error


def _cause(error: BaseException) -> BaseException:
    """The driver's own error inside SQLAlchemy's."""
    if isinstance(error, DBAPIError) and isinstance(error.orig, BaseException):
        return error.orig.__cause__ or error.orig
    return error
