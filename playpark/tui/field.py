"""A one-line field that keeps the order of fast keys.

Enter as a binding runs after characters that were typed behind it, and the focus moves later
still: over a slow line `nok⏎1111` would put the PIN into the name. So a field deals with Enter
at its place among the keys and hands on what arrives after it; and what reaches the next field
meanwhile waits there until all of that has come.
"""

from textual import events
from textual.widgets import Input


class Field(Input):
    """`successor` gets the focus, and every later key, when Enter leaves this field; the last
    field of a form has none and reports Submitted. Enter does not leave an empty `required` one.
    """

    def __init__(
        self,
        value: str = "",
        *,
        id: str,  # noqa: A002 - as Textual names it
        max_length: int = 200,
        password: bool = False,
        restrict: str | None = None,
        required: bool = False,
        classes: str | None = None,
    ) -> None:
        super().__init__(
            value,
            id=id,
            classes=classes,
            max_length=max_length,
            password=password,
            restrict=restrict,
        )
        self.cursor_blink = False
        self.successor: Field | None = None
        self._left = False
        self._required = required
        self._waiting: list[events.Key] | None = None
        """Keys that came here before the field in front has handed on its last."""

    def on_focus(self) -> None:
        self._left = False

    async def _on_key(self, event: events.Key) -> None:
        if self._waiting is None:
            await self.take(event)
        else:
            self._consume(event)
            self._waiting.append(event)

    async def take(self, event: events.Key) -> None:
        """Deal with a key in its turn, whichever field it reached first."""
        if self._left and self.successor is not None:
            self._consume(event)
            await self.successor.take(events.Key(event.key, event.character))
        elif event.key == "enter":
            self._consume(event)
            if self._required and not self.value:
                return  # what is typed next belongs here, not into the next field
            if self.successor is None:
                await self.action_submit()
            else:
                self._leave(self.successor)
        elif event.key == "backspace":
            self._consume(event)
            self.action_delete_left()
        else:
            await super()._on_key(event)

    def _leave(self, successor: "Field") -> None:
        self._left = True
        successor._waiting = []  # noqa: SLF001 - another of the same class
        self.screen.set_focus(successor)
        if self._waiting is None:
            # Behind every key that is on its way to this field.
            self.call_later(successor.catch_up)

    async def catch_up(self) -> None:
        """Nothing comes from the field in front any more: now what waited here."""
        waiting, self._waiting = self._waiting or [], None
        for event in waiting:
            await self.take(event)
        if self._left and self.successor is not None:
            self.call_later(self.successor.catch_up)

    @staticmethod
    def _consume(event: events.Key) -> None:
        event.stop()
        event.prevent_default()
