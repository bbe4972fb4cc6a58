"""When an operation happened, by its own clock and by its neighbours (R36)."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from api.identity.repository import DeviceRepository
from api.platform.operations import CLOCK_CLAMPED, OLDEST
from api.platform.scope import Scope
from api.platform.uow import UnitOfWork, Work
from api.sync.repository import Head, Place, PlaceRepository

JUST_NOW = timedelta(seconds=5)
"""So long before its arrival an operation is believed without a look at its neighbours."""


@dataclass(slots=True)
class Timeline:
    """The corrected times of a device's operations, as one batch goes on: the head of the sequence
    is read once, where it is needed, and carried along."""

    uow: UnitOfWork
    scope: Scope
    _head: Head | None = None
    _earliest: datetime | None = field(default=None)

    async def corrected(
        self, place: Place, told: datetime, arrival: datetime
    ) -> tuple[datetime, tuple[str, ...]]:
        """The moment `told`, between those of the nearest applied operations and not after its
        `arrival`; flagged where it had to be moved."""
        if arrival - JUST_NOW <= told <= arrival:
            return told, ()
        lower, upper = await self._neighbours(place, arrival)
        moment = max(lower, min(told, upper))
        return moment, () if moment == told else (CLOCK_CLAMPED,)

    def applied(self, place: Place, at: datetime) -> None:
        """An operation has taken its place."""
        if self._head is not None and place > self._head.place:
            self._head = Head(place, at)

    async def _neighbours(self, place: Place, arrival: datetime) -> tuple[datetime, datetime]:
        work = self.uow.reading()
        places, device_id = PlaceRepository.of(work, self.scope), self.scope.device.device_id
        if self._head is None:
            self._head = await places.highest(device_id)
        if self._head is not None and self._head.place < place:
            return self._head.at, arrival
        behind = await places.behind(device_id, place) if self._head else None
        before = await places.before(device_id, place) if self._head else None
        lower = before.at if before else await self._first(work, arrival)
        return lower, min(arrival, behind.at) if behind else arrival

    async def _first(self, work: Work, arrival: datetime) -> datetime:
        """What bounds an operation with nothing before it: it may be as old as the device, for so
        long an outage may last, or as any that comes without a place."""
        if self._earliest is None:
            devices = DeviceRepository(work, self.scope.tenant_id, self.scope.home_store_id)
            device = await devices.find_one(_id=self.scope.device.device_id)
            self._earliest = device.registered_at if device else arrival
        return min(self._earliest, arrival - OLDEST)
