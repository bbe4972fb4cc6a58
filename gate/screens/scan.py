"""The screen at the gate: one word in a colour, the reason, words for the guest (SCREENS, R53)."""

from collections.abc import Iterator
from contextlib import suppress
from typing import ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal
from textual.css.query import NoMatches
from textual.message import Message
from textual.screen import Screen

from gate.desk import Desk
from gate.entry import Entry
from gate.outages import QA_KEYS
from gate.typed import Typed
from gate.widgets.entry_line import EntryLine, Key
from gate.widgets.figures import FiguresRow
from gate.widgets.panel import Panel
from gate.widgets.preview import SHOWN_FROM, Preview
from gate.widgets.rows import LastRows
from gate.widgets.status_bar import GateBar
from playpark.contracts.catalog import SlipPolicy
from playpark.contracts.tickets import Direction

REFRESH_S = 0.25
NOTICE_S = 6.0


class ScanScreen(Screen[None]):
    """Shows the desk's board. Every letter and digit goes to the entry line: typed codes and
    hand scanners need no focus."""

    AUTO_FOCUS = ""
    VERTICAL_BREAKPOINTS = [(0, "-tiny"), (20, "-short"), (34, "-tall")]  # noqa: RUF012 - as Screen declares it
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (110, "-wide")]  # noqa: RUF012
    BINDINGS: ClassVar[list[BindingType]] = [
        ("f1", "ask('help')", "Help"),
        ("f2", "ask('zone')", "Zone"),
        ("f3", "ask('turn')", "Entry or exit"),
        ("f4", "type", "Type a code"),
        ("f5", "ask('scans')", "Last scans"),
        ("f6", "ask('figures')", "Figures"),
        ("f7", "slip", "Slip"),
        ("f8", "ask('annul')", "Annul"),
        ("f9", "preview", "Camera"),
        *((key, f"qa('{key}')", known.name) for key, known in QA_KEYS.items()),
    ]

    class Asked(Message):
        """A key that opens something: `help`, `zone`, `turn`, `scans`, `figures`, `annul`."""

        def __init__(self, what: str) -> None:
            super().__init__()
            self.what = what

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self._desk = desk
        self.entry = Entry(desk.station.keyed, self._refused)
        self._notice = ""
        self._notice_at = 0.0
        self._preview = False

    def compose(self) -> ComposeResult:
        yield GateBar(self._desk)
        yield Panel()
        yield FiguresRow(self._desk)
        with Horizontal(id="below"):
            yield LastRows(self._desk)
            yield Preview(lambda: self._desk.station.picture)
        yield EntryLine(self.entry, lambda: list(self.keys_now()), self._current_notice)

    def on_mount(self) -> None:
        self.renew()
        self.set_interval(REFRESH_S, self.renew)

    def on_resize(self) -> None:
        self.renew()

    # --- keys ---------------------------------------------------------------------------

    def keys_now(self) -> Iterator[Key]:
        """The keys that work at this moment, in their order."""
        desk = self._desk
        yield "F1", "help"
        yield "F2", "zone"
        entry = desk.station.admission.direction is Direction.ENTRY
        yield "F3", "exit" if entry else "entry"
        yield "F4", "type code"
        if desk.board.rows():
            yield "F5", "list"
        yield "F6", "figures"
        if desk.slips_due():
            yield "F7", "slip"
        if desk.board.annullable(desk.now):
            yield "F8", "annul"
        if self._may_preview():
            yield "F9", "camera"
        for key, known in desk.station.outages.keys.items():
            yield key.upper(), known.name
        yield "Ctrl+Q", "quit"

    def action_ask(self, what: str) -> None:
        self.post_message(self.Asked(what))

    def action_qa(self, key: str) -> None:
        """Simulate an outage; nothing at a gate that was not started for that."""
        outages = self._desk.station.outages
        if key in outages.keys:
            outages.press(key)
            self.say(f"{outages.banner}.")
            self.renew()

    def action_type(self) -> None:
        self.entry.open()
        self._renew_entry()

    def action_slip(self) -> None:
        if self._desk.slip_policy is SlipPolicy.NEVER:
            self.say("This zone prints no slips.")
        elif count := self._desk.print_slips():
            self.say(f"Printing {count} {'slip' if count == 1 else 'slips'}.")
        else:
            self.say("No entry of the last minute is without its slip.")

    def action_preview(self) -> None:
        if self._may_preview() or self._preview:
            self._preview = not self._preview
            self.renew()
        else:
            self.say("The camera's picture needs a camera and a window of 120x40 or more.")

    def on_key(self, event: events.Key) -> None:
        if event.key == "enter":
            self.entry.enter(event.time)
        elif event.key == "backspace":
            self.entry.backspace()
        elif event.key == "escape":
            self.entry.clear()
        elif event.is_printable and event.character:
            self.entry.key(event.character, event.time)
        else:
            return
        event.stop()
        self._renew_entry()

    def on_paste(self, event: events.Paste) -> None:
        """A pasted text, and a scanner whose burst the terminal delivers as one."""
        self.entry.paste(event.text, event.time)
        self._renew_entry()

    def _refused(self, typed: Typed) -> None:
        self._desk.mistyped(typed)
        if self.is_mounted:
            self.renew()

    # --- picture ------------------------------------------------------------------------

    def say(self, sentence: str) -> None:
        """A sentence on the last row, for a few seconds."""
        self._notice, self._notice_at = sentence, self._desk.at
        self._renew_entry()

    def renew(self) -> None:
        """Draw what the desk says now; nothing while the screen comes or goes."""
        with suppress(NoMatches):
            self._renew()

    def _renew(self) -> None:
        self.query_one(Panel).answer = self._desk.panel()
        for part in (GateBar, FiguresRow, LastRows):
            self.query_one(part).renew()
        preview = self.query_one(Preview)
        preview.display = self._preview and self._may_preview()
        if preview.display:
            preview.refresh()
        self._renew_entry()

    def _renew_entry(self) -> None:
        for line in self.query(EntryLine):
            line.renew()

    def _current_notice(self) -> str | None:
        shown = self._desk.at - self._notice_at < NOTICE_S
        return self._notice if self._notice and shown else None

    def _may_preview(self) -> bool:
        columns, rows = SHOWN_FROM
        roomy = self.size.width >= columns and self.size.height >= rows
        return roomy and self._desk.station.source is not None
