"""Sales and payments in lists, as CSV, and in replays (R15, R29, R44, R56)."""

import csv
import io
from collections.abc import AsyncIterator
from datetime import date, timedelta
from typing import Any

import pytest

from playpark.ids import new_ulid
from tests.api.drawers import SUPERVISOR, approve, op, refusal, sync, tell
from tests.api.inside import inside
from tests.api.selling import ADULT, Park, refused, sell
from tests.outside import CASHIER, Outsider


@pytest.fixture(scope="module")
async def park(mongo_uri: str, database: str) -> AsyncIterator[Park]:
    async with inside(mongo_uri, f"{database}_sales_reads") as park:
        yield await Park.of(park)


@pytest.fixture(scope="module")
async def till(park: Park) -> Outsider:
    return await park.till()


@pytest.fixture(scope="module")
async def office(park: Park) -> Outsider:
    return await (await park.inside.device("ADMIN")).staff(**SUPERVISOR)


async def listed(who: Outsider, path: str = "/sales", **query: Any) -> list[dict[str, Any]]:
    return list((await tell(who, "GET", path, **query))["items"])


async def table(who: Outsider, path: str, **query: Any) -> list[dict[str, str]]:
    response = await who.call("GET", f"/v1{path}", format="csv", **query)
    assert response.headers["content-type"].startswith("text/csv")
    return list(csv.DictReader(io.StringIO(response.text)))


async def test_a_cashier_finds_a_receipt_by_its_number_and_sees_no_list(
    park: Park, till: Outsider, office: Outsider
) -> None:
    sale = (await sell(till, park.adult()))["sale"]
    (found,) = await listed(till, receipt_no=sale["receipt_no"])
    assert (found["sale_id"], found["status"], found["refunded"]) == (
        sale["sale_id"],
        "completed",
        0,
    )
    assert await listed(till, receipt_no="ZZ-S000001") == []
    assert await refusal(till, "GET", "/sales") == (403, "E_PERMISSION")
    assert await refusal(till, "GET", "/sales", status="completed") == (403, "E_PERMISSION")
    assert await refusal(till, "GET", "/sales", receipt_no="x") == (422, "E_VALIDATION")
    (there,) = await listed(office, receipt_no=sale["receipt_no"])
    assert there == found
    stranger = await park.inside.device("GATE")
    number = sale["receipt_no"]
    assert await refusal(stranger, "GET", "/sales", receipt_no=number) == (403, "E_PERMISSION")
    path = f"/sales/{sale['sale_id']}"
    assert await refusal(stranger, "GET", path) == (403, "E_PERMISSION")


async def test_sales_are_filtered_by_shift_device_day_and_status(
    park: Park, office: Outsider
) -> None:
    till = await park.till()
    sales = [(await sell(till, park.adult()))["sale"] for _ in range(3)]
    ids = [sale["sale_id"] for sale in reversed(sales)]
    shift_id, device_id = sales[0]["shift_id"], till.device["device_id"]
    for which in ({"shift_id": shift_id}, {"device_id": device_id}):
        assert [each["sale_id"] for each in await listed(office, **which)] == ids
    first = await tell(office, "GET", "/sales", shift_id=shift_id, limit=2)
    rest = await tell(office, "GET", "/sales", shift_id=shift_id, cursor=first["next_cursor"])
    assert [each["sale_id"] for each in (*first["items"], *rest["items"])] == ids
    assert rest["next_cursor"] is None
    day = date.fromisoformat(sales[0]["business_date"])
    for first_day, last_day, expected in ((0, 0, ids), (1, 1, []), (-1, -1, []), (-1, 1, ids)):
        days = {"from": day + timedelta(first_day), "to": day + timedelta(last_day)}
        found = await listed(office, shift_id=shift_id, **{k: str(v) for k, v in days.items()})
        assert [each["sale_id"] for each in found] == expected, days
    token = await approve(till, "refund", ids[0])
    body = {"sale_id": ids[0], "reason_code": "customer_request"}
    await tell(till, "POST", "/refunds", body, approval=token)
    (refunded,) = await listed(office, shift_id=shift_id, status="refunded")
    assert (refunded["sale_id"], refunded["refunded"]) == (ids[0], ADULT)
    assert len(await listed(office, shift_id=shift_id, status="completed")) == 2


