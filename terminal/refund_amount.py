"""What a refund will pay out, before the server is asked: the supervisor approves that much (R31,
R42).

The same rule as the server's, on what a till knows of a sale. Where that does not tell for sure,
nothing is said rather than something wrong.
"""

from dataclasses import dataclass
from typing import Any

from playpark.contracts.pricing import PaymentMethod
from playpark.contracts.settings import CashRounding, CashStep
from playpark.contracts.snapshot import CatalogSnapshot
from playpark.contracts.tickets import TicketStatus
from playpark.refunding import RefundState, SoldSlice, Tender, plan_refund
from terminal.finding import FoundSale

STEPS: tuple[CashStep, ...] = (1, 25, 50, 100)
WHOLE = max(STEPS)
"""Satang: amounts in whole baht are the same in any coins."""


@dataclass(frozen=True, slots=True)
class Back:
    """What is wanted back: these tickets, or an amount (satang), or, without either, all that is
    left. `method` None gives it back the way it came."""

    ticket_ids: tuple[str, ...] | None = None
    amount: int | None = None
    method: PaymentMethod | None = None

    def fields(self) -> dict[str, Any]:
        """As a request has them."""
        fields = {
            "ticket_ids": list(self.ticket_ids) if self.ticket_ids is not None else None,
            "amount": self.amount,
            "method": self.method,
        }
        return {name: value for name, value in fields.items() if value is not None}


def expected_refund(found: FoundSale, back: Back, catalog: CatalogSnapshot) -> int | None:
    """Satang that the server will pay out; None where only it can tell.

    Raises E_REFUND_EXCEEDS for more than is left, E_VALIDATION for a part of a bundle.
    """
    if catalog.settings.sales.refund_reprice and back.ticket_ids is not None:
        return None
    roundings = [(step, mode) for step in STEPS for mode in CashRounding]
    if found.sale.catalog_version == catalog.catalog_version:
        roundings = [(catalog.settings.money.cash_step, catalog.settings.money.cash_rounding)]
    amounts = {_plan(found, back, step, mode) for step, mode in roundings}
    amount = amounts.pop()
    if amounts:
        return None
    coins_matter = any(step > 1 for step, _ in roundings) and not _in_whole_baht(found, back)
    unknown = coins_matter and not _cash_back_is_known(found) and amount != found.left
    return None if unknown else amount


def _plan(found: FoundSale, back: Back, step: CashStep, mode: CashRounding) -> int:
    sale = found.sale
    slices = [
        SoldSlice(
            ticket_id=each.ticket.ticket_id,
            unit=each.unit,
            payable=each.ticket.payable,
            vat=0,
            refunded=each.ticket.refunded or 0,
            returned=each.ticket.status is TicketStatus.REFUNDED,
        )
        for each in found.tickets
    ]
    state = RefundState(
        slices=slices,
        tenders=[Tender(each.method, each.amount) for each in sale.payments],
        grand_total=sale.grand_total,
        refunded_total=sale.refunded,
        cash_goods_refunded=sum(each.refunded for each in slices),
        surcharge_total=sale.surcharge_total,
        cash_rounding=sale.cash_rounding,
        cash_step=step,
        cash_mode=mode,
    )
    plan = plan_refund(state, ticket_ids=back.ticket_ids, amount=back.amount, method=back.method)
    return plan.amount


def _in_whole_baht(found: FoundSale, back: Back) -> bool:
    tickets = [each.ticket for each in found.tickets]
    amounts = [amount for each in tickets for amount in (each.payable, each.refunded or 0)]
    return not any(amount % WHOLE for amount in (*amounts, back.amount or 0))


def _cash_back_is_known(found: FoundSale) -> bool:
    """Cash refunds of a sale are rounded together; whether the earlier ones were in cash is not
    among what a till is told. It is plain before the first, and where all was cash both ways."""
    if not found.sale.refunded:
        return True
    given = sum(each.ticket.refunded or 0 for each in found.tickets)
    only_cash = found.methods == [PaymentMethod.CASH]
    return only_cash and abs(found.sale.refunded - given) < WHOLE
