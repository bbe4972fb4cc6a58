"""Loyalty points in sales: earned, paid with, and told (contracts/settings.py: loyalty)."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from playpark.ids import new_ulid
from tests.api.drawers import approve, op, sync, tell
from tests.api.inside import inside
from tests.api.selling import ADULT, Park, refused, sell
from tests.outside import Outsider

POINTS = "Loyalty points"


@pytest.fixture(scope="module")
async def park(mongo_uri: str, database: str) -> AsyncIterator[Park]:
    async with inside(mongo_uri, f"{database}_sales_points") as park:
        yield await Park.of(park)


@pytest.fixture(scope="module")
async def till(park: Park) -> Outsider:
    return await park.till()


def paid(park: Park, customer_id: str, points: int, rest: int) -> dict[str, Any]:
    """Two adult passes, part of them for `points` satang worth of points."""
    payments = [park.pay(POINTS, points), park.pay("Cash", rest)]
    return park.adult(2, customer_id=customer_id) | {"payments": payments}


async def test_a_sale_earns_points_on_its_goods(park: Park, till: Outsider) -> None:
    guest = await park.customer()
    abroad = park.pay("Card from abroad (3 % surcharge)", 40_994)
    sale = (await sell(till, park.adult(2, customer_id=guest) | {"payments": [abroad]}))["sale"]
    # One point for each 100 baht of goods: 398 baht, not 409.94.
    assert (sale["grand_total"], sale["points_earned"], sale["points_burned"]) == (40_994, 3, 0)
    assert await park.points(guest) == 3


async def test_points_pay_and_what_they_pay_earns_none(park: Park, till: Outsider) -> None:
    guest = await park.customer(points=200)
    sale = (await sell(till, paid(park, guest, 20_000, 19_800)))["sale"]
    assert (sale["points_burned"], sale["points_earned"]) == (200, 1)
    assert await park.points(guest) == 1
    rows = park.db["customer_points"].find({"sale_id": sale["sale_id"]}).sort("_id", 1)
    told = [(row["reason"], row["points"], row["balance"]) for row in await rows.to_list(5)]
    assert told == [("burned", -200, 0), ("earned", 1, 1)]


async def test_more_points_than_there_are_are_refused_and_nothing_is_sold(
    park: Park, till: Outsider
) -> None:
    guest = await park.customer(points=199)
    before = await park.count("sales")
    status, code, details = await refused(till, paid(park, guest, 20_000, 19_800))
    assert (status, code, details) == (409, "E_CONFLICT", {"reason": "points_short"})
    assert (await park.points(guest), await park.count("sales")) == (199, before)


async def test_R17_points_that_are_short_are_flagged_once_the_ticket_is_out(
    park: Park, till: Outsider
) -> None:
    guest = await park.customer(points=199)
    sale = await park.committed(till, paid(park, guest, 20_000, 19_800))
    assert (sale["points_burned"], sale["points_earned"]) == (0, 1)
    assert sale["flags"] == ["points_short"]
    assert await park.points(guest) == 200


async def test_two_tills_cannot_spend_the_same_points(park: Park) -> None:
    tills = [await park.till() for _ in range(4)]
    guest = await park.customer(points=200)
    body = paid(park, guest, 20_000, 19_800)
    answers = await asyncio.gather(
        *(till.call("POST", "/v1/sales", body, key=new_ulid()) for till in tills)
    )
    assert sorted(answer.status_code for answer in answers) == [200, 409, 409, 409]
    assert await park.points(guest) == 1


@pytest.mark.parametrize(
    ("points", "rest"), [(150, 39_650), (39_801, 0)], ids=["half a point", "more than is due"]
)
async def test_points_pay_in_whole_points(
    park: Park, till: Outsider, points: int, rest: int
) -> None:
    guest = await park.customer(points=1_000)
    body = paid(park, guest, points, rest)
    assert (await refused(till, body))[:2] == (422, "E_VALIDATION")
    assert await park.points(guest) == 1_000


async def test_points_without_a_guest_or_where_they_are_switched_off_pay_nothing(
    park: Park, till: Outsider
) -> None:
    nobody = paid(park, "", 20_000, 19_800)
    del nobody["customer_id"]
    status, code, details = await refused(till, nobody)
    assert (status, code, details["reason"]) == (422, "E_VALIDATION", "points")
    assert (await park.committed(till, nobody))["flags"] == ["points_short"]
    guest = await park.customer(points=200)
    await park.settings(loyalty={"point_value": 0, "satang_per_point": 0})
    body = paid(park, guest, 20_000, 19_800)
    assert (await refused(till, body))[:2] == (422, "E_VALIDATION")
    assert (await sell(till, park.adult(customer_id=guest)))["sale"]["points_earned"] == 0
    await park.settings(loyalty={"point_value": None, "satang_per_point": None})
    assert await park.points(guest) == 200


async def test_a_guest_who_is_gone_buys_nothing_more(park: Park, till: Outsider) -> None:
    guest = await park.customer()
    supervised = await park.supervised()
    await tell(supervised, "PATCH", f"/customers/{guest}", {"active": False})
    assert (await refused(till, park.adult(customer_id=guest)))[:2] == (404, "E_NOT_FOUND")


async def test_the_history_of_a_guest_has_sales_money_and_points(
    park: Park, till: Outsider
) -> None:
    guest = await park.customer(points=50, phone="+66 81 234 5678")
    first = await sell(till, park.adult(customer_id=guest))
    second = await sell(till, park.adult(2, customer_id=guest))
    await sell(till, park.adult())
    told = await tell(till, "GET", f"/customers/{guest}/history")
    assert told["customer"]["phone"] == "0812345678"
    numbers = [each["receipt_no"] for each in told["sales"]]
    assert numbers == [each["sale"]["receipt_no"] for each in (second, first)]
    assert told["spent"] == 3 * ADULT
    assert [(row["reason"], row["points"]) for row in told["points"]] == [
        ("earned", 3),
        ("earned", 1),
        ("adjusted", 50),
    ]
    missing = await till.call("GET", f"/v1/customers/{new_ulid()}/history")
    assert missing.status_code == 404
    kiosk = await park.inside.device("KIOSK")
    alone = await kiosk.call("GET", f"/v1/customers/{guest}/history")
    assert alone.status_code == 401


async def test_what_was_given_back_was_not_spent(park: Park, till: Outsider) -> None:
    guest = await park.customer()
    sold = [(await sell(till, park.adult(2, customer_id=guest))) for _ in range(3)]
    voided, refunded, _kept = (each["sale"]["sale_id"] for each in sold)
    reason = {"reason_code": "customer_request"}
    yes = await approve(till, "void", voided)
    await tell(till, "POST", f"/sales/{voided}/void", reason, approval=yes)
    yes = await approve(till, "refund", refunded)
    one = {"sale_id": refunded, "ticket_ids": [sold[1]["tickets"][0]["ticket_id"]], **reason}
    await tell(till, "POST", "/refunds", one, approval=yes)
    told = await tell(till, "GET", f"/customers/{guest}/history")
    assert told["spent"] == 3 * ADULT
    statuses = [each["status"] for each in told["sales"]]
    assert statuses == ["completed", "partly_refunded", "voided"]


async def give_back(till: Outsider, sale: dict[str, Any], **how: Any) -> dict[str, int]:
    """Refund with a supervisor's yes; satang by tender."""
    sale_id = sale["sale"]["sale_id"]
    body = {"sale_id": sale_id, "reason_code": "customer_request", **how}
    yes = await approve(till, "refund", sale_id)
    told = await tell(till, "POST", "/refunds", body, approval=yes)
    return {part["method"]: part["amount"] for part in told["parts"]}


