"""What must not be read in a log line written during a piece of work."""

from collections.abc import Callable, MutableMapping
from contextvars import ContextVar
from typing import Any

import msgspec

# Gives back plain values with something taken out; tasks inherit it from who began them.
Redaction = Callable[[Any], Any]
_redaction: ContextVar[Redaction | None] = ContextVar("redaction", default=None)


def bind_redaction(redaction: Redaction | None) -> None:
    """For every line of this asyncio task, and of those that it begins, from here on."""
    _redaction.set(redaction)


def redact_log(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """A processor of structlog, placed after tracebacks have become text. A line that cannot be searched is not written
    as it is."""
    redaction = _redaction.get()
    if redaction is None:
        return event
    try:
        redacted: MutableMapping[str, Any] = redaction(msgspec.to_builtins(event, enc_hook=repr, str_keys=True))
    except (TypeError, ValueError, RecursionError):
        return {"event": "log_line_not_redactable", "level": event.get("level")}
    return redacted
