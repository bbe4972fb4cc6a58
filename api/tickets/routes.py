"""HTTP of tickets and redemptions."""

from typing import Annotated

from fastapi import Query

from api.platform.envelope import ok
from api.platform.http import Cursor, Door, Limit, private_router
from api.platform.permissions import needs, performs
from api.platform.services import App, Caller
from api.tickets import lookup
from api.tickets.redeeming import Redeeming, summary
from api.tickets.repository import RedemptionRepository
from playpark.contracts.base import Envelope, IdStr, Page
from playpark.contracts.employees import Permission
from playpark.contracts.sales import ReceiptNo
from playpark.contracts.tickets import RedeemIn, RedemptionSummary, RedemptionView, TicketView

private = private_router("tickets")
LOOK = needs(Permission.REDEEM, Permission.SELL)


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


@private.get("/redemptions", dependencies=needs(Permission.REPORTS_VIEW))
async def list_redemptions(
    platform: App, scope: Caller, limit: Limit = 50, cursor: Cursor = None
) -> Envelope[Page[RedemptionSummary]]:
    """The store's redemptions, PASS and FAIL, newest first."""
    rows = RedemptionRepository.of(platform.uow.reading(), scope)
    found, more = await rows.page(limit, cursor)
    return ok(Page(items=[summary(row) for row in found], next_cursor=more))


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
