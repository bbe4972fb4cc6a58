"""The job that notices silent devices (R44): one process at a time, every 30 seconds."""

from contextlib import AbstractAsyncContextManager
from datetime import timedelta

from api.platform.background import LeaseRepository, repeating
from api.platform.uow import UnitOfWork
from api.provider import alerts
from api.provider.models import AREA

JOB = "watch"
EVERY = timedelta(seconds=30)
FIRST = 2 * EVERY
"""After the start: devices that waited for this server are heard before they are called silent."""
LEASE = timedelta(seconds=90)


def running(uow: UnitOfWork) -> AbstractAsyncContextManager[None]:
    """The job, for as long as the block lasts."""
    return repeating(JOB, lambda holder: look(uow, holder), first=FIRST, every=EVERY)


async def look(uow: UnitOfWork, holder: str) -> bool:
    """Look at all devices once; False where another process does."""
    leases = LeaseRepository(uow.reading(), *AREA)
    if not await leases.take(JOB, holder, LEASE):
        return False
    while await alerts.notice_silence(uow):
        continue
    await alerts.forget_the_inactive(uow)
    return True
