"""Queries on shifts, cash movements and the Z chain."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from api.platform.documents import scoped_id
from api.platform.repository import Repository
from api.shifts.models import CashMovement, Shift, ZCounter, ZLink
from playpark.cash import FIRST_HASH
from playpark.contracts.shifts import ShiftStatus
from playpark.errors import ErrorCode, PlayParkError

MOST = 1_000
"""Movements or reports of one shift that are told at once."""


@dataclass(frozen=True, slots=True)
class ShiftFilter:
    """Which shifts a list has; days are trading days, both included (R30)."""

    device_id: str | None = None
    status: ShiftStatus | None = None
    from_date: date | None = None
    to_date: date | None = None

    def conditions(self) -> dict[str, Any]:
        days = {}
        if self.from_date:
            days["$gte"] = self.from_date.isoformat()
        if self.to_date:
            days["$lte"] = self.to_date.isoformat()
        found = {"device_id": self.device_id, "status": self.status, "business_date": days}
        return {name: value for name, value in found.items() if value}


class ShiftRepository(Repository[Shift]):
    model = Shift

    async def open_on(self, device_id: str, shift_id: str | None = None) -> Shift | None:
        """The device's open shift, if it is the one that is named."""
        return await self.find_one(device_id=device_id, status="open", **_named(shift_id))

    async def get(self, shift_id: str) -> Shift | None:
        return await self.find_one(_id=self.key(shift_id))

    async def add(
        self, device_id: str, shift_id: str | None, increments: Mapping[str, int]
    ) -> Shift | None:
        """Add to the totals of the device's open shift and return it as it is then; None where
        none is open, or not the one that is named."""
        added = {"$inc": dict(increments)} if increments else {}
        return await self.change(added, device_id=device_id, status="open", **_named(shift_id))

    async def close(
        self, device_id: str, shift_id: str | None, changes: Mapping[str, Any]
    ) -> Shift | None:
        """Close the device's open shift. What is returned holds its last totals: nobody adds to
        them once this transaction commits. None as for `add`."""
        closed = {"$set": {**changes, "status": "closed"}}
        return await self.change(closed, device_id=device_id, status="open", **_named(shift_id))

    async def newest(
        self, limit: int, cursor: str | None, which: ShiftFilter
    ) -> tuple[list[Shift], str | None]:
        """(shifts by the time they were opened, latest first; cursor of the next page), the
        cursor being the last shift's id. Raises E_VALIDATION for one that is not ours."""
        conditions = which.conditions()
        if cursor is not None:
            last = await self.get(cursor)
            if last is None:
                message = "The cursor is not one of ours: send next_cursor as it came, or none."
                raise PlayParkError(ErrorCode.VALIDATION, message)
            conditions["$or"] = [
                {"open_at": {"$lt": last.open_at}},
                {"open_at": last.open_at, "shift_id": {"$lt": last.shift_id}},
            ]
        found = self._collection.find(self.where(**conditions), session=self.work.session)
        found = found.sort([("open_at", -1), ("shift_id", -1)]).limit(limit + 1)
        shifts = [self._parse_some(each) for each in await found.to_list(limit + 1)]
        more = len(shifts) > limit
        return shifts[:limit], shifts[limit - 1].shift_id if more else None

    def key(self, shift_id: str) -> str:
        return scoped_id(self.tenant_id, str(self.store_id), shift_id)


def _named(shift_id: str | None) -> dict[str, Any]:
    return {"shift_id": shift_id} if shift_id else {}


class MovementRepository(Repository[CashMovement]):
    model = CashMovement

    async def of_drawer(self, drawer_id: str) -> list[CashMovement]:
        return await self.find(sort="occurred_at", limit=MOST, drawer_id=drawer_id)


class ZRepository(Repository[ZLink]):
    model = ZLink

    async def of_shift(self, shift_id: str, *, after: int = 0, limit: int = MOST) -> list[ZLink]:
        """The links of one shift after number `after` of their chain, in its order."""
        beyond = {"$gt": after}
        return await self.find(sort="chain_seq", limit=limit, shift_id=shift_id, chain_seq=beyond)

    async def last_of(self, shift_id: str, **conditions: Any) -> ZLink | None:
        found = await self.find(
            sort="chain_seq", descending=True, limit=1, shift_id=shift_id, **conditions
        )
        return found[0] if found else None

    async def last_count_of(self, shift_id: str) -> ZLink | None:
        """The link with the latest count of a shift."""
        return await self.last_of(shift_id, **{"report.cash_counted": {"$ne": None}})


class ZCounterRepository(Repository[ZCounter]):
    model = ZCounter

    async def advance(self, device_id: str) -> ZCounter:
        """Lock the head of a device's chain until the transaction ends and return it as it was.
        Two who want to add a link meet here: the later one starts its transaction again."""
        before = await self.change(
            {"$inc": {"chain_seq": 1}, "$setOnInsert": _FIRST},
            before=True,
            upsert=True,
            _id=self._key(device_id),
        )
        return before or ZCounter(
            id=self._key(device_id),
            tenant_id=self.tenant_id,
            store_id=str(self.store_id),
            last_hash=FIRST_HASH,
        )

    async def settle(self, device_id: str, chain_seq: int, changes: Mapping[str, Any]) -> None:
        """Put the new head in place, after `advance` in the same transaction."""
        await self.update_one({"$set": changes}, _id=self._key(device_id), chain_seq=chain_seq)

    async def head(self, device_id: str) -> ZCounter | None:
        return await self.find_one(_id=self._key(device_id))

    def _key(self, device_id: str) -> str:
        return scoped_id(self.tenant_id, str(self.store_id), device_id)


_FIRST = {"z_no": 0, "grand_sales": 0, "grand_refunds": 0, "last_hash": FIRST_HASH}
