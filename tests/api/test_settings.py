"""Settings: where each value comes from, who may change it, and what it does to prices (R46)."""

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from typing import Any, NoReturn

import pytest
from pymongo.errors import AutoReconnect, OperationFailure

from playpark.contracts.settings import Features, StoreSettings
from playpark.ids import new_ulid
from tests.api.inside import Inside, inside
from tests.api.own_park import OWNER, OwnPark, own_park, refused
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
    shown_only = {name: told.pop(name) for name in ("features", "billing", "receipt")}
    assert told == StoreSettings().model_dump(mode="json")
    assert shown_only["features"] == Features().model_dump(mode="json")
    sources = {each["source"] for name in told for each in view["sections"][name].values()}
    assert (sources, view["version"], view["stale"]) == ({"default"}, 0, False)


async def test_what_is_kept_elsewhere_is_shown_here_and_changed_there(
    owner: Outsider, park: OwnPark
) -> None:
    store = park.mongo["stores"].find_one({"name": "Main Gate"})
    trial = {"$set": {"trial_until": "2026-12-31"}}
    park.mongo["tenants"].update_one({"_id": store["tenant_id"]}, trial)
    sections = (await owner.data("GET", PATH))["sections"]
    assert sections["receipt"]["header"] == {"value": store["receipt_header"], "source": "store"}
    assert sections["receipt"]["paper_width_mm"] == {"value": 80, "source": "default"}
    assert sections["billing"] == {
        "plan": {"value": "standard", "source": "tenant"},
        "trial_from": {"value": None, "source": "default"},
        "trial_until": {"value": "2026-12-31", "source": "tenant"},
    }
    for section, where in (
        ("features", "PUT /v1/feature_flags"),
        ("billing", "operator"),
        ("receipt", "PATCH /v1/stores/{store_id}"),
    ):
        body = {"sections": {section: dict.fromkeys(sections[section], 1)}}
        status, error = await refused(owner, "PUT", PATH, body)
        (problem,) = error["details"]["errors"]
        assert (status, error["code"], problem["field"]) == (422, "E_VALIDATION", section)
        assert where in problem["problem"]
    assert (await owner.data("GET", PATH))["sections"] == sections


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


async def test_R44_the_whole_tenant_is_changed_by_who_may_in_every_store(
    owner: Outsider, park: OwnPark
) -> None:
    """A role in one store does not reach into the others."""
    store, other = park.mongo["stores"].find_one({"name": "Main Gate"}), new_ulid()
    park.mongo["stores"].insert_one({**store, "_id": other, "store_id": other, "name": "Pier"})
    before = await owner.data("GET", PATH)
    body = {"scope": "tenant", "sections": {"money": {"cash_step": 25}}}
    status, error = await refused(owner, "PUT", PATH, body)
    assert (status, error["code"]) == (403, "E_PERMISSION")
    assert (error["details"]["permission"], error["details"]["everywhere"]) == (
        "settings_write",
        True,
    )
    assert await owner.data("GET", PATH) == before
    # A store that is closed has nothing to say.
    park.mongo["stores"].update_one({"_id": other}, {"$set": {"active": False}})
    await put(owner, "tenant", money={"cash_step": 25})
    await put(owner, "tenant", money={"cash_step": None})
    park.mongo["stores"].delete_one({"_id": other})


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


# --- while the database does not answer -------------------------------------------------


class Broken:
    """A collection that cannot be read."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def find(self, *_: Any, **__: Any) -> NoReturn:
        raise self._error


AWAY, BUG = AutoReconnect("away"), OperationFailure("no such operator", 2)


@pytest.fixture(scope="module")
async def within(mongo_uri: str, database: str) -> AsyncIterator[Inside]:
    async with inside(mongo_uri, f"{database}_stale") as park:
        yield park


@pytest.mark.parametrize(
    ("path", "collection"), [("/settings", "settings"), ("/feature_flags", "feature_flags")]
)
async def test_R46_what_cannot_be_read_is_answered_from_the_last_good_copy_and_counted(
    within: Inside, monkeypatch: pytest.MonkeyPatch, path: str, collection: str
) -> None:
    async def counted() -> int:
        text = (await within.http.get("/metrics")).text
        found = re.search(rf'playpark_stale_reads_total{{what="{collection}"}} (\d+)', text)
        return int(found[1]) if found else 0

    pos = await within.device("POS")
    stranger = await Outsider(within.http).pair("POS", "DEMO-OTHER-PARK")
    good = await pos.data("GET", f"/v1{path}")
    assert (good["stale"], await counted()) == (False, 0)
    with monkeypatch.context() as patch:
        patch.setitem(within.platform.mongo._collections, collection, Broken(AWAY))
        assert await pos.data("GET", f"/v1{path}") == good | {"stale": True}
        assert await counted() == 1
        # Nobody has ever read this one here.
        answer = await stranger.call("GET", f"/v1{path}")
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "E_UNAVAILABLE")
        assert await counted() == 1
    assert await pos.data("GET", f"/v1{path}") == good


async def test_R46_a_fault_of_ours_is_no_outage(
    within: Inside, monkeypatch: pytest.MonkeyPatch
) -> None:
    pos = await within.device("POS")
    await pos.data("GET", PATH)
    monkeypatch.setitem(within.platform.mongo._collections, "settings", Broken(BUG))
    answer = await pos.call("GET", PATH)
    assert (answer.status_code, answer.json()["error"]["code"]) == (500, "E_INTERNAL")


async def test_R46_the_last_good_copy_is_what_this_process_changed_last(
    within: Inside, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner = await (await within.device("ADMIN")).staff(**OWNER)
    await put(owner, "store", sales={"parked_hours": 7})
    monkeypatch.setitem(within.platform.mongo._collections, "settings", Broken(AWAY))
    found = await owner.data("GET", PATH)
    assert found["stale"]
    assert found["sections"]["sales"]["parked_hours"] == {"value": 7, "source": "store"}
