"""Stores: opened, changed, closed, and acted in from elsewhere (R30, R40, R44)."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from playpark.ids import new_ulid
from tests.api.back_office import (
    DEVICES,
    KEYS,
    OWNER,
    STORES,
    SUPERVISOR,
    BackOffice,
    back_office,
    refusal,
)
from tests.outside import CASHIER, Outsider

RULE = {
    "name": "Everywhere",
    "name_th": "ทุกสาขา",
    "kind": "promo_code",
    "params": {"code": "ANY10", "percent": 1_000},
    "scope": "tenant",
}


@pytest.fixture(scope="module")
async def office(mongo_uri: str, database: str) -> AsyncIterator[BackOffice]:
    async with back_office(mongo_uri, f"{database}_stores") as office:
        yield office


@pytest.fixture(scope="module")
async def home(office: BackOffice) -> str:
    """The store that the owner's device belongs to."""
    stores = (await office.owner.data("GET", STORES, limit=200))["items"]
    return next(str(store["store_id"]) for store in stores if store["name"] == "Main Gate")


async def till_in(office: BackOffice, store_id: str, **who: str) -> Outsider:
    key = await office.owner.data("POST", KEYS, {"auto_approve": True}, store_id=store_id)
    till = await office.stranger().pair("POS", key["site_key"])
    return await till.staff(**who) if who else till


# --- opening ----------------------------------------------------------------------------


async def test_a_new_store_can_be_worked_in_at_once(office: BackOffice) -> None:
    body = {
        "name": "Lakeside",
        "address": "1 Lake Road",
        "receipt_header": ["สวนสนุกริมน้ำ"],
        "receipt_footer": ["See you!"],
        "paper_width_mm": 58,
        "tax_registration": "0105561234567",
        "logo_ref": "lake.png",
    }
    store = await office.owner.data("POST", STORES, body)
    assert {name: store[name] for name in body} == body
    assert (store["tz"], store["currency"], store["active"]) == ("Asia/Bangkok", "THB", True)
    there = {"store_id": store["store_id"]}
    # The owner's running login knows the store, with the same roles.
    snapshot = await office.owner.data("GET", "/v1/catalog/snapshot", **there)
    assert snapshot["catalog_version"] == 1
    assert "customer_request" in {each["code"] for each in snapshot["reason_codes"]}
    assert [(tax["rate"], tax["mode"]) for tax in snapshot["taxes"]] == [(700, "inclusive")]
    ride = {"name": "Boat", "name_th": "เรือ", "kind": "single", "price": 5_000}
    await office.owner.data("POST", "/v1/catalog/packages", ride, **there)
    till = await till_in(office, store["store_id"], **OWNER)
    await till.open_shift()
    sold = await till.sell(("Boat", 2))
    assert (sold["sale"]["grand_total"], sold["sale"]["tax_total"]) == (10_000, 654)
    at_home = await office.owner.data("GET", "/v1/catalog/packages", visible_on="POS")
    assert "Boat" not in {package["name"] for package in at_home["items"]}


async def test_the_default_tax_of_a_new_store_is_that_of_the_old(office: BackOffice) -> None:
    for rate in (1_000, 1_500):
        tax = {"name": f"Tax {rate}", "rate": rate, "mode": "inclusive"}
        await office.owner.data("POST", "/v1/catalog/taxes", tax)
    there = {"store_id": await office.store("Taxed")}
    old = (await office.owner.data("GET", "/v1/catalog/taxes"))["items"]
    new = (await office.owner.data("GET", "/v1/catalog/taxes", **there))["items"]
    assert [tax["rate"] for tax in new] == [tax["rate"] for tax in old]


async def test_the_creators_logins_on_other_devices_learn_of_a_store_too(
    office: BackOffice,
) -> None:
    other = await office.device("ADMIN", **OWNER)
    store_id = await office.store("Heard of")
    assert (await other.call("GET", DEVICES, store_id=store_id)).status_code == 200
    supervisor = await office.device("ADMIN", **SUPERVISOR)
    assert (await supervisor.call("GET", DEVICES, store_id=store_id)).status_code == 404


