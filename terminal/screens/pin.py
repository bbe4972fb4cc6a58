"""The PIN of who logged in without the server, once it is back: asked for at the key that needs it
(R39)."""

from collections.abc import Awaitable, Callable, Iterable
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.widgets import Input, Static

from playpark.errors import PlayParkError
from playpark.tui import Dialog, Field, safe
from playpark.tui.theme import MUTED


class PinDialog(Dialog[bool]):
    """Gives True where the server knows them now; `prove` asks it."""

    KEYS: ClassVar[Iterable[tuple[str, str]]] = (("Enter", "go on"), ("Esc", "back"))

    def __init__(self, name: str, prove: Callable[[str], Awaitable[None]]) -> None:
        super().__init__("Your PIN for the server")
        self._who = name
        self._prove = prove
        self._busy = False

    def fields(self) -> ComposeResult:
        yield Static(Text(f"{safe(self._who)} logged in while the server was away. Its PIN once:"))
        yield Static(Text("PIN", style=MUTED))
        yield Field(id="pin", password=True, restrict=r"[0-9]*", max_length=8)

    def on_mount(self) -> None:
        self.query_one(Field).focus()

    def action_cancel(self) -> None:
        if not self._busy:
            self.dismiss(None)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        if not self._busy:
            self._busy = True
            self.refuse("")
            self.run_worker(self._try(), group="prove")

    async def _try(self) -> None:
        pin = self.query_one(Field)
        typed, pin.value = pin.value, ""
        try:
            await self._prove(typed)
        except PlayParkError as refused:
            self.refuse(refused.message)
            pin.focus()
        else:
            self.dismiss(True)
        finally:
            self._busy = False
