"""The last sales and where each one stands: on wide screens beside the tickets (SCREENS)."""

from zoneinfo import ZoneInfo

from rich.text import Text
from textual.reactive import reactive
from textual.widget import Widget

from playpark.device import OpState, PrintState
from playpark.money import format_satang
from playpark.tui.theme import BAD, BRIGHT, MUTED, WARN
from terminal.sale import Sold


def standing(sold: Sold) -> tuple[str, str]:
    """Where a sale stands, in a word, and its colour."""
    if sold.state is OpState.REJECTED:
        return "refused by the server", BAD
    if sold.printing is PrintState.DOUBTFUL:
        return "look at the paper", WARN
    if sold.state is OpState.PENDING:
        printed = sold.printing is PrintState.PRINTED
        return ("printed, not sent yet", MUTED) if printed else ("saved, not sent yet", WARN)
    if sold.printing is not PrintState.PRINTED:
        return "to print", WARN
    return "printed", MUTED


class LastSales(Widget):
    sales: reactive[list[Sold]] = reactive(list)

    def __init__(self, zone: ZoneInfo) -> None:
        super().__init__(id="last-sales")
        self._zone = zone

    def on_mount(self) -> None:
        self.border_title = "Last sales"

    def render(self) -> Text:
        if not self.sales:
            return Text("\n None yet on this till.", style=MUTED)
        rows = []
        for sold in self.sales:
            row = Text(no_wrap=True)
            row.append(f" {sold.occurred_at.astimezone(self._zone):%H:%M} ", style=MUTED)
            row.append(f"{sold.receipt_no:<12}")
            row.append(f"{format_satang(sold.total):>10} ", style=BRIGHT)
            row.append(f"{sold.method}\n", style=MUTED)
            word, colour = standing(sold)
            change = f"change {format_satang(sold.change)} · " if sold.change else ""
            row.append(f"       {change}{word}", style=colour)
            rows.append(row)
        return Text("\n", no_wrap=True).join(rows)
