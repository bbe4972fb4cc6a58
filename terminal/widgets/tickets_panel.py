"""The tickets: the keys F1 to F8, or the list of what was found (SCREENS)."""

from rich.text import Text
from textual.reactive import reactive
from textual.widget import Widget

from playpark.contracts.catalog import PackageView
from playpark.money import format_satang
from playpark.tui.text import fit
from playpark.tui.theme import ACCENT, BRIGHT, MUTED
from terminal.actions import PACKAGE_KEYS


class TicketsPanel(Widget):
    """`found` None shows the keys; a list shows it with one entry marked."""

    packages: reactive[list[PackageView]] = reactive(list)
    found: reactive[list[PackageView] | None] = reactive(None)
    marked: reactive[int] = reactive(0)

    def watch_found(self, found: list[PackageView] | None) -> None:
        self.border_title = "Tickets" if found is None else "Found"

    def render(self) -> Text:
        width, height = self.size
        if self.found is None:
            return self._keys(width)
        if not self.found:
            return Text(" Nothing by that name.\n Backspace edits.", style=MUTED)
        first = max(self.marked - height + 1, 0)
        rows = []
        for index, package in enumerate(self.found[first : first + height], first):
            row = self._package("▌ " if index == self.marked else "  ", package, width)
            if index == self.marked:
                row.stylize("bold on #24405a")
            rows.append(row)
        return Text("\n", no_wrap=True).join(rows)

    def _keys(self, width: int) -> Text:
        rows = [
            self._package(f"F{number} ", package, width)
            for number, package in enumerate(self.packages[:PACKAGE_KEYS], 1)
        ]
        row = Text.assemble(("F8 ", f"bold {ACCENT}"), ("more …  (type to find)", MUTED))
        return Text("\n", no_wrap=True).join([*rows, row])

    def _package(self, key: str, package: PackageView, width: int) -> Text:
        price = f" {format_satang(package.price)}"
        name = fit(package.name, width - len(key) - len(price))
        return Text.assemble((key, f"bold {ACCENT}"), (name, BRIGHT), price)
