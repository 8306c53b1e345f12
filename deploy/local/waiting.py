"""Wait for a condition of a process that was just started."""

import time
from collections.abc import Callable
from pathlib import Path

from deploy.local.faults import CannotStart
from deploy.local.process import Process, describe_exit

LOOK_SECONDS = 0.02


def wait_until_ready(process: Process, is_ready: Callable[[], bool], title: str, seconds: float) -> None:
    """Return once ready; CannotStart, with the log's last words, when it ends first or time runs out."""
    deadline = time.monotonic() + seconds
    while not is_ready():
        code = process.exit_code()
        if code is not None:
            said = last_line(process.command.log_file)
            raise CannotStart(f"{title} {describe_exit(code)} while starting: {said}")
        if time.monotonic() > deadline:
            raise CannotStart(f"{title} is not ready after {seconds:g} s; see {process.command.log_file}")
        time.sleep(LOOK_SECONDS)


def last_line(log_file: Path) -> str:
    lines = log_file.read_text(encoding="utf-8", errors="replace").split("\n")
    said = [line.strip() for line in lines[-20:] if line.strip()]
    return f"{said[-1]} (see {log_file})" if said else f"see {log_file}"
