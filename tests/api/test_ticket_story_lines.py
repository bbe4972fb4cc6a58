"""A ticket's story across an exchange, what a lookup tells, and the list of showings (R25, R53)."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.api.drawers import sync
from tests.api.giving_back import approve, ask, refund, told
from tests.api.ticket_lives import WHY, Life, life
from tests.outside import Outsider


@pytest.fixture(scope="module")
async def park(mongo_uri: str, database: str) -> AsyncIterator[Life]:
    async with life(mongo_uri, f"{database}_stories") as made:
        yield made


async def story(park: Life, ticket_id: str) -> dict[str, Any]:
    found: dict[str, Any] = await park.office.data("GET", f"/v1/tickets/{ticket_id}/timeline")
    return found


def kinds(found: dict[str, Any]) -> list[str]:
    return [each["kind"] for each in found["entries"] if each["kind"] != "noted"]


async def test_R25_a_lost_ticket_and_the_new_one_share_their_story(park: Life) -> None:
    lost = await park.ticket("10 entries")
    park.later()
    yes = await approve(park.till, "reprint", lost["ticket_id"])
    body = {"ticket_ids": [lost["ticket_id"]], **WHY}
    assert told(await ask(park.till, "/v1/reprints", body, approval=yes))[0] == 200
    passed = await park.show(lost)
    park.later()
    assert (await park.annul(passed["redemption_id"], reason_text="jammed"))[0] == 200
    await park.show(lost)
    park.later()
    _, given = await park.change("exchange", lost)
    new = given["ticket"]
    await park.show(lost)
    await park.show(new)
    park.later()
    assert (await refund(park.till, lost["sale_id"]))[0] == 200
    found, other = await story(park, lost["ticket_id"]), await story(park, new["ticket_id"])
    assert found["entries"] == other["entries"]
    told_ = ["sold", "issued", "reprinted", "pass", "annulled", "pass", "exchanged", "fail", "pass"]
    assert kinds(found) == [*told_, "refunded"]
    assert (found["short_code"], other["short_code"]) == (lost["short_code"], new["short_code"])
    exchanged = next(each for each in found["entries"] if each["kind"] == "exchanged")
    assert exchanged["what"] == (
        f"Ticket {lost['short_code']} was lost: ticket {new['short_code']} was given for it."
    )
    assert "audit" in exchanged["ids"]
    annulled = next(each for each in found["entries"] if each["kind"] == "annulled")
    assert annulled["details"]["reason_text"] == "jammed"
    assert "PP1." not in str(found)


async def test_a_cancellation_and_a_conflict_stand_in_the_story(park: Life) -> None:
    ticket = await park.ticket()
    assert (await park.change("cancel", ticket))[0] == 200
    park.later()
    await sync(park.gate, park.shown(ticket))
    found = await story(park, ticket["ticket_id"])
    assert kinds(found) == ["sold", "issued", "cancelled", "fail"]
    words = [each["what"] for each in found["entries"]]
    assert "Let in by the gate, where the server has: cancelled." in words
    assert "Redemption conflict." in words


# --- what a lookup tells (R53) --------------------------------------------------------------


async def message(park: Life, **key: str) -> tuple[str, str]:
    (found,) = (await park.till.data("GET", "/v1/tickets", **key))["items"]
    return found["message"], found["message_th"]


async def test_R53_a_lookup_says_what_to_tell_the_guest(park: Life) -> None:
    ticket = await park.ticket()
    english, thai = await message(park, short_code=ticket["short_code"])
    assert english.startswith("This ticket is good until ")
    assert thai.startswith("ตั๋วใช้ได้ถึง ")
    await park.show(ticket)
    english, thai = await message(park, qr=ticket["qr_token"])
    assert english.startswith("Ticket already used at ")
    assert thai.startswith("ตั๋วถูกใช้แล้วเมื่อ ")
    _, given = await park.change("exchange", ticket)
    english, thai = await message(park, qr=ticket["qr_token"])
    assert english == "This ticket was reported lost and exchanged. Please show the new one."
    assert "เปลี่ยนใบใหม่แล้ว" in thai
    path = f"/v1/tickets/{given['ticket']['ticket_id']}"
    assert (await park.till.data("GET", path))["message"].startswith("Ticket already used")


async def test_R53_a_pending_ticket_is_of_no_receipt(park: Life) -> None:
    ticket = await park.ticket()
    await park.db.tickets.update_one(
        {"ticket_id": ticket["ticket_id"]}, {"$set": {"sale_id": "", "status": "pending"}}
    )
    found = await park.till.data("GET", "/v1/tickets", receipt_no="ZZ-S000001")
    assert found["items"] == []
    for what in ("exchange", "cancel"):
        assert await park.change(what, ticket) == (409, "E_CONFLICT")


# --- the list of showings -------------------------------------------------------------------


async def showings(park: Life, **query: Any) -> list[dict[str, Any]]:
    page = await park.office.data("GET", "/v1/redemptions", limit=200, **query)
    return list(page["items"])


async def test_redemptions_are_listed_by_zone_device_result_reason_and_time(park: Life) -> None:
    ticket = await park.ticket("10 entries")
    mine, zone = {"ticket_id": ticket["ticket_id"]}, ticket["zones"][0]
    start = park.now()
    await park.show(ticket, zone_id=zone)
    await park.show(ticket, park.gates[1])
    half = park.now()
    await park.show(ticket, zone_id=zone, direction="exit")
    await park.change("exchange", ticket)
    await park.show(ticket)
    assert len(await showings(park, **mine)) == 4
    assert len(await showings(park, **mine, zone_id=zone)) == 2
    other = park.gates[1].device["device_id"]
    assert len(await showings(park, **mine, device_id=other)) == 1
    assert len(await showings(park, **mine, result="pass")) == 3
    assert len(await showings(park, **mine, direction="exit")) == 1
    (refused,) = await showings(park, **mine, reason="cancelled")
    assert (refused["result"], refused["annulled_at"], refused["gate_result"]) == (
        "fail",
        None,
        None,
    )
    assert len(await showings(park, **mine, since=start, until=half)) == 1
    assert len(await showings(park, **mine, since=half)) == 3
    for odd in ({"result": "maybe"}, {"since": "yesterday"}, {"zone_id": "a.b"}, {"until": "1e9"}):
        assert (await park.office.call("GET", "/v1/redemptions", **odd)).status_code == 422


async def test_redemptions_leave_as_csv_after_a_pin(park: Life) -> None:
    ticket = await park.ticket()
    passed = await park.show(ticket)
    assert (await park.annul(passed["redemption_id"]))[0] == 200
    await park.log_in()
    query = {"ticket_id": ticket["ticket_id"], "format": "csv"}
    response = await park.office.call("GET", "/v1/redemptions", **query)
    head, line = response.text.strip().splitlines()
    assert response.headers["content-type"].startswith("text/csv")
    cells = dict(zip(head.split(","), line.split(","), strict=True))
    assert (cells["redemption_id"], cells["result"]) == (passed["redemption_id"], "pass")
    assert cells["annulled_at"] != ""
    park.later(16 * 60)
    stale = await park.office.call("GET", "/v1/redemptions", **query)
    assert stale.json()["error"]["details"]["reason"] == "step_up"


async def test_R44_another_parks_redemptions_are_not_listed(park: Life) -> None:
    ticket = await park.ticket()
    passed = await park.show(ticket)
    stranger = await Outsider(park.inside.http).pair("ADMIN", "DEMO-OTHER-PARK")
    await stranger.staff(email="cashier@other.playpark", pin="1111")
    who = (await stranger.data("GET", "/v1/employees/me"))["employee_id"]
    await park.db.sessions.update_one(
        {"_id": stranger.device["device_id"]},
        {"$push": {f"employees.{who}.permissions": "reports_view"}},
    )
    for query in ({}, {"ticket_id": ticket["ticket_id"]}):
        text = (await stranger.call("GET", "/v1/redemptions", **query)).text
        assert passed["redemption_id"] not in text
    assert (await park.till.call("GET", "/v1/redemptions")).status_code == 403
