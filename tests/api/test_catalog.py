"""Keeping the catalogue: lists, versions, references, who may, and what is told (R12, R13, R43)."""

import hashlib
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest

from api.app import prepare
from api.demo_park import demo_id, load_demo_park
from api.platform.mongo import Mongo
from api.platform.settings import Settings
from playpark.canonical import canonical_json
from playpark.ids import new_ulid
from tests.api.own_park import OWNER, OwnPark, own_park, refused
from tests.outside import CASHIER, Outsider

RIDE = {"name": "Log flume", "name_th": "ล่องแก่ง", "kind": "single", "price": 12_000}
ZONE = {"name": "Maze", "name_th": "เขาวงกต", "credit_price": 2_500}
TAX = {"name": "VAT", "rate": 700, "mode": "exclusive"}
DISCOUNT = {"name": "Local", "name_th": "คนท้องถิ่น", "level": "line", "percent": 500}
CARD = {"name": "Amex", "name_th": "แอมเม็กซ์", "method": "card", "surcharge_percent": 250}
RULE = {
    "name": "Rain",
    "name_th": "ฝนตก",
    "kind": "cart_percent",
    "params": {"percent": 100},
    "active": False,
}


@pytest.fixture(scope="module")
def park(mongo_uri: str, database: str) -> Iterator[OwnPark]:
    with own_park(mongo_uri, f"{database}_catalog") as park:
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
async def stranger(park: OwnPark) -> AsyncIterator[Outsider]:
    """A device of another tenant."""
    async with park.connect("POS", "DEMO-OTHER-PARK") as stranger:
        yield stranger


async def version(client: Outsider) -> int:
    return int((await client.data("GET", "/v1/catalog/snapshot"))["catalog_version"])


def last_audit(park: OwnPark) -> dict[str, Any]:
    row: dict[str, Any] = park.mongo["audits"].find_one(sort=[("ts", -1), ("seq", -1)])
    return row


# --- versions ---------------------------------------------------------------------------


async def test_R12_a_change_is_the_next_version_and_every_device_sees_it_on_its_next_request(
    owner: Outsider, pos: Outsider
) -> None:
    before = await version(pos)
    ride = await owner.data("POST", "/v1/catalog/packages", RIDE)
    assert await version(pos) == before + 1
    shown = {each["package_id"]: each for each in (await pos.packages()).values()}
    assert shown[ride["package_id"]] == ride
    path = f"/v1/catalog/packages/{ride['package_id']}"
    await owner.data("PATCH", path, {"price": 13_000})
    cart = {"lines": [{"package_id": ride["package_id"], "qty": 2}]}
    priced = await pos.data("POST", "/v1/pricing/preview", cart)
    assert (priced["grand_total"], priced["catalog_version"]) == (26_000, before + 2)


async def test_R12_old_versions_stay_and_carry_the_hash_of_their_content(
    owner: Outsider, park: OwnPark
) -> None:
    await owner.data("POST", "/v1/catalog/zones", ZONE)
    present = await owner.data("GET", "/v1/catalog/snapshot")
    stored = list(
        park.mongo["catalog_snapshots"].find({"store_id": present["store_id"]}).sort("version", 1)
    )
    assert [each["version"] for each in stored] == list(range(1, present["catalog_version"] + 1))
    for each in stored:
        assert each["hash"] == hashlib.sha256(canonical_json(each["content"])).hexdigest()
    content = {
        key: value
        for key, value in present.items()
        if key not in {"catalog_version", "hash", "store_id"}
    }
    assert present["hash"] == hashlib.sha256(canonical_json(content)).hexdigest()


async def test_R12_an_unchanged_catalogue_is_answered_by_304(
    owner: Outsider, pos: Outsider
) -> None:
    async def fetch(etag: str) -> httpx.Response:
        headers = {"Authorization": f"Bearer {pos.token}", "If-None-Match": etag}
        return await pos.http.get("/v1/catalog/snapshot", headers=headers)

    first = await fetch('"nothing"')
    assert first.status_code == 200
    etag = first.headers["ETag"]
    assert first.json()["data"]["hash"] in etag
    for known in (etag, f"W/{etag}", f'"other", {etag}', "*"):
        again = await fetch(known)
        assert (again.status_code, again.content) == (304, b"")
        assert again.headers["ETag"] == etag
    await owner.data("POST", "/v1/catalog/zones", ZONE)
    changed = await fetch(etag)
    assert changed.status_code == 200
    assert changed.headers["ETag"] != etag


