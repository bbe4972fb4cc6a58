"""HTTP of the catalogue and of the price preview."""

from typing import Annotated

from fastapi import Query, Response

from api.catalog import service
from api.platform.envelope import ok
from api.platform.http import Limit, private_router
from api.platform.repository import MAX_PAGE
from api.platform.scope import Scope
from api.platform.services import App, Caller
from playpark.contracts.base import Envelope, IdStr, Page
from playpark.contracts.catalog import CatalogSnapshot, PackageView, SalesChannel
from playpark.contracts.pricing import PreviewIn, PricedCart
from playpark.errors import ErrorCode, PlayParkError

private = private_router("catalog")


def own_store(scope: Scope, store_id: str | None) -> None:
    """A store in a query must be the token's; another one answers like an unknown one (R44)."""
    if store_id is not None and store_id != scope.store_id:
        raise PlayParkError(ErrorCode.NOT_FOUND, "There is no such store.")


@private.get("/catalog/packages")
async def packages(
    platform: App,
    scope: Caller,
    store_id: IdStr | None = None,
    visible_on: SalesChannel | None = None,
    limit: Limit = MAX_PAGE,
    cursor: Annotated[int, Query(ge=0, le=100_000, description="next_cursor")] = 0,
) -> Envelope[Page[PackageView]]:
    """What is on sale now, in the order of the register's keys."""
    own_store(scope, store_id)
    catalog = await service.snapshot(platform.uow.reading(), scope)
    items = [
        package
        for package in catalog.packages
        if visible_on is None or visible_on in package.visible_on
    ]
    end = cursor + limit
    more = str(end) if end < len(items) else None
    return ok(Page(items=items[cursor:end], next_cursor=more))


@private.get("/catalog/snapshot")
async def snapshot(platform: App, scope: Caller, response: Response) -> Envelope[CatalogSnapshot]:
    """All that a till needs to price and sell by itself. Immutable; the ETag is its hash."""
    found = await service.snapshot(platform.uow.reading(), scope)
    response.headers["ETag"] = f'"{found.hash}"'
    return ok(found)


@private.post("/pricing/preview")
async def preview(platform: App, scope: Caller, body: PreviewIn) -> Envelope[PricedCart]:
    """Exact prices of a cart with the trace of how they came about."""
    at = body.at or platform.clock.now()
    return ok(await service.price_cart(platform.uow.reading(), scope, body, at=at))
