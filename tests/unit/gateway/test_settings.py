import base64
from pathlib import Path

import pytest

from services.gateway.settings import GatewaySettings
from shared.runtime.settings import SettingsFault

GIVEN = {
    "PAO_DATABASE_URL": "postgresql://somewhere/pao",
    "PAO_REDIS_URL": "redis://somewhere",
    "PAO_TOKEN_KEY": "0123456789-for-tests-only-abcdefghijkl",
}
ZEROS = base64.b64encode(bytes(32)).decode()


def _told(environment: dict[str, str]) -> str:
    with pytest.raises(SettingsFault) as fault:
        GatewaySettings.read(environment)
    return str(fault.value)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"PAO_TOKEN_KEY": "short"}, "PAO_TOKEN_KEY needs at least 32 characters"),
        ({"PAO_TOKEN_KEY": "x" * 40}, "PAO_TOKEN_KEY must be random; the given one repeats itself"),
        ({"PAO_SECRETS_KEY": ZEROS}, "PAO_SECRETS_KEY is not random; make one with: openssl rand -base64 32"),
        ({"PAO_SECRETS_KEYS_OLD": ZEROS}, "PAO_SECRETS_KEYS_OLD needs PAO_SECRETS_KEY beside it"),
        ({"PAO_OUTBOUND_ALLOW": "10.0.0.1/8"}, "PAO_OUTBOUND_ALLOW: 10.0.0.1/8 has host bits set"),
        ({"PAO_TRUSTED_PROXIES": "10.0.0.1/8"}, "PAO_TRUSTED_PROXIES: 10.0.0.1/8 has host bits set"),
        ({"PAO_CORS_ORIGINS": "*"}, "PAO_CORS_ORIGINS: * is no origin; write it as https://console.example.com"),
        (
            {"PAO_CORS_ORIGINS": "https://a.example, https://b.example/"},
            "PAO_CORS_ORIGINS: https://b.example/ is no origin; write it as https://console.example.com",
        ),
        ({"PAO_REQUESTS_PER_MINUTE": "0"}, "PAO_REQUESTS_PER_MINUTE: Expected `int` >= 1"),
        ({"PAO_HTTP_PORT": "80800"}, "PAO_HTTP_PORT: Expected `int` <= 65535"),
        ({"PAO_HTTP_PORT": "0"}, "PAO_HTTP_PORT: Expected `int` >= 1"),
        ({"PAO_DATABASE_POOL_SIZE": "many"}, "PAO_DATABASE_POOL_SIZE: Expected `int`, got `str`"),
    ],
)
def test_a_wrong_setting_is_told_by_the_name_of_its_variable(changes: dict[str, str], told: str) -> None:
    assert _told({**GIVEN, **changes}) == told


@pytest.mark.parametrize("name", GIVEN)
def test_a_missing_setting_is_told(name: str) -> None:
    assert _told({key: value for key, value in GIVEN.items() if key != name}) == f"{name} is not set"


def test_the_key_can_be_read_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text(GIVEN["PAO_TOKEN_KEY"] + "\n")
    environment = {key: value for key, value in GIVEN.items() if key != "PAO_TOKEN_KEY"}
    settings = GatewaySettings.read({**environment, "PAO_TOKEN_KEY_FILE": str(file)})
    assert settings.token_key == GIVEN["PAO_TOKEN_KEY"]
