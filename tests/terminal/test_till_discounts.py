"""Discounts, promotion codes, members and approvals at the till (R8, R11, R12, R42)."""

from datetime import timedelta

import pytest

from playpark.contracts.approvals import ApprovalAction
from playpark.contracts.catalog import ActiveWindow
from playpark.contracts.pricing import PaymentMethod
from playpark.contracts.rules import RuleParams
from playpark.errors import ErrorCode, PlayParkError
from terminal.basket import Guest, Rung
from terminal.parking import guest_of
from tests.terminal.conftest import NOW, RICH, until

SUPERVISOR = ("supervisor@demo.playpark", "9999")


async def approve(till) -> None:
    question = till.selling.question()
    granted = await till.approvals.ask(question, *SUPERVISOR)
    till.selling.approved(question, granted.approval_token)


async def test_a_promo_code_is_entered_taken_off_and_undone(rich):
    rich.add("adult", 2)
    rich.selling.enter_promo(" family10 ")
    assert rich.priced.grand_total == 35820

    rich.selling.enter_promo("FAMILY10")
    assert rich.priced.grand_total == 39800
    rich.undo()
    assert rich.priced.grand_total == 35820


async def test_an_unknown_promo_code_changes_nothing(rich):
    rich.add("adult")

    with pytest.raises(PlayParkError, match="no such promotion code"):
        rich.selling.enter_promo("NOPE")

    assert rich.basket.rung.promo_codes == ()


async def test_a_promo_code_that_does_nothing_says_why(rich):
    rich.add("adult")

    rich.selling.enter_promo("BIG")

    assert rich.notice.refused
    assert rich.notice.text.startswith("BIG: ")


async def test_a_member_gets_member_prices_and_the_sale_carries_them(rich_desk, rich):
    [ploy] = await rich.guests.find("ploy")
    rich.add("adult")
    rich.selling.attach(guest_of(ploy))
    assert rich.priced.grand_total == 18905

    await rich.deliver(await rich.pay(PaymentMethod.QR))
    await until(lambda: rich_desk.paper.receipts)

    [sold] = [op for op in rich_desk.park.ops if op["kind"] == "sale"]
    assert sold["body"]["customer_id"] == "c1"
    paper = rich_desk.paper.text("receipt")
    assert "Ploy [b]" in paper
    assert "Member price" in paper
    assert "+3" in paper
    assert "123" in paper  # 120 points before, 3 earned


async def test_members_are_found_by_their_number_and_written_down_anew(rich_desk, rich):
    assert [each.name for each in await rich.guests.find("0812")] == ["Ploy [b]"]
    with pytest.raises(PlayParkError, match="part of the name"):
        await rich.guests.find("  ")
    with pytest.raises(PlayParkError, match="telephone number such as"):
        await rich.guests.create("Mali", "call me")

    made = await rich.guests.create("Mali", "081 999 8888")

    assert (made.name, made.phone) == ("Mali", "0819998888")


async def test_R39_members_need_the_server_and_say_so(rich_desk, rich):
    rich_desk.park.down = True
    await rich.engine.drain()
    rich.add("adult")
    await rich.deliver(await rich.pay(PaymentMethod.QR))

    with pytest.raises(PlayParkError, match="needs the server"):
        await rich.guests.find("ploy")


async def test_a_chosen_discount_of_the_store_works_on_its_line(rich):
    rich.add("adult")
    rich.add("socks")
    [staff] = [each for each in rich.selling.discounts(0) if each.discount_id == "staff"]

    rich.selling.choose(staff, 0)
    assert rich.priced.grand_total == 15920 + 2200
    rich.selling.choose(staff, 0)
    assert rich.priced.grand_total == 22100


@pytest.mark.parametrize("amount", [-1, 19901, 10**15])
async def test_a_discount_by_hand_is_never_more_than_the_line(rich, amount):
    rich.add("adult")

    with pytest.raises(PlayParkError, match=r"costs 199\.00"):
        rich.selling.discount_by_hand(0, amount=amount)

    assert rich.priced.grand_total == 19900


async def test_a_percentage_by_hand_becomes_satang_at_that_moment(rich):
    rich.add("adult")
    rich.selling.discount_by_hand(0, percent=1_250)

    assert rich.basket.lines[0].manual_discount == 2488
    rich.selling.discount_by_hand(0, amount=0)
    assert rich.priced.grand_total == 19900


