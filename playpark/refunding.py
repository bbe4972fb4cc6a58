"""What a refund gives back: of which slice, by which tender, rounded how (R31; docs/money.md).

Pure. The slices of a sale are frozen; every satang that was taken comes back exactly once, in
whatever order and parts it is asked for, and never a satang more.
"""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from playpark.cash import round_cash
from playpark.contracts.pricing import PaymentMethod
from playpark.contracts.settings import CashRounding
from playpark.errors import ErrorCode, PlayParkError
from playpark.money import allocate, round_half_up


@dataclass(frozen=True, slots=True)
class SoldSlice:
    """A ticket's frozen share of its sale, satang (R6). `unit` is the same for all tickets of one
    sold unit: a bundle's components share it. `refunded` is what the slice gave back so far,
    `returned` whether its ticket was given back, however much that was."""

    ticket_id: str
    unit: str
    payable: int
    vat: int
    refunded: int = 0
    returned: bool = False

    @property
    def left(self) -> int:
        return self.payable - self.refunded

    def vat_of(self, amount: int) -> int:
        """The VAT in the next `amount` satang of it: cumulative, so all parts sum to `vat`."""
        if not self.payable:
            return 0
        after = round_half_up(self.vat * (self.refunded + amount), self.payable)
        return after - round_half_up(self.vat * self.refunded, self.payable)


@dataclass(frozen=True, slots=True)
class Tender:
    """A payment of the sale in its order; `amount` with its surcharge and rounding. `refunded` is
    what was given back by its method (where several payments share a method, on any of them)."""

    method: PaymentMethod
    amount: int
    refunded: int = 0


@dataclass(frozen=True, slots=True)
class RefundState:
    """A sale as a refund finds it, satang.

    `cash_goods_refunded`: what all cash refunds so far were for, before rounding: the sum of
    `RefundPlan.cash_goods`. `surcharge_total` and `cash_rounding` stand in the sale's header.
    """

    slices: Sequence[SoldSlice]
    tenders: Sequence[Tender]
    grand_total: int
    refunded_total: int = 0
    cash_goods_refunded: int = 0
    surcharge_total: int = 0
    cash_rounding: int = 0
    cash_step: int = 1
    cash_mode: CashRounding = CashRounding.NEAREST

    @property
    def goods_left(self) -> int:
        """What the slices have not given back."""
        return sum(part.left for part in self.slices)

    @property
    def money_left(self) -> int:
        """What was taken and not given back: surcharges and rounding included. Of a sale whose
        payments were booked short of its total (R17) no more comes back than they were."""
        taken = min(self.grand_total, sum(tender.amount for tender in self.tenders))
        return taken - self.refunded_total


@dataclass(frozen=True, slots=True)
class RefundPlan:
    """`amount` is the money paid out: Σ tickets + surcharge + cash_rounding = Σ parts. `final`:
    nothing is left of the sale. `cash_goods` is what the cash part is for, before rounding."""

    tickets: list[tuple[str, int, int]]
    """(ticket id, satang, VAT in it)"""
    parts: list[tuple[PaymentMethod, int]]
    amount: int
    surcharge: int
    cash_rounding: int
    final: bool
    cash_goods: int


def plan_refund(
    state: RefundState,
    *,
    ticket_ids: Collection[str] | None = None,
    amount: int | None = None,
    method: PaymentMethod | None = None,
    kept_price: int | None = None,
) -> RefundPlan:
    """Plan a refund of these tickets, or of an amount, or of all that is left (R31).

    Original tenders give back, the last first, unless `method` names one that takes all.
    `kept_price` is for stores that price again what is kept: the guest gets what was paid less
    that, never below 0.

    Raises E_REFUND_EXCEEDS for more than is left, E_NOT_FOUND for a ticket of another sale,
    E_VALIDATION for a part of a bundle.
    """
    shares = _shares(state, ticket_ids, amount, kept_price)
    goods = sum(shares.values())
    final = goods == state.goods_left
    tickets = [
        (part.ticket_id, shares[part.ticket_id], part.vat_of(shares[part.ticket_id]))
        for part in state.slices
        if part.ticket_id in shares
    ]
    tenders = _by_tender(state, state.money_left if final else goods, method, final=final)
    cash = PaymentMethod.CASH
    cash_goods = 0 if final else tenders.get(cash, 0)
    if cash_goods:
        before, step, mode = state.cash_goods_refunded, state.cash_step, state.cash_mode
        tenders[cash] = round_cash(before + cash_goods, step, mode) - round_cash(before, step, mode)
    parts, left = [], state.money_left
    for each, wanted in tenders.items():
        paid = min(wanted, left)  # another tender than the sale's must not undo its rounding
        left -= paid
        if paid:
            parts.append((each, paid))
    paid_out = state.money_left - left
    # Free tickets may come back after the last satang did: then nothing goes with them.
    surcharge = state.surcharge_total if final and state.goods_left else 0
    return RefundPlan(
        tickets=tickets,
        parts=parts,
        amount=paid_out,
        surcharge=surcharge,
        cash_rounding=paid_out - goods - surcharge,
        final=final,
        cash_goods=cash_goods,
    )


