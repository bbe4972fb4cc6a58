"""Receipt numbers that came to nothing: given up, and never used again by chance (R29)."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from playpark.ids import new_ulid
from tests.api.drawers import op, sync
from tests.api.inside import inside
from tests.api.selling import Park, refused, sell
from tests.outside import Outsider


@pytest.fixture(scope="module")
async def park(mongo_uri: str, database: str) -> AsyncIterator[Park]:
    async with inside(mongo_uri, f"{database}_sales_receipts") as park:
        yield await Park.of(park)


@pytest.fixture
async def till(park: Park) -> Outsider:
    return await park.till()


async def abandon(till: Outsider, receipt_no: str, op_id: str, **more: Any) -> dict[str, Any]:
    (result,) = await sync(till, op("abandon", {"op_id": op_id, "receipt_no": receipt_no}, **more))
    return result


async def state(park: Park, receipt_no: str) -> tuple[str, str]:
    row = await park.db["receipt_ledger"].find_one({"receipt_no": receipt_no})
    return row["state"], row["op_id"]


async def test_R29_the_number_of_a_refused_sale_is_given_up_and_accounted_for(
    park: Park, till: Outsider
) -> None:
    number, key = f"{till.device['device_code']}-S000001", new_ulid()
    body = park.adult(receipt_no=number, expected_total=1)
    assert (await refused(till, body, key=key))[1] == "E_PRICE_CHANGED"
    sent = op("abandon", {"op_id": key, "receipt_no": number})
    for status in ("applied", "duplicate"):
        (result,) = await sync(till, sent)
        assert (result["status"], result["result"]) == (status, {"receipt_no": number})
    assert await state(park, number) == ("abandoned", key)
    row = await park.db["audits"].find_one({"event_type": "receipt.abandoned", "entity_id": key})
    assert row["payload"]["receipt_no"] == number
    # Told once more by an operation of another id: nothing changes, and nothing is wrong.
    assert (await abandon(till, number, key))["status"] == "applied"


async def test_R29_a_number_under_which_something_stands_is_not_given_up(
    park: Park, till: Outsider
) -> None:
    number, key = f"{till.device['device_code']}-S000001", new_ulid()
    await sell(till, park.adult(receipt_no=number), key=key)
    for op_id in (key, new_ulid()):
        result = await abandon(till, number, op_id)
        assert (result["status"], result["code"]) == ("rejected", "E_CONFLICT")
    assert await state(park, number) == ("applied", key)


@pytest.mark.parametrize("number", ["{other}-S000001", "{own}-W000001", "{own}-X000001"])
async def test_R29_only_numbers_that_the_device_takes_itself_are_given_up(
    park: Park, till: Outsider, number: str
) -> None:
    other = await park.inside.device("POS")
    codes = {"own": till.device["device_code"], "other": other.device["device_code"]}
    result = await abandon(till, number.format(**codes), new_ulid())
    assert (result["status"], result["code"]) == ("rejected", "E_VALIDATION")


async def test_R29_a_number_that_was_given_up_is_not_taken_by_an_uncommitted_sale(
    park: Park, till: Outsider
) -> None:
    number, key = f"{till.device['device_code']}-S000001", new_ulid()
    await abandon(till, number, key)
    body = park.adult(receipt_no=number)
    for op_id in (key, new_ulid()):
        assert (await refused(till, body, key=op_id))[:2] == (409, "E_CONFLICT")


async def test_R17_a_sale_whose_number_was_given_up_stands_once_its_money_is_taken(
    park: Park, till: Outsider
) -> None:
    number, key = f"{till.device['device_code']}-S000001", new_ulid()
    await abandon(till, number, key)
    own = await park.committed(till, park.adult(receipt_no=number), op_id=key)
    assert own["flags"] == ["receipt_no_abandoned"]
    assert await state(park, number) == ("applied", key)
    other = await park.committed(till, park.adult(receipt_no=number))
    assert other["flags"] == ["receipt_no_duplicate"]


async def test_R29_a_number_is_written_in_one_way_only(park: Park, till: Outsider) -> None:
    code = till.device["device_code"]
    for number in ("S0000777", "S000000", "S000000777"):
        body = park.adult(receipt_no=f"{code}-{number}")
        assert (await refused(till, body))[:2] == (422, "E_VALIDATION")
        (result,) = await sync(till, await park.op(till, body))
        assert (result["status"], result["code"]) == ("rejected", "E_VALIDATION")
    assert (await sell(till, park.adult(receipt_no=f"{code}-S1000000")))["sale"]


async def test_R29_two_sales_cannot_take_one_number(park: Park, till: Outsider) -> None:
    number = f"{till.device['device_code']}-S000007"
    await sell(till, park.adult(receipt_no=number))
    assert (await refused(till, park.adult(receipt_no=number)))[:2] == (409, "E_CONFLICT")
    again = await park.committed(till, park.adult(receipt_no=number))
    assert again["flags"] == ["receipt_no_duplicate"]
    assert await park.count("sales", receipt_no=number) == 2
