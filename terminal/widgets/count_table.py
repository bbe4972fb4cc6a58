"""The drawer by notes and coins: one widget for all rows, so that fast keys stay in order (R27)."""

from rich.text import Text
from textual import events
from textual.message import Message
from textual.reactive import reactive
from textual.widget import Widget

from playpark.money import format_satang
from playpark.tui.theme import BRIGHT, MUTED

FACES = (100_000, 50_000, 10_000, 5_000, 2_000, 1_000, 500, 200, 100, 50, 25)
"""Notes and coins of the baht, satang."""
MAX_DIGITS = 5


class CountTable(Widget, can_focus=True):
    """Digits go into the marked row; Enter and the arrows move it."""

    marked: reactive[int] = reactive(0)

    class Finished(Message):
        """The key that ends the count."""

    def __init__(self) -> None:
        super().__init__()
        self._typed = dict.fromkeys(FACES, "")

    @property
    def pieces(self) -> dict[int, int]:
        """{face value: pieces}, satang."""
        return {face: int(typed or 0) for face, typed in self._typed.items()}

    def on_key(self, event: events.Key) -> None:
        face = FACES[self.marked]
        match event.key:
            case "enter" | "down" | "tab":
                self.marked = (self.marked + 1) % len(FACES)
            case "up" | "shift+tab":
                self.marked = (self.marked - 1) % len(FACES)
            case "backspace":
                self._typed[face] = self._typed[face][:-1]
            case "ctrl+e" | "f10":
                self.post_message(self.Finished())
            case digit if digit.isascii() and digit.isdecimal():
                self._typed[face] = (self._typed[face] + digit)[:MAX_DIGITS]
            case _:
                return
        event.stop()
        event.prevent_default()
        self.refresh()

    def render(self) -> Text:
        rows = [self._row(index, face) for index, face in enumerate(FACES)]
        total = sum(face * number for face, number in self.pieces.items())
        rows += [
            Text(),
            Text.assemble(("    COUNTED", MUTED), (_money(total, 24), f"bold {BRIGHT}")),
        ]
        return Text("\n", no_wrap=True).join(rows)

    def _row(self, index: int, face: int) -> Text:
        typed, marked = self._typed[face], index == self.marked
        amount = _money(face * int(typed), 14) if typed else ""
        cursor = "_" if marked else ""
        row = Text(f"{'▌' if marked else ' '}{format_satang(face):>9} × ")
        row.append(f"{typed + cursor:>7}", style=f"bold {BRIGHT}")
        row.append(f"{amount:>15}  ", style=MUTED)
        if marked:
            row.stylize("on #24405a")
        return row


def _money(amount: int, columns: int) -> str:
    return f"{format_satang(amount):>{columns}}"
