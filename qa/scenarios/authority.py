"""Devices that lose their rights while nobody can tell them (R35, R38)."""

from collections import Counter

from playpark.contracts.sync import DeadLetterKind, DeadLetterStatus, OpKind, Resolve
from qa.stage import Scenario, Stage


async def revoked_offline(stage: Stage) -> None:
    """A till is revoked while it sells without the server."""
    desk = await stage.till()
    await desk.sell()
    await desk.sent()
    online = list(desk.paid)
    desk.switch(offline=True)
    await desk.sell("Adult day pass", 2)
    await desk.sell()
    stage.did("A till sold once online and twice offline.")
    await stage.office.revoke(desk.device_id)
    desk.switch()
    await desk.sent()
    stage.did("It was revoked meanwhile; when the line was back it handed in what it had.")
    stage.expect(
        "sales in the books before anybody has looked",
        Counter(each.receipt_no for each in await stage.office.sales(desk.device_id)),
        Counter(each.receipt_no for each in online),
    )
    letters = await stage.office.dead_letters(desk.device_id)
    stage.expect(
        "what waits for a supervisor",
        [(each.kind, each.op_kind, each.status) for each in letters],
        [(DeadLetterKind.REVIEW, OpKind.SALE, DeadLetterStatus.OPEN)] * 2,
    )
    stage.expect(
        "the money that waits", [each.amount for each in letters], [e.total for e in desk.paid[1:]]
    )
    stage.expect("selling on the revoked till", await desk.sells(), "refused")
    for letter in letters:
        applied = await stage.office.resolve(letter, Resolve.APPLY, stage.park.supervisor)
        stage.expect("once it is applied", applied.status, DeadLetterStatus.APPLIED)
    stage.did("A supervisor applied both.")
    sales = await stage.office.sales(desk.device_id)
    stage.expect(
        "every guest's sale is in the books once",
        Counter((each.receipt_no, each.grand_total) for each in sales),
        Counter((each.receipt_no, each.total) for each in desk.paid),
    )
    await stage.expect_trail()


SCENARIOS = (
    Scenario(
        "revoked-offline",
        "A till is revoked while it is offline; its sales count once a supervisor applied them.",
        revoked_offline,
    ),
)
