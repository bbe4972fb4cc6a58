"""Shifts as the API shows them, each to whom it may be shown (R27, R28)."""

from api.shifts import chain
from api.shifts.figures import Figures
from api.shifts.models import CashMovement, Shift, ZLink
from playpark.contracts.shifts import (
    DrawerSummary,
    MovementView,
    ShiftClosed,
    ShiftDetail,
    ShiftStatus,
    ShiftSummary,
    ShiftView,
)

OVER_DRAWER, FINALISED, RECOUNTED = "over_drawer", "finalised", "recounted"


def shift_view(shift: Shift) -> ShiftView:
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


def closed_view(link: ZLink) -> ShiftClosed:
    """The answer to a count: of the link alone, so that it is the same every time (R15)."""
    report = chain.report_of(link)
    counted = report.cash_counted or 0
    return ShiftClosed(
        shift_id=link.shift_id,
        cash_expected=link.cash_expected,
        cash_counted=counted,
        cash_diff=counted - link.cash_expected,
        z=report,
        flags=link.flags,
    )


def movement_view(movement: CashMovement, *, figures: bool = False) -> MovementView:
    """`figures`: whoever sees it may know what the drawer holds; `over_drawer` would tell."""
    told = [OVER_DRAWER] if figures and movement.over_drawer else []
    return MovementView(
        movement_id=movement.id,
        drawer_id=movement.drawer_id,
        type=movement.type,
        amount=movement.amount,
        reason_code=movement.reason_code,
        reason_text=movement.reason_text,
        occurred_at=movement.occurred_at,
        employee_name=movement.employee_name,
        flags=[*movement.flags, *told],
    )


def detail(
    shift: Shift, movements: list[CashMovement], links: list[ZLink], *, figures: bool
) -> ShiftDetail:
    """Without `figures` neither drawer nor totals nor Z: sales by method and the float are all
    that the expected cash is made of."""
    totals = Figures.of(shift)
    return ShiftDetail(
        **shift_view(shift).model_dump(),
        totals=totals.totals() if figures else None,
        drawer=totals.drawer(shift.cash_open) if figures else None,
        movements=[movement_view(each, figures=figures) for each in movements],
        cash_counted=shift.cash_counted,
        cash_diff=_difference(shift),
        reason_code=shift.reason_code,
        flags=shift.flags,
        z=[chain.report_of(link) for link in links] if figures else [],
    )


def drawer_summary(shift: Shift, movements: list[CashMovement], *, figures: bool) -> DrawerSummary:
    return DrawerSummary(
        drawer_id=shift.shift_id,
        shift=shift_view(shift),
        movements=[movement_view(each, figures=figures) for each in movements],
        drawer=Figures.of(shift).drawer(shift.cash_open) if figures else None,
        cash_counted=shift.cash_counted,
        cash_diff=_difference(shift),
    )


def summary(shift: Shift) -> ShiftSummary:
    """A shift in a list; its cash only once it is closed (R27)."""
    return ShiftSummary(
        **shift_view(shift).model_dump(),
        sales_count=shift.sales_count,
        sales_amount=shift.sales_amount,
        refunds_amount=shift.refunds_amount,
        cash_expected=shift.cash_expected,
        cash_counted=shift.cash_counted,
        z_no=shift.z_no,
        flags=shift.flags,
    )


def is_closed(shift: Shift) -> bool:
    return shift.status == ShiftStatus.CLOSED


def is_counted(shift: Shift) -> bool:
    """Whether its till has counted: as it was closed, or later where somebody else closed it."""
    own = shift.cash_counted is not None and FINALISED not in shift.flags
    return own or RECOUNTED in shift.flags


def _difference(shift: Shift) -> int | None:
    if shift.cash_counted is None or shift.cash_expected is None:
        return None
    return shift.cash_counted - shift.cash_expected
