"""Entries as lines of a file, a page at a time: whoever takes them slowly costs no more memory than one page."""

import csv
import io
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import TypeAlias

import msgspec

from services.gateway.audit.wire import EntryView, ExportFormat

MEDIA_TYPES = {ExportFormat.NDJSON: "application/x-ndjson", ExportFormat.CSV: "text/csv"}
COLUMNS = EntryView.__struct_fields__
# What a spreadsheet takes for a formula when a cell begins with it; also in the wide forms of East Asian writing.
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")

_encoder = msgspec.json.Encoder()

NextPage: TypeAlias = Callable[[EntryView], Awaitable[Sequence[EntryView]]]


async def lines_of(first: Sequence[EntryView], next_page: NextPage, form: ExportFormat) -> AsyncIterator[bytes]:
    """`first`: the first page; `next_page` gives the one after an entry, an empty one at the end. An error on the way
    ends the connection before its time, so that nobody takes half an export for a whole one."""
    write = write_csv if form is ExportFormat.CSV else write_ndjson
    if form is ExportFormat.CSV:
        yield _csv([COLUMNS])
    page = first
    while page:
        yield write(page)
        page = await next_page(page[-1])


def write_ndjson(entries: Sequence[EntryView]) -> bytes:
    return b"\n".join([_encoder.encode(entry) for entry in entries]) + b"\n"


def write_csv(entries: Sequence[EntryView]) -> bytes:
    return _csv([_cells(entry) for entry in entries])


def _csv(rows: Sequence[Sequence[str]]) -> bytes:
    """RFC 4180, every cell in quotes."""
    text = io.StringIO()
    csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="\r\n").writerows(rows)
    return text.getvalue().encode()


def _cells(entry: EntryView) -> list[str]:
    """In the order of COLUMNS."""
    return [
        str(entry.seq),
        entry.at.isoformat().replace("+00:00", "Z"),
        "" if entry.actor_id is None else str(entry.actor_id),
        _cell(entry.actor_name),
        _cell(entry.action),
        _cell(entry.subject_type),
        _cell(entry.subject_id),
        _encoder.encode(entry.details).decode(),
        _cell(entry.request_id),
        _cell(entry.trace_id),
    ]


def _cell(text: str | None) -> str:
    if text is None:
        return ""
    return f"'{text}" if text.startswith(FORMULA) else text
