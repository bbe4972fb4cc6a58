"""Price rules and price lists on the real API: in force, in conflict, capped, shown (R8–R12)."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from api.catalog import service as catalog
from api.platform.authority import DeviceAuthority
from api.platform.mongo import Mongo
from api.platform.scope import Scope
from api.platform.uow import UnitOfWork, Work
from playpark.canonical import canonical_json
from playpark.clock import SystemClock
from playpark.contracts.catalog import SalesChannel
from playpark.contracts.pricing import PreviewIn
from playpark.contracts.rules import MAX_RULES
from playpark.contracts.snapshot import CatalogSnapshot
from playpark.ids import new_ulid
from playpark.pricing import Context, price
from tests.api.own_park import OWNER, OwnPark, own_park
from tests.outside import CASHIER, Outsider

MONDAY = "2026-11-23"
SATURDAY = "2026-11-21"
PREVIEW, RULES = "/v1/pricing/preview", "/v1/pricing/rules"


@pytest.fixture(scope="module")
def park(mongo_uri: str, database: str) -> Iterator[OwnPark]:
    with own_park(mongo_uri, f"{database}_rules") as park:
        yield park


@pytest.fixture(scope="module")
async def owner(park: OwnPark) -> AsyncIterator[Outsider]:
    async with park.connect("ADMIN", **OWNER) as owner:
        yield owner


@pytest.fixture(scope="module")
async def pos(park: OwnPark) -> AsyncIterator[Outsider]:
    async with park.connect("POS", **CASHIER) as pos:
        yield pos


@pytest.fixture(scope="module")
async def kiosk(park: OwnPark) -> AsyncIterator[Outsider]:
    async with park.connect("KIOSK") as kiosk:
        yield kiosk


@pytest.fixture(scope="module")
async def branch(park: OwnPark, owner: Outsider) -> AsyncIterator[Outsider]:
    """The owner in a second store of the same tenant."""
    store = park.mongo["stores"].find_one({"name": "Main Gate"})
    store_id = new_ulid()
    place = {"tenant_id": store["tenant_id"], "store_id": store_id}
    second = store | place | {"_id": store_id, "name": "Branch", "catalog_version": 0}
    park.mongo["stores"].insert_one(second)
    key = park.mongo["site_keys"].find_one({"store_id": store["_id"]})
    key_id = hashlib.sha256(b"BRANCH").hexdigest()
    park.mongo["site_keys"].insert_one(key | place | {"_id": key_id})
    me = (await owner.data("GET", "/v1/employees/me"))["employee_id"]
    member = park.mongo["memberships"].find_one({"employee_id": me})
    park.mongo["memberships"].insert_one(
        member | place | {"_id": f"{store['tenant_id']}:{store_id}:{me}"}
    )
    vat = {"name": "VAT", "rate": 700, "mode": "inclusive"}
    async with park.connect("ADMIN", "BRANCH", **OWNER) as branch:
        await branch.data("POST", "/v1/catalog/taxes", vat)
        yield branch


async def ride(owner: Outsider, **more: Any) -> str:
    """A package of its own for each test: its rules touch nobody else's prices."""
    body = {"name": "Ride", "name_th": "เครื่องเล่น", "kind": "single", "price": 10_000, **more}
    return str((await owner.data("POST", "/v1/catalog/packages", body))["package_id"])


def rule(kind: str, params: dict[str, Any], *package_ids: str, **more: Any) -> dict[str, Any]:
    targets = {"package_ids": list(package_ids)}
    return {"name": "R", "name_th": "R", "kind": kind, "params": params, "targets": targets} | more


async def cost(client: Outsider, package_id: str, **more: Any) -> int:
    cart = {"lines": [{"package_id": package_id, "qty": 1}], **more}
    return int((await client.data("POST", PREVIEW, cart))["grand_total"])


