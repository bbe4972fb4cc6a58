"""Requests counted by tenant, month, route and device: in the process first, written in between.

A crash loses what was counted since the last writing, ten seconds at most; nothing that is money
is counted here.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import datetime, timedelta

import structlog
from pymongo import UpdateOne
from pymongo.errors import PyMongoError

from api.platform.documents import (
    UNSTAMPED,
    Field,
    Model,
    ODMConfigDict,
    StoredTime,
    ascending,
    scoped_id,
)
from api.platform.repository import Repository
from api.platform.scope import Scope
from api.platform.uow import UnitOfWork, Work
from playpark.errors import PlayParkError

EVERY = timedelta(seconds=10)
log = structlog.get_logger("playpark.usage")


ROUTE, DEVICE = "route", "device"
"""What a counter belongs to."""
Counts = dict[tuple[str, str, str], int]
"""Requests by (month, what, its name)."""


class UsageCounter(Model):
    """Requests of a tenant in a month (park time, `2026-11`) to a route, or by a device: `name` is
    `GET /sales` or a device id. `id` is tenant:month:what:name."""

    model_config = ODMConfigDict(
        collection="usage_counters", indexes=lambda: [ascending("tenant_id", "month", "counted")]
    )

    id: str = Field(primary_field=True)
    tenant_id: str
    created_at: StoredTime = UNSTAMPED
    updated_at: StoredTime = UNSTAMPED
    month: str
    counted: str
    name: str
    requests: int


class UsageRepository(Repository[UsageCounter]):
    model = UsageCounter

    async def add(self, counts: Mapping[tuple[str, str, str], int]) -> None:
        """Count on by these, in one command."""
        now = self.work.now
        await self._collection.bulk_write(
            [
                UpdateOne(
                    self.where(_id=scoped_id(self.tenant_id, month, counted, name)),
                    {
                        "$inc": {"requests": requests},
                        "$set": {"updated_at": now},
                        "$setOnInsert": {
                            "created_at": now,
                            "month": month,
                            "counted": counted,
                            "name": name,
                        },
                    },
                    upsert=True,
                )
                for (month, counted, name), requests in counts.items()
            ],
            ordered=False,
            session=self.work.session,
        )

    async def in_month(self, month: str) -> tuple[int, int]:
        """(requests, devices that sent some)."""
        group = {"_id": "$counted", "requests": {"$sum": "$requests"}, "names": {"$sum": 1}}
        pipeline = [{"$match": self.where(month=month)}, {"$group": group}]
        found = {
            row["_id"]: row
            async for row in self._collection.aggregate(pipeline, session=self.work.session)
        }
        requests = found.get(ROUTE, {}).get("requests", 0)
        return requests, found.get(DEVICE, {}).get("names", 0)


class Usage:
    """What this process has counted and not written yet."""

    def __init__(self) -> None:
        self._waiting: dict[str, Counts] = {}

    def count(self, scope: Scope, route: str, now: datetime) -> None:
        """One request of `scope` to a route's template, such as `GET /sales`."""
        counts = self._waiting.setdefault(scope.tenant_id, {})
        here = now.astimezone(scope.zone)
        month = f"{here.year}-{here.month:02d}"
        _add(counts, (month, ROUTE, route))
        if scope.device.paired:
            _add(counts, (month, DEVICE, scope.device.device_id))

    async def flush(self, uow: UnitOfWork) -> bool:
        """Write what waits, a tenant a transaction; False where the database is away. What cannot
        be written now waits on; a commit of which nothing was heard may be counted twice."""
        for tenant_id in list(self._waiting):
            counts = self._waiting.pop(tenant_id)
            try:
                await self._write(uow, tenant_id, counts)
            except (PlayParkError, PyMongoError) as away:
                log.warning("usage waits", error=type(away).__name__)
                self._keep(tenant_id, counts)
                return False
        return True

    async def _write(self, uow: UnitOfWork, tenant_id: str, counts: Counts) -> None:
        async def add(work: Work) -> None:
            await UsageRepository(work, tenant_id, None).add(counts)

        await uow.run(add)

    def _keep(self, tenant_id: str, counts: Counts) -> None:
        kept = self._waiting.setdefault(tenant_id, {})
        for key, requests in counts.items():
            _add(kept, key, requests)


def _add(counts: Counts, key: tuple[str, str, str], requests: int = 1) -> None:
    counts[key] = counts.get(key, 0) + requests


@asynccontextmanager
async def writing(
    usage: Usage, uow: UnitOfWork, *, every: timedelta = EVERY
) -> AsyncIterator[None]:
    """Write every ten seconds for as long as the block lasts, and once more at its end."""
    over = asyncio.Event()
    task = asyncio.create_task(_until(over, usage, uow, every), name="usage")
    try:
        yield
    finally:
        # Never cancelled: a commit that is cut off could be counted twice.
        over.set()
        if await task:  # where the database is away, nobody waits for it twice
            await usage.flush(uow)


async def _until(over: asyncio.Event, usage: Usage, uow: UnitOfWork, every: timedelta) -> bool:
    """Whether the last time all was written."""
    written = True
    while not over.is_set():
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(over.wait(), every.total_seconds())
        written = await usage.flush(uow)
    return written
