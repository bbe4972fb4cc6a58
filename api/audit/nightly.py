"""The job that keeps the trail: anchors, what they let go, old summaries (R45).

A process that does a tenant holds its lease. All of it may be stopped at any moment.
"""

from contextlib import AbstractAsyncContextManager
from datetime import timedelta

import structlog
from pymongo.errors import PyMongoError

from api.audit import anchoring, keeping
from api.audit.trail import tenants
from api.platform.background import LeaseRepository, repeating
from api.platform.services import Platform
from api.platform.settings import Settings
from api.platform.uow import UnitOfWork
from playpark.errors import PlayParkError

JOB = "audit"
LEASE = timedelta(minutes=5)
EVERY = timedelta(hours=1)
FIRST = timedelta(minutes=2)
"""After the start: the tills come first."""
log = structlog.get_logger("playpark.audit")


def running(
    platform: Platform, *, first: timedelta = FIRST, every: timedelta = EVERY
) -> AbstractAsyncContextManager[None]:
    """The job, for as long as the block lasts."""

    async def step(holder: str) -> int:
        return await run_due(platform.uow, platform.settings, holder)

    return repeating(JOB, step, first=first, every=every)


async def run_due(uow: UnitOfWork, settings: Settings, holder: str) -> int:
    """Do what is due for all tenants; how many days this process has anchored. A tenant that
    cannot be done does not keep the others waiting."""
    done = 0
    for tenant_id in await tenants(uow.reading()):
        try:
            done += await _of_tenant(uow, settings, tenant_id, holder)
        except (PlayParkError, PyMongoError) as away:
            log.warning("audit not kept", tenant_id=tenant_id, error=type(away).__name__)
        except Exception:
            log.exception("audit not kept", tenant_id=tenant_id)
    return done


async def _of_tenant(uow: UnitOfWork, settings: Settings, tenant_id: str, holder: str) -> int:
    async def going() -> bool:
        """Take the lease, or hold it longer."""
        return await LeaseRepository(uow.reading(), tenant_id, None).take(JOB, holder, LEASE)

    if not await going():
        return 0
    try:
        anchored = await anchoring.anchor_due(uow, tenant_id, settings.audit_raw_days, going)
        removed = await keeping.remove_due(uow, tenant_id, going)
        await keeping.forget_summaries(uow, tenant_id, settings.audit_summary_days, going)
    finally:
        await LeaseRepository(uow.reading(), tenant_id, None).release(JOB, holder)
    if removed:
        log.info("audit rows removed", tenant_id=tenant_id, rows=removed)
    return anchored
