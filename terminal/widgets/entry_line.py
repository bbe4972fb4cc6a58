"""The line that always has the focus: amounts, names and scanners end up here (SCREENS)."""

from textual import events
from textual.message import Message
from textual.widgets import Input

ENTER = {"enter", "ctrl+j"}
"""Some scanners end with a line feed."""
HINT = "a number and a ticket key · an amount and ⏎ · a name"
CLEARING = {
    *ENTER,
    "escape",
    *(f"f{number}" for number in range(1, 13)),
    *(f"ctrl+{letter}" for letter in "kdfosu"),
    "insert",
}
"""Keys that take what is typed with them."""
PASSED_ON = CLEARING | {"up", "down", *(f"ctrl+{letter}" for letter in "elrgtxy")}
PASSED_ON_EMPTY = {"question_mark", "backspace"}


class EntryLine(Input):
    """An input that hands the register's keys over in the order in which they were pressed.

    As bindings they would run after characters that were typed behind them: `F1 2 F2` in one
    burst would become two of F1. So each key leaves with the text that stood here at its moment.
    """

    class Pressed(Message):
        """A key of the register. `seconds` is the time from the first to the last character."""

        def __init__(self, key: str, text: str, seconds: float) -> None:
            super().__init__()
            self.key = key
            self.text = text
            self.seconds = seconds

    def __init__(self) -> None:
        super().__init__(placeholder=HINT, id="entry", max_length=500)
        self.cursor_blink = False
        self._first_key = 0.0
        self._last_key = 0.0

    async def _on_key(self, event: events.Key) -> None:
        if event.key in PASSED_ON or (event.key in PASSED_ON_EMPTY and not self.value):
            self._pass_on(event)
        elif event.key == "backspace":
            self._consume(event)
            self.action_delete_left()
        else:
            if event.is_printable:
                self._first_key = event.time if not self.value else self._first_key
                self._last_key = event.time
            await super()._on_key(event)

    def _on_paste(self, event: events.Paste) -> None:
        # A paste arrives at once, like a scan; so does a scanner behind some terminals.
        self._first_key = self._last_key = event.time
        super()._on_paste(event)

    def _pass_on(self, event: events.Key) -> None:
        self._consume(event)
        text = self.value
        if event.key in CLEARING:
            self.value = ""
        self.post_message(self.Pressed(event.key, text, self._last_key - self._first_key))

    @staticmethod
    def _consume(event: events.Key) -> None:
        event.stop()
        event.prevent_default()
