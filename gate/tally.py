"""Guests counted: today and since the gate was started, refusals by their reason.

Today is the store's business day (R30). What was not recorded as an operation is not counted, so
the figures are the same after a restart.
"""

from collections import Counter, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import date, datetime

from gate.answers import Level, Scan

MINUTE = 60.0


@dataclass(slots=True)
class Figures:
    """Guests let in and out, and refusals by the words on the panel."""

    admitted: int = 0
    left: int = 0
    reasons: Counter[str] = field(default_factory=Counter)

    @property
    def refused(self) -> int:
        return self.reasons.total()

    def top(self, most: int) -> list[tuple[str, int]]:
        """The most frequent reasons, in lower case; equal ones by the alphabet."""
        ranked = sorted(self.reasons.items(), key=lambda item: (-item[1], item[0]))
        return [(reason.lower(), count) for reason, count in ranked[:most] if count > 0]


class Tally:
    """Counts scans as they are answered. `day_of` tells the business day of a moment."""

    def __init__(self, day_of: Callable[[datetime], date]) -> None:
        self.since_start = Figures()
        self._today = Figures()
        self._day: date | None = None
        self._day_of = day_of
        self._answered: deque[float] = deque()

    def today(self, now: datetime) -> Figures:
        """The business day's figures so far; a new day begins with none."""
        if (day := self._day_of(now)) != self._day:
            self._day, self._today = day, Figures()
        return self._today

    def per_minute(self, at: float) -> int:
        """Scans answered within the last minute; `at` in monotonic seconds."""
        while self._answered and at - self._answered[0] > MINUTE:
            self._answered.popleft()
        return len(self._answered)

    def add(self, scan: Scan, at: float) -> None:
        """A guest was let through or refused; every other state counts as nothing."""
        if not counts(scan):
            return
        self._answered.append(at)
        for figures in (self.today(scan.at), self.since_start):
            _add(figures, scan, 1)

    def restore(self, scans: Iterable[Scan], now: datetime) -> None:
        """Count scans of an earlier run into their day."""
        today = self.today(now)
        for scan in scans:
            if counts(scan) and self._day_of(scan.at) == self._day:
                _add(today, scan, 1)

    def take_back(self, scan: Scan, now: datetime) -> None:
        """An entry was annulled: it did not happen (R50)."""
        today = self.today(now)
        if self._day_of(scan.at) == self._day:
            _add(today, scan, -1)
        if scan.number > 0:
            _add(self.since_start, scan, -1)


def counts(scan: Scan) -> bool:
    """Whether the scan let somebody through or refused somebody, and was recorded. A late PASS
    let nobody in; a late NO is a guest who was not admitted, unless the gate had decided before:
    then the guest is counted already, and no cause stands there."""
    if scan.op_id is None or scan.annulled:
        return False
    answer = scan.answer
    late_refusal = answer.level is Level.LATE and answer.headline == "NO" and answer.cause
    return answer.level in {Level.PASS, Level.FAIL} or bool(late_refusal)


def _add(figures: Figures, scan: Scan, change: int) -> None:
    answer = scan.answer
    if answer.level is not Level.PASS:
        figures.reasons[answer.reason] += change
    elif answer.going_out:
        figures.left += change
    else:
        figures.admitted += change
