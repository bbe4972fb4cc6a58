"""Site keys: what they pair, how often, that a bad one tells nothing (R43, R44; attack 16)."""

import asyncio
import re
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from api.identity.devices import secret_hash
from playpark.ids import new_ulid
from tests.api.back_office import (
    DEVICES,
    KEYS,
    STORES,
    SUPERVISOR,
    BackOffice,
    back_office,
    refusal,
)
from tests.outside import CASHIER, Outsider


@pytest.fixture(scope="module")
async def office(mongo_uri: str, database: str) -> AsyncIterator[BackOffice]:
    async with back_office(mongo_uri, f"{database}_site_keys") as office:
        yield office


async def error(office: BackOffice, site_key: str, **more: Any) -> dict[str, Any]:
    """The refusal of a registration, whole."""
    answer = await office.register(site_key, **more)
    assert answer.status_code == 401, answer.text
    told: dict[str, Any] = answer.json()["error"]
    return told


async def test_R43_a_key_is_shown_once_and_kept_as_a_hash(office: BackOffice) -> None:
    made = await office.key(uses=3)
    assert re.fullmatch(r"^[0-9A-Za-z-]{4,64}$", made["site_key"])
    assert len(made["site_key"].replace("-", "")) * 5 == 250
    assert made["site_key"].startswith(made["prefix"])
    listed = (await office.owner.data("GET", KEYS))["items"]
    assert made["site_key_id"] == listed[0]["site_key_id"]
    assert (
        listed[0]["created_by"]
        == (await office.owner.data("GET", "/v1/employees/me"))["employee_id"]
    )
    stored = await office.db["site_keys"].find().to_list(None)
    written = str(listed) + str(stored) + str(await office.audited(made["site_key_id"]))
    assert made["prefix"] in written
    assert made["site_key"] not in written
    assert made["site_key"][6:] not in written


async def test_a_key_may_be_typed_in_lower_case_without_hyphens_and_with_look_alikes(
    office: BackOffice,
) -> None:
    made = await office.key(uses=2, auto_approve=True)
    plain = made["site_key"].replace("-", "").lower()
    typed = plain.replace("0", "o").replace("1", "l")
    assert (await office.register(typed)).status_code == 200
    # The last letter is part of it.
    other = plain[:-1] + ("2" if plain[-1] != "2" else "3")
    assert (await office.register(other)).status_code == 401


async def test_the_demo_parks_key_works_as_it_is_written_only(office: BackOffice) -> None:
    assert (await office.register("DEMO-MAIN-GATE")).status_code == 200
    assert (await office.register("demo-main-gate")).status_code == 401


async def test_attack_16_a_one_time_key_pairs_one_of_twenty_that_try_at_once(
    office: BackOffice,
) -> None:
    made = await office.key()
    answers = await asyncio.gather(*(office.register(made["site_key"]) for _ in range(20)))
    assert sorted(answer.status_code for answer in answers) == [200] + [401] * 19
    listed = (await office.owner.data("GET", KEYS))["items"]
    (row,) = [key for key in listed if key["site_key_id"] == made["site_key_id"]]
    assert (row["uses"], row["used"], row["uses_left"]) == (1, 1, 0)
    assert await office.db["devices"].count_documents({"registered_by": row["created_by"]}) >= 1


async def test_attack_16_a_counted_key_pairs_as_many_as_it_says(office: BackOffice) -> None:
    made = await office.key(uses=3)
    answers = await asyncio.gather(*(office.register(made["site_key"]) for _ in range(12)))
    paired = [answer.json()["data"] for answer in answers if answer.status_code == 200]
    assert len(paired) == 3
    assert len({device["device_code"] for device in paired}) == 3


async def test_a_key_without_a_limit_pairs_on(office: BackOffice) -> None:
    made = await office.key(uses=None, auto_approve=True)
    assert (made["uses"], made["uses_left"]) == (None, None)
    answers = [await office.register(made["site_key"]) for _ in range(4)]
    assert {answer.json()["data"]["status"] for answer in answers} == {"active"}


