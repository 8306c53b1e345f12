"""JSON lines on standard error, one per act that matters, with the ids that are bound at the time."""

import logging
import sys
from collections.abc import MutableMapping
from typing import Any

import msgspec
import structlog

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
            structlog.processors.EventRenamer("event"),
            _render,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.BytesLoggerFactory(sys.stderr.buffer),
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


def _render(_logger: object, _method: str, event: MutableMapping[str, Any]) -> bytes:
    return msgspec.json.encode(event, enc_hook=repr)
