import asyncio
from typing import cast
from uuid import UUID

import asyncpg
import pytest

from services.executor.secrets import (
    CACHE_SECONDS,
    SecretMissing,
    SecretsTooMany,
    SecretStore,
    SecretsUnavailable,
    SecretUnreadable,
)
from shared.database.pool import open_pool
from shared.secrets.ring import KeyRing
from shared.vocabulary.limits import SECRETS_BYTES_PER_RUN, SECRETS_PER_PIPELINE
from shared.vocabulary.states import ErrorClass
from tests.integration.secrets.keeping import NEW, OLD, put
from tests.support.rows import make_agent


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


async def test_the_values_of_ones_own_secrets_are_given(pool: asyncpg.Pool, ring: KeyRing, agent_id: UUID) -> None:
    other = await make_agent(pool, "other")
    await put(pool, ring, agent_id, a="value of a", b="välue of b", c="not asked for")
    await put(pool, ring, other, a="of another")
    store = SecretStore(pool, ring)
    assert await store.values(agent_id, ["a", "b", "a"]) == {"a": "value of a", "b": "välue of b"}
    assert await store.values(other, ["a"]) == {"a": "of another"}
    assert await store.values(agent_id, []) == {}


async def test_missing_ones_are_named_and_no_retry_mends_it(pool: asyncpg.Pool, ring: KeyRing, agent_id: UUID) -> None:
    await put(pool, ring, agent_id, a="value")
    await put(pool, ring, await make_agent(pool, "other"), theirs="value")
    with pytest.raises(SecretMissing, match="There is no secret 'no\\\\x00such', 'theirs'") as fault:
        await SecretStore(pool, ring).values(agent_id, ["a", "theirs", "no\0such"])
    assert fault.value.names == ("no\0such", "theirs")
    assert (fault.value.error_class, fault.value.retryable) == (ErrorClass.TEMPLATE, False)


async def test_a_ciphertext_in_the_place_of_another_does_not_open(
    pool: asyncpg.Pool, ring: KeyRing, agent_id: UUID
) -> None:
    await put(pool, ring, agent_id, a="value of a", b="value of b")
    await pool.execute(
        "UPDATE secret SET nonce = other.nonce, ciphertext = other.ciphertext FROM secret AS other "
        "WHERE secret.name = 'a' AND other.name = 'b'"
    )
    with pytest.raises(SecretUnreadable, match="'a'") as fault:
        await SecretStore(pool, ring).values(agent_id, ["a", "b"])
    assert (fault.value.error_class, fault.value.retryable) == (ErrorClass.INTERNAL, False)
    assert "value of" not in str(fault.value)


async def test_a_value_under_an_unknown_key_waits_for_an_executor_that_knows_it(
    pool: asyncpg.Pool, ring: KeyRing, agent_id: UUID
) -> None:
    await put(pool, ring, agent_id, a="value")
    with pytest.raises(SecretUnreadable) as fault:
        await SecretStore(pool, KeyRing(NEW)).values(agent_id, ["a"])
    assert fault.value.retryable
    assert await SecretStore(pool, KeyRing(NEW, [OLD])).values(agent_id, ["a"]) == {"a": "value"}


async def test_an_executor_without_a_key_says_so(pool: asyncpg.Pool, agent_id: UUID) -> None:
    with pytest.raises(SecretsUnavailable, match="PAO_SECRETS_KEY") as fault:
        await SecretStore(pool, None).values(agent_id, ["a"])
    assert fault.value.retryable
    assert await SecretStore(pool, None).values(agent_id, []) == {}


async def test_a_database_that_is_away_is_worth_a_retry(database_url: str, ring: KeyRing, agent_id: UUID) -> None:
    closed = await open_pool(database_url, application_name="test", size=1)
    await closed.close()
    with pytest.raises(SecretsUnavailable) as fault:
        await SecretStore(closed, ring).values(agent_id, ["a"])
    assert fault.value.retryable


async def test_a_replaced_or_deleted_secret_is_used_for_five_seconds_at_most(
    pool: asyncpg.Pool, ring: KeyRing, agent_id: UUID
) -> None:
    clock = Clock()
    store = SecretStore(pool, ring, clock=clock)
    await put(pool, ring, agent_id, a="first")
    assert await store.values(agent_id, ["a"]) == {"a": "first"}
    await put(pool, ring, agent_id, version=2, a="second")
    clock.now += CACHE_SECONDS - 0.01
    assert await store.values(agent_id, ["a"]) == {"a": "first"}
    clock.now += 0.01
    assert await store.values(agent_id, ["a"]) == {"a": "second"}
    await pool.execute("DELETE FROM secret")
    clock.now += CACHE_SECONDS
    with pytest.raises(SecretMissing):
        await store.values(agent_id, ["a"])


async def test_of_many_runs_that_want_a_secret_at_once_one_asks_for_it(
    pool: asyncpg.Pool, ring: KeyRing, agent_id: UUID
) -> None:
    await put(pool, ring, agent_id, a="value")
    asked: list[str] = []

    class Counting:
        async def fetch(self, sql: str, *arguments: object) -> list[asyncpg.Record]:
            asked.append(sql)
            return await pool.fetch(sql, *arguments)

    store = SecretStore(cast("asyncpg.Pool", Counting()), ring)
    found = await asyncio.gather(*(store.values(agent_id, ["a"]) for _ in range(100)))
    assert found == [{"a": "value"}] * 100
    assert len(asked) == 1


async def test_what_is_remembered_is_bounded(pool: asyncpg.Pool, ring: KeyRing, agent_id: UUID) -> None:
    store = SecretStore(pool, ring)
    for number in range(140):
        await put(pool, ring, agent_id, 1, **{f"n{number}": "x" * 65_536})
        await store.values(agent_id, [f"n{number}"])
    await pool.execute("DELETE FROM secret")
    assert len((await store.values(agent_id, ["n139"]))["n139"]) == 65_536
    with pytest.raises(SecretMissing):
        await store.values(agent_id, ["n0"])


async def test_a_run_is_given_twenty_secrets_at_most(pool: asyncpg.Pool, ring: KeyRing, agent_id: UUID) -> None:
    names = [f"n{number}" for number in range(SECRETS_PER_PIPELINE + 1)]
    await put(pool, ring, agent_id, 1, **dict.fromkeys(names, "value"))
    store = SecretStore(pool, ring)
    assert len(await store.values(agent_id, [*names[1:], names[1]])) == SECRETS_PER_PIPELINE
    with pytest.raises(SecretsTooMany, match="at most 20 secrets, not 21") as fault:
        await store.values(agent_id, names)
    assert (fault.value.error_class, fault.value.retryable) == (ErrorClass.TEMPLATE, False)


async def test_a_run_is_given_so_many_bytes_of_secrets_at_most(
    pool: asyncpg.Pool, ring: KeyRing, agent_id: UUID
) -> None:
    names = [f"n{number}" for number in range(4)]
    await put(pool, ring, agent_id, 1, **dict.fromkeys(names, "ü" * (SECRETS_BYTES_PER_RUN // 8)), one_more="x")
    store = SecretStore(pool, ring)
    assert len(await store.values(agent_id, names)) == 4
    assert await store.values(agent_id, ["one_more"]) == {"one_more": "x"}
    for _ in range(2):
        with pytest.raises(SecretsTooMany, match=f"at most {SECRETS_BYTES_PER_RUN} bytes together, not 262145"):
            await store.values(agent_id, [*names, "one_more"])
