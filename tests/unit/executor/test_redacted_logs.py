"""What is logged while secrets are in use, as a process writes it."""

import base64
import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]
SCRIPT = """
import asyncio, base64, logging, structlog
from shared.secrets.redaction import Redactor, bind_redactor
from shared.telemetry.logs import set_up_logs

CANARY = "canary-of-this-test"
set_up_logs("executor", "one", "INFO")
log = structlog.get_logger("a")

class Shown:
    def __repr__(self):
        return f"Shown({CANARY})"

def failing():
    raise ValueError(f"cannot use {CANARY}")

async def with_secrets():
    bind_redactor(Redactor([CANARY]))
    log.info("given " + CANARY, url="https://x/?key=" + CANARY, nested={"a": [CANARY], CANARY: 1}, shown=Shown())
    log.info("encoded", header="Basic " + base64.b64encode(f"user:{CANARY}".encode()).decode())
    logging.getLogger("library").warning("library says %s", CANARY)
    try:
        failing()
    except ValueError:
        log.exception("failed")
    await asyncio.create_task(child())
    cyclic = [CANARY]
    cyclic.append(cyclic)
    log.info("cyclic", value=cyclic)

async def child():
    log.info("child", value=CANARY)

async def main():
    await asyncio.create_task(with_secrets())
    log.info("after", value="canary-of-another")

asyncio.run(main())
"""


def _lines() -> list[str]:
    done = subprocess.run([sys.executable, "-c", SCRIPT], cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stderr.splitlines()


def test_log_lines_and_tracebacks_of_a_run_show_no_secret() -> None:
    text = "\n".join(_lines())
    assert "canary-of-this-test" not in text
    encoded = base64.b64encode(b"user:canary-of-this-test").decode()
    assert f"Basic {encoded[:6]}" in text
    assert encoded[8:-4] not in text


def test_the_lines_are_there_and_those_of_other_work_untouched() -> None:
    lines = [json.loads(line) for line in _lines()]
    assert [line["event"] for line in lines] == [
        "given [secret]",
        "encoded",
        "library says [secret]",
        "failed",
        "child",
        "log_line_not_redactable",
        "after",
    ]
    assert lines[0]["nested"] == {"a": ["[secret]"], "[secret]": 1}
    assert lines[0]["shown"] == "Shown([secret])"
    assert "ValueError: cannot use [secret]" in lines[3]["exception"]
    assert lines[6]["value"] == "canary-of-another"