async def test_twenty_stores_at_once_are_twenty_stores(office: BackOffice) -> None:
    made = await asyncio.gather(*(office.store(f"Branch {n}") for n in range(20)))
    assert len(set(made)) == 20
    me = (await office.owner.data("GET", "/v1/employees/me"))["employee_id"]
    working = await office.db["memberships"].count_documents(
        {"employee_id": me, "store_id": {"$in": made}}
    )
    assert working == 20
    answers = [await office.owner.call("GET", DEVICES, store_id=each) for each in made]
    assert {answer.status_code for answer in answers} == {200}
    for store_id in made:  # out of the other tests' way
        await office.owner.data("PATCH", f"{STORES}/{store_id}", {"active": False})


async def test_R44_what_concerns_a_whole_tenant_needs_every_store(
    office: BackOffice, home: str
) -> None:
    everything = ["settings_write", "catalog_write", "device_manage"]
    second = await office.store("Needs all")
    one = await office.member({second: everything})
    both = await office.member({second: everything, home: ["sell", "reports_view"]})
    third = await office.store("Not enough either")
    most = await office.member({second: everything, third: everything})
    for who in (one, both, most):
        for path, body in ((STORES, {"name": "Mine"}), ("/v1/pricing/rules", RULE)):
            answer = await who.call("POST", path, body)
            assert refusal(answer) == (403, "E_PERMISSION"), path
            assert answer.json()["error"]["details"]["everywhere"] is True
    mine = {**RULE, "scope": "store", "params": {"code": "MINE10", "percent": 1_000}}
    assert (await one.call("POST", "/v1/pricing/rules", mine)).status_code == 200
    # The owner may, and what they made for all cannot be changed from one store.
    rule = await office.owner.data("POST", "/v1/pricing/rules", RULE)
    path = f"/v1/pricing/rules/{rule['rule_id']}"
    assert refusal(await one.call("PATCH", path, {"active": False})) == (403, "E_PERMISSION")
    assert (await office.owner.call("PATCH", path, {"active": False})).status_code == 200


async def test_a_closed_store_is_not_asked(office: BackOffice) -> None:
    """Who holds a permission in every active store needs none in a closed one."""
    closed = await office.store("Closed meanwhile")
    stores = (await office.owner.data("GET", STORES, limit=200))["items"]
    everywhere = [s["store_id"] for s in stores if s["active"] and s["store_id"] != closed]
    person = await office.member({each: ["settings_write"] for each in everywhere})
    assert refusal(await person.call("POST", STORES, {"name": "No"})) == (403, "E_PERMISSION")
    await office.owner.data("PATCH", f"{STORES}/{closed}", {"active": False})
    made = await person.data("POST", STORES, {"name": "Yes"})
    await office.owner.data("PATCH", f"{STORES}/{made['store_id']}", {"active": False})


async def test_R44_nobody_opens_a_store_over_the_owners_heads(office: BackOffice) -> None:
    stores = (await office.owner.data("GET", STORES, limit=200))["items"]
    everywhere = [store["store_id"] for store in stores if store["active"]]
    person = await office.member({each: ["settings_write"] for each in everywhere})
    made = await person.data("POST", STORES, {"name": "Behind their backs"})
    owner_now = await office.owner.data("GET", STORES, limit=200)
    assert made["store_id"] in {store["store_id"] for store in owner_now["items"]}
    assert (await office.owner.call("POST", STORES, {"name": "Still mine"})).status_code == 200
    for name in ("Behind their backs", "Still mine"):
        found = (await office.owner.data("GET", STORES, limit=200))["items"]
        (store_id,) = (each["store_id"] for each in found if each["name"] == name)
        await office.owner.data("PATCH", f"{STORES}/{store_id}", {"active": False})


# --- acting in another store ------------------------------------------------------------


