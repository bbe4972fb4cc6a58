"""HTTP of sales, of their payments, and of what customers have bought."""

from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import Depends, Query
from fastapi.responses import StreamingResponse

from api.customers import service as customers
from api.platform.csv import CSV, PAGE, Cell, WantsCsv, every, stream_csv
from api.platform.envelope import ok
from api.platform.http import Cursor, Door, Limit, private_router
from api.platform.scope import Scope
from api.platform.services import App, Caller
from api.sales import history
from api.sales.models import Payment, Sale
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


@private.post("/sales")
async def create_sale(door: Door, body: SaleIn) -> Envelope[SaleAnswer]:
    """Sell: sale, payments and tickets in one transaction. Needs `sell` and an open shift; an
    approval `manual_discount` for discounts beyond what one may give."""
    return await door.perform(Selling(door.platform).kind, body)


@private.post("/open_tickets/{open_ticket_id}/checkout")
async def check_out(
    door: Door, open_ticket_id: IdStr, body: CheckoutRequest
) -> Envelope[SaleAnswer]:
    """Sell a parked cart at its price of now. Needs what a sale needs."""
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


@private.get("/sales", response_model=Envelope[Page[SaleSummary]], responses=CSV)
async def list_sales(
    platform: App,
    scope: Caller,
    which: Annotated[SaleFilter, Depends(_which_sales)],
    wants_csv: WantsCsv,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Envelope[Page[SaleSummary]] | StreamingResponse:
    """The store's sales, newest first. Needs `reports_view`; to look a receipt up by its number,
    `sell` is enough."""
    if which.receipt_no is None or wants_csv or not scope.may(Permission.SELL):
        scope.require(Permission.REPORTS_VIEW)
    sales = SaleRepository.of(platform.uow.reading(), scope)
    if wants_csv:
        rows = every(lambda after: sales.newest(PAGE, after, which))
        return await stream_csv(SALE_COLUMNS, _sale_cells(rows))
    found, more = await sales.newest(limit, cursor, which)
    return ok(Page(items=[summary(sale) for sale in found], next_cursor=more))


async def _sale_cells(sales: AsyncIterator[Sale]) -> AsyncIterator[list[Cell]]:
    async for sale in sales:
        told = {"sale_id": sale.id, "flags": " ".join(sale.flags)}
        yield [told[column] if column in told else getattr(sale, column) for column in SALE_COLUMNS]


@private.get("/sales/{sale_id}")
async def get_sale(platform: App, scope: Caller, sale_id: IdStr) -> Envelope[SaleAnswer]:
    """One sale with its payments, its tickets and the trace of its price; tokens only for the
    device that sold it. Needs `sell` or `reports_view`."""
    _may_look(scope)
    return ok(await Selling(platform).read(platform.uow.reading(), scope, sale_id))


def _may_look(scope: Scope) -> None:
    if not scope.may(Permission.SELL):
        scope.require(Permission.REPORTS_VIEW)


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


@private.get("/payments", response_model=Envelope[Page[PaymentSummary]], responses=CSV)
async def list_payments(
    platform: App,
    scope: Caller,
    which: Annotated[PaymentFilter, Depends(_which_payments)],
    wants_csv: WantsCsv,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Envelope[Page[PaymentSummary]] | StreamingResponse:
    """The payments of the store's sales, newest first. Needs `reports_view`."""
    scope.require(Permission.REPORTS_VIEW)
    payments = PaymentRepository.of(platform.uow.reading(), scope)
    if wants_csv:
        rows = every(lambda after: payments.newest(PAGE, after, which))
        return await stream_csv(PAYMENT_COLUMNS, _payment_cells(rows))
    found, more = await payments.newest(limit, cursor, which)
    return ok(Page(items=[payment_summary(payment) for payment in found], next_cursor=more))


async def _payment_cells(payments: AsyncIterator[Payment]) -> AsyncIterator[list[Cell]]:
    async for payment in payments:
        told = payment_summary(payment)
        yield [getattr(told, column) for column in PAYMENT_COLUMNS]


@private.get("/customers/{customer_id}/history")
async def customer_history(
    platform: App, scope: Caller, customer_id: IdStr
) -> Envelope[CustomerHistory]:
    """A customer's latest sales in this store and latest points. Needs an employee with `sell`
    or `reports_view`."""
    customers.may_look_up(scope)
    return ok(await history.of_customer(platform.uow.reading(), scope, customer_id))
