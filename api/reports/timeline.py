"""A ticket's whole story in one call: sold, issued, printed, shown at gates, given back, and what
the audit trail has about it (001 §4, §6; R45).

The documents tell the story; a row of the audit trail that says the same as one of them only adds
its id there, and what has no document of its own stands by itself.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from api.audit.reading import row_view
from api.audit.repository import AuditRepository
from api.identity.repository import DeviceRepository, EmployeeRepository
from api.platform.scope import Scope
from api.platform.uow import Work
from api.refunds.models import Refund, Reprint, VoidedSale
from api.refunds.repository import RefundRepository, ReprintRepository, VoidRepository
from api.reports.repository import Books
from api.sales.models import Sale
from api.sales.repository import SaleRepository
from api.tickets.models import Redemption, Ticket
from api.tickets.repository import RedemptionRepository, TicketRepository
from playpark.contracts.audit import AuditView, StoryEntry, StoryKind, TicketTimeline, Who
from playpark.contracts.tickets import Direction, RedemptionResult
from playpark.errors import ErrorCode, PlayParkError
from playpark.guest_text import guest_message
from playpark.money import format_satang
from playpark.redemption import Decision

MOST = 500
"""Redemptions and audit rows, each; the oldest redemptions are left out."""
ORDER = list(StoryKind)
Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Moment:
    """An entry before names are known. `audited` is the audit row that says the same, as (event
    type, entity)."""

    at: datetime
    kind: StoryKind
    what: str
    who: str | None
    device: str | None
    ids: dict[str, str]
    details: dict[str, Any]
    audited: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Documents:
    """All that a ticket's story is made of."""

    ticket: Ticket
    sale: Sale | None
    redemptions: list[Redemption]
    refunds: list[Refund]
    reprints: list[Reprint]
    void: VoidedSale | None
    left_out: int

    def entities(self) -> set[str]:
        """What audit rows may be about: the documents, and the operations that made them, for an
        approval may name the operation to come."""
        written = [self.sale, self.void, *self.redemptions, *self.refunds, *self.reprints]
        known = [each for each in written if each is not None]
        ids = {each.id for each in known} | {each.op_id for each in known}
        return ids | {self.ticket.ticket_id, self.ticket.sale_id}


async def of_ticket(work: Work, scope: Scope, ticket_id: str) -> TicketTimeline:
    """The story of one of the store's tickets. Raises E_NOT_FOUND."""
    found = await _read(work, scope, ticket_id)
    rows = await AuditRepository.of(work, scope).about(found.entities(), MOST)
    moments = _merged([*_told(found, scope)], [row_view(row) for row in rows])
    people, devices = await _names(work, scope, moments)
    ticket, sale = found.ticket, found.sale
    return TicketTimeline(
        ticket_id=ticket.ticket_id,
        short_code=ticket.short_code,
        sale_id=ticket.sale_id,
        receipt_no=sale.receipt_no if sale else None,
        status=ticket.status,
        left_out=found.left_out,
        entries=[
            StoryEntry(
                at=each.at,
                kind=each.kind,
                what=each.what,
                who=_named(each.who, people),
                device=_named(each.device, devices),
                ids=each.ids,
                details=each.details,
            )
            for each in sorted(moments, key=lambda each: (each.at, ORDER.index(each.kind)))
        ],
    )


async def _read(work: Work, scope: Scope, ticket_id: str) -> Documents:
    tickets = TicketRepository.of(work, scope)
    ticket = await tickets.find_one(_id=tickets.key(ticket_id))
    if ticket is None:
        raise PlayParkError(ErrorCode.NOT_FOUND, "There is no such ticket.")
    sale_id = ticket.sale_id
    redemptions = RedemptionRepository.of(work, scope)
    shown = await redemptions.find(
        sort="occurred_at", descending=True, limit=MOST, ticket_id=ticket_id
    )
    everything = 0
    if len(shown) == MOST:
        books = Books(work, scope.tenant_id, scope.store_id)
        everything = await books.count(Redemption, ticket_id=ticket_id)
    refunds = await RefundRepository.of(work, scope).find(limit=MOST, sale_id=sale_id)
    reprints = await ReprintRepository.of(work, scope).find(limit=MOST, sale_id=sale_id)
    return Documents(
        ticket=ticket,
        sale=await SaleRepository.of(work, scope).find_one(_id=sale_id),
        redemptions=shown,
        refunds=[each for each in refunds if _part(each, ticket_id) is not None],
        reprints=[each for each in reprints if _part(each, ticket_id) is not None],
        void=await VoidRepository.of(work, scope).find_one(sale_id=sale_id),
        left_out=max(0, everything - MOST),
    )


def _part(paper: Refund | Reprint, ticket_id: str) -> Row | None:
    """What of a refund or reprint is this ticket's."""
    return next((part for part in paper.tickets if part["ticket_id"] == ticket_id), None)


# --- what happened --------------------------------------------------------------------------


def _told(found: Documents, scope: Scope) -> Iterator[Moment]:
    yield from _beginning(found.ticket, found.sale)
    for redemption in found.redemptions:
        yield from _shown(redemption, scope)
    for reprint in found.reprints:
        yield _reprinted(reprint)
    for refund in found.refunds:
        yield _refunded(refund, _part(refund, found.ticket.ticket_id) or {})
    if found.void is not None:
        yield _voided(found.void)


