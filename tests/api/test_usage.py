"""Requests are counted by tenant, month, route and device; sales come from the books."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import pytest
from pymongo import MongoClient

from api.platform.mongo import Mongo
from api.platform.scope import server_scope
from api.platform.settings import load_settings
from api.platform.uow import UnitOfWork
from api.platform.usage import Usage, writing
from playpark.contracts.provider import PlanPrices
from playpark.errors import ErrorCode, PlayParkError
from tests.api.back_office import back_office
from tests.api.inside import Inside, inside
from tests.api.operating import begin_again, operator, refusal
from tests.conftest import running_api
from tests.outside import Outsider

BANGKOK = ZoneInfo("Asia/Bangkok")
ME = "/v1/devices/me"


@pytest.fixture(scope="module")
async def house(mongo_uri: str, database: str) -> AsyncIterator[Inside]:
    async with inside(mongo_uri, f"{database}_usage") as made:
        yield made


@pytest.fixture
async def park(house: Inside) -> Inside:
    await begin_again(house)
    await house.platform.usage.flush(house.platform.uow)
    await house.platform.mongo.db["usage_counters"].delete_many({})
    return house


@pytest.fixture
async def serving(park: Inside) -> Outsider:
    return await operator(park.http)


@pytest.fixture
async def seller(park: Inside) -> Outsider:
    """A till with a cashier in a shift; the owner may look at the park's bill."""
    till = await (await park.device("POS")).staff()
    await till.open_shift()
    return till


async def counted(serving: Outsider, **query: Any) -> dict[str, int]:
    """Requests by route."""
    page = await serving.data("GET", "/v1/provider/usage", limit=200, **query)
    return {row["route"]: row["requests"] for row in page["items"]}


async def billed(serving: Outsider, tenant_id: str, **query: Any) -> dict[str, Any]:
    path = "/v1/provider/billing/usage"
    (row,) = (await serving.data("GET", path, tenant=tenant_id, **query))["items"]
    return dict(row)


# --- counting -----------------------------------------------------------------------------


async def test_requests_are_counted_by_the_route_s_template(
    park: Inside, serving: Outsider
) -> None:
    till = await (await park.device("POS")).staff()
    for _ in range(3):
        await till.data("GET", ME)
    for _ in range(2):
        await till.call("GET", "/v1/sales/nothing-here")
    await till.http.get("/api/v1/devices/me", headers={"Authorization": f"Bearer {till.token}"})
    assert await counted(serving) == {
        "POST /employees/login": 1,
        "GET /devices/me": 4,
        "GET /sales/{sale_id}": 2,
    }


async def test_who_is_not_let_in_is_not_counted(park: Inside, serving: Outsider) -> None:
    till = await park.device("POS")
    for token in ("", "nonsense", serving.token):
        await Outsider(park.http, token=token).call("GET", ME)
    await park.platform.mongo.db["sessions"].update_one(
        {"_id": till.device["device_id"]}, {"$set": {"device_status": "suspended"}}
    )
    await till.call("GET", ME)
    assert await counted(serving) == {}


async def test_each_tenant_is_counted_for_itself(park: Inside, serving: Outsider) -> None:
    other = await Outsider(park.http).pair("POS", "DEMO-OTHER-PARK")
    await other.data("GET", ME)
    till = await park.device("POS")
    await till.data("GET", ME)
    await till.data("GET", ME)
    tenants = [(await park.scope(each)).tenant_id for each in (till, other)]
    assert [await counted(serving, tenant=each) for each in tenants] == [
        {"GET /devices/me": 2},
        {"GET /devices/me": 1},
    ]


async def test_a_month_is_the_park_s_and_not_greenwich_s(park: Inside) -> None:
    usage, scope = Usage(), server_scope("tenant", "store", "Asia/Bangkok")
    after_midnight = datetime(2026, 11, 30, 17, 30, tzinfo=UTC)
    usage.count(scope, "GET /x", after_midnight)
    usage.count(scope, "GET /x", after_midnight - timedelta(hours=1))
    await usage.flush(park.platform.uow)
    found = park.platform.mongo.db["usage_counters"]
    assert sorted(await found.distinct("month")) == ["2026-11", "2026-12"]


