"""The guest did not go in after all: which entry is taken back (R50)."""

from collections.abc import Iterable

from rich.text import Text
from textual.app import ComposeResult
from textual.widgets import Static

from gate.answers import Scan
from gate.desk import Desk
from gate.entry import Entry
from gate.screens.overlay import Lines, Question
from gate.widgets.rows import scan_row

HINT = (
    "Only where the guest stayed outside, such as when the turnstile jammed. The ticket gets its "
    "entry back.\nใช้เมื่อลูกค้าไม่ได้เข้าไปจริงเท่านั้น"
)


class AnnulQuestion(Question[Scan]):
    """The entry to take back, None where none is. The newest stands marked."""

    TAKE = ("f8",)

    def __init__(self, desk: Desk, entry: Entry) -> None:
        super().__init__(desk, entry, "The guest did not go in? · ลูกค้าไม่ได้เข้าใช่ไหม")
        self._scans: list[Scan] = []

    def parts(self) -> ComposeResult:
        yield Lines(empty=" No entry of the last 15 minutes is left to take back.")
        yield Static(Text(HINT), id="hint")

    def keys(self) -> Iterable[tuple[str, str]]:
        return (("↑↓", "choose"), ("F8", "yes, take it back"), ("Esc", "no"))

    def on_mount(self) -> None:
        # As of now: a guest who comes meanwhile must not move what is marked.
        self._scans = self.desk.board.annullable(self.desk.now)
        width = min(self.app.size.width - 8, 88)
        zone = self.desk.park_zone
        self.query_one(Lines).show([scan_row(scan, zone, width) for scan in self._scans])

    def take(self, marked: int) -> None:
        self.dismiss(self._scans[marked] if self._scans else None)
