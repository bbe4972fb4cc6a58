"""Opening a shift: how much cash is in the drawer to begin with (R26)."""

from collections.abc import Iterable

from rich.text import Text
from textual.app import ComposeResult
from textual.widgets import Static

from playpark.errors import ErrorCode, PlayParkError
from playpark.money import parse_baht
from playpark.tui import Field, Form, StatusBar, keys_text, safe
from terminal.till import Till


class OpenShiftScreen(Form):
    """Asks for the float in baht. A difference of the last shift that waits for a supervisor
    stands here too (R27)."""

    HEADING = "Open a shift"

    def __init__(self, till: Till) -> None:
        super().__init__()
        self._till = till

    def keys(self) -> Iterable[tuple[str, str]]:
        more = (("^T", "settle the difference"),) if self._till.drawer.unsettled else ()
        return (("Enter", "open"), *more, ("^L", "log out"), ("^Q", "quit"))

    def fields(self) -> ComposeResult:
        yield Static("Cash in the drawer now, in baht (the float)", classes="label")
        yield Field(id="cash", max_length=12)
        yield Static(id="hint", markup=False)

    def on_mount(self) -> None:
        self.query_one(Field).focus()
        self.renew()

    def renew(self) -> None:
        """Show what the till says now; without that, what waits for a supervisor."""
        notice, waits = self._till.notice, self._till.drawer.unsettled
        words = notice.text or (f"{waits.difference} waits for a supervisor." if waits else "")
        self.query_one("#hint", Static).update(Text(safe(words)))
        self.query_one("#keys", Static).update(keys_text(self.keys()))
        self.query_one(StatusBar).renew()

    def after_refusal(self) -> None:
        self.query_one(Field).value = ""

    async def attempt(self) -> None:
        text = self.query_one(Field).value
        if not text.strip():
            message = "Count the drawer and type what is in it; 0 where it is empty."
            raise PlayParkError(ErrorCode.VALIDATION, message)
        try:
            cash_open = parse_baht(text)
        except ValueError as wrong:
            raise PlayParkError(ErrorCode.VALIDATION, str(wrong)) from wrong
        await self._till.open_shift(cash_open)
