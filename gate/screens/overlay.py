"""What stands over the scan screen: it never swallows a ticket (SCREENS).

A hand scanner types wherever it is pointed. So letters and digits go to the entry line from here
too, and no letter answers a question: only keys that no scanner has do.
"""

from collections.abc import Iterable, Sequence
from typing import ClassVar, TypeVar

from rich.text import Text
from textual import events
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.timer import Timer
from textual.widget import Widget
from textual.widgets import Static

from gate.desk import Desk
from gate.entry import Entry
from gate.widgets.panel import Banner
from playpark.tui import fit, keys_text, safe
from playpark.tui.theme import MUTED

R = TypeVar("R")
REFRESH_S = 0.25
_SCROLLS = {"up": -1, "down": 1, "pageup": -10, "pagedown": 10}
TYPED_S = 0.4
"""After the last key of a burst."""
MARKED = "on #24405a"


class Overlay(ModalScreen[R]):
    """A box over the dimmed screen, the answer to whoever shows a ticket above it."""

    AUTO_FOCUS = ""
    VERTICAL_BREAKPOINTS = [(0, "-tiny"), (20, "-short"), (34, "-tall")]  # noqa: RUF012 - as Screen declares it
    BINDINGS: ClassVar[list[BindingType]] = [("escape", "back", "Back")]

    def __init__(self, desk: Desk, entry: Entry, title: str) -> None:
        super().__init__()
        self.desk = desk
        self.entry = entry
        self._title = safe(title)

    def compose(self) -> ComposeResult:
        yield Banner()
        with Vertical(id="box") as box:
            box.border_title = Text(self._title)
            yield from self.parts()
            yield Static(keys_text(self.keys()), id="keys")

    def parts(self) -> ComposeResult:
        """What stands between title and keys."""
        yield from ()

    def keys(self) -> Iterable[tuple[str, str]]:
        """The keys that work here, and what they do."""
        yield ("Esc", "back")

    def on_mount(self) -> None:
        self.entry.clear()
        self.renew()
        self.set_interval(REFRESH_S, self.renew)

    def renew(self) -> None:
        """Draw what the board says now."""
        self.query_one(Banner).answer = self.desk.board.answer(self.desk.at)

    def say_keys(self) -> None:
        self.query_one("#keys", Static).update(keys_text(self.keys()))

    def typed(self) -> None:
        """A letter or a digit went to the entry line."""

    def pressed(self, key: str) -> bool:
        """A key that types nothing; whether it meant something here."""
        del key
        return False

    def action_back(self) -> None:
        self.dismiss(None)

    def on_key(self, event: events.Key) -> None:
        if event.key == "enter" and self.entry.text:
            if not self.entry.enter(event.time):
                self.entry.clear()
        elif event.key != "enter" and event.is_printable and event.character:
            self.entry.key(event.character, event.time)
            self.typed()
        elif not self.pressed(event.key):
            return
        event.stop()
        event.prevent_default()

    def on_paste(self, event: events.Paste) -> None:
        self.entry.paste(event.text, event.time)
        event.stop()


class ReadOnly(Overlay[None]):
    """Something to read. It goes by itself when somebody types or shows a ticket; the key that
    opened it closes it too."""

    def __init__(self, desk: Desk, entry: Entry, title: str, key: str) -> None:
        super().__init__(desk, entry, title)
        self._key = key
        self._going: Timer | None = None

    def keys(self) -> Iterable[tuple[str, str]]:
        return ((f"{self._key.upper()} Esc", "back"), ("↑↓", "read on"))

    def typed(self) -> None:
        # Not in the midst of a burst: keys that are under way to a screen are lost with it.
        if self._going is not None:
            self._going.stop()
        self._going = self.set_timer(TYPED_S, self.go)

    def go(self) -> None:
        """Leave the place to the answer."""
        if self.is_current:
            self.dismiss()

    def pressed(self, key: str) -> bool:
        if key in {self._key, "enter"}:
            self.go()
            return True
        if key not in _SCROLLS:
            return False
        for reading in self.query(VerticalScroll):
            reading.scroll_relative(y=_SCROLLS[key], animate=False)
        return True


class Lines(Widget):
    """Rows of text, one of them marked; the marked one is always in sight."""

    def __init__(self, *, empty: str = "") -> None:
        super().__init__(id="lines")
        self.marked = 0
        self._rows: Sequence[Text] = ()
        self._empty = empty

    def show(self, rows: Sequence[Text]) -> None:
        self._rows = rows
        self.marked = min(self.marked, max(len(rows) - 1, 0))
        self.styles.height = max(len(rows), 1)
        self.refresh(layout=True)

    def move(self, step: int) -> None:
        if self._rows:
            self.marked = (self.marked + step) % len(self._rows)
            self.refresh()

    def render(self) -> Text:
        if not self._rows:
            return Text(self._empty, style=MUTED)
        width, height = self.size
        first = min(max(self.marked - height // 2, 0), max(len(self._rows) - height, 0))
        drawn = []
        for place, text in enumerate(self._rows[first : first + height], first):
            row = text.copy()
            row.truncate(width, pad=True)
            if place == self.marked:
                row.stylize(MARKED)
            drawn.append(row)
        return Text("\n", no_wrap=True).join(drawn)


class Question(Overlay[R]):
    """One of several lines is chosen with the arrows and `TAKE`, a key that no scanner sends."""

    TAKE: ClassVar[tuple[str, ...]] = ("enter",)

    def parts(self) -> ComposeResult:
        yield Lines()

    def pressed(self, key: str) -> bool:
        lines = self.query_one(Lines)
        match key:
            case "up" | "down":
                lines.move(-1 if key == "up" else 1)
            case "home" | "end":
                lines.marked = 0 if key == "home" else -1
                lines.move(0)
            case taking if taking in self.TAKE:
                self.take(lines.marked)
            case _:
                return False
        return True

    def take(self, marked: int) -> None:
        """The marked line was chosen."""
        raise NotImplementedError


def line(text: str, width: int = 60) -> Text:
    """A row of foreign text, cut to `width` columns."""
    return Text(fit(f" {text}", width), no_wrap=True)
