"""From a stored sale to the plan of its refund: the pure rule does the sums (R31)."""

from collections import Counter

from api.catalog import service as catalog
from api.customers import service as customers
from api.identity.repository import DeviceRepository
from api.platform.operations import NOT_PERMITTED, Operation
from api.platform.scope import Scope
from api.platform.uow import Work
from api.sales.sold import Sold
from api.tickets.models import Ticket
from api.tickets.repository import GivenBack
from playpark.contracts.catalog import SalesChannel
from playpark.contracts.pricing import Cart, CartLine
from playpark.contracts.refunds import RefundIn
from playpark.contracts.settings import SalesSettings
from playpark.contracts.tenancy import DeviceType
from playpark.contracts.tickets import TicketStatus
from playpark.errors import ErrorCode, PlayParkError
from playpark.pricing import Context, price
from playpark.refunding import RefundPlan, RefundState, SoldSlice, Tender, plan_refund

OVER_REFUNDED = "over_refunded"
NOTHING = RefundPlan(
    tickets=[], parts=[], amount=0, surcharge=0, cash_rounding=0, final=False, cash_goods=0
)


def state_of(sold: Sold) -> RefundState:
    """The sale as the rule wants it."""
    sale = sold.sale
    return RefundState(
        slices=[
            SoldSlice(
                ticket_id=ticket.ticket_id,
                unit=ticket.unit or ticket.ticket_id,
                payable=ticket.slice["payable"],
                vat=ticket.slice["vat"],
                refunded=ticket.refunded,
                returned=_returned(ticket),
            )
            for ticket in sold.tickets
        ],
        tenders=[Tender(paid.method, paid.amount, paid.refunded) for paid in sold.payments],
        grand_total=sale.grand_total,
        refunded_total=sale.refunded,
        cash_goods_refunded=sale.refunded_cash_goods,
        surcharge_total=sale.surcharge_total - sale.refunded_surcharge,
        cash_rounding=sale.cash_rounding,
        cash_step=sale.cash_step,
        cash_mode=sale.cash_rounding_mode,
    )


async def plan(
    work: Work, scope: Scope, op: Operation[RefundIn], sold: Sold, settings: SalesSettings
) -> tuple[RefundPlan, list[str]]:
    """The plan of what is asked for, and flags.

    Raises what `plan_refund` raises, and E_VALIDATION for an amount where the store refunds
    tickets only. Money that was given back already is booked as far as the sale goes and
    flagged, never beyond it (R17).
    """
    body, flags = op.body, []
    if body.amount is not None and not settings.refund_by_amount:
        if not op.committed:
            message = "This store gives back tickets, not amounts: choose the tickets."
            raise PlayParkError(ErrorCode.VALIDATION, message)
        flags.append(NOT_PERMITTED)
    kept = None
    if settings.refund_reprice and body.ticket_ids is not None:
        kept = await _kept_price(work, scope, sold, frozenset(body.ticket_ids))
    state = state_of(sold)
    try:
        found = plan_refund(
            state,
            ticket_ids=body.ticket_ids,
            amount=body.amount,
            method=body.method,
            kept_price=kept,
        )
    except PlayParkError as refusal:
        if not op.committed or refusal.code is not ErrorCode.REFUND_EXCEEDS:
            raise
        return _what_is_left(state, body), [*flags, OVER_REFUNDED]
    return found, flags


def given_back(sold: Sold, body: RefundIn, planned: RefundPlan) -> list[GivenBack]:
    """What the plan takes from which ticket. Tickets that were chosen admit nobody any more,
    and neither does one of which nothing is left."""
    shares = {ticket_id: amount for ticket_id, amount, _vat in planned.tickets}
    whole = body.amount is None
    found = []
    for ticket in sold.tickets:
        amount = shares.get(ticket.ticket_id)
        if amount is None and whole:
            continue
        payable = ticket.slice["payable"]
        spent = bool(payable) and ticket.refunded + (amount or 0) == payable
        returned = whole or spent or planned.final
        if amount is not None or (returned and not _returned(ticket)):
            found.append(GivenBack(ticket, amount or 0, returned))
    return found


def _what_is_left(state: RefundState, body: RefundIn) -> RefundPlan:
    """For money that was given back beyond the sale: as much of it as the sale still has."""
    if body.amount is not None and state.goods_left:
        return plan_refund(state, amount=state.goods_left, method=body.method)
    left = {
        part.ticket_id
        for part in state.slices
        if not part.returned and (part.left or not part.payable)
    }
    chosen = left.intersection(body.ticket_ids or ())
    return plan_refund(state, ticket_ids=chosen, method=body.method) if chosen else NOTHING


def _returned(ticket: Ticket) -> bool:
    return ticket.status is TicketStatus.REFUNDED


async def _kept_price(work: Work, scope: Scope, sold: Sold, chosen: frozenset[str]) -> int | None:
    """What the guest keeps, satang, at the prices that the sale was made at: without the promo
    codes and discounts that it was bought with; automatic rules are judged again."""
    sale = sold.sale
    units = {
        ticket.unit
        for ticket in sold.tickets
        if ticket.ticket_id not in chosen and not _returned(ticket)
    }
    if "" in units:
        return None  # sold before tickets knew their unit: by their slices, then
    by_line = Counter(int(unit.partition(":")[0]) for unit in units)
    if not by_line:
        return 0
    lines = [
        CartLine(package_id=sale.lines[index]["package_id"], qty=qty)
        for index, qty in sorted(by_line.items())
    ]
    package_ids = [line.package_id for line in lines]
    of_the_day, _ = await catalog.snapshot_with(work, scope, sale.catalog_version, package_ids)
    device = await DeviceRepository.of(work, scope).find_one(_id=sale.device_id)
    kiosk = device is not None and device.type is DeviceType.KIOSK
    try:
        group = await customers.group_of(work, scope, sale.customer_id)
    except PlayParkError:
        group = None  # the guest is no member any more: then for anybody's price
    where = Context(
        channel=SalesChannel.KIOSK if kiosk else SalesChannel.POS,
        customer_group=group,
        committed=True,
    )
    priced = price(
        Cart(lines=lines), of_the_day, at=sale.priced_at or sale.occurred_at, context=where
    )
    return sum(line.payable for line in priced.lines)
