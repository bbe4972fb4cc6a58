"""All scenarios, in the order in which they are played."""

from qa.scenarios import authority, clocks, gates, lines, outboxes, shifts
from qa.stage import Scenario

ALL: tuple[Scenario, ...] = (
    *lines.SCENARIOS,
    *clocks.SCENARIOS,
    *outboxes.SCENARIOS,
    *authority.SCENARIOS,
    *gates.SCENARIOS,
    *shifts.SCENARIOS,
)