async def test_attack_16_whatever_is_wrong_with_a_key_looks_the_same(office: BackOffice) -> None:
    spent, withdrawn, expired = [await office.key() for _ in range(3)]
    await office.register(spent["site_key"])
    path = f"{KEYS}/{withdrawn['site_key_id']}/withdraw"
    assert (await office.owner.data("POST", path))["withdrawn_at"] is not None
    soon = office.inside.clock.now() + timedelta(minutes=5)
    expired = await office.key(expires_at=soon.isoformat(), uses=None)
    assert (await office.register(expired["site_key"])).status_code == 200
    office.inside.clock.advance(timedelta(minutes=5))
    closed_store = await office.store("Closed")
    closed = await office.owner.data("POST", KEYS, {"uses": None}, store_id=closed_store)
    assert (await office.register(closed["site_key"])).status_code == 200
    await office.owner.data("PATCH", f"{STORES}/{closed_store}", {"active": False})
    good = await office.key(uses=None)
    told = [
        await error(office, spent["site_key"]),
        await error(office, withdrawn["site_key"]),
        await error(office, expired["site_key"]),
        await error(office, closed["site_key"]),
        await error(office, good["site_key"], store_id=new_ulid()),
        await error(office, good["site_key"], store_id=closed_store),
        await error(office, good["site_key"], store_id=await office.store("Open")),
        await error(office, "NOBODY-KNOWS-THIS"),
        await error(office, "ABCDE-" * 9 + "FGHJK"),
    ]
    assert len({str(each) for each in told}) == 1, told


async def test_attack_16_a_pending_device_has_no_access_until_it_is_approved(
    office: BackOffice,
) -> None:
    device = await office.pending()
    login = {key: device.device[key] for key in ("device_id", "device_token")}
    refused = await device.call("POST", "/v1/auth/device/login", login)
    assert refusal(refused) == (403, "E_DEVICE_PENDING")
    # Not even with the right id and another's token does it say so.
    stranger = {**login, "device_token": "x" * 43}
    assert refusal(await device.call("POST", "/v1/auth/device/login", stranger))[0] == 401
    assert (await office.step(device, "approve")).json()["data"]["status"] == "active"
    session = await device.data("POST", "/v1/auth/device/login", login)
    device.token = session["access_token"]
    assert (await device.data("GET", "/v1/devices/me"))["status"] == "active"


async def test_a_suspended_park_pairs_nothing(office: BackOffice) -> None:
    theirs = await office.db["site_keys"].find_one({"_id": secret_hash("DEMO-OTHER-PARK")})
    await office.db["tenants"].update_one(
        {"_id": theirs["tenant_id"]}, {"$set": {"status": "suspended"}}
    )
    refused = await office.register("DEMO-OTHER-PARK")
    assert refusal(refused) == (403, "E_TENANT_SUSPENDED")
    assert await office.db["devices"].count_documents({"tenant_id": theirs["tenant_id"]}) == 0
    await office.db["tenants"].update_one(
        {"_id": theirs["tenant_id"]}, {"$set": {"status": "active"}}
    )
    assert (await office.register("DEMO-OTHER-PARK")).status_code == 200


async def test_a_re_paired_device_gets_another_number(office: BackOffice) -> None:
    """R29: a till that lost its counters must not go on in the old series."""
    key = await office.key(uses=2, auto_approve=True)
    first = (await office.register(key["site_key"])).json()["data"]
    again = (await office.register(key["site_key"])).json()["data"]
    assert first["device_code"] != again["device_code"]
    assert first["device_id"] != again["device_id"]


