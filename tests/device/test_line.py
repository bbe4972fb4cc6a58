"""R37: the line falls at once, comes back late, and never flaps."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from playpark.device.line import HOLD_S, LONGEST_HOLD_S, STEADY_S, Line, LineMode

CONNECTING, ONLINE, SLOW, OFFLINE = LineMode
DEADLINE = 1.5
EVENTS = {
    "good": lambda line, now: line.answered(0.1, now),
    "late": lambda line, now: line.answered(9.0, now),
    "some": lambda line, now: line.answered(None, now),
    "missed": lambda line, now: line.missed(now),
    "lost": lambda line, now: line.lost(now),
    "busy": lambda line, now: line.busy(now, 7.0),
    "none": lambda _line, _now: None,
}
STORIES = st.lists(
    st.tuples(st.floats(0, 90, allow_nan=False), st.sampled_from(sorted(EVENTS))), max_size=60
)


def online() -> Line:
    line = Line(DEADLINE)
    line.answered(0.1, 0.0)
    assert line.mode(0.0) is ONLINE
    return line


def fall_and_return(line: Line, now: float) -> float:
    """How long the line stays away after a fall, with good answers all the time."""
    line.missed(now)
    line.answered(0.1, now)
    back_in = line.back_in(now)
    assert back_in is not None
    assert line.mode(now + back_in - 0.01) is SLOW
    assert line.mode(now + back_in) is ONLINE
    return back_in


def test_before_the_first_answer_it_connects() -> None:
    line = Line(DEADLINE)
    assert line.mode(5.0) is CONNECTING
    line.missed(6.0)
    assert line.mode(6.0) is CONNECTING
    line.lost(7.0)
    assert line.mode(7.0) is OFFLINE


@pytest.mark.parametrize(("took", "mode"), [(0.1, ONLINE), (None, ONLINE), (2.0, SLOW)])
def test_the_first_answer_tells_whether_it_is_online(took: float | None, mode: LineMode) -> None:
    line = Line(DEADLINE)
    line.answered(took, 1.0)
    assert line.mode(1.0) is mode


@pytest.mark.parametrize("event", ["missed", "late", "busy"])
def test_one_missed_deadline_makes_it_slow_at_once(event: str) -> None:
    line = online()
    EVENTS[event](line, 10.0)
    assert line.mode(10.0) is SLOW
    assert line.held(10.0)


def test_a_hold_alone_brings_nothing_back() -> None:
    line = online()
    line.missed(10.0)
    assert line.mode(1000.0) is SLOW
    assert not line.held(1000.0)
    line.answered(None, 1000.0)
    assert line.mode(1001.0) is SLOW
    line.answered(DEADLINE, 1002.0)
    assert line.mode(1002.0) is ONLINE


def test_answers_alone_bring_nothing_back() -> None:
    line = online()
    line.missed(10.0)
    for at in (10.1, 11.0, 14.9):
        line.answered(0.1, at)
        assert line.mode(at) is SLOW
    assert line.back_in(14.0) == pytest.approx(1.0)
    assert line.mode(15.0) is ONLINE


def test_a_lost_line_that_answers_is_held_too() -> None:
    line = online()
    line.lost(10.0)
    assert line.mode(500.0) is OFFLINE
    assert line.back_in(500.0) is None
    line.answered(0.1, 500.0)
    assert (line.mode(500.0), line.back_in(500.0)) == (SLOW, HOLD_S)
    assert line.mode(505.0) is ONLINE


def test_R37_a_busy_server_is_left_alone_for_as_long_as_it_asks() -> None:
    line = online()
    line.busy(10.0, 30.0)
    assert line.back_in(10.0) == 30.0
    line = online()
    line.busy(10.0, 1e9)
    assert line.back_in(10.0) == LONGEST_HOLD_S


def test_the_hold_grows_while_it_flaps_and_shrinks_when_it_is_steady() -> None:
    line, now = online(), 10.0
    holds = []
    for _ in range(6):
        holds.append(fall_and_return(line, now))
        now += holds[-1] + 1
    assert holds == [5, 10, 20, 40, 60, 60]
    now += 2 * STEADY_S
    assert fall_and_return(line, now) == 15
    assert fall_and_return(line, now + 1e7) == HOLD_S


@given(STORIES)
def test_it_never_flaps_faster_than_the_hold(story: list[tuple[float, str]]) -> None:
    line, now = online(), 0.0
    fell: float | None = None
    for pause, event in story:
        for at in (now + pause / 2, now + pause):
            if fell is not None and line.mode(at) is ONLINE:
                assert at - fell >= HOLD_S
                fell = None
        now += pause
        EVENTS[event](line, now)
        if fell is None and line.mode(now) is not ONLINE:
            fell = now


@given(STORIES)
def test_it_always_comes_back_when_answers_are_good(story: list[tuple[float, str]]) -> None:
    line, now = Line(DEADLINE), 0.0
    for pause, event in story:
        now += pause
        EVENTS[event](line, now)
    for _ in range(int(LONGEST_HOLD_S) + 1):
        line.answered(0.1, now)
        now += 1.0
    assert line.mode(now) is ONLINE


@given(STORIES, st.lists(st.floats(0, 30, allow_nan=False), max_size=20))
def test_back_in_never_grows_by_itself(story: list[tuple[float, str]], looks: list[float]) -> None:
    line, now = Line(DEADLINE), 0.0
    for pause, event in story:
        now += pause
        EVENTS[event](line, now)
    left = line.back_in(now)
    assert left is None or 0 < left <= LONGEST_HOLD_S
    for pause in looks:
        now += pause
        after = line.back_in(now)
        if left is None:
            assert after is None
        else:
            assert (after or 0.0) <= left
        left = after


@given(STORIES)
def test_only_a_good_line_lets_a_guest_wait(story: list[tuple[float, str]]) -> None:
    line, now = online(), 0.0
    for pause, event in story:
        now += pause
        EVENTS[event](line, now)
        if event in {"late", "busy"}:
            assert line.held(now)
        if event == "lost":
            assert line.mode(now) is OFFLINE
