"""Keeps children alive: restarts what dies, with back-off, and stops all in order when asked."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum

from deploy.local.process import Process, describe_exit

POLL_SECONDS = 0.1
FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 10.0
# A child that lived this long has recovered: its next end counts as the first again.
RECOVERED_SECONDS = 30.0


class Stage(IntEnum):
    """Stopped from the highest down, so that no service loses its servers before it has finished."""

    SERVER = 0
    SERVICE = 1


STOP_SECONDS = {Stage.SERVICE: 6.0, Stage.SERVER: 3.0}


@dataclass(slots=True)
class Child:
    process: Process
    stage: Stage
    started_at: float
    quick_ends: int = 0
    restart_at: float | None = None


def restart_pause_seconds(quick_ends: int) -> float:
    """None to wait after the first end in a row, then 0.5 s doubling to 10 s."""
    if quick_ends == 0:
        return 0.0
    return min(FIRST_PAUSE_SECONDS * 2.0 ** min(quick_ends - 1, 10), LONGEST_PAUSE_SECONDS)


class Supervisor:
    def __init__(self, report: Callable[[str], None], clock: Callable[[], float] = time.monotonic) -> None:
        self._report = report
        self._clock = clock
        self._children: list[Child] = []
        self._in_a_hurry = False

    def start(self, process: Process, stage: Stage) -> None:
        self.watch(process, stage)
        process.start()

    def watch(self, process: Process, stage: Stage) -> None:
        """Take charge of a process that someone else starts."""
        self._children.append(Child(process, stage, self._clock()))

    def run_once(self) -> None:
        for child in self._children:
            if child.restart_at is None and not child.process.is_running():
                self._plan_restart(child)
            if child.restart_at is not None and child.restart_at <= self._clock():
                self._restart(child)

    def hurry(self) -> None:
        """Make `stop` kill what is left now."""
        self._in_a_hurry = True

    def stop(self) -> None:
        for stage in sorted(STOP_SECONDS, reverse=True):
            self._stop_stage([child.process for child in self._children if child.stage is stage], stage)

    def _plan_restart(self, child: Child) -> None:
        now = self._clock()
        if now - child.started_at >= RECOVERED_SECONDS:
            child.quick_ends = 0
        pause = restart_pause_seconds(child.quick_ends)
        child.quick_ends += 1
        child.restart_at = now + pause
        code = child.process.exit_code()
        end = describe_exit(code) if code is not None else "could not be started"
        when = f"in {pause:g} s" if pause else "now"
        command = child.process.command
        self._report(f"{command.name} {end}; restarting {when} (log: {command.log_file})")

    def _restart(self, child: Child) -> None:
        child.restart_at = None
        child.started_at = self._clock()
        try:
            child.process.start()
        except OSError as error:
            # A full disk or process table: the next look plans the next try.
            self._report(f"{child.process.command.name} cannot be started: {error}")

    def _stop_stage(self, processes: list[Process], stage: Stage) -> None:
        for process in processes:
            process.ask_to_stop()
        deadline = time.monotonic() + STOP_SECONDS[stage]
        while any(process.is_running() for process in processes):
            if self._in_a_hurry or time.monotonic() > deadline:
                break
            time.sleep(0.02)
        for process in processes:
            if process.is_running():
                self._report(f"{process.command.name} did not end in time and was killed")
            process.finish()
