"""Cash in and out, X, Z and its difference, timecards, parking, training (R13, R27, R28, R32)."""

import pytest

from playpark.contracts.approvals import ApprovalAction
from playpark.contracts.sales import SaleIn
from playpark.contracts.shifts import MovementType
from playpark.contracts.timecards import TimecardEvent
from playpark.device import OpState
from playpark.errors import PlayParkError
from terminal.actions import available
from terminal.giving_back import Why
from tests.terminal.conftest import RICH, until

WHY = Why("customer_request", "Guest asked")


def made(desk, kind):
    return [op for op in desk.park.ops if op["kind"] == kind]


# --- cash in and out --------------------------------------------------------------------


async def test_R27_cash_moves_offline_and_its_slip_prints_at_once(rich_desk, rich):
    rich_desk.park.down = True
    await rich.drawer.move_cash(MovementType.DROP, 150000, WHY)
    await until(lambda: "movement" in rich_desk.paper.names)

    slip = rich_desk.paper.text("movement")
    assert "1,500.00" in slip
    assert "DROP" in slip
    assert "Guest asked" in slip
    [queued] = [op for op in rich_desk.store.pending() if op.kind == "cash_movement"]
    assert queued.committed
    assert queued.body["drawer_id"] == rich.shift.op_id

    rich_desk.park.down = False
    await rich.engine.drain()
    assert made(rich_desk, "cash_movement")[0]["body"]["amount"] == 150000
    assert rich_desk.paper.names.count("movement") == 1


@pytest.mark.parametrize("amount", [0, -100, 10**15])
async def test_an_amount_that_no_drawer_moves_is_refused(rich_desk, rich, amount):
    with pytest.raises(PlayParkError, match="more than 0"):
        await rich.drawer.move_cash(MovementType.PAY_IN, amount, WHY)

    assert rich_desk.store.recent(["cash_movement"], 1) == []


async def test_R40_who_may_not_move_cash_is_told(rich_desk, rich):
    rich_desk.park.permissions.remove("cash_movement")
    await rich.log_in("cashier@demo.playpark", "1111")

    with pytest.raises(PlayParkError, match="may not move cash"):
        await rich.drawer.move_cash(MovementType.PAY_IN, 100, None)


async def test_a_slip_of_a_crashed_till_prints_after_the_restart(rich_desk, rich):
    op = await rich.counter.append(
        "cash_movement", lambda _: {"type": "pay_in", "amount": 100}, prints=True
    )
    rich_desk.reopen()

    again = rich_desk.till()
    assert again.papers.due == [op.op_id]
    await again.papers.resume(again.papers.due, 0.1)
    await again.papers._print(*await again.papers._queue.get())

    assert rich_desk.paper.names == ["movement"]
    await again.close()


# --- X and Z ----------------------------------------------------------------------------


async def test_R28_an_x_report_needs_a_supervisor_where_the_cashier_may_not_see_reports(
    rich_desk, rich
):
    question = rich.drawer.x_question()
    assert (question.action, question.entity_id) == (ApprovalAction.X_REPORT, rich.shift.op_id)
    with pytest.raises(PlayParkError, match="Ask a supervisor"):
        await rich.drawer.x_report(None)

    report = await rich.drawer.x_report("approval-1")

    assert report.drawer.cash_expected == 200000
    assert "NOT FINAL" in rich_desk.paper.text("x")
    rich_desk.park.permissions.append("reports_view")
    await rich.log_in("cashier@demo.playpark", "1111")
    assert rich.drawer.x_question() is None


async def test_R28_the_z_takes_its_number_at_the_till_and_prints_with_the_answer(rich_desk, rich):
    rich.add("adult")
    await rich.deliver(await rich.pay_exact_cash())
    await rich.close_shift({100_000: 2})
    await until(lambda: "z" in rich_desk.paper.names)

    assert made(rich_desk, "shift_close")[0]["body"]["receipt_no"] == "03-Z000001"
    paper = rich_desk.paper.text("z")
    assert "Z REPORT 0001" in paper
    assert "Nok" in paper
    assert "PROVISIONAL" not in paper
    assert "provisional" not in rich_desk.paper.names


async def test_R28_offline_the_paper_is_provisional_without_the_expected_cash_then_final(
    rich_desk, rich
):
    rich.add("adult")
    await rich.deliver(await rich.pay_exact_cash())
    rich_desk.park.down = True
    await rich.close_shift({100_000: 2})

    paper = rich_desk.paper.text("provisional")
    assert "PROVISIONAL" in paper
    assert "2,000.00" in paper
    assert "Expected" not in paper
    assert "199.00" in paper
    rich_desk.park.down = False
    await rich.engine.drain()
    await until(lambda: "z" in rich_desk.paper.names)
    assert "Expected" in rich_desk.paper.text("z")


