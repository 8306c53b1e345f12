import signal
import socket
import time
from collections.abc import Mapping
from pathlib import Path

import httpx

from tests.integration.gateway.bench import TOKEN_KEY, free_port, start
from tests.support.waiting import wait_until

NOWHERE = {
    "PAO_DATABASE_URL": "postgresql://nobody@127.0.0.1:1/nothing",
    "PAO_REDIS_URL": "redis://127.0.0.1:1",
    "PAO_TOKEN_KEY": TOKEN_KEY,
}


def _ended(environment: Mapping[str, str]) -> tuple[int, list[str]]:
    with start("services.gateway", environment) as process:
        _, said = process.communicate(timeout=20)
    return process.returncode, [line for line in said.decode().splitlines() if not line.startswith("{")]


def test_a_wrong_setting_ends_the_process_with_one_line() -> None:
    environment = {name: value for name, value in NOWHERE.items() if name != "PAO_TOKEN_KEY"}
    assert _ended(environment) == (1, ["gateway: PAO_TOKEN_KEY is not set"])


def test_a_taken_port_ends_the_process_with_one_line() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        code, said = _ended({**NOWHERE, "PAO_HTTP_PORT": str(port)})
    assert code == 1
    assert said == [f"gateway: cannot listen on 127.0.0.1 port {port}: Address already in use"]


async def test_it_starts_without_stores_and_ends_within_five_seconds_when_asked_to(tmp_path: Path) -> None:
    port = free_port()
    log = tmp_path / "log"
    with (
        log.open("wb") as stderr,
        start("services.gateway", {**NOWHERE, "PAO_HTTP_PORT": str(port)}, stderr) as process,
    ):
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:

            async def is_alive() -> bool:
                try:
                    return (await client.get("/health/live")).status_code == 200
                except httpx.TransportError:
                    return False

            await wait_until(is_alive)
            began = time.monotonic()
            process.send_signal(signal.SIGTERM)
            assert process.wait(20) == 0
            assert time.monotonic() - began < 5
    assert "Traceback" not in log.read_text().replace('"exception"', "")