# --- the demo park ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("at", "total"),
    [
        (f"{MONDAY}T13:59:59+07:00", 15_900),
        (f"{MONDAY}T14:00:00+07:00", 12_720),
        (f"{MONDAY}T15:59:59+07:00", 12_720),
        (f"{MONDAY}T16:00:00+07:00", 15_900),
        (f"{SATURDAY}T15:00:00+07:00", 15_900),
    ],
)
async def test_R9_the_happy_hour_of_the_demo_park_touches_one_package_only(
    pos: Outsider, at: str, total: int
) -> None:
    packages = await pos.packages()
    assert await cost(pos, packages["Afternoon pass"]["package_id"], at=at) == total
    for untouched in ("Child day pass", "Carousel ride", "Adult day pass"):
        package = packages[untouched]
        assert await cost(pos, package["package_id"], at=at) == package["price"]


async def test_the_demo_parks_promo_code_takes_ten_percent_off_the_cart(pos: Outsider) -> None:
    package = (await pos.packages())["Child day pass"]["package_id"]
    assert await cost(pos, package, promo_codes=["family10"]) == 13_410


async def test_members_pay_the_member_price(pos: Outsider) -> None:
    package = (await pos.packages())["10 entries"]["package_id"]
    guest = await pos.data("POST", "/v1/customers", {"name": "Dao"})
    assert await cost(pos, package) == 90_000
    assert await cost(pos, package, customer_id=guest["customer_id"]) == 81_000
    unknown = {"lines": [{"package_id": package, "qty": 1}], "customer_id": new_ulid()}
    assert (await pos.call("POST", PREVIEW, unknown)).status_code == 404


# --- conflicts --------------------------------------------------------------------------


async def test_R10_a_conflict_is_refused_with_a_cart_on_which_both_rules_apply(
    owner: Outsider,
) -> None:
    package = await ride(owner)
    first = await owner.data(
        "POST", RULES, rule("line_percent", {"percent": 1_000}, package, stackable=False)
    )
    second = rule("line_amount", {"amount": 500}, package, stackable=False)
    assert (await owner.call("POST", RULES, second)).status_code == 200  # another stage
    clash = rule("line_percent", {"percent": 2_000}, package, stackable=False)
    before = (await owner.data("GET", "/v1/catalog/snapshot"))["catalog_version"]
    response = await owner.call("POST", RULES, clash)
    error = response.json()["error"]
    assert (response.status_code, error["code"]) == (409, "E_RULE_CONFLICT")
    details = error["details"]
    assert details.keys() == {"rule_id", "cart", "at", "channel", "customer_group", "why"}
    assert details["rule_id"] == first["rule_id"]
    assert (await owner.data("GET", "/v1/catalog/snapshot"))["catalog_version"] == before
    # Told apart by priority both are saved, and the counter-example holds: each alone would have
    # applied, one keeps the other out.
    other = await owner.data("POST", RULES, clash | {"priority": 101})
    priced = await owner.data("POST", PREVIEW, details["cart"] | {"at": details["at"]})
    met = {each["rule_id"]: each["applied"] for each in priced["trace"] if each["rule_id"]}
    assert met[first["rule_id"]] is True
    assert met[other["rule_id"]] is False
    path = f"{RULES}/{first['rule_id']}"
    await owner.data("PATCH", path, {"active": False})
    priced = await owner.data("POST", PREVIEW, details["cart"] | {"at": details["at"]})
    met = {each["rule_id"]: each["applied"] for each in priced["trace"] if each["rule_id"]}
    assert met[other["rule_id"]] is True


async def test_R10_an_inactive_rule_is_not_checked_but_activating_or_moving_it_is(
    owner: Outsider,
) -> None:
    package = await ride(owner)
    body = rule("line_percent", {"percent": 1_000}, package, stackable=False)
    first = await owner.data("POST", RULES, body)
    asleep = await owner.data("POST", RULES, body | {"active": False})
    path = f"{RULES}/{asleep['rule_id']}"
    woken = await owner.call("PATCH", path, {"active": True})
    assert woken.json()["error"]["details"]["rule_id"] == first["rule_id"]
    await owner.data("PATCH", path, {"active": True, "priority": 5})
    moved = await owner.call("PATCH", path, {"priority": 100})
    assert moved.json()["error"]["code"] == "E_RULE_CONFLICT"
    assert (await owner.data("PATCH", path, {"priority": 100, "stackable": True}))["stackable"]


