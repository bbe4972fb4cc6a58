"""Exchanging a lost ticket: the old one admits nobody any more, the new one carries on where it
stood; a reprint in every other respect (R25, R42, decision 0019)."""

from dataclasses import dataclass
from typing import ClassVar

from api.approvals import service as approvals
from api.audit import service as audit
from api.catalog import service as catalog
from api.events import service as events
from api.identity import stores
from api.platform.operations import Kind, Operation, OpRecord
from api.platform.permissions import Rights
from api.platform.scope import Scope
from api.platform.services import Platform
from api.platform.uow import Work
from api.refunds import reprinting
from api.refunds.common import entities
from api.refunds.models import Reprint
from api.refunds.repository import ReprintRepository
from api.sales.sold import read
from api.shifts import service as shifts
from api.tickets import issuing
from api.tickets.models import Ticket
from api.tickets.repository import TicketRepository
from playpark.contracts.approvals import ApprovalAction, ReasonKind
from playpark.contracts.employees import Permission
from playpark.contracts.refunds import ExchangeIn, ExchangeView
from playpark.contracts.sync import OpKind
from playpark.contracts.tickets import TicketStatus
from playpark.errors import ErrorCode, PlayParkError
from playpark.ids import new_ulid


@dataclass(frozen=True, slots=True)
class Exchanging:
    """The exchange operation, bound to the platform for its keys and short codes."""

    platform: Platform
    # Whoever may sell may ask: the approval lifts the rest (decision 0008).
    rights: ClassVar = Rights((Permission.SELL,), approvals=(ApprovalAction.EXCHANGE,))

    @property
    def kind(self) -> Kind[ExchangeIn, ExchangeView]:
        return Kind(OpKind.EXCHANGE, ExchangeIn, self.apply, self.rebuild, self.rights)

    async def apply(
        self, work: Work, scope: Scope, op: Operation[ExchangeIn], exchange_id: str
    ) -> ExchangeView:
        """Give a new ticket for a lost one. Raises E_NOT_FOUND, E_CONFLICT (cancelled, refunded,
        exchanged, or its sale has not arrived), E_PERMISSION, E_VALIDATION, E_REPRINT_LIMIT."""
        lost = await TicketRepository.of(work, scope).get(op.body.ticket_id, **scope.own_only)
        approver, more = await approvals.require(
            work,
            scope,
            op,
            ApprovalAction.EXCHANGE,
            entities=entities(lost.sale_id, [lost.ticket_id]),
            permissions={Permission.REPRINT},
        )
        flags = [*op.flags, *more]
        if problem := _problem(lost):
            raise PlayParkError(ErrorCode.CONFLICT, problem)
        rules = await catalog.snapshot(work, scope)
        flags += approvals.reason_flags(op, rules.reason_codes, ReasonKind.REPRINT)
        flags += await reprinting.count(work, scope, op, rules.settings.reprints)
        new = await self._replace(work, scope, lost)
        sold = await read(work, scope, lost.sale_id)
        exchange = Reprint(
            id=exchange_id,
            tenant_id=scope.tenant_id,
            store_id=scope.store_id,
            op_id=op.op_id,
            sale_id=sold.sale.id,
            receipt_no=sold.sale.receipt_no,
            whole=False,
            replaces=lost.ticket_id,
            tickets=[{"ticket_id": new.ticket_id, "used": new.used, "status": new.status.value}],
            copies=1,
            sale_status=sold.sale.status,
            sale_refunded=sold.sale.refunded,
            reason_code=op.body.reason_code,
            reason_text=op.body.reason_text,
            business_date=op.day(scope),
            occurred_at=op.occurred_at,
            device_id=scope.device.device_id,
            shift_id=await shifts.book_reprint(work, scope, op),
            employee_id=scope.actor_id,
            employee_name=scope.actor_name,
            approver_id=approver.employee_id if approver else None,
            approved_by=approver.name if approver else None,
            flags=flags,
        )
        await ReprintRepository.of(work, scope).insert(exchange)
        await _tell(work, scope, exchange, new)
        return await self._answer(scope, exchange, new)

    async def rebuild(self, work: Work, scope: Scope, record: OpRecord) -> ExchangeView:
        """The same ticket with the same token (R15)."""
        exchange = await ReprintRepository.of(work, scope).find_one(_id=record.result_id)
        tickets = TicketRepository.of(work, scope)
        part = exchange.tickets[0] if exchange else {"ticket_id": ""}
        new = await tickets.find_one(_id=tickets.key(part["ticket_id"]))
        if exchange is None or new is None:
            raise PlayParkError(ErrorCode.NOT_FOUND, "There is no such exchange.")
        # As it stood when it was given, whatever has happened since.
        then = {"used": part["used"], "status": TicketStatus(part["status"])}
        return await self._answer(scope, exchange, new.model_copy(update=then))

    async def _replace(self, work: Work, scope: Scope, lost: Ticket) -> Ticket:
        """Void the lost ticket under the condition that it is as it was read, and put the new one
        in its place."""
        tickets = TicketRepository.of(work, scope)
        keys = await self.platform.ticket_keys(scope)
        ticket_id = new_ulid()
        (code,) = await stores.server_short_codes(self.platform, scope.tenant_id, 1)
        voided = await tickets.update_one(
            {"$set": {"status": TicketStatus.CANCELLED.value, "replaced_by": ticket_id}},
            _id=lost.id,
            status=TicketStatus.ACTIVE.value,
            used=lost.used,
            last_pass_at=lost.last_pass_at,
        )
        if not voided:
            message = "The ticket has just changed: look at it again."
            raise PlayParkError(ErrorCode.CONFLICT, message)
        new = lost.model_copy(
            update={
                "id": tickets.key(ticket_id),
                "ticket_id": ticket_id,
                "short_code": code,
                "kid": keys.current,
                "token_hash": issuing.hash_of(keys, scope.tenant_id, ticket_id),
                "issued_by": scope.actor_id,
                "printed_count": 0,
                "replaces": lost.ticket_id,
                # The server signs this one, whoever signed the lost one (R22).
                "issued_at": None,
                "serial": None,
                "sealed_signature": None,
            }
        )
        return await tickets.insert(new)

    async def _answer(self, scope: Scope, exchange: Reprint, new: Ticket) -> ExchangeView:
        keys = await self.platform.ticket_keys(scope)
        ticket = issuing.view(new, keys).model_copy(update={"replaces": exchange.replaces})
        return ExchangeView(
            exchange_id=exchange.id,
            sale_id=exchange.sale_id,
            replaces=str(exchange.replaces),
            ticket=ticket,
            reason_code=exchange.reason_code,
            reason_text=exchange.reason_text,
            occurred_at=exchange.occurred_at,
            device_id=exchange.device_id,
            employee_name=exchange.employee_name,
            approved_by=exchange.approved_by,
            flags=exchange.flags,
        )


