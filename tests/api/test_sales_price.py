"""The price of a sale: the server's, or what was rung, and how it is paid (R7, R12, R17)."""

from collections.abc import AsyncIterator
from copy import deepcopy
from datetime import timedelta
from typing import Any

import pytest

from playpark.ids import new_ulid
from tests.api.drawers import applied, approve, sync, tell
from tests.api.inside import inside
from tests.api.selling import ADULT, CAROUSEL, Park, refused, rung, sell
from tests.outside import Outsider


@pytest.fixture(scope="module")
async def park(mongo_uri: str, database: str) -> AsyncIterator[Park]:
    async with inside(mongo_uri, f"{database}_sales_price") as park:
        yield await Park.of(park)


@pytest.fixture(scope="module")
async def till(park: Park) -> Outsider:
    return await park.till()


async def preview(till: Outsider, body: dict[str, Any]) -> dict[str, Any]:
    priced: dict[str, Any] = await tell(till, "POST", "/pricing/preview", body)
    return priced


# --- the server's price -----------------------------------------------------------------


async def test_R8_codes_discounts_groups_and_payments_all_make_the_price_of_a_sale(
    park: Park, till: Outsider
) -> None:
    member = await park.customer()
    cart = {
        "lines": park.lines(("10 entries", 1), ("Carousel ride", 3)),
        "promo_codes": ["family10"],
        "customer_id": member,
    }
    cart["lines"][1]["discount_ids"] = [park.ids["Senior 50 THB"]]
    paid = [park.pay("Card from abroad (3 % surcharge)", 0, reference="A1")]
    priced = await preview(till, {**cart, "payments": paid})
    # 90 000 − 10 % member + (12 000 − 5 000), all − 10 %, + 3 % for the card
    assert (priced["discount_total"], priced["surcharge_total"]) == (22_800, 2_376)
    paid[0]["amount"] = priced["due"][0]
    sale = (await sell(till, {**cart, "payments": paid, "expected_total": 81_576}))["sale"]
    for name in ("lines", "surcharges", "grand_total", "tax_total", "discount_total"):
        assert sale[name] == priced[name], name
    assert (sale["promo_codes"], sale["customer_id"]) == (["FAMILY10"], member)
    stored = await park.db["sales"].find_one({"_id": sale["sale_id"]})
    applied_ids = {step["rule_id"] for step in priced["trace"] if step["applied"]} - {None}
    assert set(stored["counted_rules"]) <= applied_ids
    assert len(stored["counted_rules"]) == 2
    payment = await park.db["payments"].find_one({"sale_id": sale["sale_id"]})
    assert (payment["amount"], payment["surcharge"]) == (81_576, 2_376)


async def test_R12_a_changed_price_is_told_with_both_traces(park: Park, till: Outsider) -> None:
    ride = await park.add("/catalog/packages", kind="single", price=10_000)
    lines = [{"package_id": ride["package_id"], "qty": 1}]
    old = await preview(till, {"lines": lines})
    await tell(park.owner, "PATCH", f"/catalog/packages/{ride['package_id']}", {"price": 12_000})
    body = {
        "lines": lines,
        "payments": [{"method": "cash", "amount": 10_000}],
        "rung": rung(old),
        "catalog_version": old["catalog_version"],
    }
    status, code, details = await refused(till, body)
    assert (status, code) == (409, "E_PRICE_CHANGED")
    assert (details["grand_total"], details["expected"]) == (12_000, 10_000)
    assert details["rung"]["subtotal"] == 10_000
    assert details["rung_trace"] == old["trace"]
    assert details["trace"][0]["output"] == 12_000
    assert details["catalog_version"] == old["catalog_version"] + 1
    # The money is taken: the guest has seen this price, and it was right at that version.
    sale = await park.committed(till, body)
    assert (sale["grand_total"], sale["flags"]) == (10_000, [])
    assert sale["catalog_version"] == old["catalog_version"]


async def test_R13_a_package_outside_its_hours_is_refused_unless_the_money_is_taken(
    park: Park, till: Outsider
) -> None:
    window = {"starts_at": "2031-01-01T00:00:00+07:00"}
    ride = await park.add("/catalog/packages", kind="single", price=5_000, window=window)
    body = {
        "lines": [{"package_id": ride["package_id"], "qty": 1}],
        "payments": [{"method": "cash", "amount": 5_000}],
    }
    assert (await refused(till, body))[:2] == (409, "E_INACTIVE_PACKAGE")
    sale = await park.committed(till, body)
    assert (sale["grand_total"], sale["flags"]) == (5_000, ["inactive_package"])


