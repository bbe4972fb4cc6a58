"""HTTP of sales."""

from api.platform.envelope import ok
from api.platform.http import Door, router
from api.platform.services import App, Caller
from api.sales.service import Selling
from playpark.contracts.base import Envelope, IdStr
from playpark.contracts.sales import SaleAnswer, SaleIn

private = router("sales")


@private.post("/sales")
async def create_sale(door: Door, body: SaleIn) -> Envelope[SaleAnswer]:
    """Sell: sale, payments and tickets in one transaction. Needs `sell` and an open shift."""
    return await door.perform(Selling(door.platform).kind, body)


@private.get("/sales/{sale_id}")
async def get_sale(platform: App, scope: Caller, sale_id: IdStr) -> Envelope[SaleAnswer]:
    """One sale with its payments and tickets; tokens only for the device that sold it."""
    return ok(await Selling(platform).read(platform.uow.reading(), scope, sale_id))
