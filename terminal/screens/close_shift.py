"""Closing a shift: the drawer is counted blind, then the server says what was due (R27, R28)."""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.widgets import Static

from playpark.errors import PlayParkError
from playpark.money import format_satang
from playpark.tui import Dialog, keys_text, safe
from playpark.tui.theme import BAD, BRIGHT, GOOD, MUTED, WARN
from terminal.shift import Closing
from terminal.widgets.count_table import CountTable


class CloseShiftDialog(Dialog[None]):
    """Pieces of each note and coin; what was expected appears only after the count is final."""

    BINDINGS: ClassVar[list[BindingType]] = [("enter,ctrl+e", "finish", "Done")]
    KEYS: ClassVar[Iterable[tuple[str, str]]] = (
        ("Enter", "next"),
        ("↑↓", "move"),
        ("^E", "close the shift"),
        ("Esc", "go on selling"),
    )

    def __init__(self, close: Callable[[Mapping[int, int]], Awaitable[None]]) -> None:
        super().__init__("Close the shift: count the drawer")
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
        self.query_one("#keys", Static).update(keys_text([("Enter", "done")]))
        self.set_focus(None)

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
    return Text.assemble(
        (f"\n The shift is closed. Z report {closed.z.z_no:04d}\n\n", f"bold {BRIGHT}"),
        (
            f" Sales      {closed.z.sales.count:>6}  {format_satang(closed.z.sales.amount):>14}\n",
            "",
        ),
        (f" Expected           {format_satang(closed.cash_expected):>14}\n", ""),
        (f" Counted            {format_satang(closed.cash_counted):>14}\n", BRIGHT),
        (f" Difference         {format_satang(closed.cash_diff):>14}  {word}\n", f"bold {mood}"),
    )
