"""Opening a shift: how much cash is in the drawer to begin with (R26)."""

from collections.abc import Awaitable, Callable, Iterable

from textual.app import ComposeResult
from textual.widgets import Static

from playpark.errors import ErrorCode, PlayParkError
from playpark.money import parse_baht
from playpark.tui import Field, Form


class OpenShiftScreen(Form):
    """Asks for the float in baht and hands it to `open_shift` in satang."""

    HEADING = "Open a shift"

    def __init__(self, open_shift: Callable[[int], Awaitable[None]]) -> None:
        super().__init__()
        self._open_shift = open_shift

    def keys(self) -> Iterable[tuple[str, str]]:
        return (("Enter", "open"), ("^L", "log out"), ("^Q", "quit"))

    def fields(self) -> ComposeResult:
        yield Static("Cash in the drawer now, in baht (the float)", classes="label")
        yield Field(id="cash", max_length=12)

    def on_mount(self) -> None:
        self.query_one(Field).focus()

    async def attempt(self) -> None:
        text = self.query_one(Field).value
        if not text.strip():
            message = "Count the drawer and type what is in it; 0 where it is empty."
            raise PlayParkError(ErrorCode.VALIDATION, message)
        try:
            cash_open = parse_baht(text)
        except ValueError as wrong:
            raise PlayParkError(ErrorCode.VALIDATION, str(wrong)) from wrong
        await self._open_shift(cash_open)
