"""Timecards: who worked when, with breaks (API.md: timecards)."""

from enum import StrEnum

from playpark.clock import UtcDatetime
from playpark.contracts.base import Request, View


class TimecardEvent(StrEnum):
    CLOCK_IN = "clock_in"
    CLOCK_OUT = "clock_out"
    BREAK_START = "break_start"
    BREAK_END = "break_end"


class TimecardRequest(Request):
    """The body of the four routes; the employee is the one who is logged in."""

    occurred_at: UtcDatetime | None = None


class TimecardIn(TimecardRequest):
    event: TimecardEvent


class Break(View):
    start_at: UtcDatetime
    end_at: UtcDatetime | None


class TimecardView(View):
    """Minutes are whole ones: each moment counts as the minute that it shows, its seconds are cut
    off, so that days and cards add up. An open card counts until now.

    Flags: `overlap` (it did not fit the card or another one, and was committed), `clock_clamped`.
    """

    timecard_id: str
    employee_id: str
    employee_name: str
    device_id: str
    clock_in_at: UtcDatetime
    clock_out_at: UtcDatetime | None
    breaks: list[Break]
    worked_minutes: int
    break_minutes: int
    flags: list[str] = []


class HoursRow(View):
    """An employee's hours between two days, by the business date on which a card began. Where
    cards overlap, a minute counts once."""

    employee_id: str
    employee_name: str
    cards: int
    worked_minutes: int
    break_minutes: int
