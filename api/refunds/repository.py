"""Queries on refunds, voids and reprints, and the counters that limit reprints."""

from dataclasses import dataclass
from datetime import date
from typing import Any

from api.platform.documents import scoped_id
from api.platform.repository import Repository
from api.receipts.models import Counter
from api.refunds.models import Refund, Reprint, VoidedSale


@dataclass(frozen=True, slots=True)
class Which:
    """Which rows a list has; days are trading days, both included (R30)."""

    sale_id: str | None = None
    device_id: str | None = None
    from_date: date | None = None
    to_date: date | None = None

    def conditions(self) -> dict[str, Any]:
        days = {}
        if self.from_date:
            days["$gte"] = self.from_date.isoformat()
        if self.to_date:
            days["$lte"] = self.to_date.isoformat()
        found = {"sale_id": self.sale_id, "device_id": self.device_id, "business_date": days}
        return {name: value for name, value in found.items() if value}


class RefundRepository(Repository[Refund]):
    model = Refund


class VoidRepository(Repository[VoidedSale]):
    model = VoidedSale


class ReprintRepository(Repository[Reprint]):
    model = Reprint


class ReprintCounter(Repository[Counter]):
    model = Counter

    async def count(self, whose: str, day: date) -> int:
        """Count one more reprint of a device or employee on a trading day: how many it makes.
        Two who count at once follow each other: the later one's transaction starts again."""
        name = f"reprints:{whose}:{day.isoformat()}"
        counter = await self.change(
            {"$inc": {"value": 1}},
            upsert=True,
            _id=scoped_id(self.tenant_id, str(self.store_id), name),
        )
        return counter.value if counter else 1
