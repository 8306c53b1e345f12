"""Real servers, started and stopped as `make run` does it."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest
import redis

from deploy.local.faults import CannotStart
from deploy.local.postgres import EmbeddedPostgres, clear_stale_pid_file
from deploy.local.process import Process
from deploy.local.sockets import socket_directory
from deploy.local.valkey import EmbeddedValkey

FORGETFUL = {"fsync": "off"}


@pytest.fixture(scope="module")
def cluster_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One initdb for the module; its tests leave the cluster stopped."""
    return tmp_path_factory.mktemp("data dir, with a comma")


@pytest.fixture
def postgres(cluster_dir: Path) -> Iterator[EmbeddedPostgres]:
    server = EmbeddedPostgres(cluster_dir, settings=FORGETFUL)
    server.start()
    yield server
    server.stop()


@pytest.fixture
def valkey(folder: Path) -> Iterator[EmbeddedValkey]:
    server = EmbeddedValkey(folder)
    server.start()
    yield server
    server.stop()


async def test_postgres_answers_in_utc_and_sorts_by_code_point(postgres: EmbeddedPostgres) -> None:
    connection = await asyncpg.connect(postgres.url())
    try:
        assert await connection.fetchval("SHOW timezone") == "UTC"
        assert await connection.fetchval("SELECT 'a' > 'B' AND lower('Ä') = 'ä'")
        assert await connection.fetchval("SHOW fsync") == "off"
        assert await connection.fetchval("SHOW data_checksums") == "on"
    finally:
        await connection.close()


async def test_postgres_keeps_its_data_over_a_crash(cluster_dir: Path, postgres: EmbeddedPostgres) -> None:
    connection = await asyncpg.connect(postgres.url())
    await connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")
    await connection.close()
    kill(postgres.process)
    assert (cluster_dir / "postgres" / "postmaster.pid").exists()

    again = EmbeddedPostgres(cluster_dir, settings=FORGETFUL)
    again.start()
    try:
        connection = await asyncpg.connect(again.url())
        assert await connection.fetchval("SELECT answer FROM kept") == 42
        await connection.close()
    finally:
        again.stop()


def test_a_pid_file_that_names_a_stranger_is_cleared(folder: Path) -> None:
    pid_file = folder / "postmaster.pid"
    pid_file.write_text(f"{os.getpid()}\n{folder}\n")

    clear_stale_pid_file(folder)

    assert not pid_file.exists()


def test_a_setting_that_postgres_refuses_is_one_line(cluster_dir: Path) -> None:
    server = EmbeddedPostgres(cluster_dir, settings=FORGETFUL | {"shared_buffers": "nonsense"})

    with pytest.raises(CannotStart, match=r"^PostgreSQL ended with 1 while starting: .*shared_buffers.*$"):
        server.start()


def test_a_cluster_of_another_version_is_refused(folder: Path) -> None:
    (folder / "postgres").mkdir()
    (folder / "postgres" / "PG_VERSION").write_text("15\n")

    with pytest.raises(CannotStart, match="is of PostgreSQL 15, this is 18"):
        EmbeddedPostgres(folder).start()


def test_valkey_keeps_its_data_over_a_restart(folder: Path, valkey: EmbeddedValkey) -> None:
    with redis.Redis.from_url(valkey.url(1)) as client:
        client.set("kept", "42")
    valkey.stop()

    valkey.start()

    with redis.Redis.from_url(valkey.url(1)) as client:
        assert client.get("kept") == b"42"
        assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
    assert str(folder) in valkey.process.command.arguments[-1]


def test_valkey_starts_over_the_socket_of_a_killed_one(valkey: EmbeddedValkey) -> None:
    kill(valkey.process)
    assert not valkey.is_ready()

    valkey.start()

    assert valkey.is_ready()


def test_a_socket_finds_a_short_private_place(folder: Path) -> None:
    deep = folder / ("d" * 90) / "socket"

    chosen = socket_directory(deep, "name", account=None)

    try:
        assert chosen != deep
        assert chosen == socket_directory(deep, "name", account=None)
        assert chosen.stat().st_mode & 0o777 == 0o700
    finally:
        chosen.rmdir()


def test_a_stopped_server_leaves_no_process_and_no_socket(folder: Path, valkey: EmbeddedValkey) -> None:
    pid = valkey.process.pid

    valkey.stop()

    assert not Path(f"/proc/{pid}").exists()
    assert [path for path in folder.rglob("*") if path.is_socket()] == []
    assert list((folder / "run").iterdir()) == []


def kill(process: Process) -> None:
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait(10)
