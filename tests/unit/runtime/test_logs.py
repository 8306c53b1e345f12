"""A line that cannot be written costs the line and nothing else."""

import subprocess
import sys
from pathlib import Path
from typing import IO

ROOT = Path(__file__).parents[3]
SCRIPT = """
import structlog
from shared.telemetry.logs import set_up_logs
set_up_logs("service", "instance", "INFO")
structlog.get_logger("a").info("half of a pair", text=chr(0xD800))
structlog.get_logger("a").info("after it", run_id="1")
print("alive")
"""


def _run(stderr: int | IO[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", SCRIPT], cwd=ROOT, stdout=subprocess.PIPE, stderr=stderr, text=True, check=False
    )


def test_a_full_disk_under_the_log_stops_nobody() -> None:
    with Path("/dev/full").open("w") as full:
        done = _run(full)

    assert done.stdout == "alive\n"


def test_text_that_json_cannot_hold_is_told_all_the_same() -> None:
    done = _run(subprocess.PIPE)

    assert done.stdout == "alive\n"
    first, second = done.stderr.splitlines()
    assert "half of a pair" in first
    assert '"run_id":"1"' in second
