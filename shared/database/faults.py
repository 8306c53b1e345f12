"""What an error of Postgres means to the caller: try again, tell the client, or let it be seen."""

import asyncpg

from shared.vocabulary.faults import Unavailable

# Classes of SQLSTATE after which the same transaction, begun anew, can succeed: connection exceptions, insufficient
# resources, operator intervention; and states: serialisation, deadlock, lock timeout, read-only after a failover.
TRANSIENT_CLASSES = ("08", "53", "57")
TRANSIENT_STATES = frozenset({"40001", "40P01", "55P03", "25006"})
DISK_FULL = "53100"

CONNECTION_LOST = (
    OSError,
    TimeoutError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
)
DATABASE_ERRORS = (*CONNECTION_LOST, asyncpg.PostgresError)


def is_transient(error: BaseException) -> bool:
    """Whether the transaction in which it arose can be tried again as a whole."""
    if isinstance(error, asyncpg.PostgresError):
        state = error.sqlstate or ""
        return state in TRANSIENT_STATES or state.startswith(TRANSIENT_CLASSES)
    if isinstance(error, asyncpg.InterfaceError):
        # The driver's class for a connection that is gone as well as for a call that is wrong.
        return "connection" in str(error)
    return isinstance(error, CONNECTION_LOST)


def as_unknown() -> Unavailable:
    """The answer to a client whose change was lost sight of while it was being committed."""
    message = (
        "The database went away while the change was being committed: look whether it was made. The same request with"
        " the same Idempotency-Key is safe to repeat."
    )
    return Unavailable(message, retry_after_seconds=1)


def as_unavailable(error: BaseException) -> Unavailable:
    """The answer to a client for an error that is nobody's fault but passes."""
    code = "unavailable"
    if isinstance(error, asyncpg.PostgresError) and error.sqlstate == DISK_FULL:
        code = "storage_unavailable"
    return Unavailable(
        "The database cannot be used at the moment; nothing was changed. Try again shortly.",
        error_code=code,
        retry_after_seconds=1,
    )
