"""HTTP of parked carts. Their checkout is a sale: see api/sales/routes.py."""

from api.open_tickets import service
from api.platform.envelope import ok
from api.platform.http import Cursor, Limit, private_router
from api.platform.services import App, Caller
from playpark.contracts.base import Envelope, IdStr, Page
from playpark.contracts.open_tickets import (
    OpenTicketIn,
    OpenTicketPatch,
    OpenTicketSummary,
    OpenTicketView,
)

private = private_router("parked carts")


@private.post("/open_tickets")
async def park(platform: App, scope: Caller, body: OpenTicketIn) -> Envelope[OpenTicketView]:
    """Put a cart aside under a name. Needs an employee with `sell`."""
    return ok(await service.park(platform, scope, body))


@private.get("/open_tickets")
async def list_parked(
    platform: App, scope: Caller, limit: Limit = 50, cursor: Cursor = None
) -> Envelope[Page[OpenTicketSummary]]:
    """The store's parked carts, newest first, until their time is over. Needs an employee with
    `sell`."""
    return ok(await service.page(platform.uow.reading(), scope, limit, cursor))


@private.get("/open_tickets/{open_ticket_id}")
async def read_parked(
    platform: App, scope: Caller, open_ticket_id: IdStr
) -> Envelope[OpenTicketView]:
    """A parked cart, priced as of now, with the difference to then. Needs an employee with
    `sell`."""
    return ok(await service.read(platform.uow.reading(), scope, open_ticket_id))


@private.patch("/open_tickets/{open_ticket_id}")
async def change_parked(
    platform: App, scope: Caller, open_ticket_id: IdStr, body: OpenTicketPatch
) -> Envelope[OpenTicketView]:
    """Change a parked cart that nobody has changed since it was read. Needs an employee with
    `sell`."""
    return ok(await service.change(platform, scope, open_ticket_id, body))


@private.delete("/open_tickets/{open_ticket_id}")
async def delete_parked(
    platform: App, scope: Caller, open_ticket_id: IdStr
) -> Envelope[OpenTicketView]:
    """Take a parked cart off the list. Needs an employee with `sell`."""
    return ok(await service.delete(platform, scope, open_ticket_id))