async def test_R10_rules_for_a_package_that_is_off_sale_conflict_too(owner: Outsider) -> None:
    """It may come back without any rule being saved."""
    package = await ride(owner, active=False)
    body = rule("line_percent", {"percent": 1_000}, package, stackable=False)
    first = await owner.data("POST", RULES, body)
    error = (await owner.call("POST", RULES, body)).json()["error"]
    assert (error["code"], error["details"]["rule_id"]) == ("E_RULE_CONFLICT", first["rule_id"])


async def test_R10_a_tenants_rule_is_checked_against_the_rules_of_every_store(
    owner: Outsider, branch: Outsider
) -> None:
    package = await ride(branch)
    body = rule("line_percent", {"percent": 1_000}, package, stackable=False)
    own = await branch.data("POST", RULES, body)
    response = await owner.call("POST", RULES, body | {"scope": "tenant"})
    assert response.json()["error"]["details"]["rule_id"] == own["rule_id"]


async def test_R10_of_two_supervisors_who_save_at_once_only_one_succeeds(
    park: OwnPark, owner: Outsider
) -> None:
    package = await ride(owner)
    body = rule("line_percent", {"percent": 1_000}, package, stackable=False)
    async with park.owners(6) as people:
        answers = await asyncio.gather(*(each.call("POST", RULES, body) for each in people))
    assert sorted(answer.status_code for answer in answers) == [200, 409, 409, 409, 409, 409]
    (winner,) = (a.json()["data"]["rule_id"] for a in answers if a.status_code == 200)
    for answer in answers:
        if answer.status_code == 409:
            assert answer.json()["error"]["details"]["rule_id"] == winner


async def test_changes_at_once_follow_each_other_and_none_is_lost(
    park: OwnPark, owner: Outsider
) -> None:
    before = (await owner.data("GET", "/v1/catalog/snapshot"))["catalog_version"]
    async with park.owners(6) as people:
        made = await asyncio.gather(*(ride(each) for each in people))
    after = await owner.data("GET", "/v1/catalog/snapshot")
    assert after["catalog_version"] == before + 6
    assert set(made) <= {each["package_id"] for each in after["packages"]}


async def test_R11_a_store_has_no_more_rules_than_a_trace_can_hold(
    park: OwnPark, owner: Outsider
) -> None:
    body = rule("line_percent", {"percent": 1}, await ride(owner), active=False)
    asleep = await owner.data("POST", RULES, body)
    entry = park.mongo["pricing_rules"].find_one({"_id": asleep["rule_id"]})
    in_force = park.mongo["pricing_rules"].count_documents(
        {"tenant_id": entry["tenant_id"], "store_id": {"$in": [entry["store_id"], None]},
         "active": True}
    )  # fmt: skip
    more = [entry | {"_id": new_ulid(), "active": True} for _ in range(MAX_RULES - in_force)]
    park.mongo["pricing_rules"].insert_many(more)
    path = f"{RULES}/{asleep['rule_id']}"
    response = await owner.call("PATCH", path, {"active": True})
    error = response.json()["error"]
    assert (response.status_code, error["details"]) == (422, {"most": MAX_RULES})
    park.mongo["pricing_rules"].delete_one({"_id": more[0]["_id"]})
    await owner.data("PATCH", path, {"active": True})
    park.mongo["pricing_rules"].delete_many({"_id": {"$in": [each["_id"] for each in more]}})


# --- whose rule, whose price ------------------------------------------------------------