def _problem(lost: Ticket) -> str | None:
    """Why this ticket is not exchanged: what to do instead."""
    match lost.status:
        case TicketStatus.CANCELLED if lost.replaced_by:
            return "This ticket was exchanged already: look up the new one."
        case TicketStatus.CANCELLED:
            return "This ticket was cancelled: sell the guest a new one."
        case TicketStatus.REFUNDED:
            return "This ticket was refunded: sell the guest a new one."
        case TicketStatus.PENDING:
            return "The sale of this ticket has not arrived yet: sync its till first."
    return None


async def _tell(work: Work, scope: Scope, exchange: Reprint, new: Ticket) -> None:
    """The event and, last of all statements, the audit row."""
    facts = {
        "sale_id": exchange.sale_id,
        "ticket_id": new.ticket_id,
        "replaces": exchange.replaces,
    }
    await events.emit(work, scope, ("ticket.exchanged", {"exchange_id": exchange.id, **facts}))
    payload = {
        **facts,
        "receipt_no": exchange.receipt_no,
        "used": new.used,
        "reason_code": exchange.reason_code,
        "reason_text": exchange.reason_text,
        "approver_id": exchange.approver_id,
        "flags": exchange.flags,
    }
    await audit.append(work, scope, "ticket.exchanged", exchange.id, payload)
