"""The register's small dialogs: card and QR payments, why a price, papers in doubt."""

from collections.abc import Iterable, Sequence
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import VerticalScroll
from textual.widgets import Input, Static

from playpark.contracts.pricing import PaymentMethod, PricedCart, TraceEntry
from playpark.errors import PlayParkError
from playpark.money import format_satang
from playpark.printing.receipt_notes import offs_of
from playpark.tui import Dialog, Field, safe
from playpark.tui.theme import BRIGHT, MUTED
from terminal.tender import Way

_HOW = {
    PaymentMethod.CARD: "Take the payment on the card terminal. Enter when it says APPROVED.",
    PaymentMethod.QR: "Let the guest scan and pay. Enter when the money is there.",
}
_ELSE = "Take the payment. Enter when the money is there."


class TakePayment(Dialog[str]):
    """A payment outside the till: Enter says that the money is taken. Gives the reference."""

    KEYS: ClassVar[Iterable[tuple[str, str]]] = (("Enter", "money is taken"), ("Esc", "back"))

    def __init__(self, way: Way, due: int) -> None:
        super().__init__(f"Pay by {'QR' if way.method is PaymentMethod.QR else way.method.value}")
        self._way = way
        self._due = due

    def fields(self) -> ComposeResult:
        amount = Text(f"{format_satang(self._due)} baht", style=f"bold {BRIGHT}")
        if self._way.surcharge:
            amount.append(f"   {self._way.name} {self._way.surcharge} contained", style=MUTED)
        yield Static(amount)
        yield Static(Text(_HOW.get(self._way.method, _ELSE)))
        needed = "Reference" if self._way.needs_reference else "Reference, if there is one"
        yield Static(Text(f"\n{needed}", style=MUTED))
        yield Field(id="reference", max_length=100)

    def on_mount(self) -> None:
        self.query_one(Field).focus()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        try:
            self._way.payment(self._due, reference=event.value)
        except PlayParkError as refused:
            self.refuse(refused.message)
        else:
            self.dismiss(event.value.strip())


class Reading(Dialog[None]):
    """Text to read, with arrows where it is longer than the screen."""

    DEFAULT_CSS = "Reading #text { height: auto; max-height: 15; }"
    BINDINGS: ClassVar[list[BindingType]] = [
        ("enter", "cancel", "Back"),
        ("up", "scroll(-1)", "Up"),
        ("down", "scroll(1)", "Down"),
    ]
    KEYS: ClassVar[Iterable[tuple[str, str]]] = (("Enter Esc", "back"), ("↑↓", "move"))

    def __init__(self, heading: str, text: Text) -> None:
        super().__init__(heading)
        self._text = text

    def fields(self) -> ComposeResult:
        with VerticalScroll(id="text", can_focus=False):
            yield Static(self._text)

    def action_scroll(self, step: int) -> None:
        self.query_one(VerticalScroll).scroll_relative(y=step, animate=False)


class WhyThisPrice(Reading):
    """The trace of a line and of the whole sale as sentences (R11)."""

    BINDINGS: ClassVar[list[BindingType]] = [("question_mark", "cancel", "Back")]

    def __init__(self, priced: PricedCart, line: int) -> None:
        steps = [step for step in priced.trace if concerns(step, line)]
        sentences = Text("\n").join(_sentence(step) for step in steps)
        super().__init__(f"Why this price? {priced.lines[line].name}", sentences)


def concerns(step: TraceEntry, line: int) -> bool:
    """Whether a step of the trace is about this line, or about the whole sale."""
    if step.line is not None:
        return step.line == line
    lines = offs_of(step)
    return not lines or line in lines


def _sentence(step: TraceEntry) -> Text:
    why = safe(step.why)
    if not step.applied:
        return Text(f"· Not used: {why}", style=MUTED)
    return Text(f"· {why}", style=BRIGHT if step.rule_id else "")


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
        text = f"A paper of {shown} may be out already. Is it there?"
        yield Static(Text(text))

    def action_answer(self, again: bool) -> None:
        self.dismiss(again)
