"""What an HTTP answer, or the lack of one, means for a step."""

import os
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from types import MappingProxyType

import aiohttp

from services.executor.tools.answer import Answer
from services.executor.tools.base import ToolFault
from services.executor.tools.connector import CONNECT_SECONDS, CONNECTIONS_PER_HOST, DestinationForbiddenError
from shared.outbound.urls import FORBIDDEN_MESSAGE
from shared.vocabulary.states import ErrorClass

RETRYABLE_STATUSES = frozenset({408, 409, 425, 429})
# Nothing came back at all.
SILENT_CLASSES = frozenset({ErrorClass.CONNECT, ErrorClass.DNS, ErrorClass.TIMEOUT})
MAX_RETRY_AFTER_SECONDS = 86_400.0
MAX_LOCATION_LENGTH = 200
PHRASES = MappingProxyType({member.value: member.phrase for member in HTTPStatus})


def fault_of_answer(answer: Answer, now: datetime) -> ToolFault | None:
    """None for a success, which is 2xx."""
    return None if answer.status // 100 == 2 else fault_of_status(answer, now)


def fault_of_status(answer: Answer, now: datetime, *, redirects: int = 0, retryable: bool = False) -> ToolFault:
    """For a status that is no success, whichever it is. `redirects`: how many were followed at most; `retryable`:
    whether to try again when HTTP itself does not say."""
    match answer.status // 100:
        case 4:
            return _refused(ErrorClass.HTTP_4XX, answer, now, retryable=answer.status in RETRYABLE_STATUSES)
        case 5:
            return _refused(ErrorClass.HTTP_5XX, answer, now, retryable=True)
        case 3 if location := answer.headers.get("location"):
            where = _place(location)
            followed = f"only {redirects} redirects are" if redirects else "redirects are not"
            message = f"The receiver answered {phrase_of(answer.status)} to {where}; {followed} followed."
        case _:
            message = f"The receiver answered {phrase_of(answer.status)}, which is not a success."
    return ToolFault(ErrorClass.TOOL, message, retryable=retryable, output=answer.output())


def fault_of_failure(error: Exception, timeout_seconds: float, *, is_queued: bool = False) -> ToolFault:
    """The fault for an exchange that ended without a whole answer. `is_queued`: all connections were taken when
    it began."""
    match error:
        case aiohttp.ClientConnectorError(os_error=DestinationForbiddenError()):
            return forbidden_destination()
        case aiohttp.InvalidURL():
            return ToolFault(ErrorClass.TOOL, "The URL cannot be called.")
        case aiohttp.ClientConnectorCertificateError():
            # A certificate does not heal between two attempts, and whoever forged it gets no second look.
            return ToolFault(ErrorClass.CONNECT, "The receiver's certificate is not trusted.")
        case TimeoutError():
            return ToolFault(ErrorClass.TIMEOUT, _lateness(error, timeout_seconds, is_queued=is_queued), retryable=True)
        case aiohttp.ClientConnectorDNSError():
            return ToolFault(ErrorClass.DNS, "The receiver's name could not be resolved.", retryable=True)
        case _:
            return ToolFault(ErrorClass.CONNECT, f"The exchange broke off: {_reason(error)}.", retryable=True)


def forbidden_destination() -> ToolFault:
    """The same for every refusal, so that it tells nothing about the network behind."""
    return ToolFault(ErrorClass.FORBIDDEN_DESTINATION, FORBIDDEN_MESSAGE)


def retry_after_seconds(value: str | None, now: datetime) -> float | None:
    """Reads Retry-After (RFC 9110 section 10.2.3), at most a day; None when it says nothing usable."""
    text = (value or "").strip()
    if text.isascii() and text.isdigit():
        seconds = float(text[:20])
    else:
        try:
            moment = parsedate_to_datetime(text)
        except (ValueError, TypeError, OverflowError):
            return None
        aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        seconds = (aware - now).total_seconds()
    return min(max(seconds, 0.0), MAX_RETRY_AFTER_SECONDS)


def _refused(error_class: ErrorClass, answer: Answer, now: datetime, *, retryable: bool) -> ToolFault:
    return ToolFault(
        error_class,
        _refusal(answer.status),
        retryable=retryable,
        retry_after_seconds=retry_after_seconds(answer.headers.get("retry-after"), now) if retryable else None,
        output=answer.output(),
    )


def _lateness(error: TimeoutError, timeout_seconds: float, *, is_queued: bool) -> str:
    if isinstance(error, aiohttp.ConnectionTimeoutError):
        return f"The receiver accepted no connection within {CONNECT_SECONDS:g} s."
    turn = f", the wait for one of its {CONNECTIONS_PER_HOST} connections included" if is_queued else ""
    return f"The receiver gave no whole answer within {timeout_seconds:g} s{turn}."


def _place(location: str) -> str:
    """Without what keys are written into, and cut only where nothing is written in part: a part of a secret would not
    be known again as one."""
    bare = location.partition("#")[0].partition("?")[0]
    scheme, mark, rest = bare.partition("://")
    host, slash, path = rest.partition("/")
    place = f"{scheme}{mark}{host.rpartition('@')[2]}{slash}{path}"
    return place if len(place) <= MAX_LOCATION_LENGTH else f"{place[:MAX_LOCATION_LENGTH].rpartition('/')[0]}/…"


def _refusal(status: int) -> str:
    gone = ": it is gone for good, and calls to it should end" if status == HTTPStatus.GONE else ""
    return f"The receiver answered {phrase_of(status)}{gone}."


def phrase_of(status: int) -> str:
    """In our words: the phrase of the status line is the receiver's text."""
    return f"{status} {PHRASES[status]}" if status in PHRASES else str(status)


def _reason(error: Exception) -> str:
    match error:
        case aiohttp.ServerDisconnectedError():
            return "the receiver closed the connection"
        case aiohttp.ClientPayloadError():
            return "the answer's body is incomplete or wrongly encoded"
        case aiohttp.ClientResponseError():
            return "the answer is not valid HTTP"
        case OSError(errno=int(number)):
            return os.strerror(number).lower()
        case _:
            return "the connection failed"
