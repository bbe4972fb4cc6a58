"""A ticket's whole story in one call: sold, issued, printed, shown at gates, exchanged, given back,
and what the audit trail has about it (001 §4, §6; R25, R45).

A guest's ticket is all that was exchanged for one another: they share a story. The documents tell
it; a row of the audit trail that says the same as one of them only adds its id there, and what has
no document of its own stands by itself.
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
from api.tickets.models import Annulment, Cancellation, Redemption, Ticket
from api.tickets.repository import (
    AnnulmentRepository,
    CancellationRepository,
    RedemptionRepository,
    TicketRepository,
)
from playpark.contracts.audit import AuditView, StoryEntry, StoryKind, TicketTimeline, Who
from playpark.contracts.tickets import Direction, RedemptionResult
from playpark.guest_text import guest_message
from playpark.money import format_satang
from playpark.redemption import Decision

MOST = 500
"""Redemptions and audit rows, each; the oldest redemptions are left out."""
EXCHANGES = 50
"""Tickets in a row, given for one another: nobody loses more."""
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
    """The one that was asked for."""
    line: list[Ticket]
    """All that were given for one another, the first one first."""
    sale: Sale | None
    redemptions: list[Redemption]
    annulments: list[Annulment]
    refunds: list[Refund]
    reprints: list[Reprint]
    cancellation: Cancellation | None
    void: VoidedSale | None
    left_out: int

    @property
    def ids(self) -> list[str]:
        return [ticket.ticket_id for ticket in self.line]

    def entities(self) -> set[str]:
        """What audit rows may be about: the documents, and the operations that made them, for an
        approval may name the operation to come."""
        written = [self.sale, self.void, self.cancellation, *self.redemptions, *self.annulments]
        known = [each for each in (*written, *self.refunds, *self.reprints) if each is not None]
        ids = {each.id for each in known} | {each.op_id for each in known}
        return ids | {*self.ids, self.ticket.sale_id} - {""}


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
    ticket = await tickets.get(ticket_id)
    sale_id, line = ticket.sale_id, await _line(tickets, ticket)
    ids = [each.ticket_id for each in line]
    theirs: dict[str, Any] = {"ticket_id": {"$in": ids}}
    shown = await RedemptionRepository.of(work, scope).find(
        sort="occurred_at", descending=True, limit=MOST, **theirs
    )
    everything = 0
    if len(shown) == MOST:
        books = Books(work, scope.tenant_id, scope.store_id)
        everything = await books.count(Redemption, **theirs)
    annulled = {"$in": [row.id for row in shown if row.annulled_at is not None]}
    refunds = await RefundRepository.of(work, scope).find(limit=MOST, sale_id=sale_id)
    reprints = await ReprintRepository.of(work, scope).find(limit=MOST, sale_id=sale_id)
    return Documents(
        ticket=ticket,
        line=line,
        sale=await SaleRepository.of(work, scope).find_one(_id=sale_id),
        redemptions=shown,
        annulments=await AnnulmentRepository.of(work, scope).find(
            limit=MOST, redemption_id=annulled
        ),
        refunds=[each for each in refunds if _part(each, ids) is not None],
        reprints=[each for each in reprints if _part(each, ids) is not None],
        cancellation=await CancellationRepository.of(work, scope).find_one(**theirs),
        void=await VoidRepository.of(work, scope).find_one(sale_id=sale_id),
        left_out=max(0, everything - MOST),
    )


async def _line(tickets: TicketRepository, ticket: Ticket) -> list[Ticket]:
    """The ticket with those that it was given for and those that were given for it."""
    line = [ticket]
    while line[0].replaces is not None and len(line) < EXCHANGES:
        earlier = await tickets.find_one(_id=tickets.key(line[0].replaces))
        if earlier is None:
            break
        line.insert(0, earlier)
    while line[-1].replaced_by is not None and len(line) < EXCHANGES:
        later = await tickets.find_one(_id=tickets.key(line[-1].replaced_by))
        if later is None:
            break
        line.append(later)
    return line


def _part(paper: Refund | Reprint, ids: list[str]) -> Row | None:
    """What of a refund or reprint is these tickets'."""
    return next((part for part in paper.tickets if part["ticket_id"] in ids), None)


# --- what happened --------------------------------------------------------------------------


def _told(found: Documents, scope: Scope) -> Iterator[Moment]:
    yield from _beginning(found.line[0], found.sale)
    for redemption in found.redemptions:
        yield _shown(redemption, scope)
    for annulment in found.annulments:
        yield _annulled(annulment)
    codes = {ticket.ticket_id: ticket.short_code for ticket in found.line}
    for reprint in found.reprints:
        yield _exchanged(reprint, codes) if reprint.replaces else _reprinted(reprint)
    for refund in found.refunds:
        yield _refunded(refund, _part(refund, found.ids) or {})
    if found.cancellation is not None:
        yield _cancelled(found.cancellation)
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


def _shown(row: Redemption, scope: Scope) -> Moment:
    passed = row.result is RedemptionResult.PASS
    return Moment(
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
            "ticket_id": row.ticket_id,
            "gate_result": row.gate_result.value if row.gate_result else None,
            "credit_shortfall": row.credit_shortfall,
            "flags": row.flags,
        },
    )


def _annulled(row: Annulment) -> Moment:
    return Moment(
        row.annulled_at,
        StoryKind.ANNULLED,
        "The admission was annulled: its quota and clock came back.",
        row.employee_id,
        row.device_id,
        {"redemption": row.redemption_id},
        {"because": row.because, "reason_text": row.reason_text, "flags": row.flags},
        ("redemption.annulled", row.redemption_id),
    )


def _at_the_gate(row: Redemption, scope: Scope) -> str:
    if row.result is RedemptionResult.PASS:
        return "Left." if row.direction is Direction.EXIT else "Admitted."
    if row.gate_result is RedemptionResult.PASS:
        reason = row.reason.value.replace("_", " ") if row.reason else "refused"
        return f"Let in by the gate, where the server has: {reason}."
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


def _exchanged(row: Reprint, codes: dict[str, str]) -> Moment:
    new = row.tickets[0]["ticket_id"]
    lost, given = codes.get(row.replaces or "", "?"), codes.get(new, "?")
    return Moment(
        row.occurred_at,
        StoryKind.EXCHANGED,
        f"Ticket {lost} was lost: ticket {given} was given for it.",
        row.employee_id,
        row.device_id,
        {"reprint": row.id, "ticket": new},
        {**_why(row), "replaces": row.replaces, "used": row.tickets[0]["used"]},
        ("ticket.exchanged", row.id),
    )


def _cancelled(row: Cancellation) -> Moment:
    return Moment(
        row.occurred_at,
        StoryKind.CANCELLED,
        "The ticket was cancelled: it admits nobody any more, and no money was moved.",
        row.employee_id,
        row.device_id,
        {"cancellation": row.id},
        _why(row),
        ("ticket.cancelled", row.id),
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


def _why(row: Refund | Reprint | VoidedSale | Cancellation) -> dict[str, Any]:
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
