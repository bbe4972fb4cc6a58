"""Finding tickets by what a guest holds: a code, a QR token, a receipt (R21, R53)."""

from dataclasses import astuple, dataclass

from api.platform.documents import scoped_id
from api.platform.operations import OpRepository
from api.platform.scope import Scope
from api.platform.services import Platform
from api.platform.uow import Work
from api.receipts.repository import LedgerRepository
from api.tickets import issuing
from api.tickets.models import Ticket
from api.tickets.redeeming import Redeeming
from api.tickets.repository import TicketRepository
from playpark.contracts.tickets import FailReason, RedeemIn, TicketView
from playpark.errors import ErrorCode, PlayParkError
from playpark.redemption import authentic


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the tickets are looked up by: exactly one of them."""

    short_code: str | None = None
    qr: str | None = None
    sale_id: str | None = None
    receipt_no: str | None = None


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
        return await _of_sale(work, scope, sale_id)
    body = RedeemIn(short_code=wanted.short_code, qr_token=wanted.qr)
    shown = await Redeeming(platform).find(scope, body)
    if isinstance(shown, FailReason):
        return []
    tickets = TicketRepository.of(work, scope)
    found = await tickets.find_one(**shown.lookup(tickets), **scope.own_only)
    return [view(found)] if found and authentic(found.state, shown.key) else []


async def ticket(platform: Platform, scope: Scope, ticket_id: str) -> TicketView:
    """One ticket of the store. Raises E_NOT_FOUND."""
    tickets = TicketRepository.of(platform.uow.reading(), scope)
    found = await tickets.find_one(_id=tickets.key(ticket_id), **scope.own_only)
    if found is None:
        raise PlayParkError(ErrorCode.NOT_FOUND, "There is no such ticket.")
    return view(found)


def view(ticket: Ticket) -> TicketView:
    """A ticket as it is now, without its token."""
    return issuing.view(ticket, None).model_copy(
        update={
            "sale_id": ticket.sale_id,
            "refunded": ticket.refunded,
            "printed_count": ticket.printed_count,
        }
    )


async def _of_sale(work: Work, scope: Scope, sale_id: str) -> list[TicketView]:
    found = await issuing.of_sale(work, scope, sale_id, **scope.own_only)
    return [view(each) for each in found]


async def _sale_of_receipt(work: Work, scope: Scope, receipt_no: str) -> str:
    """The sale that took this number, by way of the ledger and the operation: two reads by id.
    Empty where nothing did."""
    here = (scope.tenant_id, scope.store_id)
    entry = await LedgerRepository.of(work, scope).find_one(_id=scoped_id(*here, receipt_no))
    if entry is None:
        return ""
    key = scoped_id(*here, entry.device_id, entry.op_id)
    record = await OpRepository.of(work, scope).find_one(_id=key)
    return record.result_id if record else ""
