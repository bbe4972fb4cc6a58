"""R7 and decision 7: surcharges, cash rounding, and what each payment has to be."""

from datetime import UTC, datetime

import pytest
from hypothesis import given

from playpark.cash import round_cash
from playpark.contracts.pricing import PaymentIn, PaymentMethod, PricedCart
from playpark.contracts.rules import PaymentTypeView
from playpark.contracts.settings import CashRounding, MoneySettings
from playpark.errors import ErrorCode, PlayParkError
from playpark.money import percent_of, vat_inside
from playpark.pricing import Context, price
from tests.unit.pricing_worlds import World, cart, many, package, store, worlds

AT = datetime(2026, 11, 21, 8, 0, tzinfo=UTC)
CARD, CASH, QR = PaymentMethod.CARD, PaymentMethod.CASH, PaymentMethod.QR
VISA = PaymentTypeView(
    payment_type_id="visa",
    name="Visa",
    name_th="วีซ่า",
    method=CARD,
    surcharge_percent=300,
    surcharge_amount=500,
    surcharge_tax=700,
)
OLD = VISA.model_copy(update={"payment_type_id": "old", "active": False})


def pay(method: PaymentMethod, amount: int, kind: str | None = None) -> PaymentIn:
    return PaymentIn(method=method, amount=amount, payment_type_id=kind)


def priced(
    amount: int, *payments: PaymentIn, step: int = 1, committed: bool = False, **money: object
) -> PricedCart:
    """A ticket of so many satang, paid so."""
    settings = MoneySettings.model_validate({"cash_step": step, **money})
    catalog = store([package("a", amount)], payment_types=[VISA, OLD], money=settings)
    context = Context(committed=committed)
    return price(cart(("a", 1)), catalog, at=AT, payments=payments, context=context)


@many
@given(worlds)
def test_R7_what_is_due_settles_the_cart_and_rounds_only_cash(world: World) -> None:
    told = world.payments()
    paid = world.price(told)
    goods = sum(line.payable for line in paid.lines)
    assert paid.lines == world.preview.lines  # surcharges and rounding stay outside the slices
    assert sum(paid.due) == paid.grand_total
    assert [x.amount for x in told[:-1]] == paid.due[:-1]
    assert all(due >= 0 for due in paid.due)
    money = world.catalog.settings.money
    types = {each.payment_type_id: each for each in world.catalog.payment_types}
    top = {each.payment: each for each in paid.surcharges}
    base = [due - (top[i].amount if i in top else 0) for i, due in enumerate(paid.due)]
    assert sum(base) - paid.cash_rounding == goods
    for index, each in top.items():
        kind = types[each.payment_type_id]
        assert each.vat == vat_inside(each.amount, kind.surcharge_tax)
        on_top = percent_of(base[index], kind.surcharge_percent) + kind.surcharge_amount
        # Inside a fixed amount no surcharge may fit exactly: a satang either way.
        exact = 0 if index == len(told) - 1 else 1 + kind.surcharge_percent // 10_000
        assert abs(each.amount - on_top) <= exact
    if told[-1].method is CASH:
        assert paid.due[-1] == round_cash(base[-1] - paid.cash_rounding, money.cash_step,
                                          money.cash_rounding)  # fmt: skip
        assert paid.due[-1] % money.cash_step == 0
    else:
        assert paid.cash_rounding == 0
    if money.cash_rounding is CashRounding.DOWN:
        assert -money.cash_step < paid.cash_rounding <= 0
    assert 2 * abs(paid.cash_rounding) <= money.cash_step or (
        money.cash_rounding is CashRounding.DOWN
    )


@many
@given(worlds)
def test_R12_a_sale_with_exactly_what_is_due_has_the_price_of_its_preview(world: World) -> None:
    told = world.payments()
    preview = world.price(told)
    exact = [
        payment.model_copy(update={"amount": due})
        for payment, due in zip(told, preview.due, strict=True)
    ]
    assert world.price(exact).model_dump_json() == preview.model_dump_json()


