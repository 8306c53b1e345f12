"""JSON lines on standard error, one per act that matters, with the ids that are bound at the time."""

import contextlib
import logging
import sys
from collections.abc import MutableMapping
from typing import Any, BinaryIO, cast

import msgspec
import structlog

from shared.telemetry.redaction import redact_log

# What libraries say below this level is about their own workings.
LIBRARY_LEVEL = logging.WARNING


def set_up_logs(service: str, instance: str, level: str) -> None:
    """Send every line, ours and the libraries', to standard error as one JSON object each."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            redact_log,
            structlog.processors.EventRenamer("event"),
            _render,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.BytesLoggerFactory(cast("BinaryIO", _Unfailing(sys.stderr.buffer))),
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.bind_contextvars(service=service, instance=instance)
    logging.basicConfig(handlers=[_Forward()], level=LIBRARY_LEVEL, force=True)


class _Forward(logging.Handler):
    """Passes what libraries log through the same processors."""

    def emit(self, record: logging.LogRecord) -> None:
        structlog.get_logger().log(
            record.levelno, record.getMessage(), logger=record.name, exc_info=record.exc_info or None
        )


class _Unfailing:
    """A full disk or a closed pipe costs the line, not the work that it tells of."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream

    def write(self, line: bytes) -> None:
        with contextlib.suppress(OSError, ValueError):
            self._stream.write(line)

    def flush(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            self._stream.flush()


def _render(_logger: object, _method: str, event: MutableMapping[str, Any]) -> bytes:
    try:
        return msgspec.json.encode(event, enc_hook=repr)
    except (TypeError, ValueError, RecursionError):  # half of a surrogate pair, say, in what somebody sent
        return msgspec.json.encode({"event": "log_line_not_writable", "line": ascii(event)})
