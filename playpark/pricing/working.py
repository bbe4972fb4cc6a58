"""The cart while it travels through the stages: what each line costs so far (R6, R11)."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from playpark.contracts.catalog import PackageView, TaxMode, TaxView
from playpark.contracts.pricing import Cart, PaymentIn, PricedLine, Slice, Surcharge
from playpark.money import allocate
from playpark.pricing.compiled import Compiled
from playpark.pricing.context import Context
from playpark.pricing.frozen import frozen
from playpark.pricing.trace import Trace
from playpark.pricing.windows import Moment


@dataclass(slots=True, eq=False)
class Line:
    """One line, satang. `units` is what each unit costs after bundles and amounts off each unit,
    `amount` what the line costs after everything that was taken off so far, before VAT."""

    key: str
    """Its position in the cart, as the trace names it."""
    package: PackageView
    tax: TaxView
    qty: int
    unit_price: int
    units: list[int]
    amount: int
    cart_discount: int = 0
    vat: int = 0
    bundled: set[int] = field(default_factory=set)
    """Positions of the units that take part in a set."""

    @property
    def gross(self) -> int:
        return self.qty * self.unit_price

    @property
    def payable(self) -> int:
        """Exclusive VAT is part of what the guest pays for the line."""
        return self.amount + (self.vat if self.tax.mode is TaxMode.EXCLUSIVE else 0)

    def reprice(self, unit_price: int) -> None:
        """Another unit price, before anything is taken off."""
        self.unit_price = unit_price
        self.units = [unit_price] * self.qty
        self.amount = unit_price * self.qty

    def frozen(self) -> PricedLine:
        """The line as it is sold, its sums split over its units."""
        gross = self.gross
        values = {
            "gross": gross,
            "line_discount": gross - self.cart_discount - self.amount,
            "cart_discount": self.cart_discount,
            "payable": self.payable,
            "vat": self.vat,
            "vat_rate": self.tax.rate,
            "package_id": self.package.package_id,
            "name": self.package.name,
            "name_th": self.package.name_th,
            "qty": self.qty,
            "unit_price": self.unit_price,
            "slices": self._slices(),
        }
        return frozen(PricedLine, values)

    def _slices(self) -> list[Slice]:
        """One for each unit (R6). Units that come out alike share one frozen slice."""
        if self.qty == 1:
            return [self._slice(self.amount + self.cart_discount, self.cart_discount, self.vat)]
        after_line = _take(sum(self.units) - self.amount - self.cart_discount, self.units)
        discounted = _take(self.cart_discount, after_line)
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
            "payable": discounted + (vat if self.tax.mode is TaxMode.EXCLUSIVE else 0),
            "vat": vat,
            "vat_rate": self.tax.rate,
        }
        return frozen(Slice, values)


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
    lines: list[Line] = field(default_factory=list)
    total: int = 0
    trace: Trace = field(default_factory=Trace)
    surcharges: list[Surcharge] = field(default_factory=list)
    due: list[int] = field(default_factory=list)
    cash_rounding: int = 0

    def lines_of(self, packages: frozenset[str] | None) -> list[Line]:
        """The lines of these packages; of all where it is None."""
        if packages is None:
            return self.lines
        return [line for line in self.lines if line.package.package_id in packages]

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
        self.total += change
        self.trace.add(
            stage, why, before=before, after=self.total, rule_id=rule_id, line=line, facts=facts
        )

    def skip(self, stage: str, why: str, reason: str, rule_id: str | None = None) -> None:
        """Write down why something was left out; `reason` is the same in one word."""
        self.trace.add(
            stage,
            why,
            before=self.total,
            after=self.total,
            applied=False,
            rule_id=rule_id,
            facts={"reason": reason},
        )
