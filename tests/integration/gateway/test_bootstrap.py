import asyncio
import stat
from pathlib import Path

import asyncpg
import pytest

from services.gateway.auth.token import new_token
from services.gateway.bootstrap import bootstrap
from services.gateway.settings import BootstrapSettings, GatewaySettings
from tests.integration.gateway.bench import TOKEN_KEY, start, started


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "a folder" / "admin-token"


@pytest.fixture
def first(database_url: str, file: Path) -> BootstrapSettings:
    return BootstrapSettings(database_url=database_url, token_key=TOKEN_KEY, admin_token_file=str(file))


def _read(file: Path) -> str:
    return file.read_text()


def _mode(file: Path) -> int:
    return stat.S_IMODE(file.stat().st_mode)


def _write(file: Path, content: bytes) -> None:
    file.parent.mkdir()
    file.write_bytes(content)


def _neighbours(file: Path) -> list[str]:
    return [path.name for path in file.parent.iterdir()]


async def _me(settings: GatewaySettings, token: str) -> dict[str, object]:
    async with started(settings) as client:
        answer: dict[str, object] = (
            await client.get("/agents/me", headers={"Authorization": f"Bearer {token.strip()}"})
        ).json()
        return answer


async def test_the_first_token_is_that_of_an_admin_called_system(
    first: BootstrapSettings, settings: GatewaySettings, file: Path
) -> None:
    await bootstrap(first)
    me = await _me(settings, _read(file))
    assert (me["name"], me["scopes"]) == ("system", ["admin"])
    assert _mode(file) == 0o600


async def test_a_second_start_keeps_the_token(first: BootstrapSettings, file: Path, pool: asyncpg.Pool) -> None:
    await bootstrap(first)
    token = _read(file)
    await bootstrap(first)
    assert _read(file) == token
    assert await pool.fetchval("SELECT count(*) FROM agent_token") == 1
    assert await pool.fetchval("SELECT count(*) FROM audit_log") == 1


@pytest.mark.parametrize(
    "content", ["", "nonsense", "\udcff", new_token().text], ids=["nothing", "nonsense", "not text", "unknown"]
)
async def test_a_token_that_this_database_does_not_know_is_replaced(
    first: BootstrapSettings, settings: GatewaySettings, file: Path, content: str
) -> None:
    _write(file, content.encode(errors="surrogateescape"))
    await bootstrap(first)
    assert (await _me(settings, _read(file)))["name"] == "system"
    assert _mode(file) == 0o600


async def test_several_at_once_agree(first: BootstrapSettings, file: Path, pool: asyncpg.Pool) -> None:
    await asyncio.gather(*(bootstrap(first) for _ in range(5)))
    assert await pool.fetchval("SELECT count(*) FROM agent") == 1
    assert await pool.fetchval("SELECT key_id FROM agent_token") == _read(file).split("_")[1]
    assert _neighbours(file) == [file.name]


def test_without_tables_it_ends_with_one_line(postgres_database: str, file: Path) -> None:
    environment = {
        "PAO_DATABASE_URL": postgres_database,
        "PAO_TOKEN_KEY": TOKEN_KEY,
        "PAO_ADMIN_TOKEN_FILE": str(file),
    }
    with start("services.gateway.bootstrap", environment) as process:
        _, said = process.communicate(timeout=20)
    assert process.returncode == 1
    assert said.startswith(b"bootstrap: ")
    assert said.count(b"\n") == 1
    assert not file.exists()
