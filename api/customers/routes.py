"""HTTP of customers."""

from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import Query, Response
from pydantic import StringConstraints

from api.customers import service
from api.customers.models import Customer
from api.customers.repository import CustomerRepository
from api.platform.csv import CSV, PAGE, Cell, WantsCsv, every, stream_csv
from api.platform.envelope import ok
from api.platform.http import Cursor, Door, Limit, private_router
from api.platform.services import App, Caller
from playpark.contracts.base import Envelope, IdStr, Page
from playpark.contracts.customers import (
    CustomerIn,
    CustomerPatch,
    CustomerView,
    PointsRequest,
    PointsRow,
)
from playpark.contracts.employees import Permission

private = private_router("customers")
Words = Annotated[
    str | None,
    StringConstraints(max_length=80),
    Query(description="beginnings of words of the name, in any case"),
]
PhoneText = Annotated[
    str | None,
    StringConstraints(max_length=40),
    Query(description="a telephone number, or at least its first four digits"),
]
COLUMNS = (
    "customer_id",
    "name",
    "phone",
    "email",
    "group",
    "note",
    "points",
    "active",
    "created_at",
)


@private.get("/customers", response_model=Envelope[Page[CustomerView]], responses=CSV)
async def list_customers(
    platform: App,
    scope: Caller,
    wants_csv: WantsCsv,
    *,
    q: Words = None,
    phone: PhoneText = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Envelope[Page[CustomerView]] | Response:
    """Customers of the park, newest first. Needs an employee with `sell` or `reports_view`; the
    whole list as CSV needs `reports_view`."""
    service.may_look_up(scope)
    number = None if phone is None else service.phone_prefix(phone)
    customers = CustomerRepository.of(platform.uow.reading(), scope)
    if wants_csv:
        scope.require(Permission.REPORTS_VIEW)
        found = every(lambda after: customers.search(PAGE, after, q=q, phone=number))
        return await stream_csv(COLUMNS, _cells(found))
    page, more = await customers.search(limit, cursor, q=q, phone=number)
    return ok(Page(items=[service.view(customer) for customer in page], next_cursor=more))


async def _cells(customers: AsyncIterator[Customer]) -> AsyncIterator[list[Cell]]:
    async for customer in customers:
        told = service.view(customer)
        yield [getattr(told, name) for name in COLUMNS]


@private.post("/customers")
async def create_customer(platform: App, scope: Caller, body: CustomerIn) -> Envelope[CustomerView]:
    """Add a customer. Needs an employee with `sell`; a group of its own, `manual_discount`."""
    service.may_write(scope)
    return ok(await service.create(platform, scope, body))


@private.get("/customers/{customer_id}")
async def read_customer(platform: App, scope: Caller, customer_id: IdStr) -> Envelope[CustomerView]:
    """One customer. Needs an employee with `sell` or `reports_view`."""
    service.may_look_up(scope)
    return ok(await service.customer(platform.uow.reading(), scope, customer_id))


@private.patch("/customers/{customer_id}")
async def change_customer(
    platform: App, scope: Caller, customer_id: IdStr, body: CustomerPatch
) -> Envelope[CustomerView]:
    """Change a customer. Needs an employee with `sell`; group and active, `manual_discount`."""
    service.may_write(scope)
    return ok(await service.change(platform, scope, customer_id, body))


@private.post("/customers/{customer_id}/points")
async def adjust_points(door: Door, customer_id: IdStr, body: PointsRequest) -> Envelope[PointsRow]:
    """Give points, or take them (negative), with a reason. Needs `manual_discount`."""
    return await door.perform(service.POINTS, body, customer_id=customer_id)
