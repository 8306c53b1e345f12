"""The way to Postgres: one request is one transaction, and an error that passes is a 503."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeVar, cast

import asyncpg
import msgspec
import structlog
from sqlalchemy.exc import DBAPIError, IntegrityError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from shared.database.asking import Ask
from shared.database.faults import CONNECTION_LOST, DATABASE_ERRORS, as_unavailable, as_unknown, is_transient
from shared.database.pool import COMMAND_TIMEOUT_SECONDS, LIMITS
from shared.database.statements import Statement

logger = structlog.get_logger(__name__)

T = TypeVar("T")

POOL_WAIT_SECONDS = 2.0
CONNECT_SECONDS = 2.0
ATTEMPTS = 3
# After these Postgres has rolled back, and the same transaction can succeed at once.
ROLLED_BACK = frozenset({"40001", "40P01"})
# The session was ended from the other side: so was its transaction.
ENDED = frozenset({"57P01", "57P02", "57P03"})


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
        async with self._engine.connect() as connection:
            return await _guarded(connection, query)

    async def _write_once(self, change: Callable[[AsyncConnection], Awaitable[T]]) -> T:
        async with self._engine.connect() as connection:
            return await _guarded(connection, lambda lent: _in_transaction(lent, change))

    async def _tried(self, act: Callable[[], Awaitable[T]]) -> T:
        for attempt in range(1, ATTEMPTS):
            try:
                return await act()
            except PoolTimeout as error:
                raise _as_fault(error) from error
            except (SQLAlchemyError, *DATABASE_ERRORS) as error:
                if not _is_worth_another_try(error):
                    raise _as_fault(error) from error
                logger.info("transaction_repeated", attempt=attempt, error=repr(_cause(error)))
                if _is_dead(error):
                    # A server that went away took all of them along.
                    await self._engine.dispose()
        try:
            return await act()
        except (SQLAlchemyError, *DATABASE_ERRORS) as error:
            raise _as_fault(error) from error


async def run(connection: AsyncConnection, statement: Statement, *arguments: object) -> Sequence[Mapping[str, Any]]:
    """Execute a named statement; jsonb goes in as text and comes out as `msgspec.Raw`. On the driver itself, in the
    transaction of the connection: the engine's own way takes three times as long (540 µs of a core for a row by its
    key, 180 so)."""
    return await fetch(connection, statement.sql, *arguments)


async def fetch(connection: AsyncConnection, sql: str, *arguments: object) -> list[dict[str, Any]]:
    return [dict(row) for row in await _driver_of(connection).fetch(sql, *arguments)]


def asking(connection: AsyncConnection) -> Ask:
    """For what other services do alike."""

    async def ask(statement: Statement, /, *arguments: object) -> Sequence[Mapping[str, Any]]:
        return await run(connection, statement, *arguments)

    return ask


def violated_constraint(error: IntegrityError | asyncpg.IntegrityConstraintViolationError) -> str | None:
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
        # Transactions are the driver's, so that both ways of executing a statement are inside of them.
        isolation_level="AUTOCOMMIT",
        json_serializer=to_jsonb,
        # What is stored as JSON goes to the client as it is, without being decoded on the way.
        json_deserializer=lambda text: msgspec.Raw(text.encode()),
    )


async def _guarded(connection: AsyncConnection, act: Callable[[AsyncConnection], Awaitable[T]]) -> T:
    driver = _driver_of(connection)
    try:
        return await act(connection)
    except BaseException as error:
        is_broken_off = isinstance(error, (*CONNECTION_LOST, asyncio.CancelledError))
        if is_broken_off or driver.is_closed() or driver.is_in_transaction():
            # The driver gave up in the middle of an exchange; nobody else may get this connection.
            await asyncio.shield(connection.invalidate())
        raise


async def _in_transaction(connection: AsyncConnection, change: Callable[[AsyncConnection], Awaitable[T]]) -> T:
    transaction = _driver_of(connection).transaction()
    try:
        await transaction.start()
    except BaseException:
        # The driver takes a transaction for begun before it asks for one: the next would be a savepoint of nothing.
        await asyncio.shield(connection.invalidate())
        raise
    try:
        result = await change(connection)
    except BaseException as error:
        if not isinstance(error, asyncio.CancelledError):
            with contextlib.suppress(*DATABASE_ERRORS):
                await transaction.rollback()
        raise
    try:
        await transaction.commit()
    except DATABASE_ERRORS as error:
        # Whether it was committed is unknown: only the client can decide to ask again.
        raise (as_unknown() if is_transient(error) else error) from error
    return result


def _driver_of(connection: AsyncConnection) -> asyncpg.Connection:
    """Under SQLAlchemy's own connection, in the same session of Postgres."""
    engines = connection.sync_connection
    driver = None if engines is None else engines.connection.driver_connection
    if driver is None:
        raise asyncpg.InterfaceError("the connection is closed")
    return cast("asyncpg.Connection", driver)


def _is_worth_another_try(error: BaseException) -> bool:
    return getattr(_cause(error), "sqlstate", None) in ROLLED_BACK or _is_dead(error)


def _is_dead(error: BaseException) -> bool:
    """The connection had ended before its transaction did."""
    cause = _cause(error)
    if isinstance(cause, asyncpg.PostgresError):
        return cause.sqlstate in ENDED or isinstance(cause, asyncpg.PostgresConnectionError)
    is_invalidated = isinstance(error, DBAPIError) and error.connection_invalidated
    # The driver's own error: what the server said last reached it between two statements.
    is_confused = isinstance(cause, asyncpg.InternalClientError)
    return is_invalidated or is_confused or (isinstance(cause, asyncpg.InterfaceError) and is_transient(cause))


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