async def test_R9_a_tenants_rule_works_in_every_store_and_a_stores_only_there(
    owner: Outsider, branch: Outsider
) -> None:
    here, there = await ride(owner), await ride(branch)
    codes = {"promo_codes": ["ALLPARKS"]}
    promo = rule("promo_code", {"code": "ALLPARKS", "percent": 5_000}, scope="tenant")
    made = await owner.data("POST", RULES, promo)
    assert (made["scope"], await cost(owner, here, **codes)) == ("tenant", 5_000)
    assert await cost(branch, there, **codes) == 5_000
    listed = await branch.data("GET", RULES, limit=200)
    assert made in listed["items"]
    path = f"{RULES}/{made['rule_id']}"
    await branch.data("PATCH", path, {"params": {"code": "ALLPARKS", "percent": 1_000}})
    assert [await cost(owner, here, **codes), await cost(branch, there, **codes)] == [9_000, 9_000]
    own = await owner.data(
        "POST", RULES, rule("promo_code", {"code": "HEREONLY", "percent": 5_000})
    )
    assert await cost(owner, here, promo_codes=["HEREONLY"]) == 5_000
    cart = {"lines": [{"package_id": there, "qty": 1}], "promo_codes": ["HEREONLY"]}
    assert (await branch.call("POST", PREVIEW, cart)).status_code == 422
    foreign = await branch.call("PATCH", f"{RULES}/{own['rule_id']}", {"active": False})
    assert foreign.status_code == 404


async def test_R8_a_stores_price_list_beats_the_tenants_and_one_for_the_channel_one_for_all(
    owner: Outsider, pos: Outsider, kiosk: Outsider
) -> None:
    package = await ride(owner)

    async def add(price: int, **more: Any) -> None:
        body = {"name": "L", "prices": {package: price}, **more}
        await owner.data("POST", "/v1/catalog/price_lists", body)

    async def prices() -> tuple[int, int]:
        return await cost(pos, package), await cost(kiosk, package)

    assert await prices() == (10_000, 10_000)
    await add(9_000, scope="tenant", channel="KIOSK")
    assert await prices() == (10_000, 9_000)
    await add(8_000)
    assert await prices() == (8_000, 8_000)
    await add(7_000, channel="KIOSK")
    assert await prices() == (8_000, 7_000)
    await add(1, starts_at="2030-01-01T00:00:00Z")
    assert await prices() == (8_000, 7_000)


# --- preview ----------------------------------------------------------------------------


async def test_R11_the_preview_is_the_tills_own_price_to_the_byte(
    owner: Outsider, pos: Outsider, kiosk: Outsider
) -> None:
    packages = {name: each["package_id"] for name, each in (await pos.packages()).items()}
    snapshot = await pos.data("GET", "/v1/catalog/snapshot")
    held = CatalogSnapshot.model_validate(snapshot)
    senior = next(each.discount_id for each in held.discounts if each.level == "line")
    abroad = next(each for each in held.payment_types if each.surcharge_percent)
    at = f"{MONDAY}T14:30:00+07:00"
    adults = {"package_id": packages["Adult day pass"], "qty": 3}
    carts: list[dict[str, Any]] = [
        {"lines": [adults]},
        {"lines": [{"package_id": packages["Afternoon pass"], "qty": 7}]},
        {"lines": [adults | {"discount_ids": [senior]}], "promo_codes": ["FAMILY10"]},
        {
            "lines": [
                {"package_id": packages["Family bundle"], "qty": 2},
                adults | {"manual_discount": 777},
            ],
            "payments": [{"method": "cash", "amount": 0}],
        },
        {
            "lines": [adults],
            "payments": [
                {"method": "cash", "amount": 10_000},
                {"method": "card", "payment_type_id": abroad.payment_type_id, "amount": 1},
            ],
        },
    ]
    for client, channel in ((pos, SalesChannel.POS), (kiosk, SalesChannel.KIOSK)):
        for cart in carts:
            shown = await client.data("POST", PREVIEW, cart | {"at": at})
            told = PreviewIn.model_validate(cart)
            own = price(
                told,
                held,
                at=datetime(2026, 11, 23, 7, 30, tzinfo=UTC),
                context=Context(channel=channel),
                payments=told.payments,
            )
            assert canonical_json(shown) == canonical_json(own.model_dump(mode="json"))
    assert own.surcharge_total > 0


# --- caps -------------------------------------------------------------------------------


