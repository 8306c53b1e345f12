"""What `make` does not pass on: a SIGINT or SIGHUP that only it got, and its own death by kill -9."""

import os
import signal
from contextlib import suppress
from pathlib import Path

HANDLED = sum(1 << (number - 1) for number in (signal.SIGINT, signal.SIGHUP))


class Parent:
    """Make tells nobody of a signal sent to its pid alone and waits for us, but no longer catches that signal.

    Without /proc, or under another parent than make, it is never seen to have gone.
    """

    def __init__(self) -> None:
        self._pid = os.getppid()
        self._caught = _caught_signals(self._pid) if _name(self._pid) in {"make", "gmake"} else 0

    def has_given_up(self) -> bool:
        return self._caught != 0 and (os.getppid() != self._pid or _caught_signals(self._pid) != self._caught)


def _name(pid: int) -> str:
    with suppress(OSError):
        return Path(f"/proc/{pid}/comm").read_text(encoding="utf-8").strip()
    return ""


def _caught_signals(pid: int) -> int:
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines():
            if line.startswith("SigCgt:"):
                return int(line.split()[1], 16) & HANDLED
    return 0
