"""PURE: up to where a stream of runs has told everything."""

import re
from datetime import UTC, datetime, timedelta

import msgspec

HALF_CIRCLE = 1 << 31
# Numbers of transactions that may begin while one looks.
AHEAD = 1 << 20
HISTORY = timedelta(minutes=15)
TEXT = re.compile(r"([0-9]{1,14})-([0-9]{1,19})")
# Rows bear the time at which their transaction began, and are seen when it has ended.
LONGEST_TRANSACTION = timedelta(seconds=30)


class Position(msgspec.Struct, frozen=True):
    """Whatever transactions below `xid` have written has been told: they had ended at that time. Those above may have
    written before and ended after it; times alone could not tell."""

    milliseconds: int
    xid: int

    def __str__(self) -> str:
        return f"{self.milliseconds}-{self.xid}"

    @property
    def at(self) -> datetime:
        return datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=self.milliseconds)

    @property
    def begun_since(self) -> datetime:
        """No outcome and no event that was not told yet bears an earlier time."""
        return self.at - LONGEST_TRANSACTION

    def is_kept(self, now: "Position") -> bool:
        """Whether what came after it can still be told."""
        return now.at - HISTORY <= self.at <= now.at and self.xid <= now.xid


def parse_position(text: str) -> Position | None:
    """None for what no stream has ever given out."""
    found = TEXT.fullmatch(text)
    if found is None or int(found[2]) >= 1 << 63:
        return None
    return Position(int(found[1]), int(found[2]))


def mended(since: Position, now: Position) -> Position:
    """A database that took over from another may count from further back: then nothing is left out."""
    return since if since.xid <= now.xid else Position(since.milliseconds, now.xid - HALF_CIRCLE + AHEAD)


def is_later(version: int, xid: int) -> bool:
    """Whether a row's number is that of a transaction from `xid` on, as Postgres compares them: around a circle."""
    return (version - xid) & 0xFFFFFFFF < HALF_CIRCLE
