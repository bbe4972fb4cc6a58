"""Who is inside: entries and exits, zones that are full, re-entry, and a new day (R51)."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from playpark.ids import new_ulid
from tests.api.drawers import sync, tell
from tests.api.selling import OWNER
from tests.api.ticket_lives import Life, life
from tests.outside import Outsider

DAY = 24 * 3_600


@pytest.fixture(scope="module")
async def park(mongo_uri: str, database: str) -> AsyncIterator[Life]:
    async with life(mongo_uri, f"{database}_occupancy") as made:
        yield made


async def a_zone(park: Life, **rules: Any) -> str:
    """A fresh zone in which nobody has ever been. Every ticket without zones opens it."""
    owner = await (await park.inside.device("ADMIN")).staff(**OWNER)
    names = {"name": f"Zone {new_ulid()}", "name_th": "โซน", "credit_price": 1_000}
    return str((await tell(owner, "POST", "/catalog/zones", {**names, **rules}))["zone_id"])


async def tickets(park: Life, count: int = 1) -> list[dict[str, Any]]:
    """Tickets for every zone: credit, of which an entry into `a_zone` takes ฿10."""
    await park.by_day()
    sold = await park.till.sell(("Play credit 500", count))
    return list(sold["tickets"])


async def there(park: Life, zone_id: str | None, who: Outsider | None = None) -> dict[str, Any]:
    """A zone's line of the live occupancy."""
    items = (await (who or park.gate).data("GET", "/v1/gate/occupancy"))["items"]
    (found,) = (each for each in items if each["zone_id"] == zone_id)
    return dict(found)


async def test_R51_guests_are_counted_where_they_enter_and_leave(park: Life) -> None:
    zone, (anna, ben) = await a_zone(park), await tickets(park, 2)
    left, right = park.gates
    assert (await park.show(anna, left, zone_id=zone))["inside"] == 1
    assert (await park.show(ben, right, zone_id=zone))["inside"] == 2
    # A zone's gates are one count: who came in by one gate may leave by another.
    gone = await park.show(anna, right, zone_id=zone, direction="exit")
    assert (gone["result"], gone["inside"]) == ("pass", 1)
    found = await there(park, zone)
    assert (found["inside"], found["entries"], found["exits"]) == (1, 2, 1)
    assert (await there(park, zone, park.office))["inside"] == 1
    assert (await park.state(anna))["inside"] == []
    assert (await park.state(ben))["inside"] == [zone]


async def test_R51_a_gate_without_a_zone_counts_for_the_park(park: Life) -> None:
    before = (await there(park, None))["entries"]
    ticket = await park.ticket("10 entries")
    passed = await park.show(ticket)
    assert passed["inside"] == (await there(park, None))["inside"]
    assert (await there(park, None))["entries"] == before + 1
    assert (await park.state(ticket))["inside"] == [""]


async def test_R51_an_exit_is_recorded_whatever_the_ticket_says(park: Life) -> None:
    zone, (ticket,) = await a_zone(park), await tickets(park)
    await park.show(ticket, zone_id=zone)
    which = {"ticket_id": ticket["ticket_id"]}
    await park.db.tickets.update_one(which, {"$set": {"status": "refunded"}})
    assert (await park.show(ticket, zone_id=zone))["reason"] == "refunded"
    for _ in range(2):  # whoever was let out once may be scanned out again
        assert (await park.show(ticket, zone_id=zone, direction="exit"))["result"] == "pass"
    assert [row["direction"] for row in await park.rows(ticket)] == [
        "entry",
        "entry",
        "exit",
        "exit",
    ]
    found = await there(park, zone)
    assert (found["inside"], found["exits"]) == (0, 2)  # never fewer than nobody


async def test_R51_a_refused_guest_is_not_counted(park: Life) -> None:
    zone, (ticket,) = await a_zone(park), await tickets(park)
    which = {"ticket_id": ticket["ticket_id"]}
    await park.db.tickets.update_one(which, {"$set": {"status": "cancelled"}})
    refused = await park.show(ticket, zone_id=zone)
    assert (refused["result"], refused["inside"]) == ("fail", None)
    assert (await there(park, zone))["entries"] == 0


async def test_R51_reentry_needs_an_exit_where_the_zone_says_so(park: Life) -> None:
    (ticket,) = await tickets(park)
    free, strict = await a_zone(park), await a_zone(park, reentry_needs_exit=True)
    assert (await park.show(ticket, zone_id=strict))["result"] == "pass"
    again = await park.show(ticket, zone_id=strict)
    assert (again["result"], again["reason"]) == ("fail", "duplicate_use")
    assert again["remaining"] == 49_000  # and it costs nothing
    assert (await park.show(ticket, zone_id=free))["result"] == "pass"
    assert (await park.show(ticket, zone_id=free))["result"] == "pass"
    assert (await park.show(ticket, zone_id=strict))["reason"] == "duplicate_use"
    await park.show(ticket, zone_id=strict, direction="exit")
    assert (await park.show(ticket, zone_id=strict))["result"] == "pass"


async def test_R51_a_full_zone_takes_nobody_until_somebody_leaves(park: Life) -> None:
    zone, (anna, ben, cem) = await a_zone(park, capacity=2), await tickets(park, 3)
    assert [(await park.show(each, zone_id=zone))["inside"] for each in (anna, ben)] == [1, 2]
    full = await park.show(cem, zone_id=zone)
    assert (full["result"], full["reason"], full["remaining"]) == ("fail", "zone_full", 50_000)
    assert (await park.state(cem))["used"] == 0
    await park.show(anna, zone_id=zone, direction="exit")
    assert (await park.show(cem, zone_id=zone))["inside"] == 2
    assert (await park.show(anna, zone_id=zone))["reason"] == "zone_full"


