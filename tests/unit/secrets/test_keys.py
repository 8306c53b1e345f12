import base64
import os

import pytest

from shared.runtime.settings import SettingsFault
from shared.secrets.keys import KeyFault, parse_key
from shared.secrets.names import is_secret_name
from shared.secrets.settings import parse_ring


def _text(key: bytes) -> str:
    return base64.b64encode(key).decode()


@pytest.mark.parametrize("encode", [base64.b64encode, base64.urlsafe_b64encode])
def test_random_bytes_are_a_key_in_either_alphabet(encode: object) -> None:
    key = bytes(range(200, 232, 2)) + b"\xfb\xff\xfe\x00" * 4
    assert callable(encode)
    assert parse_key(f" {encode(key).decode()}\n") == key


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "has 0 bytes"),
        ("not base64!", "is not base64"),
        ("ключ", "is not base64"),
        (_text(os.urandom(16)), "has 16 bytes and needs 32"),
        (_text(os.urandom(33)), "has 33 bytes and needs 32"),
        (_text(bytes(32)), "is not random"),
        (_text(b"\xff" * 32), "is not random"),
        (_text(bytes(range(32))), "is not random"),
        (_text(os.urandom(8) * 4), "is not random"),
        (_text(b"please-change-me-before-going-up"), "is not random"),
    ],
    ids=["nothing", "no base64", "no ascii", "short", "long", "zeros", "ones", "counted", "repeated", "an example"],
)
def test_what_is_no_key_or_an_example_is_refused_without_being_quoted(text: str, why: str) -> None:
    with pytest.raises(KeyFault) as fault:
        parse_key(text)
    assert str(fault.value).startswith(why)
    assert not text or text not in str(fault.value)


def test_no_random_key_is_taken_for_an_example() -> None:
    keys = [os.urandom(32) for _ in range(10_000)]
    assert [parse_key(_text(key)) for key in keys] == keys


def test_a_service_without_a_key_has_no_ring_and_old_keys_alone_are_a_mistake() -> None:
    assert parse_ring(None, "") is None
    with pytest.raises(SettingsFault, match="PAO_SECRETS_KEYS_OLD needs PAO_SECRETS_KEY beside it"):
        parse_ring(None, _text(os.urandom(32)))


def test_the_variable_of_a_wrong_key_is_named() -> None:
    with pytest.raises(SettingsFault, match=r"^PAO_SECRETS_KEY has 0 bytes"):
        parse_ring("", "")
    with pytest.raises(SettingsFault, match=r"^PAO_SECRETS_KEYS_OLD is not random"):
        parse_ring(_text(os.urandom(32)), f"{_text(os.urandom(32))}, {_text(bytes(32))}")


@pytest.mark.parametrize("name", ["a", "_", "API_KEY", "x" * 64, "__half", "half__", "_9"])
def test_a_name_that_expressions_can_write_is_one(name: str) -> None:
    assert is_secret_name(name)


@pytest.mark.parametrize(
    "name", ["", "9a", "a-b", "a.b", "../x", "x" * 65, "__proto__", "__class__", "____", "é", "a\n", "a\0"]
)
def test_any_other_name_is_none(name: str) -> None:
    assert not is_secret_name(name)
