"""How often something may be tried in a while: reserved before it is judged, by one statement, so
that parallel tries cannot outrun the limit (R41).

A budget belongs to a key of a tenant and store; what belongs to none (an address) has `NOBODY` for
both. Entries vanish with their window.
"""

from datetime import timedelta
from typing import Any

from pymongo.errors import DuplicateKeyError

from api.identity.models import Budget
from api.platform.documents import scoped_id
from api.platform.envelope import client
from api.platform.repository import Repository
from api.platform.uow import Work

NOBODY = "*"


class BudgetRepository(Repository[Budget]):
    model = Budget

    async def reserve(self, entry_id: str, limit: int, window: timedelta) -> bool:
        """Count one more; False where `limit` are counted in a window that is still open."""
        now = self.work.now
        open_until = {"$ifNull": ["$resets_at", now]}
        over = {"$lte": [open_until, now]}
        counted = [
            {
                "$set": {
                    "used": {"$cond": [over, 1, {"$add": ["$used", 1]}]},
                    "resets_at": {"$cond": [over, now + window, open_until]},
                    "created_at": {"$ifNull": ["$created_at", now]},
                    "updated_at": now,
                }
            }
        ]
        free: dict[str, Any] = {"$or": [{"used": {"$lt": limit}}, {"resets_at": {"$lte": now}}]}
        for _ in range(2):  # two first ones may collide; the second time the entry is there
            try:
                await self._collection.update_one(
                    self.where(_id=entry_id, **free),
                    counted,
                    upsert=True,
                    session=self.work.session,
                )
            except DuplicateKeyError:
                continue
            return True
        return False


async def reserve(
    work: Work, tenant_id: str, store_id: str, key: str, *, limit: int, window: timedelta
) -> bool:
    """Take one of `limit` tries in `window`; False where none is left. Not inside a transaction:
    it has to outlive one that fails."""
    entries = BudgetRepository(work, tenant_id, store_id)
    return await entries.reserve(scoped_id(tenant_id, store_id, key), limit, window)


async def give_back(work: Work, tenant_id: str, store_id: str, key: str) -> None:
    """The try was a right one, or none at all: it does not count."""
    entries = BudgetRepository(work, tenant_id, store_id)
    entry_id = scoped_id(tenant_id, store_id, key)
    await entries.update_one({"$inc": {"used": -1}}, _id=entry_id, used={"$gt": 0})


async def opens_in(work: Work, tenant_id: str, store_id: str, key: str) -> float:
    """Seconds until the window is over and all tries are there again."""
    entries = BudgetRepository(work, tenant_id, store_id)
    entry = await entries.find_one(_id=scoped_id(tenant_id, store_id, key))
    return max(1.0, (entry.resets_at - work.now).total_seconds()) if entry else 1.0


def address_key(purpose: str) -> str:
    """The key of the address that the request at hand comes from."""
    return f"{purpose}:{client.get().network}"
