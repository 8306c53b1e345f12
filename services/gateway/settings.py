"""What the gateway reads from the environment."""

from typing import Annotated

import msgspec

from shared.runtime.settings import DatabaseSettings, ServiceSettings, check_token_key, parse_policy
from shared.secrets.settings import parse_ring

Port = Annotated[int, msgspec.Meta(ge=1, le=65535)]
PoolSize = Annotated[int, msgspec.Meta(ge=1, le=200)]


class BootstrapSettings(DatabaseSettings, frozen=True, kw_only=True):
    """`token_key`: the secret under which tokens are hashed. `admin_token_file`: where the first admin token goes."""

    token_key: str
    admin_token_file: str

    def __post_init__(self) -> None:
        check_token_key(self.token_key)


class GatewaySettings(ServiceSettings, frozen=True, kw_only=True):
    """`token_key`: as above. `database_replica_url`: where lists and statistics are read.
    `outbound_allow`: comma-separated CIDRs of private ranges that tasks may call.
    `secrets_key`: base64 of 32 random bytes, under which secrets are sealed; without it none can be set.
    `secrets_keys_old`: comma-separated keys from before, to read by."""

    token_key: str
    http_host: str = "127.0.0.1"
    http_port: Port = 8080
    outbound_allow: str = ""
    database_replica_url: str | None = None
    secrets_key: str | None = None
    secrets_keys_old: str = ""
    database_pool_size: PoolSize = 10
    database_pool_overflow: PoolSize = 5

    def __post_init__(self) -> None:
        check_token_key(self.token_key)
        parse_policy(self.outbound_allow)
        parse_ring(self.secrets_key, self.secrets_keys_old)
