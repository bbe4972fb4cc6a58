"""HTTP of parked carts. Their checkout is a sale: see api/sales/routes.py."""

from api.open_tickets import service
from api.platform.envelope import ok
from api.platform.http import Cursor, Door, Limit, private_router
from api.platform.permissions import needs, performs
from api.platform.services import App, Caller
from playpark.contracts.base import Envelope, IdStr, Page
from playpark.contracts.employees import Permission
from playpark.contracts.open_tickets import (
    OpenTicketIn,
    OpenTicketPatch,
    OpenTicketSummary,
    OpenTicketView,
)

private = private_router("parked carts")
CARTS = needs(Permission.SELL, person=True)


@private.post("/open_tickets", dependencies=performs(service.PARK.rights))
async def park(door: Door, body: OpenTicketIn) -> Envelope[OpenTicketView]:
    """Put a cart aside under a name. Without an Idempotency-Key the server makes one: then an
    answer that is lost parks it twice."""
    return await door.perform(service.PARK, body, key_required=False)


@private.get("/open_tickets", dependencies=CARTS)
async def list_parked(
    platform: App, scope: Caller, limit: Limit = 50, cursor: Cursor = None
) -> Envelope[Page[OpenTicketSummary]]:
    """The store's parked carts, newest first, until their time is over."""
    return ok(await service.page(platform.uow.reading(), scope, limit, cursor))


@private.get("/open_tickets/{open_ticket_id}", dependencies=CARTS)
async def read_parked(
    platform: App, scope: Caller, open_ticket_id: IdStr
) -> Envelope[OpenTicketView]:
    """A parked cart, priced as of now, with the difference to then."""
    return ok(await service.read(platform.uow.reading(), scope, open_ticket_id))


@private.patch("/open_tickets/{open_ticket_id}", dependencies=CARTS)
async def change_parked(
    platform: App, scope: Caller, open_ticket_id: IdStr, body: OpenTicketPatch
) -> Envelope[OpenTicketView]:
    """Change a parked cart that nobody has changed since it was read."""
    return ok(await service.change(platform, scope, open_ticket_id, body))


@private.delete("/open_tickets/{open_ticket_id}", dependencies=CARTS)
async def delete_parked(
    platform: App, scope: Caller, open_ticket_id: IdStr
) -> Envelope[OpenTicketView]:
    """Take a parked cart off the list."""
    return ok(await service.delete(platform, scope, open_ticket_id))
