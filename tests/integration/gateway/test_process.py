import signal
import socket
import time
from collections.abc import Mapping
from pathlib import Path

import httpx
import pytest

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


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"PAO_TOKEN_KEY": None}, "gateway: PAO_TOKEN_KEY is not set"),
        ({"PAO_TOKEN_KEY": "short"}, "gateway: PAO_TOKEN_KEY needs at least 32 characters"),
        ({"PAO_TOKEN_KEY": "x" * 40}, "gateway: PAO_TOKEN_KEY must be random; the given one repeats itself"),
        ({"PAO_DATABASE_URL": None}, "gateway: PAO_DATABASE_URL is not set"),
        ({"PAO_OUTBOUND_ALLOW": "10.0.0.1/8"}, "gateway: PAO_OUTBOUND_ALLOW: 10.0.0.1/8 has host bits set"),
        ({"PAO_HTTP_PORT": "80800"}, "gateway: PAO_HTTP_PORT: Expected `int` <= 65535"),
    ],
)
def test_a_wrong_setting_ends_the_process_with_one_line(changes: dict[str, str | None], told: str) -> None:
    environment = {name: value for name, value in {**NOWHERE, **changes}.items() if value is not None}
    assert _ended(environment) == (1, [told])


def test_the_key_can_be_read_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text("too short\n")
    environment = {name: value for name, value in NOWHERE.items() if name != "PAO_TOKEN_KEY"}
    _, said = _ended({**environment, "PAO_TOKEN_KEY_FILE": str(file)})
    assert said == ["gateway: PAO_TOKEN_KEY needs at least 32 characters"]


def test_a_taken_port_ends_the_process_with_one_line() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        code, said = _ended({**NOWHERE, "PAO_HTTP_PORT": str(port)})
    assert code == 1
    assert said == [f"gateway: cannot listen on 127.0.0.1 port {port}: Address already in use"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_it_starts_without_stores_and_ends_within_five_seconds_when_asked_to(
    number: signal.Signals, tmp_path: Path
) -> None:
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
            process.send_signal(number)
            assert process.wait(20) == 0
            assert time.monotonic() - began < 5
    assert "Traceback" not in log.read_text().replace('"exception"', "")
