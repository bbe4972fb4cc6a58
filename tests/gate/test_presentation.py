"""One presentation per showing, for any rhythm of frames (PLATFORM, QR)."""

from hypothesis import given, settings
from hypothesis import strategies as st

from gate.presentation import REARM_AFTER, Presentations

gaps = st.integers(0, 16).map(lambda quarters: quarters / 4)
shows = st.lists(st.tuples(gaps, st.lists(st.sampled_from("ABC"), max_size=4)), max_size=60)


def test_a_ticket_that_is_held_for_a_minute_is_presented_once() -> None:
    presentations = Presentations()

    begun = [presentations.seen(["A"], n / 15) for n in range(15 * 60)]

    assert begun[0] == ["A"]
    assert not any(begun[1:])


def test_a_ticket_is_presented_again_after_two_seconds_out_of_sight() -> None:
    presentations = Presentations()
    presentations.seen(["A"], 0.0)

    assert presentations.seen(["A"], 1.75) == []
    assert presentations.seen(["A"], 3.5) == []
    assert presentations.seen(["A"], 5.5) == ["A"]


def test_several_tickets_in_one_picture_begin_in_order_and_once() -> None:
    presentations = Presentations()

    assert presentations.seen(["B", "A", "B"], 0.0) == ["B", "A"]
    assert presentations.seen(["C", "A"], 0.1) == ["C"]


def test_a_showing_ends_two_seconds_after_the_last_sight() -> None:
    presentations = Presentations()
    presentations.seen(["A"], 5.0)

    assert presentations.shown("A", 6.9)
    assert not presentations.shown("A", 7.0)
    assert not presentations.shown("B", 5.0)


@settings(deadline=None)  # a busy machine is no wrong answer
@given(shows)
def test_a_showing_begins_exactly_where_a_code_was_unseen_for_two_seconds(
    steps: list[tuple[float, list[str]]],
) -> None:
    presentations = Presentations()
    now, last = 0.0, dict[str, float]()

    for gap, codes in steps:
        now += gap  # quarters of a second are exact in binary, so the edge is sharp
        fresh = [
            code
            for code in dict.fromkeys(codes)
            if code not in last or now - last[code] >= REARM_AFTER
        ]
        last.update(dict.fromkeys(codes, now))

        assert presentations.seen(codes, now) == fresh
