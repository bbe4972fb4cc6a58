"""Logging in with a PIN on a device and without one, and proving again who one is (R40, R41)."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import httpx
import pytest
from pymongo import monitoring

from api.app import create_app
from api.demo_park import demo_id
from api.platform.pins import FOR_STRANGERS, PinHasher
from playpark.ids import new_ulid
from tests.api.approving import asking, put_back
from tests.api.drawers import SUPERVISOR
from tests.api.inside import Inside, inside
from tests.api.own_park import OWNER
from tests.api.test_pin_lockout import Wire
from tests.api.test_totp import App, enrol
from tests.outside import CASHIER, Outsider

PARK, OTHER_PARK = demo_id("tenant", "bangkok"), demo_id("tenant", "other")
STEP_UP = "/v1/auth/step_up"


@pytest.fixture(scope="module")
def wire() -> Iterator[Wire]:
    listener = Wire()
    monitoring.register(listener)
    yield listener
    monitoring._LISTENERS.command_listeners.remove(listener)


@pytest.fixture(scope="module")
async def own_park(mongo_uri: str, database: str, wire: Wire) -> AsyncIterator[Inside]:
    async with inside(mongo_uri, f"{database}_logins") as found:
        yield found


@pytest.fixture
async def park(own_park: Inside) -> AsyncIterator[Inside]:
    """A park where nobody was wrong yet and nobody is logged in without a device."""
    async with put_back(own_park) as found:
        db = found.platform.mongo.db
        for name in ("authenticators", "pin_attempts", "budgets"):
            await db[name].delete_many({})
        await db["sessions"].delete_many({"paired": False})
        yield found


def stranger(park: Inside) -> Outsider:
    """Somebody without a device."""
    return Outsider(park.http)


def web(tenant: str = PARK, **who: Any) -> dict[str, Any]:
    return {"tenant": tenant, **(who or OWNER)}


async def login(who: Outsider, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    response = await who.call("POST", "/v1/employees/login", body)
    return response.status_code, response.json()["error"]


async def enter(park: Inside, **more: Any) -> Outsider:
    """The owner, logged in without a device."""
    who = stranger(park)
    who.token = (await who.data("POST", "/v1/employees/login", {**web(), **more}))["access_token"]
    return who


@asynccontextmanager
async def at(park: Inside, ip: str) -> AsyncIterator[Outsider]:
    """Somebody without a device at an address."""
    transport = httpx.ASGITransport(app=create_app(park.platform), client=(ip, 4711))
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as http:
        yield Outsider(http)


async def add_store(park: Inside) -> str:
    """Another store of the park, where the owner is a cashier and nobody else works."""
    db, store_id = park.platform.mongo.db, new_ulid()
    store = await db["stores"].find_one({"tenant_id": PARK})
    await db["stores"].insert_one({**store, "_id": store_id, "store_id": store_id, "name": "Pier"})
    owner = await db["employees"].find_one({"email": OWNER["email"]})
    member = await db["memberships"].find_one({"employee_id": owner["_id"]})
    cashier = await db["roles"].find_one({"tenant_id": PARK, "name": "cashier"})
    there = {"_id": f"{PARK}:{store_id}:{owner['_id']}", "store_id": store_id}
    await db["memberships"].insert_one({**member, **there, "roles": [cashier["_id"]]})
    return store_id


async def close_store(park: Inside, store_id: str) -> None:
    db = park.platform.mongo.db
    for name in ("stores", "memberships"):
        await db[name].delete_many({"store_id": store_id})


# --- on a device ------------------------------------------------------------------------


async def test_R44_the_devices_own_tenant_may_be_named_and_no_other(park: Inside) -> None:
    till = await park.device()
    assert (await login(till, {**CASHIER, "tenant": PARK}))[0] == 200
    status, error = await login(till, {**CASHIER, "tenant": OTHER_PARK})
    assert (status, error["code"]) == (422, "E_VALIDATION")


async def test_R44_admin_devices_know_what_their_people_may_do_in_each_store(park: Inside) -> None:
    pier = await add_store(park)
    try:
        office = await park.device("ADMIN")
        await office.staff(**OWNER)
        scope = await park.scope(office)
        assert set(scope.person.stores) == {scope.store_id, pier}
        assert {each.value for each in scope.person.stores[pier]} >= {"sell"}
        assert not {each.value for each in scope.person.stores[pier]} & {"settings_write"}
        here = await office.data("GET", "/v1/employees/me")
        there = await office.data("GET", "/v1/employees/me", store_id=pier)
        assert "settings_write" in here["permissions"]
        assert "settings_write" not in there["permissions"]
        assert there["roles"] == ["cashier"]
        unknown = await office.call("GET", "/v1/employees/me", store_id=new_ulid())
        assert unknown.status_code == 404
    finally:
        await close_store(park, pier)


async def test_R41_another_store_is_not_another_set_of_tries(park: Inside) -> None:
    """The count of wrong PINs is the device's, whatever store its people act in."""
    pier = await add_store(park)
    try:
        office = await park.device("ADMIN")
        await office.staff(**OWNER)
        codes = []
        for number in range(7):
            place = {"store_id": pier} if number % 2 else {}
            wrong = {**asking(), **OWNER, "pin": "0000"}
            answer = await office.call("POST", "/v1/approvals/verify_pin", wrong, **place)
            codes.append(answer.status_code)
        assert codes == [401] * 5 + [429] * 2
    finally:
        await close_store(park, pier)


