"""HTTP of the audit trail."""

from datetime import timedelta
from typing import Annotated

from fastapi import Depends, Query
from fastapi.responses import StreamingResponse

from api.audit import reading
from api.audit.repository import AnchorRepository, AuditRepository, Chosen
from api.audit.trail import Row
from api.audit.verifying import verify
from api.platform.csv import CSV, Cell, Listing
from api.platform.envelope import ok
from api.platform.http import Cursor, Limit, private_router
from api.platform.permissions import needs
from api.platform.services import App, Caller
from playpark.canonical import canonical_json
from playpark.clock import BusinessDate, business_day_start
from playpark.contracts.audit import AnchorView, AuditVerification, AuditView, EntityId, EventType
from playpark.contracts.base import Envelope, IdStr, Page
from playpark.contracts.employees import Permission

private = private_router("audit")
DAY = "a trading day, such as 2026-11-21; included"
COLUMNS = tuple(AuditView.model_fields)


async def _chosen(
    scope: Caller,
    *,
    event_type: Annotated[
        EventType | None, Query(description="`sale.created`, or what stands before a dot: `sale`")
    ] = None,
    actor_id: Annotated[IdStr | None, Query()] = None,
    device_id: Annotated[IdStr | None, Query()] = None,
    entity_id: Annotated[
        EntityId | None, Query(description="the sale, shift, employee, … that it is about")
    ] = None,
    first: Annotated[BusinessDate | None, Query(alias="from", description=DAY)] = None,
    last: Annotated[BusinessDate | None, Query(alias="to", description=DAY)] = None,
) -> Chosen:
    since = business_day_start(first, scope.zone) if first else None
    until = business_day_start(last + timedelta(days=1), scope.zone) if last else None
    return Chosen(event_type, actor_id, device_id, entity_id, since, until)


@private.get(
    "/audits",
    response_model=Envelope[Page[AuditView]],
    responses=CSV,
    dependencies=needs(Permission.AUDIT_VIEW),
)
async def list_audits(
    platform: App,
    scope: Caller,
    listing: Listing,
    chosen: Annotated[Chosen, Depends(_chosen)],
) -> Envelope[Page[AuditView]] | StreamingResponse:
    """The store's audit rows, newest first. Rows are kept for 90 days (AUDIT_RAW_DAYS)."""
    rows = AuditRepository.of(platform.uow.reading(), scope)
    conditions = await rows.conditions(chosen)
    return await listing.answer(
        lambda limit, cursor: rows.newest(limit, cursor, conditions),
        reading.row_view,
        COLUMNS,
        _in_csv,
    )


def _in_csv(_row: Row, told: AuditView) -> dict[str, Cell]:
    return {"payload": canonical_json(told.payload).decode("utf-8", "replace")}


@private.get("/audits/verify", dependencies=needs(Permission.AUDIT_VIEW))
async def verify_audits(platform: App, scope: Caller) -> Envelope[AuditVerification]:
    """Whether the trail of the store is whole: each of its chains, and the tenant's anchors. Names
    the first row of each chain that was edited, deleted, inserted, reordered or cut off."""
    async with platform.uow.one_at_a_time(f"verify:{scope.tenant_id}:{scope.store_id}"):
        return ok(await verify(platform.uow, scope.tenant_id, scope.store_id))


@private.get("/audits/anchors", dependencies=needs(Permission.AUDIT_VIEW))
async def list_anchors(
    platform: App, scope: Caller, limit: Limit = 50, cursor: Cursor = None
) -> Envelope[Page[AnchorView]]:
    """The tenant's daily anchors, newest first, with the heads of this store's chains. A copy of
    the newest hash, kept elsewhere, vouches for everything before it."""
    anchors = AnchorRepository.of(platform.uow.reading(), scope)
    found, more = await anchors.newest(limit, cursor)
    return ok(Page(items=reading.anchor_views(found, scope), next_cursor=more))
