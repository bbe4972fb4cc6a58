"""Settings: where each value comes from, who may change it, and what it does to prices (R46)."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from playpark.contracts.settings import StoreSettings
from tests.api.own_park import OWNER, OwnPark, own_park
from tests.outside import CASHIER, Outsider

PATH = "/v1/settings"


@pytest.fixture(scope="module")
def park(mongo_uri: str, database: str) -> Iterator[OwnPark]:
    with own_park(mongo_uri, f"{database}_settings") as park:
        yield park


@pytest.fixture(scope="module")
async def owner(park: OwnPark) -> AsyncIterator[Outsider]:
    async with park.connect("ADMIN", **OWNER) as owner:
        yield owner


@pytest.fixture(scope="module")
async def pos(park: OwnPark) -> AsyncIterator[Outsider]:
    async with park.connect("POS", **CASHIER) as pos:
        yield pos


async def put(client: Outsider, scope: str, **sections: Any) -> Any:
    return await client.data("PUT", PATH, {"scope": scope, "sections": sections})


async def test_R46_the_store_beats_the_tenant_and_the_tenant_the_default(
    owner: Outsider, pos: Outsider
) -> None:
    async def step() -> tuple[int, str]:
        found = (await pos.data("GET", PATH))["sections"]["money"]["cash_step"]
        return found["value"], found["source"]

    assert await step() == (1, "default")
    await put(owner, "tenant", money={"cash_step": 25})
    assert await step() == (25, "tenant")
    await put(owner, "store", money={"cash_step": 100})
    assert await step() == (100, "store")
    await put(owner, "tenant", money={"cash_step": 50})
    assert await step() == (100, "store")
    await put(owner, "store", money={"cash_step": None})
    assert await step() == (50, "tenant")
    await put(owner, "tenant", money={"cash_step": None})
    assert await step() == (1, "default")


async def test_R46_without_overrides_every_setting_has_its_default(park: OwnPark) -> None:
    async with park.connect("POS", "DEMO-OTHER-PARK") as stranger:
        view = await stranger.data("GET", PATH)
    told = {
        section: {name: each["value"] for name, each in values.items()}
        for section, values in view["sections"].items()
    }
    assert told == StoreSettings().model_dump(mode="json")
    sources = {each["source"] for values in view["sections"].values() for each in values.values()}
    assert (sources, view["version"]) == ({"default"}, 0)


async def test_R46_a_change_reaches_the_price_of_other_devices_on_their_next_request(
    owner: Outsider, pos: Outsider
) -> None:
    packages = await pos.packages()
    package = packages["Adult day pass"]["package_id"]
    staff = next(
        each["discount_id"]
        for each in (await pos.data("GET", "/v1/catalog/discounts"))["items"]
        if each["level"] == "cart"
    )
    cart = {"lines": [{"package_id": package, "qty": 1}], "discount_ids": [staff]}
    cash = {"payments": [{"method": "cash", "amount": 0}]}

    async def rounding(**more: Any) -> tuple[int, int]:
        priced = await pos.data("POST", "/v1/pricing/preview", cart | more)
        return priced["grand_total"], priced["cash_rounding"]

    before = await pos.data("GET", "/v1/catalog/snapshot")
    assert await rounding(**cash) == (15_920, 0)
    version = (await put(owner, "store", money={"cash_step": 100}))["version"]
    assert await rounding(**cash) == (15_900, -20)
    assert await rounding() == (15_920, 0)
    after = await pos.data("GET", "/v1/catalog/snapshot")
    assert after["catalog_version"] == before["catalog_version"] + 1
    assert after["settings"]["money"]["cash_step"] == 100
    again = await put(owner, "store", money={"cash_step": None})
    assert again["version"] == version + 1
    assert await rounding(**cash) == (15_920, 0)


async def test_a_change_is_audited_with_old_and_new_values(owner: Outsider, park: OwnPark) -> None:
    await put(owner, "store", sales={"parked_hours": 5})
    await put(owner, "store", sales={"parked_hours": 6, "refund_by_amount": True})
    row = park.mongo["audits"].find_one(sort=[("ts", -1), ("seq", -1)])
    me = await owner.data("GET", "/v1/employees/me")
    assert (row["event_type"], row["actor_id"]) == ("settings.changed", me["employee_id"])
    assert row["payload"] == {
        "scope": "store",
        "changes": [
            {"setting": "sales.parked_hours", "old": 5, "new": 6},
            {"setting": "sales.refund_by_amount", "old": None, "new": True},
        ],
    }


@pytest.mark.parametrize(
    ("sections", "named"),
    [
        ({"magic": {"x": 1}}, "magic"),
        ({"money": {"magic": 1}}, "money.magic"),
        ({"money": {"cash_step": 2}}, "money.cash_step"),
        ({"money": {"cash_step": True}}, "money.cash_step"),
        ({"money": {"cash_step": {"$gt": 0}}}, "money.cash_step"),
        ({"money": {"vat_mode": "never"}}, "money.vat_mode"),
        ({"money": {"manual_discount_limit": -1}}, "money.manual_discount_limit"),
        ({"sales": {"without_shift": 1}}, "sales.without_shift"),
        ({"sales": {"parked_hours": 10**12}}, "sales.parked_hours"),
        ({"reprints": {"per_device": "50"}}, "reprints.per_device"),
        ({"money": {"a.b": 1}}, "money.a.b"),
        ({"money": {"$inc": 1}}, "money.$inc"),
        ({"money": {"magic": None}}, "money.magic"),
    ],
)
async def test_a_wrong_setting_is_named_and_nothing_of_the_request_is_kept(
    owner: Outsider, park: OwnPark, sections: dict[str, dict[str, Any]], named: str
) -> None:
    before = await owner.data("GET", PATH)
    rows = park.mongo["audits"].count_documents({})
    body = {"sections": {"shifts": {"variance_tolerance": 7}} | sections}
    response = await owner.call("PUT", PATH, body)
    error = response.json()["error"]
    assert (response.status_code, error["code"]) == (422, "E_VALIDATION")
    assert [problem["field"] for problem in error["details"]["errors"]] == [named]
    assert await owner.data("GET", PATH) == before
    assert park.mongo["audits"].count_documents({}) == rows


@pytest.mark.parametrize(
    "body",
    [
        {"sections": {}},
        {"sections": {"money": {}}},
        {"sections": {"money": 1}},
        {"sections": {"money": {"cash_step": 25}}, "tenant_id": "x"},
        {"scope": "park", "sections": {"money": {"cash_step": 25}}},
    ],
)
async def test_a_request_that_sets_nothing_or_too_much_is_refused(
    owner: Outsider, body: Any
) -> None:
    assert (await owner.call("PUT", PATH, body)).status_code == 422


async def test_R40_only_who_may_write_settings_changes_them(pos: Outsider) -> None:
    for scope in ("store", "tenant"):
        body = {"scope": scope, "sections": {"money": {"cash_step": 25}}}
        response = await pos.call("PUT", PATH, body)
        assert response.status_code == 403
        assert response.json()["error"]["details"] == {
            "reason": "permission",
            "permission": "settings_write",
        }


async def test_changes_of_several_people_at_once_all_stand(park: OwnPark, owner: Outsider) -> None:
    """The very first ones, too: there is no document yet that they could follow each other on."""
    park.mongo["settings"].delete_many({})
    changes = [
        ("store", {"shifts": {"variance_tolerance": 1}}),
        ("store", {"reprints": {"per_device": 2}}),
        ("store", {"reprints": {"per_employee": 3}}),
        ("tenant", {"sales": {"parked_hours": 4}}),
        ("tenant", {"loyalty": {"point_value": 5}}),
        ("tenant", {"loyalty": {"satang_per_point": 6}}),
    ]
    async with park.owners(6) as people:
        told_by = zip(people, changes, strict=True)
        await asyncio.gather(*(put(each, scope, **told) for each, (scope, told) in told_by))
    settings = (await owner.data("GET", "/v1/catalog/snapshot"))["settings"]
    for _, told in changes:
        for section, values in told.items():
            assert values.items() <= settings[section].items()
    assert (await owner.data("GET", PATH))["version"] == 6
