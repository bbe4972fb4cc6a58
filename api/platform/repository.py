"""Repositories: every query of a domain, confined to a tenant and a store (R44).

A repository is built from a scope and a unit of work and puts both ids into every filter it
sends; a test listens to the wire and proves that no query leaves without them.
"""

import base64
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Generic, Self, TypeVar

from pymongo import InsertOne, ReturnDocument
from pymongo.errors import BulkWriteError, DuplicateKeyError

from api.platform.documents import Model
from api.platform.scope import Scope
from api.platform.uow import Work
from playpark.errors import ErrorCode, PlayParkError
from playpark.ids import new_ulid

D = TypeVar("D", bound=Model)
MAX_PAGE = 200
DUPLICATE_KEY = 11000
Index = list[tuple[str, int]]
"""The fields of an index, each rising (1) or falling (-1)."""


class Repository(Generic[D]):
    """Queries on one collection. Filters take typed values only, never a client's dictionary."""

    model: ClassVar[type[Any]]

    def __init__(self, work: Work, tenant_id: str, store_id: str | None) -> None:
        self.work = work
        self.tenant_id = tenant_id
        self.store_id = store_id
        self._collection = work.collection(self.model.__collection__)

    @classmethod
    def of(cls, work: Work, scope: Scope) -> Self:
        """The repository of a scope's tenant and store."""
        return cls(work, scope.tenant_id, scope.store_id)

    def where(self, **conditions: Any) -> dict[str, Any]:
        """A filter inside this repository's tenant, and store where the collection has one."""
        confined: dict[str, Any] = {"tenant_id": self.tenant_id}
        if "store_id" in self.model.__odm_fields__:
            confined["store_id"] = self.store_id
        return confined | conditions

    async def insert(self, document: D) -> D:
        """Create; an existing id is a DuplicateKeyError, never an overwrite."""
        await self._collection.insert_one(self._confined(document), session=self.work.session)
        return document

    async def insert_plain(self, *bodies: dict[str, Any]) -> None:
        """`insert` for what people wait for: all fields of the model, put together by hand, which
        spares its checks. The id is in `id`, as in the model."""
        now, confined = self.work.now, self.where()
        stamped = [
            {"_id": body["id"], **body, **confined, "created_at": now, "updated_at": now}
            for body in bodies
        ]
        for body in stamped:
            del body["id"]
        if self.work.later is None:
            await self._insert_all(stamped)
        else:
            self.work.later.setdefault(self.model.__collection__, []).extend(
                map(InsertOne, stamped)
            )

    async def insert_many(self, documents: Sequence[D]) -> None:
        """Create all in one command; an existing id is a DuplicateKeyError."""
        await self._insert_all([self._confined(document) for document in documents])

    async def _insert_all(self, bodies: Sequence[dict[str, Any]]) -> None:
        if not bodies:
            return
        if len(bodies) == 1:
            await self._collection.insert_one(bodies[0], session=self.work.session)
            return
        try:
            await self._collection.insert_many(bodies, session=self.work.session)
        except BulkWriteError as failed:
            errors = (failed.details or {}).get("writeErrors", [])
            if any(error["code"] == DUPLICATE_KEY for error in errors):
                raise DuplicateKeyError("duplicate id", DUPLICATE_KEY) from None
            raise

    async def find_one(self, **conditions: Any) -> D | None:
        found = await self._collection.find_one(self.where(**conditions), session=self.work.session)
        return self._parse(found)

    async def find(
        self, *, sort: str = "_id", limit: int = MAX_PAGE, descending: bool = False,
        hint: Index | None = None, **conditions: Any,
    ) -> list[D]:  # fmt: skip
        """Documents in the order of one field; `hint` names the index to use."""
        cursor = self._collection.find(
            self.where(**conditions), session=self.work.session, hint=hint
        )
        cursor = cursor.sort(sort, -1 if descending else 1).limit(limit)
        return [self._parse_some(found) for found in await cursor.to_list(limit)]

    async def page(
        self, limit: int, cursor: str | None, *, key: str = "_id", hint: Index | None = None,
        **conditions: Any,
    ) -> tuple[list[D], str | None]:  # fmt: skip
        """(documents newest first, cursor of the next page). Ids rise with time, so they are the
        key; raises E_VALIDATION for a cursor that is not ours."""
        if cursor is not None:
            conditions[key] = {"$lt": read_cursor(cursor)}
        found = await self.find(sort=key, descending=True, limit=limit + 1, hint=hint, **conditions)
        more = len(found) > limit
        last = getattr(found[limit - 1], "id" if key == "_id" else key) if more else None
        return found[:limit], write_cursor(str(last)) if more else None

    async def update_one(self, update: Mapping[str, Any], **conditions: Any) -> bool:
        """Change one document where `conditions` hold; False where none matched."""
        result = await self._collection.update_one(
            self.where(**conditions), self._stamped(update), session=self.work.session
        )
        return bool(result.matched_count)

    async def update_many(self, update: Mapping[str, Any], **conditions: Any) -> int:
        result = await self._collection.update_many(
            self.where(**conditions), self._stamped(update), session=self.work.session
        )
        return int(result.matched_count)

    async def change(
        self, update: Mapping[str, Any], *, before: bool = False, upsert: bool = False,
        **conditions: Any,
    ) -> D | None:  # fmt: skip
        """Conditionally change one document; it as it was (`before`) or is, None for no match."""
        update = self._stamped(update)
        if upsert:
            update["$setOnInsert"] = {
                "created_at": self.work.now, **update.get("$setOnInsert", {}),
            }  # fmt: skip
        found = await self._collection.find_one_and_update(
            self.where(**conditions),
            update,
            upsert=upsert,
            return_document=ReturnDocument.BEFORE if before else ReturnDocument.AFTER,
            session=self.work.session,
        )
        return self._parse(found)

    async def hold(self, update: Mapping[str, Any] | None = None, **conditions: Any) -> D | None:
        """Change one document so that no other transaction that holds or changes it can stand
        beside this one: the later starts again. MongoDB takes a write that changes nothing for no
        write, so it leaves a mark of its own. None for no match."""
        told = {**(update or {}), "held_by": new_ulid()}
        return await self.change({"$set": told}, **conditions)

    def _confined(self, document: D) -> dict[str, Any]:
        # What model_dump_doc() answers, in a third of its time: only the id has another name.
        now = self.work.now
        body = {**document.model_dump(), "created_at": now, "updated_at": now}
        body = {"_id": body.pop("id"), **body}
        if any(body.get(key) != value for key, value in self.where().items()):
            msg = f"{type(document).__name__} of another tenant or store"
            raise RuntimeError(msg)
        return body

    def _stamped(self, update: Mapping[str, Any]) -> dict[str, Any]:
        changes = {**update.get("$set", {}), "updated_at": self.work.now}
        return {**update, "$set": changes}

    def _parse(self, found: dict[str, Any] | None) -> D | None:
        return None if found is None else self._parse_some(found)

    def _parse_some(self, found: dict[str, Any]) -> D:
        parsed: D = self.model.model_validate_doc(found)
        return parsed


