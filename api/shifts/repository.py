"""Queries on shifts."""

from collections.abc import Mapping
from typing import Any

from api.platform.documents import scoped_id
from api.platform.repository import Repository
from api.shifts.models import Shift, ZCounter


class ShiftRepository(Repository[Shift]):
    model = Shift

    async def open_on(self, device_id: str, shift_id: str | None = None) -> Shift | None:
        """The device's open shift, if it is the one that is named."""
        named = {"shift_id": shift_id} if shift_id else {}
        return await self.find_one(device_id=device_id, status="open", **named)

    async def book(
        self, device_id: str, shift_id: str | None, amounts: Mapping[str, int]
    ) -> Shift | None:
        """Add to the totals of the device's open shift; None where the named one is not open."""
        named: dict[str, Any] = {"shift_id": shift_id} if shift_id else {}
        increments = {"$inc": dict(amounts)}
        return await self.change(increments, device_id=device_id, status="open", **named)

    def key(self, shift_id: str) -> str:
        return scoped_id(self.tenant_id, str(self.store_id), shift_id)


class ZCounterRepository(Repository[ZCounter]):
    model = ZCounter
