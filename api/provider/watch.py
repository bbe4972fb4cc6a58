"""The job that notices silent devices (R44): one process at a time, every 30 seconds."""

from contextlib import AbstractAsyncContextManager
from datetime import datetime, timedelta

from api.platform.background import LeaseRepository, repeating
from api.platform.uow import UnitOfWork
from api.provider import alerts
from api.provider.models import AREA

JOB = "watch"
EVERY = timedelta(seconds=30)
SETTLED = 2 * EVERY
"""After the start, and after a time without the database: devices that waited for this server are
heard before they are called silent."""
LEASE = timedelta(seconds=90)


def running(uow: UnitOfWork) -> AbstractAsyncContextManager[None]:
    """The job, for as long as the block lasts."""
    return repeating(JOB, Watch(uow).step, first=EVERY, every=EVERY)


class Watch:
    """Looks at the devices for as long as they can be heard."""

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow
        self._hears_since: datetime | None = None

    async def step(self, holder: str) -> None:
        """Look, if devices could be heard for a while; raises what the database raises."""
        now, since = self._uow.clock.now(), self._hears_since
        self._hears_since = None
        if since is not None and now - since >= SETTLED:
            await look(self._uow, holder)
        else:
            await self._uow.mongo.ping()
        self._hears_since = since or now


async def look(uow: UnitOfWork, holder: str) -> bool:
    """Look at all devices once; False where another process does."""
    leases = LeaseRepository(uow.reading(), *AREA)
    if not await leases.take(JOB, holder, LEASE):
        return False
    await alerts.notice_silence(uow)
    await alerts.forget_the_inactive(uow)
    return True
