"""Opening a shift, which is the drawer session too (R26)."""

from pymongo.errors import DuplicateKeyError

from api.audit import service as audit
from api.events import service as events
from api.platform.operations import Kind, Operation, OpRecord
from api.platform.permissions import Rights
from api.platform.scope import Scope
from api.platform.uow import Work
from api.shifts import closing
from api.shifts.booking import not_found
from api.shifts.models import Shift
from api.shifts.repository import ShiftRepository
from api.shifts.views import shift_view
from playpark.contracts.employees import Permission
from playpark.contracts.shifts import ShiftOpenIn, ShiftStatus, ShiftView
from playpark.contracts.sync import OpKind
from playpark.errors import ErrorCode, PlayParkError


async def _open(work: Work, scope: Scope, op: Operation[ShiftOpenIn], _result_id: str) -> ShiftView:
    """Open a shift with its float.

    Raises E_SHIFT_ALREADY_OPEN. A committed one is opened whatever the books say: the shift that
    was open is closed without a count and flagged `superseded` (R17).
    """
    shifts = ShiftRepository.of(work, scope)
    shift = Shift(
        id=shifts.key(op.op_id),
        tenant_id=scope.tenant_id,
        store_id=scope.store_id,
        shift_id=op.op_id,
        device_id=scope.device.device_id,
        business_date=op.day(scope),
        opened_by=scope.actor_id,
        opened_by_name=scope.actor_name,
        open_at=op.occurred_at,
        cash_open=op.body.cash_open,
        flags=list(op.flags),
    )
    if op.committed:
        await closing.supersede(work, scope, op)
    try:
        await shifts.insert(shift)
    except DuplicateKeyError as duplicate:
        if "device_id" not in (duplicate.details or {}).get("keyPattern", {}):
            raise  # the id is in use: another refusal
        message = "A shift is open on this device: close it first."
        raise PlayParkError(ErrorCode.SHIFT_ALREADY_OPEN, message) from None
    facts = {"shift_id": shift.shift_id, "cash_open": shift.cash_open}
    await events.emit(work, scope, ("shift.opened", facts))
    payload = {"cash_open": shift.cash_open, "flags": shift.flags}
    await audit.append(work, scope, "shift.opened", shift.shift_id, payload)
    return shift_view(shift)


async def _opened_answer(work: Work, scope: Scope, record: OpRecord) -> ShiftView:
    shift = await ShiftRepository.of(work, scope).get(record.op_id)
    if shift is None:
        raise not_found()
    # As it was when it was opened, whatever has happened since (R15).
    fresh = {"status": ShiftStatus.OPEN, "close_at": None}
    return shift_view(shift).model_copy(update=fresh)


MAY_OPEN = Rights((Permission.SHIFT_OPEN,))
OPEN = Kind(OpKind.SHIFT_OPEN, ShiftOpenIn, _open, _opened_answer, MAY_OPEN)
