"""The register without a screen: baskets, payments, crashes, printers, shifts."""

import asyncio

import pytest

from playpark.contracts.pricing import PaymentMethod
from playpark.contracts.sales import SaleIn
from playpark.device import OpState, PrintState
from playpark.errors import ErrorCode, PlayParkError
from playpark.ids import normalise_short_code
from playpark.printing.transport import PrinterError
from terminal.counter import TillState
from terminal.selling import SAVED
from tests.terminal.conftest import CATALOG, until


async def test_a_till_goes_through_its_states(desk):
    till = desk.till()
    assert till.state is TillState.LOGGED_OUT
    await till.log_in("cashier@demo.playpark", "1111")
    assert till.state is TillState.NO_SHIFT
    await till.open_shift(100000)
    assert till.state is TillState.SELLING
    await till.log_out()
    assert till.state is TillState.LOGGED_OUT
    assert [each.email for each in desk.store.recent_employees()] == ["cashier@demo.playpark"]


async def test_two_tickets_exact_cash(desk, till):
    till.add("adult")
    till.add("adult")
    sold = await till.pay_exact_cash()
    await till.deliver(sold)
    await until(lambda: desk.paper.printed)

    assert desk.paper.receipts == ["03-S000001"]
    assert till.sold.total == 39800
    assert till.sold.change == 0
    assert not till.basket


async def test_R14_the_frozen_body_carries_everything_that_the_till_decides(desk, till):
    till.add("adult", 2)
    till.add("family")
    sold = await till.pay_cash(200000)

    sale = SaleIn.model_validate(sold.body)
    assert sale.receipt_no == "03-S000001"
    assert [len(ids) for ids in sale.ticket_ids] == [2, 4]
    assert [len(codes) for codes in sale.short_codes] == [2, 4]
    assert all(normalise_short_code(code) for line in sale.short_codes for code in line)
    assert sale.catalog_version == 7
    assert sale.business_date.isoformat() == "2026-11-21"
    assert sale.rung.grand_total == 98800
    assert [(p.amount, p.tendered) for p in sale.payments] == [(98800, 200000)]
    assert (sold.to_op_in().committed, sold.shift_id) == (True, till.shift.op_id)
    assert sold.employee_id == "e1"


@pytest.mark.parametrize(("local", "day"), [("20:59", "2026-11-21"), ("21:01", "2026-11-22")])
async def test_R30_the_business_day_ends_at_four_in_the_morning(desk, till, local, day):
    """04:00 in Bangkok is 21:00 UTC."""
    from datetime import timedelta

    hours, minutes = map(int, local.split(":"))
    desk.clock.advance(timedelta(hours=hours - 8, minutes=minutes - 42))
    till.add("adult")

    sold = await till.pay_exact_cash()

    assert sold.body["business_date"] == day


async def test_change_stays_until_the_first_key_of_the_next_sale(till):
    till.add("adult")
    await till.pay_cash(50000)
    assert till.sold.change == 30100

    till.add("child")
    assert till.sold is None
    assert till.last_sales[0].change == 30100


async def test_too_little_cash_is_refused_with_what_is_missing(desk, till):
    till.add("adult")

    with pytest.raises(PlayParkError, match=r"฿99.00 is missing") as refused:
        await till.pay_cash(10000)

    assert refused.value.code is ErrorCode.INSUFFICIENT_TENDER
    assert till.basket
    assert not [op for op in desk.store.pending() if op.kind == "sale"]


async def test_a_tender_over_ten_times_the_total_needs_a_second_word(till):
    till.add("carousel")
    assert not till.is_unusual(40000)
    assert till.is_unusual(40001)

    with pytest.raises(PlayParkError, match="ten times"):
        await till.pay_cash(50000)
    await till.pay_cash(50000, confirmed=True)

    assert till.sold.change == 46000


async def test_an_empty_basket_cannot_be_paid(till):
    with pytest.raises(PlayParkError, match="empty"):
        await till.pay_exact_cash()


async def test_card_and_qr_carry_their_reference_and_no_tender(till):
    till.add("adult")
    sold = await till.pay(PaymentMethod.CARD, reference="A123")

    assert sold.body["payments"] == [{"method": "card", "amount": 19900, "reference": "A123"}]


async def test_lines_merge_void_and_undo(till):
    till.add("adult")
    till.add("child")
    till.add("adult", 2)
    assert till.basket.quantities == (("adult", 3), ("child", 1))
    till.void_line(0)
    assert till.basket.quantities == (("child", 1),)
    till.undo()
    till.undo()
    assert till.basket.quantities == (("adult", 1), ("child", 1))


async def test_R56_a_sale_makes_at_most_500_tickets(till):
    till.add("family", 125)

    with pytest.raises(PlayParkError, match="500 tickets"):
        till.add("adult")

    assert till.basket.quantities == (("family", 125),)


