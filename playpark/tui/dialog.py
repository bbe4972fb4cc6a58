"""Dialogs: the question above, the error above the keys, always in the same place (SCREENS)."""

from collections.abc import Iterable
from typing import ClassVar, TypeVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Static

from playpark.tui.text import keys_text, safe

R = TypeVar("R")


class Dialog(ModalScreen[R]):
    """A question over a dimmed screen. Subclasses add their fields in `fields()`."""

    DEFAULT_CSS = """
    Dialog { align: center middle; background: $background 70%; }
    Dialog > #box {
        width: 66; max-width: 96%; height: auto; max-height: 94%;
        padding: 1 2 0 2; background: $surface; border: round $primary;
        border-title-color: $primary; border-title-style: bold;
    }
    Dialog #error { height: auto; min-height: 1; color: $error; margin-top: 1; }
    Dialog #keys { height: 1; }
    Dialog Input { border: none; height: 1; padding: 0 1; background: $panel; }
    Dialog Input:focus { border: none; background: $secondary; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [("escape", "cancel", "Cancel")]
    KEYS: ClassVar[Iterable[tuple[str, str]]] = (("Esc", "back"),)

    def __init__(self, question: str) -> None:
        super().__init__()
        self._question = safe(question)

    def compose(self) -> ComposeResult:
        with Vertical(id="box") as box:
            box.border_title = Text(self._question)
            yield from self.fields()
            yield Static(id="error", markup=False)
            yield Static(keys_text(self.KEYS), id="keys")

    def fields(self) -> ComposeResult:
        """What stands between the question and the error."""
        yield from ()

    def refuse(self, sentence: str) -> None:
        """Say why it does not go on; an empty sentence clears the place."""
        self.query_one("#error", Static).update(Text(safe(sentence)))

    def action_cancel(self) -> None:
        self.dismiss(None)


class Confirm(Dialog[bool]):
    """Yes or no, with the reason to ask. Enter says no: what is asked here is unusual."""

    BINDINGS: ClassVar[list[BindingType]] = [
        ("y", "answer(True)", "Yes"),
        ("n,enter,escape", "answer(False)", "No"),
    ]
    KEYS: ClassVar[Iterable[tuple[str, str]]] = (("Y", "yes"), ("N Enter", "no"))

    def __init__(self, question: str, reason: str) -> None:
        super().__init__(question)
        self._reason = safe(reason)

    def fields(self) -> ComposeResult:
        yield Static(Text(self._reason))

    def action_answer(self, answer: bool) -> None:
        self.dismiss(answer)
