"""R31: every satang that was taken comes back exactly once, in whatever order it is asked for."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given

from playpark.cash import round_cash
from playpark.contracts.pricing import PaymentMethod
from playpark.contracts.settings import CashRounding
from playpark.errors import ErrorCode, PlayParkError
from playpark.money import allocate
from playpark.refunding import RefundPlan, RefundState, SoldSlice, Tender, plan_refund
from tests.unit.pricing_worlds import World, many, worlds

CARD, CASH, QR = PaymentMethod.CARD, PaymentMethod.CASH, PaymentMethod.QR


class Sale:
    """A sale with what its refunds gave back so far, as a store of documents would keep it."""

    def __init__(self, state: RefundState, tax_total: int) -> None:
        self.state = state
        self.tax_total = tax_total
        self.plans: list[RefundPlan] = []

    @classmethod
    def of(cls, world: World) -> "Sale":
        """The world's cart, sold; some units are bundles of up to three tickets."""
        told = world.payments()
        priced = world.price(told)
        slices: list[SoldSlice] = []
        for index, line in enumerate(priced.lines):
            weights = [world.random.choice([0, 1, 100]) for _ in range(world.random.randint(1, 3))]
            for unit, sold in enumerate(line.slices):
                payables = allocate(sold.payable, weights)
                vats = allocate(sold.vat, payables)
                for part, (payable, vat) in enumerate(zip(payables, vats, strict=True)):
                    name = f"{index}-{unit}"
                    slices.append(SoldSlice(f"{name}-{part}", name, payable, vat))
        money = world.catalog.settings.money
        due = zip(told, priced.due, strict=True)
        state = RefundState(
            slices=slices,
            tenders=[Tender(payment.method, amount) for payment, amount in due],
            grand_total=priced.grand_total,
            surcharge_total=priced.surcharge_total,
            cash_rounding=priced.cash_rounding,
            cash_step=money.cash_step,
            cash_mode=money.cash_rounding,
        )
        return cls(state, priced.tax_total)

    def refund(self, **asked: Any) -> RefundPlan:
        plan = plan_refund(self.state, **asked)
        given = {ticket_id: amount for ticket_id, amount, _ in plan.tickets}
        returned = given if "amount" not in asked else {}
        by_method = Counter(dict(plan.parts))
        state = self.state
        self.state = replace(
            state,
            slices=[
                replace(
                    part,
                    refunded=part.refunded + given.get(part.ticket_id, 0),
                    returned=part.returned or part.ticket_id in returned,
                )
                for part in state.slices
            ],
            tenders=self._given_back(by_method),
            refunded_total=state.refunded_total + plan.amount,
            cash_goods_refunded=state.cash_goods_refunded + plan.cash_goods,
        )
        self.plans.append(plan)
        return plan

    def _given_back(self, by_method: Counter[PaymentMethod]) -> list[Tender]:
        """What went back by a method stands on any payment of that method."""
        tenders = []
        for tender in self.state.tenders:
            back = by_method.pop(tender.method, 0)
            tenders.append(replace(tender, refunded=tender.refunded + back))
        return tenders

    def units_left(self) -> list[str]:
        left = [x.unit for x in self.state.slices if not x.returned and (x.left or not x.payable)]
        return list(dict.fromkeys(left))

    def tickets_of(self, units: Sequence[str]) -> list[str]:
        """The tickets of whole units that still have something to give back."""
        return [x.ticket_id for x in self.state.slices if x.unit in units]

    def check(self) -> None:
        """What holds after every refund."""
        plan, state = self.plans[-1], self.state
        assert plan.amount == sum(amount for _, amount in plan.parts) >= 0
        goods = sum(amount for _, amount, _ in plan.tickets)
        assert plan.amount == goods + plan.surcharge + plan.cash_rounding
        assert all(amount > 0 for _, amount in plan.parts)
        assert 0 <= state.refunded_total <= state.grand_total
        assert all(0 <= part.refunded <= part.payable for part in state.slices)
        assert plan.final == (state.goods_left == 0)

    def check_all_came_back(self) -> None:
        assert self.plans[-1].final
        assert self.state.refunded_total == self.state.grand_total
        assert sum(plan.surcharge for plan in self.plans) == self.state.surcharge_total
        assert sum(plan.cash_rounding for plan in self.plans) == self.state.cash_rounding
        vat: Counter[str] = Counter()
        for plan in self.plans:
            for ticket_id, _, part in plan.tickets:
                vat[ticket_id] += part
        assert all(vat[part.ticket_id] == part.vat for part in self.state.slices)
        assert vat.total() == self.tax_total


