"""The register's small dialogs: card and QR payments, why a price, papers in doubt."""

from collections.abc import Iterable, Sequence
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.widgets import Input, Static

from playpark.contracts.pricing import PaymentMethod, PricedCart
from playpark.money import format_satang
from playpark.tui import Dialog, Field, safe
from playpark.tui.theme import BRIGHT, MUTED

_HOW = {
    PaymentMethod.CARD: "Take the payment on the card terminal. Enter when it says APPROVED.",
    PaymentMethod.QR: "Let the guest scan and pay. Enter when the money is there.",
}


class TakePayment(Dialog[str]):
    """A payment outside the till: Enter says that the money is taken. Gives the reference."""

    KEYS: ClassVar[Iterable[tuple[str, str]]] = (("Enter", "money is taken"), ("Esc", "back"))

    def __init__(self, method: PaymentMethod, total: int) -> None:
        super().__init__(f"Pay by {'QR' if method is PaymentMethod.QR else method.value}")
        self._method = method
        self._total = total

    def fields(self) -> ComposeResult:
        yield Static(Text(f"{format_satang(self._total)} baht", style=f"bold {BRIGHT}"))
        yield Static(Text(_HOW[self._method]))
        yield Static(Text("\nReference, if there is one", style=MUTED))
        yield Field(id="reference", max_length=100)

    def on_mount(self) -> None:
        self.query_one(Field).focus()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self.dismiss(event.value.strip())


class WhyThisPrice(Dialog[None]):
    """The trace of a line as sentences (R11)."""

    BINDINGS: ClassVar[list[BindingType]] = [("enter,question_mark", "cancel", "Back")]
    KEYS: ClassVar[Iterable[tuple[str, str]]] = (("Enter Esc", "back"),)

    def __init__(self, priced: PricedCart, line: int) -> None:
        super().__init__(f"Why this price? {priced.lines[line].name}")
        self._sentences = [
            safe(step.why) if step.applied else f"Not used: {safe(step.why)}"
            for step in priced.trace
            if step.line in {line, None}
        ]

    def fields(self) -> ComposeResult:
        yield Static(Text("\n".join(f"· {sentence}" for sentence in self._sentences)))


class PapersInDoubt(Dialog[bool]):
    """Papers that may be out already: print again as a copy, or they are there."""

    BINDINGS: ClassVar[list[BindingType]] = [
        ("p", "answer(True)", "Print"),
        ("t", "answer(False)", "There"),
    ]
    KEYS: ClassVar[Iterable[tuple[str, str]]] = (
        ("P", "print again, marked COPY"),
        ("T", "the paper is there"),
        ("Esc", "later"),
    )

    def __init__(self, receipts: Sequence[str]) -> None:
        super().__init__("Look at the printer")
        self._receipts = receipts

    def fields(self) -> ComposeResult:
        shown = ", ".join(safe(receipt) for receipt in self._receipts)
        text = f"Receipt and tickets of {shown} may be on paper already. Are they there?"
        yield Static(Text(text))

    def action_answer(self, again: bool) -> None:
        self.dismiss(again)
