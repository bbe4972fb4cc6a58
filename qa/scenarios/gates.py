"""Gates that cannot ask (R33, R50)."""

import asyncio

from gate.answers import Level
from playpark.contracts.tickets import FailReason, RedemptionResult, RedemptionSummary
from qa.stage import Scenario, Stage

WALK_S = 0.25
"""From one gate to the other: longer than what their clocks may differ by."""


async def double_pass(stage: Stage) -> None:
    """One single ticket is shown at two gates, neither of which can ask."""
    desk = await stage.till()
    paid = await desk.sell("Adult day pass")
    await desk.sent()
    (paper,) = await desk.papers(paid)
    first, second = await stage.gate("first"), await stage.gate("second")
    for gate in (first, second):
        gate.switch(offline=True)
    shown = []
    for gate in (first, second, first):
        shown.append((await gate.show(paper)).level)
        await asyncio.sleep(WALK_S)
    stage.did("A guest went in at one gate and handed the ticket back; a friend used another gate.")
    stage.did("Then somebody tried the first gate again.")
    stage.expect(
        "answers at the gates, by their own lists", shown, [Level.PASS, Level.PASS, Level.FAIL]
    )
    for gate in (first, second):
        gate.switch()
        await gate.sent()
    stage.did("The line came back, and both gates told what they had done.")
    rows = await stage.office.redemptions(paper.ticket_id)
    stage.expect(
        "how the server judges the showings, and what had happened",
        [(row.device_id == second.device_id, row.result, row.reason, _did(row)) for row in rows],
        [
            (False, RedemptionResult.PASS, None, RedemptionResult.PASS),
            (True, RedemptionResult.FAIL, FailReason.DUPLICATE_USE, RedemptionResult.PASS),
            (False, RedemptionResult.FAIL, FailReason.DUPLICATE_USE, RedemptionResult.FAIL),
        ],
    )
    await stage.expect_used(desk, paper)
    conflicts = [await stage.office.audited("redemption.conflict", e.redemption_id) for e in rows]
    stage.expect("conflicts in the audit trail, by showing", conflicts, [0, 1, 0])
    again = await second.show(paper)
    stage.expect("the ticket at a gate that can ask", again.level, Level.FAIL)
    await desk.count_and_close()
    await stage.expect_books(desk)
    await stage.expect_whole(desk, first, second)


def _did(row: RedemptionSummary) -> RedemptionResult:
    """What the gate did: what the server says now, unless they differ."""
    return row.gate_result or row.result


SCENARIOS = (
    Scenario(
        "double-pass",
        "A single ticket passes at two gates that cannot ask; one pass stays, one is a conflict.",
        double_pass,
    ),
)
