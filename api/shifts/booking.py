"""Adding an operation's figures to the shift that it belongs to (R17, R26, R28)."""

from collections.abc import Sequence
from typing import Any

from api.catalog import service as catalog
from api.events import service as events
from api.platform.operations import Operation
from api.platform.scope import Scope
from api.platform.uow import Work
from api.shifts import chain
from api.shifts.chain import Entry
from api.shifts.figures import Figures
from api.shifts.models import Shift
from api.shifts.repository import ShiftRepository
from playpark.contracts.approvals import ReasonCodeView
from playpark.contracts.settings import StoreSettings
from playpark.contracts.shifts import ZKind
from playpark.errors import ErrorCode, PlayParkError

AFTER_CLOSE, NO_SHIFT = "after_close", "no_shift"


async def book(
    work: Work, scope: Scope, op: Operation[Any], shift_id: str | None, figures: Figures
) -> tuple[Shift, list[str]] | None:
    """Add to the device's open shift, if it is the one that is named, and return it with flags.

    Where the named one is closed already, what is committed becomes a supplement in its chain,
    flagged `after_close`. None where nothing could be booked.
    """
    shifts = ShiftRepository.of(work, scope)
    shift = await shifts.add(scope.device.device_id, shift_id, figures.increments())
    if shift is not None:
        return shift, []
    if not op.committed or shift_id is None:
        return None
    closed = await shifts.get(shift_id)
    if closed is None or closed.device_id != scope.device.device_id:
        return None
    entry = Entry(ZKind.SUPPLEMENT, op.op_id, figures=figures, because=op.op_id)
    link = await chain.append(work, scope, closed, entry)
    facts = {"shift_id": shift_id, "number": link.report["number"]}
    await events.emit(work, scope, ("shift.supplemented", facts))
    return closed, [AFTER_CLOSE]


async def store_rules(work: Work, scope: Scope) -> tuple[StoreSettings, Sequence[ReasonCodeView]]:
    """The store's settings and reasons; the defaults where nothing was published yet, for a
    shift has to close even then (R28)."""
    try:
        known = await catalog.snapshot(work, scope)
    except PlayParkError as missing:
        if missing.code is not ErrorCode.NOT_FOUND:
            raise
        return StoreSettings(), []
    return known.settings, known.reason_codes


def none_open() -> PlayParkError:
    message = "No shift is open on this device: open one first."
    return PlayParkError(ErrorCode.SHIFT_CLOSED, message)


def not_found() -> PlayParkError:
    return PlayParkError(ErrorCode.NOT_FOUND, "There is no such shift.")
