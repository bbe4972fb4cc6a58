"""Counts of tries: reserved by one conditional statement each, so that parallel tries cannot outrun
a limit (R41)."""

from datetime import timedelta
from typing import Any, TypeVar

from pymongo.errors import DuplicateKeyError
from pymongo.write_concern import WriteConcern

from api.identity.models import Budget, PinAttempts
from api.platform.documents import Model
from api.platform.repository import Repository

FREE_ATTEMPTS = 5
FIRST_LOCK, MAX_DOUBLINGS = timedelta(seconds=30), 6
D = TypeVar("D", bound=Model)


class Tallies(Repository[D]):
    """Counts outside transactions, one statement each.

    The primary's memory is enough for them: a storm of guesses must not make everybody's commits
    wait for the disk. A crash may forget the last few.
    """

    async def _count(
        self, entry_id: str, free: dict[str, Any], counted: list[dict[str, Any]]
    ) -> bool:
        """Change or make an entry where `free` holds; False where it does not."""
        for _ in range(2):  # two first ones may collide; the second time the entry is there
            try:
                await self._quick.update_one(self.where(_id=entry_id, **free), counted, upsert=True)
            except DuplicateKeyError:
                continue  # the entry is there and, the second time, `free` does not hold
            return True
        return False

    async def _take_back(self, entry_id: str, field: str, **changes: Any) -> None:
        update = {"$inc": {field: -1}, "$set": changes}
        entry = self.where(_id=entry_id, **{field: {"$gt": 0}})
        await self._quick.update_one(entry, self._stamped(update))

    @property
    def _quick(self) -> Any:
        return self._collection.with_options(write_concern=WriteConcern(w=1, j=False))


class PinAttemptsRepository(Tallies[PinAttempts]):
    model = PinAttempts

    async def reserve(self, key: str) -> bool:
        """Count one attempt before it is evaluated; False while locked (R41).

        Counting and locking are one statement, so that parallel guesses cannot outrun the lock.
        """
        failed = {"$add": [{"$ifNull": ["$failed", 0]}, 1]}
        over = {"$min": [{"$subtract": ["$failed", FREE_ATTEMPTS]}, MAX_DOUBLINGS]}
        lock_ms = {"$multiply": [FIRST_LOCK // timedelta(milliseconds=1), {"$pow": [2, over]}]}
        locked = {
            "$cond": [
                {"$gte": ["$failed", FREE_ATTEMPTS]},
                {"$add": [self.work.now, {"$toLong": lock_ms}]},
                None,
            ]
        }
        now = self.work.now
        free = {"$or": [{"locked_until": None}, {"locked_until": {"$lte": now}}]}
        made = {"$ifNull": ["$created_at", now]}
        counted: list[dict[str, Any]] = [
            {"$set": {"failed": failed, "updated_at": now, "created_at": made}},
            {"$set": {"locked_until": locked}},
        ]
        return await self._count(key, free, counted)

    async def give_back(self, key: str) -> None:
        """The attempt that was counted last was not judged, or was half of a right one."""
        await self._take_back(key, "failed", locked_until=None)

    async def locked_for(self, key: str) -> float:
        """Seconds until the lock opens."""
        entry = await self.find_one(_id=key)
        until = entry.locked_until if entry and entry.locked_until else self.work.now
        return max(1.0, (until - self.work.now).total_seconds())

    async def forget(self, key: str) -> None:
        """The right PIN starts the count again."""
        await self.update_one({"$set": {"failed": 0, "locked_until": None}}, _id=key)


class BudgetRepository(Tallies[Budget]):
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
        return await self._count(entry_id, free, counted)

    async def give_back(self, entry_id: str) -> None:
        """Count one less."""
        await self._take_back(entry_id, "used")