def test_R7_a_surcharge_is_its_own_line_with_its_own_vat() -> None:
    paid = priced(10_000, pay(CARD, 0, "visa"))
    assert (paid.grand_total, paid.surcharge_total, paid.due) == (10_800, 800, [10_800])
    (line,) = paid.surcharges
    assert (line.amount, line.vat, line.vat_rate) == (800, 52, 700)
    assert paid.tax_total == 654  # the goods' alone (decision 7)
    assert paid.trace[-1].why == "Visa: 3 % of 100.00 + 5.00 is 8.00 on top"


def test_R7_payments_before_the_last_are_taken_as_they_stand() -> None:
    paid = priced(10_000, pay(CARD, 5_650, "visa"), pay(CASH, 0))
    assert paid.due == [5_650, 5_000]  # 5,650 = 5,000 + 3 % + 5.00
    assert paid.surcharge_total == 650
    free = priced(10_000, pay(CARD, 0, "visa"), pay(QR, 0))
    assert (free.due, free.surcharges) == ([0, 10_000], [])
    nothing_left = priced(10_000, pay(CASH, 10_000), pay(CARD, 77, "visa"))
    assert nothing_left.due == [10_000, 0]


def test_R7_without_payments_nothing_is_rounded_or_charged() -> None:
    for payments in ((), None):
        catalog = store([package("a", 10_012)], money=MoneySettings(cash_step=25))
        shown = price(cart(("a", 1)), catalog, at=AT, payments=payments)
        assert (shown.grand_total, shown.cash_rounding, shown.due) == (10_012, 0, [])


@pytest.mark.parametrize(
    ("step", "mode", "due"),
    [(1, "nearest", 10_012), (25, "nearest", 10_000), (25, "down", 10_000),
     (50, "nearest", 10_000), (100, "nearest", 10_000)],
)  # fmt: skip
def test_R7_only_the_part_in_cash_is_rounded(step: int, mode: str, due: int) -> None:
    assert priced(10_012, pay(CASH, 0), step=step, cash_rounding=mode).due == [due]
    assert priced(10_012, pay(QR, 0), step=step, cash_rounding=mode).due == [10_012]
    split = priced(10_012, pay(QR, 12), pay(CASH, 0), step=step, cash_rounding=mode)
    assert (split.due, split.cash_rounding) == ([12, 10_000], 0)
    if step > 1:
        split = priced(10_037, pay(CASH, 5_000), pay(CARD, 0), step=step, cash_rounding=mode)
        assert (split.due, split.cash_rounding) == ([5_000, 5_037], 0)


def test_R7_rounding_is_half_up_or_down_and_stands_in_the_trace() -> None:
    up = priced(10_050, pay(CASH, 0), step=100)
    down = priced(10_099, pay(CASH, 0), step=100, cash_rounding="down")
    assert (up.cash_rounding, up.grand_total) == (50, 10_100)
    assert (down.cash_rounding, down.grand_total) == (-99, 10_000)
    assert up.trace[-1].why == "Cash to the nearest 1.00: 101.00"
    assert down.trace[-1].why == "Cash down to 1.00: 100.00"


@pytest.mark.parametrize(
    ("payments", "words"),
    [
        ((pay(CARD, 0, "nope"),), "not offered"),
        ((pay(CARD, 0, "old"),), "not offered"),
        ((pay(QR, 0, "visa"),), "not offered"),
        ((pay(CASH, 10), pay(CARD, 0)), "Cash comes in steps of 0.25"),
        ((pay(CARD, 500, "visa"), pay(CASH, 0)), "no more than its own surcharge"),
        ((pay(QR, 10_001), pay(CASH, 0)), "more than the cart"),
        ((pay(QR, 6_000), pay(QR, 6_000), pay(CASH, 0)), "more than the cart"),
    ],
)
def test_R7_payments_that_cannot_settle_the_cart_are_refused(
    payments: tuple[PaymentIn, ...], words: str
) -> None:
    with pytest.raises(PlayParkError, match=words) as refusal:
        priced(10_000, *payments, step=25)
    assert refusal.value.code is ErrorCode.VALIDATION
    assert refusal.value.details is not None
    assert refusal.value.details["reason"] == "payments"
    booked = priced(10_000, *payments, step=25, committed=True)
    assert sum(booked.due) == booked.grand_total