async def test_a_patch_that_changes_nothing_makes_no_version_and_no_audit_row(
    owner: Outsider, park: OwnPark
) -> None:
    ride = await owner.data("POST", "/v1/catalog/packages", RIDE)
    before, rows = await version(owner), park.mongo["audits"].count_documents({})
    path = f"/v1/catalog/packages/{ride['package_id']}"
    for patch in ({}, {"price": ride["price"], "name": ride["name"]}):
        assert await owner.data("PATCH", path, patch) == ride
    assert await version(owner) == before
    assert park.mongo["audits"].count_documents({}) == rows


async def test_a_refused_change_leaves_no_version_behind(owner: Outsider, park: OwnPark) -> None:
    before = await version(owner)
    body = RIDE | {"zones": [new_ulid()]}
    assert (await refused(owner, "POST", "/v1/catalog/packages", body))[0] == 422
    assert await version(owner) == before
    assert not park.mongo["packages"].find_one({"zones": body["zones"]})


async def test_every_change_is_audited_with_who_and_old_and_new_values(
    owner: Outsider, park: OwnPark
) -> None:
    ride = await owner.data("POST", "/v1/catalog/packages", RIDE)
    created = last_audit(park)
    me = await owner.data("GET", "/v1/employees/me")
    assert (created["event_type"], created["entity_id"]) == ("package.created", ride["package_id"])
    assert created["actor_id"] == me["employee_id"]
    assert {"field": "price", "old": None, "new": 12_000} in created["payload"]["changes"]
    path = f"/v1/catalog/packages/{ride['package_id']}"
    window = {"from_time": "09:00", "to_time": "21:00"}
    await owner.data("PATCH", path, {"price": 11_000, "window": window})
    changed = last_audit(park)
    assert changed["event_type"] == "package.changed"
    told = {each["field"]: (each["old"], each["new"]) for each in changed["payload"]["changes"]}
    assert told.keys() == {"price", "window"}
    assert told["price"] == (12_000, 11_000)
    (published,) = changed["payload"]["catalog_versions"]
    assert published["version"] == await version(owner)


# --- the lists --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "key", "body", "patch"),
    [
        ("/v1/catalog/zones", "zone_id", ZONE, {"credit_price": None, "active": False}),
        ("/v1/catalog/taxes", "tax_id", TAX, {"rate": 1_000}),
        ("/v1/catalog/discounts", "discount_id", DISCOUNT, {"percent": 700, "active": False}),
        ("/v1/catalog/payment_types", "payment_type_id", CARD, {"surcharge_percent": 300}),
        ("/v1/pricing/rules", "rule_id", RULE, {"params": {"percent": 200}, "max_uses": 5}),
    ],
)
async def test_an_entry_is_made_listed_and_changed(
    owner: Outsider, pos: Outsider, path: str, key: str, body: Any, patch: Any
) -> None:
    made = await owner.data("POST", path, body)
    assert body.items() <= {**made, "params": body.get("params")}.items()
    changed = await owner.data("PATCH", f"{path}/{made[key]}", patch)
    assert patch.items() <= {**changed, "params": patch.get("params")}.items()
    page = await pos.data("GET", path, limit=1)
    assert page["items"] == [changed]
    assert page["next_cursor"]
    rest = await pos.data("GET", path, limit=200, cursor=page["next_cursor"])
    assert made[key] not in {each[key] for each in rest["items"]}
    assert rest["items"]
    assert rest["next_cursor"] is None


