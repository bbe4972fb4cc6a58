"""Queries on tickets, redemptions and occupancy. The spending update is the one place where a quota
falls."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self

from pymongo import ReturnDocument, UpdateOne

from api.platform.documents import scoped_id
from api.platform.repository import Repository
from api.tickets.models import Annulment, Cancellation, Occupancy, Redemption, Ticket
from playpark.contracts.catalog import PackageKind
from playpark.contracts.tickets import TicketStatus
from playpark.errors import ErrorCode, PlayParkError
from playpark.ids import new_ulid
from playpark.redemption import NO_ZONE, PENDING_LASTS, Scan, TicketState

COUNTED = (PackageKind.SINGLE, PackageKind.MULTI)


@dataclass(frozen=True, slots=True)
class GivenBack:
    """What a refund takes from a ticket as it was read: satang, and whether its admission goes."""

    ticket: Ticket
    amount: int
    returned: bool


@dataclass(frozen=True, slots=True)
class Seen:
    """What redeeming needs of a ticket, read from the stored document itself: the model's checks
    would cost a scan more than the decision does."""

    ticket_id: str
    package_name: str
    package_name_th: str
    state: TicketState

    @classmethod
    def of(cls, found: Mapping[str, Any]) -> Self:
        state = TicketState(
            kind=_KINDS[found["kind"]],
            quota=found["quota_or_minutes"],
            used=found["used"],
            valid_from=found["valid_from"],
            valid_to=found["valid_to"],
            status=_STATUSES[found["status"]],
            zones=tuple(found["zones"]),
            allowed_devices=tuple(found.get("allowed_devices", ())),
            last_pass_at=found.get("last_pass_at"),
            ends_at=found.get("ends_at"),
            kid=found["kid"],
            issued_at=found.get("issued_at") or found["created_at"],
            inside=tuple(found.get("inside", ())),
        )
        return cls(found["ticket_id"], found["package_name"], found["package_name_th"], state)


_KINDS = {kind.value: kind for kind in PackageKind}
_STATUSES = {status.value: status for status in TicketStatus}
_UNSEEN = {"slice": False, "token_hash": False}
"""What a scan does not need of a ticket."""


class TicketRepository(Repository[Ticket]):
    model = Ticket

    def key(self, ticket_id: str) -> str:
        return scoped_id(self.tenant_id, str(self.store_id), ticket_id)

    async def get(self, ticket_id: str, **conditions: Any) -> Ticket:
        """A ticket by its id. Raises E_NOT_FOUND."""
        found = await self.find_one(_id=self.key(ticket_id), **conditions)
        if found is None:
            raise PlayParkError(ErrorCode.NOT_FOUND, "There is no such ticket.")
        return found

    async def codes_in_use(self, codes: Sequence[str]) -> set[str]:
        """Which of these short codes other tickets have."""
        cursor = self._collection.find(
            self.where(short_code={"$in": list(codes)}),
            {"short_code": 1},
            session=self.work.session,
        )
        return {found["short_code"] for found in await cursor.to_list(len(codes))}

    async def codes_of(self, sale_ids: Sequence[str]) -> list[str]:
        """The short codes of all tickets of these sales."""
        which, fields = self.where(sale_id={"$in": list(sale_ids)}), {"short_code": 1}
        found = self._collection.find(which, fields, session=self.work.session)
        return [row["short_code"] for row in await found.to_list(None)]

    async def last_serial(self, key_id: str) -> int:
        """The highest serial under a till's certificate, 0 for none (R22)."""
        last = await self.find(
            sort="serial", descending=True, limit=1, kid=key_id, serial={"$gt": 0}
        )
        return (last[0].serial or 0) if last else 0

    async def spend(self, scan: Scan, **which: Any) -> Seen | None:
        """Admit once: spend from the ticket where nothing of R19 speaks against it (R20).

        Returns the ticket as it was before, or None where the condition did not hold. The
        condition is `redemption.decide` in the database's words; the caller checks that both
        agree on the ticket that came back.
        """
        if scan.full:
            return None
        changes = _spending(scan) | {"last_pass_at": scan.at, "updated_at": self.work.now}
        return await self._change(which | _admits(scan), changes)

    async def leave(self, scan: Scan, **which: Any) -> Seen | None:
        """Take the guest out of the zone; the ticket as it was before, or None where the token is
        not the ticket's (R21, R51)."""
        gone = {"$setDifference": [_inside_today(scan), _here(scan)]}
        return await self._change(
            which | _signed(scan), {"inside": gone, "updated_at": self.work.now}
        )

    async def enter(self, scan: Scan, ticket_id: str) -> None:
        """Put the guest into the zone, whatever the ticket says: they are there (R33, R51)."""
        here = {"$setUnion": [_inside_today(scan), _here(scan)]}
        await self._change(
            {"_id": self.key(ticket_id)}, {"inside": here, "updated_at": self.work.now}
        )

    async def look(self, **which: Any) -> Seen | None:
        """The ticket as it is."""
        found = await self._collection.find_one(
            self.where(**which), _UNSEEN, session=self.work.session
        )
        return None if found is None else Seen.of(found)

    async def _change(self, which: dict[str, Any], changes: dict[str, Any]) -> Seen | None:
        found = await self._collection.find_one_and_update(
            self.where(**which), [{"$set": changes}], _UNSEEN, session=self.work.session
        )
        return None if found is None else Seen.of(found)

    async def refund(self, parts: Sequence[GivenBack]) -> bool:
        """Take what is refunded from the tickets, in one command; False where one of them was
        used or given back since it was read (R31)."""
        if not parts:
            return True
        updates = [
            UpdateOne(self.where(**_as_read(part.ticket)), self._stamped(_refunding(part)))
            for part in parts
        ]
        done = await self._collection.bulk_write(updates, session=self.work.session)
        return int(done.matched_count) == len(parts)

    async def cancel_unused(self, sale_id: str) -> int:
        """Cancel the tickets of a sale that nobody has used; how many (R32)."""
        return await self.update_many(
            {"$set": {"status": TicketStatus.CANCELLED.value}},
            sale_id=sale_id,
            status=TicketStatus.ACTIVE.value,
            used=0,
            ends_at=None,
        )

    async def count_print(self, ticket_ids: Sequence[str]) -> None:
        """Count one more print of each."""
        keys = [self.key(each) for each in ticket_ids]
        await self.update_many({"$inc": {"printed_count": 1}}, _id={"$in": keys})

    async def give_back(self, row: Redemption) -> None:
        """Undo what the PASS `row` took: its quota and, where it started it, the clock (R50)."""
        key = self.key(str(row.ticket_id))
        change: dict[str, Any] = {"$inc": {"used": -row.spend}}
        if row.came_in:
            change["$pull"] = {"inside": row.zone_id or NO_ZONE}
        await self.update_one(change, _id=key)
        if row.started_clock:  # an entry that stays starts it anew: `merging.after_annulment`
            await self.update_one({"$set": {"ends_at": None}}, _id=key)
        # The last PASS only where no other has come since: that guest is inside.
        restored = {"last_pass_at": row.used_at}
        await self.update_one({"$set": restored}, _id=key, last_pass_at=row.occurred_at)


