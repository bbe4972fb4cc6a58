"""Closing a shift: the blind count, the difference, the Z report (R26–R28)."""

from typing import Any

from api.approvals import service as approvals
from api.audit import service as audit
from api.events import service as events
from api.platform.operations import Kind, Operation, OpRecord
from api.platform.permissions import Rights
from api.platform.scope import Scope
from api.platform.uow import Work
from api.receipts import service as receipts
from api.shifts import chain
from api.shifts.booking import none_open, not_found, store_rules
from api.shifts.chain import Entry
from api.shifts.figures import Figures
from api.shifts.models import Shift, ZLink
from api.shifts.repository import ShiftRepository, ZRepository
from api.shifts.views import FINALISED, RECOUNTED, closed_view
from playpark.contracts.approvals import ApprovalAction, ReasonKind
from playpark.contracts.employees import Permission
from playpark.contracts.shifts import DrawerCloseIn, ShiftClosed, ZKind
from playpark.contracts.sync import OpKind
from playpark.errors import ErrorCode, PlayParkError
from playpark.ids import ReceiptNumber, ReceiptSeries

VARIANCE, ALREADY_CLOSED = "variance_unapproved", "already_closed"
SUPERSEDED = "superseded"


async def _close(
    work: Work, scope: Scope, op: Operation[DrawerCloseIn], link_id: str
) -> ShiftClosed:
    """Close the drawer with its count.

    Raises E_SHIFT_CLOSED, E_NOT_FOUND, E_PERMISSION; over the tolerance E_VALIDATION without a
    reason and E_PERMISSION without an approval. What is committed is always accepted: the
    difference then waits for a supervisor, and a count for a shift that was closed meanwhile
    (finalised, superseded) is added to its chain. Only a shift that this device never had is
    refused, for it is of foreign origin (R17).
    """
    named = op.body.drawer_id or op.shift_id
    lost = await _lost_till(work, scope, op)
    device_id = lost or scope.device.device_id
    flags = [*op.flags, *([FINALISED] if lost else [])]
    closed = {
        "closed_by": scope.actor_id,
        "close_at": op.occurred_at,
        "cash_counted": op.body.total,
        "counted": op.body.counted,
        "reason_code": op.body.reason_code,
        "reason_text": op.body.reason_text,
    }
    shift = await ShiftRepository.of(work, scope).close(device_id, named, closed)
    if shift is None:
        return await _count_late(work, scope, op, link_id, flags)
    figures = Figures.of(shift)
    difference = op.body.total - figures.drawer(shift.cash_open).cash_expected
    approved_by, more = await _judge(work, scope, op, shift, difference, alone=bool(lost))
    z_no, taken = await _number(work, scope, op)
    entry = Entry(
        ZKind.CLOSE,
        op.op_id,
        figures=figures,
        link_id=link_id,
        z_no=z_no,
        receipt_no=op.body.receipt_no,
        cash_counted=op.body.total,
        flags=(*flags, *more, *taken),
    )
    return closed_view(await _seal(work, scope, shift, entry, approved_by))


async def _lost_till(work: Work, scope: Scope, op: Operation[DrawerCloseIn]) -> str | None:
    """The till whose drawer a supervisor finalises from an admin's device; None for one's own."""
    if not scope.device.is_office or op.body.drawer_id is None:
        return None
    shift = await ShiftRepository.of(work, scope).get(op.body.drawer_id)
    if shift is None:
        raise not_found()
    if op.body.receipt_no is not None:
        message = "Leave receipt_no out: only the till itself takes numbers of its Z series."
        raise PlayParkError(ErrorCode.VALIDATION, message)
    return shift.device_id


async def _judge(
    work: Work,
    scope: Scope,
    op: Operation[DrawerCloseIn],
    shift: Shift,
    difference: int,
    *,
    alone: bool,
) -> tuple[str | None, list[str]]:
    """Who approved a difference over the tolerance, and the flags of what nobody did (R27).

    Whoever finalises a lost till is `alone`: the difference waits for somebody else. Refusals
    name no figure, for the count is blind.
    """
    settings, known = await store_rules(work, scope)
    flags = approvals.reason_flags(op, known, ReasonKind.CASH_VARIANCE)
    if abs(difference) <= settings.shifts.variance_tolerance:
        return None, flags
    if alone:
        return None, [*flags, VARIANCE]
    if op.body.reason_code is None and not op.committed:
        message = "The count differs from the books: count again, or send a reason_code."
        raise PlayParkError(ErrorCode.VALIDATION, message)
    who, missing = await approvals.require(
        work,
        scope,
        op,
        ApprovalAction.CASH_VARIANCE,
        entities=[shift.shift_id],
        amount=abs(difference),
    )
    return (who.employee_id if who else None), [*flags, *([VARIANCE] if missing else [])]