async def test_R44_the_login_is_the_devices_whatever_store_its_people_act_in(park: Inside) -> None:
    pier = await add_store(park)
    try:
        office = await park.device("ADMIN")
        await office.staff(**OWNER)
        park.clock.advance(timedelta(minutes=16))
        await office.data("POST", STEP_UP, {"pin": OWNER["pin"]}, store_id=pier)
        assert (await park.scope(office)).person.proved_at is not None
        assert (await office.call("POST", "/v1/employees/me/totp")).status_code == 200
        assert (await login(office, {**SUPERVISOR}))[0] == 200
        await office.data("POST", "/v1/auth/logout", store_id=pier)
        assert (await office.call("GET", "/v1/employees/me")).status_code == 401
    finally:
        await close_store(park, pier)


async def test_R43_a_login_and_a_change_of_roles_cannot_pass_each_other(park: Inside) -> None:
    """Whatever order they came in, the session holds what the person may do now."""
    db = park.platform.mongo.db
    office = await park.device("ADMIN")
    await office.staff(**OWNER)
    cashier = await db["roles"].find_one({"tenant_id": PARK, "name": "cashier"})
    path = f"/v1/roles/{cashier['_id']}"
    for number in range(6):
        wanted = sorted(["sell"] if number % 2 else ["redeem", "sell"])
        tills = [await park.device() for _ in range(3)]
        *_, changed = await asyncio.gather(
            *(till.staff() for till in tills),
            office.call("PATCH", path, {"permissions": wanted}),
        )
        assert changed.status_code == 200, changed.text
        for till in tills:
            assert (await till.data("GET", "/v1/employees/me"))["permissions"] == wanted


# --- proving again ----------------------------------------------------------------------


async def test_R41_a_step_up_opens_what_needs_a_fresh_pin(park: Inside) -> None:
    till = await park.device()
    await till.staff(**SUPERVISOR)
    park.clock.advance(timedelta(minutes=16))
    assert (await till.call("POST", "/v1/employees/me/totp")).status_code == 403
    told = await till.data("POST", STEP_UP, {"pin": "9999"})
    until = park.clock.now() + timedelta(minutes=15)
    assert told["fresh_until"][:19] == until.isoformat()[:19]
    assert (await till.call("POST", "/v1/employees/me/totp")).status_code == 200
    park.clock.advance(timedelta(minutes=15, seconds=1))
    assert (await till.call("POST", "/v1/employees/me/totp")).status_code == 403


async def test_R41_a_step_up_proves_this_session_alone(park: Inside) -> None:
    first, second = await park.device(), await park.device()
    for till in (first, second):
        await till.staff(**SUPERVISOR)
    park.clock.advance(timedelta(minutes=16))
    await first.data("POST", STEP_UP, {"pin": "9999"})
    refused = await second.call("POST", "/v1/employees/me/totp")
    assert refused.json()["error"]["details"] == {"reason": "step_up"}


async def test_R41_a_step_up_takes_ones_own_pin(park: Inside) -> None:
    till = await park.device()
    assert (await till.call("POST", STEP_UP, {"pin": "1111"})).status_code == 401  # nobody is there
    await till.staff()
    assert (await till.call("POST", STEP_UP, {"pin": "9999"})).status_code == 401
    assert (await till.call("POST", STEP_UP, {"pin": "1111"})).status_code == 200