async def test_a_price_list_is_made_listed_and_changed(owner: Outsider, pos: Outsider) -> None:
    ride = await owner.data("POST", "/v1/catalog/packages", RIDE)
    body = {
        "name": "Songkran",
        "prices": {ride["package_id"]: 9_900},
        "starts_at": "2026-04-13T00:00:00+07:00",
        "ends_at": "2026-04-16T00:00:00+07:00",
    }
    made = await owner.data("POST", "/v1/catalog/price_lists", body)
    assert made["starts_at"] == "2026-04-12T17:00:00.000Z"
    path = f"/v1/catalog/price_lists/{made['price_list_id']}"
    backwards = {"ends_at": "2026-04-12T00:00:00+07:00"}
    assert (await refused(owner, "PATCH", path, backwards))[0] == 422
    changed = await owner.data("PATCH", path, {"ends_at": None, "active": False})
    assert (changed["ends_at"], changed["active"], changed["scope"]) == (None, False, "store")
    assert (await pos.data("GET", "/v1/catalog/price_lists", limit=1))["items"] == [changed]


async def test_R13_what_is_inactive_or_out_of_its_window_is_not_in_the_catalogue(
    owner: Outsider, pos: Outsider
) -> None:
    over = {"ends_at": "2020-01-01T00:00:00Z"}
    hidden = [
        await owner.data("POST", "/v1/catalog/packages", RIDE | more)
        for more in ({"active": False}, {"window": over})
    ]
    listed = {each["package_id"] for each in (await pos.packages()).values()}
    for ride in hidden:
        assert ride["package_id"] not in listed
        cart = {"lines": [{"package_id": ride["package_id"], "qty": 1}]}
        status, error = await refused(pos, "POST", "/v1/pricing/preview", cart)
        assert (status, error["code"]) == (409, "E_INACTIVE_PACKAGE")
    path = f"/v1/catalog/packages/{hidden[1]['package_id']}"
    assert (await owner.data("PATCH", path, {"window": None}))["window"] is None
    listed = {each["package_id"] for each in (await pos.packages()).values()}
    assert hidden[1]["package_id"] in listed


async def test_a_package_without_a_tax_gets_the_stores_first(owner: Outsider) -> None:
    taxes = (await owner.data("GET", "/v1/catalog/taxes", limit=200))["items"]
    ride = await owner.data("POST", "/v1/catalog/packages", RIDE)
    assert ride["tax_id"] == min(each["tax_id"] for each in taxes)


async def test_a_store_is_named_only_by_its_own_token(owner: Outsider, stranger: Outsider) -> None:
    foreign = (await stranger.data("GET", "/v1/catalog/snapshot"))["store_id"]
    own = (await owner.data("GET", "/v1/catalog/snapshot"))["store_id"]
    lists = ("zones", "taxes", "price_lists", "discounts", "payment_types", "packages")
    for path in [*(f"/v1/catalog/{part}" for part in lists), "/v1/pricing/rules"]:
        assert (await owner.call("GET", path, store_id=own)).status_code == 200
        for store_id in (foreign, new_ulid()):
            assert (await owner.call("GET", path, store_id=store_id)).status_code == 404


# --- the demo park ----------------------------------------------------------------------


async def test_the_demo_park_adds_what_is_missing_and_leaves_what_was_changed(
    mongo_uri: str, database: str
) -> None:
    connection = Mongo(mongo_uri, f"{database}_demo_park")
    await connection.client.drop_database(connection.db.name)
    platform = await prepare(Settings(), connection, demo=True)
    stores, packages = connection.db["stores"], connection.db["packages"]
    adult, promo = demo_id("package", "adult"), demo_id("rule", "family10")
    await packages.update_one({"_id": adult}, {"$set": {"price": 1}})
    for missing in ("pricing_rules", "rule_uses"):
        await connection.db[missing].delete_one({"_id": promo})
    await connection.db["reason_codes"].delete_one({"code": "customer_request"})
    for _ in range(2):
        await load_demo_park(platform)
    assert await connection.db["pricing_rules"].count_documents({"_id": promo}) == 1
    assert await connection.db["rule_uses"].count_documents({"_id": promo}) == 1
    assert (await packages.find_one({"_id": adult}))["price"] == 1
    gate = await stores.find_one({"name": "Main Gate"})
    assert gate["catalog_version"] == 2
    snapshots = connection.db["catalog_snapshots"]
    latest = await snapshots.find_one({"store_id": gate["_id"], "version": 2})
    assert promo in {each["rule_id"] for each in latest["content"]["rules"]}
    assert "customer_request" in {each["code"] for each in latest["content"]["reason_codes"]}
    await connection.client.drop_database(connection.db.name)
    platform.close()
