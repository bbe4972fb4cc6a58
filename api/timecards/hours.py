"""What a card's entries amount to: its breaks, its end, its minutes. Pure.

Each moment counts as the minute that it shows, its seconds are cut off: so worked and break
minutes of a card are the minutes between its ends, and cards add up to the hours of a month. It is
reckoned in UTC, so a clock that is put forward or back in the night changes nothing.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from playpark.contracts.timecards import Break, TimecardEvent


@dataclass(frozen=True, slots=True)
class Punch:
    """One event of a card; what is not `counted` changes neither breaks nor minutes."""

    event: TimecardEvent
    at: datetime
    counted: bool = True


Span = tuple[int, int]
"""From one minute to another, half-open."""


@dataclass(slots=True)
class Shape:
    """A card as its entries have it."""

    began: datetime
    ended: datetime | None = None
    breaks: list[Break] = field(default_factory=list)

    def on_break(self, until: datetime) -> list[Span]:
        """The breaks of the card, an open one until then."""
        last = self.ended or until
        return [span(each.start_at, each.end_at or last) for each in self.breaks]

    def worked(self, until: datetime) -> list[Span]:
        """What lies between its ends and is no break."""
        return subtract(span(self.began, self.ended or until), self.on_break(until))


def shape(entries: Sequence[Punch]) -> Shape:
    """Read a card's entries in their order. One whose first entry does not count has no length:
    it holds an event for which no card was open."""
    first = entries[0]
    found = Shape(first.at, None if first.counted else first.at)
    for entry in (each for each in entries if each.counted):
        resting = found.breaks[-1] if found.breaks and found.breaks[-1].end_at is None else None
        if entry.event is TimecardEvent.BREAK_START:
            found.breaks.append(Break(start_at=entry.at, end_at=None))
        elif entry.event is not TimecardEvent.CLOCK_IN and resting is not None:
            # Whoever goes home during a break has ended it.
            found.breaks[-1] = Break(start_at=resting.start_at, end_at=entry.at)
        if entry.event is TimecardEvent.CLOCK_OUT:
            found.ended = entry.at
    return found


def span(start: datetime, end: datetime) -> Span:
    begin = _minute(start)
    return begin, max(begin, _minute(end))


def _minute(moment: datetime) -> int:
    return int(moment.timestamp()) // 60


def subtract(whole: Span, holes: Iterable[Span]) -> list[Span]:
    """What is left of `whole` between the holes."""
    start, end = whole
    left = []
    for hole_start, hole_end in sorted(holes):
        if hole_start > start:
            left.append((start, min(hole_start, end)))
        start = max(start, hole_end)
    if start < end:
        left.append((start, end))
    return left


def minutes(spans: Iterable[Span]) -> int:
    """The minutes that lie in at least one of the spans."""
    total, reached = 0, None
    for start, end in sorted(spans):
        begin = start if reached is None else max(start, reached)
        total += max(0, end - begin)
        reached = max(begin, end)
    return total
