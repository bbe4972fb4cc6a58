"""Taking a ticket out of use that nobody has used, without moving money (decision 0019)."""

from api.approvals import service as approvals
from api.audit import service as audit
from api.catalog import service as catalog
from api.events import service as events
from api.platform.operations import Kind, Operation, OpRecord
from api.platform.permissions import Rights
from api.platform.scope import Scope
from api.platform.uow import Work
from api.tickets import issuing
from api.tickets.models import Cancellation, Ticket
from api.tickets.repository import CancellationRepository, TicketRepository
from playpark.contracts.approvals import ApprovalAction, ReasonKind
from playpark.contracts.employees import Permission
from playpark.contracts.refunds import TicketCancelIn, TicketCancelView
from playpark.contracts.sync import OpKind
from playpark.contracts.tickets import TicketStatus
from playpark.errors import ErrorCode, PlayParkError


async def _cancel(
    work: Work, scope: Scope, op: Operation[TicketCancelIn], cancellation_id: str
) -> TicketCancelView:
    """Cancel a ticket. Raises E_NOT_FOUND, E_PERMISSION, E_VALIDATION, and E_CONFLICT for one that
    was used, given back, exchanged or cancelled, or whose sale has not arrived."""
    tickets = TicketRepository.of(work, scope)
    ticket = await tickets.get(op.body.ticket_id, **scope.own_only)
    approver, more = await approvals.require(
        work,
        scope,
        op,
        ApprovalAction.TICKET_CANCEL,
        entities={ticket.ticket_id, ticket.sale_id},
        permissions={Permission.REFUND},
    )
    flags = [*op.flags, *more]
    rules = await catalog.snapshot(work, scope)
    flags += approvals.reason_flags(op, rules.reason_codes, ReasonKind.VOID)
    if problem := _problem(ticket):
        raise PlayParkError(ErrorCode.CONFLICT, problem)
    # What a gate does at this moment collides here: the later of the two starts again.
    cancelled = await tickets.change(
        {"$set": {"status": TicketStatus.CANCELLED.value}},
        _id=ticket.id,
        status=TicketStatus.ACTIVE.value,
        used=0,
        ends_at=None,
    )
    if cancelled is None:
        message = "The ticket has just changed: look at it again."
        raise PlayParkError(ErrorCode.CONFLICT, message)
    cancellation = Cancellation(
        id=cancellation_id,
        tenant_id=scope.tenant_id,
        store_id=scope.store_id,
        op_id=op.op_id,
        ticket_id=ticket.ticket_id,
        sale_id=ticket.sale_id,
        reason_code=op.body.reason_code,
        reason_text=op.body.reason_text,
        business_date=op.day(scope),
        occurred_at=op.occurred_at,
        device_id=scope.device.device_id,
        employee_id=scope.actor_id,
        employee_name=scope.actor_name,
        approver_id=approver.employee_id if approver else None,
        approved_by=approver.name if approver else None,
        flags=flags,
    )
    await CancellationRepository.of(work, scope).insert(cancellation)
    await _tell(work, scope, cancellation)
    return _view(cancellation, cancelled)


async def _cancelled_answer(work: Work, scope: Scope, record: OpRecord) -> TicketCancelView:
    cancellation = await CancellationRepository.of(work, scope).find_one(_id=record.result_id)
    if cancellation is None:
        raise PlayParkError(ErrorCode.NOT_FOUND, "There is no such cancellation.")
    ticket = await TicketRepository.of(work, scope).get(cancellation.ticket_id)
    # It may have been refunded since: this is what was answered.
    then = {"status": TicketStatus.CANCELLED, "used": 0}
    return _view(cancellation, ticket.model_copy(update=then))


# Whoever may sell may ask: the approval lifts the rest (decision 0008).
MAY_ASK = Rights((Permission.SELL,), approvals=(ApprovalAction.TICKET_CANCEL,))
CANCEL = Kind(OpKind.TICKET_CANCEL, TicketCancelIn, _cancel, _cancelled_answer, MAY_ASK)


def _problem(ticket: Ticket) -> str | None:
    """Why this ticket is not cancelled: what to do instead."""
    match ticket.status:
        case TicketStatus.CANCELLED if ticket.replaced_by:
            return "This ticket was exchanged: look up the new one."
        case TicketStatus.CANCELLED:
            return "This ticket is cancelled already: there is nothing left to do."
        case TicketStatus.REFUNDED:
            return "This ticket was refunded: it admits nobody any more."
        case TicketStatus.PENDING:
            return "The sale of this ticket has not arrived yet: sync its till first."
    return "This ticket was used: refund it instead." if ticket.redeemed else None


async def _tell(work: Work, scope: Scope, cancellation: Cancellation) -> None:
    """The event and, last of all statements, the audit row."""
    facts = {"sale_id": cancellation.sale_id, "ticket_id": cancellation.ticket_id}
    told = {"cancellation_id": cancellation.id, **facts}
    await events.emit(work, scope, ("ticket.cancelled", told))
    payload = {
        **facts,
        "reason_code": cancellation.reason_code,
        "reason_text": cancellation.reason_text,
        "approver_id": cancellation.approver_id,
        "flags": cancellation.flags,
    }
    await audit.append(work, scope, "ticket.cancelled", cancellation.id, payload)


def _view(cancellation: Cancellation, ticket: Ticket) -> TicketCancelView:
    return TicketCancelView(
        cancellation_id=cancellation.id,
        ticket=issuing.view(ticket, None),
        reason_code=cancellation.reason_code,
        reason_text=cancellation.reason_text,
        occurred_at=cancellation.occurred_at,
        device_id=cancellation.device_id,
        employee_name=cancellation.employee_name,
        approved_by=cancellation.approved_by,
        flags=cancellation.flags,
    )
