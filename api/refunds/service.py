"""Refunds: frozen slices back to the guest, never more than was paid (R31, R42, decision 0009)."""

from dataclasses import dataclass
from typing import Any

from api.approvals import service as approvals
from api.audit import service as audit
from api.catalog import service as catalog
from api.events import service as events
from api.platform.operations import Kind, Operation, OpRecord
from api.platform.permissions import Rights
from api.platform.scope import Scope
from api.platform.uow import Work
from api.receipts import service as receipts
from api.refunds import planning, points
from api.refunds.common import entities
from api.refunds.models import Refund
from api.refunds.points import PointsMove
from api.refunds.repository import RefundRepository
from api.sales.repository import PaymentRepository, SaleRepository
from api.sales.sold import Sold, read
from api.shifts import service as shifts
from api.shifts.service import RefundAmounts
from api.tickets.repository import GivenBack, TicketRepository
from playpark.contracts.approvals import ApprovalAction, ReasonKind
from playpark.contracts.customers import PointsReason
from playpark.contracts.employees import Permission
from playpark.contracts.pricing import PaymentMethod
from playpark.contracts.refunds import RefundIn, RefundView
from playpark.contracts.sales import SaleStatus
from playpark.contracts.settings import SalesSettings
from playpark.contracts.sync import OpKind
from playpark.errors import ErrorCode, PlayParkError
from playpark.ids import ReceiptSeries
from playpark.refunding import RefundPlan

SALE_VOIDED = "sale_voided"


async def _refund(work: Work, scope: Scope, op: Operation[RefundIn], refund_id: str) -> RefundView:
    """Give back what is asked for. Raises E_NOT_FOUND, E_CONFLICT (voided, or changed in the same
    moment), E_REFUND_EXCEEDS, E_VALIDATION, E_PERMISSION, E_SHIFT_CLOSED."""
    body = op.body
    sold = await read(work, scope, body.sale_id)
    rules = await catalog.snapshot(work, scope)
    planned, more = await _plan(work, scope, op, sold, rules.settings.sales)
    flags = [*op.flags, *more]
    back = planning.given_back(sold, body, planned)
    approver, more = await approvals.require(
        work,
        scope,
        op,
        ApprovalAction.REFUND,
        entities=entities(body.sale_id, [part.ticket.ticket_id for part in back]),
        amount=planned.amount,
        permissions=_needed(back),
    )
    flags += more + approvals.reason_flags(op, rules.reason_codes, ReasonKind.REFUND)
    settled = await _settle(work, scope, op, sold, planned, back)
    refund = Refund(
        id=refund_id,
        tenant_id=scope.tenant_id,
        store_id=scope.store_id,
        op_id=op.op_id,
        **_money(sold, planned, body),
        sale_id=sold.sale.id,
        sale_receipt_no=sold.sale.receipt_no,
        receipt_no=settled.receipt_no,
        points_taken=settled.points.taken,
        points_returned=settled.points.returned,
        reason_code=body.reason_code,
        reason_text=body.reason_text,
        business_date=op.day(scope),
        occurred_at=op.occurred_at,
        device_id=scope.device.device_id,
        shift_id=settled.shift_id,
        employee_id=scope.actor_id,
        employee_name=scope.actor_name,
        approver_id=approver.employee_id if approver else None,
        approved_by=approver.name if approver else None,
        flags=[*flags, *settled.flags],
    )
    await RefundRepository.of(work, scope).insert(refund)
    await _tell(work, scope, op, refund)
    return view(refund)


async def _refunded_answer(work: Work, scope: Scope, record: OpRecord) -> RefundView:
    refund = await RefundRepository.of(work, scope).find_one(_id=record.result_id)
    if refund is None:
        raise PlayParkError(ErrorCode.NOT_FOUND, "There is no such refund.")
    return view(refund)


# Whoever may sell may ask: the approval lifts the rest (decision 0008).
MAY_ASK = Rights((Permission.SELL,), approvals=(ApprovalAction.REFUND,))
REFUND = Kind(OpKind.REFUND, RefundIn, _refund, _refunded_answer, MAY_ASK)


async def _plan(
    work: Work, scope: Scope, op: Operation[RefundIn], sold: Sold, settings: SalesSettings
) -> tuple[RefundPlan, list[str]]:
    if sold.sale.status is SaleStatus.VOIDED:
        if not op.committed:
            message = "This sale was voided: its money has been given back already."
            raise PlayParkError(ErrorCode.CONFLICT, message)
        return planning.NOTHING, [planning.OVER_REFUNDED, SALE_VOIDED]
    return await planning.plan(work, scope, op, sold, settings)


def _needed(back: list[GivenBack]) -> set[Permission]:
    """What the approver must be allowed to do: a slice that a gate has admitted asks for more."""
    used = any(part.ticket.redeemed for part in back)
    return {Permission.REFUND, *([Permission.REFUND_USED] if used else [])}


@dataclass(frozen=True, slots=True)
class _Settled:
    """What the books answered."""

    receipt_no: str
    shift_id: str | None
    points: PointsMove
    flags: list[str]


