"""What a customer has bought and what their points went through (API.md: customers)."""

from api.customers import service as customers
from api.platform.scope import Scope
from api.platform.uow import Work
from api.sales.repository import SaleRepository
from api.sales.views import summary
from playpark.contracts.customers import CustomerHistory

LATEST = 50


async def of_customer(work: Work, scope: Scope, customer_id: str) -> CustomerHistory:
    """The latest sales in this store, all that was spent in it, and the latest rows of the points
    ledger, which is the whole park's. Raises E_NOT_FOUND."""
    customer = await customers.customer(work, scope, customer_id)
    sales = SaleRepository.of(work, scope)
    latest = await sales.of_customer(customer_id, LATEST)
    return CustomerHistory(
        customer=customer,
        sales=[summary(sale) for sale in latest],
        spent=await sales.spent(customer_id),
        points=await customers.points_rows(work, scope, customer_id, limit=LATEST),
    )
