"""Shifts, which are the drawers too: who had the till, what was sold, whether the cash agreed."""

from admin_tui.listing import Column, Detail, ListPage, Section
from admin_tui.office import Office
from admin_tui.park import Park
from playpark.contracts.shifts import ShiftSummary
from playpark.money import format_satang
from playpark.tui.theme import ACCENT, BAD, GOOD, MUTED, WARN

OPEN = "open"


def _difference(shift: ShiftSummary) -> int | None:
    """Counted less expected, satang; None before the count."""
    if shift.cash_counted is None or shift.cash_expected is None:
        return None
    return shift.cash_counted - shift.cash_expected


def _agrees(shift: ShiftSummary) -> str:
    off = _difference(shift)
    if off is None:
        return "not counted"
    if off == 0:
        return "agrees"
    return f"{format_satang(abs(off))} {'over' if off > 0 else 'short'}"


def _agrees_style(shift: ShiftSummary) -> str:
    off = _difference(shift)
    if not off:
        return MUTED if off is None else GOOD
    return WARN if off > 0 else BAD


async def _detail(office: Office, shift: ShiftSummary) -> Detail:
    park = office.park
    return Detail(
        f"Shift on {park.device(shift.device_id)}",
        (
            Section("", _head(shift, park)),
            Section(
                "Sales",
                (
                    ("Sales", str(shift.sales_count)),
                    ("Amount", format_satang(shift.sales_amount)),
                ),
            ),
            Section("Cash", _cash(shift)),
        ),
    )


def _head(shift: ShiftSummary, park: Park) -> tuple[tuple[str, str], ...]:
    rows = [
        ("State", shift.status),
        ("Opened", park.time(shift.open_at)),
        ("Opened by", shift.opened_by_name or "–"),
    ]
    if shift.close_at:
        rows.append(("Closed", park.time(shift.close_at)))
    if shift.z_no is not None:
        rows.append(("Z report", f"no. {shift.z_no}"))
    return tuple(rows)


def _cash(shift: ShiftSummary) -> tuple[tuple[str, str], ...]:
    rows = [("Float at the start", format_satang(shift.cash_open))]
    if shift.cash_expected is not None and shift.cash_counted is not None:
        rows += [
            ("Expected at the end", format_satang(shift.cash_expected)),
            ("Counted", format_satang(shift.cash_counted)),
        ]
    rows.append(("Drawer", _agrees(shift)))
    return tuple(rows)


SHIFTS = ListPage(
    name="shifts",
    title="Shifts",
    group="Money",
    path="/shifts",
    model=ShiftSummary,
    columns=(
        Column("Opened", 12, lambda shift, park: park.time(shift.open_at)),
        Column("Till", 10, lambda shift, park: park.device(shift.device_id), grows=True),
        Column("Who", 10, lambda shift, _: shift.opened_by_name or "–", wide=True),
        Column(
            "State",
            6,
            lambda shift, _: shift.status,
            lambda shift: ACCENT if shift.status == OPEN else MUTED,
        ),
        Column("Closed", 12, lambda shift, park: park.time(shift.close_at), wide=True),
        Column("Sales", 5, lambda shift, _: str(shift.sales_count), right=True, wide=True),
        Column(
            "Amount",
            11,
            lambda shift, _: format_satang(shift.sales_amount),
            lambda _: GOOD,
            right=True,
        ),
        Column("Drawer", 12, lambda shift, _: _agrees(shift), _agrees_style, right=True),
    ),
    detail=_detail,
    empty="No shifts yet. A cashier opens one on a till (playpark pos) with the float in hand.",
    readers="people who may view reports",
    device_of=lambda shift: shift.device_id,
)
