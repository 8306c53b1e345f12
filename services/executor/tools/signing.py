"""Signs a request as Standard Webhooks 1.0 says, so that its receiver knows from whom it is, and that it is fresh."""

from collections.abc import Sequence
from datetime import datetime

from standardwebhooks import Webhook

from shared.outbound.webhook_secret import parse_webhook_secret


def signature_headers(secrets: Sequence[str], message_id: str, now: datetime, body: bytes) -> dict[str, str]:
    """One signature for each secret: while secrets are being rotated, the receiver may know either. `message_id` is the
    same for every attempt and holds no full stop, which separates the parts of what is signed; `now` is in UTC."""
    text = body.decode()
    signatures = [Webhook(parse_webhook_secret(secret)).sign(message_id, now, text) for secret in secrets]
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": " ".join(signatures),
    }
