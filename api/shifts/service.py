"""Opening and closing shifts; what a sale adds to them (R26–R28)."""

from dataclasses import dataclass
from typing import Any

from pymongo.errors import DuplicateKeyError

from api.audit import service as audit
from api.events import service as events
from api.platform.operations import Kind, Operation, OpRecord, chain_key
from api.platform.scope import Scope
from api.platform.uow import Work
from api.shifts.models import Shift, ZCounter
from api.shifts.repository import ShiftRepository, ZCounterRepository
from playpark.cash import FIRST_HASH, DrawerTotals, chain_hash, expected_cash
from playpark.contracts.employees import Permission
from playpark.contracts.shifts import (
    SalesTotals,
    ShiftClosed,
    ShiftCloseIn,
    ShiftOpenIn,
    ShiftSummary,
    ShiftView,
    ZReport,
)
from playpark.contracts.sync import OpKind
from playpark.errors import ErrorCode, PlayParkError


@dataclass(frozen=True, slots=True)
class SaleAmounts:
    """What one sale adds to its shift, satang."""

    amount: int
    cash: int
    by_method: dict[str, int]
    tickets: int


async def _open(work: Work, scope: Scope, op: Operation[ShiftOpenIn], _result_id: str) -> ShiftView:
    unpermitted = _permit(scope, op, Permission.SHIFT_OPEN)
    shifts = ShiftRepository.of(work, scope)
    shift = Shift(
        id=shifts.key(op.op_id),
        tenant_id=scope.tenant_id,
        store_id=scope.store_id,
        shift_id=op.op_id,
        device_id=scope.device.device_id,
        opened_by=scope.actor.employee_id if scope.actor else None,
        opened_by_name=scope.actor.name if scope.actor else None,
        open_at=op.occurred_at,
        cash_open=op.body.cash_open,
    )
    try:
        await shifts.insert(shift)
    except DuplicateKeyError as duplicate:
        if "device_id" not in (duplicate.details or {}).get("keyPattern", {}):
            raise  # the id is in use: another refusal
        message = "A shift is open on this device: close it first."
        raise PlayParkError(ErrorCode.SHIFT_ALREADY_OPEN, message) from None
    payload = {"cash_open": shift.cash_open, "flags": unpermitted}
    await audit.append(work, scope, "shift.opened", shift.shift_id, payload)
    return view(shift)


async def _opened_answer(work: Work, scope: Scope, record: OpRecord) -> ShiftView:
    shifts = ShiftRepository.of(work, scope)
    shift = await shifts.find_one(_id=shifts.key(record.op_id))
    if shift is None:
        raise PlayParkError(ErrorCode.NOT_FOUND, "There is no such shift.")
    # As it was when it was opened, whatever has happened since (R15).
    return view(shift).model_copy(update={"status": "open", "close_at": None})


async def _close(
    work: Work, scope: Scope, op: Operation[ShiftCloseIn], _result_id: str
) -> ShiftClosed:
    body = op.body
    unpermitted = _permit(scope, op, Permission.SHIFT_CLOSE)
    shifts = ShiftRepository.of(work, scope)
    shift = await shifts.open_on(scope.device.device_id, op.shift_id)
    if shift is None:
        message = "No shift is open on this device: open one first."
        raise PlayParkError(ErrorCode.SHIFT_CLOSED, message)
    drawer = DrawerTotals(cash_open=shift.cash_open, cash_sales=shift.cash_sales)
    shift.cash_expected = expected_cash(drawer)
    shift.cash_counted = body.total
    z = await _next_z(work, scope, shift)
    shift.z = z.model_dump(mode="json")
    changes = {
        "status": "closed",
        "close_op_id": op.op_id,
        "closed_by": scope.actor.employee_id if scope.actor else None,
        "close_at": op.occurred_at,
        "cash_expected": shift.cash_expected,
        "cash_counted": shift.cash_counted,
        "counted": body.counted,
        "reason_code": body.reason_code,
        "z": shift.z,
    }
    await shifts.update_one({"$set": changes}, _id=shift.id, status="open")
    answer = closed_view(shift)
    facts = {
        "z_no": z.z_no,
        "cash_expected": answer.cash_expected,
        "cash_counted": answer.cash_counted,
        "cash_diff": answer.cash_diff,
    }
    await events.emit(work, scope, ("shift.closed", {"shift_id": shift.shift_id, **facts}))
    payload = {**facts, "flags": unpermitted}
    await audit.append(work, scope, "shift.closed", shift.shift_id, payload)
    return answer


def _permit(scope: Scope, op: Operation[Any], permission: Permission) -> list[str]:
    """Refuse what may not be, or flag it where it has happened already (R17)."""
    if not op.committed:
        scope.require(permission)
    scope.require_device(permission)
    return [*op.flags, *([] if scope.may(permission) else ["not_permitted"])]


