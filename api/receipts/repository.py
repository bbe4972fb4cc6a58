"""Queries on receipt numbers and counters."""

from typing import Any

from api.platform.documents import scoped_id
from api.platform.repository import Repository
from api.receipts.models import Counter, LedgerEntry, LedgerState


class LedgerRepository(Repository[LedgerEntry]):
    model = LedgerEntry

    async def enter(self, receipt_no: str, device_id: str, op_id: str) -> LedgerEntry:
        """The row of a number: made now, or the one that stands there already."""
        return await self._enter(receipt_no, device_id, op_id, LedgerState.APPLIED, {})

    async def abandon(self, receipt_no: str, device_id: str, op_id: str, *, by: str) -> LedgerEntry:
        """The row of a number that is given up: made now, or the one that stands there."""
        told = {"$addToSet": {"abandoned_by": by}}
        return await self._enter(receipt_no, device_id, op_id, LedgerState.ABANDONED, told)

    async def dead_letter(self, receipt_no: str, device_id: str, op_id: str) -> None:
        """The number is on paper, and its operation waits for a person: one that something stands
        under stays as it is."""
        await self._enter(receipt_no, device_id, op_id, LedgerState.DEAD_LETTERED, {})
        waits = {"$set": {"state": LedgerState.DEAD_LETTERED.value}}
        given_up = {"op_id": op_id, "state": LedgerState.ABANDONED.value}
        await self.update_one(waits, _id=self.key(receipt_no), **given_up)

    async def _enter(
        self,
        receipt_no: str,
        device_id: str,
        op_id: str,
        state: LedgerState,
        told: dict[str, Any],
    ) -> LedgerEntry:
        first = {
            "receipt_no": receipt_no,
            "device_id": device_id,
            "op_id": op_id,
            "state": state.value,
        }
        key = self.key(receipt_no)
        entry = await self.change({**told, "$setOnInsert": first}, upsert=True, _id=key)
        return entry or self._entry(receipt_no, device_id, op_id)

    async def add(self, receipt_no: str, device_id: str, op_id: str) -> None:
        """Enter a number that the server has just made, so that nobody can hold it."""
        await self.insert(self._entry(receipt_no, device_id, op_id))

    async def revive(self, receipt_no: str, op_id: str) -> None:
        """The operation whose number was given up, or waited for a person, is booked after all."""
        await self.update_one(
            {"$set": {"state": LedgerState.APPLIED.value}}, _id=self.key(receipt_no), op_id=op_id
        )

    async def highest(self, prefix: str) -> int:
        """The highest number of a series, such as `03-S`; 0 where it has none."""
        first = self.key(prefix)
        # Numbers of six digits may begin with 0, longer ones do not and sort between the others: so
        # all that is beyond 99 999 is looked through, and of the rest the last is the highest.
        beyond = {"$gte": f"{first}1", "$lt": f"{first}:"}
        digits = {"$substrBytes": ["$receipt_no", len(prefix), 9]}
        found = self._collection.aggregate(
            [
                {"$match": self.where(_id=beyond)},
                {"$group": {"_id": None, "highest": {"$max": {"$toLong": digits}}}},
            ],
            session=self.work.session,
        )
        for row in await found.to_list(1):
            return int(row["highest"])
        last = await self.find(
            descending=True, limit=1, _id={"$gte": f"{first}0", "$lt": f"{first}1"}
        )
        return int(last[0].receipt_no[len(prefix) :]) if last else 0

    def key(self, receipt_no: str) -> str:
        return scoped_id(self.tenant_id, str(self.store_id), receipt_no)

    def _entry(self, receipt_no: str, device_id: str, op_id: str) -> LedgerEntry:
        return LedgerEntry(
            id=self.key(receipt_no),
            tenant_id=self.tenant_id,
            store_id=str(self.store_id),
            receipt_no=receipt_no,
            device_id=device_id,
            op_id=op_id,
        )


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
