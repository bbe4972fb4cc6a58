"""Correcting a closed shift: a new count, or a supervisor's yes to the difference (R27)."""

from dataclasses import replace
from typing import Any

from api.approvals import service as approvals
from api.audit import service as audit
from api.events import service as events
from api.platform.operations import Kind, Operation, OpRecord
from api.platform.permissions import Rights
from api.platform.scope import Scope
from api.platform.uow import Work
from api.shifts import chain, reading
from api.shifts.booking import not_found, store_rules
from api.shifts.chain import Entry
from api.shifts.closing import VARIANCE
from api.shifts.models import Shift
from api.shifts.repository import ShiftRepository, ZRepository
from api.shifts.views import RECOUNTED, is_closed
from playpark.contracts.approvals import ApprovalAction, ReasonKind
from playpark.contracts.shifts import AdjustmentIn, AdjustmentType, ZKind, ZReport
from playpark.contracts.sync import OpKind
from playpark.errors import ErrorCode, PlayParkError


async def _adjust(work: Work, scope: Scope, op: Operation[AdjustmentIn], link_id: str) -> ZReport:
    """Append an adjustment to the chain of a closed shift; the Z report itself stays as it is.

    Raises E_NOT_FOUND, E_CONFLICT for an open shift or a difference that waits for nobody,
    E_VALIDATION, E_PERMISSION. Nothing physical has happened, so `committed` spares nobody the
    approval.
    """
    op = replace(op, committed=False)
    body = op.body
    shift = await reading.seen(work, scope, body.shift_id)
    if not is_closed(shift):
        message = "This shift is still open: close it with its count first."
        raise PlayParkError(ErrorCode.CONFLICT, message)
    _, known = await store_rules(work, scope)
    approvals.reason_flags(op, known, ReasonKind.CASH_VARIANCE)
    approved_by = await _approved(work, scope, op, shift)
    await _mark(work, scope, body.type, shift)
    words = f": {body.reason_text}" if body.reason_text else ""
    entry = Entry(
        ZKind.ADJUSTMENT,
        op.op_id,
        link_id=link_id,
        cash_counted=body.cash_counted,
        because=f"{op.op_id} {body.reason_code}{words}",
        flags=op.flags,
    )
    link = await chain.append(work, scope, shift, entry)
    facts: dict[str, Any] = {
        "number": link.report["number"],
        "type": body.type,
        "cash_expected": link.cash_expected,
        "cash_counted": body.cash_counted,
    }
    told = {"shift_id": shift.shift_id, **facts}
    await events.emit(work, scope, ("shift.adjusted", told))
    payload = {**facts, "approved_by": approved_by, "reason_code": body.reason_code}
    await audit.append(work, scope, "shift.adjusted", shift.shift_id, payload)
    return chain.report_of(link)


async def _approved(
    work: Work, scope: Scope, op: Operation[AdjustmentIn], shift: Shift
) -> str | None:
    """Who approved it (their id); an amount that they named is the new count, or the difference
    of the last one."""
    accepts = op.body.type is AdjustmentType.ACCEPT_VARIANCE
    action = ApprovalAction.CASH_VARIANCE if accepts else ApprovalAction.SHIFT_ADJUSTMENT
    amount = op.body.cash_counted
    if accepts and (last := await ZRepository.of(work, scope).last_count_of(shift.shift_id)):
        amount = abs(last.report["cash_counted"] - last.cash_expected)
    approver, _ = await approvals.require(
        work, scope, op, action, entities=[shift.shift_id], amount=amount
    )
    return approver.employee_id if approver else None


async def _mark(work: Work, scope: Scope, what: AdjustmentType, shift: Shift) -> None:
    shifts = ShiftRepository.of(work, scope)
    settled = await shifts.update_one(
        {"$pull": {"flags": VARIANCE}}, _id=shift.id, status="closed", flags=VARIANCE
    )
    if what is AdjustmentType.RECOUNT:
        await shifts.update_one({"$addToSet": {"flags": RECOUNTED}}, _id=shift.id)
    elif not settled:
        message = "No difference of this shift waits for approval."
        raise PlayParkError(ErrorCode.CONFLICT, message)


async def _adjusted_answer(work: Work, scope: Scope, record: OpRecord) -> ZReport:
    link = await ZRepository.of(work, scope).find_one(_id=record.result_id)
    if link is None:
        raise not_found()
    return chain.report_of(link)


MAY_ADJUST = Rights(
    person=True, approvals=(ApprovalAction.SHIFT_ADJUSTMENT, ApprovalAction.CASH_VARIANCE)
)
ADJUST = Kind(OpKind.SHIFT_ADJUSTMENT, AdjustmentIn, _adjust, _adjusted_answer, MAY_ADJUST)
