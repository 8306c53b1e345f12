"""Whatever is done to the audit trail behind the system's back is found, and told with seal and entry."""

from collections.abc import AsyncIterator
from datetime import timedelta

import asyncpg
import pytest

from services.gateway.audit.chain import Chain
from services.gateway.audit.verifying import Known, Wanted, verify
from services.gateway.audit.wire import FaultKind, Verification
from services.gateway.database import Database
from services.scheduler.sealer import Sealer
from shared.vocabulary.scopes import Scope
from tests.integration.gateway.bench import Bench
from tests.support.trail import seal, tamper, write, write_and_seal

CHANGED, DELETED, SWAPPED = FaultKind.CHANGED, FaultKind.DELETED, FaultKind.SWAPPED
INSERTED, TRUNCATED, BEHIND = FaultKind.INSERTED, FaultKind.TRUNCATED, FaultKind.SEALER_BEHIND
FORGE = """INSERT INTO audit_log (at, seq, xid, actor_name, action, subject_type, subject_id) OVERRIDING SYSTEM VALUE
           VALUES (coalesce($1, now()), coalesce($2, nextval('audit_log_seq_seq')),
                   coalesce($3, pg_current_xact_id()::text::bigint), 'a', 'task.deleted', 'task', 'forged')"""
# Contents change places; xid and seq stay.
SWAP = """UPDATE audit_log a
             SET at = b.at, subject_id = b.subject_id, details = b.details
            FROM audit_log b
           WHERE (a.seq, b.seq) IN (($1, $2), ($2, $1))"""


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    opened = Database(database_url, application_name="test", size=2, overflow=0)
    yield opened
    await opened.close()


async def look(database: Database, **wanted: object) -> Verification:
    return await verify(Chain(database.read), Wanted(**wanted))  # type: ignore[arg-type]  # as the test has it


def found(answer: Verification) -> list[tuple[FaultKind, int | None, int | None]]:
    assert answer.is_valid is (answer.faults == [])
    return [(fault.kind, fault.seal, fault.seq) for fault in answer.faults]


async def head_of(pool: asyncpg.Pool) -> Known:
    row = await pool.fetchrow("SELECT number, hash FROM audit_seal ORDER BY number DESC LIMIT 1")
    assert row is not None
    return Known(row["number"], row["hash"])


async def test_a_trail_that_nobody_touched_is_valid(pool: asyncpg.Pool, database: Database) -> None:
    await write_and_seal(pool, ["a", "b"], ["c"])
    await write(pool, "d")
    answer = await look(database)
    assert (answer.faults, answer.seals, answer.entries, answer.unsealed) == ([], 2, 3, 1)
    assert answer.head is not None
    assert answer.head.hash == (await head_of(pool)).hash.hex()


async def test_a_trail_without_entries_is_valid(database: Database) -> None:
    answer = await look(database)
    assert (answer.is_valid, answer.seals, answer.head) == (True, 0, None)


async def test_a_changed_entry_is_named_whatever_was_changed(pool: asyncpg.Pool, database: Database) -> None:
    changes = [
        "actor_name = 'b'",
        "actor_id = gen_random_uuid()",
        "action = 'task.updated'",
        "subject_type = 'run'",
        "subject_id = 'x'",
        "details = '{}'",
        """details = '{"title": "Task b "}'""",
        "request_id = ''",
        "trace_id = 'x'",
        "at = at + interval '1 microsecond'",
    ]
    _, seqs = await write_and_seal(pool, ["before"], [str(number) for number in range(len(changes))])
    for seq, change in zip(seqs, changes, strict=True):
        await tamper(pool, f"UPDATE audit_log SET {change} WHERE seq = $1", seq)
    assert found(await look(database)) == [(CHANGED, 2, seq) for seq in seqs]


