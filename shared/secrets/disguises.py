"""PURE: a text as those see it who take its escapes for what they stand for, and the way back to the text itself."""

import html
import re
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Mapping
from types import MappingProxyType
from urllib.parse import unquote

Meaning = Callable[[re.Match[str]], str]

# What a backslash and a letter stand for, in JSON and in Python's repr; any other character stands for itself.
LETTERS: Mapping[str, str] = MappingProxyType({"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f"})
BACKSLASHED = re.compile(
    r"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|x[0-9a-fA-F]{2}|.)", re.DOTALL
)
# One byte, or the bytes of one character beyond ASCII.
PERCENT = re.compile(r"%[c-fC-F][0-9a-fA-F](?:%[89abAB][0-9a-fA-F]){1,3}|%[0-9a-fA-F]{2}")
ENTITY = re.compile(r"&(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z]{2,8});")


class View:
    """The text as it is."""

    def __init__(self, text: str) -> None:
        self.text = text

    def original(self, start: int, end: int) -> tuple[int, int]:
        """Where a span of `text`, which is not empty, comes from."""
        return start, end


class Unescaped(View):
    """`text` with each escape replaced. An escape that a span touches belongs to it as a whole."""

    def __init__(self, beneath: View, escape: re.Pattern[str], meaning: Meaning) -> None:
        super().__init__(escape.sub(meaning, beneath.text))
        self._beneath = beneath
        self._escape = escape
        self._meaning = meaning
        self._known: tuple[list[int], list[int]] | None = None

    def original(self, start: int, end: int) -> tuple[int, int]:
        """Between two borders of escapes lies either one escape or what is the same in both texts."""
        here, there = self._borders()
        left, right = bisect_right(here, start) - 1, bisect_left(here, end)
        is_left_escape, is_right_escape = left % 2 == 1, right % 2 == 0
        began = there[left] if is_left_escape else there[left] + start - here[left]
        ended = there[right] if is_right_escape else there[right] + end - here[right]
        return self._beneath.original(began, ended)

    def _borders(self) -> tuple[list[int], list[int]]:
        """Start and end of each escape, here and there, from 0 to the end. Only a finding needs them."""
        if self._known is None:
            here, there = [0], [0]
            for found in self._escape.finditer(self._beneath.text):
                start = here[-1] + found.start() - there[-1]
                here += (start, start + len(self._meaning(found)))
                there += found.span()
            self._known = ([*here, len(self.text)], [*there, len(self._beneath.text)])
        return self._known


def views(text: str) -> list[View]:
    """Those in which something differs."""
    plain = View(text)
    seen = [plain]
    if "%" in text:
        seen.append(Unescaped(plain, PERCENT, _of_percent))
    if "&" in text:
        seen.append(Unescaped(plain, ENTITY, _of_entity))
    if "\\" in text:
        once = Unescaped(plain, BACKSLASHED, _of_backslash)
        seen.append(once)
        if "\\" in once.text:
            seen.append(Unescaped(once, BACKSLASHED, _of_backslash))
    return seen


def _of_percent(found: re.Match[str]) -> str:
    escape = found[0]
    return chr(int(escape[1:], 16)) if len(escape) == 3 else unquote(escape)


def _of_entity(found: re.Match[str]) -> str:
    return html.unescape(found[0])


def _of_backslash(found: re.Match[str]) -> str:
    escape = found[0]
    if len(escape) == 2:
        return LETTERS.get(escape[1], escape[1])
    if len(escape) == 12:
        return escape.encode().decode("unicode_escape").encode("utf-16", "surrogatepass").decode("utf-16")
    return chr(int(escape.lstrip("\\ux"), 16))
