"""PURE: the token with which the target of a step speaks for this step and nothing else, `paor_<run>_<step>_<mac>`.

It is made anew where it is needed, the same for every attempt, and stored nowhere. It is worth nothing once the run has
its outcome."""

import hashlib
import hmac
import re
from uuid import UUID

import msgspec

PREFIX = "paor"
LABEL = b"personal agent orchestrator: run token, version 1"

# An item of a `foreach` is the step `notify[3]`, written `notify.3` here: brackets do not belong into a bearer token.
STEP_ID = re.compile(r"(?P<name>[A-Za-z_][A-Za-z0-9_]{0,63})(?:\[(?P<item>[0-9]{1,6})\])?")
TEXT = re.compile(
    rf"{PREFIX}_(?P<run>[0-9a-f]{{32}})_(?P<name>[A-Za-z_][A-Za-z0-9_]{{0,63}})(?:\.(?P<item>[0-9]{{1,6}}))?"
    r"_(?P<mac>[0-9a-f]{64})"
)


class RunToken(msgspec.Struct, frozen=True):
    """For whom the bearer speaks."""

    run_id: UUID
    step_id: str


def make_run_token(key: bytes, run_id: UUID, step_id: str) -> str:
    """`key` is that of the tokens of agents. ValueError for what is no id of a step."""
    step = STEP_ID.fullmatch(step_id)
    if step is None:
        raise ValueError(f"{step_id[:100]!r} is not the id of a step")
    shown = step["name"] if step["item"] is None else f"{step['name']}.{step['item']}"
    return f"{PREFIX}_{run_id.hex}_{shown}_{_mac(key, run_id, step_id)}"


def read_run_token(key: bytes, text: str) -> RunToken | None:
    """None for what was not made under this key."""
    parts = TEXT.fullmatch(text)
    if parts is None:
        return None
    step_id = parts["name"] if parts["item"] is None else f"{parts['name']}[{parts['item']}]"
    token = RunToken(UUID(parts["run"]), step_id)
    return token if hmac.compare_digest(_mac(key, token.run_id, step_id), parts["mac"]) else None


def _mac(key: bytes, run_id: UUID, step_id: str) -> str:
    """Under a key of its own, so that no other use of the same secret can give out what passes here."""
    own_key = hmac.digest(key, LABEL, hashlib.sha256)
    return hmac.digest(own_key, f"{run_id.hex} {step_id}".encode(), hashlib.sha256).hex()