async def _number(
    work: Work, scope: Scope, op: Operation[DrawerCloseIn]
) -> tuple[int | None, list[str]]:
    """The Z number that the device took, entered in the receipt ledger (R28, R29)."""
    if op.body.receipt_no is None:
        return None, []
    given = op.body.receipt_no
    receipt_no, flags = await receipts.take(work, scope, op, ReceiptSeries.Z, given)
    return ReceiptNumber.parse(receipt_no).number, flags


async def _seal(
    work: Work, scope: Scope, shift: Shift, entry: Entry, approved_by: str | None = None
) -> ZLink:
    """Write the Z report of a shift that this transaction has closed, and tell of it."""
    link = await chain.append(work, scope, shift, entry)
    changes = {
        "cash_expected": link.cash_expected,
        "z_no": link.z_no,
        "approved_by": approved_by,
        "flags": [*shift.flags, *link.flags],
    }
    await ShiftRepository.of(work, scope).update_one({"$set": changes}, _id=shift.id)
    facts = _facts(link)
    await events.emit(work, scope, ("shift.closed", {"shift_id": shift.shift_id, **facts}))
    payload = {**facts, "approved_by": approved_by, "flags": link.flags}
    await audit.append(work, scope, "shift.closed", shift.shift_id, payload)
    return link


async def _count_late(
    work: Work, scope: Scope, op: Operation[DrawerCloseIn], link_id: str, flags: list[str]
) -> ShiftClosed:
    """The count of a shift that is closed already: refused, or kept as a link where it has
    been done (R28)."""
    shift_id = op.body.drawer_id or op.shift_id
    shifts = ShiftRepository.of(work, scope)
    shift = await shifts.get(shift_id) if shift_id else None
    own = shift is not None and shift.device_id == scope.device.device_id
    if shift is None or (not own and FINALISED not in flags):
        raise not_found() if op.body.drawer_id or (op.committed and shift_id) else none_open()
    if not op.committed or not own:
        message = "This shift is closed already: correct its count in an adjustment."
        raise PlayParkError(ErrorCode.SHIFT_CLOSED, message)
    before = await ZRepository.of(work, scope).last_of(shift.shift_id)
    difference = op.body.total - (before.cash_expected if before else 0)
    approved_by, more = await _judge(work, scope, op, shift, difference, alone=False)
    _, taken = await _number(work, scope, op)
    entry = Entry(
        ZKind.ADJUSTMENT,
        op.op_id,
        link_id=link_id,
        receipt_no=op.body.receipt_no,
        cash_counted=op.body.total,
        because=op.op_id,
        flags=(*flags, ALREADY_CLOSED, *more, *taken),
    )
    link = await chain.append(work, scope, shift, entry)
    marks = [RECOUNTED, *([VARIANCE] if VARIANCE in more else [])]
    await shifts.update_one({"$addToSet": {"flags": {"$each": marks}}}, _id=shift.id)
    payload = {**_facts(link), "approved_by": approved_by, "flags": link.flags}
    await events.emit(work, scope, ("shift.adjusted", {"shift_id": shift.shift_id, **_facts(link)}))
    await audit.append(work, scope, "shift.adjusted", shift.shift_id, payload)
    return closed_view(link)


async def supersede(work: Work, scope: Scope, op: Operation[Any]) -> None:
    """Close the device's open shift without a count, where another has been opened already.

    A committed `shift_open` is never refused (R17), and one drawer is one shift (R26). Its count
    may still come: it is added to the chain then.
    """
    closed = {"close_at": op.occurred_at, "closed_by": None}
    shift = await ShiftRepository.of(work, scope).close(scope.device.device_id, None, closed)
    if shift is not None:
        figures, flags = Figures.of(shift), (SUPERSEDED,)
        await _seal(work, scope, shift, Entry(ZKind.CLOSE, op.op_id, figures=figures, flags=flags))


def _facts(link: ZLink) -> dict[str, Any]:
    """What events and audit rows say of a link; satang."""
    counted = link.report["cash_counted"]
    return {
        "z_no": link.z_no,
        "number": link.report["number"],
        "cash_expected": link.cash_expected,
        "cash_counted": counted,
        "cash_diff": None if counted is None else counted - link.cash_expected,
    }


async def _closed_answer(work: Work, scope: Scope, record: OpRecord) -> ShiftClosed:
    link = await ZRepository.of(work, scope).find_one(_id=record.result_id)
    if link is None:
        raise not_found()
    return closed_view(link)


# Money that is counted elsewhere is never foregone fact: finalising takes a person.
FINALISE = Rights(all_of=(Permission.DEVICE_MANAGE, Permission.APPROVE), person=True)
MAY_CLOSE = Rights(
    (Permission.SHIFT_CLOSE,),
    approvals=(ApprovalAction.CASH_VARIANCE,),
    when="for a difference over the store's tolerance",
    office=FINALISE,
)
CLOSE = Kind(OpKind.SHIFT_CLOSE, DrawerCloseIn, _close, _closed_answer, MAY_CLOSE)
