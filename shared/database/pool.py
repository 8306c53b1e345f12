"""Connections to Postgres with the limits that every one of them keeps."""

from collections.abc import Mapping
from types import MappingProxyType

import asyncpg
import asyncpg.pool
import msgspec

# What a pool lends is a proxy with the same methods.
Connection = asyncpg.Connection | asyncpg.pool.PoolConnectionProxy

COMMAND_TIMEOUT_SECONDS = 10
CONNECT_TIMEOUT_SECONDS = 5

# Keepalives and the user timeout find a peer that went away without a word within about 10 s.
LIMITS: Mapping[str, str] = MappingProxyType(
    {
        "timezone": "UTC",
        "statement_timeout": "5s",
        "lock_timeout": "2s",
        "idle_in_transaction_session_timeout": "10s",
        "tcp_keepalives_idle": "5",
        "tcp_keepalives_interval": "2",
        "tcp_keepalives_count": "3",
        "tcp_user_timeout": "10s",
        "jit": "off",
    }
)
# A plan cached while the queue was small would keep its sequential scan: 2 ms became 8 ms over 40,000 rows.
QUEUE_LIMITS: Mapping[str, str] = MappingProxyType({**LIMITS, "enable_seqscan": "off"})


async def open_pool(
    url: str,
    *,
    application_name: str,
    size: int,
    limits: Mapping[str, str] = QUEUE_LIMITS,
) -> asyncpg.Pool:
    """A pool of up to `size` connections, opened as they are needed; jsonb passes as Python values."""
    return await asyncpg.create_pool(
        url,
        min_size=0,
        max_size=size,
        init=use_json_codec,
        reset=leave_as_it_is,
        timeout=CONNECT_TIMEOUT_SECONDS,
        command_timeout=COMMAND_TIMEOUT_SECONDS,
        max_inactive_connection_lifetime=300,
        server_settings={**limits, "application_name": application_name},
    )


async def use_json_codec(connection: asyncpg.Connection) -> None:
    await connection.set_type_codec(
        "jsonb", schema="pg_catalog", encoder=_encode_jsonb, decoder=_decode_jsonb, format="binary"
    )


async def leave_as_it_is(_connection: asyncpg.Connection) -> None:
    """Nothing here changes a session, and to reset one after each use costs a second round trip. What a transaction
    left open, the pool rolls back all the same."""


def as_element(value: object) -> object:
    """A JSON value as an element of a `jsonb[]`: a list would be taken for a further dimension of the array."""
    return msgspec.Raw(msgspec.json.encode(value)) if isinstance(value, list | tuple) else value


# The binary form of jsonb is a version byte before the text.
def _encode_jsonb(value: object) -> bytes:
    return b"\x01" + msgspec.json.encode(value)


def _decode_jsonb(data: bytes) -> object:
    return msgspec.json.decode(data[1:])
