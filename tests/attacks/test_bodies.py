"""What stands in a body or a query and does not belong there (ATTACKS 5, 7, 28, 29)."""

import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from playpark.ids import new_ulid
from tests.api.own_park import OWNER, OwnPark, own_park
from tests.attacks.described import Route, routes
from tests.attacks.hasty import Server, parsed
from tests.outside import Outsider

LAST = ("/logout", "/revoke")
"""What ends the session of who asks."""
MASS = {
    "role": "owner",
    "roles": ["owner"],
    "permissions": ["refund", "settings_write"],
    "status": "active",
    "price": 1,
    "paid": True,
    "used": False,
    "server_ts": "2026-11-21T00:00:00Z",
    "created_at": "2026-11-21T00:00:00Z",
    "_id": "01JD0000000000000000000000",
    "id": "01JD0000000000000000000000",
    "device_code": "99",
    "approved_by": "01JD0000000000000000000000",
    "__proto__": {"admin": True},
}
OPERATORS: list[Any] = [
    {"$ne": ""},
    {"$regex": "(a+)+$"},
    {"$where": "sleep(1000)"},
    ["$in"],
]
TEXTS = ('{"$ne": ""}', "$where", "a.b.c\x00", "'; return true; //")


@pytest.fixture(scope="module")
def park(mongo_uri: str, database: str) -> Iterator[OwnPark]:
    with own_park(mongo_uri, f"{database}_bodies") as park:
        yield park


@pytest.fixture(scope="module")
def private(park: OwnPark) -> list[Route]:
    found = [each for each in routes(park.url) if each.private and not each.path.endswith(LAST)]
    assert len(found) > 60
    return found


@pytest.fixture(scope="module")
def bodies(private: list[Route]) -> list[Route]:
    found = [each for each in private if each.body is not None]
    assert len(found) > 35
    return found


@dataclass(frozen=True)
class Owner:
    """The owner in the office and at a till: some routes are for devices that sell."""

    office: Outsider
    till: Outsider

    async def call(
        self, route: Route, body: Any = None, query: dict[str, Any] | None = None
    ) -> httpx.Response:
        response = await self._ask(self.office, route, body, query)
        if response.status_code in {401, 403}:
            response = await self._ask(self.till, route, body, query)
        return response

    async def _ask(
        self, client: Outsider, route: Route, body: Any, query: dict[str, Any] | None
    ) -> httpx.Response:
        headers = {"Authorization": f"Bearer {client.token}"}
        if route.is_operation:
            headers["Idempotency-Key"] = new_ulid()
        return await client.http.request(
            route.method, route.url(), json=body, params=query, headers=headers
        )


@pytest.fixture
async def owner(park: OwnPark) -> AsyncIterator[Owner]:
    async with park.connect("ADMIN", **OWNER) as office, park.connect("POS", **OWNER) as till:
        yield Owner(office, till)


def refused(response: httpx.Response, field: str) -> None:
    """422 that names the field and does not repeat its value."""
    error = response.json()["error"]
    assert (response.status_code, error["code"]) == (422, "E_VALIDATION"), response.text[:500]
    fields = {each["field"] for each in error["details"]["errors"]}
    assert field in fields, (field, error)


# --- 5: another tenant or store ---------------------------------------------------------


async def test_attack_5_another_tenant_or_store_in_a_body_is_422(
    owner: Owner, bodies: list[Route], park: OwnPark
) -> None:
    other = park.mongo["stores"].find_one({"name": {"$ne": "Main Gate"}})
    assert other is not None
    for route in bodies:
        assert route.body is not None
        for name, value in (("tenant_id", other["tenant_id"]), ("store_id", other["_id"])):
            if name in route.body["properties"]:
                continue
            for wrong in (value, None, {"$ne": ""}):
                response = await owner.call(route, {name: wrong})
                refused(response, f"body.{name}")
                assert other["_id"] not in response.text
                assert "leave it out" in response.text


async def test_attack_5_a_tenant_in_a_query_is_422_even_ones_own(
    owner: Owner, private: list[Route], park: OwnPark
) -> None:
    own = park.mongo["devices"].find_one({"_id": owner.office.device["device_id"]})
    assert own is not None
    for route in private:
        for value in (own["tenant_id"], "01JD0000000000000000000000"):
            body = {} if route.body is not None else None
            response = await owner.call(route, body, {"tenant_id": value})
            refused(response, "query.tenant_id")


async def test_attack_5_another_store_in_a_query_is_404(
    owner: Owner, private: list[Route], park: OwnPark
) -> None:
    other = park.mongo["stores"].find_one({"name": {"$ne": "Main Gate"}})
    assert other is not None
    for route in private:
        if route.body is None and "store_id" in route.queries:
            response = await owner.call(route, None, {"store_id": other["_id"]})
            unknown = await owner.call(route, None, {"store_id": new_ulid()})
            assert (response.status_code, unknown.status_code) == (404, 404), route
            assert response.json()["error"] == unknown.json()["error"]