async def test_R41_a_step_up_takes_the_code_of_who_has_an_app(park: Inside) -> None:
    till = await park.device()
    await till.staff(**SUPERVISOR)
    app: App = await enrol(park, till)
    missing = await till.call("POST", STEP_UP, {"pin": "9999"})
    assert missing.json()["error"]["details"] == {"totp": "required"}
    code = app.next()
    assert (await till.call("POST", STEP_UP, {"pin": "9999", "totp": code})).status_code == 200
    assert (await till.call("POST", STEP_UP, {"pin": "9999", "totp": code})).status_code == 401


async def test_R41_wrong_pins_at_the_step_up_lock_the_login_too_and_are_audited(
    park: Inside,
) -> None:
    till = await park.device()
    await till.staff()
    for _ in range(5):
        assert (await till.call("POST", STEP_UP, {"pin": "0000"})).status_code == 401
    assert (await till.call("POST", STEP_UP, {"pin": "1111"})).status_code == 429
    assert (await login(till, CASHIER))[0] == 429
    rows = park.platform.mongo.db["audits"]
    failed = {"device_id": till.device["device_id"], "event_type": "employee.step_up_failed"}
    found = await rows.find(failed).to_list(None)
    assert len(found) == 5
    assert {row["actor_id"] for row in found} == {(await park.scope(till)).actor_id}


# --- without a device -------------------------------------------------------------------


async def test_R41_tenant_email_and_pin_open_admin_routes(park: Inside) -> None:
    owner = await enter(park)
    assert (await owner.data("GET", "/v1/employees/me"))["name"]
    assert (await owner.call("GET", "/v1/sales")).status_code == 200
    assert (await owner.call("GET", "/v1/settings")).status_code == 200
    scope = await park.scope(owner)
    assert (scope.device.code, scope.device.paired) == ("WEB", False)
    assert scope.person.stores


async def test_R41_without_a_device_nobody_touches_money_or_tickets(park: Inside) -> None:
    owner = await enter(park)
    sale = {"lines": [{"package_id": new_ulid(), "qty": 1}], "payments": []}
    op = {"op_id": new_ulid(), "kind": "sale", "seq": 1, "schema_version": 1, "body": sale}
    batch = {"epoch": 1, "ops": [{**op, "occurred_at": "2026-11-21T10:00:00Z"}]}
    tries: tuple[tuple[str, dict[str, Any]], ...] = (
        ("/v1/sales", sale),
        ("/v1/shifts/open", {"cash_open": 0}),
        ("/v1/tickets/redeem", {"qr_token": "x"}),
        ("/v1/refunds", {"sale_id": new_ulid(), "reason_code": "customer_request"}),
        ("/v1/timecards/clock_in", {}),
        ("/v1/sync/batch", batch),
        ("/v1/approvals/verify_pin", asking()),
        ("/v1/provider/heartbeats", {}),
        ("/v1/open_tickets", {"name": "x", "cart": {"lines": sale["lines"]}}),
    )
    for path, body in tries:
        refused = await owner.call("POST", path, body, key=new_ulid())
        assert refused.status_code == 403, path
        assert refused.json()["error"]["details"]["reason"] == "capability", path


async def test_R41_without_a_device_it_takes_tenant_email_and_pin(park: Inside) -> None:
    owner = await park.platform.mongo.db["employees"].find_one({"email": OWNER["email"]})
    for body in (OWNER, {"tenant": PARK, "employee_id": owner["_id"], "pin": OWNER["pin"]}):
        status, error = await login(stranger(park), body)
        assert (status, error["code"]) == (401, "E_UNAUTHENTICATED")
    for odd in ({"$ne": ""}, "", "x" * 41, "a.b", None, 1):
        status, _ = await login(stranger(park), {**OWNER, "tenant": odd})
        assert status in {401, 422}


async def test_R41_a_bad_token_does_not_become_a_login_without_a_device(park: Inside) -> None:
    who = stranger(park)
    for header in ("Bearer x", "Bearer ", "Basic b3duZXI6ODg4OA=="):
        response = await who.http.request(
            "POST", "/v1/employees/login", json=web(), headers={"Authorization": header}
        )
        assert response.status_code == 401