async def test_R42_a_discount_beyond_the_limit_is_not_paid_before_a_supervisor_said_yes(
    rich_desk, rich
):
    rich_desk.park.permissions.append("manual_discount")
    await rich.log_in("cashier@demo.playpark", "1111")
    rich.add("adult")
    rich.selling.discount_by_hand(0, amount=1990)
    assert rich.selling.question() is None
    rich.selling.discount_by_hand(0, amount=1991)
    question = rich.selling.question()
    assert (question.action, question.amount) == (ApprovalAction.MANUAL_DISCOUNT, 1991)

    with pytest.raises(PlayParkError, match="approve the discount first"):
        await rich.pay_exact_cash()
    assert rich.basket
    await approve(rich)
    sold = await rich.pay_exact_cash()

    envelope = sold.to_op_in()
    assert envelope.op_id == question.entity_id
    assert envelope.approval == "approval-1"
    assert rich_desk.park.approvals[0]["entity_id"] == sold.op_id
    assert rich_desk.park.approvals[0]["amount"] == 1991


async def test_R42_without_the_permission_every_discount_by_hand_needs_a_supervisor(rich):
    rich.add("adult")
    rich.selling.discount_by_hand(0, amount=1)

    assert "permissions" in rich.selling.question().why


async def test_R42_an_approval_is_for_the_discount_that_was_shown_and_for_this_basket(rich):
    rich.add("adult", 2)
    rich.selling.discount_by_hand(0, amount=5000)
    await approve(rich)
    assert rich.selling.question() is None

    rich.selling.discount_by_hand(0, amount=6000)
    assert rich.selling.question().amount == 6000
    rich.selling.discount_by_hand(0, amount=5000)
    assert rich.selling.question() is None
    rich.selling.empty()
    rich.add("adult", 2)
    rich.selling.discount_by_hand(0, amount=5000)
    assert rich.selling.question() is not None


async def test_R42_a_discount_of_the_store_may_need_a_supervisor(rich):
    rich.add("adult")
    [sorry] = [each for each in rich.selling.discounts(0) if each.discount_id == "sorry"]
    rich.selling.choose(sorry, 0)

    question = rich.selling.question()

    assert (question.amount, question.worth, question.why) == (0, 2000, "Apology")
    await approve(rich)
    assert rich.selling.question() is None


async def test_R42_a_yes_to_one_discount_of_the_store_is_none_to_another_or_a_dearer_one(
    rich_desk, rich
):
    [sorry] = [each for each in RICH.discounts if each.discount_id == "sorry"]
    half = sorry.model_copy(
        update={"discount_id": "half", "name": "Half", "amount": None, "percent": 5_000}
    )
    rich_desk.sells(RICH.model_copy(update={"discounts": [sorry, half]}))
    await rich.refresh_catalog()
    rich.add("adult")
    rich.selling.choose(sorry, 0)
    await approve(rich)
    assert rich.selling.question() is None

    rich.selling.choose(sorry, 0)
    rich.selling.choose(half, 0)
    assert rich.selling.question().worth == 9950
    await approve(rich)
    assert rich.selling.question() is None
    rich.add("adult", 9)
    assert rich.selling.question().worth == 99500


async def test_R42_who_approved_once_is_offered_first(rich):
    assert rich.approvals.approvers() == []
    rich.add("adult")
    rich.selling.discount_by_hand(0, amount=9000)
    await approve(rich)

    assert [each.email for each in rich.approvals.approvers()] == ["supervisor@demo.playpark"]


async def test_R42_a_wrong_pin_and_an_impossible_address_are_sentences(rich):
    rich.add("adult")
    rich.selling.discount_by_hand(0, amount=9000)
    question = rich.selling.question()

    for who, pin in (("supervisor@demo.playpark", "1234"), ("nobody", "9999"), ("a@b.c", "x")):
        with pytest.raises(PlayParkError, match="PIN"):
            await rich.approvals.ask(question, who, pin)
    assert rich.selling.question() is not None


