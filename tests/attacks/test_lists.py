"""Lists, cursors and ranges beyond all measure (ATTACKS 41)."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from tests.attacks.described import Route, routes
from tests.attacks.hasty import Server
from tests.outside import Outsider


@pytest.fixture(scope="module")
def lists(server: Server) -> list[Route]:
    """Every list that people of a park may read."""
    found = [each for each in routes(server.url) if each.private and "limit" in each.queries]
    assert len(found) > 10
    return found


@dataclass(frozen=True)
class Owner:
    """The owner in the office and at a till: some lists are for devices that sell."""

    office: Outsider
    till: Outsider

    async def reads(self, route: Route, **query: Any) -> httpx.Response:
        response = await self.office.call(route.method, route.url(), **query)
        if response.status_code == 403:
            response = await self.till.call(route.method, route.url(), **query)
        return response


@pytest.fixture(scope="module")
async def owner(server: Server) -> AsyncIterator[Owner]:
    async with httpx.AsyncClient(base_url=server.url, timeout=30) as http:
        pair = [await Outsider(http).pair(kind) for kind in ("ADMIN", "POS")]
        yield Owner(*[await each.staff(email="owner@demo.playpark", pin="8888") for each in pair])


@pytest.mark.parametrize(
    "query",
    [
        {"limit": 10**9},
        {"limit": 201},
        {"limit": 0},
        {"limit": -1},
        {"limit": "9" * 5000},
        {"limit": "1e3"},
        {"skip": 10**9},
        {"offset": 1},
        {"page": 2},
        {"cursor": "../../etc/passwd"},
        {"cursor": '{"$gt": ""}'},
        {"cursor": "A" * 201},
        {"cursor": "A" * 10_000},
        {"limit": [1, 200]},
    ],
    ids=lambda query: "-".join(f"{key}={str(value)[:12]}" for key, value in query.items()),
)
async def test_attack_41_a_list_takes_no_nonsense(
    owner: Owner, lists: list[Route], query: dict[str, Any]
) -> None:
    for route in lists:
        response = await owner.reads(route, **query)
        assert response.status_code == 422, (route, response.text[:300])
        assert response.json()["error"]["code"] == "E_VALIDATION"


@pytest.mark.parametrize("cursor", ["AAAA", "bm9uc2Vuc2U", "-_-_", "A" * 200])
async def test_attack_41_a_cursor_that_is_not_ours_finds_nothing_or_is_refused(
    owner: Owner, lists: list[Route], cursor: str
) -> None:
    for route in lists:
        response = await owner.reads(route, cursor=cursor)
        assert response.status_code in {200, 404, 422}, (route, response.text[:300])


@pytest.mark.parametrize(
    ("first", "last"),
    [
        ("0001-01-01", "9999-12-31"),
        ("9999-12-31", "0001-01-01"),
        ("2026-02-30", "2026-03-01"),
        ("-1", "99999999999999"),
        ("2026-11-21T00:00:00", "$gt"),
    ],
)
async def test_attack_41_a_huge_range_is_one_page_and_an_odd_one_is_refused(
    owner: Owner, server: Server, first: str, last: str
) -> None:
    dated = [each for each in routes(server.url) if each.private and "from" in each.queries]
    assert len(dated) >= 5
    for route in dated:
        query = {"from": first, "to": last}
        response = await owner.reads(route, **query)
        assert response.status_code in {200, 404, 422}, (route, response.text[:300])
        if response.status_code == 200:
            data = response.json()["data"]
            items = data.get("items", data.get("rows", []))
            assert len(items) <= 200