async def test_R44_the_own_tenant_and_store_in_a_body_are_taken_and_change_nothing(
    owner: Owner, park: OwnPark
) -> None:
    """A replay with them is the operation without them."""
    device = park.mongo["devices"].find_one({"_id": owner.till.device["device_id"]})
    assert device is not None
    own = {"tenant_id": device["tenant_id"], "store_id": device["store_id"]}
    key = new_ulid()
    first = await owner.till.call("POST", "/v1/shifts/open", {"cash_open": 5, **own}, key=key)
    again = await owner.till.call("POST", "/v1/shifts/open", {"cash_open": 5}, key=key)
    once_more = await owner.till.call(
        "POST", "/v1/shifts/open", {"cash_open": 5, "store_id": own["store_id"]}, key=key
    )
    assert first.status_code == again.status_code == once_more.status_code == 200
    assert first.json()["data"] == again.json()["data"] == once_more.json()["data"]
    assert again.headers["Idempotent-Replayed"] == "true"
    shift = park.mongo["shifts"].find_one({"device_id": device["_id"]})
    assert shift is not None
    assert {name: shift[name] for name in own} == own


# --- 7: mass assignment -----------------------------------------------------------------


async def test_attack_7_fields_that_are_the_servers_own_are_422(
    owner: Owner, bodies: list[Route]
) -> None:
    for route in bodies:
        assert route.body is not None
        told = {name: value for name, value in MASS.items() if name not in route.body["properties"]}
        assert len(told) > 7, route
        response = await owner.call(route, told)
        for name in told:
            refused(response, f"body.{name}")


# --- 28: operators ----------------------------------------------------------------------


def example(route: Route) -> dict[str, Any]:
    """A whole body where one is recorded."""
    media = route.operation["requestBody"]["content"]["application/json"]
    found: dict[str, Any] = media.get("example", {})
    return found


def strings(route: Route) -> list[str]:
    """Names of the body's fields that take a text."""
    assert route.body is not None
    found = []
    for name, schema in route.body["properties"].items():
        kinds = [route.resolved(each) for each in schema.get("anyOf", [schema])]
        if any(kind.get("type") == "string" for kind in kinds):
            found.append(name)
    return found


async def test_attack_28_an_operator_is_no_text(owner: Owner, bodies: list[Route]) -> None:
    tried = 0
    for route in bodies:
        for name in strings(route):
            for operator in OPERATORS:
                response = await owner.call(route, {**example(route), name: operator})
                assert response.status_code == 422, (route, name, response.text[:300])
                assert "sleep(" not in response.text
                tried += 1
    assert tried > 250


async def test_attack_28_no_key_is_an_operator_or_a_path(owner: Owner, bodies: list[Route]) -> None:
    for route in bodies:
        for name in ("$where", "$ne", "a.b", "tenant_id.x", "\x00"):
            response = await owner.call(route, {**example(route), name: "x"})
            assert response.status_code == 422, (route, name, response.text[:300])


async def test_attack_28_queries_take_no_operators(owner: Owner, private: list[Route]) -> None:
    tried = 0
    for route in private:
        body = {} if route.body is not None else None
        for name in route.queries:
            for suffix in ("[$ne]", ".$gt"):
                response = await owner.call(route, body, {f"{name}{suffix}": "x"})
                assert response.status_code == 422, (route, name)
            for text in TEXTS:
                response = await owner.call(route, body, {name: text})
                assert response.status_code < 500, (route, name, text, response.text[:300])
                if response.status_code == 200:
                    assert found(response) == [], (route, name, text)
                tried += 1
    assert tried > 300


def found(response: httpx.Response) -> list[Any]:
    data = response.json()["data"]
    return list(data["items"]) if isinstance(data, dict) and "items" in data else []


# --- 29: expressions --------------------------------------------------------------------

BOMBS = ("(a+)+$", "^(([a-z])+.)+[A-Z]([a-z])+$", "a" * 80, ".*", "^", "[", "(?i)s", "\\", "*" * 80)


async def test_attack_29_a_search_is_no_expression_and_takes_no_time(
    owner: Owner, park: OwnPark
) -> None:
    for number in range(30):
        customer = {"name": f"{'a' * 40} {number} Somchai", "phone": f"08100000{number:02}"}
        await owner.till.data("POST", "/v1/customers", customer)
    for bomb in BOMBS:
        took = []
        for _ in range(3):
            began = time.perf_counter()
            response = await owner.till.call("GET", "/v1/customers", q=bomb)
            took.append(time.perf_counter() - began)
        assert response.status_code == 200
        assert found(response) == [], bomb
        assert min(took) < 0.2
    named = await owner.till.call("GET", "/v1/customers", q="somch")
    assert len(found(named)) == 30


async def test_attack_29_a_search_of_50_kb_is_refused_everywhere(
    owner: Owner, private: list[Route]
) -> None:
    searched = 0
    for route in private:
        for name, parameter in route.queries.items():
            if route.method == "GET" and "'string'" in str(parameter["schema"]):
                long = await owner.call(route, None, {name: "a" * 50_000})
                assert long.status_code == 422, (route, name, long.text[:300])
                searched += 1
    assert searched > 50


async def test_attack_29_a_search_of_100_kb_never_reaches_a_route(server: Server) -> None:
    head = b"GET /v1/customers?q=" + b"a" * 100_000 + b" HTTP/1.1\r\nhost: x\r\n\r\n"
    answer = await server.exchange(head)
    # Nothing, where the connection was reset before the answer was read.
    assert answer == b"" or parsed(answer)[0] == 431
