"""Queries on approvals and reason codes."""

from collections.abc import Collection
from typing import Any

from api.approvals.models import Approval, ReasonCode
from api.platform.repository import Repository
from api.platform.uow import Work
from playpark.contracts.approvals import ApprovalAction
from playpark.contracts.employees import Permission


class ApprovalRepository(Repository[Approval]):
    model = Approval

    async def receive(self, token_hash: str, op_key: str) -> None:
        """Remember that an operation brought this approval in time, whatever becomes of it.

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
        )

    async def spend(
        self,
        token_hash: str,
        op_key: str,
        *,
        action: ApprovalAction,
        entities: Collection[str],
        amount: int | None,
        permissions: Collection[Permission],
        requester_id: str | None,
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
            action=action,
            entity_id={"$in": sorted(entities)},
            amount={"$in": [None, amount]},
            permissions={"$all": sorted(permissions)},
            approver_id={"$ne": requester_id},
            **in_time,
        )


class ReasonCodeRepository(Repository[ReasonCode]):
    model = ReasonCode