async def test_R12_the_time_that_a_client_tells_chooses_no_price(park: Park) -> None:
    till, now = await park.till(), park.inside.clock.now()
    ride = (await park.add("/catalog/packages", kind="single", price=5_000))["package_id"]
    happy = {"starts_at": now - timedelta(hours=2), "ends_at": now - timedelta(hours=1)}
    await park.add(
        "/pricing/rules",
        kind="time_of_day",
        params={"price": 100},
        targets={"package_ids": [ride]},
        window={name: at.isoformat() for name, at in happy.items()},
    )
    cart = {"lines": [{"package_id": ride, "qty": 1}]}
    then = (now - timedelta(minutes=90)).isoformat()
    body = {**cart, "payments": [{"method": "cash", "amount": 100}], "occurred_at": then}
    status, code, details = await refused(till, body)
    assert (status, code, details["due"]) == (422, "E_INSUFFICIENT_TENDER", [5_000])
    assert (await refused(till, {**body, "expected_total": 100}))[1] == "E_PRICE_CHANGED"
    full = {**body, "payments": [{"method": "cash", "amount": 5_000}]}
    sale = (await sell(till, full))["sale"]
    assert (sale["grand_total"], sale["occurred_at"]) == (5_000, then[:23] + "Z")
    parked = await tell(till, "POST", "/open_tickets", {"name": "late", "cart": cart})
    path = f"/open_tickets/{parked['open_ticket_id']}/checkout"
    paying = {"payments": body["payments"], "occurred_at": then}
    assert (await refused(till, paying, path))[1] == "E_INSUFFICIENT_TENDER"
    code, rule_id = await park.promo(max_uses=1)
    await park.db["rule_uses"].delete_one({"_id": rule_id})  # somebody else was faster
    promised = {**full, "promo_codes": [code], "payments": [{"method": "cash", "amount": 4_500}]}
    _, error, details = await refused(till, promised)
    assert (error, details["grand_total"]) == ("E_PRICE_CHANGED", 5_000)
    # Money that was taken in the happy hour was enough then.
    taken = await park.committed(till, body, occurred_at=then)
    assert (taken["grand_total"], taken["flags"]) == (100, [])


async def test_R31_what_is_kept_is_priced_again_at_the_time_of_the_price(park: Park) -> None:
    till, now = await park.till(), park.inside.clock.now()
    ride = (await park.add("/catalog/packages", kind="single", price=10_000))["package_id"]
    happy = {"starts_at": now - timedelta(hours=2), "ends_at": now - timedelta(hours=1)}
    window = {name: at.isoformat() for name, at in happy.items()}
    targets = {"package_ids": [ride]}
    cheap = {"kind": "time_of_day", "params": {"price": 100}, "window": window}
    await park.add("/pricing/rules", targets=targets, **cheap)
    off = {"kind": "cart_amount", "params": {"amount": 3_000, "min_subtotal": 20_000}}
    await park.add("/pricing/rules", targets=targets, **off)
    await park.settings(sales={"refund_reprice": True})
    then = (now - timedelta(minutes=90)).isoformat()
    sold = await sell(
        till,
        {
            "lines": [{"package_id": ride, "qty": 2}],
            "payments": [{"method": "cash", "amount": 17_000}],
            "occurred_at": then,
        },
    )
    sale_id = sold["sale"]["sale_id"]
    one = {"sale_id": sale_id, "ticket_ids": [sold["tickets"][0]["ticket_id"]]}
    body = {**one, "reason_code": "customer_request"}
    yes = await approve(till, "refund", sale_id)
    assert (await tell(till, "POST", "/refunds", body, approval=yes))["amount"] == 7_000
    await park.settings(sales={"refund_reprice": None})


# --- what was rung ----------------------------------------------------------------------


async def test_R17_a_bundle_is_booked_after_it_and_its_parts_were_taken_off_sale(
    park: Park, till: Outsider
) -> None:
    part = await park.add("/catalog/packages", kind="single", price=2_000)
    parts = [{"package_id": part["package_id"], "qty": 2}]
    both = await park.add("/catalog/packages", kind="bundle", price=3_000, components=parts)
    for each in (both, part):
        path = f"/catalog/packages/{each['package_id']}"
        await tell(park.owner, "PATCH", path, {"active": False})
    body = {
        "lines": [{"package_id": both["package_id"], "qty": 1}],
        "payments": [{"method": "cash", "amount": 3_000}],
    }
    (booked,) = await applied(till, await park.op(till, body))
    assert (booked["sale"]["grand_total"], booked["sale"]["flags"]) == (3_000, ["inactive_package"])
    assert [ticket["payable"] for ticket in booked["tickets"]] == [1_500, 1_500]


