"""Queries of the reports: rows of other domains' books, light and in pages; results.

A day may have 20,000 sales, so rows are plain dictionaries of the fields that are asked for, and
never more than a page of them at once.
"""

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import Enum
from functools import cache
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from api.identity.models import Store
from api.identity.repository import StoreRepository
from api.platform.documents import scoped_id
from api.platform.repository import Repository
from api.platform.scope import Scope
from api.platform.uow import Work
from api.reports.models import StoredReconciliation
from api.tickets.models import Ticket
from playpark.errors import ErrorCode, PlayParkError

Row = dict[str, Any]
PAGE = 100
"""Sales with all that hangs on them: a page is a few milliseconds of the event loop."""
IDS = 1_000


class Books:
    """Reading one store's books."""

    def __init__(self, work: Work, tenant_id: str, store_id: str) -> None:
        self.work, self.tenant_id, self.store_id = work, tenant_id, store_id
        self.documents = 0
        self.unreadable: dict[tuple[str, str], str] = {}
        """Rows that lack fields, by collection and id: they are told, and left out."""

    def key(self, *parts: str) -> str:
        """A compound id of this store (R16)."""
        return scoped_id(self.tenant_id, self.store_id, *parts)

    async def find(
        self, model: Any, fields: Sequence[str], *, sort: str = "_id", limit: int = 0, **where: Any
    ) -> list[Row]:
        """Rows of `fields` and `_id`, in the order of `sort`."""
        return self._whole(model, fields, await self._read(model, fields, sort, limit, where))

    async def pages(
        self, model: Any, fields: Sequence[str], *, size: int = PAGE, **where: Any
    ) -> AsyncIterator[list[Row]]:
        """All rows in the order of their ids, a page at a time."""
        where.setdefault("_id", {"$gt": ""})
        while found := await self._read(model, fields, "_id", size, where):
            yield self._whole(model, fields, found)
            if len(found) < size:
                return
            where["_id"] = {**where["_id"], "$gt": found[-1]["_id"]}

    async def _read(
        self, model: Any, fields: Sequence[str], sort: str, limit: int, where: Mapping[str, Any]
    ) -> list[Row]:
        cursor = self._collection(model).find(
            self._where(where), dict.fromkeys(fields, 1), session=self.work.session
        )
        found: list[Row] = await cursor.sort([(sort, 1), ("_id", 1)]).limit(limit).to_list(None)
        self.documents += len(found)
        return found

    def _whole(self, model: Any, fields: Sequence[str], found: list[Row]) -> list[Row]:
        """The rows whose fields are there and of their kinds."""
        kinds = _kinds(model, tuple(fields))
        whole = []
        for row in found:
            for name, kind in kinds:
                value = row.get(name, _ABSENT)
                if not isinstance(value, kind) or (value is True or value is False):
                    told = "missing" if value is _ABSENT else f"a {type(value).__name__}"
                    self.unreadable[model.__collection__, row["_id"]] = f"{name} is {told}"
                    break
            else:
                whole.append(row)
        return whole

    async def by(
        self, model: Any, fields: Sequence[str], field: str, values: Iterable[Any], **where: Any
    ) -> list[Row]:
        """Rows whose `field` is one of `values`."""
        wanted = list(values)
        if not wanted:
            return []
        where[field] = {"$in": wanted}
        return await self.find(model, fields, **where)

    async def existing(self, model: Any, ids: Iterable[str]) -> set[str]:
        """Which of these documents are there."""
        return {row["_id"] for row in await self.by(model, [], "_id", ids)}

    async def count(self, model: Any, **where: Any) -> int:
        found = await self._collection(model).count_documents(
            self._where(where), session=self.work.session
        )
        return int(found)

    async def grouped(self, model: Any, group: Mapping[str, Any], **where: Any) -> list[Row]:
        """One row a group, the group's key as `_id`."""
        pipeline = [{"$match": self._where(where)}, {"$group": dict(group)}, {"$sort": {"_id": 1}}]
        cursor = self._collection(model).aggregate(
            pipeline, session=self.work.session, allowDiskUse=True
        )
        return [row async for row in cursor]

    async def ticket_counts(self, sale_ids: Sequence[str]) -> dict[str, int]:
        """How many tickets each of these sales has."""
        group = {"_id": "$sale_id", "n": {"$sum": 1}}
        whose = {"$in": list(sale_ids)}
        rows = await self.grouped(Ticket, group, sale_id=whose, replaced_by=None)
        return {row["_id"]: row["n"] for row in rows}

    def _collection(self, model: Any) -> Any:
        return self.work.collection(model.__collection__)

    def _where(self, where: Mapping[str, Any]) -> dict[str, Any]:
        return {"tenant_id": self.tenant_id, "store_id": self.store_id, **where}


