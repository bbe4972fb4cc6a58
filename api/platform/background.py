"""Jobs beside the requests: done again and again, by one process at a time.

Whoever does a job for a tenant or a store holds its lease; a process that dies lets go of it by the
time that it runs out. So a job may run in every process and be stopped at any moment.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import structlog
from pymongo.errors import DuplicateKeyError, PyMongoError

from api.platform.documents import UNSTAMPED, Field, Model, ODMConfigDict, StoredTime, scoped_id
from api.platform.repository import Repository
from playpark.errors import PlayParkError
from playpark.ids import new_ulid

log = structlog.get_logger("playpark.jobs")


class JobLease(Model):
    """Which process does a job for a store, or with store_id null for a tenant, and until when
    nobody else may. `id` is tenant:store:job."""

    model_config = ODMConfigDict(collection="job_leases")

    id: str = Field(primary_field=True)
    tenant_id: str
    store_id: str | None
    created_at: StoredTime = UNSTAMPED
    updated_at: StoredTime = UNSTAMPED
    holder: str
    expires_at: StoredTime


class LeaseRepository(Repository[JobLease]):
    model = JobLease

    async def take(self, job: str, holder: str, lasts: timedelta) -> bool:
        """Whether `holder` does the job now: nobody else is at it, or has died over it."""
        free: dict[str, Any] = {
            "$or": [{"holder": holder}, {"expires_at": {"$lte": self.work.now}}]
        }
        until = {"holder": holder, "expires_at": self.work.now + lasts}
        try:
            taken = await self.change({"$set": until}, upsert=True, _id=self._key(job), **free)
        except DuplicateKeyError:
            return False  # the lease exists and is held
        return taken is not None

    async def release(self, job: str, holder: str) -> None:
        free = {"$set": {"expires_at": self.work.now}}
        await self.update_one(free, _id=self._key(job), holder=holder)

    def _key(self, job: str) -> str:
        return scoped_id(self.tenant_id, self.store_id or "", job)


@asynccontextmanager
async def repeating(
    name: str, step: Callable[[str], Awaitable[object]], *, first: timedelta, every: timedelta
) -> AsyncIterator[None]:
    """Do `step(holder)` after `first` and then `every` so long, while the block lasts; `holder` is
    who takes its leases. Leaving the block interrupts its sleep or its work. A step that fails is
    logged and tried again."""
    task = asyncio.create_task(_loop(name, step, first, every), name=name)
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def _loop(
    name: str, step: Callable[[str], Awaitable[object]], first: timedelta, every: timedelta
) -> None:
    holder, pause = new_ulid(), first
    while True:
        await asyncio.sleep(pause.total_seconds())
        pause = every
        try:
            await step(holder)
        except (PlayParkError, PyMongoError) as away:
            log.warning("job waits", job=name, error=type(away).__name__)
        except Exception:
            log.exception("job failed", job=name)