@pytest.mark.parametrize(
    "change",
    [
        {"promo_codes": ["NOSUCHCODE"]},
        {"discount_ids": [new_ulid()]},
        {"payments": [{"method": "card", "payment_type_id": new_ulid(), "amount": CAROUSEL}]},
    ],
)
async def test_R17_what_pricing_refuses_is_left_out_and_flagged_once_the_money_is_taken(
    park: Park, till: Outsider, change: dict[str, Any]
) -> None:
    body = {
        "lines": park.lines(("Carousel ride", 1)),
        "payments": [{"method": "cash", "amount": CAROUSEL}],
        **change,
    }
    assert (await refused(till, body))[:2] == (422, "E_VALIDATION")
    sale = await park.committed(till, body)
    assert (sale["grand_total"], sale["flags"]) == (CAROUSEL, ["not_priceable"])


async def test_R17_an_unknown_customer_is_flagged_and_an_unknown_package_refused(
    park: Park, till: Outsider
) -> None:
    body = park.adult(customer_id=new_ulid())
    assert (await refused(till, body))[:2] == (404, "E_NOT_FOUND")
    sale = await park.committed(till, body)
    assert (sale["customer_id"], sale["flags"]) == (None, ["customer_unknown"])
    body = park.adult()
    body["lines"][0]["package_id"] = new_ulid()
    (result,) = await sync(till, await park.op(till, body))
    assert (result["status"], result["code"]) == ("rejected", "E_NOT_FOUND")


async def test_R12_a_variance_is_booked_as_rung_flagged_and_an_event_of_the_audit(
    park: Park, till: Outsider
) -> None:
    body = park.adult(2)
    shown = rung(await preview(till, {"lines": park.lines(("Adult day pass", 2))}))
    for part in shown["lines"][0]["slices"]:
        part |= {"gross": 18_000, "payable": 18_000, "vat": 1_178}
    shown["lines"][0]["slices"][1]["vat"] = 1_177
    shown["lines"][0]["unit_price"] = 18_000
    shown |= {"subtotal": 36_000, "grand_total": 36_000, "tax_total": 2_355}
    body |= {"rung": shown, "payments": [{"method": "cash", "amount": 36_000}]}
    sale = await park.committed(till, body)
    assert (sale["grand_total"], sale["flags"]) == (36_000, ["price_variance"])
    assert [part["payable"] for part in sale["lines"][0]["slices"]] == [18_000, 18_000]
    which = {"entity_id": sale["sale_id"], "event_type": "price_variance"}
    row = await park.db["audits"].find_one(which)
    assert row["payload"]["price_variance"] == {"rung": 36_000, "server": 39_800}
    tickets = await park.db["tickets"].find({"sale_id": sale["sale_id"]}).to_list(5)
    assert sum(ticket["slice"]["vat"] for ticket in tickets) == sale["tax_total"]


def _tax(shown: dict[str, Any]) -> None:
    shown["tax_total"] -= 1


def _vat_of_a_slice(shown: dict[str, Any]) -> None:
    """The sums agree, and are no 7 %."""
    shown["lines"][0]["slices"][0]["vat"] -= 5
    shown["tax_total"] -= 5


def _another_rate(shown: dict[str, Any]) -> None:
    for part in shown["lines"][0]["slices"]:
        part |= {"vat_rate": 0, "vat": 0}
    shown["tax_total"] = 0


def _payable(shown: dict[str, Any]) -> None:
    shown["lines"][0]["slices"][0]["payable"] -= 100


def _discount(shown: dict[str, Any]) -> None:
    shown["lines"][0]["slices"][0]["line_discount"] += 100


def _surcharge(shown: dict[str, Any]) -> None:
    shown["surcharge_total"] += 100
    shown["grand_total"] += 100


def _total(shown: dict[str, Any]) -> None:
    shown["grand_total"] -= 100


@pytest.mark.parametrize(
    "breaking", [_tax, _vat_of_a_slice, _another_rate, _payable, _discount, _surcharge, _total]
)
async def test_R12_rung_sums_that_break_the_rules_are_booked_and_wait_for_a_review(
    park: Park, till: Outsider, breaking: Any
) -> None:
    priced = await preview(till, {"lines": park.lines(("Adult day pass", 2))})
    shown = deepcopy(rung(priced))
    breaking(shown)
    cash = [{"method": "cash", "amount": shown["grand_total"]}]
    sale = await park.committed(till, park.adult(2) | {"rung": shown, "payments": cash})
    assert sale["flags"] == ["price_variance", "needs_review"]
    assert sale["grand_total"] == shown["grand_total"]