async def test_R31_points_go_with_the_goods_that_they_were_earned_on(
    park: Park, till: Outsider
) -> None:
    guest = await park.customer()
    abroad = park.pay("Card from abroad (3 % surcharge)", 40_994)
    sold = await sell(till, park.adult(2, customer_id=guest) | {"payments": [abroad]})
    assert await park.points(guest) == 3
    one = [sold["tickets"][0]["ticket_id"]]
    assert await give_back(till, sold, ticket_ids=one) == {"card": 19_900}
    assert await park.points(guest) == 1  # half of the goods: 1.5 points, which rounds up
    assert await give_back(till, sold) == {"card": 21_094}
    assert await park.points(guest) == 0


async def test_R31_of_a_sale_that_was_paid_short_no_more_comes_back_and_all_its_points_go(
    park: Park, till: Outsider
) -> None:
    guest = await park.customer()
    short = [{"method": "cash", "amount": 10_000}]
    body = park.adult(customer_id=guest) | {"payments": short}
    sale = await park.committed(till, body)
    assert (sale["flags"], await park.points(guest)) == (["needs_review"], 1)
    assert await give_back(till, {"sale": sale}) == {"cash": 10_000}
    assert await park.points(guest) == 0


async def test_R31_points_that_come_back_as_money_stay_spent(park: Park, till: Outsider) -> None:
    guest = await park.customer(points=500)
    sold = [await sell(till, paid(park, guest, 20_000, 19_800)) for _ in range(2)]
    assert await park.points(guest) == 102  # 500 − 2 × 200 + 2 × 1

    assert await give_back(till, sold[0], method="cash") == {"cash": 39_800}
    assert await park.points(guest) == 101  # what was earned is gone, nothing came back
    one = [sold[1]["tickets"][0]["ticket_id"]]
    assert await give_back(till, sold[1], ticket_ids=one, method="card") == {"card": 19_900}
    # The card gave back what was paid in cash and 1 baht of what was paid with points.
    assert await give_back(till, sold[1]) == {"other": 19_900}
    assert await park.points(guest) == 101 - 1 + 199


async def test_a_synced_sale_of_a_guest_counts_once(park: Park, till: Outsider) -> None:
    guest = await park.customer()
    sent = op("sale", park.adult(customer_id=guest), shift_id=None, committed=True)
    for status in ("applied", "duplicate"):
        (result,) = await sync(till, sent)
        assert result["status"] == status
        assert result["result"]["sale"]["points_earned"] == 1
    assert await park.points(guest) == 1
