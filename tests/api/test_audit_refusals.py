"""R43: refused requests stand in the trail, once a minute for each subject, with their count; and
the refusal stays a refusal, whatever becomes of the row (attack 2)."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from pymongo.errors import AutoReconnect

from api.audit import refusals
from api.platform.uow import UnitOfWork
from playpark.errors import ErrorCode
from playpark.ids import new_ulid
from tests.api.inside import Inside, inside
from tests.outside import Outsider


@pytest.fixture
async def park(mongo_uri: str, database: str) -> AsyncIterator[Inside]:
    async with inside(mongo_uri, f"{database}_refusals") as made:
        yield made


async def told(park: Inside) -> list[dict[str, Any]]:
    found = park.platform.mongo.db["audits"].find({"event_type": "request.refused"})
    rows: list[dict[str, Any]] = await found.sort([("ts", 1), ("seq", 1)]).to_list(None)
    return rows


async def suspend(park: Inside, who: Outsider, **fields: str) -> None:
    sessions = park.platform.mongo.db["sessions"]
    await sessions.update_one({"_id": who.device["device_id"]}, {"$set": fields})


async def refused(who: Outsider, code: str, *, times: int = 1) -> None:
    answers = await asyncio.gather(*(who.call("GET", "/v1/employees/me") for _ in range(times)))
    codes = {answer.json()["error"]["code"] for answer in answers}
    assert ({answer.status_code for answer in answers}, codes) == ({403}, {code})


async def test_R43_a_suspended_device_is_audited_once_a_minute_with_its_count(
    park: Inside,
) -> None:
    till = await (await park.device()).staff()
    await suspend(park, till, device_status="suspended")
    await refused(till, "E_DEVICE_SUSPENDED")
    await refused(till, "E_DEVICE_SUSPENDED", times=3)
    (first,) = await told(park)
    assert first["entity_id"] == first["device_id"] == till.device["device_id"]
    assert first["ip"] == "127.0.0.1"
    expected = {"code": "E_DEVICE_SUSPENDED", "route": "GET /employees/me", "count": 1}
    assert first["payload"] == expected
    park.clock.advance(timedelta(seconds=59))
    await refused(till, "E_DEVICE_SUSPENDED")
    assert len(await told(park)) == 1
    park.clock.advance(timedelta(seconds=1))
    await refused(till, "E_DEVICE_SUSPENDED")
    _, second = await told(park)
    assert second["payload"]["count"] == 5


async def test_R43_fifty_at_once_are_one_row_and_none_is_lost(park: Inside) -> None:
    till = await (await park.device()).staff()
    await suspend(park, till, device_status="suspended")
    await refused(till, "E_DEVICE_SUSPENDED", times=50)
    (row,) = await told(park)
    assert row["payload"]["count"] == 1
    park.clock.advance(timedelta(minutes=1))
    await refused(till, "E_DEVICE_SUSPENDED")
    assert [each["payload"]["count"] for each in await told(park)] == [1, 50]


async def test_R43_a_suspended_employee_is_named_and_does_not_hide_the_device(
    park: Inside,
) -> None:
    till = await (await park.device()).staff()
    who = (await till.data("GET", "/v1/employees/me"))["employee_id"]
    await suspend(park, till, **{f"employees.{who}.status": "suspended"})
    await refused(till, "E_EMPLOYEE_SUSPENDED", times=2)
    await suspend(park, till, device_status="suspended")
    await refused(till, "E_DEVICE_SUSPENDED", times=2)
    rows = await told(park)
    assert [row["entity_id"] for row in rows] == [who, till.device["device_id"]]
    assert [row["actor_id"] for row in rows] == [who, who]


async def test_R43_a_suspended_tenant_is_one_subject_on_all_its_devices(park: Inside) -> None:
    tills = [await (await park.device()).staff() for _ in range(2)]
    for till in tills:
        await suspend(park, till, tenant_status="suspended")
        await refused(till, "E_TENANT_SUSPENDED", times=2)
    (row,) = await told(park)
    assert row["entity_id"] == row["tenant_id"]
    park.clock.advance(timedelta(minutes=1))
    await refused(tills[1], "E_TENANT_SUSPENDED")
    assert (await told(park))[-1]["payload"]["count"] == 4


async def test_attack_2_what_is_another_parks_is_not_found_and_stands_in_the_trail(
    park: Inside,
) -> None:
    theirs = await (await park.device()).staff()
    await theirs.open_shift()
    sold = await theirs.sell(("Adult day pass", 1))
    sale_id, ticket = sold["sale"]["sale_id"], sold["tickets"][0]
    before = [
        await park.platform.mongo.db[name].find().to_list(None) for name in ("sales", "tickets")
    ]
    mine = await Outsider(park.http).pair("POS", "DEMO-OTHER-PARK")
    await mine.staff(email="cashier@other.playpark", pin="1111")
    await mine.open_shift()
    why = {"sale_id": sale_id, "reason_code": "customer_request"}
    for path in ("/v1/refunds", "/v1/reprints", "/v1/refunds"):
        for wrong in (sale_id, new_ulid()):
            answer = await mine.call("POST", path, why | {"sale_id": wrong}, key=new_ulid())
            error = answer.json()["error"]
            assert (answer.status_code, error["code"]) == (404, "E_NOT_FOUND"), error
    shown = await mine.data("POST", "/v1/tickets/redeem", {"qr_token": ticket["qr_token"]})
    assert (shown["result"], shown["reason"]) == ("fail", "invalid_sig")
    after = [
        await park.platform.mongo.db[name].find().to_list(None) for name in ("sales", "tickets")
    ]
    assert after == before
    rows = await told(park)
    assert [row["payload"]["route"] for row in rows] == ["POST /refunds", "POST /reprints"]
    assert {row["device_id"] for row in rows} == {mine.device["device_id"]}
    assert sale_id not in str(rows)


async def test_R43_a_row_that_cannot_be_written_does_not_change_the_answer(
    park: Inside, monkeypatch: pytest.MonkeyPatch
) -> None:
    till = await (await park.device()).staff()
    await suspend(park, till, device_status="suspended")

    async def down(*_: Any, **__: Any) -> None:
        raise AutoReconnect("gone")

    async def fault(*_: Any, **__: Any) -> None:
        raise ZeroDivisionError

    async def hangs(*_: Any, **__: Any) -> None:
        await asyncio.sleep(60)

    for broken in (down, fault, hangs):
        with monkeypatch.context() as patched:
            patched.setattr(refusals, "PATIENCE", 0.05)
            patched.setattr(UnitOfWork, "run", broken)
            async with asyncio.timeout(5):
                await refused(till, "E_DEVICE_SUSPENDED")
    assert await told(park) == []
    await refused(till, "E_DEVICE_SUSPENDED")
    assert len(await told(park)) == 1


async def test_R43_a_device_that_waits_or_was_revoked_is_told_by_its_code(park: Inside) -> None:
    till = await (await park.device()).staff()
    for status in ("pending", "revoked"):
        await suspend(park, till, device_status=status)
        await refused(till, f"E_DEVICE_{status.upper()}")
    codes = [row["payload"]["code"] for row in await told(park)]
    assert codes == [ErrorCode.DEVICE_PENDING.value, ErrorCode.DEVICE_REVOKED.value]
