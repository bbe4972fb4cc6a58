"""HTTP of tickets and redemptions."""

from typing import Annotated

from fastapi import Depends, Query
from fastapi.responses import StreamingResponse

from api.platform.csv import CSV, Listing
from api.platform.envelope import ok
from api.platform.http import Door, private_router
from api.platform.permissions import needs, performs
from api.platform.services import App, Caller
from api.tickets import lookup, occupancy
from api.tickets.annulling import ANNUL
from api.tickets.cancelling import CANCEL
from api.tickets.redeeming import Redeeming, summary
from api.tickets.repository import RedemptionRepository
from playpark.clock import UtcDatetime
from playpark.contracts.base import Envelope, IdStr, Page
from playpark.contracts.employees import Permission
from playpark.contracts.refunds import TicketCancelIn, TicketCancelView
from playpark.contracts.sales import ReceiptNo
from playpark.contracts.tickets import (
    AnnulRequest,
    AnnulView,
    Direction,
    FailReason,
    OccupancyView,
    RedeemIn,
    RedemptionResult,
    RedemptionSummary,
    RedemptionView,
    TicketView,
)

private = private_router("tickets")
LOOK = needs(Permission.REDEEM, Permission.SELL)
REDEMPTION_COLUMNS = tuple(RedemptionSummary.model_fields)


async def _showings(
    *,
    ticket_id: Annotated[IdStr | None, Query()] = None,
    zone_id: Annotated[IdStr | None, Query()] = None,
    device_id: Annotated[IdStr | None, Query()] = None,
    direction: Direction | None = None,
    result: RedemptionResult | None = None,
    reason: FailReason | None = None,
    since: Annotated[UtcDatetime | None, Query(description="the first moment; included")] = None,
    until: Annotated[UtcDatetime | None, Query(description="the end; not included")] = None,
) -> lookup.Showings:
    where = (ticket_id, zone_id, device_id)
    return lookup.Showings(*where, direction, result, reason, since, until)


@private.post("/tickets/redeem", dependencies=performs(Redeeming.rights))
@private.post("/redemptions", dependencies=performs(Redeeming.rights))
async def redeem(door: Door, body: RedeemIn) -> Envelope[RedemptionView]:
    """Admit or refuse: one `redemptions` row either way, HTTP 200.

    Without an Idempotency-Key the server makes one; `simulate` writes nothing.
    """
    redeeming = Redeeming(door.platform)
    if body.simulate:
        return ok(await redeeming.simulate(door.scope, body))
    return await door.perform(redeeming.kind, body, key_required=False)


@private.post("/redemptions/{redemption_id}/annul", dependencies=performs(ANNUL.rights))
async def annul(door: Door, redemption_id: IdStr, body: AnnulRequest) -> Envelope[AnnulView]:
    """The turnstile jammed: give back what an entry took. Only at the gate that let the guest in,
    within 15 minutes, once; the row stays."""
    return await door.perform(ANNUL, body, redemption_id=redemption_id)


@private.get(
    "/redemptions",
    response_model=Envelope[Page[RedemptionSummary]],
    responses=CSV,
    dependencies=needs(Permission.REPORTS_VIEW),
)
async def list_redemptions(
    platform: App,
    scope: Caller,
    listing: Listing,
    chosen: Annotated[lookup.Showings, Depends(_showings)],
) -> Envelope[Page[RedemptionSummary]] | StreamingResponse:
    """The store's redemptions, PASS and FAIL, newest first."""
    rows = RedemptionRepository.of(platform.uow.reading(), scope)
    return await listing.answer(
        lambda limit, after: rows.page(limit, after, **chosen.conditions()),
        summary,
        REDEMPTION_COLUMNS,
    )


@private.post("/tickets/cancel", dependencies=performs(CANCEL.rights))
async def cancel(door: Door, body: TicketCancelIn) -> Envelope[TicketCancelView]:
    """Take a ticket out of use that nobody has used; no money moves. The approval names the ticket
    or its sale."""
    return await door.perform(CANCEL, body)


@private.get("/tickets", dependencies=LOOK)
async def find_tickets(
    platform: App,
    scope: Caller,
    short_code: Annotated[str | None, Query(min_length=1, max_length=20)] = None,
    qr: Annotated[str | None, Query(min_length=1, max_length=500)] = None,
    sale_id: Annotated[IdStr | None, Query()] = None,
    receipt_no: Annotated[ReceiptNo | None, Query()] = None,
) -> Envelope[Page[TicketView]]:
    """The tickets that one of these names, without their tokens: a typed code, what a scanner
    read, a sale, a receipt. Nothing is an empty list. A kiosk finds what it
    sold itself."""
    wanted = lookup.Wanted(short_code, qr, sale_id, receipt_no)
    return ok(Page(items=await lookup.find(platform, scope, wanted)))


@private.get("/tickets/{ticket_id}", dependencies=LOOK)
async def ticket(platform: App, scope: Caller, ticket_id: IdStr) -> Envelope[TicketView]:
    """One ticket, without its token."""
    return ok(await lookup.ticket(platform, scope, ticket_id))


@private.get("/gate/occupancy", dependencies=needs(Permission.REDEEM, Permission.REPORTS_VIEW))
async def get_occupancy(platform: App, scope: Caller) -> Envelope[Page[OccupancyView]]:
    """How many guests are in each zone today, and in the park by gates without a zone (R51).

    A trading day begins with nobody inside.
    """
    return ok(Page(items=await occupancy.today(platform.uow.reading(), scope)))
