"""Voids: a whole sale of the open shift taken back before anybody used it (R32, decision 0009)."""

from typing import Any

from api.approvals import service as approvals
from api.audit import service as audit
from api.catalog import service as catalog
from api.events import service as events
from api.platform.operations import Kind, Operation, OpRecord
from api.platform.permissions import Rights
from api.platform.scope import Scope
from api.platform.uow import Work
from api.refunds import points
from api.refunds.models import VoidedSale
from api.refunds.points import PointsMove
from api.refunds.repository import VoidRepository
from api.sales import views as sales
from api.sales.documents import amounts_of
from api.sales.models import PaymentStatus
from api.sales.repository import PaymentRepository, SaleRepository
from api.sales.sold import Sold, read
from api.shifts import service as shifts
from api.tickets.repository import TicketRepository
from playpark.contracts.approvals import ApprovalAction, EmployeeRef, ReasonKind
from playpark.contracts.customers import PointsReason
from playpark.contracts.employees import Permission
from playpark.contracts.refunds import VoidIn, VoidView
from playpark.contracts.sales import SaleStatus
from playpark.contracts.sync import OpKind
from playpark.contracts.tickets import TicketStatus
from playpark.errors import ErrorCode, PlayParkError


async def _void(work: Work, scope: Scope, op: Operation[VoidIn], void_id: str) -> VoidView:
    """Void a sale. Raises E_NOT_FOUND, E_PERMISSION, E_VALIDATION, and E_CONFLICT for a sale that
    can only be refunded."""
    sold = await read(work, scope, op.body.sale_id)
    sale = sold.sale
    if problem := _problem(scope, sold):
        raise PlayParkError(ErrorCode.CONFLICT, problem)
    approver, more = await approvals.require(
        work,
        scope,
        op,
        ApprovalAction.VOID,
        entities={sale.id},
        amount=sale.grand_total,
        permissions={Permission.REFUND},
    )
    flags = [*op.flags, *more]
    rules = await catalog.snapshot(work, scope)
    flags += approvals.reason_flags(op, rules.reason_codes, ReasonKind.VOID)
    await _take_back(work, scope, sold)
    amounts = amounts_of(sale, sold.payments, len(sold.tickets))
    flags += await shifts.book_void(work, scope, op, sale.shift_id, amounts)
    of_the_day, _ = await catalog.snapshot_with(work, scope, sale.catalog_version, [])
    await catalog.give_back_uses(work, scope, of_the_day, sale.counted_rules)
    move = PointsMove(returned=sale.points_burned, taken=sale.points_earned)
    _, more = await points.settle(work, scope, sold, move, PointsReason.VOIDED)
    flags += more
    voided = _document(scope, op, sold, approver, flags, void_id)
    await VoidRepository.of(work, scope).insert(voided)
    await _tell(work, scope, voided)
    return await _answer(work, scope, voided)


async def _voided_answer(work: Work, scope: Scope, record: OpRecord) -> VoidView:
    voided = await VoidRepository.of(work, scope).find_one(_id=record.result_id)
    if voided is None:
        raise PlayParkError(ErrorCode.NOT_FOUND, "There is no such void.")
    return await _answer(work, scope, voided)


# Whoever may sell may ask: the approval lifts the rest (decision 0008).
MAY_ASK = Rights((Permission.SELL,), approvals=(ApprovalAction.VOID,))
VOID = Kind(OpKind.VOID, VoidIn, _void, _voided_answer, MAY_ASK)


def _problem(scope: Scope, sold: Sold) -> str | None:
    """Why this sale cannot be voided: what to do instead."""
    sale = sold.sale
    if sale.status is SaleStatus.VOIDED:
        return "This sale was voided already: there is nothing left to do."
    if sale.refund_seq or sale.status is not SaleStatus.COMPLETED:
        return "Something of this sale was refunded: refund the rest instead."
    if sale.device_id != scope.device.device_id:
        return "Only the till that sold it can void a sale: refund it instead."
    if any(ticket.redeemed for ticket in sold.tickets):
        return "A ticket of this sale was used: refund it instead."
    if any(ticket.status is not TicketStatus.ACTIVE for ticket in sold.tickets):
        return "A ticket of this sale was cancelled: refund it instead."
    return None


async def _take_back(work: Work, scope: Scope, sold: Sold) -> None:
    """The sale, its payments and its tickets, under the condition that nobody has redeemed or
    refunded in the meantime."""
    sale = sold.sale
    voided = await SaleRepository.of(work, scope).update_one(
        {"$set": {"status": SaleStatus.VOIDED.value}},
        _id=sale.id,
        status=SaleStatus.COMPLETED.value,
        refund_seq=sale.refund_seq,
    )
    cancelled = await TicketRepository.of(work, scope).cancel_unused(sale.id)
    if not voided or cancelled != len(sold.tickets):
        message = "The sale has just changed: look at it again, then refund what is left."
        raise PlayParkError(ErrorCode.CONFLICT, message)
    taken_back: dict[str, Any] = {"$set": {"status": PaymentStatus.VOIDED.value}}
    await PaymentRepository.of(work, scope).update_many(taken_back, sale_id=sale.id)


def _document(
    scope: Scope,
    op: Operation[VoidIn],
    sold: Sold,
    approver: EmployeeRef | None,
    flags: list[str],
    void_id: str,
) -> VoidedSale:
    return VoidedSale(
        id=void_id,
        tenant_id=scope.tenant_id,
        store_id=scope.store_id,
        op_id=op.op_id,
        sale_id=sold.sale.id,
        receipt_no=sold.sale.receipt_no,
        amount=sold.sale.grand_total,
        reason_code=op.body.reason_code,
        reason_text=op.body.reason_text,
        business_date=op.day(scope),
        occurred_at=op.occurred_at,
        device_id=scope.device.device_id,
        shift_id=sold.sale.shift_id,
        employee_id=scope.actor_id,
        employee_name=scope.actor_name,
        approver_id=approver.employee_id if approver else None,
        approved_by=approver.name if approver else None,
        flags=flags,
    )


async def _tell(work: Work, scope: Scope, voided: VoidedSale) -> None:
    """The event and, last of all statements, the audit row."""
    facts = {"receipt_no": voided.receipt_no, "amount": voided.amount}
    await events.emit(work, scope, ("sale.voided", {"sale_id": voided.sale_id, **facts}))
    payload = {
        **facts,
        "reason_code": voided.reason_code,
        "reason_text": voided.reason_text,
        "approver_id": voided.approver_id,
        "flags": voided.flags,
    }
    await audit.append(work, scope, "sale.voided", voided.sale_id, payload)


async def _answer(work: Work, scope: Scope, voided: VoidedSale) -> VoidView:
    """A voided sale does not change any more, so it reads the same for ever (R15)."""
    sold = await read(work, scope, voided.sale_id)
    return VoidView(
        sale=sales.view(sold.sale, sold.payments),
        reason_code=voided.reason_code,
        reason_text=voided.reason_text,
        occurred_at=voided.occurred_at,
        employee_name=voided.employee_name,
        approved_by=voided.approved_by,
        flags=voided.flags,
    )