async def _next_z(work: Work, scope: Scope, shift: Shift) -> ZReport:
    """The next Z of the device: fixed totals, grand total, hash over the one before (R28)."""
    counters = ZCounterRepository.of(work, scope)
    key = chain_key(scope)
    last = await counters.find_one(_id=key)
    prev_hash = last.last_hash if last else FIRST_HASH
    content = {
        "z_no": (last.z_no if last else 0) + 1,
        "sales": SalesTotals(
            count=shift.sales_count, amount=shift.sales_amount, by_method=shift.by_method
        ).model_dump(),
        "tickets_issued": shift.tickets_issued,
        "cash_open": shift.cash_open,
        "cash_sales": shift.cash_sales,
        "grand_total": (last.grand_total if last else 0) + shift.sales_amount,
        "prev_hash": prev_hash,
    }
    z = ZReport(**content, hash=chain_hash(prev_hash, {**content, "shift_id": shift.shift_id}))
    if last is None:
        first = ZCounter(
            id=key,
            tenant_id=scope.tenant_id,
            store_id=scope.store_id,
            z_no=z.z_no,
            grand_total=z.grand_total,
            last_hash=z.hash,
        )
        await counters.insert(first)
    else:
        changes = {"z_no": z.z_no, "grand_total": z.grand_total, "last_hash": z.hash}
        await counters.update_one({"$set": changes}, _id=key)
    return z


async def _closed_answer(work: Work, scope: Scope, record: OpRecord) -> ShiftClosed:
    shifts = ShiftRepository.of(work, scope)
    shift = await shifts.find_one(
        device_id=scope.device.device_id, close_op_id=record.op_id, status="closed"
    )
    if shift is None:
        raise PlayParkError(ErrorCode.NOT_FOUND, "There is no such shift.")
    return closed_view(shift)


OPEN = Kind(OpKind.SHIFT_OPEN, ShiftOpenIn, _open, _opened_answer)
CLOSE = Kind(OpKind.SHIFT_CLOSE, ShiftCloseIn, _close, _closed_answer)


async def book_sale(
    work: Work, scope: Scope, op: Operation[Any], amounts: SaleAmounts
) -> tuple[str | None, list[str]]:
    """Add a sale to the device's open shift, in the sale's transaction (R26).

    An operation that names its shift is booked there and nowhere else. Returns (shift_id,
    flags). Without that shift being open an uncommitted sale is E_SHIFT_CLOSED; a committed one
    is kept and flagged, and counted as late on the shift it names (R17, R28).
    """
    shifts = ShiftRepository.of(work, scope)
    totals = {
        "sales_count": 1,
        "sales_amount": amounts.amount,
        "cash_sales": amounts.cash,
        "tickets_issued": amounts.tickets,
        **{f"by_method.{method}": amount for method, amount in amounts.by_method.items()},
    }
    shift = await shifts.book(scope.device.device_id, op.shift_id, totals)
    if shift is not None:
        return shift.shift_id, []
    if not op.committed:
        message = "No shift is open on this device: open one first."
        raise PlayParkError(ErrorCode.SHIFT_CLOSED, message)
    if op.shift_id is None:
        return None, ["no_shift"]
    late = {"late_count": 1, "late_amount": amounts.amount}
    found = await shifts.update_one(
        {"$inc": late}, _id=shifts.key(op.shift_id), device_id=scope.device.device_id
    )
    return (op.shift_id, ["after_close"]) if found else (None, ["no_shift"])


async def current(work: Work, scope: Scope) -> ShiftView:
    """The open shift of the caller's device. Raises E_SHIFT_CLOSED."""
    shifts = ShiftRepository.of(work, scope)
    shift = await shifts.open_on(scope.device.device_id)
    if shift is None:
        message = "No shift is open on this device: open one first."
        raise PlayParkError(ErrorCode.SHIFT_CLOSED, message)
    return view(shift)


def view(shift: Shift) -> ShiftView:
    return ShiftView(
        shift_id=shift.shift_id,
        device_id=shift.device_id,
        opened_by=shift.opened_by,
        opened_by_name=shift.opened_by_name,
        open_at=shift.open_at,
        cash_open=shift.cash_open,
        status=shift.status,
        close_at=shift.close_at,
    )


def closed_view(shift: Shift) -> ShiftClosed:
    expected, counted = shift.cash_expected or 0, shift.cash_counted or 0
    return ShiftClosed(
        shift_id=shift.shift_id,
        cash_expected=expected,
        cash_counted=counted,
        cash_diff=counted - expected,
        z=ZReport.model_validate(shift.z),
    )


def summary(shift: Shift) -> ShiftSummary:
    """A shift in a list; its figures only once it is closed (R27)."""
    return ShiftSummary(
        **view(shift).model_dump(),
        sales_count=shift.sales_count,
        sales_amount=shift.sales_amount,
        cash_expected=shift.cash_expected,
        cash_counted=shift.cash_counted,
        z_no=shift.z["z_no"] if shift.z else None,
    )
