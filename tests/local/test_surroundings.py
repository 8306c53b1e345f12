"""Whatever is wrong around `make run` costs one line and a non-zero exit, before anything is started."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.local.data_directory import claimed, end_leftovers, make_secrets_key, make_token_key
from deploy.local.faults import CannotStart
from deploy.local.settings import read_settings
from deploy.local.summary import summary
from shared.secrets.keys import parse_key


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.fixture
def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
    return port


def refusal(**environment: str) -> str:
    """What `make run` says on stderr before it ends with 1."""
    done = subprocess.run(
        [sys.executable, "-m", "deploy.local"],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.count("\n") == 1
    return done.stderr.strip()


def test_a_taken_port(folder: Path, taken_port: int) -> None:
    said = refusal(PAO_DATA_DIR=str(folder), PAO_HTTP_PORT=str(taken_port))

    assert said.startswith(f"cannot start: port {taken_port} is taken")
    assert not (folder / "postgres").exists()


def test_a_data_directory_in_use(folder: Path, free_port: int) -> None:
    with claimed(folder):
        said = refusal(PAO_DATA_DIR=str(folder), PAO_HTTP_PORT=str(free_port))

    assert said == f"cannot start: data directory {folder} is in use by another run (pid {os.getpid()})"


@pytest.mark.parametrize(("path", "reason"), [("/dev/null", "not a directory"), ("/proc/pao", "cannot use")])
def test_a_data_directory_that_cannot_be_one(path: str, reason: str) -> None:
    with pytest.raises(CannotStart, match=reason), claimed(Path(path)):
        pytest.fail("it was claimed")


def test_a_database_that_does_not_answer(folder: Path, free_port: int) -> None:
    url = f"postgresql://user:secret@127.0.0.1:{free_port}/pao"
    said = refusal(PAO_DATA_DIR=str(folder), PAO_HTTP_PORT=str(free_port), PAO_DATABASE_URL=url)

    assert said.startswith("cannot start: PAO_DATABASE_URL cannot be used")
    assert "secret" not in said


def test_a_redis_that_does_not_answer(folder: Path, free_port: int) -> None:
    url = f"redis://127.0.0.1:{free_port}"
    said = refusal(PAO_DATA_DIR=str(folder), PAO_HTTP_PORT=str(free_port), PAO_REDIS_URL=url)

    assert said.startswith("cannot start: PAO_REDIS_URL cannot be used")


@pytest.mark.parametrize("text", ["0", "65536", "80a", "-1", "٨٠", " 80", "9" * 5000])
def test_a_port_that_is_none(text: str) -> None:
    with pytest.raises(CannotStart, match="PAO_HTTP_PORT"):
        read_settings({"PAO_HTTP_PORT": text})


def test_the_services_get_urls_and_files_but_nothing_of_libpq() -> None:
    settings = read_settings({"PAO_DATA_DIR": "/data", "PAO_OUTBOUND_ALLOW": "", "PGPORT": "1", "PATH": "/bin"})

    given = settings.for_services("postgresql://d", "redis://r")

    assert given == {
        "PATH": "/bin",
        "PAO_DATA_DIR": "/data",
        "PAO_HTTP_HOST": "127.0.0.1",
        "PAO_HTTP_PORT": "8080",
        "PAO_DATABASE_URL": "postgresql://d",
        "PAO_REDIS_URL": "redis://r",
        "PAO_ADMIN_TOKEN_FILE": "/data/admin-token",
        "PAO_TOKEN_KEY_FILE": "/data/token-key",
        "PAO_PUBLIC_URL": "http://127.0.0.1:8080",
        "PAO_OUTBOUND_ALLOW": "127.0.0.0/8,::1/128",
    }


def test_the_token_key_is_private_and_made_once(folder: Path) -> None:
    key = folder / "token-key"
    make_token_key(key)
    first = key.read_text()

    make_token_key(key)

    assert key.read_text() == first
    assert len(first.strip()) == 64
    assert key.stat().st_mode & 0o777 == 0o600


def test_the_key_of_secrets_is_private_and_one_that_the_services_accept(folder: Path) -> None:
    key = folder / "secrets-key"
    make_secrets_key(key)
    first = key.read_text()

    make_secrets_key(key)

    assert key.read_text() == first
    assert len(parse_key(first)) == 32
    assert key.stat().st_mode & 0o777 == 0o600


def test_the_key_of_secrets_reaches_only_those_who_seal_and_open() -> None:
    settings = read_settings({"PAO_DATA_DIR": "/data", "PAO_SECRETS_KEY": "given", "PAO_SECRETS_KEYS_OLD": "older"})
    own = read_settings({"PAO_DATA_DIR": "/data"})

    reached = {name: settings.keys_for(name) for name in ("gateway", "executor", "scheduler", "migrations")}

    assert reached["gateway"] == reached["executor"]
    assert reached["gateway"]["PAO_SECRETS_KEY"] == "given"
    assert reached["gateway"]["PAO_SECRETS_KEYS_OLD"] == "older"
    assert reached["scheduler"] == reached["migrations"] == {}
    assert not any(name.startswith("PAO_SECRETS") for name in settings.for_services("d", "r"))
    assert own.keys_for("executor") == {"PAO_SECRETS_KEY_FILE": "/data/secrets-key"}


def test_a_pid_file_of_a_stranger_harms_nobody(folder: Path) -> None:
    (folder / "run").mkdir()
    (folder / "run" / "gateway.pid").write_text(f"{os.getpid()}\n")

    end_leftovers(folder)


def test_the_summary_shows_no_password() -> None:
    said = summary(read_settings({}), "postgresql://me:secret@db/pao", "redis://:secret@cache:6379/0")

    assert "secret" not in said
    assert "postgresql://me:***@db/pao" in said
