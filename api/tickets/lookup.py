"""Finding tickets by what a guest holds: a code, a QR token, a receipt (R21, R53)."""

from dataclasses import astuple, dataclass
from datetime import datetime, timedelta
from typing import Any

from api.platform.documents import scoped_id
from api.platform.operations import OpRepository
from api.platform.scope import Scope
from api.platform.services import Platform
from api.platform.uow import Work
from api.receipts.repository import LedgerRepository
from api.tickets import issuing
from api.tickets.models import Ticket
from api.tickets.redeeming import Redeeming, as_asked
from api.tickets.repository import TicketRepository
from playpark.contracts.tickets import (
    Direction,
    FailReason,
    RedeemIn,
    RedemptionResult,
    TicketView,
)
from playpark.errors import ErrorCode, PlayParkError
from playpark.guest_text import guest_message
from playpark.redemption import Scan, authentic, decide

EXCHANGED = (
    "This ticket was reported lost and exchanged. Please show the new one.",
    "ตั๋วนี้แจ้งหายและเปลี่ยนใบใหม่แล้ว กรุณาแสดงตั๋วใบใหม่",
)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the tickets are looked up by: exactly one of them."""

    short_code: str | None = None
    qr: str | None = None
    sale_id: str | None = None
    receipt_no: str | None = None


@dataclass(frozen=True, slots=True)
class Showings:
    """Which redemptions a list has; `since` is included, `until` is not."""

    ticket_id: str | None = None
    zone_id: str | None = None
    device_id: str | None = None
    direction: Direction | None = None
    result: RedemptionResult | None = None
    reason: FailReason | None = None
    since: datetime | None = None
    until: datetime | None = None

    def conditions(self) -> dict[str, Any]:
        moments = {
            name: moment for name, moment in (("$gte", self.since), ("$lt", self.until)) if moment
        }
        found = {
            "ticket_id": self.ticket_id,
            "zone_id": self.zone_id,
            "device_id": self.device_id,
            "direction": self.direction,
            "result": self.result,
            "reason": self.reason,
            "occurred_at": moments,
        }
        return {name: value for name, value in found.items() if value}


async def find(platform: Platform, scope: Scope, wanted: Wanted) -> list[TicketView]:
    """The store's tickets that `wanted` names, none where there are none; a foreign or forged
    token is verified away before anything is read.

    Raises E_VALIDATION for none or several keys.
    """
    if sum(key is not None for key in astuple(wanted)) != 1:
        message = "Look tickets up by one of short_code, qr, sale_id and receipt_no."
        raise PlayParkError(ErrorCode.VALIDATION, message)
    work = platform.uow.reading()
    if wanted.sale_id is not None:
        return await _of_sale(work, scope, wanted.sale_id)
    if wanted.receipt_no is not None:
        sale_id = await _sale_of_receipt(work, scope, wanted.receipt_no)
        return await _of_sale(work, scope, sale_id) if sale_id else []
    body = RedeemIn(short_code=wanted.short_code, qr_token=wanted.qr)
    shown = await as_asked(work, scope, await Redeeming(platform).find(scope, body))
    if isinstance(shown, FailReason):
        return []
    tickets = TicketRepository.of(work, scope)
    found = await tickets.find_one(**shown.lookup(tickets), **scope.own_only)
    return [view(found, scope, work.now)] if found and authentic(found.state, shown.key) else []


async def ticket(platform: Platform, scope: Scope, ticket_id: str) -> TicketView:
    """One ticket of the store. Raises E_NOT_FOUND."""
    work = platform.uow.reading()
    found = await TicketRepository.of(work, scope).get(ticket_id, **scope.own_only)
    return view(found, scope, work.now)


def view(ticket: Ticket, scope: Scope, now: datetime) -> TicketView:
    """A ticket as it is now, without its token, and what to tell the guest (R53)."""
    english, thai = _message(ticket, scope, now)
    return issuing.view(ticket, None).model_copy(
        update={
            "sale_id": ticket.sale_id,
            "refunded": ticket.refunded,
            "printed_count": ticket.printed_count,
            "replaced_by": ticket.replaced_by,
            "replaces": ticket.replaces,
            "message": english,
            "message_th": thai,
        }
    )


def _message(ticket: Ticket, scope: Scope, now: datetime) -> tuple[str, str]:
    """(English, Thai): whether the ticket is good, wherever it is shown, and what to do if not."""
    if ticket.replaced_by is not None:
        return EXCHANGED
    anywhere = Scan(at=now, credit_price=0, anti_passback=timedelta(0), binding=False)
    decision = decide(ticket.state, anywhere)
    if not decision.passed:
        return guest_message(decision, ticket.kind, zone=scope.zone, used_at=ticket.last_pass_at)
    until = min(ticket.valid_to, ticket.ends_at or ticket.valid_to).astimezone(scope.zone)
    return (
        f"This ticket is good until {until:%d %b %Y %H:%M}.",
        f"ตั๋วใช้ได้ถึง {until:%d/%m/%Y %H:%M} น.",
    )


async def _of_sale(work: Work, scope: Scope, sale_id: str) -> list[TicketView]:
    found = await issuing.of_sale(work, scope, sale_id, **scope.own_only)
    return [view(each, scope, work.now) for each in found]


async def _sale_of_receipt(work: Work, scope: Scope, receipt_no: str) -> str | None:
    """The sale that took this number, by way of the ledger and the operation: two reads by id.
    None where nothing did."""
    here = (scope.tenant_id, scope.store_id)
    entry = await LedgerRepository.of(work, scope).find_one(_id=scoped_id(*here, receipt_no))
    if entry is None:
        return None
    key = scoped_id(*here, entry.device_id, entry.op_id)
    record = await OpRepository.of(work, scope).find_one(_id=key)
    return record.result_id if record else None
