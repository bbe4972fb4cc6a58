"""The one list page: draws any page that is described as data, one page of rows at a time."""

from typing import Any

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.widgets import DataTable, Input, Static

from admin_tui.listing import Column, ListPage, refusal_words
from admin_tui.office import Office
from admin_tui.widgets.detail import DetailPane
from admin_tui.widgets.pane import Pane
from playpark.errors import ErrorCode, PlayParkError
from playpark.tui.text import fit
from playpark.tui.theme import MUTED

WIDE = 100
"""Columns of the terminal from which a pane has room for the wide columns, or for the detail
beside the table."""
DETAIL_WIDTH = 42
SCROLLBAR = 1


class FilterInput(Input):
    """Narrows the rows while it is typed into."""

    cursor_blink = False


class ListPane(Pane):
    """`show` puts another page into it. Holds one page of rows and never more."""

    def __init__(self, office: Office, page: ListPage[Any], **more: Any) -> None:
        super().__init__(office, **more)
        self.page = page
        self._rows: list[Any] = []
        self._shown: list[Any] = []
        self._cursors: list[str | None] = [None]
        self._next: str | None = None
        self._read_once = False

    def compose(self) -> ComposeResult:
        yield Static(id="heading", markup=False)
        yield FilterInput(
            id="filter", placeholder="/ to filter the rows of this page", compact=True
        )
        yield Static(id="notice", markup=False)
        with Horizontal(id="body"):
            yield DataTable(cursor_type="row", id="rows")
            yield DetailPane(id="detail")

    def on_mount(self) -> None:
        self.query_one(DetailPane).display = False
        self.notice()
        self._head()

    def on_resize(self) -> None:
        self._arrange()

    # --- what the keys ask for ----------------------------------------------------------

    @property
    def table(self) -> DataTable[Text]:
        return self.query_one("#rows", DataTable)

    @property
    def detail(self) -> DetailPane:
        return self.query_one(DetailPane)

    @property
    def can_go_on(self) -> bool:
        return self._next is not None

    @property
    def can_go_back(self) -> bool:
        return len(self._cursors) > 1

    @property
    def has_rows(self) -> bool:
        return bool(self._shown)

    @property
    def waiting(self) -> Any:
        """The row under the cursor where it waits for somebody, else None."""
        row = self._marked()
        return row if row is not None and self.page.waits(row) else None

    @property
    def can_filter(self) -> bool:
        return bool(self._rows)

    def show(self, page: ListPage[Any]) -> None:
        """Another page, from its first rows on."""
        self.page = page
        self._rows, self._cursors, self._next, self._read_once = [], [None], None, False
        self.failed = False
        self.close_detail()
        with self.prevent(Input.Changed):
            self.query_one(FilterInput).value = ""
        self._arrange()
        self._read([None])

    def refresh_rows(self) -> None:
        self._read(self._cursors)

    def next_page(self) -> None:
        self.close_detail()
        self._read([*self._cursors, self._next])

    def previous_page(self) -> None:
        self.close_detail()
        self._read(self._cursors[:-1])

    def start_filter(self) -> None:
        self.query_one(FilterInput).focus()

    def clear_filter(self) -> None:
        self.query_one(FilterInput).value = ""
        self.table.focus()

    def take_focus(self) -> None:
        (self.detail if self.detail.is_open else self.table).focus()

    # --- reading ------------------------------------------------------------------------

    def _read(self, cursors: list[str | None]) -> None:
        self.notice("Reading …")
        self.run_worker(self._fetch(cursors), group="list", exclusive=True)

    async def _fetch(self, cursors: list[str | None]) -> None:
        """The page at the end of `cursors`, which lead there from the newest rows."""
        page = self.page
        try:
            answer = await self.office.page(page.path, page.model, cursor=cursors[-1])
            shown = {page.device_of(row) for row in answer.items} - {None}
            if not shown <= self.office.park.devices.keys():
                await self.office.learn_names()
        except PlayParkError as refusal:
            self._refuse(refusal)
        else:
            self._rows, self._cursors, self._next = answer.items, cursors, answer.next_cursor
            self.failed, self._read_once = False, True
            self._fill()
            self.notice("" if self._rows else page.empty)
        self.post_message(self.Changed())

    def _refuse(self, refusal: PlayParkError) -> None:
        sentence = self.refused(refusal, has_content=bool(self._rows))
        employee = self.office.employee
        if refusal.code is ErrorCode.PERMISSION and employee is not None:
            self._rows = []
            self._fill()
            sentence = refusal_words(
                self.page.title, self.page.readers, employee.name, employee.roles
            )
        self.notice(sentence, warn=True)

    # --- drawing ------------------------------------------------------------------------

    def _arrange(self) -> None:
        """Give table and detail their places; the table is drawn anew for its width."""
        beside = self.size.width >= WIDE
        self.detail.set_class(beside, "beside")
        self.table.display = beside or not self.detail.is_open
        self.query_one(FilterInput).display = self.table.display
        self._fill()

    def _fill(self) -> None:
        columns, widths = self._columns()
        words = self.query_one(FilterInput).value.casefold().split()
        park = self.office.park
        marked = self._marked()
        self._shown = [
            row
            for row in self._rows
            if all(word in " ".join(self.page.cells(row, park)).casefold() for word in words)
        ]
        table = self.table
        table.clear(columns=True)
        for column, width in zip(columns, widths, strict=True):
            table.add_column(Text(fit(column.title, width, right=column.right)), width=width)
        for row in self._shown:
            table.add_row(
                *(
                    Text(fit(column.text(row, park), width, right=column.right), column.style(row))
                    for column, width in zip(columns, widths, strict=True)
                )
            )
        if marked in self._shown:
            table.move_cursor(row=self._shown.index(marked), animate=False)
        self._head()

    def _columns(self) -> tuple[list[Column[Any]], list[int]]:
        """The columns that have room, and their widths."""
        beside = self.size.width >= WIDE and self.detail.is_open
        room = self.size.width - SCROLLBAR - (DETAIL_WIDTH if beside else 0)
        columns = [column for column in self.page.columns if room >= WIDE or not column.wide]
        padding = 2 * self.table.cell_padding
        spare = max(room - sum(column.width + padding for column in columns), 0)
        return columns, [column.width + (spare if column.grows else 0) for column in columns]

    def _marked(self) -> Any:
        """The row under the cursor, or None."""
        row = self.table.cursor_row
        return self._shown[row] if 0 <= row < len(self._shown) else None

    def _head(self) -> None:
        count = f"{len(self._rows)} rows" if len(self._rows) != 1 else "1 row"
        if len(self._shown) != len(self._rows):
            count = f"{len(self._shown)} of {count}"
        more = ", older ones behind" if self.can_go_on else ""
        about = f"page {len(self._cursors)} · {count}{more}" if self._read_once else ""
        text = Text.assemble((self.page.title, "bold"), "   ", (about, MUTED))
        self.query_one("#heading", Static).update(text)

    @on(Input.Changed, "#filter")
    def _typed(self) -> None:
        self._fill()
        self.post_message(self.Changed())

    @on(Input.Submitted, "#filter")
    def _filtered(self) -> None:
        self.table.focus()

    # --- detail -------------------------------------------------------------------------

    @on(DataTable.RowSelected)
    def open_detail(self) -> None:
        """Show all about the row under the cursor."""
        row = self._marked()
        if row is None:
            return
        self.detail.display = True
        self.detail.say("One moment …")
        self._arrange()
        self.detail.focus()
        self.run_worker(self._explain(row), group="detail", exclusive=True)
        self.post_message(self.Changed())

    def close_detail(self) -> None:
        had_focus = self.detail.has_focus
        self.workers.cancel_group(self, "detail")
        self.detail.display = False
        self._arrange()
        if had_focus:
            self.table.focus()
        self.post_message(self.Changed())

    async def _explain(self, row: Any) -> None:
        try:
            detail = await self.page.detail(self.office, row)
        except PlayParkError as refusal:
            self.refused(refusal, has_content=True)
            self.detail.say(f"{refusal.message} Esc closes this.", refused=True)
        else:
            self.detail.show(detail)