async def test_a_second_enter_sells_nothing_more(desk, till):
    till.add("adult")

    results = await asyncio.gather(
        till.pay_exact_cash(), till.pay_exact_cash(), return_exceptions=True
    )

    assert sum(isinstance(result, PlayParkError) for result in results) == 1
    assert len([op for op in desk.store.pending() if op.kind == "sale"]) == 1


async def test_R34_a_full_disk_keeps_the_basket_and_sells_nothing(desk, till):
    till.add("adult")
    pages = desk.store._database.row("PRAGMA page_count")[0]
    desk.store._database.row(f"PRAGMA max_page_count = {pages}")

    async def sell_until_it_fails() -> None:
        for _ in range(100):
            await till.pay_exact_cash()
            till.add("adult")

    with pytest.raises(PlayParkError, match="disk"):
        await sell_until_it_fails()

    assert till.basket
    assert till.state is TillState.SELLING


async def test_offline_a_sale_is_saved_and_prints_when_the_server_answers(desk, till):
    desk.park.down = True
    till.add("adult")
    sold = await till.pay_exact_cash()
    await till.deliver(sold)

    assert till.notice.text == SAVED
    assert (till.engine.online, till.engine.queued) == (False, 1)
    assert not desk.paper.printed

    desk.park.down = False
    await till.engine.drain()
    await until(lambda: desk.paper.printed)
    await until(lambda: till.last_sales[0].printing is PrintState.PRINTED)
    assert till.notice.text == ""
    assert till.last_sales[0].state is OpState.APPLIED


async def test_a_server_that_answers_but_does_not_take_it_is_quoted(desk, till):
    desk.park.fault = {"code": "E_DEVICE_SUSPENDED", "message": "This till is suspended."}
    till.add("adult")
    await till.deliver(await till.pay_exact_cash())

    assert till.notice.text == "Saved, not sent: This till is suspended."
    assert (till.engine.online, till.engine.queued) == (True, 1)


async def test_what_cannot_be_priced_is_not_rung(till):
    dear = CATALOG.packages[0].model_copy(update={"package_id": "moon", "price": 10**12})
    till.counter.catalog = CATALOG.model_copy(update={"packages": [*CATALOG.packages, dear]})
    till.add("adult")

    with pytest.raises(PlayParkError, match="too large"):
        till.add("moon", 2)

    assert till.basket.quantities == (("adult", 1),)
    assert till.priced.grand_total == 19900


async def test_R14_a_lost_answer_sells_and_prints_once(desk, till):
    desk.park.lose = True
    till.add("adult")
    await till.deliver(await till.pay_exact_cash())
    assert not desk.paper.printed

    await till.engine.drain()
    await until(lambda: desk.paper.printed)

    assert len([op for op in desk.park.ops if op["kind"] == "sale"]) == 1
    assert len(desk.paper.printed) == 1


async def test_R34_what_was_sold_before_a_crash_is_sent_and_printed_after_it(desk):
    till = desk.till()
    await till.log_in("cashier@demo.playpark", "1111")
    await till.open_shift(0)
    till.add("adult")
    await till.pay_exact_cash()
    desk.reopen()

    again = desk.till()
    printing = asyncio.create_task(again.papers.run())
    assert again.shift.op_id == till.shift.op_id
    await again.engine.drain()
    await until(lambda: desk.paper.printed)
    printing.cancel()

    assert desk.paper.receipts == ["03-S000001"]


async def test_R23_tokens_of_an_unprinted_sale_are_asked_for_again_after_a_crash(desk, till):
    desk.paper.fails = PlayParkError(ErrorCode.UNAVAILABLE, "The printer is off.")
    till.add("adult")
    await till.deliver(await till.pay_exact_cash())
    await until(lambda: till.papers.error)
    desk.reopen()
    desk.paper.fails = None

    again = desk.till()
    assert again.papers.due
    printing = asyncio.create_task(again.papers.run())
    await again.print_due()
    await until(lambda: desk.paper.tickets)
    printing.cancel()

    assert desk.paper.tickets[0].qr_token.startswith("PP1.")


async def test_a_printer_that_fails_never_loses_a_sale(desk, till):
    desk.paper.fails = PrinterError("The printer is out of paper: put in a new roll.")
    till.add("adult")
    await till.deliver(await till.pay_exact_cash())
    await until(lambda: till.notice.refused)

    assert "03-S000001 is sold but not printed" in till.notice.text
    assert "PRINTER FAILED" in till.papers.printer_state
    desk.paper.fails = None
    await till.print_due()
    await until(lambda: desk.paper.printed)
    await until(lambda: not till.papers.due)
    assert len(desk.paper.printed) == 1
    assert till.papers.printer_state == "printer ok"