class InStores(Repository[D]):
    """Reads what several stores and, with store null, their tenant have, in one query for all."""

    def __init__(self, work: Work, tenant_id: str, store_ids: Sequence[str]) -> None:
        super().__init__(work, tenant_id, None)
        self._store_ids = store_ids

    def where(self, **conditions: Any) -> dict[str, Any]:
        places = {"$in": [*self._store_ids, None]}
        return {"tenant_id": self.tenant_id, "store_id": places} | conditions

    async def by_store(
        self, *, sort: str = "_id", descending: bool = False, **conditions: Any
    ) -> dict[str, list[D]]:
        """For each store all of its own and its tenant's, in the order of one field."""
        found: dict[str, list[D]] = {store_id: [] for store_id in self._store_ids}
        cursor = self._collection.find(self.where(**conditions), session=self.work.session)
        for body in await cursor.sort(sort, -1 if descending else 1).to_list(None):
            own = body["store_id"]
            for store_id in self._store_ids if own is None else (own,):
                found[store_id].append(self._parse_some(body))
        return found


def write_cursor(text: str) -> str:
    """Where a list goes on, as clients see it."""
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def read_cursor(cursor: str) -> str:
    """What `write_cursor` was given. Raises E_VALIDATION for what is not ours."""
    try:
        return base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode()
    except ValueError:
        raise not_ours() from None


def not_ours() -> PlayParkError:
    """The refusal of a cursor."""
    message = "The cursor is not one of ours: send next_cursor as it came, or none."
    return PlayParkError(ErrorCode.VALIDATION, message)


async def find_anywhere(work: Work, model: type[D], document_id: str) -> D | None:
    """A document by a server-made id or a secret's hash, before its tenant is known.

    For pairing and device login only: what follows is confined to the tenant that it names.
    """
    collection = work.collection(model.__collection__)
    found = await collection.find_one({"_id": document_id}, session=work.session)
    return None if found is None else model.model_validate_doc(found)
