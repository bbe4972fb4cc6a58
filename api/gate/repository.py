"""Which tickets stand on a gate's list, read without the document's model (R21, R55)."""

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any

from api.gate.entries import ADMITTING, FIELDS
from api.platform.repository import Repository
from api.tickets.models import Ticket

BATCH = 1_000
MOST_CHANGES = 20_000
"""A delta of more than this is the whole list."""
DENIED_FOR = timedelta(days=4)
"""How long a ticket is named that admits no more: longer than an offline till's may admit while its
sale has not arrived (R22)."""
Found = dict[str, Any]


class ListedTickets(Repository[Ticket]):
    model = Ticket

    async def in_force(self, now: datetime) -> AsyncIterator[list[Found]]:
        """Batches of all tickets whose validity is not over, but for those that have admitted
        nobody for long."""
        lately = {"updated_at": {"$gt": now - DENIED_FOR}}
        admitting = {"status": {"$in": sorted(ADMITTING)}}
        async for batch in self._batches(valid_to={"$gt": now}, **{"$or": [admitting, lately]}):
            yield batch

    async def changed(self, after: datetime) -> list[Found] | None:
        """The tickets that were changed after a moment; None for too many."""
        return await self._few(updated_at={"$gt": after})

    async def beginning(self, after: datetime, until: datetime) -> list[Found] | None:
        """The tickets whose validity begins after one moment and until another; None for too
        many."""
        return await self._few(valid_from={"$gt": after, "$lte": until})

    async def _few(self, **conditions: Any) -> list[Found] | None:
        found: list[Found] = []
        async for batch in self._batches(**conditions):
            found += batch
            if len(found) > MOST_CHANGES:
                return None
        return found

    async def _batches(self, **conditions: Any) -> AsyncIterator[list[Found]]:
        query = self.where(**conditions)
        cursor = self._collection.find(query, {"_id": 0, **dict.fromkeys(FIELDS, 1)})
        cursor = cursor.batch_size(BATCH)
        while batch := await cursor.to_list(BATCH):
            yield batch