@many
@given(worlds)
def test_R31_tickets_in_any_order_give_back_what_was_paid_by_its_own_tenders(world: World) -> None:
    sale = Sale.of(world)
    units = sale.units_left()
    world.random.shuffle(units)
    while units:
        some = [units.pop() for _ in range(min(len(units), world.random.randint(1, 3)))]
        sale.refund(ticket_ids=sale.tickets_of(some))
        sale.check()
        paid: Counter[PaymentMethod] = Counter()
        back: Counter[PaymentMethod] = Counter()
        for tender in sale.state.tenders:
            paid[tender.method] += tender.amount
            back[tender.method] += tender.refunded
        assert all(back[method] <= paid[method] for method in paid)
        if not sale.plans[-1].final:
            state = sale.state
            coins = round_cash(state.cash_goods_refunded, state.cash_step, state.cash_mode)
            assert back[CASH] == coins
            assert not sale.plans[-1].surcharge
    sale.check_all_came_back()


@many
@given(worlds)
def test_R31_tickets_amounts_and_other_tenders_mixed_give_back_what_was_paid(world: World) -> None:
    sale = Sale.of(world)
    pick = world.random
    while sale.state.goods_left:
        method = pick.choice([None, None, *PaymentMethod])
        kind = pick.random()
        if kind < 0.4:
            amount = pick.randint(1, sale.state.goods_left)
            sale.refund(amount=amount, method=method)
        elif kind < 0.9:
            units = pick.sample(sale.units_left(), 1)
            tickets = [
                part.ticket_id
                for part in sale.state.slices
                if part.unit in units and not part.returned
            ]
            spent = [x for x in sale.state.slices if x.ticket_id in tickets and not x.left]
            if any(part.payable for part in spent):
                continue
            sale.refund(ticket_ids=tickets, method=method)
        else:
            sale.refund(method=method)
        sale.check()
    if sale.plans:
        sale.check_all_came_back()


@many
@given(worlds)
def test_R31_repriced_refunds_never_give_more_and_in_the_end_all(world: World) -> None:
    """What is kept may be dearer or cheaper than it was; the guest never pays in, and never gets
    more than what is given back was worth."""
    sale = Sale.of(world)
    units = sale.units_left()
    world.random.shuffle(units)
    while units:
        unit = units.pop()
        kept = [part for part in sale.state.slices if part.unit in units]
        again = sum(part.payable for part in kept) * world.random.choice([1, 2, 4]) // 2
        before, state = sum(part.left for part in kept), sale.state
        plan = sale.refund(ticket_ids=sale.tickets_of([unit]), kept_price=again if kept else 0)
        sale.check()
        if not plan.final:
            goods = sum(amount for _, amount, _ in plan.tickets)
            gone = state.goods_left - before
            assert goods == min(gone, max(0, state.goods_left - again))
        kept_ids = {part.ticket_id for part in kept}
        assert not kept_ids & {ticket_id for ticket_id, _, _ in plan.tickets}
    if sale.plans:
        sale.check_all_came_back()


