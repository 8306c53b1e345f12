"""The supervisor restarts what dies and leaves nothing behind."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.local.process import Process
from deploy.local.supervisor import Stage, Supervisor, restart_pause_seconds
from tests.local.conftest import MakeChild
from tests.support.waiting import wait_until

SLEEP = ("sleep", "60")
# An ignored signal stays ignored across exec.
DEAF = ("sh", "-c", "trap '' TERM; echo deaf; exec sleep 60")


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def supervisor(said: list[str]) -> Iterator[Supervisor]:
    supervisor = Supervisor(said.append)
    yield supervisor
    supervisor.hurry()
    supervisor.stop()


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def running_pid(process: Process) -> int:
    assert process.pid is not None
    return process.pid


@pytest.mark.parametrize(("quick_ends", "seconds"), [(0, 0), (1, 0.5), (2, 1), (3, 2), (5, 8), (6, 10), (5000, 10)])
def test_pauses_double_from_half_a_second_to_ten(quick_ends: int, seconds: float) -> None:
    assert restart_pause_seconds(quick_ends) == seconds


async def test_a_child_that_is_killed_is_restarted_at_once(
    supervisor: Supervisor, said: list[str], child: MakeChild
) -> None:
    process = child("gateway", *SLEEP)
    supervisor.start(process, Stage.SERVICE)
    first = running_pid(process)

    os.kill(first, signal.SIGKILL)
    await wait_until(lambda: not process.is_running())
    supervisor.run_once()

    assert process.is_running()
    assert running_pid(process) != first
    assert process.command.pid_file.read_text() == f"{process.pid}\n"
    assert len(said) == 1
    assert said[0].startswith("gateway was ended by SIGKILL; restarting now")


async def test_a_child_that_dies_again_is_restarted_after_a_pause(said: list[str], child: MakeChild) -> None:
    now = 1000.0
    supervisor = Supervisor(said.append, clock=lambda: now)
    process = child("executor", "false")
    supervisor.start(process, Stage.SERVICE)
    for _ in range(2):
        await wait_until(lambda: not process.is_running())
        supervisor.run_once()
    second = process.pid

    now += 0.4
    supervisor.run_once()
    assert process.pid == second

    now += 0.2
    supervisor.run_once()
    assert process.pid != second
    assert [line.split(" (")[0] for line in said] == [
        "executor ended with 1; restarting now",
        "executor ended with 1; restarting in 0.5 s",
    ]


async def test_a_long_life_forgives_earlier_ends(said: list[str], child: MakeChild) -> None:
    now = 1000.0
    supervisor = Supervisor(said.append, clock=lambda: now)
    process = child("executor", "false")
    supervisor.start(process, Stage.SERVICE)
    for _ in range(2):
        await wait_until(lambda: not process.is_running())
        now += 30
        supervisor.run_once()

    assert all("restarting now" in line for line in said)


async def test_a_program_that_cannot_be_started_does_not_end_the_supervisor(
    supervisor: Supervisor, said: list[str], child: MakeChild, folder: Path
) -> None:
    program = folder / "program"
    program.symlink_to("/bin/false")
    process = child("gateway", str(program))
    supervisor.start(process, Stage.SERVICE)
    await wait_until(lambda: not process.is_running())

    program.unlink()
    supervisor.run_once()

    assert "gateway cannot be started" in said[-1]


async def test_stop_ends_services_before_servers(
    supervisor: Supervisor, said: list[str], child: MakeChild, folder: Path
) -> None:
    order = folder / "order"
    for name, stage in (("postgres", Stage.SERVER), ("gateway", Stage.SERVICE)):
        script = f"trap 'echo {name} >> \"{order}\"; exit' TERM; echo up; while :; do sleep 0.02; done"
        process = child(name, "sh", "-c", script)
        supervisor.start(process, stage)
        await wait_until(process.command.log_file.read_text)

    supervisor.stop()

    assert order.read_text().split() == ["gateway", "postgres"]
    assert list((folder / "run").iterdir()) == []
    assert said == []


async def test_asked_twice_it_kills_what_does_not_listen(
    supervisor: Supervisor, said: list[str], child: MakeChild
) -> None:
    process = child("executor", *DEAF)
    supervisor.start(process, Stage.SERVICE)
    await wait_until(process.command.log_file.read_text)

    supervisor.hurry()
    supervisor.stop()

    assert process.exit_code() == -signal.SIGKILL
    assert said == ["executor did not end in time and was killed"]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child of its parent's death")
async def test_a_killed_supervisor_takes_its_children_along(folder: Path) -> None:
    script = f"""
import pathlib, time
from deploy.local.process import Command, Process
folder = pathlib.Path({str(folder)!r})
process = Process(Command("gateway", ("sleep", "60"), {{"PATH": "/usr/bin:/bin"}}, folder / "log", folder / "pid"))
process.start()
time.sleep(60)
"""
    supervisor = subprocess.Popen([sys.executable, "-c", script])  # noqa: ASYNC220 - not waited for here
    pid_file = folder / "pid"
    await wait_until(pid_file.exists)
    pid = int(pid_file.read_text())

    supervisor.kill()
    supervisor.wait()

    await wait_until(lambda: not is_alive(pid))
