"""Discounts that need somebody else's yes, and promotions with a cap (R9, R42)."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from playpark.ids import new_ulid
from tests.api.drawers import approve, tell
from tests.api.inside import inside
from tests.api.selling import ADULT, CAROUSEL, OWNER, Park, refused, rung, sell
from tests.outside import Outsider

NEEDED = (403, "E_PERMISSION", {"reason": "approval_required", "action": "manual_discount"})


@pytest.fixture(scope="module")
async def park(mongo_uri: str, database: str) -> AsyncIterator[Park]:
    async with inside(mongo_uri, f"{database}_sales_discounts") as park:
        yield await Park.of(park)


@pytest.fixture(scope="module")
async def till(park: Park) -> Outsider:
    return await park.till()


@pytest.fixture(scope="module")
async def supervised(park: Park) -> Outsider:
    return await park.supervised()


def by_hand(park: Park, off: int) -> dict[str, Any]:
    """An adult pass with `off` satang less."""
    body = park.adult()
    body["lines"][0]["manual_discount"] = off
    body["payments"][0]["amount"] = ADULT - off
    return body


# --- discounts (R42, decision 0008) ------------------------------------------------------


async def test_R42_a_cashier_gives_no_manual_discount_without_an_approval(
    park: Park, till: Outsider
) -> None:
    body = by_hand(park, 100)
    assert await refused(till, body) == NEEDED
    key = new_ulid()
    yes = await approve(till, "manual_discount", key, amount=100)
    sold = await sell(till, body, key=key, approval=yes)
    assert sold["sale"]["discount_total"] == 100
    stored = await park.db["sales"].find_one({"_id": sold["sale"]["sale_id"]})
    assert stored["approved_by"] == "Somchai"
    row = await park.db["audits"].find_one({"entity_id": stored["_id"]})
    assert row["payload"]["approver_id"]
    assert row["payload"]["discount_total"] == 100
    # Spent: the next sale needs its own.
    assert await refused(till, body, approval=yes) == NEEDED
    assert await sell(till, body, key=key, approval=yes) == sold


@pytest.mark.parametrize("amount", [99, 101, 0])
async def test_R42_a_yes_to_another_amount_is_none(park: Park, till: Outsider, amount: int) -> None:
    key = new_ulid()
    yes = await approve(till, "manual_discount", key, amount=amount)
    assert await refused(till, by_hand(park, 100), key=key, approval=yes) == NEEDED


async def test_R42_with_the_permission_a_discount_within_the_limit_is_free(
    park: Park, supervised: Outsider
) -> None:
    await sell(supervised, by_hand(park, 1_990))  # 10 % of the line
    assert await refused(supervised, by_hand(park, 1_991)) == NEEDED
    key = new_ulid()
    yes = await approve(supervised, "manual_discount", key, amount=1_991, **OWNER)
    await sell(supervised, by_hand(park, 1_991), key=key, approval=yes)
    await park.settings(money={"manual_discount_limit": 10_000})
    await sell(supervised, by_hand(park, ADULT))
    await park.settings(money={"manual_discount_limit": None})


async def test_R42_the_limit_is_each_lines_own(park: Park, supervised: Outsider) -> None:
    body = park.adult() | {"lines": park.lines(("Adult day pass", 1), ("Carousel ride", 1))}
    body["lines"][1]["manual_discount"] = 401
    body["payments"][0]["amount"] = ADULT + CAROUSEL - 401
    assert await refused(supervised, body) == NEEDED
    body["lines"][1]["manual_discount"] = 400
    body["payments"][0]["amount"] += 1
    await sell(supervised, body)


async def test_R42_a_discount_that_needs_an_approval_needs_it_from_everybody(
    park: Park, till: Outsider, supervised: Outsider
) -> None:
    staff = park.adult(discount_ids=[park.ids["Staff 20 %"]])
    staff["payments"][0]["amount"] = ADULT * 80 // 100
    for asking in (till, supervised):
        assert await refused(asking, staff) == NEEDED
    key = new_ulid()
    yes = await approve(till, "manual_discount", key)
    await sell(till, staff, key=key, approval=yes)
    senior = park.adult()
    senior["lines"][0]["discount_ids"] = [park.ids["Senior 50 THB"]]
    senior["payments"][0]["amount"] = ADULT - 5_000
    await sell(till, senior)


async def test_R42_a_yes_to_a_parked_cart_is_good_for_its_checkout(
    park: Park, till: Outsider
) -> None:
    cart = {"lines": by_hand(park, 100)["lines"]}
    parked = await tell(till, "POST", "/open_tickets", {"name": "red", "cart": cart})
    yes = await approve(till, "manual_discount", parked["open_ticket_id"], amount=100)
    path = f"/open_tickets/{parked['open_ticket_id']}/checkout"
    body = {"payments": [{"method": "cash", "amount": ADULT - 100}]}
    assert await refused(till, body, path) == NEEDED
    sold = await tell(till, "POST", path, body, approval=yes)
    assert sold["sale"]["discount_total"] == 100


async def test_R17_a_discount_that_nobody_approved_is_flagged_once_the_money_is_taken(
    park: Park, till: Outsider
) -> None:
    sale = await park.committed(till, by_hand(park, 500))
    assert (sale["grand_total"], sale["flags"]) == (ADULT - 500, ["unapproved"])


async def test_a_manual_discount_beyond_its_line_is_refused(
    park: Park, supervised: Outsider
) -> None:
    body = by_hand(park, 0) | {"payments": []}
    for off, code in ((ADULT + 1, 422), (-1, 422), (1.5, 422), (True, 422)):
        body["lines"][0]["manual_discount"] = off
        assert (await refused(supervised, body))[:2] == (code, "E_VALIDATION")


# --- promotions with a cap --------------------------------------------------------------


async def with_code(park: Park, till: Outsider, code: str) -> dict[str, Any]:
    """A carousel ride for 10 % less, as a till rings it that does not count uses."""
    cart = {"lines": park.lines(("Carousel ride", 1)), "promo_codes": [code]}
    priced = await tell(till, "POST", "/pricing/preview", cart)
    cash = [{"method": "cash", "amount": priced["grand_total"]}]
    return {**cart, "payments": cash, "rung": rung(priced)}


async def test_promo_cap_race_sells_exactly_as_many_as_there_are(park: Park) -> None:
    tills = [await park.till() for _ in range(8)]
    code, rule_id = await park.promo(max_uses=3)
    body = await with_code(park, tills[0], code)

    async def attempt(till: Outsider) -> str:
        response = await till.call("POST", "/v1/sales", body, key=new_ulid())
        error = response.json()["error"]
        return str(error["code"]) if error else "sold"

    results = await asyncio.gather(*(attempt(till) for till in tills))
    assert sorted(results) == ["E_PRICE_CHANGED"] * 5 + ["sold"] * 3
    assert await park.count("sales", counted_rules=rule_id) == 3
    assert (await park.db["rule_uses"].find_one({"_id": rule_id}))["used"] == 3


async def test_R9_a_promotion_that_is_used_up_is_told_with_the_new_price(
    park: Park, till: Outsider
) -> None:
    code, rule_id = await park.promo(max_uses=1)
    body = await with_code(park, till, code)
    await sell(till, body)
    status, error, details = await refused(till, body)
    assert (status, error) == (409, "E_PRICE_CHANGED")
    assert (details["grand_total"], details["expected"]) == (CAROUSEL, 3_600)
    skipped = next(step for step in details["trace"] if step["rule_id"] == rule_id)
    assert (skipped["applied"], skipped["facts"]["reason"]) == (False, "used_up")
    assert (await park.db["rule_uses"].find_one({"_id": rule_id}))["used"] == 1


async def test_R9_a_promise_that_cannot_be_counted_is_not_sold(park: Park, till: Outsider) -> None:
    code, rule_id = await park.promo(max_uses=1)
    body = await with_code(park, till, code)
    await park.db["rule_uses"].delete_one({"_id": rule_id})
    status, error, details = await refused(till, body)
    assert (status, error, details["grand_total"]) == (409, "E_PRICE_CHANGED", CAROUSEL)
    assert await park.count("sales", counted_rules=rule_id) == 0


async def test_R17_a_promotion_over_its_cap_is_flagged_once_the_money_is_taken(
    park: Park, till: Outsider
) -> None:
    code, rule_id = await park.promo(max_uses=1)
    body = await with_code(park, till, code)
    assert (await park.committed(till, body))["flags"] == []
    sale = await park.committed(till, body)
    assert (sale["grand_total"], sale["flags"]) == (3_600, ["promo_over_cap"])
    assert (await park.db["rule_uses"].find_one({"_id": rule_id}))["used"] == 1


async def test_R9_a_void_gives_back_the_uses_that_were_counted_and_no_others(
    park: Park, till: Outsider
) -> None:
    codes, rules = zip(
        *[await park.promo(max_uses=cap, stackable=True) for cap in (1, 5)], strict=True
    )
    cart = {"lines": park.lines(("Carousel ride", 1)), "promo_codes": list(codes)}
    priced = await tell(till, "POST", "/pricing/preview", cart)
    cash = [{"method": "cash", "amount": priced["grand_total"]}]
    body = {**cart, "payments": cash, "rung": rung(priced)}

    async def used() -> list[int]:
        found = [await park.db["rule_uses"].find_one({"_id": rule}) for rule in rules]
        return [each["used"] for each in found]

    first, second = [await park.committed(till, body) for _ in range(2)]
    assert (first["flags"], second["flags"]) == ([], ["promo_over_cap"])
    assert await used() == [1, 2]
    reason = {"reason_code": "wrong_package"}
    for sale, left in ((second, [1, 1]), (first, [0, 0])):
        yes = await approve(till, "void", sale["sale_id"])
        await tell(till, "POST", f"/sales/{sale['sale_id']}/void", reason, approval=yes)
        assert await used() == left


async def test_a_refused_sale_uses_nothing_up(park: Park, till: Outsider) -> None:
    code, rule_id = await park.promo(max_uses=1)
    body = await with_code(park, till, code)
    assert (await refused(till, body | {"receipt_no": "ZZ-S000001"}))[:2] == (422, "E_VALIDATION")
    assert (await park.db["rule_uses"].find_one({"_id": rule_id}))["used"] == 0
    await sell(till, body)
