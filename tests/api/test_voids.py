"""Voids: a whole sale taken back before anybody used it, netted out of its shift (R32)."""

import asyncio
from typing import Any

import pytest

from api.platform.mongo import Mongo
from api.platform.uow import UnitOfWork, Work
from api.tickets.repository import TicketRepository
from playpark.clock import SystemClock
from playpark.ids import new_ulid
from tests.api.giving_back import (
    approve,
    ask,
    behind,
    books,
    close,
    copies_of,
    refund,
    told,
)
from tests.outside import Outsider

REASON = {"reason_code": "wrong_package"}


@pytest.fixture
async def other_till(outside: Outsider) -> Outsider:
    pos = await outside.pair("POS")
    await pos.staff(email="cashier2@demo.playpark", pin="2222")
    await pos.open_shift()
    return pos


async def void(till: Outsider, sale_id: str, *, key: str | None = None) -> tuple[int, Any]:
    approval = await approve(till, "void", sale_id)
    path = f"/v1/sales/{sale_id}/void"
    return told(await ask(till, path, REASON, approval=approval, key=key))


async def test_R32_a_voided_sale_keeps_its_number_and_leaves_the_shifts_figures(
    till: Outsider, gate: Outsider
) -> None:
    kept = await till.sell(("Carousel ride", 1))
    sold = await till.sell(("Adult day pass", 2))
    sale = sold["sale"]
    status, answer = await void(till, sale["sale_id"])
    assert (status, answer["reason_code"]) == (200, "wrong_package")
    voided = answer["sale"]
    assert (voided["status"], voided["receipt_no"]) == ("voided", sale["receipt_no"])
    assert voided == {**sale, "status": "voided"}
    now = await till.data("GET", f"/v1/sales/{sale['sale_id']}")
    assert now["sale"] == voided
    assert {ticket["status"] for ticket in now["tickets"]} == {"cancelled"}
    shown = {"qr_token": sold["tickets"][0]["qr_token"]}
    refused = await gate.data("POST", "/v1/tickets/redeem", shown)
    assert (refused["result"], refused["reason"]) == ("fail", "cancelled")
    closed = await close(till)
    assert closed["cash_expected"] == 100_000 + kept["sale"]["grand_total"]
    assert closed["z"]["sales"] == {"count": 1, "amount": 4_000, "by_method": {"cash": 4_000}}
    assert closed["z"]["voids"] == {"count": 1, "amount": sale["grand_total"]}
    assert closed["z"]["tickets_issued"] == 1
    assert closed["z"]["tax"] == kept["sale"]["tax_total"]


async def test_R15_a_void_that_is_sent_again_answers_as_the_first_time(till: Outsider) -> None:
    sold = await till.sell(("Adult day pass", 1))
    sale_id, key = sold["sale"]["sale_id"], new_ulid()
    approval, path = await approve(till, "void", sale_id), f"/v1/sales/{sale_id}/void"
    first = await ask(till, path, REASON, approval=approval, key=key)
    again = await ask(till, path, REASON, approval=approval, key=key)
    assert again.headers["Idempotent-Replayed"] == "true"
    assert again.json()["data"] == first.json()["data"]
    # Another sale under the same key is another operation.
    other = (await till.sell(("Carousel ride", 1)))["sale"]["sale_id"]
    response = await ask(till, f"/v1/sales/{other}/void", REASON, approval=approval, key=key)
    assert told(response) == (422, "E_IDEMPOTENCY_MISMATCH")
    assert (await close(till))["z"]["voids"]["count"] == 1


async def test_R32_a_used_ticket_a_refund_another_till_and_a_closed_shift_can_only_be_refunded(
    till: Outsider, other_till: Outsider, gate: Outsider
) -> None:
    used, partly, theirs, timed = [
        await till.sell((name, 2))
        for name in ("Adult day pass", "Adult day pass", "Carousel ride", "2-hour pass")
    ]
    for sold in (used, timed):
        await gate.data("POST", "/v1/tickets/redeem", {"qr_token": sold["tickets"][0]["qr_token"]})
    first = [partly["tickets"][0]["ticket_id"]]
    assert (await refund(till, partly["sale"]["sale_id"], ticket_ids=first))[0] == 200
    for asking, sold, why in (
        (till, used, "was used"),
        (till, partly, "was refunded"),
        (other_till, theirs, "Only the till that sold it"),
        (till, timed, "was used"),
    ):
        sale_id = sold["sale"]["sale_id"]
        before = await books(till, sale_id)
        approval = await approve(asking, "void", sale_id)
        response = await ask(asking, f"/v1/sales/{sale_id}/void", REASON, approval=approval)
        assert told(response) == (409, "E_CONFLICT")
        message = response.json()["error"]["message"]
        assert why in message
        assert "refund" in message
        assert await books(till, sale_id) == before
    await close(till)
    await till.open_shift()
    assert await void(till, theirs["sale"]["sale_id"]) == (409, "E_CONFLICT")
    now = await till.data("GET", f"/v1/sales/{theirs['sale']['sale_id']}")
    assert now["sale"]["status"] == "completed"


