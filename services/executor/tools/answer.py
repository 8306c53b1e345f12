"""Reads an HTTP answer, whatever its size and encoding, into something that can be kept."""

import codecs

import aiohttp
import msgspec

from services.executor.tools.cutting import cut, without_last_word
from services.executor.tools.storable import storable, storable_text
from shared.vocabulary.limits import RESPONSE_BODY_BYTES

MAX_HEADER_LENGTH = 4096

# A closed list: Python has codecs that are not for text and some that take quadratic time (idna, punycode).
CHARSETS = frozenset(
    {
        *("utf-8", "utf8", "utf-16", "utf-16le", "utf-16be", "us-ascii", "ascii", "latin1"),
        *(f"iso-8859-{part}" for part in (*range(1, 12), *range(13, 17))),
        *(f"windows-{page}" for page in range(1250, 1259)),
        *(
            "shift_jis",
            "euc-jp",
            "iso-2022-jp",
            "gb2312",
            "gbk",
            "gb18030",
            "big5",
            "euc-kr",
            "koi8-r",
            "koi8-u",
        ),
    }
)


class Answer(msgspec.Struct, frozen=True):
    """`headers` has names in lower case and repeated ones joined; `body` is text; `json` is there when the
    answer says that it is JSON and is so."""

    status: int
    headers: dict[str, str]
    body: str
    truncated: bool
    json: object = msgspec.UNSET

    def output(self) -> dict[str, object]:
        known: dict[str, object] = {
            "status": self.status,
            "headers": self.headers,
            "body": self.body,
            "truncated": self.truncated,
        }
        return known if self.json is msgspec.UNSET else {**known, "json": self.json}


async def read_answer(response: aiohttp.ClientResponse) -> Answer:
    raw, is_whole = await _read_capped(response)
    text = _text(raw, response.charset, is_whole=is_whole)
    body = _capped(text if is_whole else without_last_word(text))
    parsed = _parsed(raw) if is_whole and _is_json(response.content_type) else msgspec.UNSET
    return Answer(response.status, _headers(response), body, not is_whole or body != text, parsed)


async def _read_capped(response: aiohttp.ClientResponse) -> tuple[bytes, bool]:
    """Counts decoded bytes. Leaving the request with an answer unread closes its connection."""
    raw = bytearray()
    while chunk := await response.content.readany():
        raw += chunk
        if len(raw) > RESPONSE_BODY_BYTES:
            return bytes(raw[:RESPONSE_BODY_BYTES]), False
    return bytes(raw), True


def _text(raw: bytes, charset: str | None, *, is_whole: bool) -> str:
    known = (charset or "").lower()
    try:
        text = _decoded(raw, known if known in CHARSETS else "utf-8", is_whole=is_whole)
    except UnicodeError:  # UTF-16 without its mark, which "replace" does not forgive
        text = _decoded(raw, "utf-8", is_whole=is_whole)
    return storable_text(text)


def _decoded(raw: bytes, charset: str, *, is_whole: bool) -> str:
    """A character that the cap cut in two is left out."""
    return codecs.getincrementaldecoder(charset)(errors="replace").decode(raw, final=is_whole)


def _capped(text: str) -> str:
    """One byte of a narrow charset can become three in UTF-8, which is what is stored."""
    if text.isascii():
        return text
    raw = text.encode()
    if len(raw) <= RESPONSE_BODY_BYTES:
        return text
    return without_last_word(raw[:RESPONSE_BODY_BYTES].decode(errors="ignore"))


def _headers(response: aiohttp.ClientResponse) -> dict[str, str]:
    joined: dict[str, str] = {}
    for name, value in response.headers.items():
        key = storable_text(name.lower())
        joined[key] = f"{joined[key]}, {value}" if key in joined else value
    return {name: storable_text(cut(value, MAX_HEADER_LENGTH)) for name, value in joined.items()}


def _is_json(content_type: str) -> bool:
    return content_type == "application/json" or content_type.endswith("+json")


def _parsed(raw: bytes) -> object:
    try:
        return storable(msgspec.json.decode(raw))
    except (ValueError, RecursionError):  # it is not JSON after all: the text tells the reader
        return msgspec.UNSET
