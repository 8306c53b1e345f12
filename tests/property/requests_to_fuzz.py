"""Requests as bytes: valid ones made from the document, and what can be wrong with them."""

import json
import random
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple, TypeAlias
from urllib.parse import quote
from uuid import UUID

from tests.support.documented import ApiDocument, Operation

Json: TypeAlias = Any
# Of a long list only the first items are changed.
PLACES = 20
# What waits is not asked to wait.
UNCHANGED = frozenset({"wait"})
ODD_TEXTS = (
    *(
        "",
        " ",
        "\x00",
        "a\x00b",
        "\ud800",
        "\udfff\ud800",
        "\u202e",
        "\ufeff",
        "\u200b",
        "é" * 50,
        "x" * 300,
        "x" * 70_000,
    ),
    *(
        "'",
        "'; DROP TABLE task; --",
        '"',
        "%",
        "_",
        "\\",
        "%00",
        "${",
        "${params.x}",
        "${1/0}",
        "${secrets.a}",
        "{{7*7}}",
    ),
    *("../../etc/passwd", "<script>alert(1)</script>", "\r\nX: y", "null", "NaN", "true", "-0", "1e999", "𐍈", "ﬀ", "İ"),
    *("2030-02-30T00:00:00Z", "2030-01-01T00:00:00", "9999-12-31T23:59:59.999999Z", "0001-01-01T00:00:00+14:00"),
    *("2030-01-01T00:00:60Z", "1e400", "FREQ=SECONDLY", "FREQ=DAILY;COUNT=0", "* * * * *", "@reboot", "60 * * * *"),
    *("0 0 30 2 *", "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30", "http://127.0.0.1/", "http://[::1]/", "https://a@b/", "//x"),
    *("00000000-0000-0000-0000-000000000000", "not-a-uuid", "*", "**", "a.**.b", "a" * 129, "__proto__", "constructor"),
)
ODD_VALUES: tuple[Json, ...] = (
    *(None, True, False, 0, 1, -1, 2**31, 2**53, 2**63 - 1, 2**63, -(2**63) - 1, 10**30, 0.5, -0.0, 1e308, 1e-320),
    *([], {}, [[]], [{}], {"": ""}, {"a": {"b": {"c": None}}}, [None] * 60, ["x"] * 5001, {"$ref": "#"}, [1, "a", {}]),
)
# Each time a value of its own, since values are changed further.
ODD_JSON = [json.dumps(value) for value in ODD_VALUES]
BROKEN_BODIES = (
    *(
        b"",
        b"{",
        b"}",
        b"null",
        b"[]",
        b'"x"',
        b"1",
        b"{}{}",
        b"\xff\xfe{}",
        b"\xef\xbb\xbf{}",
        b'{"a":1,"a":2}',
        b"{'a': 1}",
    ),
    *(
        b'{"a": NaN}',
        b'{"a": 1e999}',
        b'{"a": "\xff"}',
        b'{"a": "\\ud800"}',
        b'{"a": "\\u0000"}',
        b"[" * 2000,
        b'{"a":' * 400,
    ),
    *(
        b'{"a": ' + b"9" * 5000 + b"}",
        b" " * 100_000,
        b'{"a": "' + b"x" * 100_000 + b'"}',
        b"{" + b'"k":1,' * 6000 + b'"z":1}',
    ),
)
ODD_HEADERS = (
    *(b"Idempotency-Key: ", b"Idempotency-Key: " + b"k" * 129, b"Idempotency-Key: \xc3\xa9", b"Idempotency-Key: same"),
    *(
        b'If-Match: "1"',
        b"If-Match: *",
        b"If-Match: junk",
        b'If-Match: W/"1"',
        b'If-None-Match: "1"',
        b"If-None-Match: *",
    ),
    *(b"Accept: text/html", b"Accept: application/xml", b"Accept: ;;;", b"Accept: */*;q=0", b"Accept-Encoding: br"),
    *(b"Last-Event-ID: junk", b"Last-Event-ID: \xff", b"Last-Event-ID: 0-0", b"Last-Event-ID: " + b"9" * 400),
    *(
        b"X-Request-ID: \xff",
        b"X-Request-ID: a b",
        b"traceparent: junk",
        b"tracestate: a=b",
        b"Origin: https://evil.example",
    ),
    *(b"X-Filler: " + b"x" * 17_000, b"Content-Encoding: gzip", b"X-Forwarded-For: 1.2.3.4", b"Range: bytes=0-1"),
    *(b"Cookie: a=b", b"Expect: something", b"Connection: upgrade", b"X-HTTP-Method-Override: DELETE", b"Host: evil"),
)
ODD_TYPES = (
    *(b"text/plain", b"", b"application/json; charset=latin-1", b"application/cloudevents+json"),
    *(b"application/cloudevents-batch+json", b"multipart/form-data"),
)
ODD_PATHS = ("%00", "%ff", "..%2f", "%2e%2e", "%", "%zz", "\u00e9", "a" * 300, "0", "-1", ";x=1", "*", "~", "%0d%0a")
ODD_TOKENS = (b"", b"Bearer", b"Bearer \xff", b"Basic eA==", b"Bearer pao_a_b_c")
ODD_QUERIES = (
    *("%", "%ff=1", "a=1&a=2", "&&&", "=", "limit=%00", "token=x", "?" * 100, "a" * 9000, "cursor=AAAA", "limit[]=1"),
)
METHODS = (b"GET", b"POST", b"PUT", b"DELETE", b"PATCH", b"HEAD", b"OPTIONS", b"TRACE", b"XYZ")