async def test_R27_a_difference_over_the_tolerance_is_accepted_by_a_supervisor(rich_desk, rich):
    rich_desk.park.tolerance = 2000
    await rich.close_shift(150000)
    assert rich.closing.over_tolerance

    question = rich.drawer.variance_question(WHY)
    assert question.entity_id == made(rich_desk, "shift_open")[0]["op_id"]
    assert (question.action, question.amount) == (ApprovalAction.CASH_VARIANCE, 50000)
    recount = rich.drawer.variance_question(WHY, 199000)
    assert (recount.action, recount.amount) == (ApprovalAction.SHIFT_ADJUSTMENT, 199000)
    await rich.drawer.adjust(WHY, "approval-1")
    await until(lambda: "adjustment" in rich_desk.paper.names)

    [adjusted] = made(rich_desk, "shift_adjustment")
    assert adjusted["body"]["type"] == "accept_variance"
    assert (adjusted["committed"], adjusted["approval"]) == (False, "approval-1")
    assert not rich.closing.over_tolerance


async def test_R27_a_new_count_is_appended_and_never_an_edit(rich_desk, rich):
    rich_desk.park.tolerance = 2000
    await rich.close_shift(150000)
    rich_desk.park.refusals["shift_adjustment"] = "The approval is for something else."
    with pytest.raises(PlayParkError, match="something else"):
        await rich.drawer.adjust(WHY, "wrong", 200000)
    assert rich.closing.over_tolerance

    rich_desk.park.refusals.clear()
    assert "2,000.00" in await rich.drawer.adjust(WHY, "approval-1", 200000)
    assert made(rich_desk, "shift_adjustment")[0]["body"]["cash_counted"] == 200000


async def test_a_float_that_no_drawer_holds_is_a_sentence(rich):
    await rich.close_shift(200000)

    with pytest.raises(PlayParkError, match="more than any drawer holds"):
        await rich.open_shift(10**18)


# --- timecards --------------------------------------------------------------------------


async def test_a_timecard_works_offline_and_a_refusal_is_told(rich_desk, rich):
    rich_desk.park.down = True
    await rich.drawer.clock(TimecardEvent.CLOCK_IN)
    assert rich.notice.text == "Nok clocked in at 15:42."
    rich_desk.park.down = False
    await rich.engine.drain()
    assert made(rich_desk, "timecard")[0]["body"]["event"] == "clock_in"

    rich_desk.park.refusals["timecard"] = "You are clocked in already."
    await rich.drawer.clock(TimecardEvent.CLOCK_IN)
    await until(lambda: "refused the timecard: You are clocked in already." in rich.notice.text)


# --- parking ----------------------------------------------------------------------------


async def test_R13_a_parked_cart_is_resumed_priced_anew_and_settled_by_its_sale(rich_desk, rich):
    [ploy] = await rich.guests.find("ploy")
    from terminal.parking import guest_of

    rich.add("adult", 2)
    rich.add("socks")
    rich.selling.enter_promo("FAMILY10")
    rich.selling.attach(guest_of(ploy))
    await rich.parking.park("family in red")
    assert not rich.basket
    dearer = RICH.packages[0].model_copy(update={"price": 29900})
    rich.counter.catalog = RICH.model_copy(update={"packages": [dearer, *RICH.packages[1:]]})
    rich_desk.park.catalog = rich.counter.catalog
    [parked] = await rich.parking.parked()

    await rich.parking.resume(parked.open_ticket_id)

    assert rich.basket.quantities == (("adult", 2), ("socks", 1))
    assert rich.basket.rung.promo_codes == ("FAMILY10",)
    assert rich.basket.rung.guest.points == 120
    assert "family in red" in rich.notice.text
    assert rich.notice.text.endswith("more.")
    sold = await rich.pay_exact_cash()
    assert SaleIn.model_validate(sold.body).open_ticket_id == parked.open_ticket_id


async def test_R13_a_resumed_cart_that_is_parked_again_stands_there_once(rich_desk, rich):
    rich.add("adult")
    await rich.parking.park("one")
    await rich.parking.resume("parked-1")
    rich.add("socks")

    await rich.parking.park("one")

    assert list(rich_desk.park.parked) == ["parked-2"]


async def test_R15_a_cart_whose_answer_was_lost_is_parked_once(rich_desk, rich):
    rich.add("adult")
    rich_desk.park.lose = True
    with pytest.raises(PlayParkError):
        await rich.parking.park("one")
    assert rich.basket.quantities == (("adult", 1),)
    rich.engine.note(None)  # the server is heard of again

    await rich.parking.park("one")

    assert list(rich_desk.park.parked) == ["parked-1"]
    rich.add("adult")
    await rich.parking.park("one")
    assert list(rich_desk.park.parked) == ["parked-1", "parked-2"]


async def test_R13_a_basket_is_never_overwritten_or_lost(rich_desk, rich):
    rich.add("adult")
    with pytest.raises(PlayParkError, match="Type a name"):
        await rich.parking.park("  ")
    await rich.parking.park("one")
    rich.add("socks")
    with pytest.raises(PlayParkError, match="Finish or park"):
        await rich.parking.resume("parked-1")
    rich_desk.park.down = True
    with pytest.raises(PlayParkError, match="does not answer"):
        await rich.parking.park("two")

    assert rich.basket.quantities == (("socks", 1),)


