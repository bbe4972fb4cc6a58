"""The screen at the gate: one word in a colour, the reason, words for the guest (SCREENS, R53)."""

from collections.abc import Callable
from typing import ClassVar

from rich.text import Text
from textual import events
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.message import Message
from textual.screen import Screen
from textual.widgets import Static

from gate.admission import Code
from gate.answers import Answer, Level, Scan
from gate.bigtext import small, tall
from gate.board import Board, idle
from gate.station import Station
from gate.wedge import Wedge
from playpark.clock import park_zone
from playpark.contracts.tickets import Direction
from playpark.ids import normalise_short_code
from playpark.tui import StatusBar, fit, keys_text, safe
from playpark.tui.theme import ACCENT, BAD, GOOD, MUTED, WARN

REFRESH_S = 0.25
MARGIN = 4
_MARKS = {
    Level.READY: ("·", MUTED),
    Level.CHECKING: ("…", ACCENT),
    Level.PASS: ("✓", GOOD),
    Level.FAIL: ("✗", BAD),
    Level.OFFLINE: ("○", WARN),
    Level.LATE: ("!", WARN),
}
_KEYS = (("F2", "zone"), ("F3", "entry/exit"), ("Ctrl+Q", "quit"))


class ScanScreen(Screen[None]):
    """Shows the station's board. Every key goes to the entry line: typed codes and hand
    scanners need no focus."""

    VERTICAL_BREAKPOINTS = [(0, "-short"), (34, "-tall")]  # noqa: RUF012 - as Screen declares it
    BINDINGS: ClassVar[list[BindingType]] = [
        ("f2", "zone", "Zone"),
        ("f3", "turn", "Entry or exit"),
    ]

    class ZoneAsked(Message):
        """Somebody wants another zone."""

    def __init__(self, station: Station, board: Board, stopped: Callable[[], str | None]) -> None:
        super().__init__()
        self._station = station
        self._board = board
        self._stopped = stopped
        self._wedge = Wedge()
        self._zone = park_zone(None)

    def compose(self) -> ComposeResult:
        yield StatusBar()
        with Vertical(id="panel"):
            for part in ("word", "headline", "english", "thai"):
                yield Static(id=part, markup=False)
        yield Static(id="counters", markup=False)
        yield Static(id="rows", markup=False)
        yield Static(id="entry", markup=False)

    def on_mount(self) -> None:
        identity = self._station.store.identity
        if identity is not None and identity.store is not None:
            self._zone = park_zone(identity.store.tz)
        self.renew()
        self.set_interval(REFRESH_S, self.renew)

    def on_resize(self) -> None:
        self.renew()

    # --- keys ---------------------------------------------------------------------------

    def on_key(self, event: events.Key) -> None:
        if event.key == "enter":
            self._enter(event.time)
        elif event.key == "backspace":
            self._wedge.backspace()
        elif event.key == "escape":
            self._wedge.clear()
        elif event.is_printable and event.character:
            self._wedge.key(event.character, event.time)
        else:
            return
        event.stop()
        self._show_entry()

    def on_paste(self, event: events.Paste) -> None:
        """A pasted text, and a scanner whose burst the terminal delivers as one."""
        self._wedge.paste(event.text.rstrip("\r\n"), event.time)
        if event.text.endswith(("\r", "\n")):
            self._enter(event.time)
        self._show_entry()

    def action_zone(self) -> None:
        self.post_message(self.ZoneAsked())

    def action_turn(self) -> None:
        admission = self._station.admission
        entry = admission.direction is Direction.ENTRY
        admission.direction = Direction.EXIT if entry else Direction.ENTRY
        self.query_one(StatusBar).renew()

    def _enter(self, at: float) -> None:
        if keyed := self._wedge.enter(at):
            # A short code that arrives in a burst was pasted, or printed as a barcode.
            typed = not keyed.scanned or normalise_short_code(keyed.text) is not None
            self._station.keyed.put_nowait(Code(keyed.text, typed=typed, keyed=keyed.scanned))

    # --- picture ------------------------------------------------------------------------

    def renew(self) -> None:
        """Draw what the board says now."""
        at = self._station.monotonic()
        self._show_answer(self._board.answer(at) or self._idle())
        self._show_counters(at)
        self._show_rows()
        self._show_entry()

    def _idle(self) -> Answer:
        sync = self._station.engine.state
        return idle(
            online=sync.online,
            error=sync.last_error,
            fault=self._stopped() or self._station.fault,
            camera=self._station.source is not None,
        )

    def _show_answer(self, answer: Answer) -> None:
        panel = self.query_one("#panel")
        panel.set_classes(answer.level.value)
        width = max(20, self.size.width - MARGIN)
        self._put("word", "\n".join(tall(answer.word, width)))
        self._put("headline", "\n".join(small(safe(answer.headline), width)))
        self._put("english", safe(answer.detail_en))
        self._put("thai", safe(answer.detail_th))

    def _show_counters(self, at: float) -> None:
        counters = self._board.counters(at)
        going = "in" if self._station.admission.direction is Direction.ENTRY else "out"
        waiting = self._station.engine.queued
        parts = [
            f"{counters.admitted:,} {going}".replace(",", " "),
            f"{counters.refused} refused",
            f"{counters.per_minute}/min",
        ]
        if waiting:
            parts.append(f"{waiting} waiting for the server")
        if self._station.decoder.note and self.size.width >= 120:
            parts.append(self._station.decoder.note)
        self._put("counters", " since start: " + " · ".join(parts))

    def _show_rows(self) -> None:
        rows = self.query_one("#rows", Static)
        scans = self._board.rows()[: max(0, rows.size.height)]
        lines = [self._row(scan) for scan in scans]
        rows.update(Text("\n").join(lines) if lines else Text(" No scans yet.", style=MUTED))

    def _row(self, scan: Scan) -> Text:
        answer = scan.answer
        mark, colour = _MARKS[answer.level]
        clock = f"{scan.at.astimezone(self._zone):%H:%M:%S}"
        says = answer.detail_en if answer.level is Level.LATE else answer.headline
        if answer.redemption is not None and answer.redemption.package_name:
            says = f"{says} · {answer.redemption.package_name}"
        return Text.assemble(
            (f" {clock} ", MUTED),
            (f"{mark} {answer.word.rstrip('…'):<9}", colour),
            f"{fit(scan.code, 13)} ",
            fit(says, max(1, self.size.width - 36)),
        )

    def _show_entry(self) -> None:
        typed = self._wedge.text
        entry = self.query_one("#entry", Static)
        if typed:
            room = max(1, self.size.width - 4)
            entry.update(Text(f" ▸ {safe(typed)[-room:]}", style="bold"))
        else:
            entry.update(Text.assemble(" type a code + Enter   ", keys_text(_KEYS)))

    def _put(self, part: str, text: str) -> None:
        self.query_one(f"#{part}", Static).update(Text(text))
