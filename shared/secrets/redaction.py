"""Takes the values of secrets out of what others can read: outputs, errors, log lines.

Found are a value itself, its hexadecimal form, and its base64 in both alphabets, also in the midst of a longer base64
(`Basic` credentials hold `user:secret`); each of them plain, percent-encoded, escaped as in JSON (up to twice, for JSON
inside JSON) or as in HTML. Not found: what was hashed, compressed, cut into pieces, or encoded in yet another way."""

import base64
import re
from collections.abc import Iterable, Iterator
from typing import Any, ClassVar

from shared.secrets.disguises import View, views
from shared.telemetry.redaction import bind_redaction

MARK = "[secret]"
# Of a shorter value everything would be riddled, and nothing guarded that a guess would not find.
SEARCHED_CHARACTERS_MIN = 4
NUMBER = re.compile(r"[-+0-9.eE]+")
# Between texts that are searched as one: no escape and no value spans it.
SEAM = "\0"
URL_SAFE = str.maketrans("+/", "-_")

Span = tuple[int, int]


class Redactor:
    """Made for the secrets of one run. Values shorter than 4 characters are only taken where a text is nothing else."""

    NOTHING: ClassVar["Redactor"]

    def __init__(self, values: Iterable[str]) -> None:
        given = {form for value in values for form in (value, value.strip()) if form}
        long = {value for value in given if len(value) >= SEARCHED_CHARACTERS_MIN}
        self._short = given - long
        self._needles = {needle for value in long for needle in _needles(value)}
        self._may_be_number = any(NUMBER.fullmatch(value) for value in long)

    def text(self, text: str) -> str:
        if text in self._short:
            return MARK
        spans = sorted(self._spans(text)) if self._needles else []
        return _replaced(text, spans) if spans else text

    def value(self, value: Any) -> Any:  # noqa: ANN401 (whatever JSON can hold)
        """Plain JSON with every text, key and number redacted. One that holds no secret is given back as it is."""
        if not self._short and not self._needles:
            return value
        texts = [*self._texts(value)]
        is_clean = self._short.isdisjoint(texts) and next(self._spans(SEAM.join(texts)), None) is None
        return value if is_clean else self._redacted(value)

    def _texts(self, value: object) -> Iterator[str]:
        waiting = [value]
        while waiting:
            each = waiting.pop()
            if isinstance(each, str):
                yield each
            elif isinstance(each, dict):
                waiting += each
                waiting += each.values()
            elif isinstance(each, list | tuple):
                waiting += each
            elif self._is_searched_number(each):
                yield repr(each)

    def _redacted(self, value: Any) -> Any:  # noqa: ANN401
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict):
            return {self._redacted(key): self._redacted(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [self._redacted(item) for item in value]
        if self._is_searched_number(value) and next(self._spans(repr(value)), None):
            return MARK
        return value

    def _is_searched_number(self, value: object) -> bool:
        return self._may_be_number and isinstance(value, int | float) and not isinstance(value, bool)

    def _spans(self, text: str) -> Iterator[Span]:
        """Where something is found, in no order."""
        for view in views(text):
            yield from self._spans_in(view)

    def _spans_in(self, view: View) -> Iterator[Span]:
        text = view.text
        for needle in self._needles:
            at = text.find(needle)
            while at >= 0:
                end = at + len(needle)
                yield view.original(at, end)
                at = text.find(needle, end)


Redactor.NOTHING = Redactor(())


def bind_redactor(redactor: Redactor) -> None:
    """Every log line of this asyncio task, and of those that it begins, is redacted from here on."""
    bind_redaction(None if redactor is Redactor.NOTHING else redactor.value)


def _needles(value: str) -> Iterator[str]:
    encoded = value.encode("utf-8", "replace")
    yield value
    # As forms write spaces; the rest is percent-encoded.
    yield value.replace(" ", "+")
    yield encoded.hex()
    yield encoded.hex().upper()
    for before in range(3):
        # Behind `before` other bytes: only characters whose six bits all come from the value.
        first, last = -(-8 * before // 6), 8 * (before + len(encoded)) // 6
        inner = base64.b64encode(bytes(before) + encoded).decode()[first:last]
        yield inner
        yield inner.translate(URL_SAFE)


def _replaced(text: str, spans: list[Span]) -> str:
    """Spans that overlap are one; they come in the order of their starts."""
    parts, kept_to, end = [], 0, -1
    for start, stop in spans:
        if start > end:
            if end >= 0:
                kept_to = end
            parts += [text[kept_to:start], MARK]
        end = max(end, stop)
    return "".join([*parts, text[end:]])