# --- training ---------------------------------------------------------------------------


async def test_R32_training_has_its_own_numbers_marked_papers_and_no_drawer_kick(rich_desk, rich):
    rich.add("adult")
    with pytest.raises(PlayParkError, match="in the basket first"):
        rich.train()
    await rich.deliver(await rich.pay_exact_cash())
    rich.train()
    rich.add("adult")
    await rich.deliver(await rich.pay_cash(50000))
    await until(lambda: len(rich_desk.paper.out) == 4)

    real, _, training, ticket = (paper for paper, _ in rich_desk.paper.out)
    assert (real.kick, training.kick) == (True, False)
    assert rich_desk.paper.receipts == ["03-S000001", "03-T000001"]
    assert "TRAINING" in rich_desk.paper.text("receipt")
    assert ticket.content.qr_token.startswith("PPT.")
    assert rich.last_sales[0].training
    with pytest.raises(PlayParkError, match="No cash moves in training"):
        await rich.drawer.move_cash(MovementType.PAY_IN, 100, None)
    rich.train()
    rich.add("adult")
    assert (await rich.pay_exact_cash()).receipt_no == "03-S000002"


async def test_R32_training_ends_with_the_shift_and_the_log_out(rich):
    rich.train()
    await rich.close_shift(200000)
    assert not rich.training
    await rich.open_shift(0)
    rich.train()
    await rich.log_out()
    assert not rich.training


async def test_a_session_that_ran_out_is_renewed_once(rich_desk, rich):
    rich_desk.park.expired = True

    assert await rich.guests.find("ploy")

    assert rich.counter.session.access_token == "renewed"
    assert rich.store.recent(["shift_open"], 1)[0].state is OpState.APPLIED


# --- a difference that waits ------------------------------------------------------------


async def closed_late(desk, till):
    """A count that is too low, answered when the next shift is open already."""
    desk.park.tolerance = 2000
    desk.park.down = True
    await till.close_shift(150000)
    await till.open_shift(100000)
    desk.park.down = False
    await till.engine.drain()


async def test_R27_a_difference_that_comes_late_waits_for_a_supervisor(rich_desk, rich):
    await closed_late(rich_desk, rich)
    assert rich.closing is None
    assert rich.drawer.unsettled.difference == "Z 1: 500.00 too little cash"
    assert "difference" in [each.name for each in available(rich)]

    waiting = await rich.drawer.look_at_difference()
    question = rich.drawer.variance_question(WHY)
    assert (question.entity_id, question.amount) == (waiting.shift_id, 50000)
    await rich.drawer.adjust(WHY, "approval-1")

    [adjusted] = made(rich_desk, "shift_adjustment")
    assert adjusted["body"]["shift_id"] == waiting.shift_id
    assert rich.drawer.unsettled is None
    assert "difference" not in [each.name for each in available(rich)]


async def test_R27_a_difference_waits_over_a_restart_until_it_is_settled(rich_desk, rich):
    await closed_late(rich_desk, rich)
    rich_desk.reopen()

    again = rich_desk.till()
    assert again.drawer.unsettled.difference.startswith("Z 1")
    await again.log_in("cashier@demo.playpark", "1111")
    await again.engine.drain()
    await again.drawer.adjust(WHY, "approval-1", 200000)
    await again.close()
    rich_desk.reopen()

    third = rich_desk.till()
    assert third.drawer.unsettled is None
    await third.close()


async def test_R27_a_difference_that_was_settled_in_the_back_office_waits_no_more(rich_desk, rich):
    await closed_late(rich_desk, rich)
    rich_desk.park.settled = True

    with pytest.raises(PlayParkError, match="Z 1 is settled already"):
        await rich.drawer.look_at_difference()

    assert rich.drawer.unsettled is None


async def test_R27_a_difference_is_asked_about_once_and_a_late_yes_settles_it(rich_desk, rich):
    await closed_late(rich_desk, rich)
    rich_desk.park.lose = True
    with pytest.raises(PlayParkError, match="has not answered"):
        await rich.drawer.adjust(WHY, "approval-1")
    with pytest.raises(PlayParkError, match="asked for already"):
        rich.drawer.variance_question(WHY)

    await rich.engine.drain()

    assert len(made(rich_desk, "shift_adjustment")) == 1
    assert rich.drawer.unsettled is None


async def test_R13_a_cart_whose_old_place_is_gone_is_parked_once_all_the_same(rich_desk, rich):
    rich.add("adult")
    await rich.parking.park("one")
    await rich.parking.resume("parked-1")
    rich_desk.park.gone_carts = True

    await rich.parking.park("one")

    assert rich.notice.text == "Parked as one."
    assert not rich.basket
