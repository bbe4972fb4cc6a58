"""Loyalty points of a sale that is given back: what it earned goes, what it was paid with returns.

Both cumulatively, so that all refunds of a sale together move exactly its points.
"""

from dataclasses import dataclass

from api.catalog import service as catalog
from api.customers import service as customers
from api.customers.repository import CustomerRepository
from api.platform.scope import Scope
from api.platform.uow import Work
from api.sales.sold import Sold
from playpark.contracts.customers import PointsReason
from playpark.contracts.snapshot import CatalogSnapshot
from playpark.money import round_half_up

POINTS_SHORT = "points_short"


@dataclass(frozen=True, slots=True)
class PointsMove:
    """What a refund or void does to a customer's points."""

    returned: int = 0
    taken: int = 0


async def points_payments(work: Work, scope: Scope, sold: Sold) -> frozenset[str]:
    """The ids of the payments that were made with points."""
    if not sold.sale.points_burned:
        return frozenset()
    version = sold.sale.catalog_version
    known: CatalogSnapshot
    known, _ = await catalog.snapshot_with(work, scope, version, [])
    types = {each.payment_type_id for each in known.payment_types if each.points}
    return frozenset(paid.id for paid in sold.payments if paid.payment_type_id in types)


def due(sold: Sold, goods: int, back: dict[str, int], by_points: frozenset[str]) -> PointsMove:
    """The points that move with a refund of goods worth `goods` satang. `back` is what goes back
    by each payment's own tender (satang by payment id): a guest who gets cash for what was paid
    with points does not get the points too."""
    sale = sold.sale
    sold_goods = sum(ticket.slice["payable"] for ticket in sold.tickets)
    paid = [each for each in sold.payments if each.id in by_points]
    worth = sum(each.amount for each in paid)
    before = sum(each.refunded for each in paid)
    after = before + sum(back.get(each.id, 0) for each in paid)
    return PointsMove(
        returned=_share(sale.points_burned, before, after, worth),
        taken=_share(
            sale.points_earned, sale.refunded_goods, sale.refunded_goods + goods, sold_goods
        ),
    )


async def settle(
    work: Work, scope: Scope, sold: Sold, move: PointsMove, reason: PointsReason
) -> tuple[PointsMove, list[str]]:
    """Move the points. A guest who has spent them already keeps no less than none: what is
    missing is flagged `points_short`. Returns what was moved, and flags."""
    sale = sold.sale
    if sale.customer_id is None:
        return PointsMove(), []
    guest = sale.customer_id
    await customers.earn(work, scope, guest, move.returned, sale_id=sale.id, reason=reason)
    if await customers.burn(work, scope, guest, move.taken, sale_id=sale.id, reason=reason):
        return move, []
    customer = await CustomerRepository.of(work, scope).find_one(_id=guest)
    balance = customer.points if customer else 0
    await customers.burn(work, scope, guest, balance, sale_id=sale.id, reason=reason)
    return PointsMove(move.returned, balance), [POINTS_SHORT]


def _share(points: int, before: int, after: int, whole: int) -> int:
    """The points of the part between two sums: all parts together are exactly `points`."""
    if not points or not whole:
        return 0
    return round_half_up(points * after, whole) - round_half_up(points * before, whole)