async def test_R44_writes_land_in_the_store_that_is_named(office: BackOffice, home: str) -> None:
    second = await office.store("Written in")
    there = {"store_id": second}
    zone = {"name": "Pier", "name_th": "ท่าเรือ"}
    made = await office.owner.data("POST", "/v1/catalog/zones", zone, **there)
    key = await office.owner.data("POST", KEYS, {"auto_approve": True}, **there)
    device = await office.stranger().pair("GATE", key["site_key"])
    path = f"{DEVICES}/{device.device['device_id']}"
    await office.owner.data("PATCH", path, {"name": "Pier gate"}, **there)
    await office.owner.data("PATCH", f"{STORES}/{second}", {"name": "Pier"})
    for collection, entity in (
        ("zones", made["zone_id"]),
        ("devices", device.device["device_id"]),
        ("stores", second),
    ):
        stored = await office.db[collection].find_one({"_id": entity})
        assert stored["store_id"] == second, collection
    key_row = await office.db["site_keys"].find_one({"site_key_id": key["site_key_id"]})
    assert key_row["store_id"] == second
    for entity in (made["zone_id"], key["site_key_id"], second):
        last = (await office.audited(entity))[-1]
        assert last["store_id"] == second
        assert last["device_id"] == office.owner.device["device_id"]
    assert (await office.owner.call("GET", path)).status_code == 404
    listed = await office.owner.data("GET", DEVICES, **there)
    assert [each["name"] for each in listed["items"]] == ["Pier gate"]
    assert listed["items"][0]["device_id"] not in str(await office.owner.data("GET", DEVICES))
    assert home not in str(listed)


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", STORES, None),
        ("GET", DEVICES, None),
        ("GET", KEYS, None),
        ("POST", KEYS, {}),
        ("POST", STORES, {"name": "x"}),
        ("GET", "/v1/tenants/me", None),
        ("POST", "/v1/catalog/zones", {"name": "x", "name_th": "x"}),
        ("GET", "/v1/settings", None),
        ("GET", "/v1/sales", None),
    ],
)
async def test_R44_a_store_that_is_not_theirs_answers_like_an_unknown_one(
    office: BackOffice, home: str, method: str, path: str, body: Any
) -> None:
    far = await office.store("Not the supervisor's")
    theirs = (await office.db["stores"].find_one({"name": "Other Gate"}))["_id"]
    supervisor = await office.device("ADMIN", **SUPERVISOR)
    owner_at_a_till = await office.device("POS", **OWNER)
    admin_alone = await office.device("ADMIN")
    for who in (supervisor, owner_at_a_till, admin_alone):
        answers = [
            await who.call(method, path, body, store_id=store)
            for store in (new_ulid(), far, theirs)
        ]
        assert {answer.status_code for answer in answers} == {404}
        assert len({str(answer.json()["error"]) for answer in answers}) == 1
    own = await supervisor.call(method, path, body, store_id=home)
    assert own.status_code != 404


async def test_R44_a_membership_that_ends_bites_on_the_next_request(office: BackOffice) -> None:
    second = await office.store("For a while")
    there = {"store_id": second}
    assert (await office.owner.call("GET", DEVICES, **there)).status_code == 200
    person = await office.member({second: ["device_manage"]})
    who = (await person.data("GET", "/v1/employees/me"))["employee_id"]
    assert (await person.call("GET", DEVICES)).status_code == 200
    path = f"/v1/employees/{who}/memberships"
    await office.owner.data("PUT", path, {"memberships": []})
    assert (await person.call("GET", DEVICES)).status_code == 401


async def test_stores_are_those_of_the_callers_memberships(office: BackOffice, home: str) -> None:
    second = await office.store("Seen by its people")
    person = await office.member({second: ["sell"]})
    ids = [store["store_id"] for store in (await person.data("GET", STORES))["items"]]
    assert ids == [second]
    cashier = await office.device("POS", **CASHIER)
    ids = [store["store_id"] for store in (await cashier.data("GET", STORES))["items"]]
    assert ids == [home]
    gate = await office.device("GATE")
    assert [s["store_id"] for s in (await gate.data("GET", STORES))["items"]] == [home]
    everything = (await office.owner.data("GET", STORES, limit=200))["items"]
    assert {home, second} <= {store["store_id"] for store in everything}
    assert "Other Gate" not in str(everything)
    assert everything[-1]["store_id"] == home, "newest first"


# --- changing and closing ---------------------------------------------------------------