async def test_R44_a_tenants_key_pairs_with_the_store_that_is_named(office: BackOffice) -> None:
    lakeside, closed = await office.store("Lakeside"), await office.store("Shut")
    await office.owner.data("PATCH", f"{STORES}/{closed}", {"active": False})
    key = await office.key(scope="tenant", uses=None, auto_approve=True)
    unnamed = await office.register(key["site_key"])
    assert refusal(unnamed) == (422, "E_VALIDATION")
    choice = unnamed.json()["error"]["details"]["stores"]
    assert lakeside in {store["store_id"] for store in choice}
    assert closed not in {store["store_id"] for store in choice}
    named = await office.register(key["site_key"], store_id=lakeside)
    login = {each: named.json()["data"][each] for each in ("device_id", "device_token")}
    session = await office.stranger().data("POST", "/v1/auth/device/login", login)
    assert session["store"]["store_id"] == lakeside
    theirs = (await office.db["stores"].find_one({"name": "Other Gate"}))["_id"]
    refusals = [
        await error(office, key["site_key"], store_id=store)
        for store in (new_ulid(), theirs, closed)
    ]
    assert {str(each) for each in refusals} == {str(await error(office, "UNKNOWN-KEY"))}
    listed = (await office.owner.data("GET", KEYS))["items"]
    (row,) = [each for each in listed if each["site_key_id"] == key["site_key_id"]]
    assert (row["scope"], row["used"]) == ("tenant", 1)
    # A tenant's key is seen from each of its stores, a store's from its own only.
    seen = (await office.owner.data("GET", KEYS, store_id=lakeside))["items"]
    assert {each["scope"] for each in seen} == {"tenant"}
    assert row["site_key_id"] in {each["site_key_id"] for each in seen}


async def test_a_tenants_key_needs_no_store_where_there_is_one_only(
    mongo_uri: str, database: str
) -> None:
    async with back_office(mongo_uri, f"{database}_one_store") as office:
        key = await office.key(scope="tenant", auto_approve=True)
        assert (await office.register(key["site_key"])).status_code == 200


async def test_R44_a_tenants_key_needs_the_permission_in_every_store(office: BackOffice) -> None:
    home = (await office.owner.data("GET", STORES, limit=200))["items"][-1]["store_id"]
    second = await office.store("Second")
    one = await office.member({second: ["device_manage"]})
    refused = await one.call("POST", KEYS, {"scope": "tenant"})
    assert refusal(refused) == (403, "E_PERMISSION")
    assert refused.json()["error"]["details"]["everywhere"] is True
    assert (await one.call("POST", KEYS, {"scope": "store"})).status_code == 200
    both = await office.member({second: ["device_manage"], home: ["sell"]})
    assert refusal(await both.call("POST", KEYS, {"scope": "tenant"})) == (403, "E_PERMISSION")
    key = await office.key(scope="tenant")
    withdraw = f"{KEYS}/{key['site_key_id']}/withdraw"
    assert refusal(await one.call("POST", withdraw)) == (403, "E_PERMISSION")
    assert (await office.owner.call("POST", withdraw)).status_code == 200


async def test_R44_keys_of_others_answer_like_unknown_ones(office: BackOffice) -> None:
    elsewhere = await office.store("Elsewhere")
    theirs = await office.owner.data("POST", KEYS, {}, store_id=elsewhere)
    own = (await office.owner.data("GET", "/v1/tenants/me"))["tenant_id"]
    other = await office.db["site_keys"].find_one({"tenant_id": {"$ne": own}})
    supervisor = await office.device("ADMIN", **SUPERVISOR)
    answers = [
        await supervisor.call("POST", f"{KEYS}/{key}/withdraw")
        for key in (new_ulid(), theirs["site_key_id"], other["site_key_id"])
    ]
    assert {answer.status_code for answer in answers} == {404}
    assert len({str(answer.json()["error"]) for answer in answers}) == 1
    assert await office.db["site_keys"].find_one({"_id": other["_id"]}) == other


async def test_a_key_is_withdrawn_once_and_its_devices_stay(office: BackOffice) -> None:
    key = await office.key(uses=None, auto_approve=True)
    till = await office.stranger().pair("POS", key["site_key"])
    path = f"{KEYS}/{key['site_key_id']}/withdraw"
    answers = await asyncio.gather(*(office.owner.call("POST", path) for _ in range(6)))
    assert sorted(answer.status_code for answer in answers) == [200] + [409] * 5
    assert (await till.call("GET", "/v1/devices/me")).status_code == 200
    assert (await office.register(key["site_key"])).status_code == 401


