"""HTTP of giving back: refunds, voids, reprints."""

from typing import Annotated

from fastapi import Depends, Query
from fastapi.responses import StreamingResponse

from api.platform.csv import CSV, Cell, Listing
from api.platform.http import Door, private_router
from api.platform.permissions import needs, performs
from api.platform.services import App, Caller
from api.refunds import reprinting, service
from api.refunds.exchanging import Exchanging
from api.refunds.models import Refund
from api.refunds.repository import RefundRepository, ReprintRepository, Which
from api.refunds.reprinting import Reprinting
from api.refunds.voiding import VOID
from playpark.clock import BusinessDate
from playpark.contracts.base import Envelope, IdStr, Page
from playpark.contracts.employees import Permission
from playpark.contracts.refunds import (
    ExchangeIn,
    ExchangeView,
    RefundIn,
    RefundView,
    ReprintIn,
    ReprintSummary,
    ReprintView,
    VoidRequest,
    VoidView,
)

private = private_router("refunds")
From = Annotated[BusinessDate | None, Query(alias="from", description="first trading day")]
To = Annotated[BusinessDate | None, Query(alias="to", description="last trading day")]
REFUND_COLUMNS = (
    "refund_id",
    "sale_id",
    "sale_receipt_no",
    "receipt_no",
    "business_date",
    "occurred_at",
    "amount",
    "method",
    "surcharge",
    "cash_rounding",
    "vat",
    "status",
    "reason_code",
    "reason_text",
    "device_id",
    "shift_id",
    "employee_name",
    "approved_by",
    "ticket_ids",
    "flags",
)
REPRINT_COLUMNS = (
    "reprint_id",
    "sale_id",
    "receipt_no",
    "occurred_at",
    "reason_code",
    "reason_text",
    "device_id",
    "employee_name",
    "approved_by",
    "ticket_ids",
    "replaces",
)


async def _which(
    sale_id: Annotated[IdStr | None, Query()] = None,
    device_id: Annotated[IdStr | None, Query()] = None,
    first: From = None,
    last: To = None,
) -> Which:
    return Which(sale_id=sale_id, device_id=device_id, from_date=first, to_date=last)


Chosen = Annotated[Which, Depends(_which)]


@private.post("/refunds", dependencies=performs(service.REFUND.rights))
@private.post("/tickets/refund", dependencies=performs(service.REFUND.rights))
async def refund(door: Door, body: RefundIn) -> Envelope[RefundView]:
    """Give money back: these tickets of a sale, an amount, or all that is left. The
    approval names the sale, its ticket or the operation; of a used ticket the approver has
    `refund_used` too."""
    return await door.perform(service.REFUND, body)


@private.get(
    "/refunds",
    response_model=Envelope[Page[RefundView]],
    responses=CSV,
    dependencies=needs(Permission.REPORTS_VIEW),
)
async def list_refunds(
    platform: App,
    scope: Caller,
    which: Chosen,
    listing: Listing,
) -> Envelope[Page[RefundView]] | StreamingResponse:
    """The store's refunds, newest first."""
    refunds = RefundRepository.of(platform.uow.reading(), scope)
    return await listing.answer(
        lambda limit, after: refunds.page(limit, after, **which.conditions()),
        service.view,
        REFUND_COLUMNS,
        _ticket_ids,
    )


def _ticket_ids(_: Refund, told: RefundView) -> dict[str, Cell]:
    return {"ticket_ids": [part.ticket_id for part in told.tickets]}


@private.post("/sales/{sale_id}/void", dependencies=performs(VOID.rights))
async def void(door: Door, sale_id: IdStr, body: VoidRequest) -> Envelope[VoidView]:
    """Take back a whole sale of the shift that is open on this till, before anybody used it.
    The approval names the sale; everything else is a refund."""
    return await door.perform(VOID, body, sale_id=sale_id)


@private.post("/reprints", dependencies=performs(Reprinting.rights))
@private.post("/tickets/reprint", dependencies=performs(Reprinting.rights))
async def reprint(door: Door, body: ReprintIn) -> Envelope[ReprintView]:
    """Print again: a sale's receipt and tickets, or some of its tickets. The approval names
    the sale or its ticket; limited by device, employee and day."""
    return await door.perform(Reprinting(door.platform).kind, body)


@private.post("/tickets/exchange", dependencies=performs(Exchanging.rights))
async def exchange(door: Door, body: ExchangeIn) -> Envelope[ExchangeView]:
    """Give a guest a new ticket for a lost one, which admits nobody any more. The approval names
    the ticket or its sale; it counts as a reprint."""
    return await door.perform(Exchanging(door.platform).kind, body)


@private.get(
    "/reprints",
    response_model=Envelope[Page[ReprintSummary]],
    responses=CSV,
    dependencies=needs(Permission.REPORTS_VIEW),
)
async def list_reprints(
    platform: App,
    scope: Caller,
    which: Chosen,
    listing: Listing,
) -> Envelope[Page[ReprintSummary]] | StreamingResponse:
    """The store's reprints, newest first."""
    reprints = ReprintRepository.of(platform.uow.reading(), scope)
    return await listing.answer(
        lambda limit, after: reprints.page(limit, after, **which.conditions()),
        reprinting.summary,
        REPRINT_COLUMNS,
    )
