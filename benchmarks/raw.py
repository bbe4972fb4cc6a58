"""A sale and a redemption as raw Motor writes them: the documents and updates of a real one, each
in one transaction, under the same indexes and the same promises to the disk."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from pymongo import ReturnDocument
from pymongo.read_concern import ReadConcern
from pymongo.write_concern import WriteConcern

from api.platform.mongo import Mongo
from playpark.ids import new_ulid

Document = dict[str, Any]
_SHIFT = {
    "sales_count": 1,
    "sales_amount": 1,
    "sales_by_method.cash": 1,
    "cash_sales": 1,
    "tickets_issued": 4,
    "tax": 1,
}


@dataclass(frozen=True)
class Raw:
    """The templates of one real sale and redemption, and the devices that sell."""

    mongo: Mongo
    devices: list[str]
    area: Document
    op: Document
    ledger: Document
    sale: Document
    payment: Document
    tickets: list[Document]
    events: list[Document]
    audit: Document
    redeem_op: Document
    redemption: Document
    redeemed: Document
    occupancy: Document
    unused: list[str]
    places: Iterator[int] = field(default_factory=lambda: count(1_000_000))
    """In a device's sequence, behind all that it has sent itself."""

    @classmethod
    async def of(
        cls, source: Mongo, target: Mongo, devices: list[str], *, seller: str | None = None
    ) -> "Raw":
        """Read the templates where `perform` has written them, and copy what is updated. The sale
        is one of `seller`, where that is told."""
        db = source.db
        sale = await db["sales"].find_one({} if seller is None else {"device_id": seller})
        which = {"sale_id": sale["_id"]}
        for name in ("shifts", "audit_heads", "counters"):
            copies = await db[name].find({}).to_list(1_000)
            await target.db[name].insert_many(copies)
        return cls(
            mongo=target,
            devices=devices,
            area={"tenant_id": sale["tenant_id"], "store_id": sale["store_id"]},
            op=await db["operations"].find_one({"result_id": sale["_id"]}),
            ledger=await db["receipt_ledger"].find_one({"receipt_no": sale["receipt_no"]}),
            sale=sale,
            payment=await db["payments"].find_one(which),
            tickets=await db["tickets"].find(which).to_list(10),
            events=await db["events"].find({"data.sale_id": sale["_id"]}).to_list(2),
            audit=await db["audits"].find_one({"entity_id": sale["_id"]}),
            redeem_op=await db["operations"].find_one({"kind": "redemption"}),
            redemption=await db["redemptions"].find_one(),
            redeemed=await db["events"].find_one({"type": "ticket.redeemed.pass"}),
            occupancy=await db["occupancy"].find_one(),
            unused=[],
        )

    async def sell(self, number: int, *, numbered: bool = False) -> None:
        """Number, shift, sale, payment, four tickets, two events, audit: as a sale does. A sale
        that its till has `numbered` takes no number from the server."""
        device, sale_id = self.devices[number % len(self.devices)], new_ulid()
        key = ":".join([*self.area.values(), device])
        tickets = [self._ticket(each, sale_id) for each in self.tickets]
        async with await self._session() as session:
            self._start(session)
            await self._record(self.op, device, session)
            value = new_ulid() if numbered else await self._number(device, session)
            receipt = {"_id": f"{key}:{value}", "receipt_no": value}
            await self._insert("receipt_ledger", self.ledger | receipt, session, fresh=False)
            await self._db["shifts"].find_one_and_update(
                self.area | {"device_id": device, "status": "open"},
                {"$inc": _SHIFT},
                return_document=ReturnDocument.AFTER,
                session=session,
            )
            await self._insert("sales", self.sale | {"_id": sale_id}, session, fresh=False)
            await self._insert("payments", self.payment | {"sale_id": sale_id}, session)
            await self._db["tickets"].insert_many(tickets, session=session)
            events = [each | {"_id": new_ulid()} for each in self.events]
            await self._db["events"].insert_many(events, session=session)
            await self._audit(key, session)
            await session.commit_transaction()
        self.unused.extend(each["_id"] for each in tickets)

    async def _number(self, device: str, session: Any) -> str:
        counter = await self._db["counters"].find_one_and_update(
            self.area | {"_id": ":".join([*self.area.values(), f"W:{device}"])},
            {"$inc": {"value": 1}},
            upsert=True,
            return_document=ReturnDocument.AFTER,
            session=session,
        )
        return str(counter["value"])

    async def stock(self, wanted: int) -> None:
        """Insert so many tickets that nobody has used."""
        made = [self._ticket(self.tickets[0], new_ulid()) for _ in range(wanted)]
        await self._db["tickets"].insert_many(made)
        self.unused.extend(each["_id"] for each in made)

    async def redeem(self, number: int) -> None:
        """Ticket, occupancy, redemption, event: as a redemption does."""
        device = self.devices[number % len(self.devices)]
        async with await self._session() as session:
            self._start(session)
            await self._record(self.redeem_op, device, session)
            await self._db["tickets"].find_one_and_update(
                self.area | {"_id": self.unused.pop(), "used": 0},
                {"$inc": {"used": 1}},
                session=session,
            )
            await self._db["occupancy"].find_one_and_update(
                self.area | {"_id": f"{self.occupancy['_id']}:{device}"},
                {"$inc": {"entries": 1}},
                upsert=True,
                return_document=ReturnDocument.AFTER,
                session=session,
            )
            await self._insert("redemptions", self.redemption, session)
            await self._insert("events", self.redeemed, session)
            await session.commit_transaction()

    async def _record(self, op: Document, device: str, session: Any) -> None:
        """The operation's record. One that a device has numbered has a place of its own."""
        if op.get("seq") is not None:
            op = op | {"device_id": device, "seq": next(self.places)}
        await self._insert("operations", op, session)

    async def _audit(self, chain: str, session: Any) -> None:
        """A chain's next row depends on its head: who writes one has to read it."""
        heads = self._db["audit_heads"]
        head = await heads.find_one(self.area | {"_id": chain}, session=session)
        row = {"_id": f"{chain}:{head['seq'] + 1}", "chain": chain, "seq": head["seq"] + 1}
        await self._insert("audits", self.audit | row, session, fresh=False)
        await heads.update_one(
            self.area | {"_id": chain, "seq": head["seq"]},
            {"$set": {"seq": head["seq"] + 1}},
            session=session,
        )

    @property
    def _db(self) -> Any:
        return self.mongo.db

    async def _session(self) -> Any:
        return await self.mongo.client.start_session()

    def _start(self, session: Any) -> None:
        concern = WriteConcern("majority", j=True)
        session.start_transaction(read_concern=ReadConcern("snapshot"), write_concern=concern)

    async def _insert(
        self, name: str, document: Document, session: Any, *, fresh: bool = True
    ) -> None:
        document = document | {"_id": new_ulid()} if fresh else document
        await self._db[name].insert_one(document, session=session)

    def _ticket(self, ticket: Document, sale_id: str) -> Document:
        made = new_ulid()
        unique: Document = {"_id": made, "short_code": made, "token_hash": made}
        if ticket.get("serial") is not None:
            unique["serial"] = next(self.places)
        return ticket | unique | {"sale_id": sale_id}