_ABSENT = object()


@cache
def _kinds(model: Any, fields: tuple[str, ...]) -> list[tuple[str, tuple[type, ...]]]:
    """The top-level fields that are read, and what MongoDB answers them with; no field that is
    read here is a boolean."""
    names = dict.fromkeys(field.partition(".")[0] for field in fields)
    return [(name, _stored_as(model.model_fields[name].annotation)) for name in names]


def _stored_as(annotation: Any) -> tuple[type, ...]:
    origin = get_origin(annotation)
    if origin is Annotated:
        return _stored_as(get_args(annotation)[0])
    if origin in {Union, UnionType}:
        return tuple(kind for each in get_args(annotation) for kind in _stored_as(each))
    kind: type = origin or annotation
    for base, stored in ((Enum, str), (datetime, datetime)):
        if issubclass(kind, base):
            return (stored,)
    return (kind,)


# --- stores and results --------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class StoreRef:
    """A store whose books are to be proved."""

    tenant_id: str
    store_id: str
    name: str
    tz: str
    since: datetime
    """When it was made."""


async def all_stores(work: Work) -> list[StoreRef]:
    """The stores of every tenant: for the operator's command and the nightly job, which nobody's
    token confines. What follows is confined to each of them."""
    cursor = work.collection(Store.__collection__).find(
        {}, {"tenant_id": 1, "name": 1, "tz": 1, "created_at": 1}, session=work.session
    )
    return [
        StoreRef(row["tenant_id"], row["_id"], row["name"], row["tz"], row["created_at"])
        for row in await cursor.sort("_id", 1).to_list(None)
    ]


async def own_store(work: Work, scope: Scope) -> StoreRef:
    """The store of a scope. Raises E_NOT_FOUND."""
    store = await StoreRepository.of(work, scope).find_one(_id=scope.store_id)
    if store is None:
        raise PlayParkError(ErrorCode.NOT_FOUND, "There is no such store.")
    return StoreRef(store.tenant_id, store.id, store.name, store.tz, store.created_at)


class ReconciliationRepository(Repository[StoredReconciliation]):
    model = StoredReconciliation

    async def of_day(self, day: date) -> StoredReconciliation | None:
        return await self.find_one(_id=self.key(day))

    async def days(self, since: date) -> set[date]:
        """The days from `since` on that were checked."""
        wanted = {"$gte": since.isoformat()}
        found = await self._collection.find(
            self.where(business_date=wanted), {"business_date": 1}, session=self.work.session
        ).to_list(None)
        return {date.fromisoformat(row["business_date"]) for row in found}

    async def replace(self, stored: StoredReconciliation) -> int:
        """Put a result in place of the last one; how often the day has been checked now."""
        told = {
            "business_date": stored.business_date,
            "checked_at": stored.checked_at,
            "whole": stored.whole,
            "result": stored.result,
        }
        found = await self.change({"$set": told, "$inc": {"runs": 1}}, upsert=True, _id=stored.id)
        return found.runs if found else 1

    def key(self, day: date) -> str:
        return scoped_id(self.tenant_id, str(self.store_id), day.isoformat())
