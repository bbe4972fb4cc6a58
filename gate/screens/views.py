"""What there is to read at a gate: the last twenty scans, all figures, help (SCREENS)."""

from collections.abc import Iterable, Sequence

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.widgets import Static

from gate.answers import Level
from gate.desk import Desk
from gate.entry import Entry
from gate.screens.overlay import ReadOnly
from gate.tally import Figures
from gate.widgets.figures import inside, number
from gate.widgets.rows import MARKS, scan_row
from playpark.tui import keys_text, safe
from playpark.tui.theme import ACCENT, MUTED, WARN

Key = tuple[str, str]


class LastScans(ReadOnly):
    """The last twenty scans of this gate, newest first."""

    def __init__(self, desk: Desk, entry: Entry) -> None:
        super().__init__(desk, entry, "The last 20 scans", "f5")

    def parts(self) -> ComposeResult:
        width = min(self.app.size.width - 8, 100)
        scans = self.desk.board.rows()
        rows = [scan_row(scan, self.desk.park_zone, width) for scan in scans]
        empty = Text(" No scans yet.", style=MUTED)
        with VerticalScroll(id="reading"):
            yield Static(Text("\n", no_wrap=True).join(rows) if rows else empty)


class AllFigures(ReadOnly):
    """Today and since the start: guests, and every reason of a refusal."""

    def __init__(self, desk: Desk, entry: Entry) -> None:
        super().__init__(desk, entry, "Figures of this gate", "f6")

    def parts(self) -> ComposeResult:
        tally = self.desk.board.tally
        today, start = tally.today(self.desk.now), tally.since_start
        rows = [("", "today", "since start"), *_guests(today, start), *_reasons(today, start)]
        rows.append(("scans a minute", str(tally.per_minute(self.desk.at)), ""))
        rows.append(
            ("guests inside", (inside(self.desk) or "not known").removeprefix("inside "), "")
        )
        text = Text(no_wrap=True)
        for place, (name, first, second) in enumerate(rows):
            style = MUTED if not place else ""
            text.append(f"{name:<24}{first:>12}{second:>14}\n", style=style)
        text.append("Today is the park's business day: it begins at 04:00.", style=MUTED)
        with VerticalScroll(id="reading"):
            yield Static(text)


def _guests(today: Figures, start: Figures) -> Iterable[tuple[str, str, str]]:
    yield "let in", number(today.admitted), number(start.admitted)
    yield "let out", number(today.left), number(start.left)
    yield "refused", number(today.refused), number(start.refused)


def _reasons(today: Figures, start: Figures) -> Iterable[tuple[str, str, str]]:
    everything = today.reasons | start.reasons
    ranked = sorted(everything.items(), key=lambda item: (-item[1], item[0]))
    for reason, count in ranked:
        if count > 0:
            now, since = today.reasons[reason], start.reasons[reason]
            yield f"  {reason.lower()}", number(max(now, 0)), number(max(since, 0))


_WORDS = (
    (Level.PASS, "PASS", "green, one tone", "Let the guest in. Under it: what is left."),
    (Level.FAIL, "NO", "red, three tones", "Do not let the guest in. Under it: why."),
    (Level.CHECKING, "CHECKING", "blue", "The server is asked: wait."),
    (Level.OFFLINE, "MOMENT", "yellow", "No answer yet: hold the ticket there."),
    (Level.OFFLINE, "OFFLINE", "yellow", "The server does not answer."),
    (Level.OFFLINE, "NO CAMERA", "yellow", "No picture: hand scanner and typing work."),
    (Level.LATE, "LATE", "in the list", "Answered when the guest had gone. PASS: supervisor."),
    (Level.ANNULLED, "ANNULLED", "yellow", "An entry was taken back."),
)
_OFFLINE = (
    (
        "The gate decides by its own list where the server does not answer, and says so: "
        '"decided by this gate". The status bar tells how old that list is; tickets sold since are '
        "not on it."
    ),
    (
        "Tickets that it cannot decide wait: OFFLINE. Send those guests to the supervisor. Nothing "
        "is lost: what was scanned is sent when the line is back."
    ),
    "Check the network cable and the power of the switch. Typed codes need the server.",
    "เมื่อออฟไลน์ ประตูตัดสินจากรายการในเครื่อง ถ้าขึ้น OFFLINE ให้เรียกหัวหน้างาน",
)


class Help(ReadOnly):
    """The keys that work now, what each word and colour means, what to do without the server."""

    def __init__(self, desk: Desk, entry: Entry, works: Sequence[Key]) -> None:
        super().__init__(desk, entry, "Help · วิธีใช้", "f1")
        self._works = works

    def parts(self) -> ComposeResult:
        with VerticalScroll(id="reading"):
            yield Static(self._text())

    def _text(self) -> Text:
        text = Text()
        _heading(text, "Keys that work now")
        for key, what in self._works:
            text.append_text(keys_text([(f"{key:<7}", what)]))
            text.append("\n")
        text.append("Letters and digits type the code below a QR code; a hand scanner does too.\n")
        _heading(text, "Words")
        for level, word, colour, meaning in _WORDS:
            mark, style = MARKS[level]
            text.append(f"{mark} {word:<10}", style=f"bold {style}")
            text.append(f"{colour:<17}", style=MUTED)
            text.append(f"{meaning}\n")
        _heading(text, "Without the server")
        for sentence in _OFFLINE:
            text.append(f"{sentence}\n")
        if notes := self.desk.troubles:
            _heading(text, "This gate")
            text.append("\n".join(map(safe, notes)), style=WARN)
        return text


def _heading(text: Text, words: str) -> None:
    if text:
        text.append("\n")
    text.append(f"{words}\n", style=f"bold {ACCENT}")
