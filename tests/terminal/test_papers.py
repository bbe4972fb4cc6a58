"""Each paper of a sale is its own print job: a failure repeats only what is not out (R23)."""

import asyncio

import pytest

from playpark.device import PrintState
from playpark.printing.transport import PrinterError
from tests.terminal.conftest import until

BROKE = PrinterError("The printer broke the connection.", maybe_printed=True)
NO_PAPER = PrinterError("The printer is out of paper.")


async def sell(till, qty=3):
    till.add("adult", qty)
    op = await till.pay_exact_cash()
    await till.deliver(op)
    return op


async def test_the_receipt_and_every_ticket_are_papers_of_their_own(desk, till):
    op = await sell(till)
    await until(lambda: not till.papers.due)

    tickets = [each for line in op.body["ticket_ids"] for each in line]
    assert desk.paper.names == ["receipt", *tickets]
    assert [paper.kick for paper, _ in desk.paper.out] == [True, False, False, False]


async def test_out_of_paper_in_the_middle_repeats_only_what_is_not_out(desk, till):
    desk.paper.fails, desk.paper.good = NO_PAPER, 2
    op = await sell(till)
    await until(lambda: till.papers.error)
    desk.paper.fails = None

    await till.print_due()
    await until(lambda: not till.papers.due)

    tickets = [each for line in op.body["ticket_ids"] for each in line]
    assert desk.paper.names == ["receipt", *tickets]
    assert not any(copy for _, copy in desk.paper.out)


async def test_only_the_paper_in_doubt_repeats_as_a_copy(desk, till):
    desk.paper.fails, desk.paper.good = BROKE, 1
    op = await sell(till)
    await until(lambda: till.papers.doubtful)
    desk.paper.fails = None
    assert till.papers.describe(till.papers.doubtful) == ["03-S000001"]

    await till.papers.resume(till.papers.doubtful, 1.0)
    await until(lambda: not till.papers.doubtful)

    tickets = [each for line in op.body["ticket_ids"] for each in line]
    assert desk.paper.names == ["receipt", *tickets]
    assert [copy for _, copy in desk.paper.out] == [False, True, False, False]


async def test_a_paper_in_hand_is_not_printed_again_and_the_others_come_out(desk, till):
    desk.paper.fails, desk.paper.good = BROKE, 1
    op = await sell(till)
    await until(lambda: till.papers.doubtful)
    desk.paper.fails = None

    await till.papers.are_on_paper(till.papers.doubtful, 1.0)
    await until(lambda: not desk.store.unprinted())

    tickets = [each for line in op.body["ticket_ids"] for each in line]
    assert desk.paper.names == ["receipt", *tickets[1:]]


@pytest.mark.parametrize("good", [0, 1, 3])
async def test_R23_after_a_kill_in_the_middle_no_paper_comes_out_twice_by_itself(desk, good):
    class Killed(Exception):  # noqa: N818 - no error: a death
        """As if the process had died while the bytes left."""

    till = desk.till()
    await till.log_in("cashier@demo.playpark", "1111")
    await till.open_shift(0)
    desk.paper.fails, desk.paper.good = Killed(), good  # type: ignore[assignment]
    op = await sell(till)
    with pytest.raises(Killed):
        await asyncio.wait_for(till.papers.run(), 5)
    await till.close()
    desk.reopen()
    desk.paper.fails = None

    again = desk.till()
    assert again.papers.doubtful == [op.op_id]
    printing = asyncio.create_task(again.papers.run())
    await again.print_due()
    await asyncio.sleep(0.05)
    assert len(desk.paper.out) == good
    await again.papers.resume(again.papers.doubtful, 1.0)
    await until(lambda: not desk.store.unprinted())
    printing.cancel()
    await again.close()

    names = ["receipt", *(each for line in op.body["ticket_ids"] for each in line)]
    assert desk.paper.names == names
    assert [copy for _, copy in desk.paper.out] == [index == good for index in range(4)]


async def test_a_copy_that_fails_again_stays_in_doubt(desk, till):
    desk.paper.fails = BROKE
    await sell(till)
    await until(lambda: till.papers.doubtful)
    desk.paper.fails = NO_PAPER

    await till.papers.resume(till.papers.doubtful, 1.0)
    await until(lambda: "out of paper" in till.notice.text)

    assert till.papers.doubtful
    assert till.papers.due == []


async def test_an_x_report_that_does_not_print_is_told(rich_desk, rich):
    rich_desk.paper.fails = NO_PAPER

    await rich.drawer.x_report("approval-1")

    assert rich.notice.text == "Not printed. The printer is out of paper."


async def test_a_sale_is_marked_printed_only_with_its_last_paper(desk, till):
    desk.paper.fails, desk.paper.good = NO_PAPER, 3
    op = await sell(till)
    await until(lambda: till.papers.error)

    assert desk.store.op(op.op_id).printing is PrintState.DUE
    assert till.last_sales[0].printing is PrintState.DUE
