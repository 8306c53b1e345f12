"""What a gateway believes of tokens, and for how long."""

from uuid import uuid4

import msgspec
import pytest

from services.gateway.auth.cache import CACHE_SECONDS, TokenCache
from services.gateway.auth.wire import Identity, StoredToken


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def cache(clock: Clock) -> TokenCache:
    return TokenCache(clock, kept=3)


def stored(seconds_left: float | None = None, *, is_valid: bool = True) -> StoredToken:
    return StoredToken(b"hash", is_valid, True, Identity(uuid4(), "agent", frozenset()), seconds_left)


def test_what_was_asked_is_believed_for_less_than_a_second(cache: TokenCache, clock: Clock) -> None:
    token = stored()
    cache.keep("key", clock.now, token)
    clock.now += CACHE_SECONDS - 0.01
    found = cache.find("key")
    assert found is not None
    assert found.stored is token
    clock.now += 0.02
    assert cache.find("key") is None
    assert CACHE_SECONDS < 1


def test_its_age_counts_from_the_question_not_from_the_answer(cache: TokenCache, clock: Clock) -> None:
    asked_at = clock.now
    clock.now += CACHE_SECONDS - 0.1
    cache.keep("key", asked_at, stored())
    clock.now += 0.11
    assert cache.find("key") is None


def test_an_expired_token_is_not_valid_though_it_is_known(cache: TokenCache, clock: Clock) -> None:
    known = cache.keep("key", clock.now, stored(seconds_left=0.3))
    assert known.is_valid(clock.now + 0.29)
    assert not known.is_valid(clock.now + 0.3)
    assert not cache.keep("other", clock.now, stored(seconds_left=-5)).is_valid(clock.now)
    assert not cache.keep("other", clock.now, stored(is_valid=False)).is_valid(clock.now)
    assert not cache.keep("other", clock.now, None).is_valid(clock.now)


def test_key_ids_that_do_not_exist_crowd_out_no_token(cache: TokenCache, clock: Clock) -> None:
    cache.keep("good", clock.now, stored())
    for number in range(100):
        cache.keep(f"guess {number}", clock.now, None)
    assert cache.find("good") is not None
    assert cache.find("guess 99") is not None
    assert cache.find("guess 96") is None


def test_without_room_the_one_asked_longest_ago_goes(cache: TokenCache, clock: Clock) -> None:
    for name in ("a", "b", "c", "a", "d"):
        clock.now += 0.01
        cache.keep(name, clock.now, stored())
    assert [name for name in "abcd" if cache.find(name) is not None] == ["a", "c", "d"]


def test_after_a_change_everything_is_asked_anew(cache: TokenCache, clock: Clock) -> None:
    cache.keep("key", clock.now, stored())
    cache.keep("guess", clock.now, None)
    cache.forget()
    assert cache.find("key") is None
    assert cache.find("guess") is None


def test_an_answer_from_before_a_change_is_not_kept(cache: TokenCache, clock: Clock) -> None:
    asked_at = clock.now
    clock.now += 0.1
    cache.forget()
    cache.keep("key", asked_at, stored())
    assert cache.find("key") is None
    clock.now += 0.1
    cache.keep("key", clock.now, stored())
    assert cache.find("key") is not None


def test_a_recorded_use_makes_a_token_no_younger(cache: TokenCache, clock: Clock) -> None:
    known = cache.keep("key", clock.now, stored(seconds_left=60))
    clock.now += 0.5
    cache.note_use("key", known)
    found = cache.find("key")
    assert found is not None
    assert found.stored is not None
    assert not found.stored.is_use_unrecorded
    assert (found.asked_at, found.expires_at) == (known.asked_at, known.expires_at)
    cache.forget()
    cache.note_use("key", found)
    assert cache.find("key") is None
    assert msgspec.structs.asdict(found.stored)["seconds_left"] == 60
