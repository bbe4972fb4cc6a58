"""R7, R27, R28: coins, the drawer, the chain of Z reports."""

from hypothesis import given
from hypothesis import strategies as st

from playpark.cash import FIRST_HASH, DrawerTotals, chain_hash, expected_cash, round_cash
from playpark.contracts.settings import CashRounding

amounts = st.integers(-(10**12), 10**12)
steps = st.sampled_from([1, 25, 50, 100])


@given(amounts, steps)
def test_R7_nearest_is_at_most_half_a_step_away_and_halves_go_up(amount: int, step: int) -> None:
    rounded = round_cash(amount, step, CashRounding.NEAREST)
    assert rounded % step == 0
    assert 2 * abs(rounded - amount) <= step
    if 2 * abs(rounded - amount) == step:
        assert abs(rounded) > abs(amount)


@given(amounts, steps)
def test_R7_down_never_goes_up_nor_a_step_too_far(amount: int, step: int) -> None:
    rounded = round_cash(amount, step, CashRounding.DOWN)
    assert rounded % step == 0
    assert 0 <= abs(amount) - abs(rounded) < step
    assert rounded * amount >= 0


@given(amounts, amounts, steps, st.sampled_from(CashRounding))
def test_R7_rounding_is_symmetric_and_keeps_the_order(
    one: int, two: int, step: int, mode: CashRounding
) -> None:
    assert round_cash(-one, step, mode) == -round_cash(one, step, mode)
    low, high = sorted([one, two])
    assert round_cash(low, step, mode) <= round_cash(high, step, mode)


def test_wrong_expected_cash_with_change_given_counts_what_stays_in_the_drawer() -> None:
    """A guest hands over 500.00 for 420.00: the drawer has 420.00 more, not 500.00."""
    tendered, change = 50_000, 8_000
    drawer = DrawerTotals(cash_open=100_000, cash_sales=tendered - change)
    assert expected_cash(drawer) == 142_000


def test_R27_expected_is_all_that_went_in_less_all_that_went_out() -> None:
    drawer = DrawerTotals(
        cash_open=100_000, cash_sales=42_000, pay_ins=5_000, pay_outs=3_000, drops=50_000,
        cash_refunds=2_000,
    )  # fmt: skip
    assert expected_cash(drawer) == 92_000


def test_R28_a_link_of_the_chain_depends_on_all_before_it() -> None:
    first = chain_hash(FIRST_HASH, {"z": 1})
    assert chain_hash(first, {"z": 2}) != chain_hash(chain_hash(FIRST_HASH, {"z": 9}), {"z": 2})
    assert chain_hash(FIRST_HASH, {"z": 1}) == first
