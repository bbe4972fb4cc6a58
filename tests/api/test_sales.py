"""What a sale refuses, what it freezes, and how ticket keys rotate (R6, R12, R21, R23, R29)."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import jwt
import pytest
from pydantic import SecretStr

from api.app import create_app, prepare
from api.demo_park import demo_id
from api.platform.mongo import Mongo
from api.platform.services import Platform
from api.platform.settings import Settings
from playpark.ids import new_ulid
from playpark.tokens import mint_pp1
from tests.outside import Outsider


async def adult(till: Outsider, qty: int = 1, **more: Any) -> dict[str, Any]:
    package = (await till.packages())["Adult day pass"]
    return {
        "lines": [{"package_id": package["package_id"], "qty": qty}],
        "payments": [{"method": "cash", "amount": 19_900 * qty}],
        **more,
    }


async def refusal(till: Outsider, body: dict[str, Any]) -> tuple[int, str]:
    response = await till.call("POST", "/v1/sales", body, key=new_ulid())
    return response.status_code, response.json()["error"]["code"]


async def close(till: Outsider, cash_counted: int) -> dict[str, Any]:
    """Close the shift with a count; a difference in it would be refused without a reason."""
    body = {"cash_counted": cash_counted}
    closed: dict[str, Any] = await till.data("POST", "/v1/shifts/close", body, key=new_ulid())
    return closed


@pytest.mark.parametrize(
    ("payments", "expected"),
    [
        ([{"method": "cash", "amount": 19_800}], (422, "E_INSUFFICIENT_TENDER")),
        ([{"method": "cash", "amount": 20_000}], (422, "E_VALIDATION")),
        (
            [{"method": "cash", "amount": 19_900, "tendered": 19_899}],
            (422, "E_INSUFFICIENT_TENDER"),
        ),
        ([{"method": "card", "amount": 19_900, "tendered": 19_900}], (422, "E_VALIDATION")),
        (
            [{"method": "card", "amount": 20_000}, {"method": "cash", "amount": 0}],
            (422, "E_VALIDATION"),
        ),
        ([{"method": "gold", "amount": 19_900}], (422, "E_VALIDATION")),
        ([{"method": "cash", "amount": 19_900.0}], (422, "E_VALIDATION")),
        ([{"method": "cash", "amount": "19900"}], (422, "E_VALIDATION")),
        ([{"method": "cash", "amount": True}], (422, "E_VALIDATION")),
        ([{"method": "cash", "amount": -19_900}], (422, "E_VALIDATION")),
        ([{"method": "cash", "amount": 2**53}], (422, "E_VALIDATION")),
        ([{"method": "cash", "amount": 19_900, "tendered": 10**15}], (422, "E_VALIDATION")),
        ([], (422, "E_INSUFFICIENT_TENDER")),
    ],
)
async def test_payments_that_do_not_settle_are_refused_and_nothing_is_sold(
    till: Outsider, payments: list[dict[str, Any]], expected: tuple[int, str]
) -> None:
    body = await adult(till) | {"payments": payments}
    assert await refusal(till, body) == expected
    closed = await close(till, 100_000)
    assert closed["z"]["sales"]["count"] == 0
    assert closed["cash_diff"] == 0


@pytest.mark.parametrize("qty", [0, -1, 1.0, "2", True, 501])
async def test_a_quantity_that_is_no_number_of_tickets_is_refused(till: Outsider, qty: Any) -> None:
    body = await adult(till)
    body["lines"][0]["qty"] = qty
    assert await refusal(till, body) == (422, "E_VALIDATION")


async def test_a_split_payment_is_one_sale_with_several_payments(till: Outsider) -> None:
    payments = [
        {"method": "cash", "amount": 9_900, "tendered": 10_000},
        {"method": "card", "amount": 10_000, "reference": "A-1"},
    ]
    sold = await till.data(
        "POST", "/v1/sales", await adult(till) | {"payments": payments}, key=new_ulid()
    )
    sale = sold["sale"]
    assert (sale["payment_method"], sale["change"]) == ("split", 100)
    assert [payment["amount"] for payment in sale["payments"]] == [9_900, 10_000]
    closed = await close(till, 109_900)
    assert closed["cash_expected"] == 109_900
    assert closed["z"]["sales"]["by_method"] == {"cash": 9_900, "card": 10_000}


async def test_R27_the_drawer_expects_what_was_paid_and_not_what_was_handed_over(
    till: Outsider,
) -> None:
    cash = [{"method": "cash", "amount": 19_900, "tendered": 100_000}]
    body = await adult(till) | {"payments": cash}
    sold = await till.data("POST", "/v1/sales", body, key=new_ulid())
    assert sold["sale"]["change"] == 80_100
    assert (await close(till, 119_900))["cash_diff"] == 0


async def test_R12_another_expected_total_is_a_changed_price_with_its_trace(till: Outsider) -> None:
    body = await adult(till, expected_total=18_000)
    response = await till.call("POST", "/v1/sales", body, key=new_ulid())
    error = response.json()["error"]
    assert (response.status_code, error["code"]) == (409, "E_PRICE_CHANGED")
    details = error["details"]
    assert (details["grand_total"], details["expected"]) == (19_900, 18_000)
    applied = [entry["stage"] for entry in details["trace"] if entry["applied"]]
    assert applied == ["base", "vat"]


async def test_a_package_that_is_not_on_sale_is_never_shown_and_cannot_be_sold(
    till: Outsider,
) -> None:
    assert "Summer 2020 special" not in await till.packages()
    body = await adult(till)
    body["lines"][0]["package_id"] = demo_id("package", "summer-2020")
    assert await refusal(till, body) == (409, "E_INACTIVE_PACKAGE")


@pytest.mark.parametrize(
    "ids",
    [
        {"ticket_ids": [["A"]]},
        {"ticket_ids": [[]]},
        {"ticket_ids": [["01HZZZZZZZZZZZZZZZZZZZZZZZ"] * 2]},
        {"short_codes": [["ABCDEFGH"]]},
        {"receipt_no": "ZZ-S000001"},
        {"receipt_no": "nonsense"},
    ],
)
async def test_R23_ids_that_do_not_fit_the_sale_are_refused(
    till: Outsider, ids: dict[str, Any]
) -> None:
    assert await refusal(till, await adult(till, qty=2, **ids)) == (422, "E_VALIDATION")


async def test_R29_the_servers_receipt_numbers_have_no_gap(till: Outsider) -> None:
    code = till.device["device_code"]
    first = await till.sell(("Carousel ride", 1))
    await refusal(till, await adult(till) | {"payments": [{"method": "cash", "amount": 1}]})
    second = await till.sell(("Carousel ride", 1))
    numbers = [sold["sale"]["receipt_no"] for sold in (first, second)]
    assert numbers == [f"{code}-W000001", f"{code}-W000002"]


async def test_R56_a_sale_makes_at_most_500_tickets(till: Outsider) -> None:
    family = (await till.packages())["Family bundle"]
    body = {
        "lines": [{"package_id": family["package_id"], "qty": 126}],
        "payments": [{"method": "cash", "amount": family["price"] * 126}],
    }
    assert await refusal(till, body) == (422, "E_VALIDATION")


async def test_R25_a_sale_reads_back_as_it_was_answered_but_without_its_tokens(
    till: Outsider, outside: Outsider
) -> None:
    """Reading it would be a reprint without approval, count and limit."""
    key = new_ulid()
    sold = await till.sell(("Adult day pass", 2), key=key)
    assert all(ticket["qr_token"] for ticket in sold["tickets"])
    assert sold["trace"] is None
    read = await till.data("GET", f"/v1/sales/{sold['sale']['sale_id']}")
    trace = read.pop("trace")
    without = [ticket | {"qr_token": None} for ticket in sold["tickets"]]
    assert read == {"sale": sold["sale"], "tickets": without}
    assert await till.sell(("Adult day pass", 2), key=key) == sold
    assert trace[0]["stage"] == "base"
    assert trace[-1]["output"] == sold["sale"]["grand_total"]
    await till.data("POST", "/v1/tickets/redeem", {"short_code": sold["tickets"][0]["short_code"]})
    later = await till.data("GET", f"/v1/sales/{sold['sale']['sale_id']}")
    assert [ticket["used"] for ticket in later["tickets"]] == [1, 0]
    other = await outside.pair("POS")
    await other.staff()
    theirs = await other.data("GET", f"/v1/sales/{sold['sale']['sale_id']}")
    assert [ticket["qr_token"] for ticket in theirs["tickets"]] == [None, None]


async def test_R18_the_tickets_of_a_bundle_remember_that_they_are_one_unit(
    till: Outsider, mongo_uri: str, database: str
) -> None:
    sold = await till.sell(("Carousel ride", 2), ("Family bundle", 1))
    connection = Mongo(mongo_uri, f"{database}_live")
    found = connection.db["tickets"].find({"sale_id": sold["sale"]["sale_id"]}).sort("position", 1)
    units = [ticket["unit"] for ticket in await found.to_list(10)]
    connection.close()
    assert units == ["0:0", "0:1", *["1:0"] * 4]


async def test_R44_another_devices_id_in_a_redemption_is_refused(gate: Outsider) -> None:
    body = {"qr_token": "x", "device_id": new_ulid()}
    response = await gate.call("POST", "/v1/tickets/redeem", body)
    assert response.json()["error"]["code"] == "E_VALIDATION"
    own = {"qr_token": "x", "device_id": gate.device["device_id"]}
    assert (await gate.call("POST", "/v1/tickets/redeem", own)).status_code == 200


# --- key rotation -----------------------------------------------------------------------


@pytest.fixture
async def mongo(mongo_uri: str, database: str) -> AsyncIterator[Mongo]:
    connection = Mongo(mongo_uri, f"{database}_keys")
    yield connection
    await connection.client.drop_database(f"{database}_keys")
    connection.close()


def with_keys(*versions: int) -> Settings:
    return Settings(hmac_keys={version: SecretStr(f"{version}" * 40) for version in versions})


async def outsider_of(platform: Platform) -> Outsider:
    transport = httpx.ASGITransport(app=create_app(platform))
    return Outsider(httpx.AsyncClient(transport=transport, base_url="http://test"))


async def test_R21_rotation_signs_anew_and_keeps_old_tickets_valid(mongo: Mongo) -> None:
    old = await prepare(with_keys(1), mongo, demo=True)
    till = await (await outsider_of(old)).pair("POS")
    await till.staff()
    await till.open_shift()
    key = new_ulid()
    before = await till.sell(("Adult day pass", 1), key=key)
    token = before["tickets"][0]["qr_token"]
    assert token.startswith("PP1.01.")

    new = await prepare(with_keys(1, 2), mongo)
    later = await outsider_of(new)
    later.token, later.device = till.token, till.device
    assert await later.sell(("Adult day pass", 1), key=key) == before
    fresh = (await later.sell(("Adult day pass", 1)))["tickets"][0]
    assert fresh["qr_token"].startswith("PP1.02.")
    # The same ticket under the other, equally valid key: the ticket remembers its kid.
    tenant_id = _tenant(till.token)
    keys = await new.keyring.of(new.uow.reading(), tenant_id, 0)
    wrong_kid = mint_pp1(keys.by_kid, "01", tenant_id, fresh["ticket_id"])
    refused = await later.data("POST", "/v1/tickets/redeem", {"qr_token": wrong_kid})
    assert (refused["result"], refused["reason"]) == ("fail", "invalid_sig")
    for text in (token, fresh["qr_token"]):
        assert (await later.data("POST", "/v1/tickets/redeem", {"qr_token": text}))[
            "result"
        ] == "pass"
    await till.http.aclose()
    await later.http.aclose()


def _tenant(token: str) -> str:
    claims = jwt.decode(token, options={"verify_signature": False})
    return str(claims["tenant_id"])
