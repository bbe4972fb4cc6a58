"""What stands on the gate's screen at a moment: answer, last scans, figures (no Textual).

Times are monotonic seconds, passed in. An answer holds for four seconds or until the next
showing; codes of one picture are answered together, and one NO among them is a NO.
"""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from gate.answers import BY_HAND, NO_ZONE, SCAN, Answer, Level, Scan, unanswered
from gate.history import may_be_annulled
from gate.tally import Tally

HOLD = 4.0
LAST = 20
_WORST_FIRST = (Level.OFFLINE, Level.FAIL, Level.CHECKING, Level.PASS)


class Board:
    """Takes scans, tells what to show."""

    def __init__(self, tally: Tally) -> None:
        self.tally = tally
        self._rows: OrderedDict[tuple[int, bool], Scan] = OrderedDict()
        self._group: dict[int, Scan] = {}
        self._together = -1
        self._changed_at = 0.0
        self._said: Answer | None = None
        self._said_at = 0.0

    def take(self, scan: Scan, at: float) -> None:
        """A showing began or was answered; PASS and FAIL come once for each."""
        late = scan.answer.level is Level.LATE
        self._rows[scan.number, late] = scan
        while len(self._rows) > LAST:
            self._rows.popitem(last=False)
        self.tally.add(scan, at)
        if late or scan.together < self._together:
            return  # its guest has gone: the panel belongs to the one who stands here
        if scan.together > self._together:
            self._together, self._group = scan.together, {}
        self._group[scan.number] = scan
        self._said = None
        self._changed_at = at

    def say(self, answer: Answer, at: float, *, of: Scan | None = None) -> None:
        """What came of a key, on the panel until the next showing. It takes the place of the scan
        that it is `of`, or of every answer that stands; a guest who is being checked stays."""
        self._said, self._said_at = answer, at
        gone = {of.number} if of else set(self._group)
        self._group = {
            number: scan
            for number, scan in self._group.items()
            if number not in gone or scan.answer.level is Level.CHECKING
        }

    def restore(self, scans: Sequence[Scan], now: datetime) -> None:
        """Scans of an earlier run, the newest first: they count for today, the last of them
        stand in the list below those of this run."""
        self.tally.restore(scans, now)
        older = {(scan.number, False): scan for scan in reversed(scans[:LAST])}
        self._rows = OrderedDict(list((older | self._rows).items())[-LAST:])

    def rows(self) -> list[Scan]:
        """The last scans, newest first."""
        return list(reversed(self._rows.values()))

    # --- taking back --------------------------------------------------------------------

    def annullable(self, now: datetime) -> list[Scan]:
        """The entries among the last scans that may be taken back, newest first (R50)."""
        return [scan for scan in self.rows() if may_be_annulled(scan, now)]

    def annulled(self, scan: Scan, now: datetime) -> None:
        """Mark an entry as taken back: it counts no more."""
        self.tally.take_back(scan, now)
        for key, row in self._rows.items():
            if row.op_id == scan.op_id:
                self._rows[key] = replace(row, annulled=True)

    # --- the panel ----------------------------------------------------------------------

    def answer(self, at: float) -> Answer | None:
        """What is said to the guest who stands here; None where nobody is waiting."""
        answers = [scan.answer for scan in self._group.values()]
        waiting = any(answer.level is Level.CHECKING for answer in answers)
        if not answers or (not waiting and at - self._changed_at >= HOLD):
            return self._said if at - self._said_at < HOLD else None
        if len(answers) == 1:
            return answers[0]
        worst = min(answers, key=lambda answer: _WORST_FIRST.index(answer.level))
        passed = sum(answer.level is Level.PASS for answer in answers)
        return replace(worst, headline=f"{passed} OF {len(answers)} PASS", redemption=None)


def idle(
    *,
    online: bool,
    alone: bool = False,
    error: str | None = None,
    fault: str | None = None,
    camera: bool = True,
    placed: bool = True,
    going_out: bool = False,
) -> Answer:
    """What stands there while nobody shows a ticket. `alone`: the gate decides without the server,
    so no guest has to know that it is away. `error`: why the server does not take this device;
    `fault`: why there is no picture; `camera`: whether there is meant to be one; `placed`: whether
    the gate's zone is still one of the store's; `going_out`: an exit, which lets everybody pass and
    so must not be taken for an entry."""
    if not alone and (not online or error is not None):
        return unanswered(online=online, error=error)
    if not placed:
        return NO_ZONE
    if fault is not None:
        return Answer(
            Level.OFFLINE,
            "NO CAMERA",
            "TYPE OR SCAN",
            f"{fault} A hand scanner and typed codes still work.",
            "กล้องไม่ทำงาน ใช้เครื่องสแกนมือ หรือพิมพ์รหัสใต้ QR",
        )
    ready = SCAN if camera else BY_HAND
    return replace(ready, headline="WAY OUT") if going_out else ready
