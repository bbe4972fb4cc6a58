"""Lists as CSV: streamed in keyset pages, without envelope, safe to open in a spreadsheet (R56)."""

import csv
import io
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from datetime import UTC, date, datetime
from typing import Annotated, Any, Literal, TypeVar

from fastapi import Depends, Query, Request
from fastapi.responses import StreamingResponse

T = TypeVar("T")
Cell = str | int | date | datetime | None
PAGE = 1_000
_CHUNK = 64 * 1024
_FORMULA = (*"=+-@\t\r\n", *"\uff1d\uff0b\uff0d\uff20")
"""Full-width signs too: some spreadsheets read them as the plain ones."""
CSV: dict[int | str, dict[str, Any]] = {
    200: {"content": {"text/csv": {"schema": {"type": "string"}}}},
}
"""For `responses=` of a route that answers CSV too."""


def _wanted(
    request: Request,
    shape: Annotated[
        Literal["json", "csv"] | None,
        Query(alias="format", description="`csv` streams the whole list, as Accept: text/csv."),
    ] = None,
) -> bool:
    if shape is not None:
        return shape == "csv"
    accepted = request.headers.get("accept", "").lower().split(",")
    return any(kind.split(";")[0].strip() == "text/csv" for kind in accepted)


WantsCsv = Annotated[bool, Depends(_wanted)]
"""Whether the client asks for CSV: `format=csv`, or `Accept: text/csv` without a format."""


async def every(
    fetch: Callable[[str | None], Awaitable[tuple[Sequence[T], str | None]]],
) -> AsyncIterator[T]:
    """All rows of a paged query: `fetch(cursor)` answers one page and the cursor of the next, as
    `Repository.page(PAGE, cursor, ...)` does."""
    cursor: str | None = None
    while True:
        found, cursor = await fetch(cursor)
        for each in found:
            yield each
        if cursor is None:
            return


async def stream_csv(
    header: Sequence[str], rows: AsyncIterator[Sequence[Cell]]
) -> StreamingResponse:
    """A response that streams `rows` as RFC 4180 in UTF-8, times in RFC 3339.

    The first rows are fetched before it is returned, so that a refusal or an outage still leaves
    in the envelope. Raises what the iterator raises.
    """
    chunks = _chunks(header, rows)
    first = await anext(chunks)

    async def body() -> AsyncIterator[str]:
        yield first
        async for chunk in chunks:
            yield chunk

    return StreamingResponse(body(), media_type="text/csv; charset=utf-8")


async def _chunks(header: Sequence[str], rows: AsyncIterator[Sequence[Cell]]) -> AsyncIterator[str]:
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer)
    writer.writerow(header)
    async for row in rows:
        writer.writerow(_guarded(row))
        if buffer.tell() >= _CHUNK:
            yield buffer.getvalue()
            buffer.seek(0)
            buffer.truncate()
    yield buffer.getvalue()


def _guarded(row: Iterable[Cell]) -> list[str | int]:
    return [cell(value) for value in row]


def cell(value: Cell) -> str | int:
    """A value as it stands in a cell. Text that a spreadsheet would run as a formula gets an
    apostrophe in front; numbers stay numbers."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, str) and value.startswith(_FORMULA):
        return "'" + value
    return value