async def test_R30_another_time_zone_reaches_devices_and_the_catalogue_at_once(
    office: BackOffice,
) -> None:
    store_id = await office.store("Travelling")
    there = {"store_id": store_id}
    ride = {"name": "Boat", "name_th": "เรือ", "kind": "single", "price": 5_000}
    await office.owner.data("POST", "/v1/catalog/packages", ride, **there)
    till = await till_in(office, store_id, **OWNER)
    before = await till.data("GET", "/v1/catalog/snapshot")
    await office.owner.data("PATCH", f"{STORES}/{store_id}", {"tz": "Pacific/Kiritimati"})
    after = await till.data("GET", "/v1/catalog/snapshot")
    assert (before["tz"], after["tz"]) == ("Asia/Bangkok", "Pacific/Kiritimati")
    assert after["catalog_version"] == before["catalog_version"] + 1
    scope = await office.inside.scope(till)
    assert (scope.tz, scope.catalog_version) == ("Pacific/Kiritimati", after["catalog_version"])
    login = {key: till.device[key] for key in ("device_id", "device_token")}
    session = await till.data("POST", "/v1/auth/device/login", login)
    assert session["store"]["tz"] == "Pacific/Kiritimati"
    await till.open_shift()
    assert (await till.sell(("Boat", 1)))["sale"]["grand_total"] == 5_000


async def test_R43_a_device_that_is_paired_meanwhile_misses_no_change_of_its_store(
    office: BackOffice,
) -> None:
    store_id = await office.store("Busy")
    there = {"store_id": store_id}
    body = {"uses": None, "auto_approve": True}
    key = (await office.owner.data("POST", KEYS, body, **there))["site_key"]
    zones = ["Asia/Tokyo", "Europe/Berlin", "America/Lima", "Africa/Cairo"] * 3
    changes = [office.owner.call("PATCH", f"{STORES}/{store_id}", {"tz": zone}) for zone in zones]
    pairings = [office.register(key) for _ in zones]
    answers = await asyncio.gather(
        *(each for pair in zip(changes, pairings, strict=True) for each in pair)
    )
    assert {answer.status_code for answer in answers} == {200}
    store = await office.db["stores"].find_one({"_id": store_id})
    known = await office.db["sessions"].find({"store_id": store_id}).to_list(None)
    assert len(known) == len(zones)
    assert {(s["tz"], s["catalog_version"]) for s in known} == {
        (store["tz"], store["catalog_version"])
    }


async def test_other_changes_make_no_catalogue_and_nothing_makes_no_row(
    office: BackOffice,
) -> None:
    store_id = await office.store("Renamed", address="Somewhere")
    path, there = f"{STORES}/{store_id}", {"store_id": store_id}
    body = {"name": "Renamed again", "address": None, "receipt_header": ["Hello"]}
    changed = await office.owner.data("PATCH", path, body)
    assert {name: changed[name] for name in body} == body
    snapshot = await office.owner.data("GET", "/v1/catalog/snapshot", **there)
    assert snapshot["catalog_version"] == 1
    row = (await office.audited(store_id))[-1]
    assert {"field": "name", "old": "Renamed", "new": "Renamed again"} in row["payload"]["changes"]
    rows = len(await office.audited(store_id))
    for same in ({}, body):
        await office.owner.data("PATCH", path, same)
    assert len(await office.audited(store_id)) == rows
    # The next login prints the new words.
    till = await till_in(office, store_id)
    login = {key: till.device[key] for key in ("device_id", "device_token")}
    store = (await till.data("POST", "/v1/auth/device/login", login))["store"]
    assert (store["name"], store["receipt_header"]) == ("Renamed again", ["Hello"])


async def test_a_closed_store_pairs_nothing_and_nobody_acts_in_it_from_elsewhere(
    office: BackOffice,
) -> None:
    store_id = await office.store("To be closed")
    there = {"store_id": store_id}
    key = await office.owner.data("POST", KEYS, {"uses": None, "auto_approve": True}, **there)
    till = await office.stranger().pair("POS", key["site_key"])
    await office.owner.data("PATCH", f"{STORES}/{store_id}", {"active": False})
    assert refusal(await office.register(key["site_key"]))[0] == 401
    assert refusal(await office.owner.call("GET", DEVICES, **there)) == (404, "E_NOT_FOUND")
    # Its devices go on: there are drawers to count.
    assert (await till.call("GET", "/v1/devices/me")).status_code == 200
    stores = (await office.owner.data("GET", STORES, limit=200))["items"]
    assert [s["active"] for s in stores if s["store_id"] == store_id] == [False]
    await office.owner.data("PATCH", f"{STORES}/{store_id}", {"active": True})
    assert (await office.register(key["site_key"])).status_code == 200
    assert (await office.owner.call("GET", DEVICES, **there)).status_code == 200