async def test_R56_sales_and_payments_come_as_csv_without_the_envelope(
    park: Park, office: Outsider
) -> None:
    till = await park.till()
    payments = [
        park.pay("PromptPay QR", 9_900, reference="=1+1"),
        park.pay("Cash", 10_000, tendered=20_000),
    ]
    sale = (await sell(till, park.adult() | {"payments": payments}))["sale"]
    (row,) = await table(office, "/sales", shift_id=sale["shift_id"])
    assert (row["receipt_no"], row["grand_total"], row["payment_method"], row["status"]) == (
        sale["receipt_no"],
        str(ADULT),
        "split",
        "completed",
    )
    assert row["tax_total"] == "1302"
    rows = await table(office, "/payments", sale_id=sale["sale_id"])
    assert [(each["method"], each["amount"], each["tendered"]) for each in rows] == [
        ("cash", "10000", "20000"),
        ("qr", "9900", ""),
    ]
    assert rows[1]["reference"] == "'=1+1"
    assert await refusal(till, "GET", "/sales", format="csv", receipt_no=sale["receipt_no"]) == (
        403,
        "E_PERMISSION",
    )


async def test_payments_are_listed_with_their_sale_for_those_who_see_reports(
    park: Park, till: Outsider, office: Outsider
) -> None:
    abroad = park.pay("Card from abroad (3 % surcharge)", 20_497, reference="A-9")
    sale = (await sell(till, park.adult() | {"payments": [abroad]}))["sale"]
    (payment,) = await listed(office, "/payments", sale_id=sale["sale_id"])
    assert (payment["amount"], payment["surcharge"]) == (20_497, 597)
    assert payment["receipt_no"] == sale["receipt_no"]
    assert (payment["status"], payment["refunded"]) == ("taken", 0)
    by_method = {"card": 1, "cash": 0}
    for method, expected in by_method.items():
        which = {"sale_id": sale["sale_id"], "method": method}
        headers = {"Authorization": f"Bearer {office.token}"}
        found = await office.http.get("/v1/payments", params=which, headers=headers)
        assert len(found.json()["data"]["items"]) == expected
    assert await refusal(till, "GET", "/payments") == (403, "E_PERMISSION")


async def test_R15_a_replay_answers_as_it_was_sold_whatever_came_after(
    park: Park, till: Outsider
) -> None:
    key, body = new_ulid(), park.adult(2)
    first = await sell(till, body, key=key)
    sale_id = first["sale"]["sale_id"]
    one = first["tickets"][0]["ticket_id"]
    token = await approve(till, "refund", sale_id)
    refund = {"sale_id": sale_id, "ticket_ids": [one], "reason_code": "customer_request"}
    await tell(till, "POST", "/refunds", refund, approval=token)
    used = first["tickets"][1]["short_code"]
    await till.data("POST", "/v1/tickets/redeem", {"short_code": used})
    now = (await tell(till, "GET", f"/sales/{sale_id}"))["sale"]
    assert (now["status"], now["refunded"]) == ("partly_refunded", ADULT)
    assert await sell(till, body, key=key) == first
    assert (first["sale"]["status"], first["sale"]["refunded"]) == ("completed", 0)


async def test_duplicate_after_a_lost_answer_is_one_sale_whichever_door_it_comes_by(
    park: Park, till: Outsider
) -> None:
    code, me = till.device["device_code"], await tell(till, "GET", "/employees/me")
    body = park.adult(
        receipt_no=f"{code}-S000500",
        ticket_ids=[[new_ulid()]],
        occurred_at=park.inside.clock.now().isoformat(),
    )
    sent = op("sale", body, employee_id=me["employee_id"], occurred_at=body["occurred_at"])
    before = await park.count("sales")
    (first,) = await sync(till, sent)  # and the answer is lost
    (again,) = await sync(till, sent)
    direct = await sell(till, body, key=sent["op_id"])
    assert (first["status"], again["status"]) == ("applied", "duplicate")
    assert first["result"] == again["result"] == direct
    assert await park.count("sales") == before + 1
    # Another till's operation of the same id is another operation (R16).
    other = await park.till(**CASHIER)
    elsewhere = await refused(other, body, key=sent["op_id"])
    assert elsewhere[:2] == (422, "E_VALIDATION")
