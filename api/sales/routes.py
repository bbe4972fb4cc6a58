"""HTTP of sales, of their payments, and of what customers have bought."""

from dataclasses import replace
from typing import Annotated

from fastapi import Depends, Query
from fastapi.responses import StreamingResponse

from api.platform.csv import CSV, Cell, Listing
from api.platform.envelope import ok
from api.platform.http import Door, private_router
from api.platform.permissions import needs, performs
from api.platform.services import App, Caller
from api.sales import history
from api.sales.models import Sale
from api.sales.repository import PaymentFilter, PaymentRepository, SaleFilter, SaleRepository
from api.sales.service import Selling
from api.sales.views import payment_summary, summary
from playpark.clock import BusinessDate
from playpark.contracts.base import Envelope, IdStr, Page
from playpark.contracts.customers import CustomerHistory
from playpark.contracts.employees import Permission
from playpark.contracts.open_tickets import CheckoutRequest
from playpark.contracts.pricing import PaymentMethod
from playpark.contracts.sales import (
    PaymentStatus,
    PaymentSummary,
    ReceiptNo,
    SaleAnswer,
    SaleIn,
    SaleStatus,
    SaleSummary,
)

private = private_router("sales")
DAY = "a trading day, such as 2026-11-21; included"
Id = Annotated[IdStr | None, Query()]
FromDate = Annotated[BusinessDate | None, Query(alias="from", description=DAY)]
ToDate = Annotated[BusinessDate | None, Query(alias="to", description=DAY)]
SALE_COLUMNS = (
    *("sale_id", "receipt_no", "business_date", "occurred_at", "device_id", "shift_id"),
    *("cashier_name", "subtotal", "discount_total", "tax_total", "surcharge_total"),
    *("cash_rounding", "grand_total", "payment_method", "customer_id", "status", "refunded"),
    "flags",
)
PAYMENT_COLUMNS = (
    *("payment_id", "sale_id", "receipt_no", "business_date", "occurred_at", "device_id"),
    *("shift_id", "method", "payment_type_id", "amount", "surcharge", "tendered", "reference"),
    *("status", "refunded"),
)


@private.post("/sales", dependencies=performs(Selling.rights))
async def create_sale(door: Door, body: SaleIn) -> Envelope[SaleAnswer]:
    """Sell: sale, payments and tickets in one transaction, on an open shift."""
    return await door.perform(Selling(door.platform).kind, body)


@private.post("/open_tickets/{open_ticket_id}/checkout", dependencies=performs(Selling.rights))
async def check_out(
    door: Door, open_ticket_id: IdStr, body: CheckoutRequest
) -> Envelope[SaleAnswer]:
    """Sell a parked cart at its price of now."""
    kind = Selling(door.platform).checkout_kind
    return await door.perform(kind, body, open_ticket_id=open_ticket_id)


async def _which_sales(
    *,
    receipt_no: Annotated[ReceiptNo | None, Query()] = None,
    shift_id: Id = None,
    device_id: Id = None,
    status: Annotated[SaleStatus | None, Query()] = None,
    from_date: FromDate = None,
    to_date: ToDate = None,
) -> SaleFilter:
    return SaleFilter(receipt_no, shift_id, device_id, status, from_date, to_date)


@private.get(
    "/sales",
    response_model=Envelope[Page[SaleSummary]],
    responses=CSV,
    dependencies=needs(Permission.SELL, Permission.REPORTS_VIEW),
)
async def list_sales(
    platform: App,
    scope: Caller,
    which: Annotated[SaleFilter, Depends(_which_sales)],
    listing: Listing,
) -> Envelope[Page[SaleSummary]] | StreamingResponse:
    """The store's sales, newest first. With `sell` alone, those of one `receipt_no`."""
    if which.receipt_no is None or listing.csv:
        scope.require(Permission.REPORTS_VIEW)
    which = replace(which, **scope.own_only)
    sales = SaleRepository.of(platform.uow.reading(), scope)
    return await listing.answer(
        lambda limit, after: sales.newest(limit, after, which), summary, SALE_COLUMNS, _in_full
    )


def _in_full(sale: Sale, _: SaleSummary) -> dict[str, Cell]:
    missing = set(SALE_COLUMNS) - SaleSummary.model_fields.keys()
    return {name: getattr(sale, name) for name in missing}


@private.get("/sales/{sale_id}", dependencies=needs(Permission.SELL, Permission.REPORTS_VIEW))
async def get_sale(platform: App, scope: Caller, sale_id: IdStr) -> Envelope[SaleAnswer]:
    """One sale with its payments, its tickets (without their tokens) and the trace of its price.
    A kiosk reads those that it sold."""
    return ok(await Selling(platform).read(platform.uow.reading(), scope, sale_id))


async def _which_payments(
    *,
    sale_id: Id = None,
    shift_id: Id = None,
    device_id: Id = None,
    method: Annotated[PaymentMethod | None, Query()] = None,
    status: Annotated[PaymentStatus | None, Query()] = None,
    from_date: FromDate = None,
    to_date: ToDate = None,
) -> PaymentFilter:
    return PaymentFilter(sale_id, shift_id, device_id, method, status, from_date, to_date)


@private.get(
    "/payments",
    response_model=Envelope[Page[PaymentSummary]],
    responses=CSV,
    dependencies=needs(Permission.REPORTS_VIEW),
)
async def list_payments(
    platform: App,
    scope: Caller,
    which: Annotated[PaymentFilter, Depends(_which_payments)],
    listing: Listing,
) -> Envelope[Page[PaymentSummary]] | StreamingResponse:
    """The payments of the store's sales, newest first."""
    payments = PaymentRepository.of(platform.uow.reading(), scope)
    return await listing.answer(
        lambda limit, after: payments.newest(limit, after, which), payment_summary, PAYMENT_COLUMNS
    )


@private.get(
    "/customers/{customer_id}/history",
    dependencies=needs(Permission.REPORTS_VIEW, Permission.SELL, person=True),
)
async def customer_history(
    platform: App, scope: Caller, customer_id: IdStr
) -> Envelope[CustomerHistory]:
    """A customer's latest sales in this store and latest points."""
    return ok(await history.of_customer(platform.uow.reading(), scope, customer_id))
