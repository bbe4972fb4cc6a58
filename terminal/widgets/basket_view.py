"""The basket: what was rung, what each line costs, what the rules took off (SCREENS)."""

from rich.text import Text
from textual.reactive import reactive
from textual.widget import Widget

from playpark.contracts.pricing import PricedCart, PricedLine
from playpark.money import format_satang
from playpark.tui.text import fit
from playpark.tui.theme import BRIGHT, MUTED

QTY, UNIT, SUM = 3, 9, 10


class BasketView(Widget):
    """Shows as many lines around the marked one as there is room for."""

    priced: reactive[PricedCart | None] = reactive(None)
    marked: reactive[int] = reactive(0)

    def on_mount(self) -> None:
        self.border_title = "Basket"

    def watch_priced(self, priced: PricedCart | None) -> None:
        pieces = sum(line.qty for line in priced.lines) if priced else 0
        self.border_subtitle = f"{pieces} pieces" if pieces > 1 else ""

    def render(self) -> Text:
        width, height = self.size
        if self.priced is None:
            return Text("\n Empty. Press a ticket key, or type a name.", style=MUTED)
        lines = self.priced.lines
        adjustments = self._adjustments(width)
        room = max(height - len(adjustments), 1)
        first = min(max(self.marked - room + 1, 0), max(len(lines) - room, 0))
        shown = range(first, min(first + room, len(lines)))
        rows = [self._line(lines[index], index == self.marked, width) for index in shown]
        rows += [Text() for _ in range(room - len(rows))]
        return Text("\n", no_wrap=True).join([*rows, *adjustments])

    def _line(self, line: PricedLine, marked: bool, width: int) -> Text:
        room = width - QTY - UNIT - SUM - 5
        name = line.name if line.name == line.name_th else f"{line.name} / {line.name_th}"
        row = Text(no_wrap=True)
        row.append("▌" if marked else " ", style="bold")
        row.append(f"{line.qty:>{QTY}}", style=f"bold {BRIGHT}")
        row.append(" × ", style=MUTED)
        row.append(fit(name, room))
        row.append(f"{format_satang(line.unit_price):>{UNIT}}", style=MUTED)
        row.append(f"{format_satang(line.gross):>{SUM}} ", style=BRIGHT)
        if marked:
            row.stylize("on #24405a")
        return row

    def _adjustments(self, width: int) -> list[Text]:
        """What rules changed, below the lines, in words and satang (R11)."""
        if self.priced is None:
            return []
        rows = []
        for step in self.priced.trace:
            if step.applied and step.rule_id is not None:
                amount = format_satang(step.output - step.input)
                rows.append(Text(f" {fit(step.why, width - SUM - 2)}{amount:>{SUM}} ", MUTED))
        return rows