def _shares(
    state: RefundState,
    ticket_ids: Collection[str] | None,
    amount: int | None,
    kept_price: int | None,
) -> dict[str, int]:
    """Satang by ticket."""
    if amount is not None:
        return _of_amount(state, amount)
    if ticket_ids is None:
        rest = [part for part in state.slices if part.left or not part.returned]
        if not rest or (not state.goods_left and any(part.payable for part in rest)):
            raise _exceeds(state)
        return {part.ticket_id: part.left for part in rest}
    chosen = _chosen(state, frozenset(ticket_ids))
    if kept_price is None:
        return {part.ticket_id: part.left for part in chosen}
    gone = [part for part in state.slices if part.returned or part in chosen]
    worth = min(sum(part.left for part in gone), max(0, state.goods_left - kept_price))
    shares = allocate(worth, [part.left for part in gone])
    named = zip(gone, shares, strict=True)
    return {part.ticket_id: share for part, share in named if share or part in chosen}


def _of_amount(state: RefundState, amount: int) -> dict[str, int]:
    """An amount over all slices; all the money that is left is all that is left."""
    if amount == state.money_left:
        amount = state.goods_left
    if amount > state.goods_left:
        raise _exceeds(state)
    shares = allocate(amount, [part.left for part in state.slices])
    named = zip(state.slices, shares, strict=True)
    return {part.ticket_id: share for part, share in named if share}


def _chosen(state: RefundState, ticket_ids: frozenset[str]) -> list[SoldSlice]:
    """The slices of these tickets: whole units that have something to give back."""
    chosen = [part for part in state.slices if part.ticket_id in ticket_ids]
    if len(chosen) < len(ticket_ids):
        message = "A ticket is not of this sale: look the ticket up first."
        raise PlayParkError(ErrorCode.NOT_FOUND, message)
    units = {part.unit for part in chosen}
    for part in state.slices:
        if part.unit in units and part.ticket_id not in ticket_ids and not part.returned:
            message = "A bundle is given back as a whole: choose all of its tickets."
            wanted = [each.ticket_id for each in state.slices if each.unit == part.unit]
            raise PlayParkError(
                ErrorCode.VALIDATION,
                message,
                details={"reason": "bundle", "unit": part.unit, "ticket_ids": wanted},
            )
    if any(part.returned or (part.payable and not part.left) for part in chosen):
        raise _exceeds(state)
    return chosen


def _by_tender(
    state: RefundState, amount: int, method: PaymentMethod | None, *, final: bool
) -> dict[PaymentMethod, int]:
    """`amount` over the tenders: the last first, each up to what it paid and has not given back.

    A cash refund that is not the final one counts in what it is for, not in coins: the rounding
    of a sale stands on its last cash payment.
    """
    if method is not None:
        return {method: amount}
    paid: list[tuple[PaymentMethod, int]] = []
    given_back: Counter[PaymentMethod] = Counter()
    rounding = 0 if final else state.cash_rounding
    for tender in reversed(state.tenders):
        given_back[tender.method] += tender.refunded
        if tender.method is PaymentMethod.CASH:
            paid.append((tender.method, tender.amount - rounding))
            rounding = 0
        else:
            paid.append((tender.method, tender.amount))
    if not final:
        given_back[PaymentMethod.CASH] = state.cash_goods_refunded
    parts: dict[PaymentMethod, int] = {}
    for each, worth in paid:
        back = min(worth, given_back[each])
        given_back[each] -= back
        share = min(amount, worth - back)
        parts[each] = parts.get(each, 0) + share
        amount -= share
    return parts


def _exceeds(state: RefundState) -> PlayParkError:
    message = "This is more than is left to give back of the sale."
    return PlayParkError(
        ErrorCode.REFUND_EXCEEDS, message, details={"left": max(0, state.money_left)}
    )
