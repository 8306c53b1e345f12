"""PURE: names of secrets, as expressions write them: `secrets.<name>`."""

import re

from shared.vocabulary.limits import SECRET_NAME_CHARACTERS

NAME = re.compile(rf"[A-Za-z_][A-Za-z0-9_]{{0,{SECRET_NAME_CHARACTERS - 1}}}")


def is_secret_name(name: str) -> bool:
    """Names between double underscores mean something of their own to too many readers: `__proto__`, `__class__`."""
    is_special = name.startswith("__") and name.endswith("__")
    return NAME.fullmatch(name) is not None and not is_special
