"""Amounts that are none: each number of each body, and sums that do not add up (R1, R5, R7, R31;
ATTACKS 38).

The fields are those of OpenAPI, so a new one is tried by itself.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from playpark.ids import new_ulid
from tests.api.drawers import op, send, sync, tell
from tests.api.giving_back import approve, ask, refund_of, told
from tests.api.own_park import OWNER, OwnPark, own_park
from tests.attacks.described import Route, routes
from tests.outside import Outsider

RIDE = 4_000
Path = tuple[str, ...]
NO_NUMBERS: list[Any] = [True, "5", [5], {"$gt": 0}]
NEVER: list[Any] = [2**53, 2**63, 10**30, 0.1, 7.0]
"""Refused where the body is read, whatever it is for."""


@pytest.fixture(scope="module")
def park(mongo_uri: str, database: str) -> Iterator[OwnPark]:
    with own_park(mongo_uri, f"{database}_money") as park:
        yield park


@pytest.fixture
async def office(park: OwnPark) -> AsyncIterator[Outsider]:
    async with park.connect("ADMIN", **OWNER) as office:
        yield office


@pytest.fixture
async def till(park: OwnPark) -> AsyncIterator[Outsider]:
    """The owner at a till: nothing but the amount is in the way."""
    async with park.connect("POS", **OWNER) as till:
        await till.open_shift(0)
        yield till


# --- numbers ----------------------------------------------------------------------------


def numbers(route: Route, schema: Any, path: Path = ()) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Where whole numbers stand in a body, and what OpenAPI says of them."""
    found = route.resolved(schema)
    for either in found.get("anyOf", ()):
        yield from numbers(route, either, path)
    if found.get("type") == "integer":
        yield path, found
    for name, field in found.get("properties", {}).items():
        yield from numbers(route, field, (*path, name))
    if isinstance(found.get("items"), dict):
        yield from numbers(route, found["items"], (*path, "[]"))
    if isinstance(found.get("additionalProperties"), dict):
        yield from numbers(route, found["additionalProperties"], (*path, "{}"))


def out_of_range(schema: dict[str, Any]) -> list[int]:
    """Just less and just more than what is allowed. Differences (a cash rounding) have no bounds
    of their own: they have to add up."""
    bounds = (("minimum", -1), ("maximum", 1))
    return [int(schema[name]) + step for name, step in bounds if name in schema]


def body_with(path: Path, value: Any) -> Any:
    """A body that has nothing but this value at this place."""
    for name in reversed(path):
        value = [value] if name == "[]" else {"5": value} if name == "{}" else {name: value}
    return value


def place(path: Path) -> str:
    """As a refusal names it."""
    return ".".join({"[]": "0", "{}": "5"}.get(name, name) for name in path)


async def test_attack_38_no_number_of_any_body_is_taken_for_another(
    park: OwnPark, office: Outsider, till: Outsider
) -> None:
    tried = 0
    for route in (each for each in routes(park.url) if each.private and each.body is not None):
        for path, schema in set_of(numbers(route, route.body)):
            for value in (*NO_NUMBERS, *out_of_range(schema)):
                error = await refusal(route, body_with(path, value), office, till)
                fields = [each["field"] for each in error["details"]["errors"]]
                at = f"body.{place(path)}"
                huge = isinstance(value, int) and value >= 2**53  # refused where it is read
                named = huge or any(each.startswith(at) for each in fields)
                assert named, (route, path, value, error)
                tried += 1
        for value in NEVER if tried else ():
            await refusal(route, body_with(path, value), office, till)
    assert tried > 300


def set_of(found: Iterator[tuple[Path, dict[str, Any]]]) -> list[tuple[Path, dict[str, Any]]]:
    return list({path: (path, schema) for path, schema in found}.values())


async def refusal(route: Route, body: Any, *callers: Outsider) -> dict[str, Any]:
    """The 422 of whoever may use this route; its error."""
    for who in callers:
        key = new_ulid() if route.is_operation else None
        response = await who.call(route.method, route.url(), body, key=key)
        if response.status_code != 403:
            break
    error: dict[str, Any] = response.json()["error"]
    assert (response.status_code, error["code"]) == (422, "E_VALIDATION"), (route, body)
    return error


async def test_attack_38_no_number_of_any_operation_is_taken_for_another(
    park: OwnPark, till: Outsider
) -> None:
    """The same bodies at the other door, committed too: what is malformed is never booked."""
    by_name = {str(route): route for route in routes(park.url)}
    before = park.mongo.operations.count_documents({})
    tried = 0
    for name, kind in KINDS.items():
        route = by_name[name]
        for path, schema in set_of(numbers(route, route.body)):
            for value in (True, "5", *out_of_range(schema)):
                asked = op(kind, body_with(path, value))
                (result,) = await sync(till, asked)
                assert (result["status"], result["code"]) == ("rejected", "E_VALIDATION")
                assert place(path).split(".")[0] in result["message"], (name, path, value)
                tried += 1
    assert tried > 40
    assert park.mongo.operations.count_documents({}) == before


KINDS = {
    "POST /v1/sales": "sale",
    "POST /v1/open_tickets": "park",
    "POST /v1/open_tickets/{open_ticket_id}/checkout": "checkout",
    "POST /v1/refunds": "refund",
    "POST /v1/shifts/open": "shift_open",
    "POST /v1/shifts/close": "shift_close",
    "POST /v1/shifts/{shift_id}/adjustments": "shift_adjustment",
    "POST /v1/cash_drawers/{drawer_id}/movements": "cash_movement",
    "POST /v1/customers/{customer_id}/points": "points",
}


