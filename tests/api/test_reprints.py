"""Reprints: approved, counted, limited, with the tokens of whoever sold it (R25, R42)."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from playpark.clock import business_date, park_zone
from playpark.ids import new_ulid
from tests.api.giving_back import approve, ask, behind, books, copies_of, refund, told
from tests.outside import Outsider

REASON = {"reason_code": "paper_jam"}


@pytest.fixture
async def other_till(outside: Outsider) -> Outsider:
    pos = await outside.pair("POS")
    await pos.staff(email="cashier2@demo.playpark", pin="2222")
    await pos.open_shift()
    return pos


async def reprint(till: Outsider, entity_id: str, **body: Any) -> tuple[int, Any]:
    approval = await approve(till, "reprint", entity_id)
    return told(await ask(till, "/v1/reprints", {**REASON, **body}, approval=approval))


async def test_R42_another_till_prints_the_same_tokens_again_and_counts_it(
    till: Outsider, other_till: Outsider
) -> None:
    sold = await till.sell(("Adult day pass", 2))
    sale_id = sold["sale"]["sale_id"]
    status, copy = await reprint(other_till, sale_id, sale_id=sale_id)
    assert status == 200
    assert copy["sale"] == sold["sale"]
    assert copy["tickets"] == sold["tickets"]
    assert (copy["copies"], copy["approved_by"] is not None) == (1, True)
    first = sold["tickets"][0]["ticket_id"]
    status, again = await reprint(till, first, ticket_ids=[first])
    assert (status, again["sale"], again["copies"]) == (200, None, 2)
    assert again["tickets"] == sold["tickets"][:1]
    found = await till.data("GET", "/v1/tickets", sale_id=sale_id)
    assert [ticket["printed_count"] for ticket in found["items"]] == [2, 1]


async def test_R15_a_reprint_that_is_sent_again_counts_once_and_mints_the_same_tokens(
    till: Outsider, gate: Outsider
) -> None:
    sold = await till.sell(("Adult day pass", 1))
    sale_id, code = sold["sale"]["sale_id"], sold["tickets"][0]["short_code"]
    approval, key = await approve(till, "reprint", sale_id), new_ulid()
    body = {"sale_id": sale_id, **REASON}
    first = await ask(till, "/v1/reprints", body, approval=approval, key=key)
    assert first.status_code == 200
    await gate.data("POST", "/v1/tickets/redeem", {"short_code": code})
    again = await ask(till, "/v1/tickets/reprint", body, approval=approval, key=key)
    assert again.headers["Idempotent-Replayed"] == "true"
    assert again.json()["data"] == first.json()["data"]
    (ticket,) = (await till.data("GET", "/v1/tickets", sale_id=sale_id))["items"]
    assert ticket["printed_count"] == 1


async def test_R42_without_the_right_approval_nothing_is_printed_or_counted(
    till: Outsider,
) -> None:
    sold, other = await till.sell(("Adult day pass", 2)), await till.sell(("Carousel ride", 1))
    sale_id = sold["sale"]["sale_id"]
    ids = [ticket["ticket_id"] for ticket in sold["tickets"]]
    before = await books(till, sale_id)
    one_ticket = {"ticket_ids": ids, **REASON}
    attempts = [
        (None, {"sale_id": sale_id, **REASON}),
        (await approve(till, "reprint", other["sale"]["sale_id"]), {"sale_id": sale_id, **REASON}),
        (await approve(till, "refund", sale_id), {"sale_id": sale_id, **REASON}),
        (await approve(till, "reprint", ids[0]), one_ticket),  # one ticket's yes, two tickets
        (await approve(till, "reprint", ids[0]), {"sale_id": sale_id, **REASON}),
    ]
    for approval, body in attempts:
        response = await ask(till, "/v1/reprints", body, approval=approval)
        assert told(response) == (403, "E_PERMISSION")
        assert response.json()["error"]["details"]["reason"] == "approval_required"
    assert await books(till, sale_id) == before


async def test_tickets_that_admit_nobody_are_not_printed_again(till: Outsider) -> None:
    sold = await till.sell(("Adult day pass", 2))
    sale_id = sold["sale"]["sale_id"]
    gone, left = (ticket["ticket_id"] for ticket in sold["tickets"])
    assert (await refund(till, sale_id, ticket_ids=[gone]))[0] == 200
    for body in ({"ticket_ids": [gone]}, {"ticket_ids": [gone, left]}):
        assert await reprint(till, sale_id, **body) == (409, "E_CONFLICT")
    status, copy = await reprint(till, sale_id, sale_id=sale_id)
    assert status == 200
    assert [ticket["ticket_id"] for ticket in copy["tickets"]] == [left]
    assert (await refund(till, sale_id))[0] == 200
    assert await reprint(till, sale_id, sale_id=sale_id) == (409, "E_CONFLICT")


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"sale_id": new_ulid()}, (404, "E_NOT_FOUND")),
        ({"ticket_ids": [new_ulid()]}, (404, "E_NOT_FOUND")),
        ({}, (422, "E_VALIDATION")),
        ({"sale_id": new_ulid(), "ticket_ids": [new_ulid()]}, (422, "E_VALIDATION")),
    ],
)
async def test_what_is_not_there_is_not_printed(
    till: Outsider, body: dict[str, Any], expected: tuple[int, str]
) -> None:
    assert told(await ask(till, "/v1/reprints", {**REASON, **body})) == expected


async def test_a_reprint_needs_a_reason_of_its_kind_and_tickets_of_one_sale(
    till: Outsider,
) -> None:
    first, second = await till.sell(("Carousel ride", 1)), await till.sell(("Carousel ride", 1))
    sale_id = first["sale"]["sale_id"]
    for reason in ("ride_closed", "no_such_reason"):
        told_ = await reprint(till, sale_id, sale_id=sale_id, reason_code=reason)
        assert told_ == (422, "E_VALIDATION")
    ids = [sold["tickets"][0]["ticket_id"] for sold in (first, second)]
    assert await reprint(till, sale_id, ticket_ids=ids) == (422, "E_VALIDATION")


async def test_R42_the_limit_of_a_day_holds_for_the_device_and_for_the_employee(
    till: Outsider, other_till: Outsider, mongo_uri: str, database: str
) -> None:
    sold = await till.sell(("Carousel ride", 1))
    sale_id = sold["sale"]["sale_id"]
    now = datetime.now(UTC)
    day = business_date(now, park_zone("Asia/Bangkok"))
    token = await approve(till, "reprint", sale_id)
    theirs = await approve(other_till, "reprint", sale_id)
    me = await other_till.data("GET", "/v1/employees/me")
    with behind(mongo_uri, f"{database}_live") as db:
        tokens = copies_of(db, token, 5)
        (wasted,) = copies_of(db, theirs, 1)
        store = db.sales.find_one({"_id": sale_id})
        here = f"{store['tenant_id']}:{store['store_id']}:reprints"
        # All but two of the day's 50 of this till are used up, and all 30 of that employee.
        told_ = {"tenant_id": store["tenant_id"], "store_id": store["store_id"]}
        stamped = {**told_, "created_at": now, "updated_at": now}
        device = {"_id": f"{here}:{till.device['device_id']}:{day}", "value": 48, **stamped}
        person = {"_id": f"{here}:{me['employee_id']}:{day}", "value": 30, **stamped}
        db.counters.insert_one(device)
        db.counters.replace_one({"_id": person["_id"]}, person, upsert=True)
        body = {"sale_id": sale_id, **REASON}
        answers = await asyncio.gather(
            *(ask(till, "/v1/reprints", body, approval=each) for each in tokens)
        )
        refused = [each for each in answers if each.status_code != 200]
        assert [told(each) for each in refused] == [(429, "E_REPRINT_LIMIT")] * 3
        wait = int(refused[0].headers["Retry-After"])
        assert now + timedelta(seconds=wait) <= now + timedelta(days=1)
        assert wait > 60 or business_date(datetime.now(UTC), park_zone("Asia/Bangkok")) != day
        response = await ask(other_till, "/v1/reprints", body, approval=wasted)
        assert told(response) == (429, "E_REPRINT_LIMIT")
        # What was refused took back its count; the approval is still good.
        assert db.counters.find_one({"_id": device["_id"]})["value"] == 50
        db.counters.delete_one({"_id": person["_id"]})
        assert told(await ask(other_till, "/v1/reprints", body, approval=wasted))[0] == 200


async def test_reprints_are_listed_and_exported(till: Outsider, outside: Outsider) -> None:
    sold = await till.sell(("Carousel ride", 1))
    sale_id = sold["sale"]["sale_id"]
    status, copy = await reprint(till, sale_id, sale_id=sale_id, reason_text="=1+1")
    assert status == 200
    assert (await till.call("GET", "/v1/reprints")).status_code == 403
    office = await outside.pair("POS")
    await office.staff(email="supervisor@demo.playpark", pin="9999")
    (row,) = (await office.data("GET", "/v1/reprints", sale_id=sale_id))["items"]
    assert (row["reprint_id"], row["receipt_no"]) == (
        copy["reprint_id"],
        sold["sale"]["receipt_no"],
    )
    assert row["ticket_ids"] == [sold["tickets"][0]["ticket_id"]]
    future = await office.data("GET", "/v1/reprints", sale_id=sale_id, **{"from": "2199-01-01"})
    assert future["items"] == []
    text = (await office.call("GET", "/v1/reprints", sale_id=sale_id, format="csv")).text
    head, line = text.strip().splitlines()
    assert head.startswith("reprint_id,sale_id,receipt_no")
    assert "'=1+1" in line
