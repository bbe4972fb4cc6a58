"""Queries on approvals and reason codes."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from api.approvals.models import Approval, ReasonCode
from api.platform.repository import InStores, Repository
from api.platform.uow import Work
from playpark.clock import business_day_start
from playpark.contracts.approvals import ApprovalAction
from playpark.contracts.employees import Permission


@dataclass(frozen=True, slots=True)
class Chosen:
    """Which approvals a list holds; the days are business dates."""

    action: ApprovalAction | None = None
    used: bool | None = None
    first: date | None = None
    last: date | None = None

    def conditions(self, zone: ZoneInfo) -> dict[str, Any]:
        found: dict[str, Any] = {"action": self.action} if self.action else {}
        if self.used is not None:
            found["used_at"] = {"$ne": None} if self.used else None
        granted = {}
        if self.first is not None:
            granted["$gte"] = business_day_start(self.first, zone)
        if self.last is not None:
            granted["$lt"] = business_day_start(self.last + timedelta(days=1), zone)
        return found | ({"granted_at": granted} if granted else {})


class ApprovalRepository(Repository[Approval]):
    model = Approval

    async def receive(self, token_hash: str, op_key: str, **fits: Any) -> None:
        """Remember that an operation brought this approval in time, whatever becomes of it, where
        the approval `fits`.

        Outside the transaction, because it has to outlive one that fails. The transaction at hand
        is older than this write and starts again by itself, once.
        """
        alone = ApprovalRepository(
            Work(self.work.mongo, self.work.now), self.tenant_id, self.store_id
        )
        await alone.update_one(
            {"$addToSet": {"received_with": op_key}},
            token_hash=token_hash,
            used_at=None,
            expires_at={"$gt": self.work.now},
            received_with={"$ne": op_key},
            **fits,
        )

    async def spend(
        self,
        token_hash: str,
        op_key: str,
        *,
        amount: int | None,
        permissions: Collection[Permission],
        requester_id: str,
        asked_by: Collection[str | None],
        **fits: Any,
    ) -> Approval | None:
        """Use an approval up, once, in time and for what it was granted; None where that is not
        possible, and nothing has changed."""
        in_time: dict[str, Any] = {
            "$or": [{"expires_at": {"$gt": self.work.now}}, {"received_with": op_key}]
        }
        return await self.change(
            {"$set": {"used_at": self.work.now, "used_by_op": op_key}},
            token_hash=token_hash,
            used_at=None,
            amount={"$in": [None, amount]},
            permissions={"$all": sorted(permissions)},
            approver_id={"$ne": requester_id},
            requester_id={"$in": list(asked_by)},
            **fits,
            **in_time,
        )


class ReasonCodeRepository(Repository[ReasonCode]):
    model = ReasonCode


class ReasonCodesInStores(InStores[ReasonCode]):
    model = ReasonCode
