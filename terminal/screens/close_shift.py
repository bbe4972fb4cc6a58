"""Closing a shift: the drawer is counted blind, then the server says what was due (R27, R28)."""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.message import Message
from textual.widgets import Static

from playpark.errors import PlayParkError
from playpark.money import format_satang
from playpark.tui import Dialog, keys_text, safe
from playpark.tui.theme import BAD, BRIGHT, GOOD, MUTED, WARN
from terminal.drawer import Closing
from terminal.widgets.count_table import CountTable


class CloseShiftDialog(Dialog[None]):
    """Pieces of each note and coin; what was expected appears only after the count is final."""

    BINDINGS: ClassVar[list[BindingType]] = [
        ("enter,ctrl+e", "finish", "Done"),
        ("a", "settle('accept_difference')", "Accept"),
        ("r", "settle('recount')", "Count again"),
    ]
    KEYS: ClassVar[Iterable[tuple[str, str]]] = (
        ("Enter", "next"),
        ("↑↓", "move"),
        ("^E", "close the shift"),
        ("Esc", "go on selling"),
    )

    class Settle(Message):
        """The difference is to be accepted, or the drawer counted again."""

        def __init__(self, name: str) -> None:
            super().__init__()
            self.name = name

    def __init__(self, close: Callable[[Mapping[int, int]], Awaitable[None]]) -> None:
        super().__init__("Close the shift: count the drawer")
        self._over = False
        self._close = close
        self._counted = False
        self._done = False

    def fields(self) -> ComposeResult:
        yield CountTable()
        yield Static(id="result", markup=False)

    def on_mount(self) -> None:
        self.query_one("#result").display = False
        self.query_one(CountTable).focus()

    def on_count_table_finished(self) -> None:
        if not self._counted:
            self._counted = True
            self.refuse("")
            self.run_worker(self._hand_in(), group="close")

    def action_cancel(self) -> None:
        # Once the count is final there is no way back to it.
        if not self._counted or self._done:
            self.dismiss(None)

    def action_finish(self) -> None:
        if self._done:
            self.dismiss(None)

    def show(self, closing: Closing | None) -> None:
        """The result: expected, counted, difference; or that the server has not answered yet."""
        if closing is None or not self._counted:
            return
        self._done = True
        self.query_one(CountTable).display = False
        result = self.query_one("#result", Static)
        result.display = True
        result.update(_result(closing))
        self._over = closing.over_tolerance
        keys = [("Enter", "later" if self._over else "done")]
        if self._over:
            keys += [("A", "accept the difference"), ("R", "count again")]
        self.query_one("#keys", Static).update(keys_text(keys))
        self.set_focus(None)

    def action_settle(self, name: str) -> None:
        if self._done and self._over:
            self.post_message(self.Settle(name))

    async def _hand_in(self) -> None:
        try:
            await self._close(self.query_one(CountTable).pieces)
        except PlayParkError as refused:
            self._counted = False
            self.refuse(refused.message)


def _result(closing: Closing) -> Text:
    if closing.refusal is not None:
        return Text.assemble(
            ("\n The server refused to close the shift.\n", f"bold {BAD}"),
            (f" {safe(closing.refusal)} Call the supervisor.\n", ""),
        )
    if closing.closed is None:
        return Text.assemble(
            ("\n Saved. The shift is closed on this till.\n", f"bold {WARN}"),
            (f"\n Counted {format_satang(closing.counted):>20}\n", BRIGHT),
            ("\n What was expected comes when the server answers.\n", MUTED),
        )
    closed = closing.closed
    mood, word = (GOOD, "exact") if closed.cash_diff == 0 else (BAD, "short")
    if closed.cash_diff > 0:
        mood, word = WARN, "over"
    rows = [
        (f"Sales   {closed.z.sales.count:>8}", closed.z.sales.amount, "", ""),
        (f"Refunds {closed.z.refunds.count:>8}", closed.z.refunds.amount, "", ""),
        ("Expected", closed.cash_expected, "", ""),
        ("Counted", closed.cash_counted, BRIGHT, ""),
        ("Difference", closed.cash_diff, f"bold {mood}", word),
    ]
    text = Text(f"\n The shift is closed. Z report {closed.z.number}\n\n", style=f"bold {BRIGHT}")
    for label, amount, style, after in rows:
        text.append(
            f" {label:<18}{format_satang(amount):>14}  {after}\n", style=style or "not bold"
        )
    if closing.adjusted:
        text.append(f"\n {safe(closing.adjusted)}\n", style=f"bold {GOOD}")
    elif closing.over_tolerance:
        text.append("\n That is over the tolerance: a supervisor has to see it.\n", f"bold {WARN}")
    return text
