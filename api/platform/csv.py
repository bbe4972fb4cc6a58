"""Lists, as a page or as CSV: streamed in keyset pages, without envelope, safe to open in a
spreadsheet (R56). Who takes a list out of the house has just given a PIN (R41, decision 0017)."""

import csv
import io
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Annotated, Any, Literal, TypeVar

from fastapi import Depends, Query, Request
from fastapi.responses import StreamingResponse

from api.platform.envelope import ok
from api.platform.http import Cursor, Limit
from api.platform.permissions import require_fresh
from api.platform.services import App, Caller
from playpark.contracts.base import Envelope, Page

T = TypeVar("T")
V = TypeVar("V")
Cell = str | int | date | datetime | Sequence[str] | None
Fetch = Callable[[int, str | None], Awaitable[tuple[Sequence[T], str | None]]]
"""(limit, cursor): a page and the cursor of the next one, as `Repository.page` does."""
PAGE = 1_000
_CHUNK = 64 * 1024
_FORMULA = (*"=+-@\t\r\n", *"\uff1d\uff0b\uff0d\uff20")
"""Full-width signs too: some spreadsheets read them as the plain ones."""
CSV: dict[int | str, dict[str, Any]] = {
    200: {"content": {"text/csv": {"schema": {"type": "string"}}}},
}
"""For `responses=` of a route that answers CSV too."""


async def _asked(
    request: Request,
    shape: Annotated[
        Literal["json", "csv"] | None,
        Query(
            alias="format",
            description="`csv` streams the whole list, as `Accept: text/csv` does. It needs a PIN "
            "given within the last 15 minutes.",
        ),
    ] = None,
) -> bool:
    if shape is not None:
        return shape == "csv"
    accepted = request.headers.get("accept", "").lower().split(",")
    return any(kind.split(";")[0].strip() == "text/csv" for kind in accepted)


AsksForCsv = Annotated[bool, Depends(_asked)]
"""Whether the client asks for CSV: `format=csv`, or `Accept: text/csv` without a format. For
provider routes; those of a tenant have `WantsCsv`."""


async def _wanted(asked: AsksForCsv, platform: App, scope: Caller) -> bool:
    if asked:
        require_fresh(platform, scope)
    return asked


WantsCsv = Annotated[bool, Depends(_wanted)]
"""The same, from somebody who gave their PIN just now: never from a device by itself."""


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


@dataclass(frozen=True, slots=True)
class Wish:
    """How the client wants a list: one page of it, or all as CSV."""

    csv: bool
    limit: int
    cursor: str | None

    async def answer(
        self,
        fetch: Fetch[T],
        view: Callable[[T], V],
        columns: Sequence[str],
        more: Callable[[T, V], Mapping[str, Cell]] | None = None,
    ) -> Envelope[Page[V]] | StreamingResponse:
        """`columns` are fields of the view, and what `more(document, view)` adds in CSV."""
        if not self.csv:
            found, cursor = await fetch(self.limit, self.cursor)
            return ok(Page(items=[view(each) for each in found], next_cursor=cursor))

        async def rows() -> AsyncIterator[list[Cell]]:
            async for each in every(lambda after: fetch(PAGE, after)):
                told = view(each)
                added = more(each, told) if more else {}
                yield [added[name] if name in added else getattr(told, name) for name in columns]

        return await stream_csv(columns, rows())


async def _wish(wants_csv: WantsCsv, limit: Limit = 50, cursor: Cursor = None) -> Wish:
    return Wish(wants_csv, limit, cursor)


Listing = Annotated[Wish, Depends(_wish)]
"""For a list route with CSV: its `limit`, `cursor` and `format`."""


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
    """A value as it stands in a cell: a list as its words. Text that a spreadsheet would run as a
    formula gets an apostrophe in front; numbers stay numbers."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, int):
        return value
    text = value if isinstance(value, str) else " ".join(value)
    return "'" + text if text.startswith(_FORMULA) else text
