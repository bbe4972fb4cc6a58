"""Money in parts: what is due, what is given, what remains; the cursor on the next sensible
amount (SCREENS, R7)."""

from collections.abc import Iterable, Sequence
from typing import ClassVar

from rich.text import Text
from textual import events
from textual.app import ComposeResult
from textual.message import Message
from textual.widget import Widget

from playpark.contracts.pricing import PaymentIn, PaymentMethod
from playpark.errors import PlayParkError
from playpark.money import format_satang
from playpark.tui import Dialog, fit
from playpark.tui.theme import BRIGHT, GOOD, MUTED
from terminal.sale import is_unusual
from terminal.tender import Split, Way
from terminal.widgets.money_field import amount_of

LABEL, FIGURE = 44, 14
_AMOUNT_KEYS = "0123456789.,"


class TenderBoard(Widget, can_focus=True):
    """One widget for all keys, so that fast ones stay in order: digits are the amount of the
    marked way, Enter takes it; without digits it takes what is suggested."""

    class Settled(Message):
        """Everything is paid."""

    class Refused(Message):
        """A sentence for the place of errors; empty to clear it."""

        def __init__(self, sentence: str) -> None:
            super().__init__()
            self.sentence = sentence

    def __init__(self, split: Split, ways: Sequence[Way], total: int) -> None:
        super().__init__()
        self._split = split
        self._ways = ways
        self._total = total
        self._marked = 0
        self._typed = ""
        self._reference: str | None = None
        """What is typed as the reference; None while the amount is typed."""
        self._first_key = 0.0
        self._last_key = 0.0
        self._asked_about = -1

    @property
    def begun(self) -> bool:
        """True while money is given that the sale does not have yet."""
        return bool(self._split.given)

    def get_content_height(self, *_: object) -> int:
        return len(self._ways) + len(self._split.given) + 6

    def on_key(self, event: events.Key) -> None:
        if self._split.settled:
            return
        character = event.character or ""
        match event.key:
            case "enter":
                self._enter()
            case "up" | "down" if self._reference is None:
                self._marked = (self._marked + (1 if event.key == "down" else -1)) % len(self._ways)
                self._typed = ""
            case "backspace":
                self._backspace()
            case _ if event.is_printable and self._reference is not None:
                self._reference = (self._reference + character)[:100]
            case _ if event.is_printable:
                self._first_key = event.time if not self._typed else self._first_key
                self._last_key = event.time
                self._typed = (self._typed + character)[:100]
            case _:
                return
        event.stop()
        event.prevent_default()
        self.refresh(layout=True)

    def _enter(self) -> None:
        way = self._ways[self._marked]
        try:
            amount = self._amount(way)
            cash = way.method is PaymentMethod.CASH
            if cash and is_unusual(amount, self._split.due(way)) and self._asked_about != amount:
                self._asked_about = amount
                message = "That is more than ten times what is due: Enter again if it is right."
                self.post_message(self.Refused(message))
                return
            if self._reference is None and not cash and not way.points:
                self._reference = ""
                self.post_message(self.Refused(""))
                return
            self._split.give(way, amount, self._reference)
        except PlayParkError as refused:
            self._typed = "" if self._reference is None else self._typed
            self.post_message(self.Refused(refused.message))
            return
        self._typed, self._reference, self._marked = "", None, 0
        self.post_message(self.Refused(""))
        if self._split.settled:
            self.post_message(self.Settled())

    def _amount(self, way: Way) -> int:
        if not self._typed:
            return self._split.suggested(way)
        return amount_of(self._typed, self._last_key - self._first_key or None)

    def _backspace(self) -> None:
        if self._reference:
            self._reference = self._reference[:-1]
        elif self._reference is not None:
            self._reference = None
        elif self._typed:
            self._typed = self._typed[:-1]
        elif (back := self._split.take_back()) is not None:
            method = (
                "the guest" if back.method is PaymentMethod.CASH else f"the {back.method.value}"
            )
            given = back.tendered or back.amount
            self.post_message(self.Refused(f"Give {format_satang(given)} back to {method}."))

    # --- drawing --------------------------------------------------------------------------

    def render(self) -> Text:
        rows = [_row("TOTAL", self._total, BRIGHT)]
        rows += [
            _row(f"  given: {way.name}{_reference(payment)}", payment.amount, GOOD)
            for way, payment in self._split.given
        ]
        remains = self._split.due(self._ways[0]) if not self._split.settled else 0
        rows += [_row("REMAINS", remains, f"bold {BRIGHT}"), Text()]
        rows += [self._way(index, way) for index, way in enumerate(self._ways)]
        rows.append(Text())
        if self._reference is None:
            rows.append(Text.assemble(("  Amount     ", MUTED), (f"{self._typed}_", BRIGHT)))
        else:
            rows.append(Text.assemble(("  Reference  ", MUTED), (f"{self._reference}_", BRIGHT)))
        return Text("\n", no_wrap=True).join(rows)

    def _way(self, index: int, way: Way) -> Text:
        marked = index == self._marked
        figure = format_satang(self._split.suggested(way))
        if marked and self._typed:
            figure = ""
        row = Text.assemble(
            "▌ " if marked else "  ",
            (fit(f"{way.name} {way.surcharge}", LABEL - 2), BRIGHT if marked else MUTED),
            (f"{figure:>{FIGURE}}", BRIGHT if marked else MUTED),
        )
        if marked:
            row.stylize("on #24405a")
        return row


class SplitDialog(Dialog[list[PaymentIn]]):
    """Gives the payments once they settle the sale; None where nothing was taken."""

    KEYS: ClassVar[Iterable[tuple[str, str]]] = (
        ("Enter", "take it"),
        ("↑↓", "how"),
        ("⌫", "take back"),
        ("Esc", "back"),
    )

    def __init__(self, split: Split, ways: Sequence[Way], total: int) -> None:
        super().__init__("Pay in parts")
        self._split = split
        self._board = TenderBoard(split, ways, total)

    def fields(self) -> ComposeResult:
        yield self._board

    def on_mount(self) -> None:
        self._board.focus()

    def on_tender_board_refused(self, event: TenderBoard.Refused) -> None:
        event.stop()
        self.refuse(event.sentence)

    def on_tender_board_settled(self, event: TenderBoard.Settled) -> None:
        event.stop()
        self.dismiss(self._split.payments)

    def action_cancel(self) -> None:
        if self._board.begun:
            self.refuse("Money is given already: take it back first, with ⌫.")
        else:
            self.dismiss(None)


def _row(label: str, amount: int, style: str) -> Text:
    return Text.assemble((fit(label, LABEL), MUTED), (f"{format_satang(amount):>{FIGURE}}", style))


def _reference(payment: PaymentIn) -> str:
    return f" {payment.reference}" if payment.reference else ""