async def test_R41_unknown_tenants_look_and_take_like_wrong_pins(park: Inside, wire: Wire) -> None:
    """The same answer after the same commands to the database."""
    for body in (web(pin="0000", email=OWNER["email"]), web(new_ulid())):
        await login(stranger(park), body)  # the audit chains are there
    seen = []
    for tenant, email, pin in (
        (PARK, OWNER["email"], "0000"),
        (PARK, "nobody@demo.playpark", "8888"),
        (PARK, "cashier@other.playpark", "1111"),
        (OTHER_PARK, OWNER["email"], "8888"),
        (new_ulid(), OWNER["email"], "8888"),
        ("no-such-tenant", OWNER["email"], "8888"),
    ):
        await park.platform.mongo.db["budgets"].delete_many({})
        if tenant == OTHER_PARK:
            await login(stranger(park), {**web(tenant), "pin": "0000"})
            await park.platform.mongo.db["budgets"].delete_many({})
        wire.heard.clear()
        answer = await login(stranger(park), {"tenant": tenant, "email": email, "pin": pin})
        seen.append((answer, list(wire.heard)))
    assert seen[0][0][0] == 401
    for each in seen[1:]:
        assert each == seen[0]


async def test_R41_failures_without_a_device_stand_in_a_chain_of_their_own(park: Inside) -> None:
    for body in (web(email=OWNER["email"], pin="0000"), web(email="x@y.z", pin="0000")):
        await login(stranger(park), body)
    unknown = new_ulid()
    await login(stranger(park), web(unknown))
    rows = park.platform.mongo.db["audits"]
    failed = {"device_id": "web", "event_type": "employee.login_failed"}
    known = await rows.find({**failed, "tenant_id": PARK}).sort("seq", -1).to_list(2)
    assert [row["entity_id"] for row in known] == [
        "x@y.z",
        (await park.platform.mongo.db["employees"].find_one({"email": OWNER["email"]}))["_id"],
    ]
    assert await rows.count_documents({"tenant_id": unknown}) == 0
    assert await rows.count_documents({**failed, "tenant_id": "*"}) >= 1
    for tenant in (PARK, "*"):
        chain = await rows.find({**failed, "tenant_id": tenant}).sort("seq", 1).to_list(None)
        assert [row["seq"] for row in chain] == list(range(1, len(chain) + 1))


async def test_R41_ten_wrong_pins_an_hour_for_an_email_wherever_they_come_from(
    park: Inside,
) -> None:
    codes = []
    for number in range(11):
        async with at(park, f"203.0.113.{number}") as who:
            codes.append((await login(who, web(email=OWNER["email"], pin="0000")))[0])
    assert codes == [401] * 10 + [429]
    async with at(park, "198.51.100.1") as who:
        right, wrong = [
            await login(who, web(email=OWNER["email"], pin=pin)) for pin in ("8888", "0")
        ]
        assert right[0] == 429
        assert wrong[0] == 422
        assert (await login(who, web(**SUPERVISOR)))[0] == 200  # others are not locked
    till = await park.device()
    assert (await login(till, OWNER))[0] == 200  # and no till is
    park.clock.advance(timedelta(hours=1))
    assert (await login(stranger(park), web()))[0] == 200


async def test_R41_twenty_wrong_pins_an_hour_from_an_address_whoevers(park: Inside) -> None:
    async with at(park, "203.0.113.77") as who:
        codes = []
        for first in range(0, 50, 5):  # strangers have few places in the queue
            emails = [f"guest{n}@x.example" for n in range(first, first + 5)]
            guesses = (login(who, web(email=email, pin="0000")) for email in emails)
            codes += [status for status, _ in await asyncio.gather(*guesses)]
        assert (codes.count(401), codes.count(429)) == (20, 30)
        assert (await login(who, web()))[0] == 429
    assert (await login(stranger(park), web()))[0] == 200


async def test_R41_strangers_never_keep_a_tills_people_out() -> None:
    pins = PinHasher()
    known = await pins.hash("2468")
    guesses = [pins.verify(None, "0000", stranger=True) for _ in range(60)]
    *answers, right = await asyncio.gather(
        *guesses, pins.verify(known, "2468"), return_exceptions=True
    )
    pins.close()
    assert right is True
    assert [answer for answer in answers if answer is False] == [False] * FOR_STRANGERS


@pytest.mark.parametrize("paired", [True, False])
async def test_R41_who_has_no_device_is_a_stranger(
    park: Inside, monkeypatch: pytest.MonkeyPatch, *, paired: bool
) -> None:
    told: list[bool] = []

    async def noted(_self: PinHasher, _known: str | None, _pin: str, *, stranger: bool) -> bool:
        told.append(stranger)
        return False

    who, body = (await park.device(), OWNER) if paired else (stranger(park), web())
    monkeypatch.setattr(PinHasher, "verify", noted)
    await login(who, body)
    assert told == [not paired]