class RedemptionRepository(Repository[Redemption]):
    model = Redemption


class AnnulmentRepository(Repository[Annulment]):
    model = Annulment


class CancellationRepository(Repository[Cancellation]):
    model = Cancellation


class OccupancyRepository(Repository[Occupancy]):
    """Who is inside, by trading day and zone ("" for none in particular)."""

    model = Occupancy

    async def count(
        self, day: str, zone_id: str, device_id: str, *, at_once: bool = True, **by: int
    ) -> tuple[int, int] | None:
        """Count `entries` and `exits` on; (entries, exits) of this device after it. None where it
        need not be `at_once`, and is counted together with others."""
        one = self._one(day, zone_id, device_id, {"$inc": {"entries": 0, "exits": 0} | by})
        if self.work.later is not None and not at_once:
            later = self.work.later.setdefault(self.model.__collection__, [])
            later.append(UpdateOne(*one, upsert=True))
            return None
        found = await self._collection.find_one_and_update(
            *one,
            {"entries": 1, "exits": 1},
            upsert=True,
            return_document=ReturnDocument.AFTER,
            session=self.work.session,
        )
        return found["entries"], found["exits"]

    async def take_turn(self, day: str, zone_id: str) -> None:
        """Let no other transaction that does the same stand beside this one."""
        turn = {"$set": {"held_by": new_ulid()}, "$inc": {"entries": 0, "exits": 0}}
        await self._collection.update_one(
            *self._one(day, zone_id, "", turn), upsert=True, session=self.work.session
        )

    async def by_device(self, day: str, zone_id: str) -> dict[str, tuple[int, int]]:
        """(entries, exits) in a zone, by device."""
        cursor = self._collection.find(
            self.where(day=day, zone_id=zone_id),
            {"device_id": 1, "entries": 1, "exits": 1},
            session=self.work.session,
        )
        return {
            each["device_id"]: (each["entries"], each["exits"])
            for each in await cursor.to_list(None)
        }

    async def by_zone(self, day: str) -> dict[str, tuple[int, int]]:
        """(entries, exits) of a day, by zone."""
        totals = {"entries": {"$sum": "$entries"}, "exits": {"$sum": "$exits"}}
        steps = [{"$match": self.where(day=day)}, {"$group": {"_id": "$zone_id", **totals}}]
        cursor = self._collection.aggregate(steps, session=self.work.session)
        return {
            each["_id"]: (each["entries"], each["exits"]) for each in await cursor.to_list(None)
        }

    def _one(
        self, day: str, zone_id: str, device_id: str, update: Mapping[str, Any]
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        first = {
            "created_at": self.work.now,
            "day": day,
            "zone_id": zone_id,
            "device_id": device_id,
        }
        key = scoped_id(self.tenant_id, str(self.store_id), day, zone_id, device_id)
        return self.where(_id=key), self._stamped({**update, "$setOnInsert": first})


def _as_read(ticket: Ticket) -> dict[str, Any]:
    return {
        "_id": ticket.id,
        "status": ticket.status.value,
        "used": ticket.used,
        "last_pass_at": ticket.last_pass_at,
    }


def _refunding(part: GivenBack) -> dict[str, Any]:
    change: dict[str, Any] = {"$inc": {"refunded": part.amount}}
    if part.returned:
        change["$set"] = {"status": TicketStatus.REFUNDED.value}
    return change


def _admits(scan: Scan) -> dict[str, Any]:
    left: list[dict[str, Any]] = [
        {
            "kind": {"$in": [kind.value for kind in COUNTED]},
            "$expr": {"$lt": ["$used", "$quota_or_minutes"]},
        },
        {
            "kind": PackageKind.TIMEPASS.value,
            "$or": [{"ends_at": None}, {"ends_at": {"$gt": scan.at}}],
        },
    ]
    if scan.credit_price is not None:
        spent = {"$add": ["$used", scan.credit_price]}
        left.append(
            {
                "kind": PackageKind.CREDIT.value,
                "$expr": {"$lte": [spent, "$quota_or_minutes"]},
            }
        )
    conditions: list[dict[str, Any]] = [
        {"$or": left},
        {
            "$or": [
                {"last_pass_at": None},
                {"last_pass_at": {"$lte": scan.at - scan.anti_passback}},
            ]
        },
    ]
    if scan.reentry_needs_exit:
        conditions.append({"$or": _outside(scan)})
    if scan.binding:
        here = {"allowed_devices": scan.device_id}
        conditions.append({"$or": [{"allowed_devices": []}, here]})
        if scan.zone_id is not None:
            conditions.append({"$or": [{"zones": []}, {"zones": scan.zone_id}]})
    return {
        **_signed(scan),
        "status": {"$in": [each.value for each in _welcome(scan)]},
        "valid_from": {"$lte": scan.at},
        "valid_to": {"$gt": scan.at},
        "$and": [*conditions, _arrived(scan)],
    }


def _welcome(scan: Scan) -> tuple[TicketStatus, ...]:
    pending = (TicketStatus.PENDING,) if scan.pending_admits else ()
    return TicketStatus.ACTIVE, *pending


def _arrived(scan: Scan) -> dict[str, Any]:
    """The sale is here, or not late yet (R22)."""
    late = scan.at - PENDING_LASTS
    return {"$or": [{"status": TicketStatus.ACTIVE.value}, *_issued("$gt", late)]}


def _issued(how: str, moment: datetime) -> list[dict[str, Any]]:
    """When a ticket was issued: by its till's clock where that is known, else by the server's."""
    return [{"issued_at": {how: moment}}, {"issued_at": None, "created_at": {how: moment}}]


def _outside(scan: Scan) -> list[dict[str, Any]]:
    """The guest is not in the zone, or was only on an earlier day (R51)."""
    elsewhere: list[dict[str, Any]] = [{"inside": {"$ne": scan.place}}, {"last_pass_at": None}]
    if scan.day_start is not None:
        elsewhere.append({"last_pass_at": {"$lt": scan.day_start}})
    return elsewhere


def _here(scan: Scan) -> list[Any]:
    return [{"$literal": scan.place}]


def _inside_today(scan: Scan) -> dict[str, Any]:
    """The zones where the guest is, as an expression: none of an earlier day's (R51)."""
    inside = {"$ifNull": ["$inside", []]}
    if scan.day_start is None:
        return inside
    today = {"$gte": ["$last_pass_at", scan.day_start]}
    return {"$cond": [today, inside, []]}


def _signed(scan: Scan) -> dict[str, Any]:
    """Issued with the token's key, while that still signed (R21)."""
    if scan.key is None:
        return {}
    if scan.key.not_after is None:
        return {"kid": scan.key.kid}
    return {"kid": scan.key.kid, "$or": _issued("$lte", scan.key.not_after)}


def _spending(scan: Scan) -> dict[str, Any]:
    cost = {
        "$switch": {
            "branches": [
                {"case": {"$eq": ["$kind", PackageKind.TIMEPASS.value]}, "then": 0},
                {
                    "case": {"$eq": ["$kind", PackageKind.CREDIT.value]},
                    "then": scan.credit_price or 0,
                },
            ],
            "default": 1,
        }
    }
    runs_out = {"$dateAdd": {"startDate": scan.at, "unit": "minute", "amount": "$quota_or_minutes"}}
    starts = {
        "$cond": [
            {"$eq": ["$kind", PackageKind.TIMEPASS.value]},
            {"$ifNull": ["$ends_at", runs_out]},
            "$ends_at",
        ]
    }
    inside = {"$setUnion": [_inside_today(scan), _here(scan)]}
    return {"used": {"$add": ["$used", cost]}, "ends_at": starts, "inside": inside}
