"""Carts that are put aside: parked, found on any till, priced anew, settled once (R13)."""

from datetime import datetime, timedelta
from typing import Any

from api.audit import service as audit
from api.catalog import service as catalog
from api.open_tickets.models import OpenTicket
from api.open_tickets.repository import OpenTicketRepository
from api.platform.operations import Kind, Operation, OpRecord, chain_key
from api.platform.permissions import Rights
from api.platform.scope import Scope
from api.platform.services import Platform
from api.platform.uow import Work
from playpark.contracts.base import Page
from playpark.contracts.employees import Permission
from playpark.contracts.open_tickets import (
    OpenTicketIn,
    OpenTicketPatch,
    OpenTicketStatus,
    OpenTicketSummary,
    OpenTicketView,
)
from playpark.contracts.pricing import Cart, PricedCart
from playpark.contracts.sync import OpKind
from playpark.errors import ErrorCode, PlayParkError

GONE, LATE = "open_ticket_gone", "open_ticket_expired"
KEPT = timedelta(days=30)
"""How long a parked cart can still be looked at after its time."""
_PROBLEMS = {
    OpenTicketStatus.CHECKED_OUT: "It was checked out already: look the sale up.",
    OpenTicketStatus.DELETED: "It was taken off the list: ring it again.",
    OpenTicketStatus.EXPIRED: "It was parked for too long: ring it again.",
}


async def _park(
    work: Work, scope: Scope, op: Operation[OpenTicketIn], open_ticket_id: str
) -> OpenTicketView:
    """Put a cart aside. Raises what pricing raises: what cannot be sold cannot be parked
    either."""
    body = op.body
    priced = await catalog.price_cart(work, scope, body.cart, at=work.now)
    parked = OpenTicket(
        id=open_ticket_id,
        tenant_id=scope.tenant_id,
        store_id=scope.store_id,
        name=body.name,
        **_of_cart(body.cart, priced),
        parked_by=scope.actor_name,
        device_id=scope.device.device_id,
        parked_at=work.now,
        **await _times(work, scope),
    )
    answer = _view(parked, work.now, priced)
    parked.answer = answer.model_dump(mode="json")
    await OpenTicketRepository.of(work, scope).insert(parked)
    return answer


async def _parked_answer(work: Work, scope: Scope, record: OpRecord) -> OpenTicketView:
    parked = await _get(work, scope, record.result_id)
    return OpenTicketView.model_validate(parked.answer)


# A kiosk sells by itself, but its guest has nothing to do with the carts of others.
MAY_PARK = Rights((Permission.SELL,), person=True)
PARK = Kind(OpKind.PARK, OpenTicketIn, _park, _parked_answer, MAY_PARK, audited=False)


async def page(work: Work, scope: Scope, limit: int, cursor: str | None) -> Page[OpenTicketSummary]:
    """The store's parked carts that can be checked out, the newest first."""
    found, more = await OpenTicketRepository.of(work, scope).parked(limit, cursor)
    return Page(items=[_summary(each, work.now) for each in found], next_cursor=more)


async def read(work: Work, scope: Scope, open_ticket_id: str) -> OpenTicketView:
    """A parked cart and what it costs now. Raises E_NOT_FOUND."""
    return await _priced(work, scope, await _get(work, scope, open_ticket_id))


async def change(
    platform: Platform, scope: Scope, open_ticket_id: str, body: OpenTicketPatch
) -> OpenTicketView:
    """Change name or cart; another cart is parked for its full time again.

    Raises E_NOT_FOUND, what pricing raises, and E_CONFLICT where it was changed or settled since it
    was read.
    """
    work = platform.uow.reading()
    changes: dict[str, Any] = {}
    if body.name is not None:
        changes["name"] = body.name
    if body.cart is not None:
        priced = await catalog.price_cart(work, scope, body.cart, at=work.now)
        changes |= _of_cart(body.cart, priced) | await _times(work, scope)
    changed = await OpenTicketRepository.of(work, scope).edit(
        open_ticket_id, changes, version=body.version
    )
    if changed is None:
        raise _refusal(await _get(work, scope, open_ticket_id), work.now)
    return await _priced(work, scope, changed)


async def delete(platform: Platform, scope: Scope, open_ticket_id: str) -> OpenTicketView:
    """Take a parked cart off the list; audited, for a cart that nobody paid tells something.

    Raises E_NOT_FOUND, E_CONFLICT.
    """

    async def transaction(work: Work) -> OpenTicketView:
        gone = await OpenTicketRepository.of(work, scope).edit(
            open_ticket_id, {"status": OpenTicketStatus.DELETED.value}
        )
        if gone is None:
            raise _refusal(await _get(work, scope, open_ticket_id), work.now)
        facts = {"grand_total": gone.grand_total, "pieces": gone.pieces}
        await audit.append(work, scope, "open_ticket.deleted", gone.id, facts)
        return _view(gone, work.now)

    return await platform.uow.run(transaction, queue=chain_key(scope))


