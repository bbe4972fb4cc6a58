"""R49: the nightly job proves each store's last days once, whoever runs it and whenever."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import pytest
from pymongo import MongoClient

from api.audit.verifying import verify
from api.platform.background import LeaseRepository
from api.platform.mongo import Mongo
from api.platform.uow import UnitOfWork
from api.reports import nightly, service
from api.reports.repository import StoreRef, all_stores
from playpark.clock import business_day_start
from tests.api.afternoon import BANGKOK, STORE, SUPERVISOR, TENANT, today
from tests.api.inside import Inside, inside
from tests.outside import Outsider


@dataclass
class Night:
    park: Inside
    db: Any
    first_day: date
    sale_id: str
    uri: str

    @property
    def uow(self) -> UnitOfWork:
        return self.park.platform.uow

    def results(self) -> dict[tuple[str, str], dict[str, Any]]:
        found = self.db.reconciliations.find()
        return {(row["store_id"], row["business_date"]): row for row in found}

    async def until_there_are(self, results: int) -> None:
        while len(self.results()) < results:  # noqa: ASYNC110 - the database tells nobody
            await asyncio.sleep(0.02)

    def after_day(self, days: int = 0, minutes: int = 30) -> None:
        """So long after the end of the first day, or of a later one."""
        end = business_day_start(self.first_day + timedelta(days=days + 1), BANGKOK)
        self.park.clock.advance(end + timedelta(minutes=minutes) - self.park.clock.now())

    async def store(self) -> StoreRef:
        stores = await all_stores(self.uow.reading())
        return next(each for each in stores if each.store_id == STORE)

    @asynccontextmanager
    async def another_process(self) -> AsyncIterator[UnitOfWork]:
        """A connection of its own."""
        mongo = Mongo(self.uri, self.db.name)
        yield UnitOfWork(mongo, self.park.clock)
        mongo.close()


@pytest.fixture
async def night(mongo_uri: str, database: str) -> AsyncIterator[Night]:
    name = f"{database}_nightly"
    async with inside(mongo_uri, name) as park:
        till = await (await Outsider(park.http).pair("POS")).staff()
        await till.open_shift()
        sold = await till.sell(("Carousel ride", 1))
        with MongoClient[Any](mongo_uri, tz_aware=True) as client:
            day = today(park.clock.now())
            yield Night(park, client[name], day, sold["sale"]["sale_id"], mongo_uri)


async def test_R49_a_day_is_proved_once_after_its_cutoff(night: Night) -> None:
    assert await nightly.run_due(night.uow, "one") == 0
    night.after_day(minutes=19)
    assert await nightly.run_due(night.uow, "one") == 0
    night.after_day(minutes=20)
    assert await nightly.run_due(night.uow, "one") == 2  # both parks
    assert await nightly.run_due(night.uow, "one") == 0
    assert await nightly.run_due(night.uow, "after a restart") == 0
    row = night.results()[STORE, night.first_day.isoformat()]
    assert (row["whole"], row["runs"], row["tenant_id"]) == (True, 1, TENANT)
    assert row["result"]["sales"] == 4_000
    assert row["checked_at"] == night.park.clock.now()


async def test_R49_of_two_processes_one_proves_the_day(night: Night) -> None:
    night.after_day()
    async with night.another_process() as second, night.another_process() as third:
        done = await asyncio.gather(
            nightly.run_due(night.uow, "one"),
            nightly.run_due(second, "two"),
            nightly.run_due(third, "three"),
        )
    assert sum(done) == 2
    assert [row["runs"] for row in night.results().values()] == [1, 1]


async def test_R49_a_process_that_died_is_waited_for_and_then_replaced(night: Night) -> None:
    night.after_day()
    dead = LeaseRepository(night.uow.reading(), TENANT, STORE)
    assert await dead.take(nightly.JOB, "dead", nightly.LEASE)
    assert await nightly.run_due(night.uow, "alive") == 1  # the other park
    night.park.clock.advance(nightly.LEASE - timedelta(seconds=1))
    assert await nightly.run_due(night.uow, "alive") == 0
    night.park.clock.advance(timedelta(seconds=1))
    assert await nightly.run_due(night.uow, "alive") == 1
    mine = LeaseRepository(night.uow.reading(), TENANT, STORE)
    assert await mine.take(nightly.JOB, "somebody else", nightly.LEASE)  # it was let go


async def test_R49_after_an_outage_the_last_seven_days_are_caught_up(night: Night) -> None:
    night.after_day(days=9)
    assert await nightly.run_due(night.uow, "one") == 14
    days = sorted(day for store, day in night.results() if store == STORE)
    assert days == [(night.first_day + timedelta(days=n)).isoformat() for n in range(3, 10)]


async def test_R49_days_before_the_store_are_not_asked_for(night: Night) -> None:
    night.after_day(days=1)
    assert await nightly.run_due(night.uow, "one") == 4
    assert min(day for _, day in night.results()) == night.first_day.isoformat()


async def test_R49_a_broken_day_is_an_event_and_an_audit_row_and_the_command_runs_it_again(
    night: Night,
) -> None:
    night.after_day()
    night.db.sales.update_one({"_id": night.sale_id}, {"$inc": {"grand_total": 1}})
    assert await nightly.run_due(night.uow, "one") == 2
    key = (STORE, night.first_day.isoformat())
    assert night.results()[key]["whole"] is False
    (event,) = night.db.events.find({"type": "reconciliation.failed"})
    (row,) = night.db.audits.find({"event_type": "reconciliation.failed"})
    first = event["data"]["breaks"][0]
    assert (first["collection"], first["document_id"]) == ("sales", night.sale_id)
    assert row["payload"]["breaks"] == event["data"]["breaks"]
    assert (row["payload"]["runs"], row["actor_id"], row["device_id"]) == (1, None, "server")
    night.db.sales.update_one({"_id": night.sale_id}, {"$inc": {"grand_total": -1}})
    assert (await service.run(night.uow, await night.store(), night.first_day)).whole
    again = night.results()[key]
    assert (again["whole"], again["runs"], again["result"]["breaks"]) == (True, 2, [])
    assert night.db.events.count_documents({"type": "reconciliation.failed"}) == 1
    assert (await verify(night.uow, TENANT, STORE)).whole


async def test_R49_the_report_answers_what_was_stored_until_it_is_asked_afresh(
    night: Night,
) -> None:
    office = await (await Outsider(night.park.http).pair("ADMIN")).staff(**SUPERVISOR)
    who = (await office.data("GET", "/v1/employees/me"))["employee_id"]
    night.after_day()
    kept_alive = {"$set": {f"employees.{who}.refreshed_at": night.park.clock.now()}}
    night.db.sessions.update_one({"_id": office.device["device_id"]}, kept_alive)
    await nightly.run_due(night.uow, "one")
    night.db.sales.update_one({"_id": night.sale_id}, {"$inc": {"tax_total": 1}})
    stored = await office.data("GET", "/v1/reports/reconciliation")
    asked = {"date": night.first_day.isoformat(), "fresh": "true"}
    fresh = await office.data("GET", "/v1/reports/reconciliation", **asked)
    assert (stored["business_date"], stored["whole"]) == (night.first_day.isoformat(), True)
    assert fresh["breaks"][0]["document_id"] == night.sale_id
    assert night.results()[STORE, night.first_day.isoformat()]["runs"] == 1


async def test_R49_a_day_that_is_not_over_is_shown_and_not_kept(night: Night) -> None:
    result = await service.run(night.uow, await night.store(), night.first_day)
    assert (result.whole, result.sales) == (True, 4_000)
    assert night.results() == {}


async def test_R49_a_store_that_cannot_be_checked_does_not_hold_up_the_others(
    night: Night,
) -> None:
    night.after_day()
    other = next(each for each in await all_stores(night.uow.reading()) if each.store_id != STORE)
    area = {"tenant_id": other.tenant_id, "store_id": other.store_id}
    night.db.reconciliations.insert_one({"_id": "odd", **area, "business_date": "not a date"})
    assert await nightly.run_due(night.uow, "one") == 1
    assert (STORE, night.first_day.isoformat()) in night.results()


async def test_R49_the_job_runs_in_the_background_and_stops_at_once(night: Night) -> None:
    night.after_day()
    soon, never = timedelta(0), timedelta(days=1)
    async with nightly.running(night.park.platform, first=soon, every=never):
        async with asyncio.timeout(20):
            await night.until_there_are(2)
    async with asyncio.timeout(5), nightly.running(night.park.platform, first=never):
        await asyncio.sleep(0)
    others = [task for task in asyncio.all_tasks() if task.get_name() == nightly.JOB]
    assert others == []


async def test_R49_a_job_that_is_stopped_at_work_leaves_the_day_to_the_next(night: Night) -> None:
    night.after_day()
    for _ in range(5):
        async with nightly.running(night.park.platform, first=timedelta(0)):
            await asyncio.sleep(0.015)
    night.park.clock.advance(nightly.LEASE)
    await nightly.run_due(night.uow, "next")
    assert [row["runs"] for row in night.results().values()] == [1, 1]
