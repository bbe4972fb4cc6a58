"""What somebody finds who comes to a device where others have worked: old logins, old approvals,
refusals that nobody would see (R41, R42, R43)."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from api.approvals import service as approvals
from api.demo_park import demo_id
from api.identity.proving import Proof
from api.identity.rescuing import rescue
from api.platform.jwt import LIFETIME, TokenType
from playpark.errors import PlayParkError
from playpark.ids import new_ulid
from tests.api.approving import put_back
from tests.api.drawers import SUPERVISOR, send
from tests.api.inside import Inside, inside
from tests.api.own_park import OWNER
from tests.outside import Outsider

TENANT = demo_id("tenant", "bangkok")
PIN = "739164"


@pytest.fixture(scope="module")
async def own(mongo_uri: str, database: str) -> AsyncIterator[Inside]:
    async with inside(mongo_uri, f"{database}_doors") as found:
        yield found


@pytest.fixture
async def park(own: Inside) -> AsyncIterator[Inside]:
    people = own.platform.mongo.db["employees"]
    before = await people.find().to_list(None)
    async with put_back(own) as found:
        yield found
    for each in before:
        await people.replace_one({"_id": each["_id"]}, each)


async def office(park: Inside) -> Outsider:
    return await (await park.device("ADMIN")).staff(**OWNER)


async def selling(park: Inside) -> Outsider:
    till = await (await park.device()).staff()
    await till.open_shift()
    return till


async def device_token(device: Outsider) -> str:
    login = {key: device.device[key] for key in ("device_id", "device_token")}
    answer = await device.data("POST", "/v1/auth/device/login", login)
    return str(answer["access_token"])


async def person(park: Inside, email: str) -> Any:
    return await park.platform.mongo.db["employees"].find_one({"email": email})


async def batch(till: Outsider, park: Inside, body: Any, **envelope: Any) -> Any:
    op = {
        "op_id": new_ulid(),
        "schema_version": 1,
        "body": body,
        "occurred_at": park.clock.now().isoformat(),
        **envelope,
    }
    answer = await till.data("POST", "/v1/sync/batch", {"epoch": 1, "ops": [op]})
    return answer["results"][0]


# --- people ---------------------------------------------------------------------------------


@pytest.mark.parametrize("what", ["create", "reset_pin", "memberships", "change"])
async def test_R41_a_login_that_was_left_open_decides_on_nobody(park: Inside, what: str) -> None:
    admin = await office(park)
    me = (await admin.data("GET", "/v1/employees/me"))["employee_id"]
    mine = (await admin.data("GET", f"/v1/employees/{me}"))["memberships"]
    places = [{"store_id": each["store_id"], "role_ids": each["role_ids"]} for each in mine]
    clone = {"name": "Clone", "email": "clone@demo.playpark", "pin": PIN, "memberships": places}
    method, path, body = {
        "create": ("POST", "/v1/employees", clone),
        "reset_pin": ("POST", f"/v1/employees/{me}/reset_pin", {"pin": PIN}),
        "memberships": ("PUT", f"/v1/employees/{me}/memberships", {"memberships": places}),
        "change": ("PATCH", f"/v1/employees/{me}", {"email": "mine@demo.playpark"}),
    }[what]
    park.clock.advance(timedelta(minutes=16))
    refused = await admin.call(method, path, body)
    assert refused.status_code == 403
    assert refused.json()["error"]["details"] == {"reason": "step_up"}


async def test_R40_a_membership_that_rests_protects_who_has_it(park: Inside) -> None:
    admin = await office(park)
    me = (await admin.data("GET", "/v1/employees/me"))["employee_id"]
    mine = (await admin.data("GET", f"/v1/employees/{me}"))["memberships"]
    store_id = mine[0]["store_id"]
    some = {"name": "People", "permissions": ["employee_manage", "sell"]}
    role = (await admin.data("POST", "/v1/roles", some))["role_id"]
    resting = [{"store_id": store_id, "role_ids": mine[0]["role_ids"], "active": False}]
    second = {"name": "Second", "email": "second@demo.playpark", "memberships": resting}
    owner = (await admin.data("POST", "/v1/employees", second))["employee_id"]
    places = [{"store_id": store_id, "role_ids": [role]}]
    body = {"name": "M", "email": "m@demo.playpark", "pin": PIN, "memberships": places}
    await admin.data("POST", "/v1/employees", body)
    manager = await (await park.device("ADMIN")).staff(email="m@demo.playpark", pin=PIN)
    for answer in (
        await manager.call("POST", f"/v1/employees/{owner}/reset_pin", {"pin": PIN}),
        await manager.call("PATCH", f"/v1/employees/{owner}", {"email": "x@demo.playpark"}),
    ):
        assert answer.status_code == 403


async def test_R40_the_only_owner_has_a_way_back_from_the_servers_machine(park: Inside) -> None:
    device = await park.device("ADMIN")
    at_door = device.token
    admin = await device.staff(**OWNER)
    await rescue(park.platform, TENANT, OWNER["email"], PIN)
    assert (await admin.call("GET", "/v1/employees/me")).status_code == 401
    admin.token = at_door
    assert (await admin.call("POST", "/v1/employees/login", OWNER)).status_code == 401
    await admin.staff(email=OWNER["email"], pin=PIN)
    rows = park.platform.mongo.db["audits"]
    assert await rows.count_documents({"event_type": "employee.rescued"}) == 1
    with pytest.raises(PlayParkError, match="Nobody"):
        await rescue(park.platform, TENANT, "stranger@demo.playpark", PIN)


async def test_R43_a_login_that_nobody_kept_alive_acts_no_more(park: Inside) -> None:
    till = await park.device()
    at_door = till.token
    await till.staff(**SUPERVISOR)
    till.token = at_door
    await till.staff()
    await till.open_shift()
    ride = (await till.packages())["Carousel ride"]["package_id"]
    who = (await person(park, SUPERVISOR["email"]))["_id"]
    park.clock.advance(LIFETIME[TokenType.REFRESH] + timedelta(minutes=1))
    till.token = await device_token(till)
    sale = {
        "lines": [{"package_id": ride, "qty": 1, "manual_discount": 100}],
        "payments": [{"method": "cash", "amount": 3_900}],
    }
    answer = await batch(till, park, sale, kind="sale", seq=1, employee_id=who)
    assert (answer["status"], answer["code"]) == ("rejected", "E_PERMISSION")
    await till.staff()
    held = await park.platform.mongo.db["sessions"].find_one({"_id": till.device["device_id"]})
    assert who not in held["employees"]


# --- approvals ------------------------------------------------------------------------------


async def approved(till: Outsider, sale_id: str) -> str:
    body = {**SUPERVISOR, "action": "refund", "entity_id": sale_id}
    return str((await till.data("POST", "/v1/approvals/verify_pin", body))["approval_token"])


async def test_R42_nobody_asks_in_the_name_of_somebody_who_is_not_here(park: Inside) -> None:
    till = await park.device()
    at_door = till.token
    await till.staff()
    await till.open_shift()
    cashier = (await till.data("GET", "/v1/employees/me"))["employee_id"]
    sale_id = (await till.sell(("Adult day pass", 1)))["sale"]["sale_id"]
    await till.data("POST", "/v1/auth/logout")
    till.token = at_door
    token = await approved(till, sale_id)
    body = {"sale_id": sale_id, "reason_code": "customer_request"}
    told = {"kind": "refund", "employee_id": cashier, "approval": token, "committed": True}
    answer = await batch(till, park, body, seq=50, **told)
    assert answer["result"]["approved_by"] is None
    assert "unapproved" in answer["result"]["flags"]


async def test_R42_an_approval_is_kept_for_the_same_body_only(park: Inside) -> None:
    till = await selling(park)
    sold = await till.sell(("Adult day pass", 3))
    sale_id, first = sold["sale"]["sale_id"], sold["tickets"][0]["ticket_id"]
    token, key = await approved(till, sale_id), new_ulid()
    little = {"sale_id": sale_id, "ticket_ids": [first], "reason_code": "no_such"}
    assert (await send(till, "POST", "/refunds", little, key=key, approval=token)).is_client_error
    park.clock.advance(timedelta(minutes=3))
    all_of_it = {"sale_id": sale_id, "reason_code": "customer_request"}
    later = await send(till, "POST", "/refunds", all_of_it, key=key, approval=token)
    assert later.json()["error"]["details"]["reason"] == "approval_required"


async def test_R42_an_approval_ends_with_its_approvers_rights(park: Inside) -> None:
    till, admin = await selling(park), await office(park)
    sale_id = (await till.sell(("Adult day pass", 1)))["sale"]["sale_id"]
    token = await approved(till, sale_id)
    approver = (await person(park, SUPERVISOR["email"]))["_id"]
    await admin.data("PATCH", f"/v1/employees/{approver}", {"status": "suspended"})
    body = {"sale_id": sale_id, "reason_code": "customer_request"}
    refused = await send(till, "POST", "/refunds", body, key=new_ulid(), approval=token)
    assert refused.json()["error"]["details"]["reason"] == "approval_required"
    await admin.data("PATCH", f"/v1/employees/{approver}", {"status": "active"})
    assert (await send(till, "POST", "/refunds", body, key=new_ulid(), approval=token)).is_success


async def test_R42_who_is_suspended_while_their_pin_is_checked_approves_nothing(
    park: Inside, monkeypatch: pytest.MonkeyPatch
) -> None:
    till = await selling(park)
    people, prove = park.platform.mongo.db["employees"], approvals.proving.prove
    gone = {"$set": {"status": "suspended"}, "$inc": {"ver": 1}}

    async def slowly(*told: Any, **more: Any) -> Proof:
        proof = await prove(*told, **more)
        await people.update_one({"email": SUPERVISOR["email"]}, gone)
        return proof

    monkeypatch.setattr(approvals.proving, "prove", slowly)
    body = {**SUPERVISOR, "action": "refund", "entity_id": new_ulid()}
    assert (await till.call("POST", "/v1/approvals/verify_pin", body)).status_code == 401


async def test_R42_an_operation_of_another_kind_keeps_no_approval_alive(park: Inside) -> None:
    till = await selling(park)
    sale_id = (await till.sell(("Adult day pass", 1)))["sale"]["sale_id"]
    token = await approved(till, sale_id)
    reprint = {"sale_id": sale_id, "reason_code": "customer_request"}
    refused = await send(till, "POST", "/reprints", reprint, key=new_ulid(), approval=token)
    assert refused.status_code == 403
    kept = await park.platform.mongo.db["approvals"].find_one({"entity_id": sale_id})
    assert kept["received_with"] == []


# --- refusals -------------------------------------------------------------------------------


async def test_R43_the_login_of_a_revoked_device_leaves_a_row(park: Inside) -> None:
    till, admin = await park.device(), await office(park)
    device_id = till.device["device_id"]
    await admin.data("POST", f"/v1/devices/{device_id}/revoke")
    login = {key: till.device[key] for key in ("device_id", "device_token")}
    assert (await till.call("POST", "/v1/auth/device/login", login)).status_code == 200
    rows = park.platform.mongo.db["audits"]
    told = {"event_type": "request.refused", "entity_id": device_id}
    assert (await rows.find_one(told))["payload"]["code"] == "E_DEVICE_REVOKED"


async def test_R43_a_web_login_to_a_suspended_park_leaves_a_row(park: Inside) -> None:
    db = park.platform.mongo.db
    await db["tenants"].update_one({"_id": TENANT}, {"$set": {"status": "suspended"}})
    try:
        stranger = Outsider(park.http)
        body = {"tenant": TENANT, **OWNER}
        assert (await stranger.call("POST", "/v1/employees/login", body)).status_code == 403
    finally:
        await db["tenants"].update_one({"_id": TENANT}, {"$set": {"status": "active"}})
    told = {"event_type": "request.refused", "payload.code": "E_TENANT_SUSPENDED"}
    assert await db["audits"].count_documents(told) == 1
