"""The last scans, newest first: a mark, a word, whose code, and why (SCREENS)."""

from datetime import tzinfo

from rich.text import Text

from gate.answers import Level, Scan
from gate.desk import Desk
from gate.widgets.drawn import Drawn
from playpark.tui import fit
from playpark.tui.theme import ACCENT, BAD, GOOD, MUTED, WARN

MARKS = {
    Level.READY: ("·", MUTED),
    Level.CHECKING: ("…", ACCENT),
    Level.PASS: ("✓", GOOD),
    Level.FAIL: ("✗", BAD),
    Level.OFFLINE: ("○", WARN),
    Level.LATE: ("!", WARN),
    Level.ANNULLED: ("↺", WARN),
}
_BEFORE = 36


def scan_row(scan: Scan, zone: tzinfo, width: int) -> Text:
    """One scan in one row."""
    answer = scan.answer
    mark, colour = MARKS[Level.ANNULLED if scan.annulled else answer.level]
    says = answer.detail_en if answer.level is Level.LATE else answer.headline
    if answer.redemption is not None and answer.redemption.package_name:
        says = f"{says} · {answer.redemption.package_name}"
    if answer.local:
        says = f"decided here · {says}"
    if scan.annulled:
        says = f"annulled · {says}"
    return Text.assemble(
        (f" {scan.at.astimezone(zone):%H:%M:%S} ", MUTED),
        (f"{mark} {answer.word.rstrip('…'):<9}", colour),
        f" {fit(scan.code, 13)} ",
        fit(says, max(1, width - _BEFORE)),
        no_wrap=True,
    )


class LastRows(Drawn):
    """As many of the last scans as fit."""

    def __init__(self, desk: Desk) -> None:
        super().__init__(id="rows")
        self._desk = desk

    def draw(self) -> Text:
        width, height = self.size
        scans = self._desk.board.rows()[:height]
        if not scans:
            return Text(" No scans yet.", style=MUTED)
        rows = [scan_row(scan, self._desk.park_zone, width) for scan in scans]
        return Text("\n", no_wrap=True).join(rows)
