"""HTTP of reports."""

from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import Query
from fastapi.responses import StreamingResponse

from api.platform.csv import CSV, Cell, WantsCsv, stream_csv
from api.platform.envelope import ok
from api.platform.http import private_router
from api.platform.permissions import needs
from api.platform.services import App, Caller
from api.reports import service, timeline
from playpark.clock import BusinessDate
from playpark.contracts.audit import TicketTimeline
from playpark.contracts.base import Envelope, IdStr
from playpark.contracts.employees import Permission
from playpark.contracts.reports import Reconciliation

private = private_router("reports")
COLUMNS = (
    *("business_date", "check", "collection", "document_id", "expected", "found", "why"),
    "others",
)


@private.get(
    "/reports/reconciliation",
    response_model=Envelope[Reconciliation],
    responses=CSV,
    dependencies=needs(Permission.REPORTS_VIEW),
)
async def reconciliation(
    platform: App,
    scope: Caller,
    wants_csv: WantsCsv,
    date: Annotated[
        BusinessDate | None,
        Query(description="the trading day, such as 2026-11-21; without it the last one"),
    ] = None,
    fresh: Annotated[
        bool, Query(description="Check again now, and do not answer what was stored.")
    ] = False,
) -> Envelope[Reconciliation] | StreamingResponse:
    """Whether sales, payments, shifts, tickets and Z reports of a trading day agree, and the
    first document of each check that does not. As CSV one row a break: none where all is
    whole."""
    found = await service.report(platform, scope, date, fresh=fresh)
    return await stream_csv(COLUMNS, _rows(found)) if wants_csv else ok(found)


@private.get(
    "/tickets/{ticket_id}/timeline",
    dependencies=needs(Permission.AUDIT_VIEW, Permission.REPORTS_VIEW),
)
async def ticket_timeline(
    platform: App, scope: Caller, ticket_id: IdStr
) -> Envelope[TicketTimeline]:
    """A ticket's whole story in the order of time: sold, issued, printed again, shown at gates,
    annulled, given back, voided, and what the audit trail has about it, its sale and the rest."""
    return ok(await timeline.of_ticket(platform.uow.reading(), scope, ticket_id))


async def _rows(found: Reconciliation) -> AsyncIterator[list[Cell]]:
    for each in found.breaks:
        told = (each.check.value, each.collection, each.document_id, each.expected, each.found)
        yield [found.business_date, *told, each.why, each.others]
