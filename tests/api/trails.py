"""A trail of several chains in a database of its own, written through `audit.append` and tampered
with straight in MongoDB; each tampering is put back afterwards."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from pymongo import MongoClient

from api.audit import nightly
from api.audit import service as audit
from api.audit.links import row_hash
from api.audit.models import DOCUMENTS
from api.audit.verifying import verify
from api.platform.background import JobLease
from api.platform.mongo import Mongo
from api.platform.operations import chain_key
from api.platform.scope import Actor, Device, Scope
from api.platform.settings import Settings
from api.platform.uow import UnitOfWork, Work
from playpark.clock import FixedClock
from playpark.contracts.audit import AuditVerification
from playpark.contracts.employees import Permission
from playpark.contracts.tenancy import DeviceCaps, DeviceType

Doc = dict[str, Any]
TENANT, STORE, OTHER_STORE = "T", "S1", "S2"
TILL, GATE, SERVER = "T:S1:till", "T:S1:gate", "T:S2:server"
BEGIN = datetime(2026, 11, 21, 3, 0, tzinfo=UTC)
"""Ten o'clock in the morning in Bangkok."""
NAMES = [document.__collection__ for document in DOCUMENTS]  # type: ignore[attr-defined]


def scope_of(chain: str, actor: str | None = "nok") -> Scope:
    """Whose rows stand in a chain."""
    tenant_id, store_id, device_id = chain.split(":")
    device = Device(device_id, "07", 7, DeviceType.POS, "till", DeviceCaps(can_sell=True))
    person = Actor(actor, "Nok", permissions=frozenset(Permission)) if actor else None
    return Scope(tenant_id, store_id, device, person, 0, "Asia/Bangkok", store_id)


@dataclass
class Park:
    """`db` is the same database as somebody with a shell sees it."""

    mongo: Mongo
    db: Any
    clock: FixedClock = field(default_factory=lambda: FixedClock(BEGIN))
    settings: Settings = field(default_factory=Settings)

    @property
    def uow(self) -> UnitOfWork:
        return UnitOfWork(self.mongo, self.clock)

    async def write(self, chain: str, rows: int = 1, *, event: str = "sale.created") -> None:
        """Rows a second apart."""
        scope = scope_of(chain)
        for number in range(rows):
            self.clock.advance(timedelta(seconds=1))

            async def effect(work: Work, number: int = number) -> None:
                facts = {"amount": number * 100, "lines": [{"qty": 1}], "note": None}
                await audit.append(work, scope, event, f"sale-{number}", facts)

            await self.uow.run(effect, queue=chain_key(scope))

    async def night(self, nights: int = 1) -> int:
        """So many days later the job runs; how many days it has anchored."""
        self.clock.advance(timedelta(days=nights))
        return await self.job()

    async def job(self, holder: str = "one") -> int:
        return await nightly.run_due(self.uow, self.settings, holder)

    async def days(self, count: int, rows: int = 2) -> None:
        """Days on which something happens, each anchored in the night."""
        for _ in range(count):
            for chain in (TILL, GATE, SERVER):
                await self.write(chain, rows)
            await self.night()

    async def verify(self, store_id: str | None = None) -> AuditVerification:
        return await verify(self.uow, TENANT, store_id)

    async def broken(self) -> list[tuple[str, str]]:
        """What is wrong, as (kind, id of the document)."""
        found = await self.verify()
        return [(each.kind.value, each.document_id) for each in found.breaks]

    # --- what somebody with a shell does -----------------------------------------------------

    def row(self, chain: str, seq: int) -> Doc:
        found: Doc | None = self.db.audits.find_one({"chain": chain, "seq": seq})
        assert found is not None
        return found

    def length(self, chain: str) -> int:
        return int(self.db.audits.count_documents({"chain": chain}))

    def put(self, row: Doc, *, instead_of: Doc | None = None) -> None:
        """A row in place of another, whatever its id."""
        if instead_of is not None:
            self.db.audits.delete_one({"_id": instead_of["_id"]})
        self.db.audits.insert_one(row)

    def set(self, collection: str, document_id: str, **changes: Any) -> None:
        done = self.db[collection].update_one({"_id": document_id}, {"$set": changes})
        assert done.matched_count == 1, (collection, document_id)

    def move_head(self, chain: str, seq: int) -> None:
        """Back to an earlier row, as thoroughly as can be."""
        row = self.row(chain, seq)
        told = {"seq": seq, "hash": row["hash"], "updated_at": row["ts"]}
        self.set("audit_heads", chain, **told)

    def truncate(self, chain: str, beyond: int, *, head: bool) -> None:
        self.db.audits.delete_many({"chain": chain, "seq": {"$gt": beyond}})
        if head:
            self.move_head(chain, beyond)

    def allow_duplicates(self) -> None:
        self.db.audits.drop_index("tenant_id_1_store_id_1_chain_1_seq_1")

    @contextmanager
    def tampered(self) -> Iterator[None]:
        """Everything is as it was when the block is left."""
        kept = {name: list(self.db[name].find()) for name in NAMES}
        try:
            yield
        finally:
            for name, documents in kept.items():
                self.db[name].delete_many({})
                if documents:
                    self.db[name].insert_many(documents)
            keys = [(name, 1) for name in ("tenant_id", "store_id", "chain", "seq")]
            self.db.audits.create_index(keys, unique=True)


def resealed(row: Doc, prev_hash: str | None = None, **changes: Any) -> Doc:
    """A row with changes and a hash that fits them."""
    made = {**row, **changes}
    made["prev_hash"] = prev_hash or row["prev_hash"]
    return {**made, "hash": row_hash(made["prev_hash"], made)}


@asynccontextmanager
async def park(mongo_uri: str, database: str, **settings: Any) -> AsyncIterator[Park]:
    """An empty trail on `database`, which is dropped afterwards."""
    mongo = Mongo(mongo_uri, database)
    await mongo.client.drop_database(database)
    await mongo.create_indexes([*DOCUMENTS, JobLease])
    with MongoClient[Doc](mongo_uri, tz_aware=True) as client:
        yield Park(mongo, client[database], settings=Settings(**settings))
    await mongo.client.drop_database(database)
    mongo.close()
