"""Most guests that a gate alone lets in hold a ticket that nobody has used: nothing is judged for
them, and what is booked is what judging would have booked (R20, R33)."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from api.tickets import redeeming
from tests.api.drawers import sync
from tests.api.ticket_lives import Life, life

HOUR = 3_600
OWN = {"_id", "op_id", "ticket_id", "redemption_id", "created_at", "updated_at", "inside"}
"""What two entries never have in common; `inside` counts the guests of the day."""
OF_A_TICKET = ("used", "last_pass_at", "ends_at", "inside", "status")


@pytest.fixture(scope="module")
async def park(mongo_uri: str, database: str) -> AsyncIterator[Life]:
    async with life(mongo_uri, f"{database}_first_entries") as made:
        yield made


def shared(facts: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in facts.items() if name not in OWN}


async def booked(park: Life, ticket: dict[str, Any], scan: dict[str, Any]) -> list[Any]:
    """All that an entry leaves: its answer, its row, its ticket, its events."""
    (answer,) = await sync(park.gate, scan)
    (row,) = await park.rows(ticket)
    state = await park.state(ticket)
    events = await park.db.events.find({"data.redemption_id": row["_id"]}).to_list(9)
    return [
        shared(answer["result"]),
        shared(row),
        {name: state.get(name) for name in OF_A_TICKET},
        [(each["type"], shared(each["data"])) for each in events],
    ]


@pytest.mark.parametrize("package", ["Adult day pass", "10 entries"])
async def test_R33_a_first_entry_leaves_what_judging_leaves(
    park: Life, monkeypatch: pytest.MonkeyPatch, package: str
) -> None:
    tickets = [await park.ticket(package) for _ in range(2)]
    park.later(HOUR)
    scans = [park.shown(ticket, -60) for ticket in tickets]
    at_once = await booked(park, tickets[0], scans[0])

    async def judged(*_: object) -> None:
        """Nothing is booked without a look at the other entries."""

    monkeypatch.setattr(redeeming, "_first_entry", judged)
    assert at_once == await booked(park, tickets[1], scans[1])
    assert at_once[1]["gate_result"] == "pass"


async def test_R33_a_first_entry_that_comes_twice_is_booked_once(park: Life) -> None:
    ticket = await park.ticket()
    park.later(HOUR)
    scan = park.shown(ticket, -60)
    (first,), (again,) = await sync(park.gate, scan), await sync(park.gate, scan)
    assert (first["status"], again["status"]) == ("applied", "duplicate")
    assert first["result"] == again["result"]
    assert (await park.state(ticket))["used"] == 1
