"""HTTP of shifts."""

from api.platform.envelope import ok
from api.platform.http import Door, router
from api.platform.services import App, Caller
from api.shifts import service
from playpark.contracts.base import Envelope
from playpark.contracts.shifts import ShiftClosed, ShiftCloseIn, ShiftOpenIn, ShiftView

private = router("shifts")


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
