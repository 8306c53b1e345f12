"""One child process in a session of its own, which never outlives us."""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from deploy.local.account import Account

PR_SET_PDEATHSIG = 1
LIBC = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


@dataclass(frozen=True, slots=True)
class Command:
    """What to run, as whom, and which signal ends it: when we ask, and when we are gone."""

    name: str
    arguments: tuple[str, ...]
    environment: Mapping[str, str]
    log_file: Path
    pid_file: Path
    account: Account | None = None
    stop_signal: signal.Signals = signal.SIGTERM
    orphan_signal: signal.Signals = signal.SIGTERM


class Process:
    def __init__(self, command: Command) -> None:
        self.command = command
        self._popen: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        return self._popen.pid if self._popen else None

    def start(self) -> None:
        for path in (self.command.log_file, self.command.pid_file):
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._popen = None
        with self.command.log_file.open("ab") as log:
            self._popen = _spawn(self.command, log.fileno())
        _write_whole(self.command.pid_file, f"{self._popen.pid}\n")

    def exit_code(self) -> int | None:
        """None while it runs; negative: the signal that ended it."""
        return self._popen.poll() if self._popen else None

    def is_running(self) -> bool:
        return self._popen is not None and self._popen.poll() is None

    def ask_to_stop(self) -> None:
        if self._popen and self.is_running():
            self._popen.send_signal(self.command.stop_signal)

    def wait(self, seconds: float) -> bool:
        """True once it has ended."""
        if self._popen is None:
            return True
        try:
            self._popen.wait(max(seconds, 0))
        except subprocess.TimeoutExpired:
            return False
        return True

    def kill(self) -> None:
        """End it and whatever it started within its session."""
        if self._popen is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._popen.pid, signal.SIGKILL)
        self._popen.wait()

    def stop(self, seconds: float) -> None:
        self.ask_to_stop()
        self.wait(seconds)
        self.finish()

    def finish(self) -> None:
        """Kill it if it still runs; nothing of it stays but its log."""
        if self.is_running():
            self.kill()
        self.command.pid_file.unlink(missing_ok=True)


def describe_exit(code: int) -> str:
    return f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with {code}"


def _write_whole(path: Path, text: str) -> None:
    """A reader sees the old text or the new one, never a part."""
    draft = path.with_name(f"{path.name}.new")
    draft.write_text(text, encoding="ascii")
    draft.replace(path)


def _spawn(command: Command, log: int) -> subprocess.Popen[bytes]:
    account = command.account
    return subprocess.Popen(
        command.arguments,
        env=command.environment,
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=subprocess.STDOUT,
        # The terminal's Ctrl-C is for the supervisor, which stops its children in order.
        start_new_session=True,
        user=account.uid if account else None,
        group=account.gid if account else None,
        extra_groups=[] if account else None,
        # Runs after the change of user, which would clear the death signal.
        preexec_fn=_follow(os.getpid(), command.orphan_signal),  # noqa: PLW1509 - no thread runs beside us
    )


def _follow(parent: int, orphan_signal: signal.Signals) -> Callable[[], None] | None:
    """Linux: the kernel sends `orphan_signal` to the child when we die, even of kill -9.

    To be exact, when the thread that started it ends: start children from the main thread.
    """
    if LIBC is None:
        return None
    prctl = LIBC.prctl

    def follow() -> None:
        prctl(PR_SET_PDEATHSIG, int(orphan_signal), 0, 0, 0)
        if os.getppid() != parent:  # gone between fork and prctl
            os._exit(1)

    return follow
