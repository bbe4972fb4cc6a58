"""R43, R44: the operator opens parks and suspends them; no park sees another or the operator."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from api.audit.repository import AuditRepository
from api.platform.authority import DeviceAuthority
from api.provider.models import AREA
from playpark.ids import new_ulid
from tests.api.inside import Inside, inside
from tests.api.operating import NEW_PARK, begin_again, operator, refusal
from tests.outside import Outsider

MANY = 2_000


@pytest.fixture(scope="module")
async def house(mongo_uri: str, database: str) -> AsyncIterator[Inside]:
    async with inside(mongo_uri, f"{database}_tenants") as made:
        yield made


@pytest.fixture
async def park(house: Inside) -> Inside:
    await begin_again(house)
    return house


async def opened(park: Inside, serving: Outsider, **more: str) -> dict[str, Any]:
    answer: dict[str, Any] = await serving.data(
        "POST", "/v1/provider/tenants", {**NEW_PARK, **more}
    )
    return answer


async def suspend(serving: Outsider, tenant_id: str, status: str = "suspended") -> None:
    path = f"/v1/provider/tenants/{tenant_id}"
    told = await serving.data("PATCH", path, {"status": status})
    assert told["status"] == status


async def last_audit(park: Inside) -> dict[str, Any]:
    rows, _ = await AuditRepository(park.platform.uow.reading(), *AREA).newest(1, None, {})
    return rows[0]


# --- opening, reading, changing -----------------------------------------------------------


async def test_R44_a_park_is_opened_and_works_at_once(park: Inside) -> None:
    serving = await operator(park.http)
    made = await opened(park, serving)
    till = await Outsider(park.http).pair("POS", made["site_key"])
    await till.staff(email=NEW_PARK["owner_email"], pin=NEW_PARK["owner_pin"])
    me = await till.data("GET", "/v1/employees/me")
    assert me["employee_id"] == made["owner_id"]
    row = await last_audit(park)
    assert (row["event_type"], row["entity_id"]) == ("tenant.opened", made["tenant_id"])
    assert made["site_key"] not in str(row)


async def test_a_tenant_is_listed_read_and_changed(park: Inside) -> None:
    serving = await operator(park.http)
    made = await opened(park, serving)
    one = f"/v1/provider/tenants/{made['tenant_id']}"
    body = {"name": "Lake Park", "legal_name": "Lake Park Ltd.", "billing_plan": "season"}
    changed = await serving.data("PATCH", one, body)
    assert {key: changed[key] for key in body} == body
    assert await serving.data("GET", one) == changed
    assert changed in (await serving.data("GET", "/v1/provider/tenants"))["items"]
    assert "short_code_key" not in str(changed)
    row = await last_audit(park)
    assert row["payload"]["changes"][0] == {
        "field": "name",
        "old": "River Park",
        "new": "Lake Park",
    }


async def test_tenants_come_in_pages_each_once(park: Inside) -> None:
    serving = await operator(park.http)
    for _ in range(2):
        await opened(park, serving)
    seen, cursor = [], {}
    while True:
        page = await serving.data("GET", "/v1/provider/tenants", limit=2, **cursor)
        seen += [each["tenant_id"] for each in page["items"]]
        assert len(page["items"]) <= 2
        if page["next_cursor"] is None:
            break
        cursor = {"cursor": page["next_cursor"]}
    assert (
        len(seen) == len(set(seen)) == await park.platform.mongo.db["tenants"].count_documents({})
    )


async def test_a_tenant_that_is_not_there_is_404(park: Inside) -> None:
    serving = await operator(park.http)
    one = f"/v1/provider/tenants/{new_ulid()}"
    assert await refusal(serving, "GET", one) == (404, "E_NOT_FOUND")
    told = await refusal(serving, "PATCH", one, {"status": "suspended"})
    assert told == (404, "E_NOT_FOUND")
    told = await refusal(serving, "GET", "/v1/provider/tenants/provider")
    assert told == (404, "E_NOT_FOUND")


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"status": None},
        {"status": "gone"},
        {"status": {"$ne": ""}},
        {"name": ""},
        {"name": "x" * 121},
        {"billing_plan": "Season $"},
        {"tenant_id": "x"},
        {"short_code_key": "00"},
        {"device_numbers": 0},
    ],
    ids=str,
)
async def test_odd_changes_of_a_tenant_are_422(park: Inside, body: Any) -> None:
    serving = await operator(park.http)
    items = (await serving.data("GET", "/v1/provider/tenants"))["items"]
    before = items[-1]
    one = f"/v1/provider/tenants/{before['tenant_id']}"
    assert await refusal(serving, "PATCH", one, body) == (422, "E_VALIDATION")
    assert await serving.data("GET", one) == before


@pytest.mark.parametrize(
    "change",
    [
        {"owner_pin": "12"},
        {"owner_pin": 739152},
        {"owner_email": {"$gt": ""}},
        {"tz": "Atlantis/Deep"},
        {"currency": "baht"},
        {"name": None},
        {"status": "active"},
    ],
    ids=str,
)
async def test_odd_parks_are_not_opened(park: Inside, change: Any) -> None:
    serving = await operator(park.http)
    count = park.platform.mongo.db["tenants"].count_documents
    before = await count({})
    body = {**NEW_PARK, **change}
    answer = await serving.call("POST", "/v1/provider/tenants", body)
    assert answer.status_code == 422
    assert NEW_PARK["owner_pin"] not in answer.text
    assert await count({}) == before


# --- suspending ---------------------------------------------------------------------------


async def test_R44_a_suspended_park_is_refused_with_its_next_request_and_resumes(
    park: Inside,
) -> None:
    serving = await operator(park.http)
    made = await opened(park, serving)
    key, owner = made["site_key"], {"email": NEW_PARK["owner_email"], "pin": NEW_PARK["owner_pin"]}
    gate = await Outsider(park.http).pair("GATE", key)
    till = await Outsider(park.http).pair("POS", key)
    person = await Outsider(park.http, till.device, till.token).staff(**owner)
    neighbour = await park.device("POS")
    session = await till.data("POST", "/v1/employees/login", owner)
    await suspend(serving, made["tenant_id"])

    for client in (gate, till, person):
        told = await refusal(client, "GET", "/v1/devices/me")
        assert told == (403, "E_TENANT_SUSPENDED")
    told = await refusal(till, "POST", "/v1/provider/heartbeats", {})
    assert told == (403, "E_TENANT_SUSPENDED")
    told = await refusal(till, "POST", "/v1/employees/login", owner)
    assert told == (403, "E_TENANT_SUSPENDED")
    login = {name: gate.device[name] for name in ("device_id", "device_token")}
    stranger = Outsider(park.http)
    told = await refusal(stranger, "POST", "/v1/auth/device/login", login)
    assert told == (403, "E_TENANT_SUSPENDED")
    body = {"refresh_token": session["refresh_token"]}
    told = await refusal(stranger, "POST", "/v1/auth/refresh", body)
    assert told == (403, "E_TENANT_SUSPENDED")
    registration = {"site_key": key, "type": "POS", "name": "One more"}
    told = await refusal(stranger, "POST", "/v1/auth/device/register", registration)
    assert told == (403, "E_TENANT_SUSPENDED")
    await neighbour.data("GET", "/v1/devices/me")

    await suspend(serving, made["tenant_id"], "active")
    for client in (gate, till, person):
        await client.data("GET", "/v1/devices/me")
    await Outsider(park.http).pair("POS", key)


async def test_R44_a_login_without_a_device_is_refused_too(park: Inside) -> None:
    serving = await operator(park.http)
    made = await opened(park, serving)
    body = {
        "tenant": made["tenant_id"],
        "email": NEW_PARK["owner_email"],
        "pin": NEW_PARK["owner_pin"],
    }
    person = Outsider(park.http)
    person.token = (await person.data("POST", "/v1/employees/login", body))["access_token"]
    await suspend(serving, made["tenant_id"])
    told = await refusal(person, "GET", "/v1/employees/me")
    assert told == (403, "E_TENANT_SUSPENDED")
    told = await refusal(Outsider(park.http), "POST", "/v1/employees/login", body)
    assert told == (403, "E_TENANT_SUSPENDED")


async def test_a_suspension_reaches_two_thousand_devices_in_one_transaction(
    park: Inside,
) -> None:
    """All or none: decision 0015 says how long it takes."""
    serving = await operator(park.http)
    made = await opened(park, serving)
    till = await Outsider(park.http).pair("POS", made["site_key"])
    sessions = park.platform.mongo.db["sessions"]
    known = await sessions.find_one({"_id": till.device["device_id"]})
    assert known is not None
    await sessions.insert_many([{**known, "_id": new_ulid()} for _ in range(MANY - 1)])
    others = {"tenant_id": {"$ne": made["tenant_id"]}, "tenant_status": "suspended"}
    before = await sessions.count_documents(others)
    await suspend(serving, made["tenant_id"])
    suspended = {"tenant_id": made["tenant_id"], "tenant_status": "suspended"}
    assert await sessions.count_documents(suspended) == MANY
    assert await sessions.count_documents(others) == before
    await sessions.delete_many({"tenant_id": made["tenant_id"]})


async def test_R43_a_device_that_is_paired_meanwhile_is_suspended_too(park: Inside) -> None:
    serving = await operator(park.http)
    made = await opened(park, serving)

    async def pair(number: int) -> int:
        body = {"site_key": made["site_key"], "type": "POS", "name": f"Till {number}"}
        answer = await Outsider(park.http).call("POST", "/v1/auth/device/register", body)
        return answer.status_code

    pairing = asyncio.gather(*(pair(number) for number in range(8)))
    await suspend(serving, made["tenant_id"])
    assert set(await pairing) <= {200, 401, 403}
    sessions = park.platform.mongo.db[DeviceAuthority.__collection__]
    own = {"tenant_id": made["tenant_id"]}
    statuses = await sessions.distinct("tenant_status", own)
    assert statuses in ([], ["suspended"])


async def test_suspending_and_resuming_at_once_leaves_all_sessions_alike(park: Inside) -> None:
    serving = await operator(park.http)
    made = await opened(park, serving)
    for _ in range(3):
        await Outsider(park.http).pair("POS", made["site_key"])
    states = ["suspended", "active"] * 10
    await asyncio.gather(*(suspend(serving, made["tenant_id"], status) for status in states))
    tenant = await park.platform.mongo.db["tenants"].find_one({"_id": made["tenant_id"]})
    assert tenant is not None
    sessions = park.platform.mongo.db["sessions"]
    assert await sessions.distinct("tenant_status", {"tenant_id": made["tenant_id"]}) == [
        tenant["status"]
    ]


# --- the operators' trail -----------------------------------------------------------------


async def test_R45_the_operators_trail_is_listed_and_exported(park: Inside) -> None:
    serving = await operator(park.http)
    made = await opened(park, serving, name="=Park")
    await suspend(serving, made["tenant_id"])
    page = await serving.data("GET", "/v1/provider/audits", limit=2)
    assert [row["event_type"] for row in page["items"]] == ["tenant.changed", "tenant.opened"]
    assert page["next_cursor"]
    rest = await serving.data("GET", "/v1/provider/audits", cursor=page["next_cursor"])
    assert [row["event_type"] for row in rest["items"]] == ["operator.login", "operator.created"]
    csv = await serving.call("GET", "/v1/provider/audits", format="csv")
    assert csv.headers["content-type"].startswith("text/csv")
    assert len(csv.text.strip().splitlines()) == 5


async def test_R44_the_operators_trail_holds_no_row_of_a_tenant_and_no_tenant_one_of_theirs(
    park: Inside,
) -> None:
    serving = await operator(park.http)
    till = await park.device("POS")
    await till.staff(email="owner@demo.playpark", pin="8888")
    listed = await serving.data("GET", "/v1/provider/audits", limit=200)
    assert till.device["device_id"] not in str(listed)
    own = await till.data("GET", "/v1/audits", limit=200)
    assert own["items"]
    assert not any(row["event_type"].startswith("operator.") for row in own["items"])


async def test_provider_audits_is_a_view_that_nobody_writes(park: Inside) -> None:
    found = await park.platform.mongo.db.list_collections(filter={"name": "provider_audits"})
    (view,) = [each async for each in found]
    assert view["type"] == "view"
    assert view["options"]["viewOn"] == "audits"
