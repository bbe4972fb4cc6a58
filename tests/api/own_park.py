"""A park of one test file: what it does to prices, rules and settings disturbs no other file."""

from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any

import httpx
from pymongo import MongoClient

from tests.conftest import running_api
from tests.outside import Outsider

OWNER = {"email": "owner@demo.playpark", "pin": "8888"}


@dataclass
class OwnPark:
    """A real API process on a database of its own. `mongo` is for what no route tells."""

    url: str
    mongo: Any

    @asynccontextmanager
    async def connect(
        self, kind: str, site_key: str = "DEMO-MAIN-GATE", **who: str
    ) -> AsyncIterator[Outsider]:
        """A paired device, with `who` logged in on it."""
        async with httpx.AsyncClient(base_url=self.url, timeout=30) as http:
            outsider = await Outsider(http).pair(kind, site_key)
            yield await outsider.staff(**who) if who else outsider

    @asynccontextmanager
    async def owners(self, count: int) -> AsyncIterator[list[Outsider]]:
        """The owner on several devices at once: nothing but the database keeps them apart."""
        async with AsyncExitStack() as stack:
            people = (
                stack.enter_async_context(self.connect("ADMIN", **OWNER)) for _ in range(count)
            )
            yield [await each for each in people]


@contextmanager
def own_park(mongo_uri: str, database: str) -> Iterator[OwnPark]:
    with running_api(mongo_uri, database) as url, MongoClient(mongo_uri, tz_aware=True) as mongo:
        yield OwnPark(url, mongo[database])


async def refused(client: Outsider, method: str, path: str, body: Any) -> tuple[int, Any]:
    """Status and error of a call that is refused."""
    response = await client.call(method, path, body)
    return response.status_code, response.json()["error"]