async def test_fifty_parallel_requests_are_fifty(park: Inside, serving: Outsider) -> None:
    till = await park.device("POS")
    await asyncio.gather(*(till.data("GET", ME) for _ in range(50)))
    assert await counted(serving) == {"GET /devices/me": 50}


# --- writing ------------------------------------------------------------------------------


async def test_what_cannot_be_written_waits_and_is_not_lost(
    park: Inside, serving: Outsider, monkeypatch: pytest.MonkeyPatch
) -> None:
    till = await park.device("POS")
    await till.data("GET", ME)

    async def away(*_: object, **__: object) -> None:
        raise PlayParkError(ErrorCode.UNAVAILABLE, "away")

    with monkeypatch.context() as broken:
        broken.setattr(UnitOfWork, "run", away)
        await park.platform.usage.flush(park.platform.uow)
        await park.platform.usage.flush(park.platform.uow)
    await till.data("GET", ME)
    assert await counted(serving) == {"GET /devices/me": 2}
    assert await counted(serving) == {"GET /devices/me": 2}


async def test_an_outage_at_one_tenant_keeps_the_others_counts(
    park: Inside, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = Usage()
    for tenant_id in ("a", "b", "c"):
        usage.count(server_scope(tenant_id, "s", "UTC"), "GET /x", park.clock.now())
    run, calls = UnitOfWork.run, 0

    async def second_fails(self: UnitOfWork, *told: Any, **more: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise PlayParkError(ErrorCode.UNAVAILABLE, "away")
        return await run(self, *told, **more)

    with monkeypatch.context() as broken:
        broken.setattr(UnitOfWork, "run", second_fails)
        await usage.flush(park.platform.uow)
    await usage.flush(park.platform.uow)
    found = park.platform.mongo.db["usage_counters"].find({"counted": "route"})
    assert {row["tenant_id"]: row["requests"] async for row in found} == {"a": 1, "b": 1, "c": 1}


async def test_two_processes_that_write_at_once_add_up(
    park: Inside, serving: Outsider, mongo_uri: str, database: str
) -> None:
    till = await park.device("POS")
    scope = await park.scope(till)
    other = Mongo(mongo_uri, f"{database}_usage")
    uows = (park.platform.uow, UnitOfWork(other, park.clock))

    async def process(uow: UnitOfWork) -> None:
        usage = Usage()
        for _ in range(10):
            usage.count(scope, "GET /x", park.clock.now())
            await usage.flush(uow)

    await asyncio.gather(*(process(uow) for uow in uows))
    other.close()
    assert (await counted(serving))["GET /x"] == 20


async def test_the_job_writes_now_and_then_and_at_the_end(park: Inside) -> None:
    usage, uow = Usage(), park.platform.uow
    scope, found = server_scope("t", "s", "UTC"), park.platform.mongo.db["usage_counters"]

    async def written() -> int:
        row = await found.find_one({"counted": "route"})
        return int(row["requests"]) if row else 0

    async with writing(usage, uow, every=timedelta(milliseconds=5)):
        usage.count(scope, "GET /x", park.clock.now())
        async with asyncio.timeout(10):
            while not await written():  # noqa: ASYNC110 - the job has no event for it
                await asyncio.sleep(0.005)
    async with writing(usage, uow, every=timedelta(hours=1)):
        usage.count(scope, "GET /x", park.clock.now())
    assert await written() == 2


async def test_usage_survives_the_end_of_two_processes(mongo_uri: str, database: str) -> None:
    name = f"{database}_usage_processes"
    with running_api(mongo_uri, name) as one, running_api(mongo_uri, name) as two:
        for url, times in ((one, 3), (two, 4)):
            async with httpx.AsyncClient(base_url=url, timeout=30) as http:
                till = await Outsider(http).pair("POS")
                for _ in range(times):
                    await till.data("GET", ME)
    with MongoClient[Any](mongo_uri) as mongo:
        (row,) = mongo[name]["usage_counters"].find({"counted": "route"})
        devices = mongo[name]["usage_counters"].count_documents({"counted": "device"})
        mongo.drop_database(name)
    assert (row["name"], row["requests"], devices) == ("GET /devices/me", 7, 2)


# --- the bill -----------------------------------------------------------------------------


async def test_a_bill_counts_sales_and_tickets_from_the_books(
    park: Inside, serving: Outsider, seller: Outsider
) -> None:
    tenant_id = (await park.scope(seller)).tenant_id
    before = await billed(serving, tenant_id)
    await seller.sell(("Carousel ride", 3))
    voided = await seller.sell(("Family bundle", 1))
    now = await billed(serving, tenant_id)
    assert now["sales"] == before["sales"] + 2
    assert now["tickets"] == before["tickets"] + 3 + len(voided["tickets"])
    assert now["requests"] > before["requests"]
    assert now["month"] == park.clock.now().astimezone(BANGKOK).strftime("%Y-%m")
    assert now["amount"] is None


async def test_a_sale_belongs_to_the_month_of_its_business_date(
    park: Inside, serving: Outsider, seller: Outsider
) -> None:
    sale = await seller.sell(("Carousel ride", 1))
    tenant_id = (await park.scope(seller)).tenant_id
    sales = park.platform.mongo.db["sales"]
    here = {"tenant_id": tenant_id}
    known = await sales.find_one({"_id": sale["sale"]["sale_id"]})
    assert known is not None
    kept = [row async for row in sales.find(here)]
    await sales.update_many(here, {"$set": {"business_date": "2030-01-15"}})
    for day, month in (
        ("2030-02-01", "2030-02"),
        ("2030-02-28", "2030-02"),
        ("2030-01-31", "2030-01"),
        ("2030-03-01", "2030-03"),
    ):
        await sales.insert_one({**known, "_id": f"{day}-copy", "business_date": day})
        expected = {"2030-01": len(kept), "2030-02": 0, "2030-03": 0}
        copies = [row["business_date"] async for row in sales.find({"_id": {"$regex": "-copy$"}})]
        expected[month] += 0
        for copy in copies:
            expected[copy[:7]] += 1
        found = {each: (await billed(serving, tenant_id, month=each))["sales"] for each in expected}
        assert found == expected
    await sales.delete_many({"_id": {"$regex": "-copy$"}})
    for row in kept:
        await sales.replace_one({"_id": row["_id"]}, row)


async def test_devices_are_active_that_sent_a_request_this_month(
    park: Inside, serving: Outsider
) -> None:
    tills = [await park.device("POS") for _ in range(3)]
    tenant_id = (await park.scope(tills[0])).tenant_id
    for till in tills[:2]:
        await till.data("GET", ME)
        await till.data("GET", ME)
    body = {"tenant": tenant_id, "email": "owner@demo.playpark", "pin": "8888"}
    person = Outsider(park.http)
    person.token = (await person.data("POST", "/v1/employees/login", body))["access_token"]
    await person.data("GET", "/v1/employees/me")
    row = await billed(serving, tenant_id)
    assert (row["active_devices"], row["requests"]) == (2, 5)


async def test_an_amount_follows_the_plan_s_prices(
    park: Inside, serving: Outsider, monkeypatch: pytest.MonkeyPatch
) -> None:
    prices = PlanPrices(monthly=100_000, per_device=5_000, per_sale=10, per_ticket=3)
    monkeypatch.setattr(park.platform.settings, "billing_plans", {"standard": prices})
    till = await (await park.device("POS")).staff()
    await till.open_shift()
    await till.sell(("Carousel ride", 4))
    tenant_id = (await park.scope(till)).tenant_id
    row = await billed(serving, tenant_id)
    owed = 100_000 + 5_000 * row["active_devices"] + 10 * row["sales"] + 3 * row["tickets"]
    assert row["amount"] == owed
    assert row["tickets"] > row["sales"] > 0
    path = f"/v1/provider/tenants/{tenant_id}"
    await serving.data("PATCH", path, {"billing_plan": "free"})
    assert (await billed(serving, tenant_id))["amount"] is None
    await serving.data("PATCH", path, {"billing_plan": "standard"})


async def test_the_bill_of_all_tenants_is_a_csv_file(park: Inside, serving: Outsider) -> None:
    csv = await serving.call("GET", "/v1/provider/billing/usage", format="csv")
    header, *rows = csv.text.strip().splitlines()
    assert header.startswith("tenant_id,tenant_name,month,billing_plan,requests,sales,tickets")
    count = await park.platform.mongo.db["tenants"].count_documents({})
    assert len(rows) == count >= 2
    page = await serving.data("GET", "/v1/provider/billing/usage", limit=1)
    assert len(page["items"]) == 1
    assert page["next_cursor"]


async def test_R44_a_park_sees_its_own_bill_and_no_other(park: Inside, serving: Outsider) -> None:
    till = await park.device("POS")
    owner = await till.staff(email="owner@demo.playpark", pin="8888")
    page = await owner.data("GET", "/v1/usage/billing/usage")
    tenant_id = (await park.scope(owner)).tenant_id
    assert [row["tenant_id"] for row in page["items"]] == [tenant_id]
    assert page["items"] == [await billed(serving, tenant_id)]
    for query in ({"tenant": "x"}, {"tenant_id": "x"}):
        told = await refusal(owner, "GET", "/v1/usage/billing/usage", **query)
        assert told == (422, "E_VALIDATION")


async def test_R40_the_own_bill_needs_provider_view(park: Inside) -> None:
    till = await park.device("POS")
    path = "/v1/usage/billing/usage"
    assert await refusal(till, "GET", path) == (403, "E_PERMISSION")
    await till.staff(email="supervisor@demo.playpark", pin="9999")
    assert await refusal(till, "GET", path) == (403, "E_PERMISSION")


async def test_R44_the_own_bill_is_for_who_may_see_it_in_every_store(
    mongo_uri: str, database: str
) -> None:
    path = "/v1/usage/billing/usage"
    async with back_office(mongo_uri, f"{database}_usage_stores") as office:
        (home,) = (await office.owner.data("GET", "/v1/stores"))["items"]
        here = await office.member({home["store_id"]: ["provider_view"]})
        assert len((await here.data("GET", path))["items"]) == 1
        second = await office.store()
        for query in ({}, {"format": "csv"}, {"store_id": home["store_id"]}):
            assert await refusal(here, "GET", path, **query) == (403, "E_PERMISSION")
        everywhere = {each: ["provider_view"] for each in (home["store_id"], second)}
        both = await office.member(everywhere)
        assert len((await both.data("GET", path))["items"]) == 1


@pytest.mark.parametrize(
    "month", ["2026-13", "2026-1", "1999-12", "$gt", "2026-11-01", "2026-11\n"]
)
async def test_a_month_is_a_month(serving: Outsider, month: str) -> None:
    for path in ("/v1/provider/usage", "/v1/provider/billing/usage"):
        assert await refusal(serving, "GET", path, month=month) == (422, "E_VALIDATION")


# --- plans --------------------------------------------------------------------------------


def test_plans_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BILLING_PLANS", '{"season": {"monthly": 150000}}')
    assert load_settings().billing_plans == {"season": PlanPrices(monthly=150_000)}


@pytest.mark.parametrize(
    "text",
    [
        "nonsense",
        "[]",
        '{"season": 5}',
        '{"season": {"monthly": 0.5}}',
        '{"season": {"monthly": -1}}',
        '{"Season!": {}}',
        '{"season": {"weekly": 1}}',
    ],
)
def test_odd_plans_are_named_in_one_sentence(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("BILLING_PLANS", text)
    with pytest.raises(PlayParkError, match=r"(?i)billing_plans") as refused:
        load_settings()
    assert "\n" not in refused.value.message
