"""What an MCP tool answered, as the output of a step."""

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from services.executor.tools.cutting import without_last_word
from services.executor.tools.storable import storable, storable_text
from shared.vocabulary.limits import RESPONSE_BODY_BYTES


class McpAnswer(msgspec.Struct, frozen=True):
    """`structured` is any JSON value; `text` the text parts, joined; `content` the other parts, as the protocol has
    them. `truncated`: something was left out."""

    structured: object
    text: str
    content: list[object]
    is_error: bool
    truncated: bool

    def output(self) -> dict[str, object]:
        return msgspec.structs.asdict(self)


def answer_of(result: Mapping[str, Any]) -> McpAnswer:
    """Takes a `CallToolResult` as JSON (MCP 2025-06-18, server/tools). The structured part comes first, then the
    text, then the other parts, as long as there is room."""
    parts = [part for part in result.get("content", ()) if isinstance(part, dict)]
    structured, room, is_whole = _storable(result.get("structuredContent"), RESPONSE_BODY_BYTES)
    text, room, is_text_whole = _capped(_texts(parts), room)
    content, is_content_whole = _others(parts, room)
    is_truncated = not (is_whole and is_text_whole and is_content_whole)
    return McpAnswer(structured, text, content, bool(result.get("isError")), is_truncated)


def _texts(parts: Iterable[Mapping[str, Any]]) -> str:
    return "\n".join(str(part.get("text", "")) for part in parts if part.get("type") == "text")


def _others(parts: Iterable[Mapping[str, Any]], room: int) -> tuple[list[object], bool]:
    """A part that is too large leaves its description behind, so that the reader knows of it."""
    kept: list[object] = []
    all_whole = True
    for part in parts:
        if part.get("type") == "text":
            continue
        whole, rest, is_whole = _storable(part, room)
        if not is_whole:
            all_whole = False
            whole, rest, fits = _storable(_described(part), room)
            if not fits:
                break
        kept.append(whole)
        room = rest
    return kept, all_whole


def _described(part: Mapping[str, Any]) -> dict[str, object]:
    known = {name: part[name] for name in ("type", "name", "uri", "mimeType") if isinstance(part.get(name), str)}
    return {**known, "truncated": True}


def _storable(value: object, room: int) -> tuple[object, int, bool]:
    """The value, or None when it does not fit into `room` bytes or cannot be stored; what room is left; whether it is
    there. msgspec writes NaN and infinity, which are no JSON, as null."""
    if value is None:
        return None, room, True
    try:
        raw = msgspec.json.encode(value)
        return (storable(msgspec.json.decode(raw)), room - len(raw), True) if len(raw) <= room else (None, room, False)
    except (ValueError, OverflowError, RecursionError):
        return None, room, False


def _capped(text: str, room: int) -> tuple[str, int, bool]:
    clean = storable_text(text)
    raw = clean.encode()
    if len(raw) <= room:
        return clean, room - len(raw), True
    return without_last_word(raw[:room].decode(errors="ignore")), 0, False
