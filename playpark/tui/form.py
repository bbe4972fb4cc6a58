"""A full-screen form: login and pairing look alike and report their errors in one place."""

from collections.abc import Iterable
from itertools import pairwise
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import Center, Middle, Vertical
from textual.screen import Screen
from textual.widgets import Input, Static

from playpark.errors import PlayParkError
from playpark.tui.field import Field
from playpark.tui.status_bar import StatusBar
from playpark.tui.text import keys_text, safe


class Form(Screen[None]):
    """Fields in a box in the middle; `attempt` does the work, its refusal is shown.

    The screen stays until the program switches to another one.
    """

    DEFAULT_CSS = """
    Form { background: $background; }
    Form #box {
        width: 64; height: auto; padding: 1 2; background: $surface; border: round $border;
        border-title-color: $primary; border-title-style: bold;
    }
    Form .label { color: $text-muted; height: 1; }
    Form Input { border: none; height: 1; padding: 0 1; background: $panel; margin-bottom: 1; }
    Form Input:focus { border: none; background: $secondary; }
    Form #hint { height: auto; color: $text-muted; }
    Form #message { height: auto; min-height: 2; }
    Form #message.refused { color: $error; }
    Form #keys { height: 1; }
    """
    HEADING: ClassVar[str] = ""

    _busy = False

    def compose(self) -> ComposeResult:
        yield StatusBar()
        with Middle(), Center(), Vertical(id="box") as box:
            box.border_title = Text(self.HEADING)
            yield from self.fields()
            yield Static(id="message", markup=False)
            yield Static(keys_text(self.keys()), id="keys")

    def on_mount(self) -> None:
        for field, successor in pairwise(self.query(Field)):
            field.successor = successor

    def keys(self) -> Iterable[tuple[str, str]]:
        """The keys that work here, and what they do."""
        return (("Enter", "go on"), ("Tab", "next"), ("Ctrl+Q", "quit"))

    def fields(self) -> ComposeResult:
        """The labels and inputs of this form."""
        yield from ()

    async def attempt(self) -> None:
        """Do what the form is for. Raises PlayParkError with the sentence to show."""
        raise NotImplementedError

    def after_refusal(self) -> None:
        """Where to go on typing."""

    def say(self, sentence: str, *, refused: bool = False) -> None:
        message = self.query_one("#message", Static)
        message.set_class(refused, "refused")
        message.update(Text(safe(sentence)))

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self.start()

    def start(self) -> None:
        """Attempt it now; a second Enter while the first is under way starts nothing."""
        if not self._busy:
            self._busy = True
            self.run_worker(self._try(), group="attempt")

    async def _try(self) -> None:
        self.say("One moment …")
        try:
            await self.attempt()
        except PlayParkError as refusal:
            self.say(refusal.message, refused=True)
            self.after_refusal()
        finally:
            self._busy = False
