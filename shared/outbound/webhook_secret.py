"""The secrets that sign requests, as Standard Webhooks writes them: `whsec_` and base64 of 24 to 64 bytes."""

import base64
import binascii

PREFIX = "whsec_"
SECRET_BYTES_MIN = 24
SECRET_BYTES_MAX = 64
WRONG_SECRET_MESSAGE = f"A signing secret is {PREFIX} and base64 of {SECRET_BYTES_MIN} to {SECRET_BYTES_MAX} bytes."


def parse_webhook_secret(text: str) -> bytes:
    """Padding may be left out. Raises ValueError, which repeats nothing of the text."""
    key = _decoded(text.removeprefix(PREFIX)) if text.startswith(PREFIX) else b""
    if not SECRET_BYTES_MIN <= len(key) <= SECRET_BYTES_MAX:
        raise ValueError(WRONG_SECRET_MESSAGE)
    return key


def _decoded(encoded: str) -> bytes:
    try:
        return base64.b64decode(encoded + "=" * (-len(encoded) % 4), validate=True)
    except (binascii.Error, ValueError):
        return b""