def _beginning(ticket: Ticket, sale: Sale | None) -> Iterator[Moment]:
    at = sale.occurred_at if sale else ticket.created_at
    if sale is not None:
        yield Moment(
            at,
            StoryKind.SOLD,
            f"Sold on receipt {sale.receipt_no}, {format_satang(sale.grand_total)} baht in all.",
            sale.cashier_id,
            sale.device_id,
            {"sale": sale.id},
            {
                "receipt_no": sale.receipt_no,
                "grand_total": sale.grand_total,
                "payment_method": sale.payment_method,
                "shift_id": sale.shift_id,
                "flags": sale.flags,
            },
            ("sale.created", sale.id),
        )
    yield Moment(
        at,
        StoryKind.ISSUED,
        f"{ticket.package_name} was issued as ticket {ticket.short_code}.",
        ticket.issued_by,
        ticket.device_id,
        {"ticket": ticket.ticket_id},
        {
            "package_id": ticket.package_id,
            "kind": ticket.kind.value,
            "quota_or_minutes": ticket.quota_or_minutes,
            "valid_from": ticket.valid_from.isoformat(timespec="milliseconds"),
            "valid_to": ticket.valid_to.isoformat(timespec="milliseconds"),
            "payable": ticket.slice["payable"],
        },
    )


def _shown(row: Redemption, scope: Scope) -> Iterator[Moment]:
    passed = row.result is RedemptionResult.PASS
    yield Moment(
        row.occurred_at,
        StoryKind.PASS if passed else StoryKind.FAIL,
        _at_the_gate(row, scope),
        row.employee_id,
        row.device_id,
        {"redemption": row.id},
        {
            "zone_id": row.zone_id,
            "direction": row.direction.value,
            "reason": row.reason.value if row.reason else None,
            "remaining": row.remaining,
            "flags": row.flags,
        },
    )
    if row.annulled_at is not None:
        yield Moment(
            row.annulled_at,
            StoryKind.ANNULLED,
            "The admission was annulled: its quota and clock came back.",
            None,
            row.device_id,
            {"redemption": row.id},
            {"because": row.annulled_because},
            ("redemption.annulled", row.id),
        )


def _at_the_gate(row: Redemption, scope: Scope) -> str:
    if row.result is RedemptionResult.PASS:
        return "Left." if row.direction is Direction.EXIT else "Admitted."
    decision = Decision(RedemptionResult(row.result), row.reason, row.remaining)
    english, _ = guest_message(
        decision, row.kind, zone=scope.zone, used_at=row.used_at, direction=row.direction
    )
    return f"Refused. {english}"


def _reprinted(row: Reprint) -> Moment:
    return Moment(
        row.occurred_at,
        StoryKind.REPRINTED,
        "Printed again, with its receipt." if row.whole else "Printed again.",
        row.employee_id,
        row.device_id,
        {"reprint": row.id},
        {**_why(row), "copies": row.copies},
        ("reprint.created", row.id),
    )


def _refunded(row: Refund, part: Row) -> Moment:
    amount = int(part.get("amount", 0))
    return Moment(
        row.occurred_at,
        StoryKind.REFUNDED,
        f"{format_satang(amount)} baht of it were given back on {row.receipt_no}.",
        row.employee_id,
        row.device_id,
        {"refund": row.id},
        {**_why(row), "amount": amount, "method": row.method, "receipt_no": row.receipt_no},
        ("refund.created", row.id),
    )


def _voided(row: VoidedSale) -> Moment:
    return Moment(
        row.occurred_at,
        StoryKind.VOIDED,
        f"The whole sale {row.receipt_no} was voided.",
        row.employee_id,
        row.device_id,
        {"void": row.id},
        _why(row),
        ("sale.voided", row.sale_id),
    )


def _why(row: Refund | Reprint | VoidedSale) -> dict[str, Any]:
    return {
        "reason_code": row.reason_code,
        "reason_text": row.reason_text,
        "approver_id": row.approver_id,
        "approved_by": row.approved_by,
        "flags": row.flags,
    }


# --- the audit trail, and names -------------------------------------------------------------


def _merged(moments: list[Moment], rows: list[AuditView]) -> list[Moment]:
    """The moments with the ids of the rows that say the same, and the other rows."""
    by_row = {each.audited: each for each in moments if each.audited}
    for row in rows:
        told = by_row.pop((row.event_type, row.entity_id), None)
        if told is not None:
            told.ids["audit"] = row.audit_id
        else:
            moments.append(_noted(row))
    return moments


def _noted(row: AuditView) -> Moment:
    return Moment(
        row.ts,
        StoryKind.NOTED,
        f"{row.event_type.replace('.', ' ').replace('_', ' ').capitalize()}.",
        row.actor_id,
        row.device_id,
        {"audit": row.audit_id},
        {"event_type": row.event_type, "entity_id": row.entity_id, "payload": row.payload},
    )


async def _names(
    work: Work, scope: Scope, moments: list[Moment]
) -> tuple[dict[str, str], dict[str, str]]:
    """What the people and devices of a story are called now."""
    who = sorted({each.who for each in moments if each.who})
    where = sorted({each.device for each in moments if each.device})
    people = await EmployeeRepository.of(work, scope).find(limit=len(who) or 1, _id={"$in": who})
    devices = await DeviceRepository.of(work, scope).find(limit=len(where) or 1, _id={"$in": where})
    return {each.id: each.name for each in people}, {each.id: each.name for each in devices}


def _named(each: str | None, names: dict[str, str]) -> Who | None:
    return None if each is None else Who(id=each, name=names.get(each))
