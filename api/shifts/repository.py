"""Queries on shifts."""

from collections.abc import Mapping

from api.platform.documents import scoped_id
from api.platform.repository import Repository
from api.shifts.models import Shift, ZCounter


class ShiftRepository(Repository[Shift]):
    model = Shift

    async def open_on(self, device_id: str) -> Shift | None:
        return await self.find_one(device_id=device_id, status="open")

    async def book(self, device_id: str, amounts: Mapping[str, int]) -> Shift | None:
        """Add to the totals of the device's open shift; None where none is open."""
        return await self.change({"$inc": dict(amounts)}, device_id=device_id, status="open")

    def key(self, shift_id: str) -> str:
        return scoped_id(self.tenant_id, str(self.store_id), shift_id)


class ZCounterRepository(Repository[ZCounter]):
    model = ZCounter
