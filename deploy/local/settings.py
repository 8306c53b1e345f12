"""What `make run` reads from the environment, and what it hands to the services."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from deploy.local.faults import CannotStart

DEFAULT_HOST = "127.0.0.1"
DEFAULT_PORT = "8080"
DEFAULT_DATA_DIR = ".local"
DEFAULT_DEMO_SECONDS = "60"
# A local trial calls receivers on this machine; elsewhere private ranges stay closed.
LOOPBACK = "127.0.0.0/8,::1/128"
SECRETS_KEYS = "PAO_SECRETS_KEY"
KEEPERS_OF_SECRETS = ("gateway", "executor")
WITHHELD = ("PG", SECRETS_KEYS)


@dataclass(frozen=True, slots=True)
class Settings:
    """`database_url` and `redis_url` are None when the embedded servers are wanted."""

    data_dir: Path
    http_host: str
    http_port: int
    database_url: str | None
    redis_url: str | None
    demo_seconds: float
    inherited: Mapping[str, str]

    @property
    def log_dir(self) -> Path:
        return self.data_dir / "log"

    @property
    def run_dir(self) -> Path:
        return self.data_dir / "run"

    @property
    def admin_token_file(self) -> Path:
        return self.data_dir / "admin-token"

    @property
    def token_key_file(self) -> Path:
        return self.data_dir / "token-key"

    @property
    def secrets_key_file(self) -> Path:
        return self.data_dir / "secrets-key"

    @property
    def local_host(self) -> str:
        """Where a client on this machine finds the gateway, which may listen everywhere."""
        everywhere = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - compared, not bound
        return everywhere.get(self.http_host, self.http_host)

    @property
    def url(self) -> str:
        host = self.local_host
        return f"http://[{host}]:{self.http_port}" if ":" in host else f"http://{host}:{self.http_port}"

    def for_services(self, database_url: str, redis_url: str) -> dict[str, str]:
        """The environment of a service: ours, without what libpq would add to the URL, with ours on top."""
        inherited = {name: value for name, value in self.inherited.items() if not name.startswith(WITHHELD)}
        own = {
            "PAO_DATA_DIR": str(self.data_dir),
            "PAO_HTTP_HOST": self.http_host,
            "PAO_HTTP_PORT": str(self.http_port),
            "PAO_DATABASE_URL": database_url,
            "PAO_REDIS_URL": redis_url,
            "PAO_ADMIN_TOKEN_FILE": str(self.admin_token_file),
            "PAO_TOKEN_KEY_FILE": str(self.token_key_file),
        }
        return {"PAO_OUTBOUND_ALLOW": LOOPBACK, "PAO_PUBLIC_URL": self.url} | inherited | own

    def keys_for(self, service: str) -> dict[str, str]:
        """What only those get that seal and open secrets. A key that was given to us is used instead of ours."""
        if service not in KEEPERS_OF_SECRETS:
            return {}
        given = {name: value for name, value in self.inherited.items() if name.startswith(SECRETS_KEYS)}
        return {"PAO_SECRETS_KEY_FILE": str(self.secrets_key_file)} | given


def read_settings(environment: Mapping[str, str] = os.environ) -> Settings:
    """An empty variable counts as one that is not given. CannotStart names the variable that is wrong."""
    given = {name: value for name, value in environment.items() if value}
    return Settings(
        data_dir=Path(given.get("PAO_DATA_DIR", DEFAULT_DATA_DIR)).absolute(),
        http_host=given.get("PAO_HTTP_HOST", DEFAULT_HOST),
        http_port=_port("PAO_HTTP_PORT", given.get("PAO_HTTP_PORT", DEFAULT_PORT)),
        database_url=given.get("PAO_DATABASE_URL"),
        redis_url=given.get("PAO_REDIS_URL"),
        demo_seconds=_seconds("PAO_DEMO_SECONDS", given.get("PAO_DEMO_SECONDS", DEFAULT_DEMO_SECONDS)),
        inherited=given,
    )


def _port(name: str, text: str) -> int:
    if not (text.isascii() and text.isdecimal() and 1 <= int(text[:6]) <= 65535):
        raise CannotStart(f"{name} must be a port from 1 to 65535, not {text!r}")
    return int(text)


def _seconds(name: str, text: str) -> float:
    if not (text.isascii() and text.isdecimal()):
        raise CannotStart(f"{name} must be a whole number of seconds, not {text!r}")
    return float(text)
