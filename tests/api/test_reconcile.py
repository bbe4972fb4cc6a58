"""R49 from outside: the report, its CSV, the command and its exit codes, the edges of a day."""

import asyncio
import csv
import io
import json
import os
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from pymongo import MongoClient

from api.reports.command import reconcile_all
from api.reports.reconciling import _sums, reconcile
from api.reports.repository import all_stores
from playpark.clock import business_day_start
from playpark.contracts.reports import Reconciliation
from playpark.errors import PlayParkError
from tests import processes
from tests.api import afternoon
from tests.api.afternoon import BANGKOK, STORE, SUPERVISOR, Afternoon, today
from tests.api.inside import Inside, inside
from tests.outside import Outsider

ROUTE = "/v1/reports/reconciliation"


@dataclass
class Park:
    inside: Inside
    day: Afternoon
    office: Outsider
    uri: str
    database: str

    @property
    def today(self) -> str:
        return today(self.inside.clock.now()).isoformat()

    @contextmanager
    def tampered(self) -> Iterator[str]:
        """The tax of one sale is a satang off; its id."""
        with MongoClient[dict[str, Any]](self.uri) as client:
            sales, sale_id = client[self.database].sales, self.day.sale_id("plain")
            sales.update_one({"_id": sale_id}, {"$inc": {"tax_total": 1}})
            try:
                yield sale_id
            finally:
                sales.update_one({"_id": sale_id}, {"$inc": {"tax_total": -1}})


@pytest.fixture(scope="module")
async def park(mongo_uri: str, database: str) -> AsyncIterator[Park]:
    name = f"{database}_reports"
    async with inside(mongo_uri, name) as within:
        day = await afternoon.live(within.http)
        office = await Outsider(within.http).pair("ADMIN")
        await office.staff(**SUPERVISOR)
        yield Park(within, day, office, mongo_uri, name)


# --- the report ---------------------------------------------------------------------------


async def test_R49_the_report_says_that_the_day_is_whole(park: Park) -> None:
    told = await park.office.data("GET", ROUTE, date=park.today)
    assert (told["whole"], told["breaks"], told["business_date"]) == (True, [], park.today)
    assert (told["store_id"], told["store_name"]) == (STORE, "Main Gate")
    assert told["sales"] == told["payments"] == told["shifts"] > 0


async def test_R49_the_report_names_the_first_document_that_breaks_the_day(park: Park) -> None:
    with park.tampered() as sale_id:
        told = await park.office.data("GET", ROUTE, date=park.today)
    (found,) = [each for each in told["breaks"] if each["check"] == "sales"]
    assert not told["whole"]
    assert (found["collection"], found["document_id"], found["others"]) == ("sales", sale_id, 0)
    assert int(found["found"]) == int(found["expected"]) + 1
    assert park.day.receipt_no("plain") in found["why"]


async def test_R49_breaks_come_as_csv(park: Park) -> None:
    whole = await park.office.call("GET", ROUTE, date=park.today, format="csv")
    header = "business_date,check,collection,document_id,expected,found,why,others"
    assert whole.headers["content-type"].startswith("text/csv")
    assert whole.text.splitlines() == [header]
    with park.tampered() as sale_id:
        broken = await park.office.call("GET", ROUTE, date=park.today, format="csv")
    first = next(csv.DictReader(io.StringIO(broken.text)))
    assert (first["check"], first["document_id"]) == ("sales", sale_id)
    assert first["business_date"] == park.today


async def test_R49_without_a_date_it_is_the_last_trading_day(park: Park) -> None:
    told = await park.office.data("GET", ROUTE)
    yesterday = date.fromisoformat(park.today) - timedelta(days=1)
    assert (told["business_date"], told["sales_count"]) == (yesterday.isoformat(), 0)


async def test_R49_a_day_that_has_not_begun_cannot_be_proved(park: Park) -> None:
    tomorrow = date.fromisoformat(park.today) + timedelta(days=1)
    refused = await park.office.call("GET", ROUTE, date=tomorrow.isoformat())
    assert (refused.status_code, refused.json()["error"]["code"]) == (422, "E_VALIDATION")


async def test_R49_the_first_day_that_can_be_asked_for_has_empty_books(park: Park) -> None:
    told = await park.office.data("GET", ROUTE, date="1970-01-01")
    assert (told["sales"], told["breaks"]) == (0, [])


async def test_R49_the_report_needs_reports_view_and_shows_the_own_store_only(park: Park) -> None:
    till = await (await Outsider(park.inside.http).pair("POS")).staff()
    refused = await till.call("GET", ROUTE, date=park.today)
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "E_PERMISSION")
    uow = park.inside.platform.uow
    other = [each for each in await all_stores(uow.reading()) if each.store_id != STORE]
    result = await reconcile(uow, other[0], date.fromisoformat(park.today))
    assert (result.sales_count, result.documents, result.whole) == (0, 0, True)