async def _settle(
    work: Work,
    scope: Scope,
    op: Operation[RefundIn],
    sold: Sold,
    planned: RefundPlan,
    back: list[GivenBack],
) -> _Settled:
    """Book the refund everywhere: sale and tickets first, under their condition."""
    if planned is not planning.NOTHING:
        await _book(work, scope, sold, planned, back)
    shares, own = _by_payment(sold, planned)
    payments = PaymentRepository.of(work, scope)
    for key, share in shares.items():
        await payments.update_one({"$inc": {"refunded": share}}, _id=key, sale_id=sold.sale.id)
    by_points = await points.points_payments(work, scope, sold)
    goods = sum(amount for _, amount, _ in planned.tickets)
    move = points.due(sold, goods, own, by_points)
    moved, flags = await points.settle(work, scope, sold, move, PointsReason.REFUNDED)
    by_method = {method.value: amount for method, amount in planned.parts}
    cash = by_method.get(PaymentMethod.CASH.value, 0)
    amounts = RefundAmounts(amount=planned.amount, cash=cash, by_method=by_method)
    shift_id, more = await shifts.book_refund(work, scope, op, amounts)
    given = op.body.receipt_no
    receipt_no, last = await receipts.take(work, scope, op, ReceiptSeries.REFUND, given)
    return _Settled(receipt_no, shift_id, moved, [*flags, *more, *last])


async def _book(
    work: Work, scope: Scope, sold: Sold, planned: RefundPlan, back: list[GivenBack]
) -> None:
    """The sale's sums and its tickets, under the condition that nobody else has refunded, voided
    or redeemed in the meantime (R31)."""
    sale = sold.sale
    cash = sum(amount for method, amount in planned.parts if method is PaymentMethod.CASH)
    status = SaleStatus.REFUNDED if planned.final else SaleStatus.PARTLY_REFUNDED
    changes = {
        "$inc": {
            "refund_seq": 1,
            "refunded": planned.amount,
            "refunded_goods": sum(amount for _, amount, _ in planned.tickets),
            "refunded_cash_goods": planned.cash_goods,
            "refunded_cash": cash,
            "refunded_surcharge": planned.surcharge,
        },
        "$set": {"status": status.value},
    }
    booked = await SaleRepository.of(work, scope).update_one(
        changes,
        _id=sale.id,
        refund_seq=sale.refund_seq,
        refunded={"$lte": sale.grand_total - planned.amount},
        status={"$ne": SaleStatus.VOIDED.value},
    )
    if not booked or not await TicketRepository.of(work, scope).refund(back):
        message = "The sale has just changed: look at it again, then refund what is left."
        raise PlayParkError(ErrorCode.CONFLICT, message)


def _by_payment(sold: Sold, planned: RefundPlan) -> tuple[dict[str, int], dict[str, int]]:
    """What of a refund each payment gives back, satang by payment id: those of the tender that
    is paid out, the last first; what another tender pays beyond, on any that has some left. And
    what of it goes back by the payment's own tender."""
    left = {paid.id: paid.amount - paid.refunded for paid in sold.payments}
    shares: dict[str, int] = {}
    by_own: dict[str, int] = {}
    for method, to_pay in planned.parts:
        amount = to_pay
        own = [paid.id for paid in reversed(sold.payments) if paid.method is method]
        others = [paid.id for paid in reversed(sold.payments) if paid.method is not method]
        for key in (*own, *others):
            share = max(0, min(amount, left[key]))
            shares[key] = shares.get(key, 0) + share
            if key in own:
                by_own[key] = by_own.get(key, 0) + share
            left[key] -= share
            amount -= share
    return {key: share for key, share in shares.items() if share}, by_own


def _money(sold: Sold, planned: RefundPlan, body: RefundIn) -> dict[str, Any]:
    methods = [method.value for method, _ in planned.parts]
    method = methods[0] if methods else (body.method or PaymentMethod.OTHER).value
    vat = sum(vat for _, _, vat in planned.tickets)
    if planned.surcharge:
        vat += sum(each["vat"] for each in sold.sale.surcharges)
    return {
        "amount": planned.amount,
        "method": "split" if len(methods) > 1 else method,
        "parts": [{"method": each.value, "amount": amount} for each, amount in planned.parts],
        "tickets": [
            {"ticket_id": ticket_id, "amount": amount, "vat": vat_of_it}
            for ticket_id, amount, vat_of_it in planned.tickets
        ],
        "surcharge": planned.surcharge,
        "cash_rounding": planned.cash_rounding,
        "vat": vat,
        "cash_goods": planned.cash_goods,
    }


async def _tell(work: Work, scope: Scope, op: Operation[RefundIn], refund: Refund) -> None:
    """The event and, last of all statements, the audit row."""
    facts = {
        "sale_id": refund.sale_id,
        "receipt_no": refund.receipt_no,
        "amount": refund.amount,
        "method": refund.method,
        "ticket_ids": [part["ticket_id"] for part in refund.tickets],
    }
    await events.emit(work, scope, ("refund.created", {"refund_id": refund.id, **facts}))
    payload = {
        **facts,
        "reason_code": refund.reason_code,
        "reason_text": refund.reason_text,
        "approver_id": refund.approver_id,
        "flags": refund.flags,
    }
    if planning.OVER_REFUNDED in refund.flags:
        # What was asked for tells what may be missing from the drawer.
        payload["asked"] = {"ticket_ids": op.body.ticket_ids, "amount": op.body.amount}
    await audit.append(work, scope, "refund.created", refund.id, payload)


def view(refund: Refund) -> RefundView:
    """A refund as the API shows it."""
    return RefundView(
        refund_id=refund.id,
        sale_id=refund.sale_id,
        sale_receipt_no=refund.sale_receipt_no,
        receipt_no=refund.receipt_no,
        amount=refund.amount,
        method=refund.method,
        parts=refund.parts,
        tickets=refund.tickets,
        surcharge=refund.surcharge,
        cash_rounding=refund.cash_rounding,
        vat=refund.vat,
        status=refund.status,
        reason_code=refund.reason_code,
        reason_text=refund.reason_text,
        business_date=refund.day,
        occurred_at=refund.occurred_at,
        device_id=refund.device_id,
        shift_id=refund.shift_id,
        employee_id=refund.employee_id,
        employee_name=refund.employee_name,
        approved_by=refund.approved_by,
        flags=refund.flags,
    )
