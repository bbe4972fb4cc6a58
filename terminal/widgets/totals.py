"""Total, tender and change, in figures that the guest can read too (SCREENS)."""

from dataclasses import dataclass

from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.widgets import Digits, Static

from playpark.money import format_satang


@dataclass(frozen=True, slots=True)
class Figure:
    """A label and an amount in satang, None for none yet; `mood` is good, bad or empty."""

    label: str
    amount: int | None = None
    mood: str = ""


class Money(Vertical):
    """One figure, three rows high."""

    def compose(self) -> ComposeResult:
        yield Static(classes="label", markup=False)
        yield Digits("")

    def show(self, figure: Figure) -> None:
        self.set_class(figure.mood == "good", "good")
        self.set_class(figure.mood == "bad", "bad")
        self.query_one(Static).update(figure.label)
        amount = "" if figure.amount is None else format_satang(figure.amount)
        self.query_one(Digits).update(amount)


class Totals(Horizontal):
    """The three figures at the foot of the register."""

    def compose(self) -> ComposeResult:
        yield Money(id="total")
        yield Money(id="tender")
        yield Money(id="change")

    def show(self, total: Figure, tender: Figure, change: Figure) -> None:
        for name, figure in (("total", total), ("tender", tender), ("change", change)):
            self.query_one(f"#{name}", Money).show(figure)
