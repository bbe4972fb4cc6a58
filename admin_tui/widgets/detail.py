"""All about one row, beside the table or in its place."""

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text
from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.widgets import Static

from admin_tui.listing import Detail, Section
from playpark.tui.text import safe
from playpark.tui.theme import ACCENT, BAD, MUTED


class DetailPane(VerticalScroll):
    """Shows a detail; keys scroll it."""

    def compose(self) -> ComposeResult:
        yield Static(id="detail-text", markup=False)

    @property
    def is_open(self) -> bool:
        return bool(self.display)

    def say(self, sentence: str, *, refused: bool = False) -> None:
        """A sentence in place of the detail."""
        self.border_title = ""
        self._text.update(Text(safe(sentence), style=BAD if refused else MUTED))

    def show(self, detail: Detail) -> None:
        self.border_title = Text(safe(detail.title))
        parts = [part for section in detail.sections for part in _section(section)]
        self._text.update(Group(*parts))
        self.scroll_home(animate=False)

    @property
    def _text(self) -> Static:
        return self.query_one("#detail-text", Static)


def _section(section: Section) -> list[RenderableType]:
    """A heading and a grid: what on the left, value on the right."""
    grid = Table.grid(expand=True, padding=(0, 1))
    grid.add_column(ratio=1)
    grid.add_column(justify="right")
    for what, value in section.rows:
        # Blanks in front are indentation: `safe` would take them away.
        indent = " " * (len(what) - len(what.lstrip()))
        grid.add_row(Text(indent + safe(what), style=MUTED), Text(safe(value)))
    heading = Text(safe(section.heading), style=f"bold {ACCENT}")
    return [heading, grid, Text()] if section.heading else [grid, Text()]