async def test_R32_only_tickets_that_nobody_has_used_are_cancelled(
    till: Outsider, gate: Outsider, mongo_uri: str, database: str
) -> None:
    sold = await till.sell(("Adult day pass", 2), ("2-hour pass", 1))
    for ticket in (sold["tickets"][0], sold["tickets"][2]):
        await gate.data("POST", "/v1/tickets/redeem", {"qr_token": ticket["qr_token"]})
    mongo, sale_id = Mongo(mongo_uri, f"{database}_live"), sold["sale"]["sale_id"]
    found = await mongo.db["tickets"].find_one({"sale_id": sale_id})

    async def cancel(work: Work) -> int:
        tickets = TicketRepository(work, found["tenant_id"], found["store_id"])
        return await tickets.cancel_unused(sale_id)

    assert await UnitOfWork(mongo, SystemClock()).run(cancel) == 1
    mongo.client.close()
    now = (await till.data("GET", "/v1/tickets", sale_id=sale_id))["items"]
    assert [ticket["status"] for ticket in now] == ["active", "cancelled", "active"]


async def test_a_sale_is_voided_once_however_often_it_is_asked_at_once(
    till: Outsider, mongo_uri: str, database: str
) -> None:
    sale_id = (await till.sell(("Adult day pass", 2)))["sale"]["sale_id"]
    token = await approve(till, "void", sale_id)
    with behind(mongo_uri, f"{database}_live") as db:
        tokens = copies_of(db, token, 10)
    path = f"/v1/sales/{sale_id}/void"
    answers = await asyncio.gather(*(ask(till, path, REASON, approval=each) for each in tokens))
    assert sorted(told(each)[0] for each in answers) == [200] + [409] * 9
    assert (await close(till))["z"]["voids"]["count"] == 1


async def test_of_a_void_and_a_refund_at_once_one_wins(
    till: Outsider, mongo_uri: str, database: str
) -> None:
    closing = 100_000
    for _ in range(5):
        sold = await till.sell(("Adult day pass", 1))
        sale_id = sold["sale"]["sale_id"]
        voiding = await approve(till, "void", sale_id)
        refunding = await approve(till, "refund", sale_id)
        body = {"sale_id": sale_id, "reason_code": "customer_request"}
        answers = await asyncio.gather(
            ask(till, f"/v1/sales/{sale_id}/void", REASON, approval=voiding),
            ask(till, "/v1/refunds", body, approval=refunding),
        )
        assert sorted(each.status_code for each in answers) == [200, 409]
    # Either way the money is out of the drawer exactly once.
    assert (await close(till))["cash_expected"] == closing


async def test_R32_of_a_void_and_an_admission_at_once_one_wins(
    till: Outsider, gate: Outsider
) -> None:
    for turn in range(6):
        sold = await till.sell(("Adult day pass", 1))
        sale_id, ticket = sold["sale"]["sale_id"], sold["tickets"][0]
        approval = await approve(till, "void", sale_id)
        show = {"qr_token": ticket["qr_token"]}
        racers = [
            gate.call("POST", "/v1/tickets/redeem", show, key=new_ulid()),
            ask(till, f"/v1/sales/{sale_id}/void", REASON, approval=approval),
        ]
        answers = await asyncio.gather(*racers[:: 1 if turn % 2 else -1])
        shown, voided = answers[:: 1 if turn % 2 else -1]
        passed = shown.json()["data"]["result"] == "pass"
        assert passed == (voided.status_code == 409)


async def test_R42_a_void_needs_its_own_approval_for_its_sale_and_amount(till: Outsider) -> None:
    sold, other = await till.sell(("Adult day pass", 1)), await till.sell(("Carousel ride", 1))
    sale_id, total = sold["sale"]["sale_id"], sold["sale"]["grand_total"]
    before = await books(till, sale_id)
    for approval in (
        None,
        await approve(till, "refund", sale_id),
        await approve(till, "void", other["sale"]["sale_id"]),
        await approve(till, "void", sale_id, amount=total - 1),
    ):
        response = await ask(till, f"/v1/sales/{sale_id}/void", REASON, approval=approval)
        assert told(response) == (403, "E_PERMISSION")
    assert await books(till, sale_id) == before
    approval = await approve(till, "void", sale_id, amount=total)
    bad = {"reason_code": "ride_closed"}  # a reason for refunds
    response = await ask(till, f"/v1/sales/{sale_id}/void", bad, approval=approval)
    assert told(response) == (422, "E_VALIDATION")
    assert await books(till, sale_id) == before
    response = await ask(till, f"/v1/sales/{sale_id}/void", REASON, approval=approval)
    assert response.status_code == 200


async def test_another_parks_sale_is_voided_no_more_than_one_that_does_not_exist(
    till: Outsider, outside: Outsider
) -> None:
    sold = await till.sell(("Adult day pass", 1))
    before = await books(till, sold["sale"]["sale_id"])
    other = await outside.pair("POS", "DEMO-OTHER-PARK")
    await other.staff(email="cashier@other.playpark", pin="1111")
    answers = [
        (await ask(other, f"/v1/sales/{sale_id}/void", REASON)).json()["error"]
        for sale_id in (sold["sale"]["sale_id"], new_ulid())
    ]
    assert answers[0] == answers[1]
    assert answers[0]["code"] == "E_NOT_FOUND"
    assert await books(till, sold["sale"]["sale_id"]) == before
