import hmac
import re

import pytest

from services.gateway.auth.token import TOKEN_CHARACTERS, Token, hash_secret, new_token, parse_token


def test_a_token_is_read_back_as_it_was_made() -> None:
    token = new_token()
    assert parse_token(token.text) == token
    assert len(token.text) == TOKEN_CHARACTERS


def test_tokens_differ() -> None:
    assert len({new_token().text for _ in range(1000)}) == 1000


def test_the_form_of_a_token_stays_as_it_is() -> None:
    assert re.fullmatch("pao_[0-9A-Za-z]{12}_[0-9A-Za-z]{32}_[0-9A-Za-z]{6}", new_token().text)
    assert Token("0" * 12, "A" * 32).text == "pao_000000000000_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA_0PVetD"


@pytest.mark.parametrize("position", range(4, TOKEN_CHARACTERS))
def test_a_mistyped_character_is_noticed(position: int) -> None:
    text = Token("0123456789ab", "A" * 32).text
    wrong = "B" if text[position] != "B" else "C"
    assert parse_token(text[:position] + wrong + text[position + 1 :]) is None


@pytest.mark.parametrize("text", ["", "pao", "pao___", "x" * 57, "pao_" + "ä" * 53, "_" * 57, "pao_" + "0" * 53])
def test_what_no_gateway_gave_out_is_no_token(text: str) -> None:
    assert parse_token(text) is None


def test_the_stored_hash_depends_on_the_key_and_does_not_contain_the_secret() -> None:
    secret = new_token().secret
    stored = hash_secret(b"one key", secret)
    assert hmac.compare_digest(stored, hash_secret(b"one key", secret))
    assert stored != hash_secret(b"another key", secret)
    assert secret.encode() not in stored
