"""The basket: what was rung, what each line costs, what the rules took off (SCREENS)."""

from rich.text import Text
from textual.reactive import reactive
from textual.widget import Widget

from playpark.contracts.pricing import PricedCart, PricedLine, TraceEntry
from playpark.contracts.rules import RuleKind
from playpark.money import format_satang
from playpark.printing.receipt_notes import offs_of
from playpark.tui.text import fit, safe
from playpark.tui.theme import BRIGHT, MUTED

QTY, UNIT, SUM = 3, 9, 10


class BasketView(Widget):
    """Shows as many lines around the marked one as there is room for."""

    priced: reactive[PricedCart | None] = reactive(None)
    heading: reactive[str] = reactive("Basket")
    rounded: reactive[int] = reactive(0)
    """What cash rounding changes, satang: shown below the rules (R7)."""
    marked: reactive[int] = reactive(0)

    def watch_heading(self, heading: str) -> None:
        self.border_title = Text(safe(heading))

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
        times = _at_this_time(self.priced.trace)
        rows = [
            self._line(lines[index], index == self.marked, width, times.get(index))
            for index in shown
        ]
        rows += [Text() for _ in range(room - len(rows))]
        return Text("\n", no_wrap=True).join([*rows, *adjustments])

    def _line(self, line: PricedLine, marked: bool, width: int, time: str | None) -> Text:
        room = width - QTY - UNIT - SUM - 5
        name = line.name if line.name == line.name_th else f"{line.name} / {line.name_th}"
        if time is not None:
            name = f"{line.name} · {time}"
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
        steps = [(step.why, step.output - step.input) for step in _reductions(self.priced.trace)]
        if self.rounded:
            steps.append(("Cash rounding", self.rounded))
        return [
            Text(f" {fit(why, width - SUM - 2)}{format_satang(amount):>{SUM}} ", MUTED)
            for why, amount in steps
        ]


def _reductions(trace: list[TraceEntry]) -> list[TraceEntry]:
    """The steps that took something off; another price for the time stands in its line."""
    by_hand = "manual_discount"
    return [
        step
        for step in trace
        if step.applied
        and (step.rule_id is not None or step.stage == by_hand)
        and step.stage != RuleKind.TIME_OF_DAY
    ]


def _at_this_time(trace: list[TraceEntry]) -> dict[int, str]:
    """The rule that gave a line another unit price, by line: what stands before its colon."""
    found = {}
    for step in trace:
        if step.applied and step.stage == RuleKind.TIME_OF_DAY:
            for line in offs_of(step):
                found[line] = step.why.partition(":")[0]
    return found