async def test_a_deleted_entry_is_named(pool: asyncpg.Pool, database: Database) -> None:
    (_, b, _), _ = await write_and_seal(pool, ["a", "b", "c"], ["d"])
    await tamper(pool, "DELETE FROM audit_log WHERE seq = $1", b)
    assert found(await look(database)) == [(DELETED, 1, b)]


async def test_two_entries_that_changed_places_are_named(pool: asyncpg.Pool, database: Database) -> None:
    ((a, _, c),) = await write_and_seal(pool, ["a", "b", "c"])
    await tamper(pool, SWAP, a, c)
    assert found(await look(database)) == [(SWAPPED, 1, a), (SWAPPED, 1, c)]


async def test_entries_of_two_seals_that_changed_places_are_named(pool: asyncpg.Pool, database: Database) -> None:
    (a,), (b,) = await write_and_seal(pool, ["a"], ["b"])
    await tamper(pool, SWAP, a, b)
    assert found(await look(database)) == [(CHANGED, 1, a), (CHANGED, 2, b)]


async def test_the_newest_entries_cut_off_are_named(pool: asyncpg.Pool, database: Database) -> None:
    _, (_, c, d) = await write_and_seal(pool, ["a"], ["b", "c", "d"])
    await tamper(pool, "DELETE FROM audit_log WHERE seq >= $1", c)
    assert found(await look(database)) == [(TRUNCATED, 2, c), (TRUNCATED, 2, d)]


async def test_the_oldest_entries_cut_off_are_named(pool: asyncpg.Pool, database: Database) -> None:
    (a, _), _ = await write_and_seal(pool, ["a", "b"], ["c"])
    await tamper(pool, "DELETE FROM audit_log WHERE seq = $1", a)
    assert found(await look(database)) == [(TRUNCATED, 1, a)]


async def test_an_emptied_trail_is_told_seal_by_seal(pool: asyncpg.Pool, database: Database) -> None:
    await write_and_seal(pool, ["a", "b"], ["c"])
    await tamper(pool, "DELETE FROM audit_log")
    assert found(await look(database)) == [(TRUNCATED, 1, None), (TRUNCATED, 2, None)]


async def test_an_entry_put_among_sealed_ones_is_named(pool: asyncpg.Pool, database: Database) -> None:
    ((a, b),) = await write_and_seal(pool, ["a", "b"])
    xid = await pool.fetchval("SELECT xid FROM audit_log WHERE seq = $1", a)
    await tamper(pool, FORGE, None, b + 50, xid)
    assert found(await look(database)) == [(INSERTED, 1, b + 50)]


async def test_entries_put_before_all_others_are_named(pool: asyncpg.Pool, database: Database) -> None:
    await write_and_seal(pool, ["a"], ["b"])
    for seq, xid in ((-9, -5), (-8, 0), (-7, 2)):
        await tamper(pool, FORGE, None, seq, xid)
    assert found(await look(database)) == [(INSERTED, 1, -9), (INSERTED, 1, -8), (INSERTED, 1, -7)]


async def test_an_entry_of_a_transaction_that_never_was_is_named(pool: asyncpg.Pool, database: Database) -> None:
    await write_and_seal(pool, ["a"])
    await tamper(pool, FORGE, None, 99, 1 << 40)
    assert found(await look(database)) == [(INSERTED, None, 99)]


async def test_an_entry_that_is_dated_back_is_named_although_it_was_sealed(
    pool: asyncpg.Pool, database: Database
) -> None:
    await write_and_seal(pool, ["a"])
    now = await pool.fetchval("SELECT now()")
    await tamper(pool, FORGE, now - timedelta(minutes=2), 99, None)
    await seal(pool)
    assert found(await look(database)) == [(INSERTED, 2, 99)]


async def test_an_entry_that_is_dated_ahead_is_named(pool: asyncpg.Pool, database: Database) -> None:
    now = await pool.fetchval("SELECT now()")
    await tamper(pool, FORGE, now + timedelta(minutes=2), 99, None)
    await seal(pool)
    assert found(await look(database)) == [(INSERTED, 1, 99)]


