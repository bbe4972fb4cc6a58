"""Queries on tickets and redemptions. The spending update is the one place where a quota falls."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pymongo import UpdateOne

from api.platform.documents import scoped_id
from api.platform.repository import Repository
from api.tickets.models import Redemption, Ticket
from playpark.contracts.catalog import PackageKind
from playpark.contracts.tickets import Direction, RedemptionResult, TicketStatus
from playpark.redemption import Scan

COUNTED = (PackageKind.SINGLE, PackageKind.MULTI)


@dataclass(frozen=True, slots=True)
class GivenBack:
    """What a refund takes from a ticket as it was read: satang, and whether its admission goes."""

    ticket: Ticket
    amount: int
    returned: bool


class TicketRepository(Repository[Ticket]):
    model = Ticket

    def key(self, ticket_id: str) -> str:
        return scoped_id(self.tenant_id, str(self.store_id), ticket_id)

    async def codes_in_use(self, codes: Sequence[str]) -> set[str]:
        """Which of these short codes other tickets have."""
        cursor = self._collection.find(
            self.where(short_code={"$in": list(codes)}),
            {"short_code": 1},
            session=self.work.session,
        )
        return {found["short_code"] for found in await cursor.to_list(len(codes))}

    async def spend(self, scan: Scan, **which: Any) -> Ticket | None:
        """Admit once: spend from the ticket where nothing of R19 speaks against it (R20).

        Returns the ticket as it was before, or None where the condition did not hold. The
        condition is `redemption.decide` in the database's words; the caller checks that both
        agree on the ticket that came back.
        """
        found = await self._collection.find_one_and_update(
            self.where(**which, **_admits(scan)),
            [{"$set": _spending(scan) | {"last_pass_at": scan.at, "updated_at": self.work.now}}],
            session=self.work.session,
        )
        return self._parse(found)

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
        await self.update_one({"$inc": {"used": -row.spend}}, _id=key)
        # Clock and last PASS only where no other PASS has come since: that guest is inside.
        restored: dict[str, Any] = {"last_pass_at": row.used_at}
        if row.started_clock:
            restored["ends_at"] = None
        await self.update_one({"$set": restored}, _id=key, last_pass_at=row.occurred_at)


class RedemptionRepository(Repository[Redemption]):
    model = Redemption

    async def annul(self, redemption_id: str, because: str) -> Redemption | None:
        """Mark a PASS entry as annulled; None where it is none, or was annulled before."""
        return await self.change(
            {"$set": {"annulled_at": self.work.now, "annulled_because": because}},
            _id=redemption_id,
            result=RedemptionResult.PASS.value,
            direction=Direction.ENTRY.value,
            annulled_at=None,
        )


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
    if scan.binding:
        here = {"allowed_devices": scan.device_id}
        conditions.append({"$or": [{"allowed_devices": []}, here]})
        if scan.zone_id is not None:
            conditions.append({"$or": [{"zones": []}, {"zones": scan.zone_id}]})
    return {
        **_signed(scan),
        "status": TicketStatus.ACTIVE.value,
        "valid_from": {"$lte": scan.at},
        "valid_to": {"$gt": scan.at},
        "$and": conditions,
    }


def _signed(scan: Scan) -> dict[str, Any]:
    """Issued with the token's key, while that still signed (R21)."""
    if scan.key is None:
        return {}
    if scan.key.not_after is None:
        return {"kid": scan.key.kid}
    return {"kid": scan.key.kid, "created_at": {"$lte": scan.key.not_after}}


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
    return {"used": {"$add": ["$used", cost]}, "ends_at": starts}
