"""R9: active windows, half-open, on the park's own clock."""

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from playpark.contracts.catalog import ActiveWindow
from playpark.contracts.rules import RuleKind
from playpark.errors import ErrorCode, PlayParkError
from playpark.pricing import price
from playpark.pricing.windows import Moment, Window
from tests.unit.pricing_worlds import ZONES, World, cart, many, package, rule, store, worlds

BANGKOK = "Asia/Bangkok"


def park(local: str, zone: str = BANGKOK, fold: int = 0) -> datetime:
    """`2026-11-21 22:00` on the wall of the park."""
    return datetime.fromisoformat(local).replace(tzinfo=ZoneInfo(zone), fold=fold).astimezone(UTC)


def is_open(window: ActiveWindow, at: datetime, zone: str = BANGKOK) -> bool:
    ready = Window.of(window)
    return ready is None or ready.is_open(Moment.of(at, ZoneInfo(zone)))


def began_on_a_right_day(window: ActiveWindow, at: datetime, zone: str) -> bool:
    """The same rule said otherwise: some day's window, reckoned from its beginning, holds it."""
    if (window.starts_at and at < window.starts_at) or (window.ends_at and at >= window.ends_at):
        return False
    now = at.astimezone(ZoneInfo(zone)).replace(tzinfo=None)
    begins = time.fromisoformat(window.from_time or "00:00")
    for day in (now.date(), now.date() - timedelta(days=1)):
        start = datetime.combine(day, begins)
        end = datetime.combine(day, time.fromisoformat(window.to_time or "00:00"))
        if end <= start:
            end += timedelta(days=1)
        if start <= now < end and (not window.weekdays or day.weekday() in window.weekdays):
            return True
    return False


@many
@given(worlds)
def test_R9_a_window_is_open_exactly_where_a_right_day_began_it(world: World) -> None:
    window = world.window() or ActiveWindow()
    zone = world.random.choice(ZONES)
    for _ in range(5):
        at = world.moment()
        assert is_open(window, at, zone) == began_on_a_right_day(window, at, zone)


def test_time_of_day_window_wrapping_midnight_belongs_to_the_day_on_which_it_began() -> None:
    friday_night = ActiveWindow(from_time="22:00", to_time="02:00", weekdays=[4])
    assert is_open(friday_night, park("2026-11-20 22:00"))  # Friday
    assert is_open(friday_night, park("2026-11-21 01:59"))  # still Friday's
    assert not is_open(friday_night, park("2026-11-21 02:00"))  # half-open
    assert not is_open(friday_night, park("2026-11-21 22:00"))  # Saturday
    assert not is_open(friday_night, park("2026-11-20 01:00"))  # Thursday's night
    assert not is_open(friday_night, park("2026-11-20 21:59"))


def test_time_of_day_window_wrapping_midnight_sets_the_price_on_both_sides() -> None:
    night = rule(
        "night",
        RuleKind.TIME_OF_DAY,
        price=5_000,
        window=ActiveWindow(from_time="22:00", to_time="02:00", weekdays=[4]),
    )
    catalog = store([package("a", 9_900)], [night])
    for local, expected in (
        ("2026-11-20 21:59", 9_900),
        ("2026-11-20 22:00", 5_000),
        ("2026-11-21 00:30", 5_000),
        ("2026-11-21 02:00", 9_900),
    ):
        priced = price(cart(("a", 2)), catalog, at=park(local))
        assert priced.lines[0].unit_price == expected
        assert priced.subtotal == 2 * expected


def test_midnight_and_time_zone_drift_is_judged_by_the_park_not_by_utc() -> None:
    """A Saturday that has begun in Bangkok while it is still Friday in UTC."""
    saturday = ActiveWindow(weekdays=[5])
    at = datetime(2026, 11, 20, 17, 0, tzinfo=UTC)
    assert is_open(saturday, at, BANGKOK)
    assert not is_open(saturday, at, "Europe/Berlin")
    assert not is_open(saturday, at - timedelta(milliseconds=1), BANGKOK)
    weekend = rule("w", RuleKind.LINE_PERCENT, percent=1_000, window=saturday)
    for tz, total in ((BANGKOK, 900), ("Europe/Berlin", 1_000)):
        catalog = store([package("a", 1_000)], [weekend], tz=tz)
        assert price(cart(("a", 1)), catalog, at=at).grand_total == total


def test_midnight_and_time_zone_drift_over_a_change_of_the_clock() -> None:
    """In Berlin 02:30 does not exist on 29 March 2026, and is there twice on 25 October."""
    early = ActiveWindow(from_time="02:00", to_time="03:00")
    before = park("2026-03-29 01:59", "Europe/Berlin")
    assert not is_open(early, before, "Europe/Berlin")
    assert not is_open(early, before + timedelta(minutes=1), "Europe/Berlin")
    for fold in (0, 1):
        twice = park("2026-10-25 02:30", "Europe/Berlin", fold)
        assert is_open(early, twice, "Europe/Berlin")


def test_R9_dates_are_half_open_moments() -> None:
    start, end = park("2026-11-21 10:00"), park("2026-11-22 10:00")
    window = ActiveWindow(starts_at=start, ends_at=end)
    tick = timedelta(milliseconds=1)
    assert is_open(window, start)
    assert is_open(window, end - tick)
    assert not is_open(window, start - tick)
    assert not is_open(window, end)


@pytest.mark.parametrize(
    ("window", "words"),
    [
        (ActiveWindow(from_time="14:00", to_time="16:00"), "only 14:00-16:00"),
        (ActiveWindow(weekdays=[6, 5]), "only Sat, Sun"),
        (
            ActiveWindow(weekdays=[4], from_time="22:00", to_time="02:00"),
            "only Fri 22:00-02:00",
        ),
        (ActiveWindow(starts_at=park("2026-12-01 10:00")), "only from 2026-12-01 10:00 on"),
        (ActiveWindow(ends_at=park("2026-11-01 00:00")), "it ended on 2026-11-01 00:00"),
    ],
)
def test_R11_a_closed_window_says_when_it_is_open(window: ActiveWindow, words: str) -> None:
    happy = rule("h", RuleKind.LINE_PERCENT, percent=1_000, window=window, name="Happy hour")
    catalog = store([package("a", 1_000)], [happy])
    entry = price(cart(("a", 1)), catalog, at=park("2026-11-19 12:00")).trace[1]
    assert (entry.applied, entry.why) == (False, f"Happy hour: {words}")
    assert entry.facts == {"reason": "window"}


def test_R13_a_package_out_of_its_window_is_refused_by_line() -> None:
    evening = package(
        "b", 500, name="Night ride", window=ActiveWindow(from_time="18:00", to_time="23:00")
    )
    catalog = store([package("a", 1_000), evening])
    both = cart(("a", 1), ("b", 1))
    assert price(both, catalog, at=park("2026-11-21 18:00")).grand_total == 1_500
    with pytest.raises(
        PlayParkError, match=r"Night ride is not on sale now: only 18:00-23:00"
    ) as no:
        price(both, catalog, at=park("2026-11-21 17:59"))
    assert no.value.code is ErrorCode.INACTIVE_PACKAGE
    assert no.value.details == {"line": 1}


@given(st.sampled_from(ZONES), st.integers(0, 1_439), st.integers(0, 1_439))
def test_R9_a_window_of_all_hours_is_always_open(zone: str, minute: int, other: int) -> None:
    at = datetime(2026, 3, 1, tzinfo=UTC) + timedelta(minutes=minute + 1_440 * (other % 300))
    assert is_open(ActiveWindow(weekdays=list(range(7))), at, zone)
