"""Reprints: papers of a sale once more, counted, limited and approved (R25, R42)."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any, ClassVar

from api.approvals import service as approvals
from api.audit import service as audit
from api.catalog import service as catalog
from api.events import service as events
from api.platform.operations import Kind, Operation, OpRecord
from api.platform.permissions import Rights
from api.platform.scope import Scope
from api.platform.services import Platform
from api.platform.uow import Work
from api.refunds.common import entities
from api.refunds.models import Reprint
from api.refunds.repository import ReprintCounter, ReprintRepository
from api.sales import views as sales
from api.sales.sold import Sold, read
from api.shifts import service as shifts
from api.tickets import issuing as tickets
from api.tickets.models import Ticket
from api.tickets.repository import TicketRepository
from playpark.clock import business_date, business_day_start
from playpark.contracts.approvals import ApprovalAction, ReasonKind
from playpark.contracts.employees import Permission
from playpark.contracts.refunds import ReprintIn, ReprintSummary, ReprintView
from playpark.contracts.settings import ReprintSettings
from playpark.contracts.sync import OpKind
from playpark.contracts.tickets import TicketStatus
from playpark.errors import ErrorCode, PlayParkError

OVER_LIMIT, NOT_VALID = "reprint_limit", "ticket_not_valid"


@dataclass(frozen=True, slots=True)
class Reprinting:
    """The reprint operation, bound to the platform for its keys: the device that asks gets the
    tokens, whichever sold the tickets."""

    platform: Platform
    # Whoever may sell may ask: the approval lifts the rest (decision 0008).
    rights: ClassVar = Rights((Permission.SELL,), approvals=(ApprovalAction.REPRINT,))

    @property
    def kind(self) -> Kind[ReprintIn, ReprintView]:
        return Kind(OpKind.REPRINT, ReprintIn, self.apply, self.rebuild, self.rights)

    async def apply(
        self, work: Work, scope: Scope, op: Operation[ReprintIn], reprint_id: str
    ) -> ReprintView:
        """Count the papers and give them out. Raises E_NOT_FOUND, E_CONFLICT (cancelled,
        refunded), E_PERMISSION, E_VALIDATION, E_REPRINT_LIMIT."""
        sold = await _sold(work, scope, op.body)
        again, more = _papers(op, sold)
        flags = [*op.flags, *more]
        approver, more = await approvals.require(
            work,
            scope,
            op,
            ApprovalAction.REPRINT,
            entities=entities(sold.sale.id, op.body.ticket_ids or []),
            permissions={Permission.REPRINT},
        )
        flags += more
        rules = await catalog.snapshot(work, scope)
        flags += approvals.reason_flags(op, rules.reason_codes, ReasonKind.REPRINT)
        flags += await count(work, scope, op, rules.settings.reprints)
        ids = [ticket.ticket_id for ticket in again]
        await TicketRepository.of(work, scope).count_print(ids)
        shift_id = await shifts.book_reprint(work, scope, op)
        reprint = _document(scope, op, Sold(sold.sale, sold.payments, again), reprint_id)
        reprint.shift_id, reprint.flags = shift_id, flags
        if approver is not None:
            reprint.approver_id, reprint.approved_by = approver.employee_id, approver.name
        await ReprintRepository.of(work, scope).insert(reprint)
        await _tell(work, scope, reprint)
        return await self._answer(scope, sold, reprint)

    async def rebuild(self, work: Work, scope: Scope, record: OpRecord) -> ReprintView:
        """The same papers with the same tokens; nothing is counted twice (R15)."""
        reprint = await ReprintRepository.of(work, scope).find_one(_id=record.result_id)
        if reprint is None:
            raise PlayParkError(ErrorCode.NOT_FOUND, "There is no such reprint.")
        sold = await read(work, scope, reprint.sale_id)
        papers = TicketRepository.of(work, scope)
        keys = [papers.key(each["ticket_id"]) for each in reprint.tickets]
        # Those too that were exchanged since.
        printed = await papers.find(limit=len(keys) or 1, _id={"$in": keys})
        return await self._answer(scope, Sold(sold.sale, sold.payments, printed), reprint)

    async def _answer(self, scope: Scope, sold: Sold, reprint: Reprint) -> ReprintView:
        keys = await self.platform.ticket_keys(scope)
        by_id = {ticket.ticket_id: ticket for ticket in sold.tickets}
        # As they stood when they were printed, whatever has happened since.
        papers = [
            by_id[each["ticket_id"]].model_copy(
                update={"used": each["used"], "status": TicketStatus(each["status"])}
            )
            for each in reprint.tickets
        ]
        sale = sales.view(sold.sale, sold.payments).model_copy(
            update={"status": reprint.sale_status, "refunded": reprint.sale_refunded}
        )
        return ReprintView(
            reprint_id=reprint.id,
            sale_id=reprint.sale_id,
            sale=sale if reprint.whole else None,
            tickets=[tickets.view(ticket, keys, self.platform.vault) for ticket in papers],
            copies=reprint.copies,
            reason_code=reprint.reason_code,
            occurred_at=reprint.occurred_at,
            device_id=reprint.device_id,
            employee_name=reprint.employee_name,
            approved_by=reprint.approved_by,
        )


async def _sold(work: Work, scope: Scope, body: ReprintIn) -> Sold:
    """The sale that is meant. Raises E_NOT_FOUND, E_VALIDATION for tickets of several sales."""
    if body.sale_id is not None:
        return await read(work, scope, body.sale_id)
    repository = TicketRepository.of(work, scope)
    wanted = body.ticket_ids or []
    keys = [repository.key(each) for each in wanted]
    found = await repository.find(limit=len(keys), _id={"$in": keys})
    if len(found) < len(set(keys)):
        raise PlayParkError(ErrorCode.NOT_FOUND, "There is no such ticket.")
    if len({ticket.sale_id for ticket in found}) > 1:
        message = "The tickets are of several sales: reprint those of one sale at a time."
        raise PlayParkError(ErrorCode.VALIDATION, message)
    return await read(work, scope, found[0].sale_id)


def _papers(op: Operation[ReprintIn], sold: Sold) -> tuple[list[Ticket], list[str]]:
    """The tickets to print, and flags. Raises E_CONFLICT for those that admit nobody any more; a
    whole sale is printed without them, as long as one is left."""
    chosen = sold.tickets
    if op.body.ticket_ids is not None:
        chosen = [ticket for ticket in chosen if ticket.ticket_id in op.body.ticket_ids]
    valid = [ticket for ticket in chosen if ticket.status is TicketStatus.ACTIVE]
    if valid and (op.body.sale_id is not None or len(valid) == len(chosen)):
        return valid, []
    if op.committed:
        return chosen, [NOT_VALID]
    message = "A ticket was cancelled or refunded: it is not printed again."
    raise PlayParkError(ErrorCode.CONFLICT, message)


async def count(work: Work, scope: Scope, op: Operation[Any], limits: ReprintSettings) -> list[str]:
    """Count against the device's and the employee's limit of the trading day. Raises
    E_REPRINT_LIMIT, which takes the count back; what is printed already is flagged."""
    day = business_date(work.now, scope.zone)
    counters = ReprintCounter.of(work, scope)
    over = await counters.count(scope.device.device_id, day) > limits.per_device
    if scope.actor is not None:
        whose = scope.actor.employee_id
        over = await counters.count(whose, day) > limits.per_employee or over
    if not over:
        return []
    if op.committed:
        return [OVER_LIMIT]
    next_day = business_day_start(day + timedelta(days=1), scope.zone)
    raise PlayParkError(
        ErrorCode.REPRINT_LIMIT,
        "No more reprints today on this till or by you: go on tomorrow, or on another till.",
        retry_after=(next_day - work.now).total_seconds(),
    )


def _document(scope: Scope, op: Operation[ReprintIn], papers: Sold, reprint_id: str) -> Reprint:
    printed = [ticket.printed_count + 1 for ticket in papers.tickets]
    return Reprint(
        id=reprint_id,
        tenant_id=scope.tenant_id,
        store_id=scope.store_id,
        op_id=op.op_id,
        sale_id=papers.sale.id,
        receipt_no=papers.sale.receipt_no,
        whole=op.body.sale_id is not None,
        tickets=[
            {"ticket_id": each.ticket_id, "used": each.used, "status": each.status.value}
            for each in papers.tickets
        ],
        copies=max(printed, default=1),
        sale_status=papers.sale.status,
        sale_refunded=papers.sale.refunded,
        reason_code=op.body.reason_code,
        reason_text=op.body.reason_text,
        business_date=op.day(scope),
        occurred_at=op.occurred_at,
        device_id=scope.device.device_id,
        employee_id=scope.actor_id,
        employee_name=scope.actor_name,
    )


async def _tell(work: Work, scope: Scope, reprint: Reprint) -> None:
    """The event and, last of all statements, the audit row."""
    facts = {
        "sale_id": reprint.sale_id,
        "ticket_ids": [each["ticket_id"] for each in reprint.tickets],
    }
    await events.emit(work, scope, ("reprint.created", {"reprint_id": reprint.id, **facts}))
    payload = {
        **facts,
        "receipt_no": reprint.receipt_no,
        "copies": reprint.copies,
        "reason_code": reprint.reason_code,
        "reason_text": reprint.reason_text,
        "approver_id": reprint.approver_id,
        "flags": reprint.flags,
    }
    await audit.append(work, scope, "reprint.created", reprint.id, payload)


def summary(reprint: Reprint) -> ReprintSummary:
    """A reprint in a list."""
    return ReprintSummary(
        reprint_id=reprint.id,
        sale_id=reprint.sale_id,
        receipt_no=reprint.receipt_no,
        ticket_ids=[each["ticket_id"] for each in reprint.tickets],
        replaces=reprint.replaces,
        reason_code=reprint.reason_code,
        reason_text=reprint.reason_text,
        occurred_at=reprint.occurred_at,
        device_id=reprint.device_id,
        employee_name=reprint.employee_name,
        approved_by=reprint.approved_by,
    )