async def test_who_made_and_withdrew_a_key_is_audited(office: BackOffice) -> None:
    supervisor = await office.device("ADMIN", **SUPERVISOR)
    key = await supervisor.data("POST", KEYS, {"auto_approve": True})
    device = await office.stranger().pair("GATE", key["site_key"])
    await supervisor.data("POST", f"{KEYS}/{key['site_key_id']}/withdraw")
    who = (await supervisor.data("GET", "/v1/employees/me"))["employee_id"]
    rows = await office.audited(key["site_key_id"])
    assert [(row["event_type"], row["actor_id"]) for row in rows] == [
        ("site_key.created", who),
        ("site_key.withdrawn", who),
    ]
    (paired,) = await office.audited(device.device["device_id"])
    assert paired["payload"]["site_key_id"] == key["site_key_id"]
    shown = await office.owner.data("GET", f"{DEVICES}/{device.device['device_id']}")
    assert shown["registered_by"] == who


@pytest.mark.parametrize(
    "body",
    [
        {"uses": 0},
        {"uses": -1},
        {"uses": True},
        {"uses": "1"},
        {"uses": 1.5},
        {"uses": 10_001},
        {"uses": 2**63},
        {"scope": "galaxy"},
        {"scope": {"$ne": "store"}},
        {"auto_approve": "yes"},
        {"auto_approve": 1},
        {"expires_at": "2020-01-01T00:00:00Z"},
        {"expires_at": "2999-01-01T00:00:00Z"},
        {"expires_at": "tomorrow"},
        {"expires_at": 4_102_444_800},
        {"expires_at": "2027-01-01T00:00:00"},
        {"site_key": "CHOSEN-BY-ME"},
        {"store_id": "x"},
        {"used": 0},
    ],
    ids=str,
)
async def test_a_key_that_makes_no_sense_is_refused(
    office: BackOffice, body: dict[str, Any]
) -> None:
    before = await office.db["site_keys"].count_documents({})
    assert refusal(await office.owner.call("POST", KEYS, body)) == (422, "E_VALIDATION")
    assert await office.db["site_keys"].count_documents({}) == before


@pytest.mark.parametrize(
    "site_key", [{"$ne": ""}, {"$gt": ""}, ["DEMO-MAIN-GATE"], "x", "a b c d", 1]
)
async def test_attack_28_a_key_is_text(office: BackOffice, site_key: Any) -> None:
    assert refusal(await office.register(site_key)) == (422, "E_VALIDATION")


@pytest.mark.parametrize(
    "public_key",
    [
        "",
        "AAAA",
        "A" * 43,
        "A" * 44,
        "A" * 42 + "B=",
        "A" * 43 + "==",
        "A" * 42 + "-A=",
        "A" * 42 + "\nA=",
        {"$ne": ""},
    ],
    ids=str,
)
async def test_an_ed25519_key_is_32_bytes_in_base64(office: BackOffice, public_key: Any) -> None:
    answer = await office.register("DEMO-MAIN-GATE", public_key=public_key)
    assert refusal(answer) == (422, "E_VALIDATION")


async def test_a_tills_own_key_is_kept(office: BackOffice) -> None:
    public_key = "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="
    answer = await office.register("DEMO-MAIN-GATE", public_key=public_key)
    device_id = answer.json()["data"]["device_id"]
    assert (await office.db["devices"].find_one({"_id": device_id}))["public_key"] == public_key


async def test_keys_are_listed_in_pages_newest_first(office: BackOffice) -> None:
    made = [(await office.key())["site_key_id"] for _ in range(5)]
    seen: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        page = await office.owner.data("GET", KEYS, limit=2, **cursor)
        seen += [key["site_key_id"] for key in page["items"]]
        if page["next_cursor"] is None:
            break
        cursor = {"cursor": page["next_cursor"]}
    ours = [key for key in seen if key in made]
    assert sorted(ours) == sorted(made)
    assert len(seen) == len(set(seen))
    assert seen == sorted(seen, reverse=True)


async def test_R40_only_who_manages_devices_sees_and_makes_keys(office: BackOffice) -> None:
    cashier: Outsider = await office.device("ADMIN", **CASHIER)
    key = (await office.key())["site_key_id"]
    for method, path, body in (
        ("GET", KEYS, None),
        ("POST", KEYS, {}),
        ("POST", f"{KEYS}/{key}/withdraw", None),
    ):
        assert refusal(await cashier.call(method, path, body)) == (403, "E_PERMISSION")
