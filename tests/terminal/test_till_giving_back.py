"""Refunds, voids and copies: money leaves only after the answer, once (R29, R31, R32, R42)."""

import asyncio
from dataclasses import replace

import pytest

from playpark.contracts.approvals import ApprovalAction
from playpark.contracts.pricing import PaymentMethod
from playpark.device import OpState, PrintState
from playpark.errors import PlayParkError
from playpark.offline_tickets import mint_pp2
from playpark.printing.transport import PrinterError
from terminal.giving_back import Standing, Why
from terminal.refund_amount import Back
from tests.terminal.conftest import until
from tests.unit.test_offline_tickets import KEY, TICKET

WHY = Why("customer_request", "Guest asked")


async def sold(till, package="adult", qty=2, method=PaymentMethod.CASH):
    till.add(package, qty)
    reference = "A1" if method is PaymentMethod.CARD else None
    op = await till.pay(method, reference=reference)
    await till.deliver(op)
    return await till.finding.find(op.receipt_no)


def asked(desk, kind="refund"):
    return [op for op in desk.park.ops if op["kind"] == kind]


async def test_a_sale_is_found_by_its_number_a_code_a_scan_and_by_another_tills_number(rich):
    found = await sold(rich)
    ticket = found.tickets[0].ticket
    ways = [
        found.sale.receipt_no.lower(),
        ticket.short_code,
        f"{ticket.short_code[:4]}-{ticket.short_code[4:]}",
        f"PP1.01.{ticket.ticket_id}.{'A' * 26}",
        mint_pp2(KEY, replace(TICKET, ticket_id=ticket.ticket_id)),
    ]

    for way in ways:
        assert (await rich.finding.find(way)).sale.sale_id == found.sale.sale_id
    for nothing in ("99-S000001", "AAAAAAAA", "nonsense", ""):
        with pytest.raises(PlayParkError, match="No sale is known"):
            await rich.finding.find(nothing)


async def test_tickets_stand_with_their_state_and_money(rich):
    found = await sold(rich)

    assert [(each.state, each.left) for each in found.tickets] == [("not used", 19900)] * 2
    assert found.left == 39800


async def test_R31_a_refund_pays_out_after_the_answer_and_prints_its_slip(rich_desk, rich):
    found = await sold(rich)
    ids = (found.tickets[0].ticket.ticket_id,)
    assert rich.giving_back.expected(found, Back(ids)) == 19900

    outcome = await rich.giving_back.refund(found, Back(ids), WHY, "approval-1")
    await until(lambda: "refund" in rich_desk.paper.names)

    assert outcome.standing is Standing.DONE
    assert outcome.parts == ((PaymentMethod.CASH, 19900),)
    assert "give back 199.00 cash" in outcome.sentence
    [op] = asked(rich_desk)
    assert op["committed"] is False
    assert op["approval"] == "approval-1"
    assert op["body"]["receipt_no"] == "03-R000001"
    slip = rich_desk.paper.text("refund")
    assert "03-R000001" in slip
    assert "Guest asked" in slip
    again = await rich.finding.find(found.sale.receipt_no)
    assert [(each.state, each.left) for each in again.tickets] == [
        ("refunded", 0),
        ("not used", 19900),
    ]


async def test_R31_until_the_answer_the_till_says_wait_and_a_late_answer_stays_till_confirmed(
    rich_desk, rich
):
    found = await sold(rich)
    rich_desk.park.lose = True

    outcome = await rich.giving_back.refund(found, Back(), WHY, "t")
    assert outcome.standing is Standing.WAITING
    assert outcome.parts == ()
    assert "do not give money back" in outcome.sentence
    assert "refund" not in rich_desk.paper.names
    with pytest.raises(PlayParkError, match=r"needs the server|asked for this sale already"):
        await rich.giving_back.refund(found, Back(), WHY, "t")

    await rich.engine.drain()
    await until(lambda: "refund" in rich_desk.paper.names)
    [late] = rich.giving_back.unseen
    assert "give back 398.00 cash" in late.sentence
    assert rich.giving_back.waiting == []
    assert len(asked(rich_desk)) == 1
    rich.giving_back.seen()
    assert rich.giving_back.unseen == []


