"""Devices from approval to revocation: what bites, on whom, from when on (R29, R40, R43, R44;
attacks 14 and 15)."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
import structlog

from api.identity import devices as identity_devices
from api.identity import sessions
from api.identity.devices import secret_hash
from playpark.ids import new_ulid
from tests.api.back_office import (
    DEVICES,
    OWNER,
    SUPERVISOR,
    BackOffice,
    back_office,
    refusal,
    told,
)
from tests.outside import CASHIER, Outsider

STEPS = ("approve", "suspend", "resume", "revoke", "rotate")
WAYS = {
    "pending": (),
    "active": ("approve",),
    "suspended": ("approve", "suspend"),
    "revoked": ("approve", "revoke"),
}
"""How a fresh device comes into each status."""
LEADS = {
    ("pending", "approve"): "active",
    ("active", "suspend"): "suspended",
    ("suspended", "resume"): "active",
    ("pending", "revoke"): "revoked",
    ("active", "revoke"): "revoked",
    ("suspended", "revoke"): "revoked",
}
"""Every step that there is."""
NEXT = {
    "pending": "approve it",
    "active": "suspend or revoke it",
    "suspended": "resume it",
    "revoked": "pair it again with a site key",
}


@pytest.fixture(scope="module")
async def office(mongo_uri: str, database: str) -> AsyncIterator[BackOffice]:
    async with back_office(mongo_uri, f"{database}_devices") as office:
        yield office


async def in_status(office: BackOffice, status: str) -> Outsider:
    device = await office.pending()
    for step in WAYS[status]:
        assert (await office.step(device, step)).status_code == 200
    return device


def one(device: Outsider) -> str:
    return f"{DEVICES}/{device.device['device_id']}"


def login_of(device: Outsider, **other: str) -> dict[str, str]:
    return {key: device.device[key] for key in ("device_id", "device_token")} | other


async def staffed(office: BackOffice) -> tuple[Outsider, dict[str, str], dict[str, Any]]:
    """A till with a cashier on it: the till, its tokens by kind, its refresh token."""
    till = await office.device("POS")
    tokens = {"device": till.token}
    session = await till.data("POST", "/v1/employees/login", CASHIER)
    tokens["employee"] = session["access_token"]
    return till, tokens, {"refresh_token": session["refresh_token"]}


async def answers_to(till: Outsider, tokens: dict[str, str]) -> dict[str, tuple[int, str]]:
    """What the next request with each of these tokens is answered."""
    found = {}
    for kind, token in tokens.items():
        till.token = token
        response = await till.call("GET", "/v1/devices/me")
        error = response.json()["error"]
        found[kind] = (response.status_code, error["code"] if error else "")
    return found


# --- the way of a device ----------------------------------------------------------------


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("status", WAYS)
async def test_R43_every_step_from_every_status(office: BackOffice, status: str, step: str) -> None:
    device = await in_status(office, status)
    answer = await office.step(device, step)
    after = (await office.owner.data("GET", one(device)))["status"]
    if step == "rotate" and status != "revoked":
        assert (await told(answer))["device_id"] == device.device["device_id"]
        assert after == status
    elif becomes := LEADS.get((status, step)):
        assert (await told(answer))["status"] == after == becomes
    else:
        assert refusal(answer) == (409, "E_CONFLICT")
        assert NEXT[status] in answer.json()["error"]["message"]
        assert answer.json()["error"]["details"] == {"status": status}
        assert after == status
    session = await office.db["sessions"].find_one({"_id": device.device["device_id"]})
    assert session["device_status"] == after


@pytest.mark.parametrize("step", ["suspend", "revoke", "approve", "resume"])
async def test_of_fifty_that_take_the_same_step_one_does(office: BackOffice, step: str) -> None:
    start = {"approve": "pending", "resume": "suspended"}.get(step, "active")
    device = await in_status(office, start)
    before = len(await office.audited(device.device["device_id"]))
    answers = await asyncio.gather(*(office.step(device, step) for _ in range(50)))
    assert sorted(answer.status_code for answer in answers) == [200] + [409] * 49
    assert len(await office.audited(device.device["device_id"])) == before + 1


async def test_opposite_steps_at_once_leave_device_and_session_agreed(office: BackOffice) -> None:
    device = await in_status(office, "active")
    steps = ["suspend", "resume", "rotate", "suspend", "resume"] * 4 + ["revoke"]
    answers = await asyncio.gather(*(office.step(device, step) for step in steps))
    assert {answer.status_code for answer in answers} <= {200, 409}
    stored = await office.db["devices"].find_one({"_id": device.device["device_id"]})
    session = await office.db["sessions"].find_one({"_id": device.device["device_id"]})
    assert stored["status"] == session["device_status"] == "revoked"
    rotated = [
        row for row in await office.audited(stored["_id"]) if row["event_type"] == "device.rotated"
    ]
    assert session["device_ver"] == 1 + len(rotated)


# --- on the very next request -----------------------------------------------------------


async def test_attack_14_a_suspension_bites_on_the_next_request_and_ends_with_the_next(
    office: BackOffice,
) -> None:
    till, tokens, refresh = await staffed(office)
    assert set((await answers_to(till, tokens)).values()) == {(200, "")}
    await told(await office.step(till, "suspend"))
    refused = (403, "E_DEVICE_SUSPENDED")
    assert set((await answers_to(till, tokens)).values()) == {refused}
    assert refusal(await till.call("POST", "/v1/auth/refresh", refresh)) == refused
    assert refusal(await till.call("POST", "/v1/auth/device/login", login_of(till))) == refused
    await told(await office.step(till, "resume"))
    assert set((await answers_to(till, tokens)).values()) == {(200, "")}
    assert (await till.call("POST", "/v1/auth/refresh", refresh)).status_code == 200


async def test_attack_14_a_revocation_bites_on_the_next_request(office: BackOffice) -> None:
    till, tokens, refresh = await staffed(office)
    await told(await office.step(till, "revoke"))
    refused = (403, "E_DEVICE_REVOKED")
    assert set((await answers_to(till, tokens)).values()) == {refused}
    assert refusal(await till.call("POST", "/v1/auth/refresh", refresh)) == refused
    # It may still hand in what it holds (R38), and nothing else.
    session = await told(await till.call("POST", "/v1/auth/device/login", login_of(till)))
    only_review = {"review": session["access_token"]}
    assert set((await answers_to(till, only_review)).values()) == {refused}
    wrong = login_of(till, device_token="not it")
    assert refusal(await till.call("POST", "/v1/auth/device/login", wrong))[0] == 401


async def test_attack_14_a_rotation_kills_every_token_issued_before(office: BackOffice) -> None:
    till, tokens, refresh = await staffed(office)
    fresh = (await told(await office.step(till, "rotate")))["device_token"]
    assert {status for status, _ in (await answers_to(till, tokens)).values()} == {401}
    assert (await till.call("POST", "/v1/auth/refresh", refresh)).status_code == 401
    old = await till.call("POST", "/v1/auth/device/login", login_of(till))
    never = await till.call("POST", "/v1/auth/device/login", login_of(till, device_token="x" * 43))
    assert old.status_code == 401
    assert old.json()["error"] == never.json()["error"]
    session = await till.data("POST", "/v1/auth/device/login", login_of(till, device_token=fresh))
    till.token = session["access_token"]
    assert (await till.staff(**CASHIER)).token
    assert (await till.call("GET", "/v1/employees/me")).status_code == 200


async def test_the_last_use_of_a_token_is_empty_until_it_is_used(office: BackOffice) -> None:
    till = await office.device("POS")
    before = await office.owner.data("GET", one(till))
    assert before["token_used_at"] == before["last_login_at"] is not None
    fresh = (await told(await office.step(till, "rotate")))["device_token"]
    unused = await office.owner.data("GET", one(till))
    assert unused["token_used_at"] is None
    assert unused["last_login_at"] == before["last_login_at"]
    await till.call("POST", "/v1/auth/device/login", login_of(till))  # the old one uses nothing
    assert (await office.owner.data("GET", one(till)))["token_used_at"] is None
    office.inside.clock.advance(timedelta(seconds=5))
    await till.data("POST", "/v1/auth/device/login", login_of(till, device_token=fresh))
    used = await office.owner.data("GET", one(till))
    assert used["token_used_at"] == used["last_login_at"] > before["last_login_at"]


async def test_attack_14_a_login_that_meets_a_rotation_gets_no_living_token(
    office: BackOffice, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rotation falls between the login's reads: at each of them once."""
    for place in ("AuthorityRepository", "StoreRepository", "TenantRepository"):
        till = await office.device("POS")
        real = getattr(identity_devices, place)

        class Late(real):  # type: ignore[misc, valid-type]
            async def find_one(self, till: Outsider = till, **conditions: Any) -> Any:
                monkeypatch.undo()
                await told(await office.step(till, "rotate"))
                return await super().find_one(**conditions)

        monkeypatch.setattr(identity_devices, place, Late)
        answer = await till.call("POST", "/v1/auth/device/login", login_of(till))
        if answer.status_code == 200:
            till.token = answer.json()["data"]["access_token"]
            assert (await till.call("GET", "/v1/devices/me")).status_code == 401, place
        else:
            assert answer.status_code == 401, place
        assert (await office.owner.data("GET", one(till)))["token_used_at"] is None, place


