"""HTTP of sales."""

from api.platform.envelope import ok
from api.platform.http import Cursor, Door, Limit, private_router
from api.platform.services import App, Caller
from api.sales.repository import SaleRepository
from api.sales.service import Selling, summary
from playpark.contracts.base import Envelope, IdStr, Page
from playpark.contracts.employees import Permission
from playpark.contracts.sales import SaleAnswer, SaleIn, SaleSummary

private = private_router("sales")


@private.post("/sales")
async def create_sale(door: Door, body: SaleIn) -> Envelope[SaleAnswer]:
    """Sell: sale, payments and tickets in one transaction. Needs `sell` and an open shift."""
    return await door.perform(Selling(door.platform).kind, body)


@private.get("/sales")
async def list_sales(
    platform: App, scope: Caller, limit: Limit = 50, cursor: Cursor = None
) -> Envelope[Page[SaleSummary]]:
    """The store's sales, newest first. Needs `reports_view`."""
    scope.require(Permission.REPORTS_VIEW)
    sales = SaleRepository.of(platform.uow.reading(), scope)
    found, more = await sales.page(limit, cursor)
    return ok(Page(items=[summary(sale) for sale in found], next_cursor=more))


@private.get("/sales/{sale_id}")
async def get_sale(platform: App, scope: Caller, sale_id: IdStr) -> Envelope[SaleAnswer]:
    """One sale with its payments and tickets; tokens only for the device that sold it."""
    return ok(await Selling(platform).read(platform.uow.reading(), scope, sale_id))
