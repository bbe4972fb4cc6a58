"""Queries on the audit trail. Rows are read as they stand: one that was tampered with must not
hide the others."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from pymongo import DESCENDING

from api.audit.models import (
    Anchor,
    AnchorHead,
    AuditHead,
    AuditRow,
    Checkpoint,
    RefusalCount,
)
from api.platform.repository import Repository, not_ours, read_cursor, write_cursor

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Chosen:
    """Which rows a list has; `event_type` is one, or what stands before a dot. From `since` on,
    and before `until`."""

    event_type: str | None = None
    actor_id: str | None = None
    device_id: str | None = None
    entity_id: str | None = None
    since: datetime | None = None
    until: datetime | None = None


class AuditRepository(Repository[AuditRow]):
    model = AuditRow

    async def conditions(self, chosen: Chosen) -> dict[str, Any]:
        """The filter of a list. What stands before a dot becomes the event types that there are,
        so that each is read from its index in the order of time."""
        named = {
            "actor_id": chosen.actor_id,
            "device_id": chosen.device_id,
            "entity_id": chosen.entity_id,
        }
        found: dict[str, Any] = {name: value for name, value in named.items() if value is not None}
        if chosen.event_type is not None:
            found["event_type"] = {"$in": await self._types(chosen.event_type)}
        times = {"$gte": chosen.since, "$lt": chosen.until}
        if limits := {name: moment for name, moment in times.items() if moment is not None}:
            found["ts"] = limits
        return found

    async def _types(self, named: str) -> list[str]:
        # "/" is the character behind ".".
        below = {"$gte": f"{named}.", "$lt": f"{named}/"}
        found = await self._collection.distinct(
            "event_type", self.where(event_type=below), session=self.work.session
        )
        return [named, *found]

    async def about(self, entity_ids: Collection[str], limit: int) -> list[Row]:
        """The newest rows about any of these."""
        which = self.where(entity_id={"$in": sorted(entity_ids)})
        found = self._collection.find(which, session=self.work.session)
        rows: list[Row] = await found.sort("ts", DESCENDING).limit(limit).to_list(limit)
        return rows

    async def newest(
        self, limit: int, cursor: str | None, conditions: Mapping[str, Any]
    ) -> tuple[list[Row], str | None]:
        """(rows newest first, cursor of the next page). Raises E_VALIDATION for a cursor that is
        not ours."""
        which: dict[str, Any] = dict(conditions)
        if cursor is not None:
            ts, row_id = _read_moment(cursor)
            which["ts"] = {**which.get("ts", {}), "$lte": ts}
            which["$or"] = [{"ts": {"$lt": ts}}, {"_id": {"$lt": row_id}}]
        found = self._collection.find(self.where(**which), session=self.work.session)
        found = found.sort([("ts", DESCENDING), ("_id", DESCENDING)]).limit(limit + 1)
        rows: list[Row] = await found.to_list(limit + 1)
        if len(rows) <= limit or not isinstance(rows[limit - 1].get("ts"), datetime):
            return rows[:limit], None  # a time that was made something else ends the list
        last = rows[limit - 1]
        ms = (last["ts"] - _EPOCH) // timedelta(milliseconds=1)
        return rows[:limit], write_cursor(f"{ms}.{last['_id']}")


def _read_moment(cursor: str) -> tuple[datetime, str]:
    ms, _, row_id = read_cursor(cursor).partition(".")
    try:
        return _EPOCH + timedelta(milliseconds=int(ms)), row_id
    except (ValueError, OverflowError):
        raise not_ours() from None


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class AuditHeadRepository(Repository[AuditHead]):
    model = AuditHead


class AnchorRepository(Repository[Anchor]):
    model = Anchor

    async def newest(self, limit: int, cursor: str | None) -> tuple[list[Row], str | None]:
        """(anchors newest first, cursor of the next page). Raises E_VALIDATION."""
        which = {} if cursor is None else {"_id": {"$lt": read_cursor(cursor)}}
        found = self._collection.find(self.where(**which), session=self.work.session)
        rows: list[Row] = await found.sort("_id", DESCENDING).limit(limit + 1).to_list(limit + 1)
        more = len(rows) > limit
        return rows[:limit], write_cursor(str(rows[limit - 1]["_id"])) if more else None


class AnchorHeadRepository(Repository[AnchorHead]):
    model = AnchorHead


class CheckpointRepository(Repository[Checkpoint]):
    model = Checkpoint

    async def move(self, chain: str, known: Checkpoint | None, told: dict[str, Any]) -> None:
        """Make a chain's checkpoint, or put it over rows that go in the same transaction."""
        if known is None:
            first = Checkpoint(
                id=chain, tenant_id=self.tenant_id, store_id=str(self.store_id), **told
            )
            await self.insert(first)
        else:
            await self.update_one({"$set": told}, _id=chain, seq=known.seq)


class RefusalRepository(Repository[RefusalCount]):
    model = RefusalCount
