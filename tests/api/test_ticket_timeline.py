"""001 §4, §6: a ticket's whole story in one call, in the order of time, with who and where."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from api.reports import timeline
from playpark.ids import new_ulid
from tests.api.drawers import op, sync
from tests.api.giving_back import approve, ask, refund, told
from tests.api.inside import Inside, inside
from tests.outside import Outsider

SUPERVISOR = {"email": "supervisor@demo.playpark", "pin": "9999"}
WHY = {"reason_code": "customer_request"}


@dataclass
class Park:
    inside: Inside
    till: Outsider
    gate: Outsider
    office: Outsider

    def later(self) -> None:
        self.inside.clock.advance(timedelta(minutes=1))

    async def story(self, ticket_id: str) -> dict[str, Any]:
        found: dict[str, Any] = await self.office.data("GET", f"/v1/tickets/{ticket_id}/timeline")
        return found

    async def show(self, ticket: dict[str, Any], **more: Any) -> dict[str, Any]:
        self.later()
        body = {"qr_token": ticket["qr_token"], **more}
        answer: dict[str, Any] = await self.gate.data(
            "POST", "/v1/tickets/redeem", body, key=new_ulid()
        )
        return answer


@pytest.fixture(scope="module")
async def park(mongo_uri: str, database: str) -> AsyncIterator[Park]:
    async with inside(mongo_uri, f"{database}_timeline") as made:
        till = await (await made.device("POS")).staff()
        await till.open_shift()
        office = await (await made.device("ADMIN")).staff(**SUPERVISOR)
        yield Park(made, till, await made.device("GATE"), office)


def kinds(story: dict[str, Any]) -> list[str]:
    return [each["kind"] for each in story["entries"]]


async def test_a_tickets_story_goes_from_its_sale_to_its_refund(park: Park) -> None:
    sold = await park.till.sell(("10 entries", 1), ("Carousel ride", 1))
    sale, ticket = sold["sale"], sold["tickets"][0]
    park.later()
    again = {"ticket_ids": [ticket["ticket_id"]], **WHY}
    yes = await approve(park.till, "reprint", ticket["ticket_id"])
    assert told(await ask(park.till, "/v1/reprints", again, approval=yes))[0] == 200
    await park.show(ticket)
    await park.show(ticket, direction="exit")
    rows = park.inside.platform.mongo.db["tickets"]
    await rows.update_one({"ticket_id": ticket["ticket_id"]}, {"$set": {"used": 10}})
    await park.show(ticket)
    await rows.update_one({"ticket_id": ticket["ticket_id"]}, {"$set": {"used": 0}})
    park.later()
    yes = await approve(park.till, "refund", sale["sale_id"])
    body = {"sale_id": sale["sale_id"], "ticket_ids": [ticket["ticket_id"]], **WHY}
    status, given = told(await ask(park.till, "/v1/refunds", body, approval=yes))
    assert status == 200
    story = await park.story(ticket["ticket_id"])
    assert kinds(story) == [
        *("sold", "issued", "reprinted", "noted", "pass", "pass", "fail", "refunded", "noted")
    ]
    entries = story["entries"]
    assert [each["at"] for each in entries] == sorted(each["at"] for each in entries)
    assert (story["receipt_no"], story["status"]) == (sale["receipt_no"], "refunded")
    assert (story["short_code"], story["left_out"]) == (ticket["short_code"], 0)
    words = [each["what"] for each in entries]
    assert words[0].startswith(f"Sold on receipt {sale['receipt_no']}, ")
    assert words[1] == f"10 entries was issued as ticket {ticket['short_code']}."
    assert words[4:6] == ["Admitted.", "Left."]
    assert words[6].startswith("Refused. Nothing is left on this ticket.")
    amount = f"{given['amount'] // 100:,}.{given['amount'] % 100:02d}"
    assert words[7] == f"{amount} baht of it were given back on {given['receipt_no']}."
    assert words[8] == "Approval granted."
    till, gate = park.till.device["device_id"], park.gate.device["device_id"]
    assert [each["device"]["id"] for each in entries] == [*[till] * 4, *[gate] * 3, till, till]
    assert {each["device"]["name"] for each in entries} == {"test POS", "test GATE"}
    cashier = entries[0]["who"]
    assert (cashier["id"], entries[7]["who"]) == (sale["cashier_id"], cashier)
    assert cashier["name"]
    assert entries[4]["who"] is None  # gates redeem by themselves
    assert entries[7]["details"]["approved_by"] == given["approved_by"]
    assert entries[7]["ids"]["refund"] == given["refund_id"]
    assert entries[3]["details"]["event_type"] == "approval.granted"


async def test_each_document_names_the_audit_row_that_says_the_same(park: Park) -> None:
    sold = await park.till.sell(("Carousel ride", 1))
    yes = await approve(park.till, "void", sold["sale"]["sale_id"])
    park.later()
    path = f"/v1/sales/{sold['sale']['sale_id']}/void"
    assert told(await ask(park.till, path, WHY, approval=yes))[0] == 200
    story = await park.story(sold["tickets"][0]["ticket_id"])
    assert kinds(story) == ["sold", "issued", "noted", "voided"]
    audits = park.inside.platform.mongo.db["audits"]
    for number, event in ((0, "sale.created"), (2, "approval.granted"), (3, "sale.voided")):
        row = await audits.find_one({"_id": story["entries"][number]["ids"]["audit"]})
        assert row["event_type"] == event
    assert "audit" not in story["entries"][1]["ids"]


async def test_R50_an_annulled_admission_stays_in_the_story(park: Park) -> None:
    ticket = (await park.till.sell(("Adult day pass", 1)))["tickets"][0]
    park.later()
    shown = op("redemption", {"qr_token": ticket["qr_token"]}, committed=False)
    shown["occurred_at"] = park.inside.clock.now().isoformat()
    await sync(park.gate, shown)
    park.later()
    await sync(park.gate, shown | {"local": {"result": "fail", "reason": "answer_too_late"}})
    story = await park.story(ticket["ticket_id"])
    assert kinds(story) == ["sold", "issued", "pass", "annulled"]
    passed, annulled = story["entries"][2:]
    assert passed["ids"] == {"redemption": annulled["ids"]["redemption"]}
    row = await park.inside.platform.mongo.db["audits"].find_one({"_id": annulled["ids"]["audit"]})
    assert (row["event_type"], annulled["details"]["because"]) == (
        "redemption.annulled",
        "not_admitted",
    )


async def test_what_happens_to_another_ticket_of_the_sale_is_not_this_ones_story(
    park: Park,
) -> None:
    sold = await park.till.sell(("Carousel ride", 2))
    mine, other = sold["tickets"]
    status, _ = await refund(park.till, sold["sale"]["sale_id"], ticket_ids=[other["ticket_id"]])
    assert status == 200
    assert (await park.show(other))["reason"] == "refunded"
    assert kinds(await park.story(mine["ticket_id"])) == ["sold", "issued", "noted"]
    theirs = kinds(await park.story(other["ticket_id"]))
    assert sorted(theirs) == ["fail", "issued", "noted", "refunded", "sold"]


async def test_a_story_holds_no_token(park: Park) -> None:
    ticket = (await park.till.sell(("Adult day pass", 1)))["tickets"][0]
    await park.show(ticket)
    text = (await park.office.call("GET", f"/v1/tickets/{ticket['ticket_id']}/timeline")).text
    assert "PP1." not in text
    assert ticket["qr_token"] not in text


async def test_of_too_many_showings_the_oldest_are_counted(
    park: Park, monkeypatch: pytest.MonkeyPatch
) -> None:
    ticket = (await park.till.sell(("Adult day pass", 1)))["tickets"][0]
    for _ in range(5):
        await park.show(ticket)
    monkeypatch.setattr(timeline, "MOST", 3)
    story = await park.story(ticket["ticket_id"])
    assert kinds(story) == ["sold", "issued", "fail", "fail", "fail"]
    assert story["left_out"] == 2


async def test_R44_another_parks_ticket_is_as_unknown_as_none(park: Park) -> None:
    ticket = (await park.till.sell(("Adult day pass", 1)))["tickets"][0]
    http = park.inside.http
    stranger = await Outsider(http).pair("POS", "DEMO-OTHER-PARK")
    await stranger.staff(email="cashier@other.playpark", pin="1111")
    who = (await stranger.data("GET", "/v1/employees/me"))["employee_id"]
    await park.inside.platform.mongo.db["sessions"].update_one(
        {"_id": stranger.device["device_id"]},
        {"$push": {f"employees.{who}.permissions": "reports_view"}},
    )
    answers = [
        await stranger.call("GET", f"/v1/tickets/{ticket_id}/timeline")
        for ticket_id in (ticket["ticket_id"], new_ulid())
    ]
    assert [answer.status_code for answer in answers] == [404, 404]
    assert answers[0].json()["error"] == answers[1].json()["error"]


async def test_R40_the_story_is_for_reports_and_auditors(park: Park) -> None:
    ticket = (await park.till.sell(("Adult day pass", 1)))["tickets"][0]
    path = f"/v1/tickets/{ticket['ticket_id']}/timeline"
    for who in (park.till, park.gate):
        response = await who.call("GET", path)
        assert (response.status_code, response.json()["error"]["code"]) == (403, "E_PERMISSION")
    for odd in ("a.b", "x" * 41, "$where"):
        assert (await park.office.call("GET", f"/v1/tickets/{odd}/timeline")).status_code == 422
