"""Points of customers: by hand, by sales and refunds, and always what the ledger says."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from pymongo import MongoClient

from api.customers import service as customers
from api.platform.uow import Work
from playpark.contracts.customers import PointsReason
from playpark.errors import ErrorCode, PlayParkError
from playpark.ids import new_ulid
from tests.api.drawers import SEQS, SUPERVISOR
from tests.api.inside import Inside, inside
from tests.outside import Outsider


async def add(who: Outsider, name: str, **more: Any) -> dict[str, Any]:
    customer: dict[str, Any] = await who.data("POST", "/v1/customers", {"name": name, **more})
    return customer


def code(response: httpx.Response) -> tuple[int, str]:
    return response.status_code, response.json()["error"]["code"]


async def points(
    who: Outsider, customer_id: str, amount: int, key: str | None = None
) -> httpx.Response:
    body = {"points": amount, "reason_text": "birthday"}
    path = f"/v1/customers/{customer_id}/points"
    return await who.call("POST", path, body, key=key or new_ulid())


async def test_points_are_given_and_taken_and_never_fall_below_zero(till: Outsider) -> None:
    customer_id = (await add(till, "Saver"))["customer_id"]
    assert code(await points(till, customer_id, 5)) == (403, "E_PERMISSION")
    await till.staff(**SUPERVISOR)
    rows = [(await points(till, customer_id, amount)).json()["data"] for amount in (50, -20)]
    assert [(row["points"], row["balance"], row["reason"]) for row in rows] == [
        (50, 50, "adjusted"),
        (-20, 30, "adjusted"),
    ]
    refused = await points(till, customer_id, -31)
    assert code(refused) == (409, "E_CONFLICT")
    assert refused.json()["error"]["details"] == {"points": 30}
    assert (await till.data("GET", f"/v1/customers/{customer_id}"))["points"] == 30
    assert code(await points(till, new_ulid(), 1)) == (404, "E_NOT_FOUND")


async def test_R15_the_same_key_gives_points_once_and_answers_as_the_first_time(
    till: Outsider,
) -> None:
    customer_id = (await add(till, "Twice"))["customer_id"]
    await till.staff(**SUPERVISOR)
    key = new_ulid()
    first = await points(till, customer_id, 50, key)
    await points(till, customer_id, -10)
    again = await points(till, customer_id, 50, key)
    assert again.headers["Idempotent-Replayed"] == "true"
    assert again.json()["data"] == first.json()["data"]
    assert (await till.data("GET", f"/v1/customers/{customer_id}"))["points"] == 40
    other = (await add(till, "Other"))["customer_id"]
    assert code(await points(till, other, 50, key)) == (422, "E_IDEMPOTENCY_MISMATCH")
    no_key = await till.call(
        "POST", f"/v1/customers/{customer_id}/points", {"points": 1, "reason_text": "x"}
    )
    assert code(no_key) == (400, "E_IDEMPOTENCY_KEY_REQUIRED")


async def test_points_taken_in_parallel_are_as_many_as_there_are(
    till: Outsider, mongo_uri: str, database: str
) -> None:
    customer_id = (await add(till, "Popular"))["customer_id"]
    await till.staff(**SUPERVISOR)
    await points(till, customer_id, 55)
    answers = await asyncio.gather(*(points(till, customer_id, -10) for _ in range(12)))
    assert sorted(answer.status_code for answer in answers) == [200] * 5 + [409] * 7
    assert (await till.data("GET", f"/v1/customers/{customer_id}"))["points"] == 5
    with MongoClient(mongo_uri) as mongo:
        ledger = mongo[f"{database}_live"]["customer_points"].find({"customer_id": customer_id})
        rows = sorted(ledger, key=lambda row: -row["balance"])
    assert [row["balance"] for row in rows] == [55, 45, 35, 25, 15, 5]
    assert sum(row["points"] for row in rows) == 5


async def test_R17_committed_points_need_the_permission_and_more_than_there_are_is_flagged(
    till: Outsider, mongo_uri: str, database: str
) -> None:
    customer_id = (await add(till, "Offline"))["customer_id"]

    async def synced(amount: int, employee_id: str | None) -> dict[str, Any]:
        op = {
            "op_id": new_ulid(),
            "kind": "points",
            "seq": next(SEQS),
            "schema_version": 1,
            "employee_id": employee_id,
            "committed": True,
            "occurred_at": datetime.now(UTC).isoformat(),
            "body": {"customer_id": customer_id, "points": amount, "reason_text": "outage"},
        }
        batch = await till.data("POST", "/v1/sync/batch", {"epoch": 1, "ops": [op]})
        result: dict[str, Any] = batch["results"][0]
        return result

    cashier = (await till.data("GET", "/v1/employees/me"))["employee_id"]
    refused = await synced(30, cashier)
    assert (refused["status"], refused["code"]) == ("rejected", "E_PERMISSION")
    for nobody in (None, new_ulid()):
        refused = await synced(30, nobody)
        assert (refused["status"], refused["code"]) == ("rejected", "E_UNAUTHENTICATED")
    await till.staff(**SUPERVISOR)
    boss = (await till.data("GET", "/v1/employees/me"))["employee_id"]
    assert (await synced(30, boss))["result"]["balance"] == 30
    short = (await synced(-50, boss))["result"]
    assert (short["points"], short["balance"]) == (-30, 0)
    with MongoClient(mongo_uri) as mongo:
        rows = mongo[f"{database}_live"]["audits"].find(
            {"entity_id": customer_id, "event_type": "customer.points_adjusted"}
        )
        flags = [row["payload"]["flags"] for row in rows.sort("seq", 1)]
    assert flags == [[], ["points_short"]]


@pytest.mark.parametrize(
    "body",
    [
        {"points": 5},
        {"points": 5, "reason_text": "  "},
        {"points": 5.5, "reason_text": "x"},
        {"points": True, "reason_text": "x"},
        {"points": 10**9 + 1, "reason_text": "x"},
    ],
)
async def test_points_need_a_whole_number_and_words(till: Outsider, body: dict[str, Any]) -> None:
    response = await till.call("POST", f"/v1/customers/{new_ulid()}/points", body, key=new_ulid())
    assert code(response) == (422, "E_VALIDATION")


# --- what sales and refunds use ---------------------------------------------------------


@pytest.fixture(scope="module")
async def park(mongo_uri: str, database: str) -> AsyncIterator[Inside]:
    async with inside(mongo_uri, f"{database}_customers") as found:
        yield found


async def test_a_sale_earns_and_burns_points_in_its_own_transaction(park: Inside) -> None:
    till = await park.device()
    await till.staff()
    customer_id = (await add(till, "Shopper"))["customer_id"]
    scope, sale_id = await park.scope(till), new_ulid()
    who: dict[str, Any] = {"sale_id": sale_id}

    async def sale(work: Work) -> tuple[bool, bool]:
        await customers.earn(work, scope, customer_id, 12, reason=PointsReason.EARNED, **who)
        enough = await customers.burn(
            work, scope, customer_id, 12, reason=PointsReason.BURNED, **who
        )
        short = await customers.burn(work, scope, customer_id, 1, reason=PointsReason.BURNED, **who)
        return enough, short

    assert await park.platform.uow.run(sale) == (True, False)

    async def abandoned(work: Work) -> None:
        await customers.earn(work, scope, customer_id, 99, reason=PointsReason.EARNED, **who)
        raise PlayParkError(ErrorCode.CONFLICT, "No.")

    with pytest.raises(PlayParkError):
        await park.platform.uow.run(abandoned)
    reading = park.platform.uow.reading()
    assert (await customers.customer(reading, scope, customer_id)).points == 0
    rows = await customers.points_rows(reading, scope, customer_id, limit=50)
    assert sorted((row.points, row.balance, row.sale_id) for row in rows) == [
        (-12, 0, sale_id),
        (12, 12, sale_id),
    ]


async def test_the_group_of_an_unknown_or_inactive_customer_is_not_found(park: Inside) -> None:
    till = await park.device()
    await till.staff(**SUPERVISOR)
    made = await add(till, "Leaver", group="vip")
    scope, work = await park.scope(till), park.platform.uow.reading()
    assert await customers.group_of(work, scope, None) is None
    assert await customers.group_of(work, scope, made["customer_id"]) == "vip"
    await till.data("PATCH", f"/v1/customers/{made['customer_id']}", {"active": False})
    for customer_id in (made["customer_id"], new_ulid()):
        with pytest.raises(PlayParkError) as found:
            await customers.group_of(work, scope, customer_id)
        assert found.value.code is ErrorCode.NOT_FOUND
