"""Pay-ins, pay-outs and drops: cash that moves without a sale (R27)."""

from api.approvals import service as approvals
from api.audit import service as audit
from api.events import service as events
from api.platform.operations import Kind, Operation, OpRecord
from api.platform.permissions import Rights
from api.platform.scope import Scope
from api.platform.uow import Work
from api.shifts import booking
from api.shifts.booking import NO_SHIFT, store_rules
from api.shifts.figures import Figures, of_movement
from api.shifts.models import CashMovement, Shift
from api.shifts.repository import MovementRepository, ShiftRepository
from api.shifts.views import movement_view
from playpark.contracts.approvals import ReasonKind
from playpark.contracts.employees import Permission
from playpark.contracts.shifts import MovementIn, MovementType, MovementView
from playpark.contracts.sync import OpKind
from playpark.errors import ErrorCode, PlayParkError


async def _move(
    work: Work, scope: Scope, op: Operation[MovementIn], movement_id: str
) -> MovementView:
    """Book a movement on the device's open drawer.

    Raises E_NOT_FOUND for a drawer of another device, E_SHIFT_CLOSED. More than the drawer can
    hold is neither refused nor told here, or a cashier could feel for the expected cash: it is
    marked `over_drawer` for supervisors.
    """
    body = op.body
    named = body.drawer_id or op.shift_id
    booked = await booking.book(work, scope, op, named, of_movement(body.type, body.amount))
    if booked is None and not op.committed:
        raise await _why_not(work, scope, body.drawer_id)
    shift, more = booked or (None, [NO_SHIFT])
    _, known = await store_rules(work, scope)
    flags = [*op.flags, *more, *approvals.reason_flags(op, known, ReasonKind.CASH_MOVEMENT)]
    movement = CashMovement(
        id=movement_id,
        tenant_id=scope.tenant_id,
        store_id=scope.store_id,
        op_id=op.op_id,
        device_id=scope.device.device_id,
        drawer_id=shift.shift_id if shift else None,
        type=body.type,
        amount=body.amount,
        reason_code=body.reason_code,
        reason_text=body.reason_text,
        occurred_at=op.occurred_at,
        business_date=op.day(scope),
        employee_id=scope.actor_id,
        employee_name=scope.actor_name,
        flags=flags,
        over_drawer=body.type is not MovementType.PAY_IN and shift is not None and _empty(shift),
    )
    await MovementRepository.of(work, scope).insert(movement)
    facts = {"drawer_id": movement.drawer_id, "type": movement.type, "amount": movement.amount}
    await events.emit(work, scope, ("cash.moved", {"movement_id": movement_id, **facts}))
    payload = {**facts, "reason_code": movement.reason_code, "flags": flags}
    payload["over_drawer"] = movement.over_drawer
    await audit.append(work, scope, "cash.moved", movement_id, payload)
    return movement_view(movement)


def _empty(shift: Shift) -> bool:
    """Whether more has left the drawer than was in it."""
    return Figures.of(shift).drawer(shift.cash_open).cash_expected < 0


async def _why_not(work: Work, scope: Scope, drawer_id: str | None) -> PlayParkError:
    if drawer_id is None:
        return booking.none_open()
    shift = await ShiftRepository.of(work, scope).get(drawer_id)
    if shift is None or shift.device_id != scope.device.device_id:
        return PlayParkError(ErrorCode.NOT_FOUND, "There is no such drawer on this device.")
    message = "This drawer's shift is closed: open the next one first."
    return PlayParkError(ErrorCode.SHIFT_CLOSED, message)


async def _moved_answer(work: Work, scope: Scope, record: OpRecord) -> MovementView:
    movement = await MovementRepository.of(work, scope).find_one(_id=record.result_id)
    if movement is None:
        raise PlayParkError(ErrorCode.NOT_FOUND, "There is no such movement.")
    return movement_view(movement)


MAY_MOVE = Rights((Permission.CASH_MOVEMENT,))
MOVE = Kind(OpKind.CASH_MOVEMENT, MovementIn, _move, _moved_answer, MAY_MOVE)
