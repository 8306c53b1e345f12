"""Every named statement is prepared against the migrated database and compared with what its header says."""

import importlib
from pathlib import Path

import asyncpg
import pytest

from shared.database.statements import Statement, load_statements

ROOT = Path(__file__).parents[2]
FILES = sorted(path for folder in ("services", "shared") for path in (ROOT / folder).rglob("sql/*.sql"))


def _statements() -> list[Statement]:
    found: list[Statement] = []
    for path in FILES:
        if "migrations" in path.parts:
            continue
        package = ".".join(path.relative_to(ROOT).parent.parent.parts)
        importlib.import_module(package)
        found += load_statements(package, f"sql/{path.name}").values()
    return found


@pytest.mark.parametrize("statement", _statements(), ids=lambda statement: statement.name)
async def test_a_statement_takes_and_gives_what_its_header_says(statement: Statement, pool: asyncpg.Pool) -> None:
    async with pool.acquire() as connection:
        prepared = await connection.prepare(statement.sql)
        assert tuple(_short(kind.name) for kind in prepared.get_parameters()) == statement.takes
        given = tuple(f"{column.name} {_short(column.type.name)}" for column in prepared.get_attributes())
        assert given == statement.gives


def _short(name: str) -> str:
    """asyncpg names some array types with their schema-level name."""
    return name.removeprefix("_") + "[]" if name.startswith("_") else name
