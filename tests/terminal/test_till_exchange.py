"""A lost ticket is exchanged at the till: found, approved, printed once (R25, R42)."""

import pytest

from playpark.contracts.approvals import ApprovalAction
from playpark.errors import PlayParkError
from terminal.giving_back import Standing, Why
from tests.terminal.conftest import until
from tests.terminal.test_till_giving_back import WHY, asked, sold


async def test_R25_a_new_ticket_prints_with_its_token_and_no_copy_mark(rich_desk, rich):
    found = await sold(rich)
    await until(lambda: len(rich_desk.paper.out) == 3)
    lost = found.tickets[1]

    outcome = await rich.giving_back.exchange(found, lost, WHY, "approval-1")
    await until(lambda: len(rich_desk.paper.out) == 4)

    assert (outcome.standing, outcome.parts) == (Standing.DONE, ())
    assert "the lost one admits nobody any more" in outcome.sentence
    [op] = asked(rich_desk, "exchange")
    assert (op["committed"], op["approval"]) == (False, "approval-1")
    assert op["body"]["ticket_id"] == lost.ticket.ticket_id
    (name, copy) = rich_desk.paper.out[-1]
    assert (name == lost.ticket.ticket_id, copy) == (False, False)
    new = rich_desk.paper.tickets[-1]
    assert new.qr_token.startswith("PP1.")
    disk = b"".join(each.read_bytes() for each in rich_desk.path.parent.iterdir())
    assert new.qr_token.encode() not in disk
    again = await rich.finding.find(found.sale.receipt_no)
    assert again.tickets[1].ticket.ticket_id == new.ticket_id


async def test_R42_the_yes_is_to_the_lost_ticket_alone(rich):
    found = await sold(rich)
    question = rich.giving_back.exchange_question(found.tickets[0], Why("lost", "Lost", "at lunch"))

    lost = found.tickets[0].ticket
    assert (question.action, question.entity_id) == (ApprovalAction.EXCHANGE, lost.ticket_id)
    assert (question.amount, question.why) == (None, "Lost: at lunch")
    code = f"{lost.short_code[:4]}-{lost.short_code[4:]}"
    assert question.whose == f"{lost.package_name} {code}"


async def test_what_admits_nobody_is_not_exchanged(rich_desk, rich):
    found = await sold(rich)
    for sale in rich_desk.park.answers.values():
        for ticket in sale.get("tickets", ()):
            ticket["status"] = "cancelled"
    gone = (await rich.finding.find(found.sale.receipt_no)).tickets[0]

    assert (gone.state, gone.left) == ("cancelled", 19900)  # its money was never given back
    with pytest.raises(PlayParkError, match="This ticket is cancelled"):
        await rich.giving_back.exchange(found, gone, WHY, "t")
    assert asked(rich_desk, "exchange") == []


async def test_until_the_answer_no_ticket_prints_and_a_late_one_is_told(rich_desk, rich):
    found = await sold(rich)
    await until(lambda: len(rich_desk.paper.out) == 3)
    rich_desk.park.lose = True

    outcome = await rich.giving_back.exchange(found, found.tickets[0], WHY, "t")
    assert outcome.standing is Standing.WAITING
    assert "the new ticket of 03-S000001 prints when it does" in outcome.sentence
    assert len(rich_desk.paper.out) == 3

    await rich.engine.drain()
    await until(lambda: len(rich_desk.paper.out) == 4)
    [late] = rich.giving_back.unseen
    assert late.standing is Standing.DONE
