"""PURE: what the standing of a message means to who asks for a change of it, and to the run that waits."""

from services.gateway.inbox.repository import Held, Spent
from services.gateway.inbox.wire import NackError
from shared.vocabulary.faults import Conflict
from shared.vocabulary.states import ErrorClass, SettledAs


def settled_before(message: Held, fence: int, wanted: SettledAs) -> bool:
    """Whether what is asked for has been done, by the same delivery."""
    return message.settled_as is wanted and message.fence == fence


def refused(message: Held) -> Conflict:
    if message.settled_as is not None:
        return Conflict(f"The message is settled already, as {message.settled_as}.", error_code="lease_lost")
    if message.is_expired:
        return Conflict("The run does not wait for this message any longer.", error_code="lease_lost")
    return Conflict("The message was delivered again meanwhile; this fence is old.", error_code="lease_lost")


def error_of_dead(error: NackError | None) -> dict[str, object]:
    return _error(ErrorClass.TOOL, "The agent gave the message up." if error is None else error.message)


def error_of_spent(spent: Spent) -> dict[str, object]:
    if spent.settled_as is SettledAs.DEAD:
        return _error(ErrorClass.TOOL, f"The message was delivered {spent.deliveries} times and never acknowledged.")
    return _error(ErrorClass.TIMEOUT, "The message was not acknowledged in time.")


def _error(error_class: ErrorClass, message: str) -> dict[str, object]:
    return {"class": error_class.value, "message": message, "retryable": False}
