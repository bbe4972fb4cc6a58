"""What stands on the gate's screen at a moment: answer, counters, last scans (no Textual).

Times are monotonic seconds, passed in. An answer holds for four seconds or until the next
showing; codes of one picture are answered together, and one NO among them is a NO.
"""

from collections import OrderedDict, deque
from dataclasses import dataclass, replace

from gate.answers import BY_HAND, SCAN, Answer, Level, Scan, unanswered

HOLD = 4.0
LAST = 12
MINUTE = 60.0
_WORST_FIRST = (Level.OFFLINE, Level.FAIL, Level.CHECKING, Level.PASS)


@dataclass(frozen=True, slots=True)
class Counters:
    """`admitted` and `refused` since the gate was started; `per_minute` admissions."""

    admitted: int
    refused: int
    per_minute: int


class Board:
    """Takes scans, tells what to show."""

    def __init__(self) -> None:
        self._admitted = self._refused = 0
        self._passes: deque[float] = deque()
        self._rows: OrderedDict[tuple[int, bool], Scan] = OrderedDict()
        self._group: dict[int, Scan] = {}
        self._together = -1
        self._changed_at = 0.0

    def take(self, scan: Scan, at: float) -> None:
        """A showing began or was answered; PASS and FAIL come once for each."""
        late = scan.answer.level is Level.LATE
        self._rows[scan.number, late] = scan
        while len(self._rows) > LAST:
            self._rows.popitem(last=False)
        if late:
            return  # its guest has gone: the panel belongs to the one who stands here
        if scan.answer.level is Level.PASS:
            self._admitted += 1
            self._passes.append(at)
        elif scan.answer.level is Level.FAIL:
            self._refused += 1
        if scan.together < self._together:
            return
        if scan.together > self._together:
            self._together, self._group = scan.together, {}
        self._group[scan.number] = scan
        self._changed_at = at

    def rows(self) -> list[Scan]:
        """The last scans, newest first."""
        return list(reversed(self._rows.values()))

    def counters(self, at: float) -> Counters:
        while self._passes and at - self._passes[0] > MINUTE:
            self._passes.popleft()
        return Counters(self._admitted, self._refused, len(self._passes))

    def answer(self, at: float) -> Answer | None:
        """What is said to the guest who stands here; None where nobody is waiting."""
        answers = [scan.answer for scan in self._group.values()]
        if not answers:
            return None
        waiting = any(answer.level is Level.CHECKING for answer in answers)
        if not waiting and at - self._changed_at >= HOLD:
            return None
        if len(answers) == 1:
            return answers[0]
        worst = min(answers, key=lambda answer: _WORST_FIRST.index(answer.level))
        passed = sum(answer.level is Level.PASS for answer in answers)
        return replace(worst, headline=f"{passed} OF {len(answers)} PASS", redemption=None)


def idle(
    *, online: bool, error: str | None = None, fault: str | None = None, camera: bool = True
) -> Answer:
    """What stands there while nobody shows a ticket. `error`: why the server does not take this
    device; `fault`: why there is no picture; `camera`: whether there is meant to be one."""
    if not online or error is not None:
        return unanswered(online=online, error=error)
    if fault is not None:
        return Answer(
            Level.OFFLINE,
            "NO CAMERA",
            "TYPE OR SCAN",
            f"{fault} A hand scanner and typed codes still work.",
            "กล้องไม่ทำงาน ใช้เครื่องสแกนมือ หรือพิมพ์รหัสใต้ QR",
        )
    return SCAN if camera else BY_HAND
