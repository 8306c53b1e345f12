"""What the gateway reads from the environment."""

from typing import Annotated

import msgspec

from shared.runtime.settings import DatabaseSettings, ServiceSettings, SettingsFault, parse_policy

TOKEN_KEY_CHARACTERS_MIN = 32
TOKEN_KEY_DISTINCT_MIN = 8

Port = Annotated[int, msgspec.Meta(ge=1, le=65535)]
PoolSize = Annotated[int, msgspec.Meta(ge=1, le=200)]


class BootstrapSettings(DatabaseSettings, frozen=True, kw_only=True):
    """`token_key`: the secret under which tokens are hashed. `admin_token_file`: where the first admin token goes."""

    token_key: str
    admin_token_file: str

    def __post_init__(self) -> None:
        check_token_key(self.token_key)


class GatewaySettings(ServiceSettings, frozen=True, kw_only=True):
    """`token_key`: as above. `outbound_allow`: comma-separated CIDRs of private ranges that tasks may call."""

    token_key: str
    http_host: str = "127.0.0.1"
    http_port: Port = 8080
    outbound_allow: str = ""
    database_pool_size: PoolSize = 10
    database_pool_overflow: PoolSize = 5

    def __post_init__(self) -> None:
        check_token_key(self.token_key)
        parse_policy(self.outbound_allow)


def check_token_key(key: str) -> None:
    """Kept outside the database, so that a copy of the database alone gives no way to try secrets."""
    if len(key) < TOKEN_KEY_CHARACTERS_MIN:
        raise SettingsFault(f"PAO_TOKEN_KEY needs at least {TOKEN_KEY_CHARACTERS_MIN} characters")
    if len(set(key)) < TOKEN_KEY_DISTINCT_MIN:
        raise SettingsFault("PAO_TOKEN_KEY must be random; the given one repeats itself")
