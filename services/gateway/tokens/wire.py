"""Tokens as they are asked for and answered: a secret once, and never again."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Literal, TypeAlias

import msgspec

from shared.tasks.fields import Moment
from shared.vocabulary.limits import (
    TOKEN_DAYS,
    TOKEN_DAYS_DEFAULT,
    TOKEN_LABEL_CHARACTERS,
    TOKEN_OVERLAP_SECONDS,
    TOKEN_OVERLAP_SECONDS_DEFAULT,
)

Label: TypeAlias = Annotated[str, msgspec.Meta(max_length=TOKEN_LABEL_CHARACTERS)]
Days: TypeAlias = Annotated[int, msgspec.Meta(ge=1, le=TOKEN_DAYS)]
Overlap: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=TOKEN_OVERLAP_SECONDS)]
TokenSort: TypeAlias = Literal["created_at", "-created_at"]


class TokenStatus(StrEnum):
    ACTIVE = "active"
    EXPIRED = "expired"
    REVOKED = "revoked"


class TokenCreate(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """It lasts 90 days, unless `expires_in_days` or `expires_at` says otherwise: 365 days at most."""

    label: Label = ""
    expires_in_days: Days | None = None
    expires_at: Moment | None = None


class TokenRotate(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`overlap_seconds`: how long the old token works beside the new one, unless it ends earlier by itself."""

    overlap_seconds: Overlap = TOKEN_OVERLAP_SECONDS_DEFAULT
    expires_in_days: Days = TOKEN_DAYS_DEFAULT


class TokenView(msgspec.Struct, frozen=True, kw_only=True):
    """`key_id` is the token's public part, behind `pao_`. `last_used_at` is written once in ten minutes at most."""

    key_id: str
    label: str
    status: TokenStatus
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None


class TokenCreated(TokenView, frozen=True, kw_only=True):
    """`token` is shown this once; it is null when the answer is repeated for the same Idempotency-Key."""

    token: str | None


class TokenRotated(TokenCreated, frozen=True, kw_only=True):
    """`replaces`: the old token, which works until its `expires_at`."""

    replaces: TokenView
