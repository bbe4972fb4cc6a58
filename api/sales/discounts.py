"""Discounts that somebody else has to allow (R42, decision 0008)."""

from api.approvals import service as approvals
from api.platform.operations import Operation
from api.platform.scope import Scope
from api.platform.uow import Work
from api.sales.booking import Booking
from playpark.contracts.approvals import ApprovalAction, EmployeeRef
from playpark.contracts.employees import Permission
from playpark.contracts.sales import SaleIn
from playpark.money import percent_of


async def approve(
    work: Work, scope: Scope, op: Operation[SaleIn], booking: Booking
) -> tuple[EmployeeRef | None, list[str]]:
    """Spend an approval where the discounts need one. Returns who approved, and flags.

    It may be for the operation or for the parked cart, and its amount is the sum of the manual
    discounts. Raises E_PERMISSION with reason `approval_required`.
    """
    sale = op.body
    if not _needed(scope, sale, booking):
        return None, []
    return await approvals.require(
        work,
        scope,
        op,
        ApprovalAction.MANUAL_DISCOUNT,
        entities=[sale.open_ticket_id] if sale.open_ticket_id else [],
        amount=manual(sale),
        permissions={Permission.MANUAL_DISCOUNT},
    )


def manual(sale: SaleIn) -> int:
    """All manual discounts together, satang."""
    return sum(line.manual_discount or 0 for line in sale.lines)


def _needed(scope: Scope, sale: SaleIn, booking: Booking) -> bool:
    """Beyond the store's limit of a line's price, without the permission, or a discount of the
    store that is given with an approval only."""
    if manual(sale):
        limit = booking.catalog.settings.money.manual_discount_limit
        over = any(
            (asked.manual_discount or 0) > percent_of(line.gross, limit)
            for asked, line in zip(sale.lines, booking.priced.lines, strict=True)
        )
        if over or not scope.may(Permission.MANUAL_DISCOUNT):
            return True
    chosen = {*(sale.discount_ids or ())}
    for line in sale.lines:
        chosen.update(line.discount_ids or ())
    return any(
        each.needs_approval for each in booking.catalog.discounts if each.discount_id in chosen
    )
