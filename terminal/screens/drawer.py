"""The drawer's dialogs: how much cash moves, and the X report (R27, R28)."""

from collections.abc import Iterable
from typing import ClassVar
from zoneinfo import ZoneInfo

from rich.text import Text
from textual.app import ComposeResult
from textual.widgets import Input, Static

from playpark.contracts.shifts import SalesTotals, XReport
from playpark.errors import PlayParkError
from playpark.money import format_satang
from playpark.tui import Dialog, safe
from playpark.tui.theme import BRIGHT, MUTED, WARN
from terminal.screens.dialogs import Reading
from terminal.widgets.money_field import MoneyField

LABEL, FIGURE = 34, 16


class AskAmount(Dialog[int]):
    """An amount in baht; gives satang, between `least` and `most`."""

    KEYS: ClassVar[Iterable[tuple[str, str]]] = (("Enter", "go on"), ("Esc", "back"))

    def __init__(
        self, question: str, label: str, *, least: int = 1, most: int | None = None
    ) -> None:
        super().__init__(question)
        self._label = label
        self._least = least
        self._most = most

    def fields(self) -> ComposeResult:
        yield Static(Text(self._label, style=MUTED))
        yield MoneyField(id="amount")

    def on_mount(self) -> None:
        self.query_one(MoneyField).focus()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        try:
            amount = self.query_one(MoneyField).satang
        except PlayParkError as refused:
            self.refuse(refused.message)
            return
        if amount < self._least:
            self.refuse("Type an amount in baht, more than 0, such as 500.")
        elif self._most is not None and amount > self._most:
            self.refuse(f"{format_satang(self._most)} is the most: type that, or less.")
        else:
            self.dismiss(amount)


class XReportDialog(Reading):
    """A look at the open shift; it is on paper too."""

    def __init__(self, report: XReport, zone: ZoneInfo) -> None:
        super().__init__("X report: not final", _lines(report, zone))


def _lines(report: XReport, zone: ZoneInfo) -> Text:
    totals, drawer = report.totals, report.drawer
    opened = report.shift.open_at.astimezone(zone)
    text = Text(no_wrap=True)
    by = safe(report.shift.opened_by_name or "")
    text.append(f"Shift of {by}, opened {opened:%d %b %H:%M}\n", style=MUTED)
    rows: list[tuple[str, int | None, str]] = [
        *_sums("Sales", totals.sales),
        *_sums("Refunds", totals.refunds),
        (f"Voids ({totals.voids.count})", totals.voids.amount, ""),
        ("Discounts", totals.discounts, ""),
        ("Float", drawer.cash_open, ""),
        ("Cash sales", drawer.cash_sales, ""),
        ("Pay-ins", drawer.pay_ins, ""),
        ("Pay-outs and drops", -(drawer.pay_outs + drawer.drops), ""),
        ("Cash refunds", -drawer.cash_refunds, ""),
        ("The drawer ought to hold", drawer.cash_expected, f"bold {WARN}"),
    ]
    for label, amount, style in rows:
        figure = "" if amount is None else format_satang(amount)
        text.append(f"{label:<{LABEL}}{figure:>{FIGURE}}\n", style=style or BRIGHT)
    return text


def _sums(label: str, totals: SalesTotals) -> list[tuple[str, int | None, str]]:
    rows: list[tuple[str, int | None, str]] = [(f"{label} ({totals.count})", totals.amount, "")]
    rows += [(f"  {method}", amount, MUTED) for method, amount in totals.by_method.items()]
    return rows