async def test_R31_a_sale_is_not_refunded_twice_while_one_is_on_its_way(rich_desk, rich):
    found = await sold(rich)
    rich_desk.park.lose = True
    await rich.giving_back.refund(found, Back(), WHY, "t")
    rich.engine.note(None)

    with pytest.raises(PlayParkError, match="asked for this sale already"):
        await rich.giving_back.refund(found, Back(), WHY, "t2")
    with pytest.raises(PlayParkError, match="asked for this sale already"):
        await rich.giving_back.void(found, WHY, "t3")

    assert len(asked(rich_desk)) == 1


async def test_R31_two_enters_in_one_moment_make_one_refund(rich_desk, rich):
    found = await sold(rich)

    results = await asyncio.gather(
        rich.giving_back.refund(found, Back(), WHY, "t"),
        rich.giving_back.refund(found, Back(), WHY, "t"),
        return_exceptions=True,
    )

    assert sum(isinstance(result, PlayParkError) for result in results) == 1
    assert len(asked(rich_desk)) == 1


async def test_R31_killed_with_a_refund_on_its_way_it_is_asked_once_and_told_after_the_restart(
    rich_desk, rich
):
    found = await sold(rich)
    rich_desk.park.lose = True
    await rich.giving_back.refund(found, Back(), WHY, "t")
    rich_desk.reopen()

    again = rich_desk.till()
    [waiting] = again.giving_back.waiting
    assert "do not give money back for 03-S000001" in waiting.sentence
    printing = asyncio.create_task(again.papers.run())
    await again.engine.drain()
    await until(lambda: "refund" in rich_desk.paper.names)
    printing.cancel()

    assert [late.standing for late in again.giving_back.unseen] == [Standing.DONE]
    assert len(asked(rich_desk)) == 1
    assert rich_desk.paper.names.count("refund") == 1
    await again.close()


async def test_R29_a_refused_refund_gives_nothing_and_closes_its_number(rich_desk, rich):
    found = await sold(rich)
    rich_desk.park.refusals["refund"] = "More is asked than was paid."

    outcome = await rich.giving_back.refund(found, Back(), WHY, "t")
    await rich.engine.drain()

    assert outcome.standing is Standing.REFUSED
    assert outcome.sentence.endswith("More is asked than was paid. Give no money back.")
    assert "refund" not in rich_desk.paper.names
    [abandoned] = asked(rich_desk, "abandon")
    assert abandoned["body"]["receipt_no"] == "03-R000001"
    del rich_desk.park.refusals["refund"]
    await rich.giving_back.refund(found, Back(), WHY, "t")
    assert asked(rich_desk)[-1]["body"]["receipt_no"] == "03-R000002"


async def test_R31_a_sale_that_has_not_arrived_is_not_refunded(rich_desk, rich):
    rich_desk.park.fault = {"code": "E_INTERNAL", "message": "later"}
    rich.add("adult")
    op = await rich.pay_exact_cash()
    await rich.deliver(op)

    with pytest.raises(PlayParkError, match="has not arrived at the server yet"):
        await rich.finding.find(op.receipt_no)


async def test_R39_offline_nothing_is_given_back(rich_desk, rich):
    found = await sold(rich)
    rich_desk.park.down = True
    rich.add("socks")
    await rich.deliver(await rich.pay_exact_cash())

    for asking in (
        rich.finding.find(found.sale.receipt_no),
        rich.giving_back.refund(found, Back(), WHY, "t"),
        rich.giving_back.void(found, WHY, "t"),
        rich.giving_back.reprint(found, None, WHY, "t"),
    ):
        with pytest.raises(PlayParkError, match="needs the server"):
            await asking
    assert not [op for op in rich_desk.store.pending() if op.kind in {"refund", "void", "reprint"}]


async def test_R32_a_void_is_for_this_shift_on_this_till_with_nothing_used(rich_desk, rich):
    found = await sold(rich)
    assert rich.giving_back.why_not_void(found) is None
    rich_desk.park.answers[rich.last_sales[0].op_id]["tickets"][0]["used"] = 1
    used = await rich.finding.find(found.sale.receipt_no)
    assert "used already" in rich.giving_back.why_not_void(used)
    other = found.sale.model_copy(update={"device_id": "dev9"})
    elsewhere = type(found)(found.answer.model_copy(update={"sale": other}), found.tickets)
    assert "another till" in rich.giving_back.why_not_void(elsewhere)

    outcome = await rich.giving_back.void(found, WHY, "t")
    await until(lambda: "void" in rich_desk.paper.names)

    assert outcome.parts == ((PaymentMethod.CASH, 39800),)
    voided = await rich.finding.find(found.sale.receipt_no)
    assert voided.left == 0
    assert "voided already" in rich.giving_back.why_not_void(voided)


