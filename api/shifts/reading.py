"""Who may see what of a shift: the cashier counts blind (R27, R28)."""

from typing import Any

from api.approvals import service as approvals
from api.audit import service as audit
from api.platform.operations import Operation, chain_key
from api.platform.scope import Scope
from api.platform.services import Platform
from api.platform.uow import Work
from api.shifts import chain, views
from api.shifts.booking import none_open, not_found
from api.shifts.figures import Figures
from api.shifts.models import Shift
from api.shifts.repository import MovementRepository, ShiftRepository, ZRepository
from playpark.contracts.approvals import ApprovalAction
from playpark.contracts.base import Page
from playpark.contracts.employees import Permission
from playpark.contracts.shifts import DrawerSummary, ShiftDetail, ShiftView, XReport, ZReport
from playpark.contracts.sync import OpKind
from playpark.errors import ErrorCode, PlayParkError
from playpark.ids import new_ulid


async def current(work: Work, scope: Scope) -> ShiftView:
    """The open shift of the caller's device. Raises E_SHIFT_CLOSED."""
    shift = await ShiftRepository.of(work, scope).open_on(scope.device.device_id)
    if shift is None:
        raise none_open()
    return views.shift_view(shift)


async def seen(work: Work, scope: Scope, shift_id: str) -> Shift:
    """A shift of the caller's own device, or any of the store for `reports_view`.

    Raises E_NOT_FOUND, E_PERMISSION.
    """
    shift = await ShiftRepository.of(work, scope).get(shift_id)
    if shift is None:
        raise not_found()
    if shift.device_id != scope.device.device_id:
        scope.require(Permission.REPORTS_VIEW)
    return shift


def may_see_figures(scope: Scope, shift: Shift) -> bool:
    """Before the count only `reports_view` sees what the drawer ought to hold (R27): of a shift
    that was superseded or finalised the till's own count may still come."""
    return views.is_counted(shift) or scope.may(Permission.REPORTS_VIEW)


async def detail(work: Work, scope: Scope, shift_id: str) -> ShiftDetail:
    shift = await seen(work, scope, shift_id)
    movements = await MovementRepository.of(work, scope).of_drawer(shift_id)
    links = await ZRepository.of(work, scope).of_shift(shift_id)
    return views.detail(shift, movements, links, figures=may_see_figures(scope, shift))


async def drawer(work: Work, scope: Scope, drawer_id: str) -> DrawerSummary:
    shift = await seen(work, scope, drawer_id)
    movements = await MovementRepository.of(work, scope).of_drawer(drawer_id)
    return views.drawer_summary(shift, movements, figures=may_see_figures(scope, shift))


async def z_reports(
    work: Work, scope: Scope, shift_id: str, limit: int, cursor: str | None
) -> Page[ZReport]:
    """The Z report of a shift, then what was added to it; none while it is open, nor for who
    may still count it.

    Raises E_NOT_FOUND, E_PERMISSION, E_VALIDATION for a cursor that is not ours.
    """
    shift = await seen(work, scope, shift_id)
    if cursor is not None and not (cursor.isascii() and cursor.isdecimal() and len(cursor) < 16):
        message = "The cursor is not one of ours: send next_cursor as it came, or none."
        raise PlayParkError(ErrorCode.VALIDATION, message)
    if not may_see_figures(scope, shift):
        return Page(items=[])
    after = int(cursor) if cursor else 0
    links = await ZRepository.of(work, scope).of_shift(shift_id, after=after, limit=limit + 1)
    more = str(links[limit - 1].chain_seq) if len(links) > limit else None
    return Page(items=[chain.report_of(link) for link in links[:limit]], next_cursor=more)


async def x_report(
    platform: Platform, scope: Scope, shift_id: str, approval: str | None
) -> XReport:
    """A look at an open shift, expected cash and all: for `reports_view`, or with an approval,
    which is spent and audited (R28).

    Raises E_NOT_FOUND, E_PERMISSION, E_SHIFT_CLOSED.
    """
    shift = await seen(platform.uow.reading(), scope, shift_id)
    if views.is_closed(shift):
        message = "This shift is closed: read its Z report."
        raise PlayParkError(ErrorCode.SHIFT_CLOSED, message)
    if not scope.may(Permission.REPORTS_VIEW):
        await _spend(platform, scope, shift_id, approval)
    figures = Figures.of(shift)
    return XReport(
        shift=views.shift_view(shift),
        at=platform.clock.now(),
        totals=figures.totals(),
        drawer=figures.drawer(shift.cash_open),
    )


async def _spend(platform: Platform, scope: Scope, shift_id: str, approval: str | None) -> None:
    # Looking is no operation; this one carries the approval and is never recorded.
    op: Operation[Any] = Operation(
        op_id=new_ulid(),
        kind=OpKind.SHIFT_ADJUSTMENT,
        raw={},
        body=None,
        occurred_at=platform.clock.now(),
        approval=approval,
    )

    async def spend(work: Work) -> None:
        approver, _ = await approvals.require(
            work,
            scope,
            op,
            ApprovalAction.X_REPORT,
            entities=[shift_id],
            permissions=[Permission.REPORTS_VIEW],
        )
        payload = {"approved_by": approver.employee_id if approver else None}
        await audit.append(work, scope, "shift.x_report", shift_id, payload)

    await platform.uow.run(spend, queue=chain_key(scope))
