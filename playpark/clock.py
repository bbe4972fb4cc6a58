"""Time as the park reads it: UTC inside, the store's zone outside, business date (R30).

The clock is passed in, so that no rule and no test reads the machine's time by itself.
"""

from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated, Any, Protocol, TypeVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BeforeValidator, PlainSerializer

D = TypeVar("D", bound=date)
DEFAULT_ZONE = "Asia/Bangkok"
BUSINESS_DAY_CUTOFF = time(4, 0)


class Clock(Protocol):
    """Anything that tells the present moment as an aware UTC datetime."""

    def now(self) -> datetime: ...


class SystemClock:
    """The machine's clock, cut to milliseconds because MongoDB keeps no more."""

    def now(self) -> datetime:
        return to_utc_ms(datetime.now(UTC))


class FixedClock:
    """A clock that stands still until it is moved: for tests and for replaying a day."""

    def __init__(self, at: datetime) -> None:
        self._at = to_utc_ms(at)

    def now(self) -> datetime:
        return self._at

    def advance(self, delta: timedelta) -> None:
        self._at += delta


def to_utc_ms(moment: datetime) -> datetime:
    """An aware datetime in UTC, cut to milliseconds. Raises ValueError for a naive one."""
    if moment.tzinfo is None:
        msg = "a time needs its offset, such as 2026-11-21T15:42:00+07:00"
        raise ValueError(msg)
    moment = moment.astimezone(UTC)
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


def _rfc3339(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


FIRST_YEAR, LAST_YEAR = 1970, 2200


def _only_dates(value: Any) -> Any:
    """Pydantic would read numbers as Unix time; the contract has RFC 3339 only."""
    if isinstance(value, date) or (isinstance(value, str) and value[4:5] == "-"):
        return value
    msg = "a time is text, such as 2026-11-21T15:42:00+07:00"
    raise ValueError(msg)


def _sane(value: D) -> D:
    """Years at the ends of the calendar overflow when zones are reckoned."""
    if FIRST_YEAR <= value.year <= LAST_YEAR:
        return value
    msg = f"the year must lie between {FIRST_YEAR} and {LAST_YEAR}"
    raise ValueError(msg)


def _utc(moment: datetime) -> datetime:
    """In UTC, of a year that is sane there too: an offset may move it over the end of one."""
    return _sane(to_utc_ms(_sane(moment)))


UtcDatetime = Annotated[
    datetime,
    BeforeValidator(_only_dates),
    AfterValidator(_utc),
    PlainSerializer(_rfc3339, return_type=str, when_used="json"),
]
"""An aware time of any offset in, UTC with milliseconds inside and out (RFC 3339)."""

BusinessDate = Annotated[date, BeforeValidator(_only_dates), AfterValidator(_sane)]
"""A trading day, `2026-11-21`."""


def park_zone(store_tz: str | None, tenant_tz: str | None = None) -> ZoneInfo:
    """The store's time zone, else the tenant's, else Asia/Bangkok (R30)."""
    for name in (store_tz, tenant_tz):
        if name:
            try:
                return ZoneInfo(name)
            except (ZoneInfoNotFoundError, ValueError):
                continue
    return ZoneInfo(DEFAULT_ZONE)


def business_date(moment: datetime, zone: ZoneInfo, cutoff: time = BUSINESS_DAY_CUTOFF) -> date:
    """The trading day of a moment: its local date, the night before `cutoff` belonging to
    the day before (R30)."""
    local = moment.astimezone(zone).replace(tzinfo=None)
    return (local - timedelta(hours=cutoff.hour, minutes=cutoff.minute)).date()


def business_day_start(day: date, zone: ZoneInfo, cutoff: time = BUSINESS_DAY_CUTOFF) -> datetime:
    """The UTC moment at which a trading day begins: its cutoff in park time (R30)."""
    return datetime.combine(day, cutoff, tzinfo=zone).astimezone(UTC)
