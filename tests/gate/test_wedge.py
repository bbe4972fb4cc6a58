"""A hand scanner's burst is told from a person's typing (PLATFORM, QR)."""

from dataclasses import replace

import pytest

from gate.wedge import Keyed, Wedge
from playpark.offline_tickets import mint_pp2
from tests.gate.pictures import token
from tests.unit.test_offline_tickets import KEY, TICKET


def keyed(
    text: str, *, gap: float, enter: float = 0.02, wedge: Wedge | None = None
) -> Keyed | None:
    wedge = wedge or Wedge()
    at = 100.0
    for char in text:
        wedge.key(char, at)
        at += gap
    return wedge.enter(at - gap + enter)


def test_a_burst_is_a_scan_whatever_it_says() -> None:
    assert keyed("https://example.com", gap=0.01) == Keyed("https://example.com", scanned=True)


def test_a_person_s_typing_is_no_scan() -> None:
    assert keyed("7K3M-9QXD", gap=0.09) == Keyed("7K3M-9QXD", scanned=False)


@pytest.mark.parametrize(("gap", "scanned"), [(0.035, True), (0.037, False)])
def test_the_average_gap_of_a_scan_is_at_most_35_ms(gap: float, scanned: bool) -> None:
    answer = keyed("HELLOWORLD", gap=gap)

    assert answer is not None
    assert answer.scanned is scanned


@pytest.mark.parametrize(("enter", "scanned"), [(0.149, True), (0.16, False)])
def test_enter_belongs_to_the_scanner_within_150_ms(enter: float, scanned: bool) -> None:
    answer = keyed("HELLOWORLD", gap=0.01, enter=enter)

    assert answer is not None
    assert answer.scanned is scanned


def test_a_token_is_a_scan_at_any_speed() -> None:
    assert keyed(token(1), gap=0.2) == Keyed(token(1), scanned=True)


def test_a_token_typed_under_caps_lock_is_read() -> None:
    assert keyed(token(1).lower(), gap=0.01) == Keyed(token(1), scanned=True)


def test_R22_a_till_s_own_token_is_read_with_the_blanks_and_signs_in_it() -> None:
    """Base45 has a blank, and `%` and `$`, anywhere but at its end."""
    tokens = [mint_pp2(KEY, replace(TICKET, serial=serial)) for serial in range(1, 20)]
    assert any(" " in text for text in tokens)
    for text in tokens:
        assert keyed(text, gap=0.2) == Keyed(text, scanned=True)
        assert keyed(text.lower(), gap=0.01) == Keyed(text, scanned=True)


def test_what_was_half_typed_before_a_burst_does_not_spoil_it() -> None:
    wedge = Wedge()
    for char in "7K":
        wedge.key(char, 90.0)

    assert keyed(token(1), gap=0.01, wedge=wedge) == Keyed(token(1), scanned=True)


def test_enter_alone_is_nothing() -> None:
    assert Wedge().enter(1.0) is None


def test_the_entry_line_shows_and_forgets_what_was_typed() -> None:
    wedge = Wedge()
    wedge.key("A", 1.0)
    wedge.paste("BC", 1.5)
    wedge.backspace()

    assert wedge.text == "AB"

    wedge.clear()

    assert wedge.text == ""


def test_an_endless_entry_stops_growing() -> None:
    wedge = Wedge()
    wedge.paste("X" * 100_000, 1.0)

    assert len(wedge.text) == 500
