"""Who a token stands for, and what happens while nobody can be asked."""

from typing import Any
from uuid import uuid4

import pytest

from services.gateway.auth import service
from services.gateway.auth.cache import CACHE_SECONDS, TokenCache
from services.gateway.auth.service import Authenticator
from services.gateway.auth.token import hash_secret, new_token
from services.gateway.auth.wire import Identity, StoredToken
from shared.vocabulary.faults import Unauthenticated, Unavailable

KEY = b"0123456789-for-tests-only-abcdefghijkl"


class FakeDatabase:
    """Answers with `stored`, or not at all."""

    def __init__(self, stored: StoredToken | None) -> None:
        self.stored = stored
        self.is_away = False
        self.asked = 0

    async def read(self, _query: object) -> Any:  # noqa: ANN401 (whatever is asked for)
        self.asked += 1
        if self.is_away:
            raise Unavailable("away")
        return self.stored


async def test_the_database_away_nobody_is_let_in_by_what_was_known_long_ago(monkeypatch: pytest.MonkeyPatch) -> None:
    token, now = new_token(), 100.0
    identity = Identity(uuid4(), "agent", frozenset())
    database = FakeDatabase(StoredToken(hash_secret(KEY, token.secret), True, False, identity, None))
    monkeypatch.setattr(service, "TokenCache", lambda: TokenCache(lambda: now))
    authenticator = Authenticator(database, KEY)  # type: ignore[arg-type]
    assert await authenticator.identify(token.text) == identity
    database.is_away = True
    assert await authenticator.identify(token.text) == identity
    now += CACHE_SECONDS
    with pytest.raises(Unavailable):
        await authenticator.identify(token.text)
    assert database.asked == 2


async def test_an_unknown_token_is_asked_for_once_in_a_while() -> None:
    database = FakeDatabase(None)
    authenticator = Authenticator(database, KEY)  # type: ignore[arg-type]
    token = new_token().text
    for _ in range(5):
        with pytest.raises(Unauthenticated):
            await authenticator.identify(token)
    assert database.asked == 1
