"""The cart while it travels through the stages: what each line costs so far (R6, R11)."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from operator import attrgetter

from playpark.contracts.catalog import PackageView, TaxView
from playpark.contracts.pricing import (
    Cart,
    PaymentIn,
    PricedLine,
    Slice,
    Surcharge,
    TraceEntry,
)
from playpark.money import allocate
from playpark.pricing.compiled import Compiled
from playpark.pricing.context import Context
from playpark.pricing.frozen import frozen, names_of
from playpark.pricing.trace import ENTRY
from playpark.pricing.windows import Moment

_position = attrgetter("index")
_LINE, _SLICE = names_of(PricedLine), names_of(Slice)


@dataclass(slots=True, eq=False)
class Line:
    """One line, satang. `amount` is what it costs after everything that was taken off so far,
    before VAT. `unit_cost` is what each unit costs after bundles and amounts off each unit;
    where a bundle made them differ, `units` holds each one's."""

    index: int
    """Its position in the cart."""
    package: PackageView
    package_id: str
    tax: TaxView
    exclusive: bool
    """Whether VAT comes on top."""
    qty: int
    unit_price: int
    unit_cost: int
    amount: int
    units: list[int] | None = None
    bundled: frozenset[int] = frozenset()
    """Positions of the units that take part in a set."""
    cart_discount: int = 0
    vat: int = 0

    @property
    def gross(self) -> int:
        return self.qty * self.unit_price

    @property
    def payable(self) -> int:
        """Exclusive VAT is part of what the guest pays for the line."""
        return self.amount + self.vat if self.exclusive else self.amount

    def reprice(self, unit_price: int) -> None:
        """Another unit price, before anything is taken off."""
        self.unit_price = self.unit_cost = unit_price
        self.amount = unit_price * self.qty

    def costs(self) -> list[int]:
        """What each unit costs after bundles and amounts off each unit."""
        return self.units if self.units is not None else [self.unit_cost] * self.qty

    def frozen(self) -> PricedLine:
        """The line as it is sold, its sums split over its units."""
        gross, package = self.gross, self.package
        values = {
            "gross": gross,
            "line_discount": gross - self.cart_discount - self.amount,
            "cart_discount": self.cart_discount,
            "payable": self.payable,
            "vat": self.vat,
            "vat_rate": self.tax.rate,
            "package_id": self.package_id,
            "name": package.name,
            "name_th": package.name_th,
            "qty": self.qty,
            "unit_price": self.unit_price,
            "slices": self._slices(),
        }
        return frozen(PricedLine, _LINE, values)

    def _slices(self) -> list[Slice]:
        """One for each unit (R6). Units that come out alike share one frozen slice."""
        cart_discount = self.cart_discount
        if self.qty == 1:
            return [self._slice(self.amount + cart_discount, cart_discount, self.vat)]
        costs = self.costs()
        after_line = _take(sum(costs) - self.amount - cart_discount, costs)
        discounted = _take(cart_discount, after_line)
        vats = allocate(self.vat, discounted) if self.vat else [0] * self.qty
        made: dict[tuple[int, int, int], Slice] = {}
        slices = []
        for before, after, vat in zip(after_line, discounted, vats, strict=True):
            each = (before, before - after, vat)
            if each not in made:
                made[each] = self._slice(*each)
            slices.append(made[each])
        return slices

    def _slice(self, after_line: int, cart_discount: int, vat: int) -> Slice:
        discounted = after_line - cart_discount
        values = {
            "gross": self.unit_price,
            "line_discount": self.unit_price - after_line,
            "cart_discount": cart_discount,
            "payable": discounted + vat if self.exclusive else discounted,
            "vat": vat,
            "vat_rate": self.tax.rate,
        }
        return frozen(Slice, _SLICE, values)


def _take(off: int, amounts: list[int]) -> list[int]:
    """What is left of each amount when `off` is taken from all by largest remainder (R5)."""
    if not off:
        return amounts
    return [amount - share for amount, share in zip(amounts, allocate(off, amounts), strict=True)]


@dataclass(slots=True)
class Working:
    """State handed from stage to stage; only stages change it. `total` is the cart's amount at
    this point: what the trace chains, from 0 to the grand total."""

    cart: Cart
    catalog: Compiled
    moment: Moment
    context: Context
    payments: Sequence[PaymentIn]
    codes: frozenset[str] = frozenset()
    """The promo codes that were given and that this store knows."""
    unknown: dict[str, bool] = field(default_factory=dict)
    """Whether something that is not offered was asked for, by stage."""
    line_discounts: dict[str, list[Line]] = field(default_factory=dict)
    """The lines of each discount that was chosen for lines."""
    lines: list[Line] = field(default_factory=list)
    by_package: dict[str, list[Line]] = field(default_factory=dict)
    total: int = 0
    trace: list[TraceEntry] = field(default_factory=list)
    surcharges: list[Surcharge] = field(default_factory=list)
    due: list[int] = field(default_factory=list)
    cash_rounding: int = 0

    def lines_of(self, packages: frozenset[str] | None) -> list[Line]:
        """The lines of these packages in their order; all where it is None."""
        if packages is None:
            return self.lines
        by_package = self.by_package
        found = [line for each in packages if each in by_package for line in by_package[each]]
        found.sort(key=_position)
        return found

    def lines_off(self, lines: list[Line], offs: list[int]) -> dict[str, object]:
        """For the trace: `lines[i]` is what was taken off line i of the cart."""
        if lines is self.lines:
            return {"lines": offs}
        every = [0] * len(self.lines)
        for line, off in zip(lines, offs, strict=True):
            every[line.index] = off
        return {"lines": every}

    def step(
        self,
        stage: str,
        why: str,
        *,
        change: int,
        rule_id: str | None = None,
        line: int | None = None,
        facts: dict[str, object] | None = None,
    ) -> None:
        """Write down a step that changed the cart's amount by `change`."""
        before = self.total
        self.total = after = before + change
        values = {
            "stage": stage,
            "rule_id": rule_id,
            "line": line,
            "applied": True,
            "input": before,
            "output": after,
            "why": why,
            "facts": facts or {},
        }
        self.trace.append(frozen(TraceEntry, ENTRY, values))

    def skip(self, stage: str, why: str, reason: str, rule_id: str | None = None) -> None:
        """Write down why something was left out; `reason` is the same in one word."""
        values = {
            "stage": stage,
            "rule_id": rule_id,
            "line": None,
            "applied": False,
            "input": self.total,
            "output": self.total,
            "why": why,
            "facts": {"reason": reason},
        }
        self.trace.append(frozen(TraceEntry, ENTRY, values))
