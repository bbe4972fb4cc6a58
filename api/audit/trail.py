"""A tenant's trail as it stands in the database: what the verifier reads (R45).

Nothing is parsed into documents here, for whatever was tampered with has to be seen as it is.
"""

from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from typing import Any

from api.audit.models import Anchor, AnchorHead, AuditHead, AuditRow, Checkpoint
from api.platform.uow import Work

Row = dict[str, Any]
BATCH = 200
"""Rows a step: some milliseconds of the event loop."""
Z_REPORTS = "z_reports"
"""Shifts stand above this domain: their Z reports are read as rows."""
TENANTS = "tenants"


def name_of(model: Any) -> str:
    """A document class's collection."""
    return str(model.__collection__)


async def tenants(work: Work) -> list[str]:
    """Everybody who has a trail, had one or should have one: for the operator's command and the
    nightly job, which nobody's token confines. What follows is confined to each of them."""
    found: set[Any] = set()
    names = [name_of(model) for model in (AuditHead, AuditRow, AnchorHead, Anchor, Checkpoint)]
    for name in (*names, Z_REPORTS, TENANTS):
        found.update(await work.collection(name).distinct("tenant_id"))
    return sorted(each for each in found if isinstance(each, str))


@dataclass(frozen=True, slots=True)
class Trail:
    """A tenant's trail, of all its stores or of one, as `work` sees it."""

    work: Work
    tenant_id: str
    store_id: str | None = None

    async def stores(self) -> list[Any]:
        """The stores that have rows, heads or checkpoints, odd values too, and those whose Z
        reports say that there were some."""
        if self.store_id is not None:
            return [self.store_id]
        names = (*map(name_of, (AuditRow, AuditHead, Checkpoint)), Z_REPORTS)
        return _unlike([await self._distinct(name, "store_id") for name in names])

    async def chains(self, store_id: Any) -> list[Any]:
        """The chains of a store that have rows, a head or a checkpoint, odd values too, and those
        that a Z report vouches for."""
        here = {"store_id": {"$eq": store_id}}
        keys = ((AuditRow, "chain"), (AuditHead, "_id"), (Checkpoint, "_id"))
        found = [await self._distinct(name_of(model), key, **here) for model, key in keys]
        vouched = {"report.audit": {"$type": "object"}, **here}
        devices = await self._distinct(Z_REPORTS, "device_id", **vouched)
        found.append([f"{self.tenant_id}:{store_id}:{each}" for each in devices])
        return _unlike(found)

    async def rows(self, chain: str) -> AsyncIterator[Row]:
        """A chain's rows by their numbers; what is no number comes first or last."""
        cursor = self._find(AuditRow, **_of(chain)).sort([("seq", 1), ("_id", 1)])
        cursor = cursor.allow_disk_use(True).batch_size(BATCH)
        while page := await cursor.to_list(BATCH):
            for row in page:
                yield row

    async def some(self, chain: str, **which: Any) -> list[Row]:
        """A few rows of a chain: evidence where it is broken."""
        equal = {name: {"$eq": value} for name, value in which.items()}
        cursor = self._find(AuditRow, **_of(chain), **equal).sort([("seq", 1), ("_id", 1)])
        found: list[Row] = await cursor.limit(5).to_list(5)
        return found

    async def by_id(self, row_id: str) -> Row | None:
        """A row wherever it stands now: its tenant or store may be what was changed. The id is
        one of the trail's own."""
        found: Row | None = await self._collection(AuditRow).find_one(
            {"_id": row_id}, session=self.work.session
        )
        return found

    async def stray(self, store_id: Any, chain: Any) -> Row | None:
        """A row under a chain that cannot be one of the store's."""
        return await self._one(AuditRow, store_id={"$eq": store_id}, chain={"$eq": chain})

    async def head(self, chain: str) -> Row | None:
        tenant_id, store_id, _ = chain.split(":", 2)
        return await self._one(AuditHead, _id=chain, tenant_id=tenant_id, store_id=store_id)

    async def checkpoint(self, chain: str) -> Row | None:
        tenant_id, store_id, _ = chain.split(":", 2)
        return await self._one(Checkpoint, _id=chain, tenant_id=tenant_id, store_id=store_id)

    async def removed(self) -> dict[str, Any]:
        """Each chain's number of removed rows, as its checkpoint has it."""
        stores = {} if self.store_id is None else {"store_id": self.store_id}
        cursor = self._find(Checkpoint, **stores)
        return {str(row["_id"]): row.get("seq") async for row in cursor}

    async def z_reports(self, chain: str, beyond: int) -> list[Row]:
        """The newest Z reports of a chain's device that know a row behind number `beyond`."""
        tenant_id, store_id, device_id = chain.split(":", 2)
        which = {
            "tenant_id": tenant_id,
            "store_id": store_id,
            "device_id": device_id,
            "report.audit.seq": {"$gt": beyond},
        }
        cursor = self.work.collection(Z_REPORTS).find(
            which, {"report": 1}, session=self.work.session
        )
        found: list[Row] = await cursor.sort("chain_seq", -1).limit(5).to_list(5)
        return [row["report"] for row in found]

    async def anchors(self) -> AsyncIterator[Row]:
        """All anchors of the tenant by their numbers."""
        cursor = self._find(Anchor).sort([("number", 1), ("_id", 1)])
        async for anchor in cursor.allow_disk_use(True).batch_size(4):
            yield anchor

    async def anchor_head(self) -> Row | None:
        return await self._one(AnchorHead, _id=self.tenant_id)

    def _collection(self, model: Any) -> Any:
        return self.work.collection(name_of(model))

    def _find(self, model: Any, **which: Any) -> Any:
        which.setdefault("tenant_id", self.tenant_id)
        return self._collection(model).find(which, session=self.work.session)

    async def _one(self, model: Any, **which: Any) -> Row | None:
        found: list[Row] = await self._find(model, **which).limit(1).to_list(1)
        return found[0] if found else None

    async def _distinct(self, name: str, field: str, **which: Any) -> list[Any]:
        which["tenant_id"] = self.tenant_id
        found: list[Any] = await self.work.collection(name).distinct(
            field, which, session=self.work.session
        )
        return found


def _unlike(values: Iterable[Iterable[Any]]) -> list[Any]:
    """Each value once, whatever it is, in one order."""
    found = {repr(each): each for some in values for each in some}
    return [found[key] for key in sorted(found)]


def _of(chain: str) -> Row:
    """Tenant, store and chain as the chain's key names them."""
    tenant_id, store_id, _ = chain.split(":", 2)
    return {"tenant_id": tenant_id, "store_id": store_id, "chain": chain}
