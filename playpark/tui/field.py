"""A one-line field that keeps the order of fast keys.

Enter as a binding runs after characters that were typed behind it, and the focus moves later
still: over a slow line `nok⏎1111` would put the PIN into the name. So a field deals with Enter
at its place among the keys and hands on what arrives after it.
"""

from textual import events
from textual.widgets import Input


class Field(Input):
    """`successor` gets the focus, and every later key, when Enter leaves this field; the last
    field of a form has none and reports Submitted."""

    def __init__(
        self,
        value: str = "",
        *,
        id: str,  # noqa: A002 - as Textual names it
        max_length: int = 200,
        password: bool = False,
        restrict: str | None = None,
    ) -> None:
        super().__init__(value, id=id, max_length=max_length, password=password, restrict=restrict)
        self.cursor_blink = False
        self.successor: Field | None = None
        self._left = False

    def on_focus(self) -> None:
        self._left = False

    async def _on_key(self, event: events.Key) -> None:
        if self._left and self.successor is not None:
            self._consume(event)
            await self.successor._on_key(events.Key(event.key, event.character))  # noqa: SLF001
        elif event.key == "enter":
            self._consume(event)
            if self.successor is None:
                await self.action_submit()
            else:
                self._left = True
                self.successor.focus()
        elif event.key == "backspace":
            self._consume(event)
            self.action_delete_left()
        else:
            await super()._on_key(event)

    @staticmethod
    def _consume(event: events.Key) -> None:
        event.stop()
        event.prevent_default()
