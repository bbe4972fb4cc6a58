"""R36: the park's time on a device whose own clock is wrong, set, or asleep."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from playpark.clock import FixedClock, SystemClock
from playpark.device.park_clock import DRIFT, ParkClock, since_boot
from playpark.device.records import ClockNote

TRUE = datetime(2026, 11, 21, 8, 42, tzinfo=UTC)
HOUR = timedelta(hours=1)


class World:
    """True time, and a machine whose clock is `ahead` of it and may be set."""

    def __init__(self, ahead: timedelta = timedelta()) -> None:
        self.true = FixedClock(TRUE)
        self.machine = FixedClock(TRUE + ahead)
        self.seconds = 1000.0
        self.clock = ParkClock(self.machine, elapsed=lambda: self.seconds)

    def passes(self, seconds: float) -> None:
        self.seconds += seconds
        self.true.advance(timedelta(seconds=seconds))
        self.machine.advance(timedelta(seconds=seconds))

    def ask(self, took: float = 0.0, *, there: float | None = None) -> None:
        """A round trip; `there` is the way to the server, half of it if left out."""
        there = took / 2 if there is None else there
        self.passes(there)
        told = self.true.now()
        self.passes(took - there)
        self.clock.learn(told, took)

    @property
    def wrong_by(self) -> timedelta:
        return self.clock.now() - self.true.now()


def test_before_anything_is_heard_it_is_the_machine_s_clock() -> None:
    world = World(ahead=HOUR)
    assert world.wrong_by == HOUR
    assert world.clock.skew is None
    assert not world.clock.warns
    assert world.clock.sentence is None


def test_it_is_the_server_s_time_from_the_first_answer_on() -> None:
    world = World(ahead=-HOUR)
    world.ask(took=0.2)
    assert world.wrong_by == timedelta()
    world.passes(3600)
    assert world.wrong_by == timedelta()
    assert world.clock.skew == HOUR


def test_the_machine_s_clock_may_be_set_under_it() -> None:
    world = World()
    world.ask()
    world.machine.advance(timedelta(days=-400))
    assert world.wrong_by == timedelta()
    assert world.clock.skew == timedelta(days=400)
    world.machine.advance(timedelta(days=401))
    assert world.wrong_by == timedelta()


def test_a_night_of_sleep_is_counted() -> None:
    # CLOCK_BOOTTIME goes on while the machine sleeps.
    world = World()
    world.ask()
    world.passes(9 * 3600)
    assert world.wrong_by == timedelta()


def test_the_fastest_round_trip_counts() -> None:
    world = World()
    world.ask(took=4.0, there=0.1)
    assert world.wrong_by == timedelta(seconds=-1.9)
    world.ask(took=0.02)
    assert world.wrong_by == timedelta()
    world.ask(took=4.0, there=3.9)
    assert world.wrong_by == timedelta()


def test_a_fast_round_trip_of_long_ago_gives_way_to_a_fresh_one() -> None:
    world = World()
    world.ask(took=0.0)
    world.seconds += 0.2  # the quartz of this machine is fast
    world.passes(1.0 / DRIFT)
    assert world.wrong_by == timedelta(seconds=0.2)
    world.ask(took=0.5)  # that alone would explain the difference
    world.passes(2.0)
    assert world.wrong_by == timedelta()


def test_a_server_whose_clock_was_set_is_believed_however_slow_the_line() -> None:
    world = World()
    world.ask(took=0.01)
    world.true.advance(HOUR)
    world.ask(took=1.0)
    assert world.wrong_by == timedelta()


def test_it_stands_still_rather_than_go_back() -> None:
    world = World(ahead=timedelta(seconds=30))
    before = world.clock.now()
    world.ask()
    assert world.clock.now() == before
    world.passes(29)
    assert world.clock.now() == before
    world.passes(2)
    assert world.wrong_by == timedelta()


def test_a_time_that_was_plainly_wrong_is_taken_back() -> None:
    world = World(ahead=HOUR)
    assert world.wrong_by == HOUR
    world.ask()
    assert world.wrong_by == timedelta()


def test_what_it_knew_is_kept_over_a_restart() -> None:
    world = World(ahead=-HOUR)
    world.ask()
    note = world.clock.note()
    assert note == ClockNote(offset_ms=3_600_000, heard_at=TRUE)
    world.clock.kept(note)
    assert world.clock.note() is None

    world.passes(600)
    again = ParkClock(world.machine, elapsed=lambda: world.seconds)
    again.recall(note)
    assert again.now() == world.true.now()
    assert again.skew == HOUR
    assert again.note() is None
    again.recall(None)
    assert again.now() == world.true.now()


def test_what_has_changed_is_kept_anew() -> None:
    world = World()
    world.ask()
    first = world.clock.note()
    assert first is not None
    world.clock.kept(first)
    world.machine.advance(timedelta(milliseconds=400))
    assert world.clock.note() is None
    world.machine.advance(timedelta(milliseconds=200))
    later = world.clock.note()
    assert later is not None
    assert later.offset_ms == -600


def test_a_clock_that_was_set_right_since_is_not_corrected_twice() -> None:
    world = World(ahead=2 * HOUR)
    world.ask()
    note = world.clock.note()
    world.passes(60)
    again = ParkClock(FixedClock(world.true.now()), elapsed=lambda: world.seconds)
    again.recall(note)
    assert again.now() == world.true.now()


def test_an_empty_battery_goes_on_from_what_was_known_and_blocks_selling() -> None:
    world = World()
    world.ask()
    note = world.clock.note()
    again = ParkClock(FixedClock(datetime(1970, 1, 1, tzinfo=UTC)), elapsed=lambda: world.seconds)
    again.recall(note)
    assert again.now() == TRUE
    assert again.blocks_selling


def test_R36_a_skew_of_two_minutes_warns_and_one_of_a_day_blocks_selling() -> None:
    def of(ahead: timedelta) -> tuple[bool, bool, str | None]:
        world = World(ahead=ahead)
        world.ask()
        return world.clock.warns, world.clock.blocks_selling, world.clock.sentence

    second, day = timedelta(seconds=1), timedelta(days=1)
    assert of(timedelta(seconds=120)) == (False, False, None)
    warning = "This machine's clock is 2 minutes behind the park's: have it set."
    assert of(-121 * second) == (True, False, f"{warning} Times on paper are right.")
    assert of(day)[:2] == (True, False)
    assert "24 hours ahead of the park's" in str(of(day)[2])
    assert of(day + second)[:2] == (True, True)
    assert of(-day - second)[:2] == (True, True)
    assert "set it and connect it once, then sell" in str(of(-3 * day)[2])
    assert "3 days behind" in str(of(-3 * day)[2])


def test_the_real_clocks() -> None:
    clock, machine = ParkClock(), SystemClock()
    assert abs(clock.now() - machine.now()) < timedelta(seconds=5)
    assert since_boot() <= since_boot()


@given(
    st.lists(
        st.tuples(
            st.floats(0, 600),
            st.floats(0, 30),
            st.sampled_from(["ask", "look", "set back", "set forward"]),
        ),
        max_size=40,
    )
)
def test_whatever_the_line_and_the_machine_do_it_never_goes_back(
    story: list[tuple[float, float, str]],
) -> None:
    world = World()
    world.ask()
    last = world.clock.now()
    for pause, took, event in story:
        world.passes(pause)
        if event == "ask":
            world.ask(took, there=took)
        elif event != "look":
            world.machine.advance(timedelta(seconds=pause - took) * (-1000 if "b" in event else 1))
        now = world.clock.now()
        assert now >= last
        # A round trip of 30 seconds is wrong by half of it at most.
        assert abs(world.wrong_by) <= timedelta(seconds=16)
        last = now