@pytest.mark.parametrize("call", ["login", "refresh"])
async def test_attack_14_a_pin_that_meets_a_rotation_gets_no_living_token(
    office: BackOffice, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    """The rotation falls between the request's first read and its own write."""
    till, _, refresh = await staffed(office)
    till.token = (await till.data("POST", "/v1/auth/device/login", login_of(till)))["access_token"]
    real = sessions.standings

    async def late(*told_of: Any, **more: Any) -> Any:
        monkeypatch.undo()
        await told(await office.step(till, "rotate"))
        return await real(*told_of, **more)

    monkeypatch.setattr(sessions, "standings", late)
    if call == "login":
        answer = await till.call("POST", "/v1/employees/login", CASHIER)
    else:
        answer = await till.call("POST", "/v1/auth/refresh", refresh)
    assert sessions.standings is real, "the rotation came in between"
    assert answer.status_code == 401


async def test_of_twenty_rotations_at_once_the_last_token_counts(office: BackOffice) -> None:
    till = await office.device("GATE")
    answers = await asyncio.gather(*(office.step(till, "rotate") for _ in range(20)))
    tokens = [(await told(answer))["device_token"] for answer in answers]
    assert len(set(tokens)) == 20
    logins = [
        await till.call("POST", "/v1/auth/device/login", login_of(till, device_token=token))
        for token in tokens
    ]
    assert sorted(login.status_code for login in logins) == [200] + [401] * 19
    session = await office.db["sessions"].find_one({"_id": till.device["device_id"]})
    assert session["device_ver"] == 21


# --- capabilities -----------------------------------------------------------------------


async def test_R40_capabilities_bite_on_the_next_request(office: BackOffice) -> None:
    till = await office.device("POS", **CASHIER)
    await till.open_shift()
    await till.sell(("Carousel ride", 1))
    capped = {"caps": {"can_sell": False, "offline_cap": {"sales": 20, "satang": 500_000}}}
    changed = await office.owner.data("PATCH", one(till), capped)
    assert changed["caps"] == {
        "can_sell": False,
        "can_redeem": True,
        "kiosk_mode": False,
        "offline_cap": {"sales": 20, "satang": 500_000},
    }
    package = (await till.packages())["Carousel ride"]["package_id"]
    sale = {
        "lines": [{"package_id": package, "qty": 1}],
        "payments": [{"method": "cash", "amount": 4_000}],
    }
    refused = await till.call("POST", "/v1/sales", sale, key=new_ulid())
    assert refusal(refused) == (403, "E_PERMISSION")
    assert refused.json()["error"]["details"]["reason"] == "capability"
    assert (await till.data("GET", "/v1/devices/me"))["caps"] == changed["caps"]
    back = {"caps": {"can_sell": True, "offline_cap": None}}
    assert (await office.owner.data("PATCH", one(till), back))["caps"]["offline_cap"] is None
    assert (await till.call("POST", "/v1/sales", sale, key=new_ulid())).status_code == 200


async def test_R40_a_gate_may_be_told_not_to_redeem(office: BackOffice) -> None:
    gate = await office.device("GATE")
    await office.owner.data("PATCH", one(gate), {"caps": {"can_redeem": False}})
    refused = await gate.call("POST", "/v1/tickets/redeem", {"qr_token": "x"})
    assert refused.json()["error"]["details"]["reason"] == "capability"


async def test_name_and_notes_change_and_the_session_knows_the_name(office: BackOffice) -> None:
    till = await office.device("POS")
    body = {"name": "Till by the lake", "notes": "Drawer sticks"}
    changed = await office.owner.data("PATCH", one(till), body)
    assert (changed["name"], changed["notes"]) == ("Till by the lake", "Drawer sticks")
    session = await office.db["sessions"].find_one({"_id": till.device["device_id"]})
    assert session["device_name"] == "Till by the lake"
    row = (await office.audited(till.device["device_id"]))[-1]
    changes = {each["field"]: each for each in row["payload"]["changes"]}
    assert changes["name"]["old"] == "test POS"
    assert changes["notes"] == {"field": "notes"}


async def test_a_change_that_changes_nothing_leaves_no_row(office: BackOffice) -> None:
    till = await office.device("POS")
    before = len(await office.audited(till.device["device_id"]))
    for body in ({}, {"name": "test POS"}, {"caps": {}}, {"caps": {"can_sell": True}}):
        await office.owner.data("PATCH", one(till), body)
    assert len(await office.audited(till.device["device_id"])) == before


async def test_a_revoked_device_is_not_changed(office: BackOffice) -> None:
    device = await in_status(office, "revoked")
    answer = await office.owner.call("PATCH", one(device), {"name": "Again"})
    assert refusal(answer) == (409, "E_CONFLICT")


@pytest.mark.parametrize(
    "body",
    [
        {"name": ""},
        {"name": "   "},
        {"name": None},
        {"name": "x" * 121},
        {"name": {"$ne": ""}},
        {"notes": None},
        {"notes": "x" * 2_001},
        {"caps": None},
        {"caps": {"can_sell": None}},
        {"caps": {"can_sell": "true"}},
        {"caps": {"can_sell": 1}},
        {"caps": {"can_fly": True}},
        {"caps": {"offline_cap": {"sales": -1}}},
        {"caps": {"offline_cap": {"sales": 2**53}}},
        {"caps": {"offline_cap": {"satang": 1.5}}},
        {"caps": {"offline_cap": {"satang": -1}}},
        {"caps": {"offline_cap": {"baht": 1}}},
        {"status": "active"},
        {"type": "ADMIN"},
        {"store_id": "x"},
        {"token_hash": "0" * 64},
        {"number": 1},
        {"$set": {"status": "active"}},
        {"caps.can_sell": True},
    ],
    ids=str,
)
async def test_attack_7_only_what_may_change_changes(
    office: BackOffice, body: dict[str, Any]
) -> None:
    device_id = office.owner.device["device_id"]
    before = await office.db["devices"].find_one({"_id": device_id})
    answer = await office.owner.call("PATCH", one(office.owner), body)
    assert refusal(answer) == (422, "E_VALIDATION")
    assert await office.db["devices"].find_one({"_id": device_id}) == before


# --- who may ----------------------------------------------------------------------------


@pytest.mark.parametrize("step", ["suspend", "revoke"])
async def test_nobody_locks_out_the_device_they_work_on(office: BackOffice, step: str) -> None:
    answer = await office.step(office.owner, step)
    assert refusal(answer) == (409, "E_CONFLICT")
    assert "another one" in answer.json()["error"]["message"]
    assert (await office.owner.call("GET", "/v1/devices/me")).status_code == 200


@pytest.mark.parametrize("step", ["revoke", "rotate"])
async def test_R41_revoking_and_rotating_ask_for_a_fresh_pin(office: BackOffice, step: str) -> None:
    till = await office.device("POS")
    office.inside.clock.advance(timedelta(minutes=15, seconds=1))
    answer = await office.step(till, step)
    assert refusal(answer) == (403, "E_PERMISSION")
    assert answer.json()["error"]["details"]["reason"] == "step_up"
    assert (await office.step(till, "suspend")).status_code == 200
    await office.owner.data("POST", "/v1/auth/step_up", {"pin": OWNER["pin"]})
    assert (await office.step(till, step)).status_code == 200


ROUTES = [
    ("GET", "", None),
    ("PATCH", "", {"name": "Mine now"}),
    *(("POST", f"/{step}", None) for step in STEPS),
]


@pytest.mark.parametrize(("method", "path", "body"), ROUTES)
async def test_R44_devices_of_others_answer_like_unknown_ones(
    office: BackOffice, method: str, path: str, body: Any
) -> None:
    """Another tenant's, and those of another store of one's own tenant."""
    theirs = await office.stranger().pair("POS", "DEMO-OTHER-PARK")
    store_id = await office.store("Far away")
    key = await office.owner.data(
        "POST", "/v1/site_keys", {"auto_approve": True}, store_id=store_id
    )
    far = await office.stranger().pair("POS", key["site_key"])
    ids = [new_ulid(), theirs.device["device_id"], far.device["device_id"]]
    before = await office.db["devices"].find({"_id": {"$in": ids}}).to_list(None)
    answers = [await office.owner.call(method, f"{DEVICES}/{each}{path}", body) for each in ids]
    assert {answer.status_code for answer in answers} == {404}
    assert len({str(answer.json()["error"]) for answer in answers}) == 1
    assert await office.db["devices"].find({"_id": {"$in": ids}}).to_list(None) == before
    there = await office.owner.call(method, f"{DEVICES}/{ids[2]}{path}", body, store_id=store_id)
    assert there.status_code in {200, 409}


@pytest.mark.parametrize(("method", "path", "body"), ROUTES)
async def test_R40_only_who_manages_devices_may(
    office: BackOffice, method: str, path: str, body: Any
) -> None:
    cashier = await office.device("ADMIN", **CASHIER)
    gate = await office.device("GATE")
    for who in (cashier, gate):
        answer = await who.call(method, one(gate) + path, body)
        assert refusal(answer) == (403, "E_PERMISSION")


@pytest.mark.parametrize("device_id", ["$ne", "a.b", "x" * 41, "%7B%22$ne%22:1%7D", "a%00b"])
async def test_attack_28_an_id_is_an_id(office: BackOffice, device_id: str) -> None:
    answer = await office.owner.call("GET", f"{DEVICES}/{device_id}")
    assert refusal(answer)[0] == 422


async def test_devices_are_listed_by_status_and_type(office: BackOffice) -> None:
    pending, gate = await office.pending(), await office.device("GATE")
    await office.step(gate, "suspend")
    for query, device in (
        ({"status": "pending"}, pending),
        ({"status": "suspended", "type": "GATE"}, gate),
    ):
        items = (await office.owner.data("GET", DEVICES, limit=200, **query))["items"]
        assert device.device["device_id"] in {item["device_id"] for item in items}
        for name, value in query.items():
            assert {item[name] for item in items} == {value}
    for query in ({"status": "broken"}, {"type": "FRIDGE"}, {"limit": 201}, {"limit": 0}):
        assert refusal(await office.owner.call("GET", DEVICES, **query))[0] == 422


# --- secrets and the trail --------------------------------------------------------------


async def test_attack_15_a_device_token_is_told_once_and_never_again(office: BackOffice) -> None:
    with structlog.testing.capture_logs() as logs:
        till = await office.device("POS", **CASHIER)
        first = till.device["device_token"]
        answers = [
            (await office.owner.call("GET", DEVICES, limit=200)).text,
            (await office.owner.call("GET", one(till))).text,
            (await office.owner.call("PATCH", one(till), {"name": "Till"})).text,
            (await office.step(till, "suspend")).text,
            (await office.step(till, "resume")).text,
            (await till.call("GET", "/v1/devices/me")).text,
            (await till.call("POST", "/v1/auth/device/login", login_of(till))).text,
        ]
        second = (await told(await office.step(till, "rotate")))["device_token"]
        answers += [
            (await office.step(till, "revoke")).text,
            (await office.owner.call("GET", one(till))).text,
            str(logs),
        ]
    for name in await office.db.list_collection_names():
        answers.append(str(await office.db[name].find().to_list(None)))
    everything = "".join(answers)
    assert till.device["device_id"] in everything
    assert first not in everything
    assert second not in everything
    stored = await office.db["devices"].find_one({"_id": till.device["device_id"]})
    assert stored["token_hash"] == secret_hash(second)
    outside = "".join(answers[:9]) + str(await office.db["audits"].find().to_list(None))
    assert stored["token_hash"] not in outside


async def test_who_did_what_to_a_device_is_audited(office: BackOffice) -> None:
    supervisor = await office.device("ADMIN", **SUPERVISOR)
    who = (await supervisor.data("GET", "/v1/employees/me"))["employee_id"]
    device = await office.pending()
    for step in ("approve", "suspend", "resume", "rotate", "revoke"):
        await supervisor.data("POST", f"{one(device)}/{step}")
    rows = await office.audited(device.device["device_id"])
    assert [row["event_type"] for row in rows] == [
        "device.registered",
        "device.approved",
        "device.suspended",
        "device.resumed",
        "device.rotated",
        "device.revoked",
    ]
    assert {(row["actor_id"], row["device_id"]) for row in rows[1:]} == {
        (who, supervisor.device["device_id"])
    }
