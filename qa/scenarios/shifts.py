"""Shifts that end without their till (R28)."""

from collections import Counter

from qa.devices import FLOAT
from qa.stage import Scenario, Stage


async def late_sale_after_z(stage: Stage) -> None:
    """A till is given up for lost, its Z is made in the back office, and then it comes back."""
    desk = await stage.till()
    early = await desk.sell("Adult day pass")
    await desk.sent()
    desk.switch(offline=True)
    late = [await desk.sell(), await desk.sell("Child day pass")]
    stage.did("A till sold once online and twice offline, and was given up for lost.")
    shift = desk.till.shift
    shift_id = shift.op_id if shift else ""
    closed = await stage.office.finalise(shift_id, FLOAT + early.total)
    stage.did("A supervisor made its Z in the back office, with what the server knew.")
    stage.expect("sales on that Z", closed.z.sales.amount, early.total)
    desk.switch()
    await desk.sent()
    stage.did("The till came back and sent its two sales.")
    (detail,) = await stage.office.shifts(desk.device_id)
    number = closed.z.number
    stage.expect(
        "the chain of Z reports",
        [each.number for each in detail.z],
        [number, f"{number}/1", f"{number}/2"],
    )
    stage.expect(
        "sales on each of them",
        [each.sales.amount for each in detail.z],
        [early.total, *(each.total for each in late)],
    )
    stage.expect(
        "what the till ever sold, by the last of them",
        detail.z[-1].grand_total,
        sum(each.total for each in desk.paid),
    )
    stage.expect("the first Z is as it was", detail.z[0].hash, closed.z.hash)
    sales = await stage.office.sales(desk.device_id)
    stage.expect(
        "every sale stands in the books once, for what the guest paid",
        Counter((each.receipt_no, each.grand_total) for each in sales),
        Counter((each.receipt_no, each.total) for each in desk.paid),
    )
    stage.expect(
        "sales that are flagged as late",
        {each.receipt_no for each in sales if "after_close" in each.flags},
        {each.receipt_no for each in late},
    )
    await stage.expect_whole(desk)


SCENARIOS = (
    Scenario(
        "late-sale-after-z",
        "A lost till's Z is made in the back office; its late sales become supplements to it.",
        late_sale_after_z,
    ),
)
