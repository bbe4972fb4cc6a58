"""Queues that are not as they should be: replayed, cloned, poisoned (R15, R29, R35, R38)."""

from collections import Counter

from playpark.contracts.sync import BatchIn, DeadLetterStatus, OpKind, OpStatus, Resolve
from playpark.device import StoredOp
from qa.devices import Desk
from qa.stage import Scenario, Stage


async def replayed_outbox(stage: Stage) -> None:
    """A queue that was answered long ago is sent again."""
    desk = await stage.till()
    for _ in range(3):
        await desk.sell("Adult day pass")
    await desk.sent()
    ops = _all_ops(desk)
    stage.did("A till sold three tickets, and everything was answered.")
    batch = BatchIn(epoch=ops[0].epoch, ops=[op.to_op_in() for op in ops])
    for _ in range(2):
        answer = await desk.till.counter.client.acting(None).sync(batch)
        stage.expect(
            "answers to what was answered already",
            Counter(each.status for each in answer.results),
            Counter({OpStatus.DUPLICATE: len(ops)}),
        )
        again = {each.op_id: (each.result or {}).get("sale", {}) for each in answer.results}
        stage.expect(
            "receipts in those answers",
            [again[op.op_id].get("receipt_no") for op in ops if op.kind is OpKind.SALE],
            [each.receipt_no for each in desk.paid],
        )
    stage.did("All of it was sent again, twice, from the opening of the shift on.")
    await desk.count_and_close()
    await stage.expect_books(desk)
    await stage.expect_whole(desk)


async def cloned_store(stage: Stage) -> None:
    """Two tills with one identity, as after a restored disk image."""
    desk = await stage.till()
    await desk.sell()
    await desk.sent()
    paid = desk.paid
    folder = await stage.copy(desk, "copy")
    stage.did("A till sold a ticket; then its disk was copied.")
    first = await stage.take_up(desk.folder)
    await first.sell("Adult day pass")
    await first.sell()
    await first.sent()
    await stage.put_away(first)
    stage.did("The original sold a day pass and a ride.")
    second = await stage.take_up(folder)
    await second.sell("Child day pass")
    await second.sent()
    stage.did("The copy, which knew nothing of that, sold a child's pass under the same number.")
    await second.sell("10 entries")
    await second.sent()
    stage.did("It went on in an epoch of its own and sold a book of entries.")
    sales = await stage.office.sales(second.device_id)
    everybody = [*paid, *first.paid, *second.paid]
    stage.expect(
        "every guest's sale is in the books once",
        Counter(each.grand_total for each in sales),
        Counter(each.total for each in everybody),
    )
    tickets = [t.ticket_id for each in sales for t in await stage.office.tickets(each.sale_id)]
    stage.expect(
        "every guest's ticket is in the books once",
        Counter(tickets),
        Counter(each for sale in everybody for each in sale.ticket_ids),
    )
    flagged = {each.receipt_no for each in sales if "receipt_no_duplicate" in each.flags}
    stage.expect("the number that two guests have is flagged", flagged, {second.paid[0].receipt_no})
    stage.expect(
        "the copy's next number is one that nobody has",
        sum(each.receipt_no == second.paid[1].receipt_no for each in sales),
        1,
    )
    stage.expect("the copy's epoch is another one", second.store.epoch > 1, expected=True)
    await stage.expect_whole(second)


async def poison_op(stage: Stage) -> None:
    """One operation that no server can take stands in the queue."""
    desk = await stage.till()
    desk.switch(offline=True)
    await desk.sell()
    _poison(desk)
    await desk.sell("Adult day pass", 2)
    desk.switch()
    await desk.sent()
    await desk.sell()
    await desk.sent()
    stage.did("Between two offline sales stood one that no server can read; a third came online.")
    stage.expect("operations in the till's quarantine", len(desk.quarantined), 1)
    letters = await stage.office.dead_letters(desk.device_id)
    stage.expect(
        "dead letters at the server",
        [(each.op_kind, each.status) for each in letters],
        [(OpKind.CASH_MOVEMENT, DeadLetterStatus.OPEN)],
    )
    for letter in letters:
        settled = await stage.office.resolve(letter, Resolve.DISMISS, stage.park.supervisor)
        stage.expect("once it is settled by hand", settled.status, DeadLetterStatus.DISMISSED)
    stage.did("A supervisor settled it by hand.")
    await desk.count_and_close()
    await stage.expect_books(desk)
    await stage.expect_trail()


def _poison(desk: Desk) -> None:
    """As a fault of a program, or of a disk, would write it."""
    shift = desk.till.shift
    desk.store.append(
        OpKind.CASH_MOVEMENT,
        lambda _: {"type": "pay_in", "amount": "a lot"},
        occurred_at=desk.clock.now(),
        shift_id=shift.op_id if shift else None,
        committed=True,
    )


def _all_ops(desk: Desk) -> list[StoredOp]:
    found = desk.store.recent(list(OpKind), 50)
    return sorted(found, key=lambda op: (op.epoch, op.seq))


SCENARIOS = (
    Scenario(
        "replayed-outbox",
        "A queue that was answered is sent again, twice; it is answered as then and books nothing.",
        replayed_outbox,
    ),
    Scenario(
        "cloned-store",
        "A till's disk is copied and both go on; no sale of either is lost or booked for another.",
        cloned_store,
    ),
    Scenario(
        "poison-op",
        "An unreadable operation stands in the queue; it is kept aside, and all others are booked.",
        poison_op,
    ),
)
