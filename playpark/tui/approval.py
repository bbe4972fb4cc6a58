"""Somebody else's yes in place: what, whose, how much, why; a PIN; nothing else moves (R42)."""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.widgets import Input, Static

from playpark.device import RecentEmployee
from playpark.errors import PlayParkError
from playpark.tui.dialog import Dialog
from playpark.tui.field import Field
from playpark.tui.text import keys_text, safe
from playpark.tui.theme import BRIGHT, MUTED

AskFor = Callable[[str, str], Awaitable[str]]
"""(email, PIN) to the approval's token."""


class ApprovalDialog(Dialog[str]):
    """Gives the approval's token; None where nobody approved. `rows` say what is asked for.

    ↑ and ↓ go through who may be asked here.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        ("up", "recent(1)", "Someone else"),
        ("down", "recent(-1)", "Someone else"),
    ]
    KEYS: ClassVar[Iterable[tuple[str, str]]] = (
        ("Enter", "approve"),
        ("↑↓", "someone else"),
        ("Tab", "next"),
        ("Esc", "back"),
    )

    def __init__(
        self, rows: Sequence[tuple[str, str]], ask: AskFor, approvers: Sequence[RecentEmployee]
    ) -> None:
        super().__init__("Ask a supervisor")
        self._rows = rows
        self._ask = ask
        self._approvers = approvers
        self._chosen = 0
        self._busy = False

    def fields(self) -> ComposeResult:
        text = Text()
        for label, value in self._rows:
            text.append(f"{label:<10}", style=MUTED)
            text.append(f"{safe(value)}\n", style=f"bold {BRIGHT}")
        yield Static(text)
        yield Static(Text("Supervisor's email address", style=MUTED))
        yield Field(self._email(), id="who", max_length=180, required=True)
        yield Static(Text("PIN", style=MUTED))
        yield Field(id="pin", password=True, restrict=r"[0-9]*", max_length=8)

    def on_mount(self) -> None:
        who, pin = self.query_one("#who", Field), self.query_one("#pin", Field)
        who.successor = pin
        if len(self._approvers) < 2:
            keys = [each for each in self.KEYS if each[0] != "↑↓"]
            self.query_one("#keys", Static).update(keys_text(keys))
        (pin if who.value else who).focus()

    def action_recent(self, step: int) -> None:
        if self._approvers:
            self._chosen = (self._chosen + step) % len(self._approvers)
            self.query_one("#who", Field).value = self._email()
            self.query_one("#pin", Field).focus()

    def action_cancel(self) -> None:
        if not self._busy:
            self.dismiss(None)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        if not self._busy:
            self._busy = True
            self.refuse("")
            self.run_worker(self._try(), group="approve")

    async def _try(self) -> None:
        who, pin = self.query_one("#who", Field), self.query_one("#pin", Field)
        typed, pin.value = pin.value, ""
        try:
            token = await self._ask(who.value, typed)
        except PlayParkError as refused:
            self.refuse(refused.message)
            pin.focus()
        else:
            self.dismiss(token)
        finally:
            self._busy = False

    def _email(self) -> str:
        return (self._approvers[self._chosen].email or "") if self._approvers else ""