async def test_an_entry_that_repeats_a_number_is_named(pool: asyncpg.Pool, database: Database) -> None:
    ((a, _),) = await write_and_seal(pool, ["a", "b"])
    await tamper(pool, FORGE, None, a, None)
    await seal(pool)
    assert found(await look(database)) == [(INSERTED, 2, a)]


async def test_an_entry_whose_number_was_drawn_long_ago_is_named(pool: asyncpg.Pool, database: Database) -> None:
    old = await pool.fetchval("SELECT now() - interval '1 hour'")
    await tamper(pool, FORGE, old, 50, None)
    await Sealer(pool).run_once(old + timedelta(seconds=1))
    await tamper(pool, FORGE, None, 60, None)
    await seal(pool)
    await tamper(pool, FORGE, None, 40, None)
    await seal(pool)
    assert found(await look(database)) == [(INSERTED, 3, 40)]


async def test_a_backlog_that_is_sealed_late_is_valid(pool: asyncpg.Pool, database: Database) -> None:
    old = await pool.fetchval("SELECT now() - interval '1 day'")
    for minute in range(6):
        await tamper(pool, FORGE, old + timedelta(minutes=minute * 10), None, None)
    await seal(pool, 2)
    assert found(await look(database)) == []


async def test_a_changed_seal_is_named_whatever_was_changed(pool: asyncpg.Pool, database: Database) -> None:
    changes = [
        "sealed_at = sealed_at + interval '1 s'",
        "entries = entries + 1",
        "last_seq = last_seq + 1",
        "last_at = last_at - interval '1 s'",
        "marks = '\\x00'",
        "cluster = 7",
    ]
    await write_and_seal(pool, *[[change] for change in changes])
    for number, change in enumerate(changes, 1):
        await tamper(pool, f"UPDATE audit_seal SET {change} WHERE number = $1", number)
    told = {(kind, seal_number) for kind, seal_number, _ in found(await look(database))}
    assert told == {(CHANGED, number) for number in range(1, 7)}


async def test_a_seal_made_anew_does_not_fit_the_one_after_it(pool: asyncpg.Pool, database: Database) -> None:
    await write_and_seal(pool, ["a"], ["b"], ["c"])
    await tamper(pool, "UPDATE audit_seal SET hash = sha256('x') WHERE number = 2")
    assert found(await look(database)) == [(CHANGED, 2, None), (CHANGED, 3, None)]


async def test_a_seal_in_the_middle_that_is_gone_is_told(pool: asyncpg.Pool, database: Database) -> None:
    await write_and_seal(pool, ["a"], ["b"], ["c"], ["d"])
    await tamper(pool, "DELETE FROM audit_seal WHERE number IN (2, 3)")
    answer = await look(database)
    assert found(answer) == [(DELETED, 4, None)]
    assert "2 to 3" in answer.faults[0].message


async def test_a_chain_without_its_beginning_is_told(pool: asyncpg.Pool, database: Database) -> None:
    await write_and_seal(pool, ["a"], ["b"])
    await tamper(pool, "DELETE FROM audit_seal WHERE number = 1")
    await tamper(pool, "DELETE FROM audit_log WHERE subject_id = 'a'")
    assert found(await look(database)) == [(TRUNCATED, 2, None)]


async def test_a_chain_without_its_end_is_told_to_who_remembers_it(pool: asyncpg.Pool, database: Database) -> None:
    await write_and_seal(pool, ["a"], ["b"])
    known = await head_of(pool)
    await tamper(pool, "DELETE FROM audit_seal WHERE number = 2")
    await tamper(pool, "DELETE FROM audit_log WHERE subject_id = 'b'")
    assert found(await look(database)) == []
    assert found(await look(database, known=known)) == [(TRUNCATED, 2, None)]