class Wanted(NamedTuple):
    """`operation` None: it is no longer known which one it is."""

    sent: bytes
    operation: Operation | None


class Requests:
    """`known` gives for a parameter of a path what exists; `tokens` are those that are sent."""

    def __init__(
        self, document: ApiDocument, known: Mapping[str, list[str]], tokens: list[str], draw: random.Random
    ) -> None:
        self._document = document
        self._operations = [*document.operations()]
        self._known = known
        self._tokens = tokens
        self._draw = draw
        self._bodies = {each.described["operationId"]: self._example(each) for each in self._operations}

    def one(self) -> Wanted:
        draw = self._draw
        operation = draw.choice(self._operations)
        method, path = operation.method.upper().encode(), self._path(operation)
        query, body = self._query(operation), self._body(operation)
        headers = [b"Host: localhost", *self._token()]
        is_known = True
        match draw.randrange(12):
            case 0:
                headers += draw.sample(ODD_HEADERS, draw.randint(1, 3))
            case 1:
                path, is_known = self._junk_path(path), False
            case 2:
                query = "?" + draw.choice(ODD_QUERIES)
            case 3 if body is not None:
                body = draw.choice(BROKEN_BODIES)
            case 4:
                method, is_known = draw.choice(METHODS), False
            case _:
                pass
        return Wanted(self._bytes(method, path + query, headers, body), operation if is_known else None)

    def _bytes(self, method: bytes, target: str, headers: list[bytes], body: bytes | None) -> bytes:
        draw = self._draw
        if body is not None:
            kind = b"application/json" if draw.random() < 0.97 else draw.choice(ODD_TYPES)
            headers += [b"Content-Type: " + kind, b"Content-Length: %d" % len(body)]
        line = method + b" " + target.encode("utf-8", "surrogatepass") + b" HTTP/1.1"
        return b"\r\n".join([line, *headers, b"", body or b""])

    def _token(self) -> Iterator[bytes]:
        roll = self._draw.random()
        if roll > 0.02:
            yield b"Authorization: Bearer " + self._draw.choice(self._tokens).encode()
        elif roll > 0.01:
            yield b"Authorization: " + self._draw.choice(
                [b"", b"Bearer", b"Bearer \xff", b"Basic eA==", b"Bearer pao_a_b_c"]
            )

    def _path(self, operation: Operation) -> str:
        parts = operation.path.split("/")
        for index, part in enumerate(parts):
            if part.startswith("{"):
                known = self._known.get(f"{parts[index - 1]}/{part}") or self._known.get(part[1:-1], [])
                junk = str(UUID(int=self._draw.getrandbits(128)))
                parts[index] = self._draw.choice(known) if known and self._draw.random() < 0.8 else junk
        path = "/".join(parts)
        return path if self._draw.random() < 0.9 else path.removeprefix("/v1")

    def _junk_path(self, path: str) -> str:
        parts = path.split("/")
        parts[self._draw.randrange(1, len(parts))] = self._draw.choice(ODD_PATHS)
        return quote("/".join(parts), safe="/%;@*~") + self._draw.choice(["", "/", "//", "/x"])

    def _query(self, operation: Operation) -> str:
        draw = self._draw
        parameters = map(self._document.resolved, operation.described.get("parameters", []))
        named = [each for each in parameters if each["in"] == "query" and each["name"] not in UNCHANGED]
        if not named or draw.random() < 0.5:
            return ""
        chosen = draw.sample(named, draw.randint(1, min(3, len(named))))
        return "?" + "&".join(f"{each['name']}={self._value(each['schema'])}" for each in chosen)

    def _value(self, schema: Mapping[str, Any]) -> str:
        draw = self._draw
        if draw.random() < 0.4:
            return quote(draw.choice(ODD_TEXTS).encode("utf-8", "surrogatepass")[:2000])
        if "enum" in schema:
            return str(draw.choice(schema["enum"]))
        plain = {
            "integer": ["1", "2", "200", "0", "-1", "9" * 20, "1.5", "1e2", "٣"],
            "boolean": ["true", "false", "1", "yes"],
        }
        return draw.choice(
            plain.get(str(schema.get("type")), ["a", "2030-01-01T00:00:00Z", "email.*", str(UUID(int=0))])
        )

    def _body(self, operation: Operation) -> bytes | None:
        example = self._bodies[operation.described["operationId"]]
        if example is None:
            return None
        tree = json.loads(example)
        if self._draw.random() < 0.9:
            for _ in range(self._draw.choice((1, 1, 1, 2, 4))):
                tree = self._changed(tree)
        return json.dumps(tree).encode()

    def _changed(self, tree: Json) -> Json:
        """One value somewhere in it is another, missing, twice, or under another name."""
        places = [*_places(tree)]
        if not places:
            return json.loads(self._draw.choice(ODD_JSON))
        holder, key = self._draw.choice(places)
        self._draw.choice(CHANGES)(self._draw, holder, key)
        return tree

    def _example(self, operation: Operation) -> str | None:
        content = operation.described.get("requestBody", {}).get("content", {})
        for each in content.values():
            for example in each.get("examples", {}).values():
                return json.dumps(example["value"])
        return None