# --- sums -------------------------------------------------------------------------------


async def ride(till: Outsider) -> dict[str, Any]:
    package_id = (await till.packages())["Carousel ride"]["package_id"]
    return {"package_id": package_id, "qty": 1}


def cash(amount: int, **more: Any) -> list[dict[str, Any]]:
    return [{"method": "cash", "amount": amount, **more}]


async def test_attack_38_what_is_paid_is_what_it_costs(till: Outsider) -> None:
    line = await ride(till)
    for payments in (
        [],
        cash(0),
        cash(RIDE - 1),
        cash(RIDE + 1),
        cash(RIDE, tendered=RIDE - 1),
        [*cash(RIDE), *cash(RIDE)],
        [*cash(10**12), *cash(10**12)],
    ):
        response = await send(till, "POST", "/sales", {"lines": [line], "payments": payments})
        assert response.status_code == 422, payments
        assert told(response)[1] in {"E_INSUFFICIENT_TENDER", "E_VALIDATION"}


async def test_attack_38_totals_are_the_servers_whatever_is_told(till: Outsider) -> None:
    line = await ride(till)
    body = {"lines": [line], "payments": cash(RIDE)}
    for wrong in (0, 1, RIDE - 1, RIDE + 1, 10**12):
        response = await send(till, "POST", "/sales", body | {"expected_total": wrong})
        assert told(response) == (409, "E_PRICE_CHANGED")
        cheap = {"lines": [line], "payments": cash(wrong), "expected_total": wrong}
        response = await send(till, "POST", "/sales", cheap)
        assert told(response)[0] in {409, 422}
    sold = await tell(till, "POST", "/sales", body)
    assert sold["sale"]["grand_total"] == RIDE
    assert sum(ticket["payable"] for ticket in sold["tickets"]) == RIDE


async def test_attack_38_a_discount_is_never_more_than_the_price(
    office: Outsider, till: Outsider
) -> None:
    line = await ride(till)
    for much in (RIDE + 1, 10**12):
        cart = {"lines": [line | {"manual_discount": much}]}
        response = await send(till, "POST", "/pricing/preview", cart)
        assert told(response) == (422, "E_VALIDATION")
        response = await send(till, "POST", "/sales", cart | {"payments": cash(0)})
        assert told(response) == (422, "E_VALIDATION")
    for level in ("line", "cart"):
        off = {"name": "All off", "name_th": "ฟรี", "level": level, "amount": 10**12}
        discount_id = (await tell(office, "POST", "/catalog/discounts", off))["discount_id"]
        chosen = {"discount_ids": [discount_id]}
        on_line, on_cart = (chosen, {}) if level == "line" else ({}, chosen)
        cart = {"lines": [line | on_line], **on_cart}
        priced = await tell(till, "POST", "/pricing/preview", cart)
        assert (priced["grand_total"], priced["discount_total"]) == (0, RIDE)
        assert (priced["tax_total"], priced["lines"][0]["payable"]) == (0, 0)
        sold = await tell(till, "POST", "/sales", cart | {"payments": []})
        assert [ticket["payable"] for ticket in sold["tickets"]] == [0]


async def test_attack_38_no_more_is_given_back_than_was_paid(
    park: OwnPark, office: Outsider, till: Outsider
) -> None:
    sections = {"sales": {"refund_by_amount": True}}
    await tell(office, "PUT", "/settings", {"scope": "store", "sections": sections})
    sale_id = (await till.sell(("Carousel ride", 2)))["sale"]["sale_id"]
    who = {"email": "supervisor@demo.playpark", "pin": "9999"}
    for amount in (2 * RIDE + 1, 10**12):
        approval = await approve(till, "refund", sale_id, **who)
        body = refund_of(sale_id, amount=amount)
        refused = await ask(till, "/v1/refunds", body, approval=approval)
        assert told(refused) == (409, "E_REFUND_EXCEEDS")
    approval = await approve(till, "refund", sale_id, **who)
    part = await ask(till, "/v1/refunds", refund_of(sale_id, amount=RIDE), approval=approval)
    assert told(part)[1]["amount"] == RIDE
    approval = await approve(till, "refund", sale_id, **who)
    rest = await ask(till, "/v1/refunds", refund_of(sale_id, amount=RIDE + 1), approval=approval)
    assert told(rest) == (409, "E_REFUND_EXCEEDS")
    assert park.mongo.sales.find_one({"_id": sale_id})["refunded"] == RIDE


@pytest.mark.parametrize("what", [{}, {"amount": RIDE}], ids=["whole", "amount"])
async def test_attack_38_two_refunds_at_once_give_back_once(
    park: OwnPark, office: Outsider, till: Outsider, what: dict[str, Any]
) -> None:
    sections = {"sales": {"refund_by_amount": True}}
    await tell(office, "PUT", "/settings", {"scope": "store", "sections": sections})
    sale_id = (await till.sell(("Carousel ride", 1)))["sale"]["sale_id"]
    who = {"email": "supervisor@demo.playpark", "pin": "9999"}
    approvals = [await approve(till, "refund", sale_id, **who) for _ in range(2)]
    answers = await asyncio.gather(
        *(ask(till, "/v1/refunds", refund_of(sale_id, **what), approval=each) for each in approvals)
    )
    assert sorted(answer.status_code for answer in answers) == [200, 409]
    assert park.mongo.refunds.count_documents({"sale_id": sale_id}) == 1
    sale = park.mongo.sales.find_one({"_id": sale_id})
    assert (sale["refunded"], sale["status"]) == (RIDE, "refunded")
