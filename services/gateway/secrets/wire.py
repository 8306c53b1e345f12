"""Secrets as they are sent, and what is told of them."""

from datetime import datetime
from typing import Annotated

import msgspec


class SecretPut(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Up to 64 KiB of text. It can be replaced and used, and never read back."""

    value: Annotated[str, msgspec.Meta(min_length=1, description="Write-only.")]

    def __repr__(self) -> str:
        """What a log or a traceback might show."""
        return "SecretPut(…)"


class SecretView(msgspec.Struct, frozen=True, kw_only=True):
    """`version` rises by one with each replacement."""

    name: str
    version: int
    created_at: datetime
    updated_at: datetime
