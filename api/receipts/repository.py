"""Queries on receipt numbers and counters."""

from api.platform.documents import scoped_id
from api.platform.repository import Repository
from api.receipts.models import Counter, LedgerEntry


class LedgerRepository(Repository[LedgerEntry]):
    model = LedgerEntry

    async def take(self, receipt_no: str, device_id: str, op_id: str) -> bool:
        """Enter a number into the ledger; False where another operation holds it already."""
        entry = await self.change(
            {
                "$setOnInsert": {
                    "receipt_no": receipt_no,
                    "device_id": device_id,
                    "op_id": op_id,
                    "state": "applied",
                }
            },
            upsert=True,
            _id=scoped_id(self.tenant_id, str(self.store_id), receipt_no),
        )
        return entry is not None and entry.op_id == op_id


class CounterRepository(Repository[Counter]):
    model = Counter

    async def advance(self, name: str) -> int:
        """The next number, counted from 1."""
        counter = await self.change(
            {"$inc": {"value": 1}},
            upsert=True,
            _id=scoped_id(self.tenant_id, str(self.store_id), name),
        )
        return counter.value if counter else 1
