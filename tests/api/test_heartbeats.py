"""R36, R44: devices tell how they are; silence of more than 120 s, a wrong clock and a stuck queue
are alerts, which end by themselves."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from api.platform.background import LeaseRepository
from api.platform.mongo import Mongo
from api.platform.uow import UnitOfWork
from api.provider import alerts, watch
from playpark.errors import ErrorCode, PlayParkError
from playpark.ids import new_ulid
from tests.api.inside import Inside, inside
from tests.api.operating import begin_again, operator, refusal
from tests.outside import Outsider

BEAT = "/v1/provider/heartbeats"
WHOLE = {
    "app_version": "1.2.3+4",
    "queued": 7,
    "oldest_queued_at": "2026-11-21T08:40:00Z",
    "clock_offset_ms": -1_500,
    "printer": "failed",
    "camera": "ok",
    "catalog_version": 3,
    "free_disk": 10**11,
}


@pytest.fixture(scope="module")
async def house(mongo_uri: str, database: str) -> AsyncIterator[Inside]:
    async with inside(mongo_uri, f"{database}_heartbeats") as made:
        yield made


@pytest.fixture
async def park(house: Inside) -> Inside:
    await begin_again(house)
    return house


@pytest.fixture
async def serving(park: Inside) -> Outsider:
    return await operator(park.http)


async def open_alerts(serving: Outsider, **query: Any) -> list[dict[str, Any]]:
    page = await serving.data("GET", "/v1/provider/alerts", open="true", limit=200, **query)
    return list(page["items"])


async def kinds(serving: Outsider) -> list[str]:
    return sorted(alert["kind"] for alert in await open_alerts(serving))


def pass_by(park: Inside, seconds: float) -> None:
    park.clock.advance(timedelta(seconds=seconds))


async def later(park: Inside, seconds: float) -> None:
    """What the job finds after this time."""
    pass_by(park, seconds)
    assert await watch.look(park.platform.uow, "me")


async def events(park: Inside, device: Outsider) -> list[str]:
    found = park.platform.mongo.db["events"].find({"data.device_id": device.device["device_id"]})
    return [event["type"] async for event in found.sort("_id", 1)]


# --- a heartbeat --------------------------------------------------------------------------


async def test_a_heartbeat_is_answered_with_what_the_device_should_know(park: Inside) -> None:
    till = await park.device("POS")
    told = await till.data("POST", BEAT, WHOLE)
    assert told["catalog_version"] == (await park.scope(till)).catalog_version
    assert told["caps"]["can_sell"] is True
    assert "kiosk" in told["features"]
    assert told["next_in_s"] == 30
    assert told["server_time"]
    assert told["clock_skewed"] is False


async def test_R46_a_new_catalogue_is_known_with_the_next_heartbeat(park: Inside) -> None:
    till = await park.device("POS")
    before = (await till.data("POST", BEAT, {}))["catalog_version"]
    owner = await Outsider(park.http, till.device, till.token).staff(
        email="owner@demo.playpark", pin="8888"
    )
    body = {"scope": "store", "sections": {"sales": {"parked_hours": 12}}}
    await owner.data("PUT", "/v1/settings", body)
    assert (await till.data("POST", BEAT, {}))["catalog_version"] == before + 1


@pytest.mark.parametrize("kind", ["POS", "GATE", "KIOSK", "ADMIN"])
async def test_every_device_beats_whoever_is_logged_in(
    park: Inside, serving: Outsider, kind: str
) -> None:
    device = await park.device(kind)
    await device.data("POST", BEAT, WHOLE)
    person = await Outsider(park.http, device.device, device.token).staff(
        email="supervisor@demo.playpark", pin="9999"
    )
    await person.data("POST", BEAT, {})
    found = (await serving.data("GET", "/v1/provider/devices", limit=1))["items"][0]
    assert found["device_id"] == device.device["device_id"]
    assert found["online"] is True


async def test_the_last_heartbeat_is_what_is_known(park: Inside, serving: Outsider) -> None:
    till = await park.device("POS")
    await till.data("POST", BEAT, WHOLE)
    (found,) = (await serving.data("GET", "/v1/provider/devices", limit=1))["items"]
    told = {**WHOLE, "oldest_queued_at": "2026-11-21T08:40:00.000Z"}
    assert {name: found[name] for name in WHOLE} == told
    await till.data("POST", BEAT, {"queued": 0})
    (found,) = (await serving.data("GET", "/v1/provider/devices", limit=1))["items"]
    assert {name: found[name] for name in WHOLE} == dict.fromkeys(WHOLE) | {"queued": 0}


async def test_a_device_that_never_beat_is_not_online_and_not_missed(
    park: Inside, serving: Outsider
) -> None:
    await park.device("POS")
    await later(park, 3_600)
    (found,) = (await serving.data("GET", "/v1/provider/devices", limit=1))["items"]
    assert (found["online"], found["last_seen"]) == (False, None)
    assert await kinds(serving) == []


async def test_R41_a_login_without_a_device_has_no_heart(park: Inside) -> None:
    scope = await park.scope(await park.device("POS"))
    body = {"tenant": scope.tenant_id, "email": "owner@demo.playpark", "pin": "8888"}
    person = Outsider(park.http)
    person.token = (await person.data("POST", "/v1/employees/login", body))["access_token"]
    assert await refusal(person, "POST", BEAT, {}) == (403, "E_PERMISSION")
    assert await park.platform.mongo.db["device_heartbeats"].count_documents({}) == 0


@pytest.mark.parametrize(
    "body",
    [
        {"queued": -1},
        {"queued": True},
        {"queued": "7"},
        {"queued": 1.5},
        {"queued": 2**63},
        {"queued": {"$gt": 0}},
        {"oldest_queued_at": "yesterday"},
        {"oldest_queued_at": 0},
        {"oldest_queued_at": "9999-12-31T23:59:59Z"},
        {"oldest_queued_at": "2026-11-21T08:40:00"},
        {"clock_offset_ms": 10**13 + 1},
        {"clock_offset_ms": 0.1},
        {"printer": "on fire"},
        {"camera": {"$ne": ""}},
        {"app_version": "1.0 <script>"},
        {"app_version": "1\n"},
        {"app_version": "x" * 41},
        {"free_disk": 2**53 + 1},
        {"catalog_version": -1},
        {"device_id": "x"},
        {"seen_at": "2026-11-21T08:40:00Z"},
        {"tenant_id": "x"},
        [],
    ],
    ids=str,
)
async def test_odd_heartbeats_are_422_and_leave_nothing(park: Inside, body: Any) -> None:
    till = await park.device("POS")
    assert (await till.call("POST", BEAT, body)).status_code == 422
    assert await park.platform.mongo.db["device_heartbeats"].count_documents({}) == 0


@pytest.mark.parametrize("moment", ["1970-01-01T00:00:00Z", "2200-12-31T23:59:59+14:00"])
@pytest.mark.parametrize("offset", [-(10**13), 10**13])
async def test_the_ends_of_time_are_no_fault_of_the_server(
    park: Inside, moment: str, offset: int
) -> None:
    till = await park.device("POS")
    body = {"queued": 1, "oldest_queued_at": moment, "clock_offset_ms": offset}
    assert (await till.data("POST", BEAT, body))["clock_skewed"] is True


async def test_fifty_devices_beat_at_once(park: Inside, serving: Outsider) -> None:
    tills = [await park.device("POS") for _ in range(50)]
    for _ in range(2):
        answers = await asyncio.gather(*(till.call("POST", BEAT, WHOLE) for till in tills))
        assert {answer.status_code for answer in answers} == {200}
    page = await serving.data("GET", "/v1/provider/devices", limit=50)
    assert {each["device_id"] for each in page["items"]} == {
        till.device["device_id"] for till in tills
    }
    assert all(each["online"] for each in page["items"])


async def test_fifty_first_heartbeats_of_one_device_make_one_document(park: Inside) -> None:
    till = await park.device("POS")
    skewed = {"clock_offset_ms": 300_000}
    answers = await asyncio.gather(*(till.call("POST", BEAT, skewed) for _ in range(50)))
    assert {answer.status_code for answer in answers} == {200}
    db = park.platform.mongo.db
    assert await db["device_heartbeats"].count_documents({}) == 1
    assert await db["provider_alerts"].count_documents({}) == 1


async def test_R44_a_heartbeat_is_of_the_device_s_own_store_wherever_its_person_acts(
    park: Inside,
) -> None:
    office = await park.device("ADMIN")
    owner = await office.staff(email="owner@demo.playpark", pin="8888")
    home = (await park.scope(owner)).store_id
    made = await owner.data("POST", "/v1/stores", {"name": f"Annex {new_ulid()}"})
    people = await owner.data("GET", "/v1/employees", limit=200)
    me = next(each for each in people["items"] if each["email"] == "owner@demo.playpark")
    roles = (await owner.data("GET", "/v1/roles"))["items"]
    role = next(each["role_id"] for each in roles if each["name"] == "owner")
    both = [{"store_id": each, "role_ids": [role]} for each in (home, made["store_id"])]
    path = f"/v1/employees/{me['employee_id']}/memberships"
    await owner.data("PUT", path, {"memberships": both})
    there = {"store_id": made["store_id"]}
    assert await refusal(owner, "POST", BEAT, {}, **there) == (422, "E_VALIDATION")
    await owner.data("POST", BEAT, {}, store_id=home)
    stored = await park.platform.mongo.db["device_heartbeats"].distinct("store_id")
    assert stored == [home]


# --- silence ------------------------------------------------------------------------------


async def test_R44_119_seconds_are_silence_but_no_alert(park: Inside, serving: Outsider) -> None:
    till = await park.device("POS")
    await till.data("POST", BEAT, {})
    await later(park, 119)
    assert await kinds(serving) == []
    (found,) = (await serving.data("GET", "/v1/provider/devices", limit=1))["items"]
    assert found["online"] is True


async def test_R44_121_seconds_of_silence_are_an_alert(park: Inside, serving: Outsider) -> None:
    till = await park.device("POS")
    await till.data("POST", BEAT, {})
    seen = park.clock.now()
    await later(park, 121)
    (alert,) = await open_alerts(serving)
    assert alert["kind"] == "device_offline"
    assert alert["device_id"] == till.device["device_id"]
    assert alert["device_name"] == "test POS"
    assert alert["last_seen"] == seen.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    assert (alert["acknowledged_by"], alert["resolved_at"]) == (None, None)
    (found,) = (await serving.data("GET", "/v1/provider/devices", limit=1))["items"]
    assert found["online"] is False
    assert await events(park, till) == ["device.offline"]


async def test_exactly_120_seconds_are_no_alert(park: Inside, serving: Outsider) -> None:
    await (await park.device("POS")).data("POST", BEAT, {})
    await later(park, 120)
    assert await kinds(serving) == []


async def test_the_alert_is_there_once_however_often_somebody_looks(
    park: Inside, serving: Outsider
) -> None:
    await (await park.device("POS")).data("POST", BEAT, {})
    pass_by(park, 121)
    await asyncio.gather(*(alerts.notice_silence(park.platform.uow) for _ in range(20)))
    await later(park, 600)
    assert await kinds(serving) == ["device_offline"]
    assert await park.platform.mongo.db["provider_alerts"].count_documents({}) == 1


async def test_the_next_heartbeat_ends_the_alert(park: Inside, serving: Outsider) -> None:
    till = await park.device("POS")
    await till.data("POST", BEAT, {})
    await later(park, 121)
    (alert,) = await open_alerts(serving)
    await later(park, 10)
    await till.data("POST", BEAT, {})
    assert await open_alerts(serving) == []
    page = await serving.data("GET", "/v1/provider/alerts", open="false")
    assert [each["alert_id"] for each in page["items"]] == [alert["alert_id"]]
    assert page["items"][0]["resolved_at"] is not None
    assert await events(park, till) == ["device.offline", "device.online"]
    await later(park, 121)
    assert await kinds(serving) == ["device_offline"]


async def test_a_heartbeat_and_a_look_at_the_same_time_agree(
    park: Inside, serving: Outsider
) -> None:
    """Whoever comes first: the device is online with no open alert afterwards."""
    tills = [await park.device("POS") for _ in range(10)]
    await asyncio.gather(*(till.data("POST", BEAT, {}) for till in tills))
    pass_by(park, 121)
    await asyncio.gather(
        *(till.data("POST", BEAT, {}) for till in tills),
        *(alerts.notice_silence(park.platform.uow) for _ in range(5)),
    )
    assert await open_alerts(serving) == []
    stored = park.platform.mongo.db["device_heartbeats"]
    assert await stored.count_documents({"online": True}) == 10


@pytest.mark.parametrize("end", ["suspend", "revoke"])
async def test_a_device_that_is_not_meant_to_be_there_is_not_missed(
    park: Inside, serving: Outsider, end: str
) -> None:
    till = await park.device("POS")
    await till.data("POST", BEAT, {})
    await _device_status(park, till, {"suspend": "suspended", "revoke": "revoked"}[end])
    await later(park, 121)
    assert await kinds(serving) == []
    assert await events(park, till) == []


async def test_an_alert_ends_when_its_device_is_suspended_and_begins_anew_when_it_is_back(
    park: Inside, serving: Outsider
) -> None:
    till = await park.device("POS")
    skewed = {"clock_offset_ms": 300_000}
    await till.data("POST", BEAT, skewed)
    await _device_status(park, till, "suspended")
    assert await watch.look(park.platform.uow, "me")
    assert await kinds(serving) == []
    await _device_status(park, till, "active")
    await till.data("POST", BEAT, skewed)
    assert await kinds(serving) == ["clock_skew"]


async def test_a_suspended_park_s_devices_are_not_missed(park: Inside, serving: Outsider) -> None:
    till = await park.device("POS")
    await till.data("POST", BEAT, {})
    tenant = f"/v1/provider/tenants/{(await park.scope(till)).tenant_id}"
    await serving.data("PATCH", tenant, {"status": "suspended"})
    await later(park, 121)
    assert await kinds(serving) == []
    await serving.data("PATCH", tenant, {"status": "active"})
    await till.data("POST", BEAT, {})
    await later(park, 121)
    assert await kinds(serving) == ["device_offline"]


@pytest.mark.parametrize("end", ["device", "tenant"])
@pytest.mark.parametrize("missed", [True, False], ids=["missed before", "not missed yet"])
async def test_R44_who_is_still_silent_after_a_suspension_is_missed(
    park: Inside, serving: Outsider, end: str, missed: bool
) -> None:
    till = await park.device("POS")
    await till.data("POST", BEAT, {})
    if missed:
        await later(park, 121)
        assert await kinds(serving) == ["device_offline"]
    tenant = f"/v1/provider/tenants/{(await park.scope(till)).tenant_id}"

    async def told(status: str) -> None:
        if end == "device":
            await _device_status(park, till, status)
        else:
            await serving.data("PATCH", tenant, {"status": status})

    await told("suspended")
    await later(park, 121)
    await later(park, 30)
    assert await kinds(serving) == []
    await told("active")
    await later(park, 30)
    assert await kinds(serving) == ["device_offline"]
    await later(park, 30)
    assert await park.platform.mongo.db["provider_alerts"].count_documents({}) == 1 + missed
    await till.data("POST", BEAT, {})
    assert await kinds(serving) == []
    assert await events(park, till) == ["device.offline", "device.online"]


async def test_R44_an_alert_of_a_device_that_is_back_meanwhile_stays(
    park: Inside, serving: Outsider, monkeypatch: pytest.MonkeyPatch
) -> None:
    till = await park.device("POS")
    await till.data("POST", BEAT, {"clock_offset_ms": 300_000})
    await _device_status(park, till, "suspended")
    end = alerts._end_all

    async def after_the_return(*told: Any) -> None:
        await _device_status(park, till, "active")
        await end(*told)

    monkeypatch.setattr(alerts, "_end_all", after_the_return)
    await watch.look(park.platform.uow, "me")
    assert await kinds(serving) == ["clock_skew"]


async def _device_status(park: Inside, till: Outsider, status: str) -> None:
    found = await park.platform.mongo.db["sessions"].update_one(
        {"_id": till.device["device_id"]}, {"$set": {"device_status": status}}
    )
    assert found.modified_count == 1


# --- the job ------------------------------------------------------------------------------


async def test_the_job_finds_silence_by_itself(park: Inside) -> None:
    for _ in range(3):
        await (await park.device("POS")).data("POST", BEAT, {})
    pass_by(park, 121)
    assert await watch.look(park.platform.uow, "me")
    found = park.platform.mongo.db["provider_alerts"]
    assert await found.count_documents({"open": True, "kind": "device_offline"}) == 3


async def test_R44_a_list_of_alerts_raises_none(park: Inside, serving: Outsider) -> None:
    """The server may have been away itself, and the devices are about to be heard."""
    await (await park.device("POS")).data("POST", BEAT, {})
    pass_by(park, 121)
    assert await kinds(serving) == []


async def test_R44_after_a_time_without_the_database_devices_are_heard_first(
    park: Inside, serving: Outsider, monkeypatch: pytest.MonkeyPatch
) -> None:
    till = await park.device("POS")
    await till.data("POST", BEAT, {})
    job = watch.Watch(park.platform.uow)

    async def away(*_: object) -> None:
        raise PlayParkError(ErrorCode.UNAVAILABLE, "away")

    async def steps(*, until: float) -> list[str]:
        """What is known after a step every 30 s; each of them fails where the database is away."""
        for _ in range(0, int(until), 30):
            pass_by(park, 30)
            with contextlib.suppress(PlayParkError):
                await job.step("me")
        return await kinds(serving)

    assert await steps(until=90) == []
    with monkeypatch.context() as outage:
        outage.setattr(Mongo, "ping", away)
        outage.setattr(LeaseRepository, "take", away)
        assert await steps(until=300) == []
    assert await steps(until=60) == []
    assert await steps(until=30) == ["device_offline"]


async def test_one_process_looks_and_another_takes_over_from_a_dead_one(
    park: Inside, mongo_uri: str, database: str
) -> None:
    other = Mongo(mongo_uri, f"{database}_heartbeats")
    uow = UnitOfWork(other, park.clock)
    assert await watch.look(park.platform.uow, "one")
    assert not await watch.look(uow, "two")
    pass_by(park, 60)
    assert await watch.look(park.platform.uow, "one")
    pass_by(park, 60)
    assert not await watch.look(uow, "two")
    pass_by(park, 31)
    assert await watch.look(uow, "two")
    assert not await watch.look(park.platform.uow, "one")
    other.close()


async def test_more_silent_devices_than_a_page_are_all_found(park: Inside) -> None:
    till = await park.device("POS")
    await till.data("POST", BEAT, {})
    db = park.platform.mongo.db
    beat = await db["device_heartbeats"].find_one({})
    session = await db["sessions"].find_one({"_id": till.device["device_id"]})
    assert beat is not None
    assert session is not None
    ids = [new_ulid() for _ in range(205)]
    await db["device_heartbeats"].insert_many([{**beat, "_id": each} for each in ids])
    await db["sessions"].insert_many([{**session, "_id": each} for each in ids])
    pass_by(park, 121)
    assert await watch.look(park.platform.uow, "me")
    assert await db["provider_alerts"].count_documents({"open": True}) == 206
    await db["sessions"].delete_many({"_id": {"$in": ids}})


# --- clock and queue ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("offset", "skewed"), [(120_000, False), (120_001, True), (-120_001, True), (-120_000, False)]
)
async def test_R36_a_clock_that_is_off_by_more_than_120_seconds_is_an_alert(
    park: Inside, serving: Outsider, offset: int, skewed: bool
) -> None:
    till = await park.device("POS")
    told = await till.data("POST", BEAT, {"clock_offset_ms": offset})
    assert told["clock_skewed"] is skewed
    assert await kinds(serving) == (["clock_skew"] if skewed else [])
    await till.data("POST", BEAT, {"clock_offset_ms": 0})
    assert await kinds(serving) == []


@pytest.mark.parametrize(("minutes", "stuck"), [(15, False), (16, True)])
async def test_a_queue_that_waits_for_more_than_15_minutes_is_an_alert(
    park: Inside, serving: Outsider, minutes: int, stuck: bool
) -> None:
    till = await park.device("POS")
    oldest = (park.clock.now() - timedelta(minutes=minutes)).isoformat()
    await till.data("POST", BEAT, {"queued": 1, "oldest_queued_at": oldest})
    assert await kinds(serving) == (["queue_stuck"] if stuck else [])


async def test_a_queue_is_judged_by_the_device_s_own_clock(park: Inside, serving: Outsider) -> None:
    """Its clock is an hour behind: what it queued a moment ago is not an hour old."""
    till = await park.device("POS")
    moment = (park.clock.now() - timedelta(hours=1)).isoformat()
    body = {"queued": 1, "oldest_queued_at": moment, "clock_offset_ms": 3_600_000}
    await till.data("POST", BEAT, body)
    assert await kinds(serving) == ["clock_skew"]


async def test_several_troubles_begin_and_end_one_by_one(park: Inside, serving: Outsider) -> None:
    till = await park.device("POS")
    await till.data("POST", BEAT, {})
    await later(park, 1_000)
    assert await kinds(serving) == ["device_offline"]
    old = (park.clock.now() - timedelta(hours=1)).isoformat()
    stuck = {"queued": 9, "oldest_queued_at": old}
    await till.data("POST", BEAT, {**stuck, "clock_offset_ms": 130_000})
    assert await kinds(serving) == ["clock_skew", "queue_stuck"]
    await till.data("POST", BEAT, stuck)
    assert await kinds(serving) == ["queue_stuck"]
    await till.data("POST", BEAT, stuck)
    await till.data("POST", BEAT, {"queued": 0})
    assert await kinds(serving) == []
    assert await park.platform.mongo.db["provider_alerts"].count_documents({}) == 3


# --- acknowledging ------------------------------------------------------------------------


async def an_alert(park: Inside, serving: Outsider) -> str:
    await (await park.device("POS")).data("POST", BEAT, {"clock_offset_ms": 300_000})
    (alert,) = await open_alerts(serving)
    return str(alert["alert_id"])


async def test_R44_an_operator_acknowledges_an_alert(park: Inside, serving: Outsider) -> None:
    alert_id = await an_alert(park, serving)
    told = await serving.data("POST", f"/v1/provider/alerts/{alert_id}/ack")
    assert told["acknowledged_by"]
    assert told["acknowledged_at"]
    assert told["resolved_at"] is None
    (row,) = (await serving.data("GET", "/v1/provider/audits", event_type="alert"))["items"]
    assert (row["event_type"], row["entity_id"]) == ("alert.acknowledged", alert_id)
    assert row["actor_id"] == told["acknowledged_by"]


async def test_of_fifty_acknowledgements_the_first_stays(park: Inside, serving: Outsider) -> None:
    alert_id = await an_alert(park, serving)
    path = f"/v1/provider/alerts/{alert_id}/ack"
    answers = await asyncio.gather(*(serving.call("POST", path) for _ in range(50)))
    told = [answer.json()["data"] for answer in answers if answer.status_code == 200]
    assert {answer.status_code for answer in answers} <= {200, 503}
    assert len({(each["acknowledged_by"], each["acknowledged_at"]) for each in told}) == 1
    rows = (await serving.data("GET", "/v1/provider/audits", event_type="alert"))["items"]
    assert len(rows) == 1


async def test_an_alert_that_is_not_there_is_404(park: Inside, serving: Outsider) -> None:
    path = f"/v1/provider/alerts/{new_ulid()}/ack"
    assert await refusal(serving, "POST", path) == (404, "E_NOT_FOUND")


async def test_alerts_and_devices_can_be_those_of_one_tenant(
    park: Inside, serving: Outsider
) -> None:
    skewed = {"clock_offset_ms": 300_000}
    mine = await park.device("POS")
    other = await Outsider(park.http).pair("POS", "DEMO-OTHER-PARK")
    for till in (mine, other):
        await till.data("POST", BEAT, skewed)
    tenant_id = (await park.scope(other)).tenant_id
    (alert,) = await open_alerts(serving, tenant=tenant_id)
    assert alert["device_id"] == other.device["device_id"]
    page = await serving.data("GET", "/v1/provider/devices", tenant=tenant_id, limit=200)
    assert {each["tenant_id"] for each in page["items"]} == {tenant_id}
    nobody = await serving.data("GET", "/v1/provider/devices", tenant=new_ulid())
    assert nobody["items"] == []


async def test_the_lists_refuse_odd_filters(serving: Outsider) -> None:
    for path, query in (
        ("/v1/provider/alerts", {"open": "maybe"}),
        ("/v1/provider/alerts", {"tenant": "$ne"}),
        ("/v1/provider/alerts", {"limit": 201}),
        ("/v1/provider/devices", {"cursor": "not ours!"}),
        ("/v1/provider/devices", {"limit": 0}),
        ("/v1/provider/audits", {"event_type": "a$b"}),
    ):
        told = await refusal(serving, "GET", path, **query)
        assert told == (422, "E_VALIDATION"), (path, query)
