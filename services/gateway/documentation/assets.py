"""Files of the page: our own, and those of Swagger UI from the package that ships them. No network, no templates."""

import hashlib
import importlib.util
from functools import cache
from pathlib import Path

import msgspec

PAGE = Path(__file__).parent / "page"
# Looked for, not imported: its own code serves pages of other frameworks.
PACKAGE = "swagger_ui"
HTML, SCRIPT, STYLE = "text/html", "text/javascript", "text/css"
OWN = {"start.js": SCRIPT}
SHIPPED = {"swagger-ui-bundle.js": SCRIPT, "swagger-ui.css": STYLE}


class Asset(msgspec.Struct, frozen=True):
    media_type: str
    content: bytes
    etag: str


def asset(name: str) -> Asset | None:
    """None for a name that none of the files has."""
    if name in OWN:
        return _asset(PAGE / name, OWN[name])
    if name in SHIPPED:
        return _asset(_shipped() / name, SHIPPED[name])
    return None


@cache
def _asset(path: Path, media_type: str) -> Asset:
    content = path.read_bytes()
    return Asset(media_type, content, f'"{hashlib.sha256(content).hexdigest()[:32]}"')


def _shipped() -> Path:
    found = importlib.util.find_spec(PACKAGE)
    if found is None or not found.submodule_search_locations:
        raise ModuleNotFoundError(f"The package that ships {PACKAGE} is not installed.")
    return Path(found.submodule_search_locations[0]) / "static"