async def test_a_chain_made_anew_is_told_to_who_remembers_it(pool: asyncpg.Pool, database: Database) -> None:
    await write_and_seal(pool, ["a"], ["b"])
    known = await head_of(pool)
    await tamper(pool, "DELETE FROM audit_seal WHERE number = 2")
    await tamper(pool, "UPDATE audit_log SET actor_name = 'x' WHERE subject_id = 'b'")
    await seal(pool)
    assert found(await look(database)) == []
    assert found(await look(database, known=known)) == [(CHANGED, 2, None)]
    assert found(await look(database, known=await head_of(pool))) == []


async def test_a_newest_seal_that_was_taken_away_leaves_entries_that_wait(
    pool: asyncpg.Pool, database: Database
) -> None:
    old = await pool.fetchval("SELECT now() - interval '2 minutes'")
    await tamper(pool, FORGE, old, 50, None)
    await seal(pool)
    await tamper(pool, "DELETE FROM audit_seal WHERE number = 1")
    assert found(await look(database)) == [(BEHIND, None, None)]


async def test_some_of_the_seals_can_be_looked_at(pool: asyncpg.Pool, database: Database) -> None:
    _, _, (c,), _ = await write_and_seal(pool, ["a"], ["b"], ["c"], ["d"])
    await tamper(pool, "DELETE FROM audit_log WHERE seq = $1", c)
    assert found(await look(database, from_seal=2, to_seal=2)) == []
    assert found(await look(database, from_seal=4)) == []
    answer = await look(database, from_seal=2, to_seal=3)
    assert (found(answer), answer.seals) == ([(TRUNCATED, 3, None)], 2)


async def test_when_the_time_does_not_suffice_it_says_where_to_go_on(pool: asyncpg.Pool, database: Database) -> None:
    await write(pool, *"abc")
    await seal(pool, 1)
    chain = Chain(database.read, seals_at_once=2)
    answer = await verify(chain, Wanted(), seconds=0)
    assert (answer.next_seal, answer.seals) == (3, 2)
    rest = await verify(chain, Wanted(from_seal=3), seconds=0)
    assert (rest.next_seal, rest.seals, rest.is_valid) == (None, 1, True)


async def test_it_is_answered_to_whoever_may_read_the_trail(own_gateway: Bench) -> None:
    await write_and_seal(own_gateway.pool, ["a"], ["b"])
    reader = await own_gateway.caller(Scope.AUDIT_READ)
    answer = await reader.get("/audit/verify")
    assert answer.status_code == 200
    told = answer.json()
    assert (told["is_valid"], told["seals"], told["entries"], told["faults"]) == (True, 2, 2, [])
    head = told["head"]
    good = {"known_seal": head["seal"], "known_hash": head["hash"]}
    assert (await reader.get("/audit/verify", **good)).json()["is_valid"] is True
    wrong = (await reader.get("/audit/verify", known_seal=2, known_hash="0" * 64)).json()
    assert (wrong["is_valid"], wrong["faults"][0]["kind"], wrong["faults"][0]["seal"]) == (False, "changed", 2)
    assert (await (await own_gateway.caller(Scope.TASKS_READ)).get("/audit/verify")).status_code == 403


@pytest.mark.parametrize(
    ("parameters", "field"),
    [
        ({"known_seal": 1}, "known_hash"),
        ({"known_hash": "0" * 64}, "known_seal"),
        ({"known_seal": 1, "known_hash": "xyz"}, "known_hash"),
        ({"from_seal": 0}, "from_seal"),
        ({"from_seal": 3, "to_seal": 2}, "to_seal"),
        ({"to_seal": 1 << 70}, "to_seal"),
    ],
)
async def test_wrong_parameters_are_named(gateway: Bench, parameters: dict[str, str | int], field: str) -> None:
    answer = await (await gateway.caller(Scope.AUDIT_READ)).get("/audit/verify", **parameters)
    assert answer.status_code == 400
    assert [wrong["field"] for wrong in answer.json()["validation_errors"]] == [field]
