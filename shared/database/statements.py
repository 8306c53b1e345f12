"""Named statements: SQL lives in files, each statement with its parameter and column types written above it.

    -- name: renew_leases
    -- takes: uuid[], int8[], float8
    -- gives: id uuid, is_cancel_requested bool
    UPDATE …

A contract test prepares every statement against the migrated database and compares both lines with what it finds.
"""

import importlib.resources
from collections.abc import Iterator, Mapping

import msgspec

NAME, TAKES, GIVES = "-- name:", "-- takes:", "-- gives:"


class Statement(msgspec.Struct, frozen=True):
    """`takes` are the parameters' types in their order; `gives` the result's `column type` pairs."""

    name: str
    sql: str
    takes: tuple[str, ...]
    gives: tuple[str, ...]


class StatementFault(Exception):
    """A SQL file does not follow the form above."""


def load_statements(package: str, file: str) -> Mapping[str, Statement]:
    """The statements of `file` inside `package`, by name."""
    text = importlib.resources.files(package).joinpath(file).read_text(encoding="utf-8")
    return {statement.name: statement for statement in _parse(text, file)}


def _parse(text: str, file: str) -> Iterator[Statement]:
    _, *sections = ("\n" + text).split("\n" + NAME)
    if not sections:
        raise StatementFault(f"{file} holds no '{NAME}' line")
    for section in sections:
        name, _, body = section.partition("\n")
        lines = body.splitlines()
        yield Statement(
            name=name.strip(),
            sql="\n".join(line for line in lines if not line.startswith((TAKES, GIVES))).strip(),
            takes=_listed(lines, TAKES),
            gives=_listed(lines, GIVES),
        )


def _listed(lines: list[str], mark: str) -> tuple[str, ...]:
    """A list may go on over several lines, each with the mark."""
    text = ",".join(line.removeprefix(mark) for line in lines if line.startswith(mark))
    return tuple(item.strip() for item in text.split(",") if item.strip())
