"""Active windows: when something applies, on the park's own clock (R9)."""

from dataclasses import dataclass
from datetime import datetime
from typing import Self
from zoneinfo import ZoneInfo

from playpark.contracts.catalog import ActiveWindow

DAY = 24 * 60
_WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


@dataclass(frozen=True, slots=True)
class Moment:
    """A moment with the park's wall clock: minutes since midnight, weekday with 0 for Monday."""

    at: datetime
    zone: ZoneInfo
    minute: int
    weekday: int

    @classmethod
    def of(cls, at: datetime, zone: ZoneInfo) -> Self:
        local = at.astimezone(zone)
        return cls(at, zone, local.hour * 60 + local.minute, local.weekday())


@dataclass(frozen=True, slots=True)
class Window:
    """An active window, ready to be asked. Half-open in every respect."""

    starts_at: datetime | None
    ends_at: datetime | None
    from_minute: int
    to_minute: int
    weekdays: frozenset[int]
    words: str
    """`Sat, Sun 22:00-02:00`; empty where every day and hour is meant."""

    @classmethod
    def of(cls, view: ActiveWindow | None) -> Self | None:
        """None where nothing limits."""
        if view is None or view == ActiveWindow():
            return None
        days = frozenset(view.weekdays)
        hours = f"{view.from_time or '00:00'}-{view.to_time or '24:00'}"
        named = ", ".join(_WEEKDAYS[day] for day in sorted(days))
        timed = view.from_time is not None or view.to_time is not None
        return cls(
            starts_at=view.starts_at,
            ends_at=view.ends_at,
            from_minute=_minutes(view.from_time, 0),
            to_minute=_minutes(view.to_time, DAY),
            weekdays=days if len(days) < len(_WEEKDAYS) else frozenset(),
            words=" ".join([*([named] if days else []), *([hours] if timed else [])]),
        )

    def is_open(self, moment: Moment) -> bool:
        return self._within_dates(moment) and self._within_hours(moment)

    def why_closed(self, moment: Moment) -> str:
        """For a cashier: `only 14:00-16:00`, `from 2026-12-01 10:00 on`. Only while closed."""
        if self.starts_at and moment.at < self.starts_at:
            return f"only from {_local(self.starts_at, moment.zone)} on"
        if self.ends_at and moment.at >= self.ends_at:
            return f"it ended on {_local(self.ends_at, moment.zone)}"
        return f"only {self.words}"

    def _within_dates(self, moment: Moment) -> bool:
        begun = self.starts_at is None or self.starts_at <= moment.at
        return begun and (self.ends_at is None or moment.at < self.ends_at)

    def _within_hours(self, moment: Moment) -> bool:
        """A window that wraps midnight belongs to the weekday on which it began."""
        begin, end, minute, day = (
            self.from_minute, self.to_minute, moment.minute, moment.weekday,
        )  # fmt: skip
        if begin < end:
            if not begin <= minute < end:
                return False
        elif minute < end:
            day = (day - 1) % len(_WEEKDAYS)
        elif minute < begin:
            return False
        return not self.weekdays or day in self.weekdays


def _minutes(time_of_day: str | None, default: int) -> int:
    if time_of_day is None:
        return default
    return int(time_of_day[:2]) * 60 + int(time_of_day[3:])


def _local(at: datetime, zone: ZoneInfo) -> str:
    return at.astimezone(zone).strftime("%Y-%m-%d %H:%M")