async def test_R41_right_pins_without_a_device_are_not_counted(park: Inside) -> None:
    for _ in range(25):
        assert (await login(stranger(park), web()))[0] == 200


async def test_R41_without_a_device_the_code_of_who_has_an_app_is_needed(park: Inside) -> None:
    owner = await enter(park)
    app: App = await enrol(park, owner)
    status, error = await login(stranger(park), web())
    assert (status, error["details"]) == (401, {"totp": "required"})
    assert (await login(stranger(park), {**web(), "totp": app.wrong()}))[1]["details"] is None
    assert (await login(stranger(park), {**web(), "totp": app.next()}))[0] == 200


async def test_R41_logging_in_from_many_windows_at_once_is_one_session(park: Inside) -> None:
    windows = await asyncio.gather(*(enter(park) for _ in range(8)))
    assert await park.platform.mongo.db["sessions"].count_documents({"paired": False}) == 1
    for each in windows:
        assert (await each.call("GET", "/v1/employees/me")).status_code == 200
    await windows[0].data("POST", "/v1/auth/logout")
    assert (await windows[1].call("GET", "/v1/employees/me")).status_code == 401


async def test_R43_a_login_without_a_device_is_refreshed_like_any_other(park: Inside) -> None:
    who = stranger(park)
    session = await who.data("POST", "/v1/employees/login", web())
    body = {"refresh_token": session["refresh_token"]}
    who.token = (await who.data("POST", "/v1/auth/refresh", body))["access_token"]
    assert (await who.call("GET", "/v1/employees/me")).status_code == 200
    park.clock.advance(timedelta(minutes=1))
    assert (await who.call("POST", "/v1/auth/refresh", body)).status_code == 401
    assert (await who.call("GET", "/v1/employees/me")).status_code == 401


async def test_R41_a_suspended_person_is_told_so_after_the_right_pin_only(park: Inside) -> None:
    employees = park.platform.mongo.db["employees"]
    who = {"email": SUPERVISOR["email"]}
    await employees.update_one(who, {"$set": {"status": "suspended"}})
    try:
        for place in (stranger(park), await park.device()):
            body = web(**SUPERVISOR)
            status, error = await login(place, body)
            assert (status, error["code"]) == (403, "E_EMPLOYEE_SUSPENDED")
            assert (await login(place, {**body, "pin": "0000"}))[1]["code"] == "E_UNAUTHENTICATED"
    finally:
        await employees.update_one(who, {"$set": {"status": "active"}})


async def test_R44_a_suspended_tenants_people_are_told_so_after_the_right_pin_only(
    park: Inside,
) -> None:
    db = park.platform.mongo.db
    for known in (False, True):  # with and without a login of before
        for status in ("suspended", "active"):
            change = {"$set": {"status": status}}
            await db["tenants"].update_one({"_id": PARK}, change)
            told = {"$set": {"tenant_status": status}}
            await db["sessions"].update_many({"tenant_id": PARK}, told)
            if status == "suspended":
                _, error = await login(stranger(park), web())
                assert error["code"] == "E_TENANT_SUSPENDED", known
                _, error = await login(stranger(park), web(email=OWNER["email"], pin="0000"))
                assert error["code"] == "E_UNAUTHENTICATED"
        await enter(park)


async def test_R40_who_works_nowhere_does_not_get_in_and_who_moved_goes_along(park: Inside) -> None:
    """The login's home is a store where the person works."""
    pier = await add_store(park)
    memberships = park.platform.mongo.db["memberships"]
    home = {"employee_id": demo_id("employee", "malee"), "store_id": {"$ne": pier}}
    there = {"employee_id": home["employee_id"], "store_id": pier}
    try:
        assert (await park.scope(await enter(park))).store_id != pier
        await memberships.update_one(home, {"$set": {"active": False}})
        moved = await enter(park)
        assert (await park.scope(moved)).store_id == pier
        assert (await moved.data("GET", "/v1/employees/me"))["roles"] == ["cashier"]
        await memberships.update_one(there, {"$set": {"active": False}})
        assert (await login(stranger(park), web()))[0] == 401
    finally:
        await memberships.update_one(home, {"$set": {"active": True}})
        await close_store(park, pier)


async def test_R41_a_stranger_cannot_send_a_large_body(park: Inside) -> None:
    body = {**web(), "pad": "x" * 100_000}
    assert (await stranger(park).call("POST", "/v1/employees/login", body)).status_code == 413
