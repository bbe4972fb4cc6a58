"""The API in the test's own process with the limits that a park gets, asked from any address."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import httpx
from fastapi import FastAPI

from api.app import create_app, prepare
from api.platform.mongo import Mongo
from api.platform.services import Platform
from api.platform.settings import Settings
from playpark.clock import FixedClock
from tests.outside import Outsider

DEFAULTS: dict[str, Any] = {
    name: found.default
    for name, found in Settings.model_fields.items()
    if name.startswith("limit_")
}
"""The tests' environment has no limits worth the name: see tests/conftest.py."""


@dataclass
class Limited:
    platform: Platform
    clock: FixedClock
    app: FastAPI
    stack: AsyncExitStack = field(default_factory=AsyncExitStack)

    def told(self, **settings: Any) -> "Limited":
        """The same park behind an API with other settings."""
        platform = replace(self.platform, settings=Settings(**{**DEFAULTS, **settings}))
        return Limited(platform, self.clock, create_app(platform), self.stack)

    async def at(self, address: str = "203.0.113.7", **headers: str) -> Outsider:
        """A client whose connection comes from `address`."""
        transport = httpx.ASGITransport(app=self.app, client=(address, 4711))
        http = httpx.AsyncClient(transport=transport, base_url="http://park", headers=headers)
        return Outsider(await self.stack.enter_async_context(http))


@asynccontextmanager
async def limited(mongo_uri: str, database: str, **told: Any) -> AsyncIterator[Limited]:
    """The demo park (in production nothing) with the default limits and what else is `told`."""
    clock, mongo = FixedClock(datetime.now(UTC)), Mongo(mongo_uri, database)
    settings = Settings(**{**DEFAULTS, **told})
    platform = await prepare(settings, mongo, demo=not settings.production, clock=clock)
    async with AsyncExitStack() as stack:
        yield Limited(platform, clock, create_app(platform), stack)
    await mongo.client.drop_database(database)
    platform.close()
