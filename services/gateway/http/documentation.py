"""What the document says of each route beyond its types: which errors it can give."""

from typing import Any

OPTION = "error_codes"


def fails(*error_codes: str) -> dict[str, Any]:
    """Of a route: the codes that are its own, beside those that follow from its scope, parameters and body."""
    return {OPTION: error_codes}