@pytest.fixture
async def uow(mongo_uri: str, park: OwnPark) -> AsyncIterator[UnitOfWork]:
    connection = Mongo(mongo_uri, park.mongo.name)
    yield UnitOfWork(connection, SystemClock(), deadline=60)
    connection.close()


def scope_of(park: OwnPark, client: Outsider) -> Scope:
    session = park.mongo["sessions"].find_one({"_id": client.device["device_id"]})
    return DeviceAuthority.model_validate_doc(session).scope(None)


async def test_R9_of_fifty_sales_at_once_exactly_as_many_get_a_capped_promotion_as_it_has_uses(
    owner: Outsider, park: OwnPark, uow: UnitOfWork
) -> None:
    package = await ride(owner)
    code = {"promo_codes": ["FIRST7"]}
    body = rule("promo_code", {"code": "FIRST7", "percent": 5_000}, package, max_uses=7)
    promo = (await owner.data("POST", RULES, body))["rule_id"]
    scope = scope_of(park, owner)
    held = await catalog.snapshot(uow.reading(), scope)

    async def sell(work: Work) -> list[str]:
        return await catalog.count_uses(work, scope, held, [promo])

    over = await asyncio.gather(*(uow.run(sell) for _ in range(50)))
    assert sorted(over) == [[]] * 7 + [[promo]] * 43
    assert park.mongo["rule_uses"].find_one({"_id": promo})["used"] == 7
    assert await cost(owner, package, **code) == 10_000
    cart = {"lines": [{"package_id": package, "qty": 1}], **code}
    (skipped,) = [
        each
        for each in (await owner.data("POST", PREVIEW, cart))["trace"]
        if each["rule_id"] == promo
    ]
    assert skipped["applied"] is False

    async def void(work: Work) -> None:
        await catalog.give_back_uses(work, scope, held, [promo])

    await uow.run(void)
    assert await cost(owner, package, **code) == 5_000
    await asyncio.gather(*(uow.run(void) for _ in range(8)))
    assert park.mongo["rule_uses"].find_one({"_id": promo})["used"] == 0


async def test_R9_a_sale_that_is_given_up_uses_nothing_and_rules_without_a_cap_are_not_counted(
    owner: Outsider, park: OwnPark, uow: UnitOfWork
) -> None:
    package = await ride(owner)
    capped = rule("line_amount", {"amount": 1}, package, max_uses=1)
    free = rule("line_percent", {"percent": 1}, package)
    ids = [(await owner.data("POST", RULES, body))["rule_id"] for body in (capped, free)]
    scope = scope_of(park, owner)
    held = await catalog.snapshot(uow.reading(), scope)

    async def given_up(work: Work) -> None:
        assert await catalog.count_uses(work, scope, held, ids) == []
        raise RuntimeError

    with pytest.raises(RuntimeError):
        await uow.run(given_up)
    used = {
        each["_id"]: each["used"] for each in park.mongo["rule_uses"].find({"_id": {"$in": ids}})
    }
    assert used == dict.fromkeys(ids, 0)

    async def sell(work: Work) -> list[str]:
        return await catalog.count_uses(work, scope, held, ids)

    assert [await uow.run(sell) for _ in range(2)] == [[], ids[:1]]
    assert park.mongo["rule_uses"].find_one({"_id": ids[1]})["used"] == 0


async def test_R9_a_tenants_cap_is_counted_over_all_its_stores(
    owner: Outsider, branch: Outsider, park: OwnPark, uow: UnitOfWork
) -> None:
    body = rule("promo_code", {"code": "ONCE", "percent": 5_000}, scope="tenant", max_uses=1)
    promo = (await owner.data("POST", RULES, body))["rule_id"]
    over = []
    for client in (owner, branch):
        scope = scope_of(park, client)
        held = await catalog.snapshot(uow.reading(), scope)

        async def sell(work: Work, scope: Scope = scope, held: Any = held) -> list[str]:
            return await catalog.count_uses(work, scope, held, [promo])

        over.append(await uow.run(sell))
    assert over == [[], [promo]]
    there = await ride(branch)
    assert await cost(branch, there, promo_codes=["ONCE"]) == 10_000
