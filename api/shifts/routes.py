"""HTTP of shifts."""

from api.platform.envelope import ok
from api.platform.http import Cursor, Door, Limit, private_router
from api.platform.services import App, Caller
from api.shifts import service
from api.shifts.repository import ShiftRepository
from playpark.contracts.base import Envelope, Page
from playpark.contracts.employees import Permission
from playpark.contracts.shifts import (
    ShiftClosed,
    ShiftCloseIn,
    ShiftOpenIn,
    ShiftSummary,
    ShiftView,
)

private = private_router("shifts")


@private.post("/shifts/open")
async def open_shift(door: Door, body: ShiftOpenIn) -> Envelope[ShiftView]:
    """Open a shift, which is the drawer session too, with its float. Needs `shift_open`."""
    return await door.perform(service.OPEN, body)


@private.post("/shifts/close")
async def close_shift(door: Door, body: ShiftCloseIn) -> Envelope[ShiftClosed]:
    """Close the shift with the cash that was counted blind. Needs `shift_close`."""
    return await door.perform(service.CLOSE, body)


@private.get("/shifts/current")
async def current_shift(platform: App, scope: Caller) -> Envelope[ShiftView]:
    """The open shift of this device; E_SHIFT_CLOSED where there is none."""
    return ok(await service.current(platform.uow.reading(), scope))


@private.get("/shifts")
async def list_shifts(
    platform: App, scope: Caller, limit: Limit = 50, cursor: Cursor = None
) -> Envelope[Page[ShiftSummary]]:
    """The store's shifts, newest first. Needs `reports_view`."""
    scope.require(Permission.REPORTS_VIEW)
    shifts = ShiftRepository.of(platform.uow.reading(), scope)
    found, more = await shifts.page(limit, cursor)
    return ok(Page(items=[service.summary(shift) for shift in found], next_cursor=more))
