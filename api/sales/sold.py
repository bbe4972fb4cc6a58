"""A sale as it stands, with its payments and tickets: what is read, given back or printed again."""

from dataclasses import dataclass

from api.platform.scope import Scope
from api.platform.uow import Work
from api.sales.models import Payment, Sale
from api.sales.repository import PaymentRepository, SaleRepository
from api.tickets import issuing as tickets
from api.tickets.models import Ticket
from playpark.errors import ErrorCode, PlayParkError


@dataclass(frozen=True, slots=True)
class Sold:
    """A sale, its payments in their order and its tickets in theirs, read in one transaction."""

    sale: Sale
    payments: list[Payment]
    tickets: list[Ticket]


async def find(work: Work, scope: Scope, sale_id: str) -> Sold | None:
    """None for a sale of another tenant or store, an unknown one, and a training sale, which took
    no money (R32, R44); for a kiosk, one that it did not sell itself."""
    sale = await SaleRepository.of(work, scope).find_one(_id=sale_id, **scope.own_only)
    if sale is None:
        return None
    payments = await PaymentRepository.of(work, scope).find(sort="position", sale_id=sale_id)
    return Sold(sale, payments, await tickets.of_sale(work, scope, sale_id))


async def read(work: Work, scope: Scope, sale_id: str) -> Sold:
    """Raises E_NOT_FOUND where `find` answers None."""
    sold = await find(work, scope, sale_id)
    if sold is None:
        raise not_found()
    return sold


def not_found() -> PlayParkError:
    return PlayParkError(ErrorCode.NOT_FOUND, "There is no such sale.")
