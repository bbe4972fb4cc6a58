"""HTTP of customers."""

from typing import Annotated

from fastapi import Query
from fastapi.responses import StreamingResponse
from pydantic import StringConstraints

from api.customers import service
from api.customers.repository import CustomerRepository
from api.platform.csv import CSV, Listing
from api.platform.envelope import ok
from api.platform.http import Door, private_router
from api.platform.permissions import needs, performs
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
# A kiosk sells by itself, but its guest must not look other guests up.
LOOK_UP = needs(Permission.REPORTS_VIEW, Permission.SELL, person=True)
WRITE = needs(Permission.SELL, person=True)
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


@private.get(
    "/customers",
    response_model=Envelope[Page[CustomerView]],
    responses=CSV,
    dependencies=LOOK_UP,
)
async def list_customers(
    platform: App,
    scope: Caller,
    listing: Listing,
    *,
    q: Words = None,
    phone: PhoneText = None,
) -> Envelope[Page[CustomerView]] | StreamingResponse:
    """Customers of the park, newest first. The whole list as CSV takes `reports_view`."""
    if listing.csv:
        scope.require(Permission.REPORTS_VIEW)
    number = None if phone is None else service.phone_prefix(phone)
    customers = CustomerRepository.of(platform.uow.reading(), scope)
    return await listing.answer(
        lambda limit, after: customers.search(limit, after, q=q, phone=number),
        service.view,
        COLUMNS,
    )


@private.post("/customers", dependencies=WRITE)
async def create_customer(platform: App, scope: Caller, body: CustomerIn) -> Envelope[CustomerView]:
    """Add a customer. A group of its own takes `manual_discount`."""
    return ok(await service.create(platform, scope, body))


@private.get("/customers/{customer_id}", dependencies=LOOK_UP)
async def read_customer(platform: App, scope: Caller, customer_id: IdStr) -> Envelope[CustomerView]:
    """One customer."""
    return ok(await service.customer(platform.uow.reading(), scope, customer_id))


@private.patch("/customers/{customer_id}", dependencies=WRITE)
async def change_customer(
    platform: App, scope: Caller, customer_id: IdStr, body: CustomerPatch
) -> Envelope[CustomerView]:
    """Change a customer. Group and active take `manual_discount`."""
    return ok(await service.change(platform, scope, customer_id, body))


@private.post("/customers/{customer_id}/points", dependencies=performs(service.POINTS.rights))
async def adjust_points(door: Door, customer_id: IdStr, body: PointsRequest) -> Envelope[PointsRow]:
    """Give points, or take them (negative), with a reason."""
    return await door.perform(service.POINTS, body, customer_id=customer_id)
