"""The tables are what the models say, however often the revisions are applied."""

import asyncio

import asyncpg
import pytest

from shared.migrations import runner


async def test_models_and_tables_agree(database_url: str) -> None:
    await runner.check(database_url)


async def test_several_migrators_at_once_migrate_once(postgres_database: str) -> None:
    await asyncio.gather(*(runner.upgrade(postgres_database) for _ in range(4)))
    await runner.check(postgres_database)


async def test_the_audit_trail_refuses_every_change(pool: asyncpg.Pool) -> None:
    await pool.execute(
        "INSERT INTO audit_log (actor_name, action, subject_type, subject_id) VALUES ('a', 'task.created', 'task', '1')"
    )
    partition = await pool.fetchval("SELECT tableoid::regclass::text FROM audit_log")
    for change in (
        "UPDATE audit_log SET actor_name = 'b'",
        "DELETE FROM audit_log",
        "TRUNCATE audit_log",
        f"TRUNCATE {partition}",
        "TRUNCATE audit_log_default",
    ):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await pool.execute(change)
    assert await pool.fetchval("SELECT count(*) FROM audit_log") == 1


async def test_partitions_are_made_ahead_once(pool: asyncpg.Pool) -> None:
    assert await pool.fetchval("SELECT make_partitions_ahead()") == 0
    await pool.execute("DROP TABLE task_run_default, run_step_default")
    newest = await pool.fetchval(
        "SELECT max(inhrelid::regclass::text) FROM pg_inherits WHERE inhparent = 'task_run'::regclass"
    )
    await pool.execute(f"DROP TABLE {newest}")
    await pool.execute("CREATE TABLE task_run_default PARTITION OF task_run DEFAULT")
    await pool.execute("CREATE TABLE run_step_default PARTITION OF run_step DEFAULT")
    assert await pool.fetchval("SELECT make_partitions_ahead()") == 1


async def test_partitions_are_of_utc_whatever_the_zone_of_the_session(pool: asyncpg.Pool) -> None:
    async with pool.acquire() as connection:
        await connection.execute("SET timezone = 'Europe/Chisinau'")
        await connection.execute(
            "SELECT make_partitions('task_run', '1 week', 'id', '2027-03-22T00:00:00Z', 3, '')"  # over a clock change
        )
    bounds = await pool.fetch(
        "SELECT pg_get_expr(c.relpartbound, c.oid) FROM pg_class c WHERE c.relname LIKE 'task_run_p2027%' "
        "AND c.relkind = 'r' ORDER BY 1"
    )
    ends = [row[0].split("'")[3] for row in bounds]
    starts = [row[0].split("'")[1] for row in bounds]
    assert len(bounds) == 4
    assert starts[1:] == ends[:-1]


async def test_partitions_may_be_made_by_several_at_once(pool: asyncpg.Pool) -> None:
    await pool.execute(
        "DO $$ DECLARE p text; BEGIN FOR p IN SELECT inhrelid::regclass::text FROM pg_inherits WHERE "
        "inhrelid::regclass::text LIKE 'event_p20%' LOOP EXECUTE 'DROP TABLE ' || p; END LOOP; END $$"
    )

    made = await asyncio.gather(*(pool.fetchval("SELECT make_partitions_ahead()") for _ in range(4)))

    assert sorted(made) == [0, 0, 0, 6]