def sold(*payables: int, **more: Any) -> RefundState:
    """A sale of tickets at so many satang each, a tenth of it VAT, paid in cash."""
    total = sum(payables)
    values: dict[str, Any] = {
        "slices": [
            SoldSlice(f"t{i}", f"u{i}", payable, payable // 10)
            for i, payable in enumerate(payables)
        ],
        "tenders": [Tender(CASH, total)],
        "grand_total": total,
    }
    return RefundState(**values | more)


def refused(state: RefundState, **asked: Any) -> PlayParkError:
    with pytest.raises(PlayParkError) as refusal:
        plan_refund(state, **asked)
    return refusal.value


def test_discounted_refund_never_overpays_what_the_guest_paid() -> None:
    """Three tickets of 100.00 for 200.00: each gives back its own share, together 200.00."""
    sale = Sale(sold(*allocate(20_000, [1, 1, 1])), tax_total=1_998)
    amounts = [sale.refund(ticket_ids=[f"t{i}"]).amount for i in (2, 0, 1)]
    assert amounts == [6_666, 6_667, 6_667]
    assert refused(sale.state, ticket_ids=["t1"]).code is ErrorCode.REFUND_EXCEEDS
    assert refused(sale.state, amount=1).code is ErrorCode.REFUND_EXCEEDS
    assert refused(sale.state).code is ErrorCode.REFUND_EXCEEDS


def test_cash_rounding_is_mirrored_on_refund_ticket_by_ticket() -> None:
    """Three tickets of 33.40 in coins of 1.00: paid 100.00, and 100.00 comes back."""
    state = sold(
        3_340, 3_340, 3_340,
        tenders=[Tender(CASH, 10_000)], grand_total=10_000, cash_rounding=-20, cash_step=100,
    )  # fmt: skip
    sale = Sale(state, tax_total=1_002)
    plans = [sale.refund(ticket_ids=[f"t{i}"]) for i in range(3)]
    assert [plan.amount for plan in plans] == [3_300, 3_400, 3_300]
    assert [plan.cash_rounding for plan in plans] == [-40, 60, -40]
    sale.check_all_came_back()


def test_R31_the_last_tender_gives_back_first_each_up_to_what_it_paid() -> None:
    tenders = [Tender(CASH, 300), Tender(CARD, 515), Tender(QR, 200)]
    state = sold(400, 600, tenders=tenders, grand_total=1_015, surcharge_total=15)
    sale = Sale(state, tax_total=100)
    assert sale.refund(ticket_ids=["t0"]).parts == [(QR, 200), (CARD, 200)]
    last = sale.refund(ticket_ids=["t1"])
    assert (last.parts, last.surcharge, last.amount) == ([(CARD, 315), (CASH, 300)], 15, 615)


def test_R31_what_cash_took_is_reckoned_before_its_rounding() -> None:
    """10.99 were paid with 5.00 by card and 5.99 in cash, in coins of 1.00: 5.00."""
    state = sold(
        550, 549,
        tenders=[Tender(CARD, 500), Tender(CASH, 500)], grand_total=1_000, cash_rounding=-99,
        cash_step=100, cash_mode=CashRounding.DOWN,
    )  # fmt: skip
    sale = Sale(state, tax_total=109)
    assert sale.refund(ticket_ids=["t0"]).parts == [(CASH, 500)]
    assert sale.refund(ticket_ids=["t1"]).parts == [(CARD, 500)]
    sale.check_all_came_back()


def test_R31_a_tender_that_is_named_takes_all() -> None:
    state = sold(400, 600, tenders=[Tender(CARD, 1_030)], grand_total=1_030, surcharge_total=30)
    assert plan_refund(state, ticket_ids=["t0"], method=CASH).parts == [(CASH, 400)]
    assert plan_refund(state, method=QR).parts == [(QR, 1_030)]


def test_R31_another_tender_does_not_undo_the_rounding_of_the_sale() -> None:
    """10.49 were settled with 10.00 in cash: a refund by card gives 10.00, not 10.48."""
    state = sold(
        1_048, 1,
        tenders=[Tender(CASH, 1_000)], grand_total=1_000, cash_rounding=-49, cash_step=100,
    )  # fmt: skip
    sale = Sale(state, tax_total=104)
    assert sale.refund(ticket_ids=["t0"], method=CARD).amount == 1_000
    assert sale.refund().amount == 0
    sale.check_all_came_back()


def test_R31_an_amount_lies_on_all_slices_by_largest_remainder() -> None:
    sale = Sale(sold(100, 100, 100), tax_total=30)
    plan = sale.refund(amount=200)
    assert plan.tickets == [("t0", 67, 7), ("t1", 67, 7), ("t2", 66, 7)]
    assert sale.refund(ticket_ids=["t2"]).tickets == [("t2", 34, 3)]
    over = refused(sale.state, amount=67)
    assert (over.code, over.details) == (ErrorCode.REFUND_EXCEEDS, {"left": 66})


def test_R31_all_the_money_that_is_left_is_all_that_is_left() -> None:
    """Who asks for what was paid gets it, surcharge and rounding included."""
    state = sold(1_000, tenders=[Tender(CARD, 1_030)], grand_total=1_030, surcharge_total=30)
    plan = plan_refund(state, amount=1_030)
    assert (plan.final, plan.amount, plan.surcharge) == (True, 1_030, 30)
    assert plan_refund(state, amount=1_000).amount == 1_030
    assert refused(state, amount=1_010).code is ErrorCode.REFUND_EXCEEDS


def test_R18_R31_a_bundle_is_given_back_as_a_whole() -> None:
    parts = [SoldSlice("a", "u", 50, 3), SoldSlice("b", "u", 50, 3), SoldSlice("c", "v", 10, 1)]
    state = sold(110, slices=parts)
    half = refused(state, ticket_ids=["b", "c"])
    assert half.code is ErrorCode.VALIDATION
    assert half.details == {"reason": "bundle", "unit": "u", "ticket_ids": ["a", "b"]}
    assert plan_refund(state, ticket_ids=["b", "a"]).amount == 100


def test_R31_a_ticket_of_another_sale_is_not_found() -> None:
    assert refused(sold(100), ticket_ids=["t0", "x"]).code is ErrorCode.NOT_FOUND


def test_R31_free_tickets_come_back_for_nothing_and_only_once() -> None:
    sale = Sale(sold(0, 0, tenders=[]), tax_total=0)
    assert sale.refund(ticket_ids=["t0"]).amount == 0
    assert refused(sale.state, ticket_ids=["t0"]).code is ErrorCode.REFUND_EXCEEDS
    assert [ticket_id for ticket_id, _, _ in sale.refund().tickets] == ["t1"]
    assert refused(sale.state).code is ErrorCode.REFUND_EXCEEDS


def test_R31_what_is_kept_may_be_priced_again() -> None:
    """Three for 200.00 instead of 300.00; two are kept at the full 100.00: nothing comes back."""
    sale = Sale(sold(*allocate(20_000, [1, 1, 1])), tax_total=1_998)
    assert sale.refund(ticket_ids=["t0"], kept_price=20_000).amount == 0
    assert sale.refund(ticket_ids=["t1"], kept_price=10_000).amount == 10_000
    assert sale.refund(ticket_ids=["t2"], kept_price=0).amount == 10_000
    sale.check_all_came_back()


def test_R31_of_payments_that_were_booked_short_no_more_comes_back_than_was_taken() -> None:
    """A committed sale may be flagged: its payments differ from its total (R17)."""
    short = sold(950, 50, tenders=[Tender(CARD, 900)])
    assert plan_refund(short).parts == [(CARD, 900)]
    assert plan_refund(short, method=CASH).parts == [(CASH, 900)]
    assert plan_refund(short, ticket_ids=["t0"]).parts == [(CARD, 900)]
    assert plan_refund(short, ticket_ids=["t1"]).parts == [(CARD, 50)]
    unpaid = sold(1_000, tenders=[])
    assert plan_refund(unpaid).amount == 0


@pytest.mark.parametrize("mode", CashRounding)
def test_R31_cash_after_a_card_refund_keeps_what_is_left(mode: CashRounding) -> None:
    state = sold(
        1_050, 1_050,
        tenders=[Tender(CARD, 1_000), Tender(CASH, 1_100)], grand_total=2_100, cash_step=100,
        cash_mode=mode,
    )  # fmt: skip
    sale = Sale(state, tax_total=210)
    sale.refund(ticket_ids=["t0"], method=CARD)
    sale.refund(ticket_ids=["t1"])
    sale.check_all_came_back()
