"""What the gateway reads from the environment."""

from typing import Annotated

import msgspec

from services.gateway.http.client_address import Networks, parse_networks
from services.gateway.http.cors import parse_origins
from shared.runtime.settings import DatabaseSettings, ServiceSettings, SettingsFault, check_token_key, parse_policy
from shared.secrets.settings import parse_ring

Port = Annotated[int, msgspec.Meta(ge=1, le=65535)]
Count = Annotated[int, msgspec.Meta(ge=1, le=1_000_000_000)]
Seconds = Annotated[float, msgspec.Meta(gt=0)]
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
    `secrets_keys_old`: comma-separated keys from before, to read by.
    `requests_per_minute`, `task_creations_per_hour`: of each agent without limits of its own.
    `auth_failures_per_client`, `auth_failures_in_all`: in five minutes, before a wrong token is answered with 429.
    `trusted_proxies`: comma-separated CIDRs whose X-Forwarded-For counts. `cors_origins`: comma-separated origins whose
    pages may call."""

    token_key: str
    http_host: str = "127.0.0.1"
    http_port: Port = 8080
    outbound_allow: str = ""
    database_replica_url: str | None = None
    secrets_key: str | None = None
    secrets_keys_old: str = ""
    database_pool_size: PoolSize = 10
    database_pool_overflow: PoolSize = 5
    ready_work_seconds: Seconds = 300.0
    requests_per_minute: Count = 6000
    task_creations_per_hour: Count = 100
    auth_failures_per_client: Count = 10
    auth_failures_in_all: Count = 1000
    trusted_proxies: str = ""
    cors_origins: str = ""

    def __post_init__(self) -> None:
        check_token_key(self.token_key)
        parse_policy(self.outbound_allow)
        parse_proxies(self.trusted_proxies)
        parse_cors(self.cors_origins)
        parse_ring(self.secrets_key, self.secrets_keys_old)


def parse_proxies(trusted_proxies: str) -> Networks:
    try:
        return parse_networks(trusted_proxies)
    except ValueError as fault:
        raise SettingsFault(f"PAO_TRUSTED_PROXIES: {fault}") from fault


def parse_cors(cors_origins: str) -> tuple[str, ...]:
    try:
        return parse_origins(cors_origins)
    except ValueError as fault:
        raise SettingsFault(f"PAO_CORS_ORIGINS: {fault}") from fault
