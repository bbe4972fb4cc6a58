"""A list to choose from, and a single line to type: dialogs that programs put in a row."""

from collections.abc import Callable, Iterable, Sequence
from typing import ClassVar, Generic, TypeVar

from rich.text import Text
from textual import events
from textual.app import ComposeResult
from textual.message import Message
from textual.reactive import reactive
from textual.widget import Widget
from textual.widgets import Input, Static

from playpark.errors import PlayParkError
from playpark.tui.dialog import Dialog
from playpark.tui.field import Field
from playpark.tui.text import fit
from playpark.tui.theme import BRIGHT, MUTED

T = TypeVar("T")
MARKED = "on #24405a"


class Rows(Widget, can_focus=True):
    """Rows of text with one marked; arrows move, Enter takes. Keys stay in their order."""

    DEFAULT_CSS = "Rows { height: auto; max-height: 14; }"

    rows: reactive[Sequence[tuple[str, str]]] = reactive((), layout=True)
    """(text, figure on the right) of each row."""
    marked: reactive[int] = reactive(0)

    class Taken(Message):
        """Enter on a row."""

        def __init__(self, index: int) -> None:
            super().__init__()
            self.index = index

    def __init__(self, rows: Sequence[tuple[str, str]] = (), *, empty: str = "") -> None:
        super().__init__()
        self._empty = empty
        self.set_reactive(Rows.rows, tuple(rows))

    def watch_rows(self) -> None:
        self.marked = min(self.marked, max(len(self.rows) - 1, 0))

    def move(self, step: int) -> None:
        if self.rows:
            self.marked = (self.marked + step) % len(self.rows)

    def on_key(self, event: events.Key) -> None:
        match event.key:
            case "up" | "down":
                self.move(-1 if event.key == "up" else 1)
            case "enter" if self.rows:
                self.post_message(self.Taken(self.marked))
            case digit if digit.isdecimal() and 0 < int(digit) <= len(self.rows):
                self.marked = int(digit) - 1
                self.post_message(self.Taken(self.marked))
            case _:
                return
        event.stop()
        event.prevent_default()

    def get_content_height(self, *_: object) -> int:
        return max(len(self.rows), 1)

    def render(self) -> Text:
        if not self.rows:
            return Text(self._empty, style=MUTED)
        width, height = self.size
        first = max(self.marked - height + 1, 0)
        drawn = []
        for index, (text, figure) in enumerate(self.rows[first : first + height], first):
            number = f"{index + 1}" if index < 9 else " "
            mark = "▌" if index == self.marked else " "
            room = max(width - len(figure) - 5, 1)
            row = Text.assemble(
                (f"{mark}{number} ", MUTED), (fit(text, room), BRIGHT), f" {figure} "
            )
            if index == self.marked:
                row.stylize(MARKED)
            drawn.append(row)
        return Text("\n", no_wrap=True).join(drawn)


class Choose(Dialog[T], Generic[T]):
    """One of several: Enter or its number takes it, Esc none."""

    KEYS: ClassVar[Iterable[tuple[str, str]]] = (
        ("Enter", "take it"),
        ("↑↓ 1-9", "choose"),
        ("Esc", "back"),
    )

    def __init__(
        self,
        question: str,
        options: Sequence[tuple[str, str, T]],
        *,
        empty: str = "There is nothing to choose from.",
    ) -> None:
        """`options` are (text, figure on the right, what is given back)."""
        super().__init__(question)
        self._options = options
        self._empty = empty

    def fields(self) -> ComposeResult:
        yield Rows([(text, figure) for text, figure, _ in self._options], empty=self._empty)

    def on_mount(self) -> None:
        self.query_one(Rows).focus()

    def on_rows_taken(self, event: Rows.Taken) -> None:
        event.stop()
        self.dismiss(self._options[event.index][2])


class Ask(Dialog[T], Generic[T]):
    """One line to type. `read` makes of it what is given back; what it raises is shown."""

    KEYS: ClassVar[Iterable[tuple[str, str]]] = (("Enter", "go on"), ("Esc", "back"))

    def __init__(
        self,
        question: str,
        label: str,
        read: Callable[[str], T],
        *,
        value: str = "",
        max_length: int = 200,
    ) -> None:
        super().__init__(question)
        self._label = label
        self._read = read
        self._value = value
        self._max_length = max_length

    def fields(self) -> ComposeResult:
        yield Static(Text(self._label, style=MUTED))
        yield Field(self._value, id="answer", max_length=self._max_length)

    def on_mount(self) -> None:
        self.query_one(Field).focus()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        try:
            answer = self._read(event.value)
        except PlayParkError as refused:
            self.refuse(refused.message)
        else:
            self.dismiss(answer)