def _places(tree: Json) -> Iterator[tuple[Json, Any]]:
    items = tree.items() if isinstance(tree, dict) else enumerate(tree[:PLACES]) if isinstance(tree, list) else ()
    for key, value in [*items]:
        yield tree, key
        yield from _places(value)


def _odd_text(draw: random.Random, holder: Json, key: Json) -> None:
    holder[key] = draw.choice(ODD_TEXTS)


def _odd_value(draw: random.Random, holder: Json, key: Json) -> None:
    holder[key] = json.loads(draw.choice(ODD_JSON))


def _removed(_draw: random.Random, holder: Json, key: Json) -> None:
    del holder[key]


def _renamed(draw: random.Random, holder: Json, key: Json) -> None:
    if isinstance(holder, dict):
        holder[draw.choice(ODD_TEXTS)[:200]] = holder.pop(key)
    else:
        holder.append(holder[key])


def _wrapped(draw: random.Random, holder: Json, key: Json) -> None:
    for _ in range(draw.choice((1, 2, 40))):
        holder[key] = draw.choice(([holder[key]], {"a": holder[key]}))


CHANGES: tuple[Callable[[random.Random, Json, Json], None], ...] = (
    *(_odd_text, _odd_text, _odd_value, _odd_value, _removed, _renamed, _wrapped),
)
