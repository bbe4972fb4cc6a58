"""HTTP of giving back: refunds, voids, reprints."""

from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import Depends, Query, Response

from api.platform.csv import CSV, PAGE, Cell, WantsCsv, every, stream_csv
from api.platform.envelope import ok
from api.platform.http import Cursor, Door, Limit, private_router
from api.platform.services import App, Caller
from api.refunds import reprinting, service
from api.refunds.models import Refund, Reprint
from api.refunds.repository import RefundRepository, ReprintRepository, Which
from api.refunds.reprinting import Reprinting
from api.refunds.voiding import VOID
from playpark.clock import BusinessDate
from playpark.contracts.base import Envelope, IdStr, Page
from playpark.contracts.employees import Permission
from playpark.contracts.refunds import (
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
)


async def _which(
    sale_id: Annotated[IdStr | None, Query()] = None,
    device_id: Annotated[IdStr | None, Query()] = None,
    first: From = None,
    last: To = None,
) -> Which:
    return Which(sale_id=sale_id, device_id=device_id, from_date=first, to_date=last)


Chosen = Annotated[Which, Depends(_which)]


@private.post("/refunds")
@private.post("/tickets/refund")
async def refund(door: Door, body: RefundIn) -> Envelope[RefundView]:
    """Give money back: these tickets of a sale, an amount, or all that is left. Needs `sell` and
    an approval for `refund` of the sale, its ticket or the operation; of a used ticket the
    approver needs `refund_used` too."""
    return await door.perform(service.REFUND, body)


@private.get("/refunds", response_model=Envelope[Page[RefundView]], responses=CSV)
async def list_refunds(
    platform: App,
    scope: Caller,
    which: Chosen,
    wants_csv: WantsCsv,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Envelope[Page[RefundView]] | Response:
    """The store's refunds, newest first. Needs `reports_view`."""
    scope.require(Permission.REPORTS_VIEW)
    refunds = RefundRepository.of(platform.uow.reading(), scope)
    if wants_csv:
        found = every(lambda after: refunds.page(PAGE, after, **which.conditions()))
        return await stream_csv((*REFUND_COLUMNS, "ticket_ids", "flags"), _refund_cells(found))
    page, more = await refunds.page(limit, cursor, **which.conditions())
    return ok(Page(items=[service.view(each) for each in page], next_cursor=more))


@private.post("/sales/{sale_id}/void")
async def void(door: Door, sale_id: IdStr, body: VoidRequest) -> Envelope[VoidView]:
    """Take back a whole sale of the shift that is open on this till, before anybody used it.
    Needs `sell` and an approval for `void` of the sale; everything else is a refund."""
    return await door.perform(VOID, body, sale_id=sale_id)


@private.post("/reprints")
@private.post("/tickets/reprint")
async def reprint(door: Door, body: ReprintIn) -> Envelope[ReprintView]:
    """Print again: a sale's receipt and tickets, or some of its tickets. Needs `sell` and an
    approval for `reprint` of the sale or its ticket; limited by device, employee and day."""
    return await door.perform(Reprinting(door.platform).kind, body)


@private.get("/reprints", response_model=Envelope[Page[ReprintSummary]], responses=CSV)
async def list_reprints(
    platform: App,
    scope: Caller,
    which: Chosen,
    wants_csv: WantsCsv,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Envelope[Page[ReprintSummary]] | Response:
    """The store's reprints, newest first. Needs `reports_view`."""
    scope.require(Permission.REPORTS_VIEW)
    reprints = ReprintRepository.of(platform.uow.reading(), scope)
    if wants_csv:
        found = every(lambda after: reprints.page(PAGE, after, **which.conditions()))
        return await stream_csv((*REPRINT_COLUMNS, "ticket_ids"), _reprint_cells(found))
    page, more = await reprints.page(limit, cursor, **which.conditions())
    return ok(Page(items=[reprinting.summary(each) for each in page], next_cursor=more))


async def _refund_cells(refunds: AsyncIterator[Refund]) -> AsyncIterator[list[Cell]]:
    async for each in refunds:
        told = service.view(each)
        cells: list[Cell] = [getattr(told, name) for name in REFUND_COLUMNS]
        ticket_ids = " ".join(ticket.ticket_id for ticket in told.tickets)
        yield [*cells, ticket_ids, " ".join(told.flags)]


async def _reprint_cells(reprints: AsyncIterator[Reprint]) -> AsyncIterator[list[Cell]]:
    async for each in reprints:
        told = reprinting.summary(each)
        cells: list[Cell] = [getattr(told, name) for name in REPRINT_COLUMNS]
        yield [*cells, " ".join(told.ticket_ids)]
