"""Minutes of timecards: pure, and they add up."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from api.timecards.hours import Punch, minutes, shape, subtract
from playpark.contracts.timecards import TimecardEvent

START = datetime(2026, 11, 21, 2, tzinfo=UTC)


def entry(event: TimecardEvent, seconds: int) -> Punch:
    return Punch(event, START + timedelta(seconds=seconds))


def test_each_moment_counts_as_the_minute_it_shows() -> None:
    card = shape([entry(TimecardEvent.CLOCK_IN, 59), entry(TimecardEvent.CLOCK_OUT, 121)])
    assert minutes(card.worked(START)) == 2  # 09:00:59 to 09:02:01
    card = shape([entry(TimecardEvent.CLOCK_IN, 0), entry(TimecardEvent.CLOCK_OUT, 59)])
    assert minutes(card.worked(START)) == 0


STEPS = (
    TimecardEvent.CLOCK_IN,
    TimecardEvent.BREAK_START,
    TimecardEvent.BREAK_END,
    TimecardEvent.CLOCK_OUT,
)


@st.composite
def days_of_cards(draw: st.DrawFn) -> list[list[Punch]]:
    """Cards one after the other, each with up to three breaks, to the second."""
    cards, at = [], 0
    for _ in range(draw(st.integers(1, 6))):
        events = [STEPS[0], *STEPS[1:3] * draw(st.integers(0, 3)), STEPS[3]]
        card = []
        for event in events:
            at += draw(st.integers(0, 20_000))
            card.append(entry(event, at))
        cards.append(card)
    return cards


@given(days_of_cards())
def test_hours_of_cards_that_do_not_overlap_are_the_sum_of_the_cards(
    cards: list[list[Punch]],
) -> None:
    shapes = [shape(card) for card in cards]
    until = START + timedelta(days=99)
    worked = [minutes(each.worked(until)) for each in shapes]
    breaks = [minutes(each.on_break(until)) for each in shapes]
    assert minutes(span for each in shapes for span in each.worked(until)) == sum(worked)
    for card, at_work, resting in zip(cards, worked, breaks, strict=True):
        ends = [int(card[end].at.timestamp()) // 60 for end in (0, -1)]
        assert at_work + resting == ends[1] - ends[0]


@given(
    st.tuples(st.integers(0, 60), st.integers(0, 60)).map(sorted).map(tuple),
    st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60)).map(sorted).map(tuple)),
)
def test_minutes_are_those_of_the_set_of_minutes(
    whole: tuple[int, int], holes: list[tuple[int, int]]
) -> None:
    inside_holes = {minute for hole in holes for minute in range(*hole)}
    assert minutes(holes) == len(inside_holes)
    assert minutes(subtract(whole, holes)) == len(set(range(*whole)) - inside_holes)
