"""PUT /devices/{id}/qa: who may simulate an outage where, and what the device hears of it."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from api.platform.settings import Environment
from tests.api.back_office import DEVICES, BackOffice, back_office, refusal
from tests.outside import Outsider

BEAT = "/v1/provider/heartbeats"
OUTAGE = {"delay_ms": 3000, "lost_answers": 20}
QUIET = {
    "offline": False,
    "delay_ms": 0,
    "lost_requests": 0,
    "lost_answers": 0,
    "duplicates": 0,
    "skew_s": 0,
}


@pytest.fixture(scope="module")
async def house(mongo_uri: str, database: str) -> AsyncIterator[BackOffice]:
    async with back_office(mongo_uri, f"{database}_qa") as opened:
        yield opened


@pytest.fixture
async def office(house: BackOffice) -> AsyncIterator[BackOffice]:
    yield house
    house.inside.platform.settings.environment = Environment.DEVELOPMENT


def of(device: Outsider) -> str:
    return f"{DEVICES}/{device.device['device_id']}/qa"


async def heard(device: Outsider) -> Any:
    return (await device.data("POST", BEAT, {}))["qa"]


async def test_what_is_set_is_shown_and_heard_with_the_next_heartbeat(office: BackOffice) -> None:
    till, other = await office.device("POS"), await office.device("POS")
    assert await heard(till) is None

    put = await office.owner.data("PUT", of(till), OUTAGE)

    device_id = till.device["device_id"]
    assert put["set_at"]
    assert put == {
        "device_id": device_id,
        "switches": QUIET | OUTAGE,
        "set_at": put["set_at"],
        "version": 1,
    }
    assert await office.owner.data("GET", of(till)) == put
    assert await heard(till) == QUIET | OUTAGE
    assert await heard(other) is None


async def test_a_put_replaces_all_and_an_empty_body_ends_the_simulation(
    office: BackOffice,
) -> None:
    till = await office.device("POS")
    await office.owner.data("PUT", of(till), OUTAGE)
    await office.owner.data("PUT", of(till), {"offline": True})
    assert await heard(till) == QUIET | {"offline": True}

    ended = await office.owner.data("PUT", of(till), {})

    assert (ended["switches"], ended["version"]) == (QUIET, 3)
    assert await heard(till) is None


async def test_a_device_s_tokens_and_people_hear_of_it_alike(office: BackOffice) -> None:
    till = await office.device("POS")
    await office.owner.data("PUT", of(till), OUTAGE)
    await till.staff()
    assert await heard(till) == QUIET | OUTAGE


async def test_each_change_is_in_the_audit_trail_and_a_repeated_one_is_none(
    office: BackOffice,
) -> None:
    till = await office.device("POS")
    for body in (OUTAGE, OUTAGE, {}, {}):
        await office.owner.data("PUT", of(till), body)
    rows = await office.audited(till.device["device_id"])
    assert [row["payload"] for row in rows if row["event_type"] == "device.qa_set"] == [
        {"was": {}, "switches": OUTAGE},
        {"was": OUTAGE, "switches": {}},
    ]


async def test_production_refuses_and_says_why_and_delivers_nothing(office: BackOffice) -> None:
    till = await office.device("POS")
    await office.owner.data("PUT", of(till), OUTAGE)
    office.inside.platform.settings.environment = Environment.PRODUCTION

    refused = await office.owner.call("PUT", of(till), {"offline": True})
    ended = await office.owner.call("PUT", of(till), {})

    assert refusal(refused) == refusal(ended) == (403, "E_PERMISSION")
    assert "test servers only" in refused.json()["error"]["message"]
    # A database that was copied from a test server disturbs no guest.
    assert await heard(till) is None
    office.inside.platform.settings.environment = Environment.STAGING
    assert await heard(till) == QUIET | OUTAGE


async def test_R44_another_tenant_s_device_is_as_unknown_as_one_that_never_was(
    office: BackOffice,
) -> None:
    foreign = await office.stranger().pair("POS", "DEMO-OTHER-PARK")
    known = await office.owner.call("PUT", of(foreign), OUTAGE)
    never = await office.owner.call("PUT", f"{DEVICES}/nobody/qa", OUTAGE)
    assert refusal(known) == refusal(never) == (404, "E_NOT_FOUND")
    assert known.json()["error"] == never.json()["error"]
    assert refusal(await office.owner.call("GET", of(foreign))) == (404, "E_NOT_FOUND")
    assert await heard(foreign) is None


async def test_R40_it_needs_device_manage(office: BackOffice) -> None:
    till = await office.device("POS", email="cashier@demo.playpark", pin="1111")
    for method, body in (("PUT", {}), ("GET", None)):
        assert refusal(await till.call(method, of(till), body)) == (403, "E_PERMISSION")


async def test_a_revoked_device_hears_nothing_any_more(office: BackOffice) -> None:
    till = await office.device("POS")
    await office.step(till, "revoke")
    assert refusal(await office.owner.call("PUT", of(till), OUTAGE)) == (409, "E_CONFLICT")


@pytest.mark.parametrize(
    "body",
    [
        {"offline": 1},
        {"offline": None},
        {"delay_ms": -1},
        {"delay_ms": 120_001},
        {"delay_ms": 1.5},
        {"lost_requests": 101},
        {"lost_answers": "20"},
        {"duplicates": True},
        {"skew_s": 10**12},
        {"skew_s": {"$gt": ""}},
        {"unknown": 1},
        [],
    ],
    ids=str,
)
async def test_nonsense_is_refused_and_changes_nothing(office: BackOffice, body: Any) -> None:
    till = await office.device("POS")
    assert refusal(await office.owner.call("PUT", of(till), body)) == (422, "E_VALIDATION")
    assert (await office.owner.data("GET", of(till)))["version"] == 0
    assert await heard(till) is None


async def test_a_device_of_before_there_was_a_simulator_has_nothing_set(
    office: BackOffice,
) -> None:
    till = await office.device("POS")
    device_id = till.device["device_id"]
    fields = dict.fromkeys(("qa", "qa_version", "qa_set_at"), "")
    for collection in ("devices", "sessions"):
        await office.db[collection].update_one({"_id": device_id}, {"$unset": fields})
    assert (await office.owner.data("GET", of(till)))["version"] == 0
    assert await heard(till) is None
    await office.owner.data("PUT", of(till), OUTAGE)
    assert await heard(till) == QUIET | OUTAGE
