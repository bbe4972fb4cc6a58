"""Loyalty points that a sale is paid with and earns (contracts/settings.py: LoyaltySettings)."""

from dataclasses import dataclass

from api.customers import service as customers
from api.platform.operations import Operation
from api.platform.scope import Scope
from api.platform.uow import Work
from api.sales.booking import Booking
from api.sales.tenders import POINTS_SHORT, points_payments
from playpark.contracts.customers import PointsReason
from playpark.contracts.sales import SaleIn
from playpark.errors import ErrorCode, PlayParkError


@dataclass(frozen=True, slots=True)
class Points:
    earned: int = 0
    burned: int = 0


NO_POINTS = Points()


async def settle(
    work: Work, scope: Scope, op: Operation[SaleIn], booking: Booking, sale_id: str
) -> tuple[Points, list[str]]:
    """Take the points that are paid with, then add those that are earned, in the sale's
    transaction. Returns both, and flags.

    Raises E_CONFLICT where the guest has too few points; for money that is taken already none are
    taken, and the sale is flagged (R17).
    """
    customer_id = booking.customer_id
    if customer_id is None:
        return NO_POINTS, []
    due = _due(op.body, booking)
    burned, flags = due.burned, []
    if burned and not await customers.burn(
        work, scope, customer_id, burned, sale_id=sale_id, reason=PointsReason.BURNED
    ):
        if not op.committed:
            message = "The customer does not have that many points: take another payment."
            raise PlayParkError(ErrorCode.CONFLICT, message, details={"reason": POINTS_SHORT})
        burned, flags = 0, [POINTS_SHORT]
    await customers.earn(
        work, scope, customer_id, due.earned, sale_id=sale_id, reason=PointsReason.EARNED
    )
    return Points(due.earned, burned), flags


def _due(sale: SaleIn, booking: Booking) -> Points:
    """Points are earned on the goods, not on surcharges or rounding, and not on what points
    pay for."""
    rules = booking.catalog.settings.loyalty
    by_points = sum(payment.amount for payment in points_payments(sale, booking))
    goods = max(0, sum(line.payable for line in booking.priced.lines) - by_points)
    return Points(
        earned=goods // rules.satang_per_point if rules.satang_per_point else 0,
        burned=by_points // rules.point_value if rules.point_value else 0,
    )
