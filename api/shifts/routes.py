"""HTTP of shifts and of cash drawers, which are the same thing (R26)."""

from typing import Annotated

from fastapi import Depends, Path, Query
from fastapi.responses import StreamingResponse

from api.platform.csv import CSV, Cell, Listing
from api.platform.envelope import ok
from api.platform.http import Approval, Cursor, Door, Limit, private_router
from api.platform.permissions import needs, performs
from api.platform.services import App, Caller
from api.shifts import reading, service, views
from api.shifts.models import Shift
from api.shifts.repository import ShiftFilter, ShiftRepository
from playpark.clock import BusinessDate
from playpark.contracts.approvals import ApprovalAction
from playpark.contracts.base import Envelope, IdStr, Page
from playpark.contracts.employees import Permission
from playpark.contracts.shifts import (
    AdjustmentRequest,
    DrawerSummary,
    MovementRequest,
    MovementView,
    ShiftClosed,
    ShiftCloseIn,
    ShiftDetail,
    ShiftOpenIn,
    ShiftStatus,
    ShiftSummary,
    ShiftView,
    XReport,
    ZReport,
)

private = private_router("shifts")
ShiftId = Annotated[IdStr, Path(description="the shift, which is its drawer too")]
DAY = "the trading day on which it was opened, such as 2026-11-21; included"
COLUMNS = (
    *("shift_id", "device_id", "business_date", "status", "opened_by_name", "open_at", "close_at"),
    *("cash_open", "sales_count", "sales_amount", "refunds_amount", "cash_expected"),
    *("cash_counted", "z_no", "flags"),
)


@private.post("/shifts/open", dependencies=performs(service.OPEN.rights))
async def open_shift(door: Door, body: ShiftOpenIn) -> Envelope[ShiftView]:
    """Open a shift, which is the drawer session too, with its float."""
    return await door.perform(service.OPEN, body)


@private.post("/shifts/close", dependencies=performs(service.CLOSE.rights))
async def close_shift(door: Door, body: ShiftCloseIn) -> Envelope[ShiftClosed]:
    """Close the shift with the cash that was counted blind. A difference over the store's
    tolerance takes a reason, and the approval names the shift."""
    return await door.perform(service.CLOSE, body)


@private.get("/shifts/current", dependencies=needs())
async def current_shift(platform: App, scope: Caller) -> Envelope[ShiftView]:
    """The open shift of this device; E_SHIFT_CLOSED where there is none."""
    return ok(await reading.current(platform.uow.reading(), scope))


async def _which(
    device_id: Annotated[IdStr | None, Query()] = None,
    status: Annotated[ShiftStatus | None, Query()] = None,
    from_date: Annotated[BusinessDate | None, Query(alias="from", description=DAY)] = None,
    to_date: Annotated[BusinessDate | None, Query(alias="to", description=DAY)] = None,
) -> ShiftFilter:
    return ShiftFilter(device_id, status, from_date, to_date)


@private.get(
    "/shifts",
    response_model=Envelope[Page[ShiftSummary]],
    responses=CSV,
    dependencies=needs(Permission.REPORTS_VIEW),
)
async def list_shifts(
    platform: App,
    scope: Caller,
    which: Annotated[ShiftFilter, Depends(_which)],
    listing: Listing,
) -> Envelope[Page[ShiftSummary]] | StreamingResponse:
    """The store's shifts, the latest opened first."""
    shifts = ShiftRepository.of(platform.uow.reading(), scope)
    return await listing.answer(
        lambda limit, after: shifts.newest(limit, after, which), views.summary, COLUMNS, _day
    )


def _day(shift: Shift, _: ShiftSummary) -> dict[str, Cell]:
    return {"business_date": shift.business_date}


@private.get("/shifts/{shift_id}", dependencies=needs())
async def read_shift(platform: App, scope: Caller, shift_id: ShiftId) -> Envelope[ShiftDetail]:
    """A shift of this device, or any with `reports_view`; before the count its figures are
    there for `reports_view` only (R27)."""
    return ok(await reading.detail(platform.uow.reading(), scope, shift_id))


@private.get(
    "/shifts/{shift_id}/x",
    dependencies=needs(approvals=(ApprovalAction.X_REPORT,), when="without `reports_view`"),
)
async def x_report(
    platform: App, scope: Caller, shift_id: ShiftId, approval: Approval = None
) -> Envelope[XReport]:
    """The X report of an open shift: not final. The approval names the shift."""
    return ok(await reading.x_report(platform, scope, shift_id, approval))


@private.get("/shifts/{shift_id}/z", dependencies=needs())
async def z_reports(
    platform: App, scope: Caller, shift_id: ShiftId, limit: Limit = 50, cursor: Cursor = None
) -> Envelope[Page[ZReport]]:
    """The Z report of a shift, then its supplements and adjustments, in the order of the chain;
    before the count for `reports_view` only (R27)."""
    return ok(await reading.z_reports(platform.uow.reading(), scope, shift_id, limit, cursor))


@private.post("/shifts/{shift_id}/adjustments", dependencies=performs(service.ADJUST.rights))
async def adjust_shift(door: Door, body: AdjustmentRequest, shift_id: ShiftId) -> Envelope[ZReport]:
    """Recount a closed shift, or accept its difference: appended to its Z, never an edit. The
    approval names the shift; it is `cash_variance` to accept."""
    return await door.perform(service.ADJUST, body, shift_id=shift_id)


@private.post("/cash_drawers/open", dependencies=performs(service.OPEN.rights))
async def open_drawer(door: Door, body: ShiftOpenIn) -> Envelope[ShiftView]:
    """The same as opening a shift."""
    return await door.perform(service.OPEN, body)


@private.get("/cash_drawers/current", dependencies=needs())
async def current_drawer(platform: App, scope: Caller) -> Envelope[ShiftView]:
    """The drawer that is open on this device; E_SHIFT_CLOSED where there is none."""
    return ok(await reading.current(platform.uow.reading(), scope))


@private.post("/cash_drawers/{drawer_id}/movements", dependencies=performs(service.MOVE.rights))
async def move_cash(
    door: Door, body: MovementRequest, drawer_id: ShiftId
) -> Envelope[MovementView]:
    """Pay in, pay out or drop into the safe."""
    return await door.perform(service.MOVE, body, drawer_id=drawer_id)


@private.post("/cash_drawers/{drawer_id}/close", dependencies=performs(service.CLOSE.rights))
async def close_drawer(door: Door, body: ShiftCloseIn, drawer_id: ShiftId) -> Envelope[ShiftClosed]:
    """The same as closing the shift. From an admin's device it finalises the shift of a till that
    is lost."""
    return await door.perform(service.CLOSE, body, drawer_id=drawer_id)


@private.get("/cash_drawers/{drawer_id}/summary", dependencies=needs())
async def drawer_summary(
    platform: App, scope: Caller, drawer_id: ShiftId
) -> Envelope[DrawerSummary]:
    """What was put in and taken out; its figures once it is counted, or for `reports_view`."""
    return ok(await reading.drawer(platform.uow.reading(), scope, drawer_id))
