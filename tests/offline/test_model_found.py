"""What the model has found, each as the shortest day on which it went wrong (R33, R50)."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest

from playpark.clock import FixedClock
from playpark.device.park_clock import ParkClock
from playpark.device.records import ClockNote
from tests.api.drawers import op, sync
from tests.api.ticket_lives import Life, life


@pytest.fixture(scope="module")
async def park(mongo_uri: str, database: str) -> AsyncIterator[Life]:
    async with life(mongo_uri, f"{database}_found") as made:
        yield made


@pytest.mark.parametrize("annulled_first", [True, False])
async def test_R50_a_clock_runs_from_the_first_entry_that_stands(
    park: Life, annulled_first: bool
) -> None:
    """Whichever arrives first: the annulment of who had started it, or who came next."""
    ticket = await park.ticket("2-hour pass")
    jammed = await park.show(ticket)
    park.later(600)
    entered = park.shown(ticket)
    undo = op("annul", {"redemption_id": jammed["redemption_id"]}, occurred_at=park.now())
    arrivals = [(park.gates[1], entered), (park.gate, undo)]
    for gate, each in reversed(arrivals) if annulled_first else arrivals:
        [result] = await sync(gate, each)
        assert result["status"] == "applied", result

    row = next(each for each in await park.rows(ticket) if each["op_id"] == entered["op_id"])
    stored = await park.state(ticket)

    assert stored["ends_at"] == row["occurred_at"] + timedelta(hours=2)
    assert (row["result"], row["started_clock"]) == ("pass", True)


async def test_R33_who_was_refused_and_let_in_has_spent_their_credit(park: Life) -> None:
    """The server refused a second entry within five seconds, and the gate had not heard it."""
    ticket = await park.ticket("Play credit 500")
    snapshot = await park.office.data("GET", "/v1/catalog/snapshot")
    water = next(each for each in snapshot["zones"] if each["name"] == "Water Park")
    where = {"zone_id": water["zone_id"]}
    await park.show(ticket, **where)
    asked = park.asked(ticket, **where)
    [refused] = await sync(park.gates[1], asked)
    assert refused["result"]["reason"] == "duplicate_use"

    await sync(park.gates[1], asked | {"committed": True, "local": {"result": "pass"}})

    rows = await park.rows(ticket)
    assert [(row["result"], row["spend"], row["credit_shortfall"]) for row in rows] == [
        ("pass", water["credit_price"], 0),
        ("pass", water["credit_price"], 0),
    ]
    assert (await park.state(ticket))["used"] == 2 * water["credit_price"]


def test_R36_a_clock_that_runs_ahead_is_right_from_the_first_moment_of_a_start() -> None:
    """A file is opened before its note of the clock can be read, and asks what time it is."""
    machine = FixedClock(datetime(2026, 11, 21, 8, tzinfo=UTC) + timedelta(seconds=100))
    clock = ParkClock(machine, elapsed=lambda: 0.0)
    clock.now()

    clock.recall(ClockNote(offset_ms=-100_000, heard_at=datetime(2026, 11, 20, tzinfo=UTC)))

    assert clock.now() == datetime(2026, 11, 21, 8, tzinfo=UTC)
