"""Exchanging a lost ticket, and cancelling one (R25, R42, decision 0019)."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from playpark.ids import new_ulid
from tests.api.drawers import op, sync, tell
from tests.api.giving_back import approve, ask, refund, told
from tests.api.selling import OWNER
from tests.api.ticket_lives import ACTIONS, WHY, Life, life
from tests.outside import Outsider

IN_TIME = timedelta(minutes=2)


@pytest.fixture(scope="module")
async def park(mongo_uri: str, database: str) -> AsyncIterator[Life]:
    async with life(mongo_uri, f"{database}_exchange") as made:
        yield made


async def lookup(park: Life, **key: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await park.till.data("GET", "/v1/tickets", **key))["items"]
    return found


# --- exchange -----------------------------------------------------------------------------


async def test_R25_the_new_ticket_carries_on_where_the_lost_one_stood(park: Life) -> None:
    lost = await park.ticket("10 entries")
    assert (await park.show(lost))["remaining"] == 9
    status, given = await park.change("exchange", lost)
    assert status == 200
    new = given["ticket"]
    assert (given["replaces"], new["replaces"]) == (lost["ticket_id"], lost["ticket_id"])
    assert new["ticket_id"] != lost["ticket_id"]
    assert new["short_code"] != lost["short_code"]
    assert new["qr_token"].startswith("PP1.")
    assert new["qr_token"] != lost["qr_token"]
    for name in ("valid_from", "valid_to", "payable", "zones", "kind", "package_id"):
        assert new[name] == lost[name]
    assert (new["used"], new["status"]) == (1, "active")
    assert (await park.show(lost))["reason"] == "cancelled"
    assert (await park.show(new))["remaining"] == 8


async def test_R25_the_clock_of_a_timepass_runs_on(park: Life) -> None:
    lost = await park.ticket("2-hour pass")
    await park.show(lost)
    park.later(30 * 60)
    _, given = await park.change("exchange", lost)
    assert (await park.show(given["ticket"]))["remaining"] in {89, 90}


async def test_R50_an_annulment_gives_back_to_the_ticket_that_was_given_since(park: Life) -> None:
    for package, left in (("10 entries", 10), ("2-hour pass", 120)):
        lost = await park.ticket(package)
        passed = await park.show(lost)
        _, given = await park.change("exchange", lost)
        status, answer = await park.annul(passed["redemption_id"])
        assert (status, answer["remaining"]) == (200, left)
        stored = await park.state(given["ticket"])
        assert (stored["used"], stored["ends_at"], stored["inside"]) == (0, None, [])


async def test_R53_both_tickets_say_what_became_of_them(park: Life) -> None:
    lost = await park.ticket()
    _, given = await park.change("exchange", lost)
    new = given["ticket"]
    (old,) = await lookup(park, qr=lost["qr_token"])
    assert (old["status"], old["replaced_by"]) == ("cancelled", new["ticket_id"])
    (by_code,) = await lookup(park, short_code=new["short_code"])
    assert (by_code["ticket_id"], by_code["replaces"]) == (new["ticket_id"], lost["ticket_id"])
    (of_sale,) = await lookup(park, sale_id=lost["sale_id"])
    assert of_sale["ticket_id"] == new["ticket_id"]


async def test_R42_an_exchange_counts_as_a_reprint(park: Life) -> None:
    before = (await park.till.data("GET", "/v1/shifts/current"))["shift_id"]
    lost = await park.ticket()
    _, given = await park.change("exchange", lost)
    stored = await park.db.reprints.find_one({"_id": given["exchange_id"]})
    assert (stored["replaces"], stored["shift_id"]) == (lost["ticket_id"], before)
    (row,) = (await park.office.data("GET", "/v1/reprints", sale_id=lost["sale_id"]))["items"]
    assert (row["ticket_ids"], row["replaces"]) == (
        [given["ticket"]["ticket_id"]],
        lost["ticket_id"],
    )
    counters = park.db.counters
    device = park.till.device["device_id"]
    of_device = {"_id": {"$regex": f"reprints:{device}:"}}
    await counters.update_many(of_device, {"$inc": {"value": 10_000}})
    new = given["ticket"]
    assert await park.change("exchange", new) == (429, "E_REPRINT_LIMIT")
    assert (await park.state(new))["status"] == "active"
    await counters.update_many(of_device, {"$inc": {"value": -10_000}})


async def test_R42_without_the_right_approval_nothing_is_exchanged_or_cancelled(
    park: Life,
) -> None:
    ticket, other = await park.ticket(), await park.ticket()
    for what, action in (("exchange", "exchange"), ("cancel", "ticket_cancel")):
        for yes in (
            None,
            await approve(park.till, "reprint", ticket["ticket_id"]),
            await approve(park.till, action, other["ticket_id"]),
        ):
            body = {"ticket_id": ticket["ticket_id"], **WHY}
            response = await ask(park.till, f"/v1/tickets/{what}", body, approval=yes)
            assert told(response) == (403, "E_PERMISSION")
            assert response.json()["error"]["details"]["reason"] == "approval_required"
    assert (await park.state(ticket))["status"] == "active"


async def test_R15_an_exchange_that_is_sent_again_gives_the_same_ticket(park: Life) -> None:
    lost, key = await park.ticket("10 entries"), new_ulid()
    first = await park.change("exchange", lost, key=key)
    await park.show(first[1]["ticket"])
    assert await park.change("exchange", lost, key=key) == first
    assert await park.db.tickets.count_documents({"sale_id": lost["sale_id"]}) == 2


async def test_of_ten_exchanges_at_once_one_gives_a_ticket(park: Life) -> None:
    lost = await park.ticket()
    yes = await approve(park.till, "exchange", lost["ticket_id"])
    tokens = await park.approvals(yes, 10)
    body = {"ticket_id": lost["ticket_id"], **WHY}
    answers = await asyncio.gather(
        *(ask(park.till, "/v1/tickets/exchange", body, approval=each) for each in tokens)
    )
    assert sorted(each.status_code for each in answers) == [200] + [409] * 9
    assert await park.db.tickets.count_documents({"sale_id": lost["sale_id"]}) == 2


async def test_a_gate_and_an_exchange_at_the_same_moment_spend_one_use_between_them(
    park: Life,
) -> None:
    first = await approve(park.till, "exchange", (await park.ticket())["ticket_id"])
    for _ in range(5):
        lost = await park.ticket()
        park.later(6)
        told_ = {"entity_id": lost["ticket_id"], "expires_at": park.inside.clock.now() + IN_TIME}
        _, yes = await park.approvals(first, 2, **told_)
        body = {"ticket_id": lost["ticket_id"], **WHY}
        exchanged, (shown,) = await asyncio.gather(
            ask(park.till, "/v1/tickets/exchange", body, approval=yes),
            sync(park.gate, park.asked(lost)),
        )
        new, passed = exchanged.json()["data"]["ticket"], shown["result"]["result"] == "pass"
        assert new["used"] == (1 if passed else 0)
        assert (await park.show(new))["result"] == ("fail" if passed else "pass")


async def test_what_admits_nobody_is_neither_exchanged_nor_cancelled(park: Life) -> None:
    cancelled, refunded, exchanged = await park.ticket(), await park.ticket(), await park.ticket()
    assert (await park.change("cancel", cancelled))[0] == 200
    assert (await refund(park.till, refunded["sale_id"]))[0] == 200
    assert (await park.change("exchange", exchanged))[0] == 200
    words = ("cancelled", "refunded", "exchanged")
    for ticket, word in zip((cancelled, refunded, exchanged), words, strict=True):
        for what in ("exchange", "cancel"):
            assert await park.change(what, ticket) == (409, "E_CONFLICT")
            yes = await approve(park.till, ACTIONS.get(what, what), ticket["ticket_id"])
            body = {"ticket_id": ticket["ticket_id"], **WHY}
            response = await ask(park.till, f"/v1/tickets/{what}", body, approval=yes)
            assert word in response.json()["error"]["message"]


async def test_R44_a_ticket_of_another_park_is_as_unknown_as_none(park: Life) -> None:
    ticket = await park.ticket()
    stranger = await Outsider(park.inside.http).pair("POS", "DEMO-OTHER-PARK")
    await stranger.staff(email="cashier@other.playpark", pin="1111")
    for what in ("exchange", "cancel"):
        answers = [
            await ask(stranger, f"/v1/tickets/{what}", {"ticket_id": each, **WHY})
            for each in (ticket["ticket_id"], new_ulid())
        ]
        assert [each.status_code for each in answers] == [404, 404]
        assert answers[0].json()["error"] == answers[1].json()["error"]


async def test_R18_a_component_of_a_bundle_is_exchanged_alone_and_refunded_with_the_rest(
    park: Life,
) -> None:
    sold = await park.till.sell(("Family bundle", 1))
    sale, tickets = sold["sale"], sold["tickets"]
    status, given = await park.change("exchange", tickets[2])
    assert status == 200
    standing = await lookup(park, sale_id=sale["sale_id"])
    ids = [each["ticket_id"] for each in tickets]
    ids[2] = given["ticket"]["ticket_id"]
    assert [each["ticket_id"] for each in standing] == ids
    status, refused = await refund(park.till, sale["sale_id"], ticket_ids=ids[:2])
    assert (status, refused) == (422, "E_VALIDATION")
    status, back = await refund(park.till, sale["sale_id"], ticket_ids=ids)
    assert (status, back["amount"]) == (200, sale["grand_total"])


async def test_money_is_given_back_once_however_often_a_ticket_was_exchanged(park: Life) -> None:
    lost = await park.ticket()
    _, first = await park.change("exchange", lost)
    _, second = await park.change("exchange", first["ticket"])
    sale_id, ids = lost["sale_id"], [lost["ticket_id"]]
    assert await refund(park.till, sale_id, ticket_ids=ids) == (404, "E_NOT_FOUND")
    status, back = await refund(park.till, sale_id)
    assert (status, back["amount"]) == (200, lost["payable"])
    assert [part["ticket_id"] for part in back["tickets"]] == [second["ticket"]["ticket_id"]]
    assert (await refund(park.till, sale_id))[0] == 409


async def test_R15_the_sale_and_a_copy_answer_as_before_the_exchange(park: Life) -> None:
    key = new_ulid()
    sold = await park.till.sell(("Adult day pass", 2), key=key)
    sale_id, first = sold["sale"]["sale_id"], sold["tickets"][0]
    yes, again = await approve(park.till, "reprint", sale_id), new_ulid()
    body = {"sale_id": sale_id, **WHY}
    copy = await ask(park.till, "/v1/reprints", body, approval=yes, key=again)
    assert (await park.change("exchange", first))[0] == 200
    assert await park.till.sell(("Adult day pass", 2), key=key) == sold
    repeated = await ask(park.till, "/v1/reprints", body, approval=yes, key=again)
    assert repeated.json()["data"] == copy.json()["data"]


async def test_R32_a_sale_with_an_exchanged_ticket_can_be_voided(park: Life) -> None:
    lost = await park.ticket()
    _, given = await park.change("exchange", lost)
    yes = await approve(park.till, "void", lost["sale_id"])
    path = f"/v1/sales/{lost['sale_id']}/void"
    status, _ = told(await ask(park.till, path, WHY, approval=yes))
    assert status == 200
    assert (await park.state(given["ticket"]))["status"] == "cancelled"


async def test_R49_the_books_of_exchanged_and_cancelled_tickets_are_whole(park: Life) -> None:
    sold = await park.till.sell(("Adult day pass", 2), ("Carousel ride", 1))
    sale_id, ids = sold["sale"]["sale_id"], [each["ticket_id"] for each in sold["tickets"]]
    owner = await (await park.inside.device("ADMIN")).staff(**OWNER)
    await tell(owner, "PUT", "/settings", {"sections": {"sales": {"refund_by_amount": True}}})
    assert (await refund(park.till, sale_id, amount=10_000))[0] == 200
    assert (await refund(park.till, sale_id, ticket_ids=ids[2:]))[0] == 200
    assert (await park.change("exchange", sold["tickets"][0]))[0] == 200
    assert (await park.change("cancel", sold["tickets"][1]))[0] == 200
    day = sold["sale"]["business_date"]
    proved = await park.office.data("GET", "/v1/reports/reconciliation", date=day)
    assert proved["breaks"] == []


# --- cancel -------------------------------------------------------------------------------


async def test_a_cancelled_ticket_admits_nobody_and_moves_no_money(park: Life) -> None:
    ticket = await park.ticket()
    status, done = await park.change("cancel", ticket, reason_text="found on the floor")
    assert (status, done["ticket"]["status"], done["ticket"]["qr_token"]) == (
        200,
        "cancelled",
        None,
    )
    assert (await park.show(ticket))["reason"] == "cancelled"
    sale = await park.till.data("GET", f"/v1/sales/{ticket['sale_id']}")
    assert (sale["sale"]["status"], sale["sale"]["refunded"]) == ("completed", 0)
    audited = await park.db.audits.find_one({"entity_id": done["cancellation_id"]})
    assert (audited["event_type"], audited["payload"]["reason_text"]) == (
        "ticket.cancelled",
        "found on the floor",
    )
    assert await park.db.events.count_documents({"data.ticket_id": ticket["ticket_id"]}) > 0


async def test_a_used_ticket_is_not_cancelled(park: Life) -> None:
    for package in ("Adult day pass", "10 entries", "2-hour pass"):
        ticket = await park.ticket(package)
        await park.show(ticket)
        assert await park.change("cancel", ticket) == (409, "E_CONFLICT")
        yes = await approve(park.till, "ticket_cancel", ticket["ticket_id"])
        body = {"ticket_id": ticket["ticket_id"], **WHY}
        response = await ask(park.till, "/v1/tickets/cancel", body, approval=yes)
        assert "was used: refund it" in response.json()["error"]["message"]
        assert (await park.state(ticket))["status"] == "active"


async def test_the_money_of_a_cancelled_ticket_can_be_given_back_and_its_sale_not_voided(
    park: Life,
) -> None:
    ticket, key = await park.ticket(), new_ulid()
    first = await park.change("cancel", ticket, key=key)
    yes = await approve(park.till, "void", ticket["sale_id"])
    path = f"/v1/sales/{ticket['sale_id']}/void"
    response = await ask(park.till, path, WHY, approval=yes)
    assert told(response) == (409, "E_CONFLICT")
    assert "was cancelled: refund it" in response.json()["error"]["message"]
    status, back = await refund(park.till, ticket["sale_id"])
    assert (status, back["amount"]) == (200, ticket["payable"])
    assert await park.change("cancel", ticket, key=key) == first


async def test_a_gate_and_a_cancellation_at_the_same_moment_do_not_both_win(park: Life) -> None:
    for _ in range(5):
        ticket = await park.ticket()
        yes = await approve(park.till, "ticket_cancel", ticket["ticket_id"])
        body = {"ticket_id": ticket["ticket_id"], **WHY}
        cancelled, shown = await asyncio.gather(
            ask(park.till, "/v1/tickets/cancel", body, approval=yes),
            park.show(ticket),
        )
        assert (cancelled.status_code == 200) != (shown["result"] == "pass")


# --- at the other door --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "action"), [("exchange", "exchange"), ("ticket_cancel", "ticket_cancel")]
)
async def test_R14_both_come_in_batches_too(park: Life, kind: str, action: str) -> None:
    ticket = await park.ticket()
    yes = await approve(park.till, action, ticket["ticket_id"])
    employee_id = (await park.till.data("GET", "/v1/employees/me"))["employee_id"]
    asked = op(
        kind,
        {"ticket_id": ticket["ticket_id"], **WHY},
        committed=False,
        employee_id=employee_id,
        occurred_at=park.now(),
    )
    (refused,) = await sync(park.till, asked)
    assert (refused["status"], refused["code"]) == ("rejected", "E_PERMISSION")
    (done,) = await sync(park.till, asked | {"approval": yes})
    assert done["status"] == "applied", done
    (again,) = await sync(park.till, asked | {"approval": yes})
    assert (again["status"], again["result"]) == ("duplicate", done["result"])


@pytest.mark.parametrize("what", ["exchange", "cancel"])
async def test_hostile_bodies_are_refused(park: Life, what: str) -> None:
    for body in (
        {},
        {"ticket_id": {"$ne": ""}, **WHY},
        {"ticket_id": "x" * 500, **WHY},
        {"ticket_id": new_ulid()},
        {"ticket_id": new_ulid(), "reason_code": "$where"},
        {"ticket_id": new_ulid(), **WHY, "used": 0},
    ):
        assert told(await ask(park.till, f"/v1/tickets/{what}", body)) == (422, "E_VALIDATION")
