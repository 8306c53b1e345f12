"""The only place that reads the environment. Each service declares what it needs as a struct; wrong values end the
process with one clear line."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, Self

import msgspec

from shared.outbound.addresses import AddressPolicy

ENVIRONMENT_PREFIX = "PAO_"
TOKEN_KEY_CHARACTERS_MIN = 32
TOKEN_KEY_DISTINCT_MIN = 8


class SettingsFault(Exception):
    """A setting is missing or has a value that cannot be used."""


def read_environment() -> Mapping[str, str]:
    return os.environ


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """`lease_seconds` is read from `PAO_LEASE_SECONDS`, or from the file that `PAO_LEASE_SECONDS_FILE` names."""

    @classmethod
    def read(cls, environment: Mapping[str, str]) -> Self:
        given = {field.name: _value_of(field.name, environment) for field in msgspec.structs.fields(cls)}
        named = {name: value for name, value in given.items() if value is not None}
        try:
            return msgspec.convert(named, cls, strict=False)
        except msgspec.ValidationError as fault:
            raise SettingsFault(_explain(str(fault))) from fault


class DatabaseSettings(Settings, frozen=True, kw_only=True):
    """`database_url` in the form of libpq: `postgresql://user:password@host:port/name` or with `?host=/socket/dir`."""

    database_url: str


class StoreSettings(DatabaseSettings, frozen=True, kw_only=True):
    """`redis_url`: `redis://`, `rediss://` or `unix:///path?db=0`."""

    redis_url: str


class ServiceSettings(StoreSettings, frozen=True, kw_only=True):
    """What all three services read. `otlp_endpoint` is the base URL of a collector that speaks OTLP over HTTP."""

    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    otlp_endpoint: str | None = None
    instance: str | None = None


def _value_of(field: str, environment: Mapping[str, str]) -> str | None:
    name = ENVIRONMENT_PREFIX + field.upper()
    if name in environment:
        return environment[name]
    path = environment.get(f"{name}_FILE")
    if path is None:
        return None
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except OSError as fault:
        raise SettingsFault(f"{name}_FILE names {path}, which cannot be read: {fault.strerror}") from fault


def _explain(message: str) -> str:
    """Turn msgspec's sentence about a field into one about the variable that the operator set."""
    before, _, path = message.rpartition(" - at ")
    if path.startswith("`$."):
        return f"{ENVIRONMENT_PREFIX}{path.strip('`')[2:].upper()}: {before}"
    match message.split("`"):
        case [_, field, *_] if "missing required field" in message:
            return f"{ENVIRONMENT_PREFIX}{field.upper()} is not set"
        case _:
            return message


def parse_policy(outbound_allow: str) -> AddressPolicy:
    """The setting `outbound_allow` as the policy that gateway and executor share."""
    try:
        return AddressPolicy.parse(outbound_allow)
    except ValueError as fault:
        raise SettingsFault(f"{ENVIRONMENT_PREFIX}OUTBOUND_ALLOW: {fault}") from fault


def check_token_key(key: str) -> None:
    """Kept outside the database, so that a copy of the database alone gives no way to try secrets."""
    if len(key) < TOKEN_KEY_CHARACTERS_MIN:
        raise SettingsFault(f"PAO_TOKEN_KEY needs at least {TOKEN_KEY_CHARACTERS_MIN} characters")
    if len(set(key)) < TOKEN_KEY_DISTINCT_MIN:
        raise SettingsFault("PAO_TOKEN_KEY must be random; the given one repeats itself")
