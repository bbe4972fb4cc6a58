"""What a revoked device still holds, and what a dead network left on a disk (R37, R38)."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from api.demo_park import demo_id
from tests.api.drawers import tell
from tests.api.inside import Inside, inside
from tests.api.outages import OWNER, Store, answered, letters, resolve, statuses
from tests.outside import CASHIER, Outsider

REVOKED = (403, "E_DEVICE_REVOKED")


@pytest.fixture(scope="module")
async def park(mongo_uri: str, database: str) -> AsyncIterator[Inside]:
    async with inside(mongo_uri, f"{database}_revoked") as park:
        yield park


@pytest.fixture
async def office(park: Inside) -> Outsider:
    return await (await park.device("ADMIN")).staff(**OWNER)


@pytest.fixture
async def store(park: Inside) -> Store:
    till = Store(await park.device("POS"), park)
    await till.sync(till.op("shift_open", {"cash_open": 0}))
    return till


async def step(office: Outsider, store: Store, name: str) -> None:
    await tell(office, "POST", f"/devices/{store.device_id}/{name}")


async def log_in(store: Store) -> tuple[int, str | None]:
    """The device logs in again: status and code; with its new token where it gets one."""
    login = {name: store.device.device[name] for name in ("device_id", "device_token")}
    response = await store.device.call("POST", "/v1/auth/device/login", login)
    if response.status_code == 200:
        session = response.json()["data"]
        store.device.token = session["access_token"]
        assert session["short_code_key"] is None or session["device"]["status"] == "active"
    return answered(response)


async def test_R38_what_a_revoked_device_holds_waits_for_a_review_without_an_effect(
    park: Inside, store: Store, office: Outsider
) -> None:
    booked = await store.sale(1)
    await store.sync(booked)
    sold, bad = await store.sale(2), store.op("sale", {"lines": 1})
    await step(office, store, "revoke")
    assert answered(await store.send(sold)) == REVOKED
    assert await log_in(store) == (200, None)
    results = await store.sync(booked, sold, bad)
    assert statuses(results) == ["duplicate", "rejected", "rejected"]
    assert results[0]["result"] is None
    assert {each["code"] for each in results[1:]} == {"E_DEVICE_REVOKED"}
    again = await store.sync(sold, bad)
    kept = [each["dead_letter_id"] for each in results[1:]]
    assert [each["dead_letter_id"] for each in again] == kept
    sales = park.platform.mongo.db.sales
    assert await sales.count_documents({"device_id": store.device_id}) == 1
    waiting = await letters(office, kind="review", status="open", device_id=store.device_id)
    assert [each["dead_letter_id"] for each in waiting] == kept[::-1]
    row = await park.platform.mongo.db.receipt_ledger.find_one({"op_id": sold["op_id"]})
    assert row is not None
    assert row["state"] == "dead_lettered"


async def test_R38_a_supervisor_books_what_was_sold_before_the_revocation(
    park: Inside, store: Store, office: Outsider
) -> None:
    sold = await store.sale(1)
    await step(office, store, "revoke")
    await log_in(store)
    (kept,) = await store.sync(sold)
    response = await resolve(office, kept["dead_letter_id"], "apply")
    assert answered(response) == (200, None), response.text
    sale = response.json()["data"]["result"]["sale"]
    assert (sale["device_id"], sale["receipt_no"]) == (store.device_id, f"{store.code}-S000001")
    (again,) = await store.sync(sold)
    assert (again["status"], again["result"]) == ("duplicate", None)


async def test_R38_its_token_is_good_for_nothing_else(
    park: Inside, store: Store, office: Outsider
) -> None:
    await step(office, store, "revoke")
    assert await log_in(store) == (200, None)
    device = store.device
    schema = (await park.http.get("/openapi.json")).json()
    for path, methods in schema["paths"].items():
        for method in methods:
            if (
                path.startswith(("/v1/provider", "/v1/auth/device", "/v1/auth/refresh"))
                or path == "/v1/sync/batch"
            ):
                continue
            if not path.startswith("/v1/") or path == "/v1/time":
                continue
            where = path.replace("{", "").replace("}", "")
            response = await device.call(method.upper(), where, {} if method != "get" else None)
            status, code = answered(response)
            assert (status, code) in {REVOKED, (401, "E_UNAUTHENTICATED")}, (method, path, code)
    heard = await device.call("POST", "/v1/provider/heartbeats", {})
    assert answered(heard) == REVOKED
    assert answered(await device.call("POST", "/v1/employees/login", CASHIER)) == REVOKED
    other_store = await device.call(
        "POST", "/v1/sync/batch", {"epoch": 1, "ops": [await _any(store)]}, store_id="0" * 26
    )
    assert other_store.status_code == 404


async def _any(store: Store) -> dict[str, Any]:
    return store.op("cash_movement", {"type": "pay_in", "amount": 1})


async def test_R38_after_thirty_days_it_is_refused(
    park: Inside, store: Store, office: Outsider
) -> None:
    await step(office, store, "revoke")
    park.clock.advance(timedelta(days=30) - timedelta(minutes=1))
    assert await log_in(store) == (200, None)
    assert statuses(await store.sync(await _any(store))) == ["rejected"]
    park.clock.advance(timedelta(minutes=1))
    assert answered(await store.send(await _any(store))) == REVOKED
    assert await log_in(store) == REVOKED


async def test_R38_a_token_from_before_the_revocation_hands_nothing_in(
    store: Store, office: Outsider
) -> None:
    await step(office, store, "revoke")
    assert answered(await store.send(await _any(store))) == REVOKED


async def test_R38_a_suspended_device_is_refused_everywhere_and_keeps_its_operations(
    store: Store, office: Outsider
) -> None:
    sold = await store.sale(1)
    await step(office, store, "suspend")
    suspended = (403, "E_DEVICE_SUSPENDED")
    assert answered(await store.send(sold)) == suspended
    assert await log_in(store) == suspended
    assert await letters(office, device_id=store.device_id) == []
    await step(office, store, "resume")
    assert statuses(await store.sync(sold)) == ["applied"]


async def test_R44_a_revoked_device_of_a_suspended_park_is_refused(
    park: Inside, store: Store, office: Outsider
) -> None:
    await step(office, store, "revoke")
    await log_in(store)
    sessions, which = park.platform.mongo.db.sessions, {"_id": store.device_id}
    await sessions.update_one(which, {"$set": {"tenant_status": "suspended"}})
    assert answered(await store.send(await _any(store))) == (403, "E_TENANT_SUSPENDED")
    assert (await log_in(store))[1] == "E_TENANT_SUSPENDED"


# --- exports ----------------------------------------------------------------------------


def bundle(store: Store, *ops: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"device_id": store.device_id, "epoch": store.epoch, "ops": list(ops), **more}


async def test_R37_an_export_is_kept_under_its_device_once(
    park: Inside, store: Store, office: Outsider
) -> None:
    booked, one, two = await store.sale(1), await store.sale(2), await store.bad_sale(3)
    await store.sync(booked)
    sent = bundle(store, booked, one, two, two)
    assert await office.data("POST", "/v1/sync/bundles", sent) == {"kept": 2, "known": 2}
    assert await office.data("POST", "/v1/sync/bundles", sent) == {"kept": 0, "known": 4}
    waiting = await letters(office, kind="review", device_id=store.device_id)
    assert [each["op_id"] for each in waiting] == [two["op_id"], one["op_id"]]
    stored = await park.platform.mongo.db.dead_letters.find_one({"op_id": one["op_id"]})
    assert stored is not None
    owner = (await office.data("GET", "/v1/employees/me"))["employee_id"]
    assert stored["handed_in_by"] == owner


async def test_R37_a_device_that_comes_back_books_what_was_handed_in(
    store: Store, office: Outsider
) -> None:
    sold = await store.sale(1)
    await office.data("POST", "/v1/sync/bundles", bundle(store, sold))
    assert statuses(await store.sync(sold)) == ["applied"]
    (letter,) = await letters(office, device_id=store.device_id)
    assert letter["status"] == "applied"


async def test_R44_somebody_without_a_device_hands_in_for_another_store_of_theirs(
    park: Inside, office: Outsider
) -> None:
    second = (await office.data("POST", "/v1/stores", {"name": "Lakeside"}))["store_id"]
    there, key = {"store_id": second}, {"auto_approve": True}
    site_key = (await office.data("POST", "/v1/site_keys", key, **there))["site_key"]
    far = Store(await Outsider(park.http).pair("POS", site_key), park)
    person = Outsider(park.http)
    login = {**OWNER, "tenant": demo_id("tenant", "bangkok")}
    session = await person.data("POST", "/v1/employees/login", login)
    person.token = session["access_token"]
    sent = bundle(far, far.op("shift_open", {"cash_open": 0}))
    nowhere = await person.call("POST", "/v1/sync/bundles", sent)
    assert answered(nowhere) == (404, "E_NOT_FOUND")
    assert await person.data("POST", "/v1/sync/bundles", sent, **there) == {"kept": 1, "known": 0}


async def test_R40_a_bundle_takes_the_right_to_manage_devices(park: Inside, store: Store) -> None:
    cashier = await (await park.device("POS")).staff()
    response = await cashier.call("POST", "/v1/sync/bundles", bundle(store, await _any(store)))
    assert answered(response) == (403, "E_PERMISSION")


async def test_R44_a_bundle_of_an_unknown_device_is_not_found(
    park: Inside, store: Store, office: Outsider
) -> None:
    theirs = Store(await Outsider(park.http).pair("POS", "DEMO-OTHER-PARK"), park)
    answers = [
        await office.call("POST", "/v1/sync/bundles", bundle(theirs, await _any(store))),
        await office.call(
            "POST", "/v1/sync/bundles", {**bundle(store, await _any(store)), "device_id": "none"}
        ),
    ]
    assert {answered(each) for each in answers} == {(404, "E_NOT_FOUND")}
    assert answers[0].json()["error"] == answers[1].json()["error"]


async def test_attack_25_a_bundle_is_bounded(store: Store, office: Outsider) -> None:
    one = await _any(store)
    empty = await office.call("POST", "/v1/sync/bundles", bundle(store))
    assert empty.status_code == 422
    large = await office.call("POST", "/v1/sync/bundles", bundle(store, *[one] * 501))
    assert answered(large) == (413, "E_BATCH_TOO_LARGE")
