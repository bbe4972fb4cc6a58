"""What refunds, voids and reprints share: the sale as it stands, what a yes may be for."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from api.platform.scope import Scope
from api.platform.uow import Work
from api.sales.models import Payment, Sale
from api.sales.repository import PaymentRepository, SaleRepository
from api.tickets import service as tickets
from api.tickets.models import Ticket
from playpark.errors import ErrorCode, PlayParkError


@dataclass(frozen=True, slots=True)
class Sold:
    """A sale, its payments in their order and its tickets in theirs, read in one transaction."""

    sale: Sale
    payments: list[Payment]
    tickets: list[Ticket]


async def read(work: Work, scope: Scope, sale_id: str) -> Sold:
    """Raises E_NOT_FOUND for a sale of another tenant or store, an unknown one, and a training
    sale, which took no money (R32, R44)."""
    sale = await SaleRepository.of(work, scope).find_one(_id=sale_id)
    if sale is None:
        raise PlayParkError(ErrorCode.NOT_FOUND, "There is no such sale.")
    payments = await PaymentRepository.of(work, scope).find(sort="position", sale_id=sale_id)
    return Sold(sale, payments, await tickets.of_sale(work, scope, sale_id))


def entities(sale_id: str, ticket_ids: Sequence[str]) -> Collection[str]:
    """What an approval may name: the sale, or the ticket where it is one alone. A yes to one
    ticket is no yes to others of its sale (R42)."""
    return {sale_id, *ticket_ids} if len(ticket_ids) == 1 else {sale_id}
