"""R1–R5: satang, rounding, allocation."""

from decimal import ROUND_HALF_UP, Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from playpark.money import (
    allocate,
    format_satang,
    parse_baht,
    percent_of,
    round_half_up,
    vat_inside,
)

amounts = st.integers(0, 10**12)


@given(st.integers(-(10**12), 10**12), st.integers(1, 10**6))
def test_R2_rounding_is_half_up_on_the_absolute_value(numerator: int, denominator: int) -> None:
    exact = (Decimal(numerator) / Decimal(denominator)).quantize(Decimal(1), ROUND_HALF_UP)
    assert round_half_up(numerator, denominator) == int(exact)
    assert round_half_up(-numerator, denominator) == -round_half_up(numerator, denominator)


@given(st.lists(amounts, min_size=1, max_size=40).filter(any), st.data())
def test_R5_shares_sum_exactly_and_none_exceeds_its_weight(
    weights: list[int], data: st.DataObject
) -> None:
    total = data.draw(st.integers(0, sum(weights)))
    shares = allocate(total, weights)
    assert sum(shares) == total
    assert all(0 <= share <= weight for share, weight in zip(shares, weights, strict=True))


@given(amounts, st.lists(amounts, min_size=1, max_size=40))
def test_allocation_is_within_one_satang_of_the_exact_share(total: int, weights: list[int]) -> None:
    shares = allocate(total, weights)
    base = weights if any(weights) else [1] * len(weights)
    assert sum(shares) == total
    for share, weight in zip(shares, base, strict=True):
        assert abs(share * sum(base) - total * weight) < sum(base)


def test_R4_ties_go_to_the_lower_index() -> None:
    assert allocate(2, [1, 1, 1]) == [1, 1, 0]
    assert allocate(100, [0, 0, 0]) == [34, 33, 33]
    assert allocate(0, []) == []


def test_an_amount_with_nowhere_to_go_is_refused() -> None:
    for total, weights in ((1, []), (-1, [1]), (1, [-1, 2])):
        with pytest.raises(ValueError, match="allocate"):
            allocate(total, weights)


@given(amounts, st.integers(0, 10_000))
def test_R4_inclusive_vat_is_the_vat_of_its_net_price(gross: int, rate: int) -> None:
    vat = vat_inside(gross, rate)
    assert 0 <= vat <= gross
    assert abs(percent_of(gross - vat, rate) - vat) <= 1


def test_known_vat_figures() -> None:
    assert vat_inside(10_700, 700) == 700
    assert vat_inside(39_800, 700) == 2_604
    assert percent_of(10_000, 700) == 700


@given(amounts)
def test_what_is_shown_is_what_is_typed(amount: int) -> None:
    assert parse_baht(format_satang(amount)) == amount


@pytest.mark.parametrize("text", ["", ".", "1.234", "-5", "1e3", "๑๐", "12a", "1.2.3", "0x10"])
def test_what_is_no_amount_is_refused_in_words(text: str) -> None:
    with pytest.raises(ValueError, match="type baht"):
        parse_baht(text)
