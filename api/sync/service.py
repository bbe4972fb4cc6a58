"""Batches of operations: each its own transaction and its own answer (R14, R17, R35)."""

import time
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydantic import BaseModel, ValidationError

from api.customers import service as customers
from api.identity import history
from api.open_tickets.service import PARK
from api.platform.http import safe_errors
from api.platform.operations import Kind, Operation, attempt, clamp
from api.platform.scope import Actor, Scope
from api.platform.services import Platform
from api.receipts.service import ABANDON
from api.refunds.exchanging import Exchanging
from api.refunds.reprinting import Reprinting
from api.refunds.service import REFUND
from api.refunds.voiding import VOID
from api.sales.service import Selling
from api.shifts import service as shifts
from api.tickets import annulling, merging
from api.tickets.annulling import ANNUL
from api.tickets.cancelling import CANCEL
from api.tickets.redeeming import Redeeming
from api.timecards import service as timecards
from playpark.contracts.sync import MAX_OPS, BatchIn, BatchOut, OpIn, OpKind, OpResult, OpStatus
from playpark.contracts.tickets import RedemptionResult, RedemptionView
from playpark.errors import ErrorCode, PlayParkError

BATCH_SECONDS = 20
RETRY_LATER = {ErrorCode.UNAVAILABLE, ErrorCode.RATE_LIMITED}


@dataclass(frozen=True, slots=True)
class SyncService:
    platform: Platform

    @property
    def kinds(self) -> dict[OpKind, Kind[Any, Any]]:
        """Every kind of operation and the one function that applies it."""
        selling, redeeming = Selling(self.platform), Redeeming(self.platform)
        found: tuple[Kind[Any, Any], ...] = (
            selling.kind,
            selling.checkout_kind,
            redeeming.kind,
            *shifts.KINDS,
            customers.POINTS,
            timecards.TIMECARD,
            ABANDON,
            PARK,
            *(REFUND, VOID, Reprinting(self.platform).kind),
            *(ANNUL, CANCEL, Exchanging(self.platform).kind),
        )
        return {kind.name: kind for kind in found}

    async def apply(self, scope: Scope, batch: BatchIn, raw: dict[str, Any]) -> BatchOut:
        """Apply the operations in order. `raw` is the batch as received: its bodies are hashed.

        After an operation that must be tried again, or when the batch has had its 20 seconds, the
        rest waits (R35); one that is refused holds up only those that name it in `depends_on`.
        Raises E_BATCH_TOO_LARGE.
        """
        if len(batch.ops) > MAX_OPS:
            message = f"A batch holds at most {MAX_OPS} operations: send the rest in the next one."
            raise PlayParkError(ErrorCode.BATCH_TOO_LARGE, message)
        kinds = self.kinds
        ends_at = time.monotonic() + BATCH_SECONDS
        results: list[OpResult] = []
        refused: set[str] = set()
        waiting: OpResult | None = None
        for op, raw_op in zip(batch.ops, raw["ops"], strict=True):
            if waiting is not None or time.monotonic() > ends_at:
                after = waiting.retry_after if waiting else 0
                result = OpResult(op_id=op.op_id, status=OpStatus.RETRY, retry_after=after)
            elif blocked := refused.intersection(op.depends_on):
                result = OpResult(op_id=op.op_id, status=OpStatus.BLOCKED, blocked_on=min(blocked))
            else:
                result = await self._apply_one(
                    kinds[op.kind], scope, batch.epoch, op, raw_op["body"]
                )
            if result.status is OpStatus.RETRY:
                waiting = waiting or result
            elif result.status in {OpStatus.REJECTED, OpStatus.BLOCKED}:
                refused.add(op.op_id)
            results.append(result)
        return BatchOut(results=results)

    async def _apply_one(
        self, kind: Kind[Any, Any], scope: Scope, epoch: int, op: OpIn, raw_body: dict[str, Any]
    ) -> OpResult:
        try:
            body: BaseModel = kind.model.model_validate(raw_body)
        except ValidationError as invalid:
            problems = "; ".join(
                f"{error['field']}: {error['problem']}" for error in safe_errors(invalid.errors())
            )
            return OpResult(
                op_id=op.op_id,
                status=OpStatus.REJECTED,
                code=ErrorCode.VALIDATION,
                message=f"The operation's body is not as the contract has it: {problems}",
            )
        occurred_at, clock_flags = clamp(op.occurred_at, self.platform.clock.now())
        acting, flags = await self._acting(scope, op, occurred_at)
        try:
            await self.platform.limits.operation(acting, op.kind)
        except PlayParkError as refusal:
            return _refused(op, refusal)
        operation = Operation(
            op_id=op.op_id,
            kind=op.kind,
            raw=raw_body,
            body=body,
            occurred_at=occurred_at,
            shift_id=op.shift_id,
            committed=op.committed,
            epoch=epoch,
            seq=op.seq,
            prev_hash=op.prev_hash,
            local=op.local,
            approval=op.approval,
            flags=(*flags, *clock_flags),
        )
        outcome = await attempt(self.platform, acting, operation, kind)
        if isinstance(outcome, PlayParkError):
            return _refused(op, outcome)
        await self._settle(acting, op, outcome.answer)
        status = OpStatus.DUPLICATE if outcome.replayed else OpStatus.APPLIED
        return OpResult(
            op_id=op.op_id, status=status, result=outcome.answer.model_dump(mode="json")
        )

    async def _settle(self, scope: Scope, op: OpIn, answer: BaseModel) -> None:
        """What physically happened may speak against what was answered (R14, R50)."""
        if not isinstance(answer, RedemptionView) or op.local is None:
            return
        happened, row_id = op.local.result, answer.redemption_id
        if happened is None or row_id is None or happened is answer.result:
            return
        if happened is RedemptionResult.FAIL:
            await annulling.not_admitted(self.platform, scope, row_id)
        elif op.committed:
            await merging.let_in_after_all(self.platform, scope, row_id)

    async def _acting(
        self, scope: Scope, op: OpIn, occurred_at: datetime
    ) -> tuple[Scope, tuple[str, ...]]:
        """The scope of who acted, not of who syncs, and flags (R35).

        What is committed is judged by what that person was allowed when it happened, logged in here
        or not. What is not committed happens now: it takes somebody who is logged in, so that a
        device cannot act in a person's name, nor a person by a right that they had before.
        """
        if op.employee_id is None:
            return scope.acting_as(None), ()
        here = scope.colleagues.get(op.employee_id)
        if not op.committed or _had_it_already(scope, here, occurred_at):
            return scope.acting_as(here), ()
        async with self.platform.uow.at_one_moment() as work:
            actor, flags = await history.acting_at(work, scope, op.employee_id, occurred_at)
        return scope.acting_as(actor), flags


def _had_it_already(scope: Scope, here: Actor | None, moment: datetime) -> bool:
    """Whether somebody's login tells what they were allowed at that moment: it spares a read."""
    at_home = scope.store_id == scope.home_store_id
    return here is not None and here.since is not None and here.since <= moment and at_home


def _refused(op: OpIn, refusal: PlayParkError) -> OpResult:
    later = refusal.code in RETRY_LATER
    return OpResult(
        op_id=op.op_id,
        status=OpStatus.RETRY if later else OpStatus.REJECTED,
        code=refusal.code,
        message=refusal.message,
        retry_after=(refusal.retry_after or 1) if later else None,
    )