# --- for sales --------------------------------------------------------------------------


async def cart_of(work: Work, scope: Scope, open_ticket_id: str) -> Cart:
    """The cart that was parked, whatever has become of it. Raises E_NOT_FOUND."""
    return Cart.model_validate((await _get(work, scope, open_ticket_id)).cart)


async def settle(
    work: Work, scope: Scope, op: Operation[Any], open_ticket_id: str, sale_id: str
) -> list[str]:
    """Check a parked cart out in its sale's transaction: one sale only. Returns flags.

    Raises E_NOT_FOUND, and E_CONFLICT where it is settled, deleted or expired; for money that is
    taken already these are flags (R17).
    """
    parked = OpenTicketRepository.of(work, scope)
    if await parked.check_out(open_ticket_id, sale_id):
        return []
    if not op.committed:
        raise _refusal(await _get(work, scope, open_ticket_id), work.now)
    late = await parked.check_out(open_ticket_id, sale_id, late=True)
    return [LATE if late else GONE]


# --- inside -----------------------------------------------------------------------------


async def _get(work: Work, scope: Scope, open_ticket_id: str) -> OpenTicket:
    found = await OpenTicketRepository.of(work, scope).find_one(_id=open_ticket_id)
    if found is None:
        raise PlayParkError(ErrorCode.NOT_FOUND, "There is no such parked cart.")
    return found


def _refusal(parked: OpenTicket, now: datetime) -> PlayParkError:
    status = _status(parked, now)
    message = "Somebody has changed this parked cart: read it again."
    if status is not OpenTicketStatus.OPEN:
        message = f"This parked cart is no longer there. {_PROBLEMS[status]}"
    details = {"status": status.value, "version": parked.version}
    return PlayParkError(ErrorCode.CONFLICT, message, details=details)


def _of_cart(cart: Cart, priced: PricedCart) -> dict[str, Any]:
    return {
        "cart": cart.model_dump(mode="json", exclude_unset=True),
        "pieces": sum(line.qty for line in cart.lines),
        "grand_total": priced.grand_total,
    }


async def _times(work: Work, scope: Scope) -> dict[str, Any]:
    hours = (await catalog.snapshot(work, scope)).settings.sales.parked_hours
    expires_at = work.now + timedelta(hours=hours)
    return {"expires_at": expires_at, "purge_at": expires_at + KEPT}


def _status(parked: OpenTicket, now: datetime) -> OpenTicketStatus:
    if parked.status is OpenTicketStatus.OPEN and parked.expires_at <= now:
        return OpenTicketStatus.EXPIRED
    return parked.status


async def _priced(work: Work, scope: Scope, parked: OpenTicket) -> OpenTicketView:
    """With its price of now, or the words of why it has none."""
    status = _status(parked, work.now)
    if status is not OpenTicketStatus.OPEN:
        return _view(parked, work.now)
    cart = Cart.model_validate(parked.cart)
    try:
        priced = await catalog.price_cart(work, scope, cart, at=work.now)
    except PlayParkError as refusal:
        return _view(parked, work.now, problem=refusal.message)
    return _view(parked, work.now, priced)


def _summary(parked: OpenTicket, now: datetime) -> OpenTicketSummary:
    return OpenTicketSummary(**_fields(parked, now))


def _view(
    parked: OpenTicket, now: datetime, priced: PricedCart | None = None, problem: str | None = None
) -> OpenTicketView:
    fields = _fields(parked, now)
    return OpenTicketView(
        **fields,
        cart=Cart.model_validate(parked.cart),
        priced=priced,
        difference=priced.grand_total - parked.grand_total if priced else None,
        problem=problem or _PROBLEMS.get(fields["status"]),
        sale_id=parked.sale_id,
    )


def _fields(parked: OpenTicket, now: datetime) -> dict[str, Any]:
    return {
        "open_ticket_id": parked.id,
        "name": parked.name,
        "pieces": parked.pieces,
        "grand_total": parked.grand_total,
        "parked_by": parked.parked_by,
        "device_id": parked.device_id,
        "parked_at": parked.parked_at,
        "expires_at": parked.expires_at,
        "status": _status(parked, now),
        "version": parked.version,
    }