async def test_R50_an_annulled_entry_leaves_its_place_to_the_next(park: Life) -> None:
    zone, (anna, ben) = await a_zone(park, capacity=1), await tickets(park, 2)
    passed = await park.show(anna, zone_id=zone)
    assert (await park.show(ben, zone_id=zone))["reason"] == "zone_full"
    assert (await park.annul(passed["redemption_id"]))[0] == 200
    assert (await park.show(ben, zone_id=zone))["inside"] == 1
    found = await there(park, zone)
    assert (found["inside"], found["entries"]) == (1, 1)


async def test_R50_an_annulled_reentry_leaves_the_guest_inside(park: Life) -> None:
    zone, (ticket,) = await a_zone(park), await tickets(park)
    await park.show(ticket, zone_id=zone)
    again = await park.show(ticket, zone_id=zone)
    assert (await park.annul(again["redemption_id"]))[0] == 200
    assert (await park.state(ticket))["inside"] == [zone]
    assert (await there(park, zone))["inside"] == 1


async def test_R51_a_new_day_begins_with_nobody_inside(park: Life) -> None:
    zone = await a_zone(park, reentry_needs_exit=True, capacity=1)
    other = await a_zone(park, reentry_needs_exit=True)
    (anna, ben) = await tickets(park, 2)
    assert (await park.show(anna, zone_id=zone))["inside"] == 1
    await park.show(anna, zone_id=other)
    assert (await park.show(ben, zone_id=zone))["reason"] == "zone_full"
    park.later(DAY)
    await park.log_in()
    assert (await there(park, zone))["inside"] == 0
    # The ticket forgets both zones, and not only the one that it enters again.
    assert (await park.show(anna, zone_id=zone))["inside"] == 1
    assert (await park.state(anna))["inside"] == [zone]
    assert (await park.show(anna, zone_id=other))["result"] == "pass"
    # And who leaves today what was entered yesterday leaves no yesterday behind.
    await park.show(ben, zone_id=other)
    park.later(DAY)
    await park.log_in()
    await park.show(ben, zone_id=zone, direction="exit")
    assert (await park.state(ben))["inside"] == []


async def test_R17_who_went_in_while_the_server_was_away_is_inside(park: Life) -> None:
    zone, (anna, ben) = await a_zone(park, capacity=1), await tickets(park, 2)
    shown = [park.shown(each, zone_id=zone) for each in (anna, ben)]
    for result in await sync(park.gate, *shown):
        assert (result["status"], result["result"]["result"]) == ("applied", "pass")
    # The gate has let them in: two in a zone for one is what happened.
    assert (await there(park, zone))["inside"] == 2
    assert (await park.state(ben))["inside"] == [zone]
    (again,) = await sync(park.gate, shown[0])
    assert again["status"] == "duplicate"
    assert (await there(park, zone))["inside"] == 2


async def test_R15_the_answer_that_comes_again_has_the_count_of_the_first_time(park: Life) -> None:
    zone, (anna, ben) = await a_zone(park), await tickets(park, 2)
    asked = park.asked(anna, zone_id=zone)
    (first,) = await sync(park.gate, asked)
    await park.show(ben, zone_id=zone)
    (again,) = await sync(park.gate, asked)
    assert first["result"]["inside"] == 1
    assert again["result"] == first["result"]


async def test_R44_another_parks_guests_are_not_counted(park: Life) -> None:
    zone = await a_zone(park)
    stranger = await Outsider(park.inside.http).pair("GATE", "DEMO-OTHER-PARK")
    items = (await stranger.data("GET", "/v1/gate/occupancy"))["items"]
    assert zone not in {each["zone_id"] for each in items}
    assert all(each["entries"] == 0 for each in items)


async def test_R40_a_kiosk_does_not_see_who_is_inside(park: Life) -> None:
    kiosk = await park.inside.device("KIOSK")
    response = await kiosk.call("GET", "/v1/gate/occupancy")
    assert (response.status_code, response.json()["error"]["code"]) == (403, "E_PERMISSION")


async def test_R51_fifty_guests_at_once_find_five_places(park: Life) -> None:
    zone, fifty = await a_zone(park, capacity=5), await tickets(park, 50)
    park.later(6)

    async def show(ticket: dict[str, Any], gate: Outsider) -> dict[str, Any]:
        """A gate shows it until it has an answer, as gates do."""
        body, key = {"qr_token": ticket["qr_token"], "zone_id": zone}, new_ulid()
        while True:
            answer = await gate.call("POST", "/v1/tickets/redeem", body, key=key)
            if answer.status_code != 503:
                assert answer.status_code == 200, answer.text
                return dict(answer.json()["data"])

    answers = await asyncio.gather(
        *(show(each, park.gates[number % 2]) for number, each in enumerate(fifty))
    )
    passed = [each for each in answers if each["result"] == "pass"]
    assert sorted(each["inside"] for each in passed) == [1, 2, 3, 4, 5]
    assert {each["reason"] for each in answers} == {None, "zone_full"}
    found = await there(park, zone)
    assert (found["inside"], found["entries"], found["capacity"]) == (5, 5, 5)
    spent = {each["ticket_id"]: (await park.state(each))["used"] for each in fifty}
    assert sum(spent.values()) == 5 * 1_000
    assert {key for key, used in spent.items() if used} == {each["ticket_id"] for each in passed}