async def test_a_receipt_names_each_discount_and_the_price_lists_price(rich_desk, rich):
    rich.add("child", 2)
    rich.add("adult")
    [staff] = [each for each in rich.selling.discounts(1) if each.discount_id == "staff"]
    rich.selling.choose(staff, 1)
    rich.selling.enter_promo("FAMILY10")
    rich.selling.discount_by_hand(1, amount=100)
    await approve(rich)
    await rich.deliver(await rich.pay_cash(100000))
    await until(lambda: rich_desk.paper.receipts)

    paper = rich_desk.paper.text("receipt")
    assert "Happy hour (ปกติ List 149.00)" in paper
    assert "Staff family" in paper
    assert "-39.80" in paper
    assert "FAMILY10" in paper
    assert "-1.00" in paper
    assert "Rounding" in paper


async def test_R12_a_price_that_changed_while_ringing_is_shown_before_it_is_paid(rich_desk, rich):
    ends = NOW + timedelta(minutes=5)
    happy = RICH.rules[0].model_copy(update={"window": ActiveWindow(ends_at=ends)})
    rich.counter.catalog = RICH.model_copy(update={"rules": [happy]})
    rich.add("child")
    assert rich.priced.grand_total == 13410
    rich_desk.clock.advance(timedelta(minutes=5))

    with pytest.raises(PlayParkError, match=r"149\.00 now, not 134\.10") as refused:
        await rich.pay_exact_cash()

    assert refused.value.code is ErrorCode.PRICE_CHANGED
    assert rich.priced.grand_total == 14900
    assert (await rich.pay_exact_cash()).body["rung"]["grand_total"] == 14900


async def test_an_emptied_basket_forgets_whose_it_was_until_that_is_undone(rich):
    rich.add("adult")
    rich.selling.attach(Guest("c1", "Ploy", "member", 120))
    rich.selling.enter_promo("FAMILY10")

    rich.void_line(0)
    assert rich.basket.rung == Rung()
    rich.undo()

    assert rich.basket.rung.guest.name == "Ploy"
    assert rich.basket.rung.promo_codes == ("FAMILY10",)


async def test_more_codes_than_a_sale_may_have_are_refused_and_change_nothing(rich):
    rules = [
        RICH.rules[2].model_copy(
            update={"rule_id": f"r{n}", "params": RuleParams(code=f"C{n}", percent=100)}
        )
        for n in range(11)
    ]
    rich.counter.catalog = RICH.model_copy(update={"rules": rules})
    rich.add("adult")
    for number in range(10):
        rich.selling.enter_promo(f"C{number}")

    with pytest.raises(PlayParkError, match="more discounts"):
        rich.selling.enter_promo("C10")

    assert len(rich.basket.rung.promo_codes) == 10


async def test_R42_an_approval_that_is_too_old_is_asked_for_again(rich_desk, rich):
    rich.add("adult")
    rich.selling.discount_by_hand(0, amount=5000)
    await approve(rich)
    rich_desk.clock.advance(timedelta(seconds=100))
    assert rich.selling.question() is None

    rich_desk.clock.advance(timedelta(seconds=20))

    assert rich.selling.question() is not None


async def test_R42_training_asks_no_supervisor_and_takes_no_points(rich):
    rich.train()
    rich.add("adult")
    rich.selling.attach(Guest("c1", "Ploy", "member", 120))
    rich.selling.discount_by_hand(0, amount=9000)

    assert rich.selling.question() is None
    assert not any(way.points for way in rich.selling.ways())


async def test_R12_the_price_that_the_card_terminal_was_told_is_the_one_that_is_booked(
    rich_desk, rich
):
    window = ActiveWindow(ends_at=NOW + timedelta(minutes=1))
    [happy] = [each for each in RICH.rules if each.rule_id == "happy"]
    rules = [happy.model_copy(update={"window": window})]
    rich_desk.sells(RICH.model_copy(update={"rules": rules}))
    await rich.refresh_catalog()
    rich.add("child")
    at = rich.selling.quote()
    due = rich.selling.due(PaymentMethod.CARD, at)
    rich_desk.clock.advance(timedelta(minutes=5))

    op = await rich.pay(PaymentMethod.CARD, reference="A1", at=at)

    assert sum(each["amount"] for each in op.body["payments"]) == due
    rich.add("child")
    rich_desk.clock.advance(timedelta(minutes=-5))
    with pytest.raises(PlayParkError) as changed:
        rich.selling.quote()
    assert changed.value.code is ErrorCode.PRICE_CHANGED
