"""Lines that fail: cut, slow, lossy, without answers, everything twice (R14, R15, R22, R37)."""

import asyncio

from gate.answers import Level
from playpark.contracts.pricing import PaymentMethod
from playpark.contracts.qa import QaSwitches
from playpark.device import OpState
from qa.devices import LOOK_S, Desk, Paid
from qa.stage import Scenario, Stage

TRIES, GUESTS = 40, 5


async def force_offline(stage: Stage) -> None:
    """QA cuts a till off from the back office and lets it back in."""
    desk = await stage.till()
    await desk.sell()
    stage.did("A till sold one ticket online.")
    await stage.office.switch(desk.device_id, QaSwitches(offline=True))
    await desk.beat()
    stage.expect("the heartbeat has cut the till off", desk.wires.switches.words, "offline")
    alone = [
        await desk.sell("Adult day pass", 2),
        await desk.sell("Carousel ride", 1, PaymentMethod.CARD),
        await desk.sell("Family bundle"),
    ]
    papers = await desk.papers(*alone)
    stage.did("Cut off by a heartbeat, it sold three more and printed their tickets by itself.")
    stage.expect(
        "tickets that the till has signed itself",
        sum((paper.qr_token or "").startswith("PP2.") for paper in papers),
        sum(len(each.ticket_ids) for each in alone),
    )
    stage.expect("sales at the server meanwhile", await _sold(stage, desk), 1)
    await stage.office.switch(desk.device_id, QaSwitches())
    await desk.beat()
    await desk.sent()
    stage.did("The next heartbeat let it back in, and it sent what it had.")
    gate = await stage.gate()
    shown = [(await gate.show(paper)).level for paper in papers]
    await gate.sent()
    stage.did("The guests went in with those tickets.")
    stage.expect("answers at the gate", shown, [Level.PASS] * len(papers))
    await stage.expect_used(desk, *papers)
    await desk.count_and_close()
    await stage.expect_books(desk)
    await stage.expect_whole(desk, gate)


async def slow_network(stage: Stage) -> None:
    """Answers come, but far too late for a guest to wait for."""
    desk = await stage.till()
    desk.switch(delay_ms=4000)
    paid = [await desk.sell("Adult day pass"), await desk.sell()]
    await desk.papers(*paid)
    stage.did("With answers four seconds late, two guests paid and went off with their tickets.")
    stage.expect(
        "sales that the till had no answer to when the papers were out",
        desk.states(),
        [OpState.PENDING] * 2,
    )
    desk.switch()
    await desk.sent()
    await desk.sell()
    await desk.sent()
    stage.did("The line became fast again, and a third guest was served online.")
    await desk.count_and_close()
    await stage.expect_books(desk)
    await stage.expect_whole(desk)


async def lossy_line(stage: Stage) -> None:
    """Some requests never arrive, some answers never come back."""
    desk = await stage.till()
    desk.switch(lost_requests=30, lost_answers=30)
    for number in range(GUESTS):
        await desk.sell("Carousel ride", 1 + number % 3)
    stage.did("Over a line that loses 30 % of requests and 30 % of answers, five guests paid.")
    await desk.sent()
    stage.did("The till asked again until each sale was answered, over the same line.")
    desk.switch()
    await desk.count_and_close()
    await stage.expect_books(desk)
    await stage.expect_whole(desk)


async def lost_answers(stage: Stage) -> None:
    """The server does its work and the till never hears of it."""
    desk = await stage.till()
    # The engine asks the time now and then: where that answer is lost first, no sale is sent.
    for _ in range(5):
        desk.switch(lost_answers=100)
        paid = await desk.sell()
        booked = await _arrives(stage, desk, paid)
        known = desk.op_of(paid).state
        desk.switch()
        await desk.sent()
        if booked:
            break
    stage.did("The server booked a sale, and its answer was lost.")
    stage.expect("whether the server had it", booked, expected=True)
    stage.expect("what the till knew of it", known, OpState.PENDING)
    desk.switch(lost_answers=60)
    for _ in range(4):
        await desk.sell()
    await desk.sent()
    desk.switch()
    stage.did("Four more were sold over a line that loses 60 % of answers, and asked for again.")
    await desk.count_and_close()
    await stage.expect_books(desk)
    await stage.expect_whole(desk)


async def duplicate_answers(stage: Stage) -> None:
    """Every request arrives twice, at a till and at a gate."""
    desk = await stage.till()
    desk.switch(duplicates=100)
    paid = [await desk.sell("Adult day pass", 2), await desk.sell("10 entries")]
    papers = await desk.papers(*paid)
    await desk.sent()
    stage.did("A till sold three tickets over a line that doubles every request.")
    gate = await stage.gate()
    gate.switch(duplicates=100)
    shown = [(await gate.show(paper)).level for paper in papers]
    await gate.sent()
    stage.did("A gate admitted the guests over such a line.")
    stage.expect("answers at the gate", shown, [Level.PASS] * 3)
    for paper in papers:
        rows = await stage.office.redemptions(paper.ticket_id)
        stage.expect(f"admissions with {paper.package_name}", len(rows), 1)
    await stage.expect_used(desk, *papers)
    desk.switch()
    await desk.count_and_close()
    await stage.expect_books(desk)
    await stage.expect_whole(desk, gate)


async def _sold(stage: Stage, desk: Desk) -> int:
    return len(await stage.office.sales(desk.device_id))


async def _arrives(stage: Stage, desk: Desk, paid: Paid) -> bool:
    """Whether a sale comes into the books although the till hears nothing of it."""
    for _ in range(TRIES):
        sales = await stage.office.sales(desk.device_id)
        if paid.receipt_no in {each.receipt_no for each in sales}:
            return True
        await asyncio.sleep(LOOK_S)
    return False


SCENARIOS = (
    Scenario(
        "force-offline",
        "QA cuts a till off by heartbeat; it sells on, prints its own tickets, and comes back.",
        force_offline,
    ),
    Scenario(
        "slow-network",
        "Answers come four seconds late; guests are served in time, and nothing is sold twice.",
        slow_network,
    ),
    Scenario(
        "lossy-line",
        "30 % of requests and 30 % of answers are lost; each of five sales is booked once.",
        lossy_line,
    ),
    Scenario(
        "lost-answers",
        "The server books sales whose answers are lost; asking again books nothing.",
        lost_answers,
    ),
    Scenario(
        "duplicate-answers",
        "Every request arrives twice, at a till and at a gate; everything counts once.",
        duplicate_answers,
    ),
)