async def test_R42_the_supervisor_is_asked_about_this_sale_this_money_and_this_reason(rich):
    found = await sold(rich)
    ids = (found.tickets[1].ticket.ticket_id,)
    amount = rich.giving_back.expected(found, Back(ids))

    question = rich.giving_back.question(
        ApprovalAction.REFUND, found, Why("other", "Something else", "rain"), amount
    )

    assert (question.entity_id, question.amount) == (found.sale.sale_id, 19900)
    assert (question.whose, question.why) == ("Sale 03-S000001", "Something else: rain")


async def test_R31_the_expected_refund_of_a_card_sale_has_its_surcharge_with_the_last(rich):
    found = await sold(rich, qty=2, method=PaymentMethod.CARD)
    ids = tuple(each.ticket.ticket_id for each in found.tickets)

    assert found.left == 39800 + 796
    assert rich.giving_back.expected(found, Back(ids[:1])) == 19900
    assert rich.giving_back.expected(found, Back(ids)) == 39800 + 796
    assert rich.giving_back.expected(found, Back()) == 39800 + 796


async def test_a_copy_prints_with_the_tokens_of_the_answer_and_is_marked(rich_desk, rich):
    found = await sold(rich)
    await until(lambda: len(rich_desk.paper.out) == 3)

    outcome = await rich.giving_back.reprint(found, None, WHY, "t")
    await until(lambda: len(rich_desk.paper.out) == 6)

    assert outcome.standing is Standing.DONE
    assert [copy for _, copy in rich_desk.paper.out] == [False] * 3 + [True] * 3
    assert all(ticket.qr_token.startswith("PP1.") for ticket in rich_desk.paper.tickets)
    assert "COPY" in rich_desk.paper.text("receipt")
    disk = b"".join(each.read_bytes() for each in rich_desk.path.parent.iterdir())
    assert rich_desk.paper.tickets[0].qr_token.encode() not in disk


async def test_one_ticket_is_copied_alone(rich_desk, rich):
    found = await sold(rich)
    await until(lambda: len(rich_desk.paper.out) == 3)
    ids = (found.tickets[1].ticket.ticket_id,)

    await rich.giving_back.reprint(found, ids, WHY, "t")
    await until(lambda: len(rich_desk.paper.out) == 4)

    assert rich_desk.paper.names[-1] == ids[0]


async def test_a_slip_that_the_printer_did_not_take_is_due_and_prints_later(rich_desk, rich):
    found = await sold(rich)
    await until(lambda: len(rich_desk.paper.out) == 3)
    rich_desk.paper.fails = PrinterError("The printer is out of paper.")
    outcome = await rich.giving_back.refund(found, Back(), WHY, "t")
    await until(lambda: rich.papers.due)

    assert outcome.standing is Standing.DONE
    rich_desk.paper.fails = None
    await rich.print_due()
    await until(lambda: not rich.papers.due)
    [refund] = rich_desk.store.recent(["refund"], 5)
    assert (refund.state, refund.printing) == (OpState.APPLIED, PrintState.PRINTED)


async def test_R26_money_is_given_back_in_an_open_shift_only(rich):
    found = await sold(rich)
    await rich.close_shift(0)

    with pytest.raises(PlayParkError, match="No shift is open"):
        await rich.giving_back.refund(found, Back(), WHY, "t")


async def test_R31_a_slip_after_a_restart_does_not_say_to_pay_out_once_more(rich_desk, rich):
    found = await sold(rich)
    await until(lambda: len(rich_desk.paper.out) == 3)
    rich_desk.paper.fails = PrinterError("The printer is out of paper.")
    await rich.giving_back.refund(found, Back(), WHY, "t")
    await until(lambda: rich.papers.due)
    rich_desk.reopen()
    rich_desk.paper.fails = None

    again = rich_desk.till()
    await again.log_in("cashier@demo.playpark", "1111")
    await again.print_due()

    [late] = again.giving_back.unseen
    assert late.sentence.endswith("If it was not given back before.")
    await again.close()


async def test_R39_after_a_slow_answer_what_needs_the_server_is_tried(rich_desk, rich):
    found = await sold(rich)
    rich.engine.missed()
    assert not rich.engine.online

    assert (await rich.finding.find(found.sale.receipt_no)).left == found.left

    assert rich.engine.reachable