# --- the day as a whole -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "told_as"),
    [
        ("payments", "payments"),
        ("tickets", "tickets"),
        ("surcharges", "tickets"),
        ("shifts", "shifts"),
        ("no_shift", "shifts"),
        ("z_reports", "z_reports"),
        ("open_shifts", "z_reports"),
        ("refunds_in_shifts", "refunds_in_shifts"),
        ("refunds_no_shift", "refunds_in_shifts"),
        ("refunds_in_z", "refunds_in_z"),
        ("refunds_open", "refunds_in_z"),
    ],
)
async def test_R49_the_sums_of_the_day_have_to_agree(park: Park, name: str, told_as: str) -> None:
    told = await park.office.data("GET", ROUTE, date=park.today)
    whole = Reconciliation.model_validate(told)
    assert list(_sums(whole)) == []
    off = whole.model_copy(update={name: getattr(whole, name) + 1})
    assert told_as in {each.collection for each in _sums(off)}


# --- the command --------------------------------------------------------------------------


async def playpark(park: Park, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"MONGODB_URI": park.uri, "MONGODB_DATABASE": park.database}
    environment |= {"LOG_LEVEL": "ERROR", "COLUMNS": "100", **more}
    return await asyncio.to_thread(processes.run, "reconcile", *arguments, env=environment)


async def test_R49_the_command_exits_with_0_where_all_stores_are_whole(park: Park) -> None:
    done = await playpark(park, "--date", park.today, "--json")
    results = json.loads(done.stdout)
    assert (done.returncode, [each["whole"] for each in results]) == (0, [True, True])
    assert {each["store_name"] for each in results} == {"Main Gate", "Other Gate"}
    (one,) = await reconcile_all(park.inside.platform.uow, None, STORE)
    assert (one.store_name, one.whole) == ("Main Gate", True)


async def test_R49_the_command_exits_with_1_and_names_the_document(park: Park) -> None:
    with park.tampered() as sale_id:
        done = await playpark(park, "--date", park.today)
    assert done.returncode == 1
    assert "BROKEN" in done.stdout
    assert f"sales: sales {sale_id}" in done.stdout
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "uri", "told"),
    [
        (("--date", "2026-02-30"), "", "--date is a trading day"),
        (("--store", "nowhere"), None, "no store with this id"),
        ((), "mongodb://127.0.0.1:1/?serverSelectionTimeoutMS=300&timeoutMS=500", "not answer"),
    ],
)
async def test_R49_the_command_exits_with_2_where_it_could_check_nothing(
    park: Park, arguments: tuple[str, ...], uri: str | None, told: str
) -> None:
    done = await playpark(park, *arguments, **({} if uri is None else {"MONGODB_URI": uri}))
    assert (done.returncode, done.stdout) == (2, "")
    assert told in done.stderr
    assert len(done.stderr.splitlines()) == 1


async def test_R49_the_command_refuses_a_day_that_has_not_begun(park: Park) -> None:
    tomorrow = date.fromisoformat(park.today) + timedelta(days=1)
    with pytest.raises(PlayParkError, match="has not begun"):
        await reconcile_all(park.inside.platform.uow, tomorrow, None)


# --- the edges of a day -------------------------------------------------------------------


async def test_R30_sales_at_03_59_and_04_01_are_of_two_days_and_one_shift(
    mongo_uri: str, database: str
) -> None:
    async with inside(mongo_uri, f"{database}_midnight") as park:
        till = await Outsider(park.http).pair("POS")
        at_door = till.token
        await till.staff()
        await till.open_shift()
        evening = today(park.clock.now())
        cutoff = business_day_start(evening + timedelta(days=1), BANGKOK)
        _move(park, cutoff - timedelta(minutes=1))
        till.token = at_door  # the first login may have run out by now
        await till.staff()
        await till.sell(("Carousel ride", 1))
        _move(park, cutoff + timedelta(minutes=1))
        await till.sell(("Carousel ride", 2))
        uow = park.platform.uow
        stores = {store.store_id: store for store in await all_stores(uow.reading())}
        before, after = [
            await reconcile(uow, stores[STORE], evening + timedelta(days=days)) for days in (0, 1)
        ]
    assert (before.breaks, after.breaks) == ([], [])
    assert (before.sales, before.shifts, before.open_shifts) == (4_000, 4_000, 4_000)
    assert (after.sales, after.shifts, after.open_shifts) == (8_000, 8_000, 8_000)


async def test_R49_a_sale_that_is_booked_meanwhile_breaks_nothing(
    mongo_uri: str, database: str
) -> None:
    """All is read as it was at one moment."""
    async with inside(mongo_uri, f"{database}_busy") as park:
        till = await (await Outsider(park.http).pair("POS")).staff()
        await till.open_shift()
        uow, counts = park.platform.uow, set[int]()
        stores = {store.store_id: store for store in await all_stores(uow.reading())}

        async def sell() -> None:
            for _ in range(12):
                await till.sell(("Carousel ride", 1))

        selling = asyncio.create_task(sell())
        while not selling.done():
            result = await reconcile(uow, stores[STORE], today(park.clock.now()))
            assert result.breaks == []
            counts.add(result.sales_count)
        await selling
    assert len(counts) > 2


def _move(park: Inside, to: datetime) -> None:
    park.clock.advance(to - park.clock.now())
    assert park.clock.now().astimezone(UTC) == to
