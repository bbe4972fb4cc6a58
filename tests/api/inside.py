"""The API inside the test's own process, on a database of its own and with a clock that can be
moved: for what depends on time, or has to be seen from within."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

import httpx

from api.app import create_app, prepare
from api.platform.authority import read_scope
from api.platform.jwt import TokenType
from api.platform.mongo import Mongo
from api.platform.scope import Scope
from api.platform.services import Platform
from api.platform.settings import Settings
from playpark.clock import FixedClock
from tests.outside import Outsider


@dataclass(frozen=True)
class Inside:
    platform: Platform
    clock: FixedClock
    http: httpx.AsyncClient

    async def device(self, kind: str = "POS") -> Outsider:
        return await Outsider(self.http).pair(kind)

    async def scope(self, who: Outsider) -> Scope:
        """The scope that a request with this client's token has."""
        claims = self.platform.jwt.read(who.token, TokenType.DEVICE, TokenType.ACCESS)
        return await read_scope(self.platform.uow.reading(), claims)


@asynccontextmanager
async def inside(mongo_uri: str, database: str) -> AsyncIterator[Inside]:
    """The demo park on `database`, which is dropped afterwards.

    The clock starts at the present: tokens are judged by the machine's time.
    """
    clock, mongo = FixedClock(datetime.now(UTC)), Mongo(mongo_uri, database)
    platform = await prepare(Settings(), mongo, demo=True, clock=clock)
    transport = httpx.ASGITransport(app=create_app(platform))
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as http:
        yield Inside(platform, clock, http)
    await mongo.client.drop_database(database)
    platform.close()