# --- how it is paid ---------------------------------------------------------------------


async def test_R7_each_payment_has_to_be_what_is_due(park: Park, till: Outsider) -> None:
    abroad = "Card from abroad (3 % surcharge)"
    lines = park.lines(("Adult day pass", 1))
    half = park.pay(abroad, 10_300)  # pays 10 000 of the goods
    body = {"lines": lines, "payments": [half, park.pay("Cash", 9_900, tendered=10_000)]}
    sale = (await sell(till, body))["sale"]
    assert (sale["grand_total"], sale["surcharge_total"], sale["change"]) == (20_200, 300, 100)
    assert [payment["amount"] for payment in sale["payments"]] == [10_300, 9_900]
    assert sale["payments"][0]["payment_type_id"] == park.ids[abroad]
    # The surcharge that the guest did not pay is missing.
    whole = {"lines": lines, "payments": [park.pay(abroad, ADULT)]}
    status, code, details = await refused(till, whole)
    assert (status, code) == (422, "E_INSUFFICIENT_TENDER")
    assert (details["missing"], details["due"]) == (597, [20_497])
    # The sum is right, and cash would stand for the card's surcharge.
    swapped = [park.pay("Cash", 9_900), park.pay(abroad, 10_300)]
    assert (await sell(till, {"lines": lines, "payments": swapped}))["sale"]["flags"] == []
    over = [park.pay("Cash", 9_900), park.pay(abroad, 10_400)]
    status, code, details = await refused(till, {"lines": lines, "payments": over})
    assert (status, code, details["due"]) == (422, "E_VALIDATION", [9_900, 10_300])


async def test_R7_only_what_is_paid_in_cash_is_rounded(park: Park) -> None:
    await park.settings(money={"cash_step": 100})
    till = await park.till()
    odd = await park.add("/catalog/packages", kind="single", price=4_049)
    lines = [{"package_id": odd["package_id"], "qty": 1}]
    cash = {"lines": lines, "payments": [park.pay("Cash", 4_000, tendered=5_000)]}
    sale = (await sell(till, cash))["sale"]
    assert (sale["grand_total"], sale["cash_rounding"], sale["change"]) == (4_000, -49, 1_000)
    assert sale["lines"][0]["payable"] == 4_049
    stored = await park.db["sales"].find_one({"_id": sale["sale_id"]})
    assert (stored["cash_step"], stored["cash_rounding_mode"]) == (100, "nearest")
    card = {"lines": lines, "payments": [park.pay("Card", 4_049)]}
    assert (await sell(till, card))["sale"]["cash_rounding"] == 0
    exact = {"lines": lines, "payments": [park.pay("Cash", 4_049)]}
    assert (await refused(till, exact))[1:] == ("E_VALIDATION", {"excess": 49, "due": [4_000]})
    await park.settings(money={"cash_step": None})
    shift = await tell(till, "GET", "/shifts/current")
    report = await tell(till, "POST", "/shifts/close", {"cash_counted": 104_000})
    assert shift["shift_id"] == report["shift_id"]
    assert report["z"]["cash_rounding"] == -49
    assert report["z"]["sales"]["by_method"] == {"cash": 4_000, "card": 4_049}


async def test_a_way_to_pay_that_needs_a_reference_does_not_go_without(
    park: Park, till: Outsider
) -> None:
    voucher = await park.add("/catalog/payment_types", method="other", needs_reference=True)
    kind = {"method": "other", "payment_type_id": voucher["payment_type_id"], "amount": ADULT}
    body = {"lines": park.lines(("Adult day pass", 1)), "payments": [kind]}
    for reference in (None, "  "):
        kind["reference"] = reference
        status, code, details = await refused(till, body)
        assert (status, code, details["reason"]) == (422, "E_VALIDATION", "reference")
    assert (await park.committed(till, body))["flags"] == ["reference_missing"]
    kind["reference"] = "V-1"
    assert (await sell(till, body))["sale"]["payment_method"] == "other"


async def test_R17_money_that_does_not_settle_is_flagged_once_it_is_taken(
    park: Park, till: Outsider
) -> None:
    body = park.adult() | {"payments": [{"method": "cash", "amount": 5_000, "tendered": 4_000}]}
    sale = await park.committed(till, body)
    assert sale["flags"] == ["needs_review"]
    assert sale["grand_total"] == ADULT
