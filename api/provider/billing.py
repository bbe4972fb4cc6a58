"""What tenants used: requests as they were counted, sales and tickets as the books have them."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from api.identity.models import Tenant
from api.identity.repository import TenantStores
from api.identity.stores import MANY
from api.platform.uow import Work
from api.platform.usage import UsageCounter, UsageRepository
from api.reports.repository import Books
from api.sales.models import Sale
from playpark.clock import park_zone
from playpark.contracts.provider import BillingRow, PlanPrices, UsageRow

SALES_A_TURN = 1_000
A_TURN = 50
"""Tenants that are counted before a part of a long list leaves."""
Plans = Mapping[str, PlanPrices]


async def row(work: Work, tenant: Tenant, month: str | None, plans: Plans) -> BillingRow:
    """What a tenant used in a month, by default the present one of its time zone."""
    if month is None:
        month = work.now.astimezone(park_zone(tenant.tz)).strftime("%Y-%m")
    requests, devices = await UsageRepository(work, tenant.id, None).in_month(month)
    sales = tickets = 0
    for store in await TenantStores(work, tenant.id, None).find(limit=MANY):
        sold = await _sold(Books(work, tenant.id, store.id), month)
        sales, tickets = sales + sold[0], tickets + sold[1]
    prices = plans.get(tenant.billing_plan)
    return BillingRow(
        tenant_id=tenant.id,
        tenant_name=tenant.name,
        month=month,
        billing_plan=tenant.billing_plan,
        requests=requests,
        sales=sales,
        tickets=tickets,
        active_devices=devices,
        amount=None if prices is None else _amount(prices, sales, tickets, devices),
    )


def usage_view(counter: UsageCounter) -> UsageRow:
    """A counter of a route as the API shows it."""
    return UsageRow(
        tenant_id=counter.tenant_id,
        month=counter.month,
        route=counter.name,
        requests=counter.requests,
    )


async def _sold(books: Books, month: str) -> tuple[int, int]:
    """(sales, tickets) of a store by business date; only the index of the sales is read."""
    first = datetime.strptime(f"{month}-01", "%Y-%m-%d").replace(tzinfo=UTC)
    days = [(first + timedelta(days=n)).date().isoformat() for n in range(31)]
    days = [day for day in days if day.startswith(month)]
    if not await books.count(Sale, business_date={"$gte": days[0], "$lte": days[-1]}):
        return 0, 0
    sales = tickets = 0
    for day in days:
        async for page in books.pages(
            Sale, ["business_date"], size=SALES_A_TURN, business_date=day
        ):
            sales += len(page)
            tickets += sum((await books.ticket_counts([each["_id"] for each in page])).values())
    return sales, tickets


def _amount(prices: PlanPrices, sales: int, tickets: int, devices: int) -> int:
    return (
        prices.monthly
        + prices.per_device * devices
        + prices.per_sale * sales
        + prices.per_ticket * tickets
    )
