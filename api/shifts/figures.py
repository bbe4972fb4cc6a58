"""The figures of a shift: what an operation adds to them, and how they are told (R26–R28)."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, Self

from api.shifts.models import Shift
from playpark.cash import DrawerTotals, expected_cash
from playpark.contracts.shifts import (
    CountAndAmount,
    DrawerView,
    MovementType,
    SalesTotals,
    ShiftTotals,
)


@dataclass(frozen=True, slots=True)
class SaleAmounts:
    """What one sale adds to its shift, satang; `cash` is tendered minus change."""

    amount: int
    cash: int
    by_method: Mapping[str, int]
    tickets: int
    discounts: int = 0
    tax: int = 0
    surcharges: int = 0
    cash_rounding: int = 0


@dataclass(frozen=True, slots=True)
class RefundAmounts:
    """What one refund gives back, satang; `cash` is the part that leaves the drawer."""

    amount: int
    cash: int
    by_method: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Figures:
    """The running totals of a shift under their stored names, or what changes them."""

    sales_count: int = 0
    sales_amount: int = 0
    sales_by_method: Mapping[str, int] = field(default_factory=dict)
    refunds_count: int = 0
    refunds_amount: int = 0
    refunds_by_method: Mapping[str, int] = field(default_factory=dict)
    voids_count: int = 0
    voids_amount: int = 0
    reprints: int = 0
    tickets_issued: int = 0
    discounts: int = 0
    tax: int = 0
    surcharges: int = 0
    cash_rounding: int = 0
    cash_sales: int = 0
    cash_refunds: int = 0
    pay_ins: int = 0
    pay_outs: int = 0
    drops: int = 0

    @classmethod
    def of(cls, shift: Shift) -> Self:
        return cls(**{each.name: getattr(shift, each.name) for each in fields(cls)})

    def __neg__(self) -> Self:
        negative = {each.name: _negative(getattr(self, each.name)) for each in fields(self)}
        return type(self)(**negative)

    def increments(self) -> dict[str, int]:
        """For `$inc`: only what changes, methods as dotted paths."""
        found: dict[str, int] = {}
        for name, value in asdict(self).items():
            if isinstance(value, dict):
                found |= {f"{name}.{method}": amount for method, amount in value.items() if amount}
            elif value:
                found[name] = value
        return found

    def totals(self) -> ShiftTotals:
        return ShiftTotals(
            sales=_by_method(self.sales_count, self.sales_amount, self.sales_by_method),
            refunds=_by_method(self.refunds_count, self.refunds_amount, self.refunds_by_method),
            voids=CountAndAmount(count=self.voids_count, amount=self.voids_amount),
            reprints=self.reprints,
            tickets_issued=self.tickets_issued,
            discounts=self.discounts,
            tax=self.tax,
            surcharges=self.surcharges,
            cash_rounding=self.cash_rounding,
        )

    def drawer(self, cash_open: int) -> DrawerView:
        """The cash, with what ought to be there: with a float of 0 it is what these figures
        change about it, so that a Z and its supplements add up (R27)."""
        totals = DrawerTotals(
            cash_open=cash_open,
            cash_sales=self.cash_sales,
            pay_ins=self.pay_ins,
            pay_outs=self.pay_outs,
            drops=self.drops,
            cash_refunds=self.cash_refunds,
        )
        return DrawerView(**asdict(totals), cash_expected=expected_cash(totals))


def of_sale(amounts: SaleAmounts) -> Figures:
    return Figures(
        sales_count=1,
        sales_amount=amounts.amount,
        sales_by_method=amounts.by_method,
        cash_sales=amounts.cash,
        tickets_issued=amounts.tickets,
        discounts=amounts.discounts,
        tax=amounts.tax,
        surcharges=amounts.surcharges,
        cash_rounding=amounts.cash_rounding,
    )


def of_void(amounts: SaleAmounts) -> Figures:
    """Takes the sale out of `sales` and all that stands beside them, and counts it as voided."""
    return replace(-of_sale(amounts), voids_count=1, voids_amount=amounts.amount)


def of_refund(amounts: RefundAmounts) -> Figures:
    return Figures(
        refunds_count=1,
        refunds_amount=amounts.amount,
        refunds_by_method=amounts.by_method,
        cash_refunds=amounts.cash,
    )


def of_movement(kind: MovementType, amount: int) -> Figures:
    match kind:
        case MovementType.PAY_IN:
            return Figures(pay_ins=amount)
        case MovementType.PAY_OUT:
            return Figures(pay_outs=amount)
        case MovementType.DROP:
            return Figures(drops=amount)


def _negative(value: Any) -> Any:
    if isinstance(value, int):
        return -value
    return {method: -amount for method, amount in value.items()}


def _by_method(count: int, amount: int, by_method: Mapping[str, int]) -> SalesTotals:
    # A method whose sales were all voided again has nothing to show.
    told = {method: each for method, each in sorted(by_method.items()) if each}
    return SalesTotals(count=count, amount=amount, by_method=told)
