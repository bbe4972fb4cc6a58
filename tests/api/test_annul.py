"""Annulments: the turnstile jammed, and what the entry took comes back (R50)."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from playpark.ids import new_ulid
from tests.api.drawers import op, sync
from tests.api.giving_back import ask, told
from tests.api.ticket_lives import Life, life
from tests.outside import Outsider


@pytest.fixture(scope="module")
async def park(mongo_uri: str, database: str) -> AsyncIterator[Life]:
    async with life(mongo_uri, f"{database}_annul") as made:
        yield made


async def test_R50_an_annulled_entry_gives_its_use_back_and_its_row_stays(park: Life) -> None:
    ticket = await park.ticket()
    passed = await park.show(ticket)
    assert (await park.show(ticket))["reason"] == "duplicate_use"
    status, answer = await park.annul(passed["redemption_id"], reason_text="turnstile jammed")
    assert (status, answer["remaining"]) == (200, 1)
    assert (answer["redemption_id"], answer["ticket_id"]) == (
        passed["redemption_id"],
        ticket["ticket_id"],
    )
    (row, refused) = await park.rows(ticket)
    assert (row["result"], row["annulled_because"]) == ("pass", "at_the_gate")
    assert (refused["result"], refused["annulled_at"]) == ("fail", None)
    audited = await park.db.audits.find_one({"entity_id": row["_id"]})
    assert audited["event_type"] == "redemption.annulled"
    assert audited["payload"]["reason_text"] == "turnstile jammed"
    event = await park.db.events.find_one({"data.redemption_id": row["_id"], "type": {"$ne": ""}})
    assert event is not None
    assert (await park.show(ticket))["result"] == "pass"


async def test_R50_the_clock_of_a_timepass_starts_anew(park: Life) -> None:
    ticket = await park.ticket("2-hour pass")
    passed = await park.show(ticket)
    assert (await park.state(ticket))["ends_at"] is not None
    status, answer = await park.annul(passed["redemption_id"])
    assert (status, answer["remaining"]) == (200, 120)
    stored = await park.state(ticket)
    assert (stored["ends_at"], stored["last_pass_at"], stored["inside"]) == (None, None, [])


async def test_R51_an_annulled_guest_is_not_inside(park: Life) -> None:
    zone = next(iter((await park.ticket())["zones"]))

    async def inside() -> int:
        found = (await park.gate.data("GET", "/v1/gate/occupancy"))["items"]
        return int(next(each["inside"] for each in found if each["zone_id"] == zone))

    before, ticket = await inside(), await park.ticket()
    passed = await park.show(ticket, zone_id=zone)
    assert await inside() == before + 1
    assert (await park.annul(passed["redemption_id"]))[0] == 200
    assert await inside() == before


async def test_R15_the_same_annulment_again_gets_the_same_answer(park: Life) -> None:
    ticket, key = await park.ticket(), new_ulid()
    passed = await park.show(ticket)
    first = await park.annul(passed["redemption_id"], key=key)
    assert (await park.show(ticket))["result"] == "pass"
    assert await park.annul(passed["redemption_id"], key=key) == first
    status, code = await park.annul(passed["redemption_id"])
    assert (status, code) == (409, "E_CONFLICT")
    assert (await park.state(ticket))["used"] == 1


async def test_an_annulment_says_that_it_was_done_already(park: Life) -> None:
    passed = await park.show(await park.ticket())
    assert (await park.annul(passed["redemption_id"]))[0] == 200
    path = f"/v1/redemptions/{passed['redemption_id']}/annul"
    response = await ask(park.gate, path, {})
    assert "annulled already" in response.json()["error"]["message"]


async def test_of_twenty_annulments_at_once_one_gives_back(park: Life) -> None:
    ticket = await park.ticket("10 entries")
    passed = await park.show(ticket)
    await park.show(ticket)
    answers = await asyncio.gather(*(park.annul(passed["redemption_id"]) for _ in range(20)))
    assert sorted(status for status, _ in answers) == [200] + [409] * 19
    assert (await park.state(ticket))["used"] == 1


@pytest.mark.parametrize("minutes", [14, 16])
async def test_R50_a_quarter_of_an_hour_by_the_servers_clock(park: Life, minutes: int) -> None:
    ticket = await park.ticket()
    passed = await park.show(ticket)
    park.later(minutes * 60)
    told_ = park.now(-minutes * 60)  # what the gate says of the time does not matter
    status, _ = await park.annul(passed["redemption_id"], occurred_at=told_)
    assert status == (200 if minutes < 15 else 409)
    assert (await park.state(ticket))["used"] == (0 if minutes < 15 else 1)


async def test_R17_a_late_annulment_that_has_happened_is_flagged(park: Life) -> None:
    ticket = await park.ticket()
    shown = park.asked(ticket)
    (passed,) = await sync(park.gate, shown)
    body = {"redemption_id": passed["result"]["redemption_id"]}
    park.later(20 * 60)
    in_time = op("annul", body, occurred_at=park.now(-10 * 60))
    late = op("annul", body, occurred_at=park.now())
    (done,) = await sync(park.gate, late)
    assert done["status"] == "applied"
    stored = await park.db.annulments.find_one({"redemption_id": body["redemption_id"]})
    assert stored["flags"] == ["annulled_late"]
    (again,) = await sync(park.gate, in_time)
    assert (again["status"], again["code"]) == ("rejected", "E_CONFLICT")


async def test_R50_only_an_entry_that_passed_is_annulled(park: Life) -> None:
    ticket = await park.ticket()
    await park.show(ticket)
    refused, left = await park.show(ticket), await park.show(ticket, direction="exit")
    for each in (refused, left):
        assert await park.annul(each["redemption_id"]) == (409, "E_CONFLICT")
    assert (await park.state(ticket))["used"] == 1


async def test_R50_another_gate_another_till_and_another_park_know_no_such_scan(
    park: Life,
) -> None:
    ticket = await park.ticket()
    passed = await park.show(ticket)
    stranger = await Outsider(park.inside.http).pair("GATE", "DEMO-OTHER-PARK")
    body: dict[str, Any] = {}
    unknown = await ask(park.gate, f"/v1/redemptions/{new_ulid()}/annul", body)
    for other in (park.gates[1], park.till, stranger):
        path = f"/v1/redemptions/{passed['redemption_id']}/annul"
        response = await ask(other, path, body)
        assert told(response) == (404, "E_NOT_FOUND")
        assert response.json()["error"] == unknown.json()["error"]
    assert (await park.state(ticket))["used"] == 1


async def test_an_annulment_may_name_the_operation_that_got_no_answer(park: Life) -> None:
    ticket = await park.ticket()
    shown = park.asked(ticket)
    await sync(park.gate, shown)
    undo = op("annul", {"op_id": shown["op_id"]}, occurred_at=park.now())
    (elsewhere,) = await sync(park.gates[1], undo)
    assert (elsewhere["status"], elsewhere["code"]) == ("rejected", "E_NOT_FOUND")
    (done,) = await sync(park.gate, undo)
    assert (done["status"], done["result"]["remaining"]) == ("applied", 1)
    (again,) = await sync(park.gate, undo)
    assert (again["status"], again["result"]) == ("duplicate", done["result"])


async def test_an_annulment_of_what_never_arrived_is_rejected(park: Life) -> None:
    (never,) = await sync(park.gate, op("annul", {"op_id": new_ulid()}))
    assert (never["status"], never["code"]) == ("rejected", "E_NOT_FOUND")
    for odd in ({}, {"op_id": new_ulid(), "redemption_id": new_ulid()}, {"op_id": {"$ne": ""}}):
        (result,) = await sync(park.gate, op("annul", odd))
        assert (result["status"], result["code"]) == ("rejected", "E_VALIDATION")


async def test_R50_a_pass_that_let_nobody_in_is_annulled_by_itself_once(park: Life) -> None:
    ticket = await park.ticket("10 entries")
    shown = park.asked(ticket)
    (passed,) = await sync(park.gate, shown)
    refused_there = shown | {"local": {"result": "fail", "reason": "answer_too_late"}}
    for _ in range(2):
        (again,) = await sync(park.gate, refused_there)
        assert again["result"] == passed["result"]
    (row,) = await park.rows(ticket)
    assert (row["annulled_because"], row["gate_result"]) == ("not_admitted", "fail")
    assert await park.db.annulments.count_documents({"redemption_id": row["_id"]}) == 1
    assert (await park.state(ticket))["used"] == 0
    assert await park.annul(row["_id"]) == (409, "E_CONFLICT")


async def test_R40_a_till_that_does_not_redeem_does_not_annul(park: Life) -> None:
    scope = await park.inside.scope(park.gates[1])
    passed = await park.show(await park.ticket(), park.gates[1])
    await park.db.sessions.update_one(
        {"_id": scope.device.device_id}, {"$set": {"caps.can_redeem": False}}
    )
    try:
        assert await park.annul(passed["redemption_id"], park.gates[1]) == (403, "E_PERMISSION")
    finally:
        await park.db.sessions.update_one(
            {"_id": scope.device.device_id}, {"$set": {"caps.can_redeem": True}}
        )
