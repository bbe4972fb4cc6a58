"""The quarantine on the screen: what was refused, how much money it is, why, what to do (R35)."""

from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import ClassVar, NamedTuple
from zoneinfo import ZoneInfo

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.widgets import Static

from playpark.money import format_satang
from playpark.tui import Dialog, Rows, safe
from playpark.tui.theme import BRIGHT, MUTED
from terminal.refused import Refusal, money


class Deed(StrEnum):
    RETRY = "retry"
    HAND_OVER = "hand_over"
    EXPORT = "export"


class Decided(NamedTuple):
    """What to do, and with which operation; an export takes all."""

    deed: Deed
    op_id: str


class QuarantineDialog(Dialog[Decided]):
    """`said` is what came of the last deed."""

    BINDINGS: ClassVar[list[BindingType]] = [
        ("r", "do('retry')", "Send again"),
        ("h", "do('hand_over')", "Hand over"),
        ("x", "do('export')", "Export"),
    ]
    KEYS: ClassVar[Iterable[tuple[str, str]]] = (
        ("R", "send again"),
        ("H", "hand over"),
        ("X", "export all"),
        ("↑↓", "choose"),
        ("Esc", "back"),
    )

    def __init__(self, refusals: Sequence[Refusal], zone: ZoneInfo, said: str = "") -> None:
        worth = sum(each.amount or 0 for each in refusals)
        super().__init__(f"Refused by the server: {len(refusals)}, {format_satang(worth)} baht")
        self._refusals = refusals
        self._zone = zone
        self._said = said

    def fields(self) -> ComposeResult:
        rows = [
            (
                f"{each.occurred_at.astimezone(self._zone):%d %b %H:%M} {each.what}",
                money(each.amount),
            )
            for each in self._refusals
        ]
        yield Rows(rows, empty="Nothing was refused.")
        yield Static(id="why")

    def on_mount(self) -> None:
        rows = self.query_one(Rows)
        rows.focus()
        self.watch(rows, "marked", self._explain)
        self.refuse(self._said)

    def on_rows_taken(self, event: Rows.Taken) -> None:
        event.stop()  # Enter decides nothing: each deed has its key

    def action_do(self, deed: str) -> None:
        if self._refusals:
            marked = self._refusals[self.query_one(Rows).marked]
            self.dismiss(Decided(Deed(deed), marked.op_id))

    def _explain(self) -> None:
        if not self._refusals:
            return
        marked = self._refusals[self.query_one(Rows).marked]
        text = Text(f"\n{safe(marked.why)}\n", style=BRIGHT)
        office = (
            "The office has it in its list too: hand it over, and it is settled there."
            if marked.at_office
            else "The server does not say that it keeps it: export it and give the office the file."
        )
        text.append(office, style=MUTED)
        self.query_one("#why", Static).update(text)
