"""Makes what the world sends fit for a jsonb column."""

MAX_DEPTH = 64


def storable_text(text: str) -> str:
    """Postgres refuses NUL and halves of surrogate pairs; both become visible stand-ins."""
    if not text.isascii():
        text = text.encode("utf-8", "replace").decode("utf-8")
    return text.replace("\0", "\ufffd")


def storable(value: object, depth: int = 0) -> object:
    """The same for parsed JSON; raises ValueError when it is nested too deeply for its later readers."""
    if isinstance(value, str):
        return storable_text(value)
    if isinstance(value, list | dict) and depth == MAX_DEPTH:
        raise ValueError(f"nested deeper than {MAX_DEPTH}")
    if isinstance(value, list):
        return [storable(item, depth + 1) for item in value]
    if isinstance(value, dict):
        return {storable_text(str(key)): storable(item, depth + 1) for key, item in value.items()}
    return value
