"""Queries on sales and payments."""

from dataclasses import dataclass
from datetime import date
from typing import Any

from api.platform.repository import Repository
from api.sales.models import Payment, Sale, TrainingSale
from playpark.contracts.pricing import PaymentMethod
from playpark.contracts.sales import PaymentStatus, SaleStatus


def _days(from_date: date | None, to_date: date | None) -> dict[str, str]:
    """Trading days, both included (R30)."""
    days = {}
    if from_date:
        days["$gte"] = from_date.isoformat()
    if to_date:
        days["$lte"] = to_date.isoformat()
    return days


@dataclass(frozen=True, slots=True)
class SaleFilter:
    """Which sales a list has."""

    receipt_no: str | None = None
    shift_id: str | None = None
    device_id: str | None = None
    status: SaleStatus | None = None
    from_date: date | None = None
    to_date: date | None = None

    def conditions(self) -> dict[str, Any]:
        found = {
            "receipt_no": self.receipt_no,
            "shift_id": self.shift_id,
            "device_id": self.device_id,
            "status": self.status,
            "business_date": _days(self.from_date, self.to_date),
        }
        return {name: value for name, value in found.items() if value}


@dataclass(frozen=True, slots=True)
class PaymentFilter:
    """Which payments a list has."""

    sale_id: str | None = None
    shift_id: str | None = None
    device_id: str | None = None
    method: PaymentMethod | None = None
    status: PaymentStatus | None = None
    from_date: date | None = None
    to_date: date | None = None

    def conditions(self) -> dict[str, Any]:
        found = {
            "sale_id": self.sale_id,
            "shift_id": self.shift_id,
            "device_id": self.device_id,
            "method": self.method,
            "status": self.status,
            "business_date": _days(self.from_date, self.to_date),
        }
        return {name: value for name, value in found.items() if value}


class SaleRepository(Repository[Sale]):
    model = Sale

    async def newest(
        self, limit: int, cursor: str | None, which: SaleFilter
    ) -> tuple[list[Sale], str | None]:
        """A page of these sales, newest first."""
        return await self.page(limit, cursor, **which.conditions())

    async def of_customer(self, customer_id: str, limit: int) -> list[Sale]:
        """A customer's latest sales."""
        return await self.find(limit=limit, descending=True, customer_id=customer_id)

    async def spent(self, customer_id: str) -> int:
        """What a customer has paid in this store and was not given back, satang."""
        kept = {"$subtract": ["$grand_total", "$refunded"]}
        which = self.where(customer_id=customer_id, status={"$ne": SaleStatus.VOIDED.value})
        cursor = self._collection.aggregate(
            [{"$match": which}, {"$group": {"_id": None, "spent": {"$sum": kept}}}],
            session=self.work.session,
        )
        found = await cursor.to_list(1)
        return int(found[0]["spent"]) if found else 0


class PaymentRepository(Repository[Payment]):
    model = Payment

    async def newest(
        self, limit: int, cursor: str | None, which: PaymentFilter
    ) -> tuple[list[Payment], str | None]:
        """A page of these payments, newest first."""
        return await self.page(limit, cursor, **which.conditions())


class TrainingRepository(Repository[TrainingSale]):
    model = TrainingSale
