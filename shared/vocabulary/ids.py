"""Identities: version-7 UUIDs for rows, and the deterministic identity of an occurrence."""

import hashlib
import secrets
from datetime import UTC, datetime, timedelta
from uuid import UUID

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MAX_MILLISECONDS = (1 << 48) - 1

# The trigger of an occurrence that a schedule yields.
AT_ITS_TIME = "at"

_VERSION_7 = 0x7 << 76
_VARIANT_RFC = 0b10 << 62
_RANDOM_A_MASK = 0xFFF
_RANDOM_B_MASK = (1 << 62) - 1


def milliseconds_of(instant: datetime) -> int:
    """Whole milliseconds since 1970, floored, within the 48 bits that a version-7 UUID holds."""
    elapsed = (instant - EPOCH) // timedelta(milliseconds=1)
    return min(max(elapsed, 0), MAX_MILLISECONDS)


def uuid7(instant: datetime) -> UUID:
    """A random version-7 UUID (RFC 9562, section 5.7) that sorts by `instant`."""
    return _layout(milliseconds_of(instant), secrets.randbits(74))


def random_id() -> str:
    """32 hexadecimal digits for what is named once and never sorted, such as a request."""
    return secrets.token_hex(16)


def first_uuid7_at(instant: datetime) -> UUID:
    """The smallest version-7 layout of an instant: the lower bound of a partition."""
    return UUID(int=milliseconds_of(instant) << 80)


def occurrence_id(task_id: UUID, schedule_rev: int, scheduled_for: datetime, trigger: str) -> UUID:
    """The identity of an occurrence: equal inputs give equal ids, so that it cannot exist twice.

    `trigger` is AT_ITS_TIME for a nominal time of the schedule, or says which event, key or draw asked for the run. The
    nominal time enters with its microseconds, not only with the milliseconds that the layout shows.
    """
    text = f"{task_id}:{schedule_rev}:{scheduled_for.astimezone(UTC).isoformat()}:{trigger}"
    digest = int.from_bytes(hashlib.sha256(text.encode()).digest()[:10], "big")
    return _layout(milliseconds_of(scheduled_for), digest)


def id_of_step(run_id: UUID, step_id: str) -> UUID:
    """The identity of what one step of a run makes: equal inputs give equal ids, so that it is made once however often
    the step is tried. It shows the milliseconds of the run's id."""
    digest = hashlib.sha256(f"{run_id}:{step_id}".encode()).digest()
    return _layout(run_id.int >> 80, int.from_bytes(digest[:10], "big"))


def _layout(milliseconds: int, entropy: int) -> UUID:
    high = (milliseconds << 80) | _VERSION_7 | ((entropy >> 62 & _RANDOM_A_MASK) << 64)
    return UUID(int=high | _VARIANT_RFC | (entropy & _RANDOM_B_MASK))