async def test_nobody_closes_the_store_that_they_work_from(office: BackOffice, home: str) -> None:
    answer = await office.owner.call("PATCH", f"{STORES}/{home}", {"active": False})
    assert refusal(answer) == (409, "E_CONFLICT")
    second = await office.store("Cannot close home from here either")
    answer = await office.owner.call(
        "PATCH", f"{STORES}/{home}", {"active": False}, store_id=second
    )
    assert refusal(answer) == (409, "E_CONFLICT")
    assert (await office.db["stores"].find_one({"_id": home}))["active"] is True


async def test_R44_stores_of_others_answer_like_unknown_ones(office: BackOffice) -> None:
    far = await office.store("Far from the manager")
    near = await office.store("Near the manager")
    theirs = (await office.db["stores"].find_one({"name": "Other Gate"}))["_id"]
    manager = await office.member({near: ["settings_write"], far: []})
    stranger = await office.member({near: ["settings_write"]})
    answers = [
        await stranger.call("PATCH", f"{STORES}/{each}", {"name": "Mine"})
        for each in (new_ulid(), far, theirs)
    ]
    assert {answer.status_code for answer in answers} == {404}
    assert len({str(answer.json()["error"]) for answer in answers}) == 1
    # A member there without the permission is told so.
    refused = await manager.call("PATCH", f"{STORES}/{far}", {"name": "Mine"})
    assert refusal(refused) == (403, "E_PERMISSION")
    assert (await manager.call("PATCH", f"{STORES}/{near}", {"name": "Mine"})).status_code == 200
    names = {each["_id"]: each["name"] async for each in office.db["stores"].find()}
    assert (names[far], names[theirs]) == ("Far from the manager", "Other Gate")


@pytest.mark.parametrize(
    "body",
    [
        {"name": ""},
        {"name": None},
        {"name": {"$gt": ""}},
        {"tz": "Bangkok"},
        {"tz": "../../etc/passwd"},
        {"tz": "Asia"},
        {"tz": ""},
        {"tz": None},
        {"tz": "localtime"},
        {"tz": "UTC+7"},
        {"tz": "x" * 10_000},
        {"paper_width_mm": 60},
        {"paper_width_mm": "80"},
        {"paper_width_mm": None},
        {"receipt_header": ["x" * 81]},
        {"receipt_header": ["x"] * 13},
        {"receipt_footer": None},
        {"receipt_footer": "text"},
        {"logo_ref": "http://evil.example/x.png"},
        {"logo_ref": "../../etc/passwd"},
        {"tax_registration": "x" * 31},
        {"tax_registration": "\x1bE"},
        {"address": "x" * 201},
        {"active": "false"},
        {"active": None},
        {"catalog_version": 99},
        {"tenant_id": "x"},
        {"store_id": "x"},
    ],
    ids=lambda body: str(body)[:40],
)
async def test_a_store_that_makes_no_sense_is_refused(
    office: BackOffice, home: str, body: dict[str, Any]
) -> None:
    before = await office.db["stores"].find_one({"_id": home})
    answer = await office.owner.call("PATCH", f"{STORES}/{home}", body)
    assert refusal(answer) == (422, "E_VALIDATION")
    assert await office.db["stores"].find_one({"_id": home}) == before
    if "name" not in body:
        created = await office.owner.call("POST", STORES, {"name": "New", **body})
        by_default = body == {"tz": None}
        assert created.status_code == (200 if by_default else 422), created.text


async def test_R40_only_who_writes_settings_changes_stores(office: BackOffice, home: str) -> None:
    supervisor = await office.device("ADMIN", **SUPERVISOR)
    for method, path in (("POST", STORES), ("PATCH", f"{STORES}/{home}")):
        answer = await supervisor.call(method, path, {"name": "Mine"})
        assert refusal(answer) == (403, "E_PERMISSION")


# --- the tenant -------------------------------------------------------------------------


async def test_a_tenant_is_told_without_its_secrets(office: BackOffice) -> None:
    gate = await office.device("GATE")
    tenant = await gate.data("GET", "/v1/tenants/me")
    stored = await office.db["tenants"].find_one({"_id": tenant["tenant_id"]})
    assert (tenant["name"], tenant["currency"]) == ("Bangkok Play Park", "THB")
    assert tenant["status"] == "active"
    assert stored["short_code_key"] not in str(tenant)
    assert "key" not in str(tenant)