async def test_R23_pressing_print_twice_prints_once(desk, till):
    desk.paper.fails = PlayParkError(ErrorCode.UNAVAILABLE, "The printer is off.")
    till.add("adult")
    await till.deliver(await till.pay_exact_cash())
    await until(lambda: till.papers.error)
    desk.paper.fails = None

    await asyncio.gather(till.print_due(), till.print_due())
    await until(lambda: not till.papers.due)
    await asyncio.sleep(0.05)

    assert len(desk.paper.printed) == 1


async def test_R23_an_answer_that_comes_again_does_not_print_what_is_in_doubt(desk, till):
    desk.paper.fails = PrinterError("broke the connection", maybe_printed=True)
    till.add("adult")
    sold = await till.pay_exact_cash()
    await till.deliver(sold)
    await until(lambda: till.papers.doubtful)
    desk.paper.fails = None

    await till.engine.submit(sold.op_id, 2.0)
    await asyncio.sleep(0.05)

    assert desk.paper.printed == []


async def test_R23_a_paper_that_may_be_out_is_not_printed_by_itself(desk, till):
    desk.paper.fails = PrinterError("broke the connection", maybe_printed=True)
    till.add("adult")
    await till.deliver(await till.pay_exact_cash())
    await until(lambda: till.papers.doubtful)
    desk.paper.fails = None

    await till.print_due()
    await asyncio.sleep(0.05)
    assert desk.paper.printed == []

    await till.papers.resume(till.papers.doubtful, 1.0)
    await until(lambda: desk.paper.printed)
    assert desk.paper.printed[0][1] is True


async def test_R23_the_cashier_can_say_that_the_paper_is_there(desk, till):
    desk.paper.fails = PrinterError("broke the connection", maybe_printed=True)
    till.add("adult")
    await till.deliver(await till.pay_exact_cash())
    await until(lambda: till.papers.doubtful)

    desk.paper.fails = None
    await till.papers.are_on_paper(till.papers.doubtful, 1.0)
    await until(lambda: not desk.store.unprinted())

    assert (len(desk.paper.printed), len(desk.paper.tickets)) == (0, 1)


async def test_R35_a_refused_sale_is_told_and_kept(desk, till):
    desk.park.refuse = "The body is malformed."
    till.add("adult")
    await till.deliver(await till.pay_exact_cash())

    assert till.notice.refused
    assert "refused sale 03-S000001: The body is malformed." in till.notice.text
    assert [op.receipt_no for op in desk.store.rejected()] == ["03-S000001"]
    assert not till.papers.due


async def test_R12_prices_do_not_move_under_a_basket(desk, till):
    dearer = CATALOG.model_copy(
        update={
            "catalog_version": 8,
            "packages": [CATALOG.packages[0].model_copy(update={"price": 99900})],
        }
    )
    desk.park.catalog = dearer
    till.add("adult")
    await till.refresh_catalog()
    till.add("adult")
    assert till.priced.grand_total == 39800

    await till.pay_exact_cash()
    await till.refresh_catalog()
    till.add("adult")
    assert till.priced.grand_total == 99900


async def test_R40_who_may_not_sell_or_open_is_told_so(desk):
    desk.park.permissions = ["redeem"]
    till = desk.till()
    await till.log_in("cashier@demo.playpark", "1111")

    with pytest.raises(PlayParkError, match="may not open a shift"):
        await till.open_shift(0)


async def test_a_wrong_pin_is_refused_and_tried_once(desk):
    till = desk.till()

    with pytest.raises(PlayParkError, match="Wrong email or PIN"):
        await till.log_in("cashier@demo.playpark", "9999")
    with pytest.raises(PlayParkError, match="4 to 8 digits"):
        await till.log_in("cashier@demo.playpark", "1")

    assert till.state is TillState.LOGGED_OUT


async def test_R27_the_count_is_blind_and_the_server_says_what_was_due(desk, till):
    till.add("adult")
    await till.deliver(await till.pay_exact_cash())

    await till.close_shift({100_000: 2, 10_000: 1})

    closing = till.closing
    assert (closing.counted, closing.closed.cash_expected) == (210000, 219900)
    assert closing.closed.cash_diff == -9900
    assert till.state is TillState.NO_SHIFT
    sent = desk.park.ops[-1]
    assert sent["body"]["counted"] == {"100000": 2, "10000": 1}
    assert "expected" not in str(sent)


async def test_R37_a_shift_closes_offline_and_the_figures_come_later(desk, till):
    desk.park.down = True
    await till.close_shift(200000)
    assert till.closing.closed is None
    assert till.state is TillState.NO_SHIFT

    desk.park.down = False
    await till.engine.drain()

    assert till.closing.closed.cash_expected == 200000


async def test_a_shift_with_a_full_basket_does_not_close(till):
    till.add("adult")

    with pytest.raises(PlayParkError, match="basket"):
        await till.close_shift(0)


async def test_the_till_never_syncs_as_the_cashier(desk, till):
    """A suspended cashier must not hold up the queue (R35)."""
    assert till.counter.client.employee_token is None
