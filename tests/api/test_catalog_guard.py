"""What may be written into a catalogue, and by whom (R18, R40, R44)."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

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
    with own_park(mongo_uri, f"{database}_guard") as park:
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


# --- references -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("packages", RIDE | {"tax_id": "{}"}, "tax_id"),
        ("packages", RIDE | {"zones": ["{}"]}, "zones"),
        ("packages", RIDE | {"allowed_devices": ["{}"]}, "allowed_devices"),
        (
            "packages",
            RIDE | {"kind": "bundle", "components": [{"package_id": "{}", "qty": 1}]},
            "components",
        ),
        ("price_lists", {"name": "x", "prices": {"{}": 1}}, "prices"),
        ("price_lists", {"name": "x", "scope": "tenant", "prices": {"{}": 1}}, "prices"),
        ("discounts", DISCOUNT | {"package_ids": ["{}"]}, "package_ids"),
        ("rules", RULE | {"targets": {"package_ids": ["{}"]}}, "targets.package_ids"),
        (
            "rules",
            RULE
            | {
                "kind": "bundle",
                "params": {"price": 1, "components": [{"package_id": "{}", "qty": 1}]},
            },
            "params.components",
        ),
    ],
)
async def test_what_is_not_there_cannot_be_named_and_neither_can_another_tenants(
    owner: Outsider, stranger: Outsider, path: str, body: Any, field: str
) -> None:
    theirs = await stranger.data("GET", "/v1/catalog/snapshot")
    foreign = {
        "tax_id": theirs["taxes"][0]["tax_id"],
        "zones": theirs["zones"][0]["zone_id"],
        "allowed_devices": stranger.device["device_id"],
    }.get(field, theirs["packages"][0]["package_id"])
    address = f"/v1/{'pricing' if path == 'rules' else 'catalog'}/{path}"
    answers = [
        await refused(owner, "POST", address, filled(body, reference))
        for reference in (new_ulid(), foreign)
    ]
    assert answers[0] == answers[1]
    status, error = answers[0]
    assert (status, error["code"], error["details"]) == (422, "E_VALIDATION", {"field": field})
    assert error["message"].endswith(".")


def filled(value: Any, reference: str) -> Any:
    """`value` with the reference wherever it says `{}`."""
    if isinstance(value, dict):
        return {filled(k, reference): filled(v, reference) for k, v in value.items()}
    if isinstance(value, list):
        return [filled(each, reference) for each in value]
    return reference if value == "{}" else value


async def test_R18_a_bundle_holds_tickets_that_are_on_sale(owner: Outsider) -> None:
    path = "/v1/catalog/packages"
    ride = await owner.data("POST", path, RIDE)
    parts = [{"package_id": ride["package_id"], "qty": 2}]
    bundle_body = RIDE | {"kind": "bundle", "name": "Two rides", "components": parts}
    bundle = await owner.data("POST", path, bundle_body)
    nested = bundle_body | {"components": [{"package_id": bundle["package_id"], "qty": 1}]}
    for body in (nested, bundle_body | {"components": []}, RIDE | {"components": parts}):
        status, error = await refused(owner, "POST", path, body)
        assert (status, error["details"]["field"]) == (422, "components")
    off = await refused(owner, "PATCH", f"{path}/{ride['package_id']}", {"active": False})
    assert off[0] == 422
    assert "Two rides" in off[1]["message"]
    await owner.data("PATCH", f"{path}/{bundle['package_id']}", {"active": False})
    await owner.data("PATCH", f"{path}/{ride['package_id']}", {"active": False})


async def test_a_zone_that_tickets_on_sale_admit_to_stays_in_use(owner: Outsider) -> None:
    zone = await owner.data("POST", "/v1/catalog/zones", ZONE)
    ride = await owner.data("POST", "/v1/catalog/packages", RIDE | {"zones": [zone["zone_id"]]})
    path = f"/v1/catalog/zones/{zone['zone_id']}"
    status, error = await refused(owner, "PATCH", path, {"active": False})
    assert (status, error["code"]) == (422, "E_VALIDATION")
    snapshot = await owner.data("GET", "/v1/catalog/snapshot")
    assert zone["zone_id"] in {each["zone_id"] for each in snapshot["zones"]}
    # Off sale it may be changed while its zone is closed, but not sold again.
    package = f"/v1/catalog/packages/{ride['package_id']}"
    await owner.data("PATCH", package, {"active": False})
    await owner.data("PATCH", path, {"active": False})
    await owner.data("PATCH", package, {"price": 1})
    status, error = await refused(owner, "PATCH", package, {"active": True})
    assert (status, error["code"]) == (422, "E_VALIDATION")


# --- who may ----------------------------------------------------------------------------

WRITES = [
    ("/v1/catalog/packages", RIDE, {"price": 1}),
    ("/v1/catalog/zones", ZONE, {"credit_price": 1}),
    ("/v1/catalog/taxes", TAX, {"rate": 1}),
    ("/v1/catalog/price_lists", {"name": "x", "prices": {new_ulid(): 1}}, {"priority": 1}),
    ("/v1/catalog/discounts", DISCOUNT, {"active": False}),
    ("/v1/catalog/payment_types", CARD, {"active": False}),
    ("/v1/receipt_templates", {"name": "Loy Krathong"}, {"footer": ["See you"]}),
    ("/v1/pricing/rules", RULE, {"active": True}),
]


@pytest.mark.parametrize(("path", "body", "patch"), WRITES)
async def test_R40_only_who_may_write_the_catalogue_writes_it(
    pos: Outsider, path: str, body: Any, patch: Any
) -> None:
    before = await version(pos)
    for method, address, sent in (
        ("POST", path, body),
        ("PATCH", f"{path}/{new_ulid()}", patch),
    ):
        status, error = await refused(pos, method, address, sent)
        assert (status, error["code"]) == (403, "E_PERMISSION")
        assert error["details"] == {"reason": "permission", "permission": "catalog_write"}
    assert await version(pos) == before


@pytest.mark.parametrize(("path", "body", "patch"), WRITES)
async def test_R44_another_tenants_entry_answers_like_an_unknown_one(
    owner: Outsider, stranger: Outsider, park: OwnPark, path: str, body: Any, patch: Any
) -> None:
    """The other tenant's entries are put into the database: it has nobody who may write."""
    collection = "pricing_rules" if path.endswith("rules") else path.rsplit("/", 1)[1]
    theirs = await stranger.data("GET", "/v1/catalog/snapshot")
    own = await owner.data("GET", "/v1/catalog/snapshot")
    if "prices" in body:
        body = body | {"prices": {own["packages"][0]["package_id"]: 1}, "active": False}
    made = await owner.data("POST", path, body)
    entry = park.mongo[collection].find_one({"_id": next(iter(made.values()))})
    tenant_id = park.mongo["stores"].find_one({"_id": theirs["store_id"]})["tenant_id"]
    for place in ({"store_id": theirs["store_id"]}, {"store_id": None}):
        copy = entry | {"_id": new_ulid(), "tenant_id": tenant_id} | place
        park.mongo[collection].insert_one(copy)
        answers = [
            await refused(owner, "PATCH", f"{path}/{entry_id}", patch)
            for entry_id in (copy["_id"], new_ulid())
        ]
        assert answers[0] == answers[1]
        assert (answers[0][0], answers[0][1]["code"]) == (404, "E_NOT_FOUND")
        listed = await owner.data("GET", path, limit=200)
        assert copy["_id"] not in str(listed)
        park.mongo[collection].delete_one({"_id": copy["_id"]})


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("packages", RIDE | {"tenant_id": "x"}),
        ("packages", RIDE | {"package_id": "x"}),
        ("packages", RIDE | {"price": 10**12 + 1}),
        ("packages", RIDE | {"price": -1}),
        ("packages", RIDE | {"price": "12000"}),
        ("packages", RIDE | {"price": True}),
        ("packages", RIDE | {"kind": "multi", "quota_or_minutes": 0}),
        ("packages", RIDE | {"quota_or_minutes": 2}),
        ("packages", RIDE | {"zones": [{"$gt": ""}]}),
        ("packages", RIDE | {"active": "yes"}),
        ("packages", RIDE | {"name": "x" * 121}),
        ("packages", RIDE | {"window": {"from_time": "25:00", "to_time": "26:00"}}),
        ("packages", RIDE | {"window": {"from_time": "10:00"}}),
        ("packages", RIDE | {"window": {"weekdays": [0] * 8}}),
        ("packages", RIDE | {"visible_on": ["POS"] * 3}),
        ("taxes", TAX | {"mode": "exempt"}),
        ("zones", ZONE | {"store_id": "x"}),
        ("discounts", DISCOUNT | {"amount": 1}),
        ("discounts", DISCOUNT | {"percent": 10_001}),
        ("payment_types", CARD | {"method": "cash"}),
        ("price_lists", {"name": "x", "prices": {"$where": 1}}),
        ("rules", RULE | {"params": {"amount": 1}}),
        ("rules", RULE | {"params": {"percent": 1, "amount": 1}}),
        ("rules", RULE | {"params": {"percent": 0}}),
        ("rules", RULE | {"max_uses": 0}),
        ("rules", RULE | {"targets": {"channels": ["POS"] * 3}}),
        ("rules", RULE | {"used": 0}),
    ],
)
async def test_what_the_contract_does_not_have_is_refused(
    owner: Outsider, path: str, body: Any
) -> None:
    address = f"/v1/{'pricing' if path == 'rules' else 'catalog'}/{path}"
    status, error = await refused(owner, "POST", address, body)
    assert (status, error["code"]) == (422, "E_VALIDATION")


@pytest.mark.parametrize(
    "patch",
    [{"name": None}, {"price": None}, {"kind": "multi"}, {"zones": None}, {"tenant_id": "x"}],
)
async def test_a_patch_empties_only_what_may_be_empty(owner: Outsider, patch: Any) -> None:
    ride = await owner.data("POST", "/v1/catalog/packages", RIDE)
    path = f"/v1/catalog/packages/{ride['package_id']}"
    status, error = await refused(owner, "PATCH", path, patch)
    assert (status, error["code"]) == (422, "E_VALIDATION")
    (problem,) = error["details"]["errors"]
    assert problem["field"].rsplit(".", 1)[-1] in patch


async def test_a_discount_stays_a_percentage_or_an_amount(owner: Outsider) -> None:
    made = await owner.data("POST", "/v1/catalog/discounts", DISCOUNT)
    path = f"/v1/catalog/discounts/{made['discount_id']}"
    for patch in ({"amount": 100}, {"percent": None}, {"percent": None, "amount": 100}):
        assert (await refused(owner, "PATCH", path, patch))[0] == 422
