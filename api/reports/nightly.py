"""The nightly job: each store's last trading days are proved once, by one process (R49).

A process that does a store holds its lease; what it has stored is never done again by itself, so
the job may run in every process, be stopped at any moment, and catches up after an outage.
"""

from contextlib import AbstractAsyncContextManager
from datetime import date, timedelta

import structlog
from pymongo.errors import PyMongoError

from api.platform.background import LeaseRepository, repeating
from api.platform.services import Platform
from api.platform.uow import UnitOfWork
from api.reports import service
from api.reports.reconciling import MOST_SECONDS
from api.reports.repository import ReconciliationRepository, StoreRef, all_stores
from playpark.clock import business_date, park_zone
from playpark.errors import PlayParkError

JOB = "reconciliation"
LEASE = timedelta(seconds=2 * MOST_SECONDS)
DAYS_BACK = 7
"""Days that are caught up after an outage."""
EVERY = timedelta(minutes=10)
FIRST = timedelta(minutes=1)
"""After the start: the tills come first."""
log = structlog.get_logger("playpark.nightly")


def running(
    platform: Platform, *, first: timedelta = FIRST, every: timedelta = EVERY
) -> AbstractAsyncContextManager[None]:
    """The job, for as long as the block lasts. Leaving it interrupts its sleep or its work;
    nothing half done is kept."""

    async def step(holder: str) -> int:
        return await run_due(platform.uow, holder)

    return repeating(JOB, step, first=first, every=every)


async def run_due(uow: UnitOfWork, holder: str) -> int:
    """Check all days of all stores that are due, oldest first; how many this process did. A store
    that cannot be checked does not keep the others waiting."""
    done = 0
    for store in await all_stores(uow.reading()):
        try:
            done += await _of_store(uow, store, holder)
        except (PlayParkError, PyMongoError) as away:
            log.warning("not reconciled", store_id=store.store_id, error=type(away).__name__)
        except Exception:
            log.exception("not reconciled", store_id=store.store_id)
    return done


async def _of_store(uow: UnitOfWork, store: StoreRef, holder: str) -> int:
    leases = LeaseRepository(uow.reading(), store.tenant_id, store.store_id)
    if not await _due(uow, store) or not await leases.take(JOB, holder, LEASE):
        return 0
    try:
        done = 0
        # Asked again under the lease: another process may just have done them.
        for day in await _due(uow, store):
            result = await service.run(uow, store, day)
            done += 1
            say = log.info if result.whole else log.error
            first = result.breaks[0] if result.breaks else None
            say(
                "reconciled",
                store_id=store.store_id,
                business_date=day.isoformat(),
                whole=result.whole,
                first=f"{first.collection} {first.document_id}" if first else None,
            )
            leases = LeaseRepository(uow.reading(), store.tenant_id, store.store_id)
            if not await leases.take(JOB, holder, LEASE):
                break
    finally:
        last = LeaseRepository(uow.reading(), store.tenant_id, store.store_id)
        await last.release(JOB, holder)
    return done


async def _due(uow: UnitOfWork, store: StoreRef) -> list[date]:
    """The days that are over and were not checked yet, as far back as the job looks."""
    work = uow.reading()
    last = service.last_day(store, work.now)
    opened = business_date(store.since, park_zone(store.tz))
    days = [last - timedelta(days=back) for back in reversed(range(DAYS_BACK))]
    known = await ReconciliationRepository(work, store.tenant_id, store.store_id).days(days[0])
    return [
        day
        for day in days
        if day not in known and day >= opened and work.now >= service.due_at(store, day)
    ]
