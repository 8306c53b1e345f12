"""The key ring of a service's settings."""

from shared.runtime.settings import ENVIRONMENT_PREFIX, DatabaseSettings, SettingsFault
from shared.secrets.keys import KeyFault, parse_key
from shared.secrets.ring import KeyRing


class ReencryptSettings(DatabaseSettings, frozen=True, kw_only=True):
    """`secrets_key` is the one to seal under, `secrets_keys_old` those of the rows that there are."""

    secrets_key: str
    secrets_keys_old: str = ""


def parse_ring(secrets_key: str | None, secrets_keys_old: str) -> KeyRing | None:
    """None when no key is given: the service then works without secrets. Raises SettingsFault."""
    if secrets_key is not None:
        return ring_of(secrets_key, secrets_keys_old)
    if secrets_keys_old.strip():
        raise SettingsFault(f"{ENVIRONMENT_PREFIX}SECRETS_KEYS_OLD needs {ENVIRONMENT_PREFIX}SECRETS_KEY beside it")
    return None


def ring_of(secrets_key: str, secrets_keys_old: str) -> KeyRing:
    """Raises SettingsFault."""
    older = [_parsed("SECRETS_KEYS_OLD", text) for text in secrets_keys_old.split(",") if text.strip()]
    return KeyRing(_parsed("SECRETS_KEY", secrets_key), older)


def _parsed(name: str, text: str) -> bytes:
    try:
        return parse_key(text)
    except KeyFault as fault:
        raise SettingsFault(f"{ENVIRONMENT_PREFIX}{name} {fault}") from fault
