"""Money in parts: due, given, remains; surcharges, rounding, points, hostile input (R7)."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from playpark.contracts.pricing import Cart, PaymentMethod
from playpark.contracts.timecards import TimecardEvent
from playpark.errors import PlayParkError
from playpark.pricing import price
from terminal.basket import Guest
from terminal.tender import Split, ways
from tests.terminal.conftest import NOW, RICH, until

WAYS = {way.name: way for way in ways(RICH)}
CASH, CARD, QR, POINTS = (WAYS[name] for name in ("Cash", "Card", "PromptPay", "Points"))


def split_of(lines, **more) -> Split:
    cart = Cart.model_validate({"lines": lines})
    return Split(lambda payments: price(cart, RICH, at=NOW, payments=payments), **more)


async def test_R7_cash_is_rounded_and_a_card_has_its_surcharge(rich):
    rich.add("child")  # 134.10 in the happy hour

    assert rich.selling.due(PaymentMethod.CASH) == 13400
    assert rich.selling.due(PaymentMethod.CARD) == 13410 + 268
    assert rich.selling.due(PaymentMethod.QR) == 13410


async def test_R7_exact_cash_books_what_was_rounded(rich_desk, rich):
    rich.add("child")
    sold = await rich.pay_exact_cash()

    assert sold.body["rung"]["cash_rounding"] == -10
    assert sold.body["payments"][0]["amount"] == 13400
    assert sold.body["payments"][0]["payment_type_id"] == "cash"


async def test_a_card_that_needs_its_reference_is_not_taken_without_it(rich):
    rich.add("adult")

    with pytest.raises(PlayParkError, match="needs a reference"):
        await rich.pay(PaymentMethod.CARD)
    with pytest.raises(PlayParkError, match="too long"):
        await rich.pay(PaymentMethod.CARD, reference="x" * 101)

    assert (await rich.pay(PaymentMethod.CARD, reference="A1")).body["payments"][0]["amount"] == (
        19900 + 398
    )


async def test_a_sale_in_three_parts_reaches_the_server_as_it_was_given(rich_desk, rich):
    rich_desk.park.customers = [rich_desk.park.customers[0] | {"group": "regular"}]
    rich.selling.attach(Guest("c1", "Ploy", "regular", 120))
    rich.add("family")  # 590.00
    split = rich.selling.split(rich.selling.quote())
    assert [way.name for way in rich.selling.ways()] == ["Cash", "Card", "PromptPay", "Points"]

    assert split.suggested(POINTS) == 12000
    split.give(POINTS, 12000)
    split.give(CARD, 20400, "A1")  # 200.00 and its surcharge of 4.00
    assert split.due(CASH) == 27000
    split.give(CASH, 30000)
    sold = await rich.selling.pay_by(split.payments)
    await rich.deliver(sold)
    await until(lambda: rich_desk.paper.receipts)

    methods = [(each["method"], each["amount"]) for each in sold.body["payments"]]
    assert methods == [("other", 12000), ("card", 20400), ("cash", 27000)]
    assert sum(amount for _, amount in methods) == sold.body["rung"]["grand_total"]
    assert (rich.sold.method, rich.sold.change) == ("split", 3000)
    assert "Card" in rich_desk.paper.text("receipt")


def test_the_last_payment_is_what_the_price_function_says():
    split = split_of([{"package_id": "adult", "qty": 1}])
    split.give(QR, 10000)

    assert split.due(CASH) == 9900
    assert split.due(CARD) == 9900 + 198
    split.give(CARD, split.suggested(CARD), "A1")
    assert split.settled


def test_two_pieces_of_cash_are_one_payment_with_one_change():
    split = split_of([{"package_id": "adult", "qty": 1}])
    split.give(CASH, 10000)
    assert split.due(CASH) == 9900
    split.give(CASH, 10000)

    assert split.settled
    [paid] = split.payments
    assert (paid.amount, paid.tendered) == (19900, 20000)


def test_what_was_given_can_be_taken_back():
    split = split_of([{"package_id": "adult", "qty": 1}])
    split.give(QR, 5000)

    assert split.take_back().amount == 5000
    assert split.due(QR) == 19900
    assert split.take_back() is None


@pytest.mark.parametrize(
    ("way", "amount", "why"),
    [
        (QR, 0, "more than 0"),
        (QR, -500, "more than 0"),
        (QR, 19901, "Only 199.00 is due"),
        (CARD, 10**15, "is due this way"),
        (POINTS, 12100, "points are worth 120.00"),
        (POINTS, 150, "steps of 1.00"),
        (CASH, 50, "steps of 1.00"),
    ],
)
def test_an_amount_that_cannot_be_is_refused_with_what_can(way, amount, why):
    split = split_of([{"package_id": "adult", "qty": 1}], points_limit=12000, point_value=100)

    with pytest.raises(PlayParkError, match=why):
        split.give(way, amount, "A1")

    assert split.payments == []
    assert not split.settled


def test_points_cannot_be_spent_twice():
    split = split_of([{"package_id": "adult", "qty": 1}], points_limit=12000, point_value=100)
    split.give(POINTS, 7000)

    assert split.suggested(POINTS) == 5000
    with pytest.raises(PlayParkError, match=r"worth 50\.00"):
        split.give(POINTS, 6000)


async def test_points_are_offered_only_online_and_to_who_has_some(rich_desk, rich):
    rich.add("adult")
    assert POINTS not in rich.selling.ways()
    rich.selling.attach(Guest("c1", "Ploy", "member", 0))
    assert POINTS not in rich.selling.ways()
    rich.selling.attach(Guest("c1", "Ploy", "member", 5))
    assert POINTS in rich.selling.ways()

    rich_desk.park.down = True
    await rich.drawer.clock(TimecardEvent.CLOCK_IN)
    assert POINTS not in rich.selling.ways()


STEPS = st.lists(
    st.tuples(st.sampled_from([CASH, CARD, QR, POINTS]), st.integers(-100, 60000)), max_size=8
)


@given(qty=st.integers(1, 4), steps=STEPS)
@settings(max_examples=100)
def test_R7_whatever_is_given_in_whatever_order_the_parts_are_the_price(qty, steps):
    lines = [{"package_id": "child", "qty": qty}, {"package_id": "socks", "qty": 1}]
    cart = Cart.model_validate({"lines": lines})
    split = split_of(lines, points_limit=10000, point_value=100)
    for way, amount in steps:
        try:
            split.give(way, amount, "A1")
        except PlayParkError:
            continue
    if not split.settled:
        split.give(QR, split.suggested(QR), "A1")

    priced = price(cart, RICH, at=NOW, payments=split.payments)
    assert priced.due == [payment.amount for payment in split.payments]
    assert sum(priced.due) == priced.grand_total
    assert all(
        payment.tendered >= payment.amount
        for payment in split.payments
        if payment.tendered is not None
    )
