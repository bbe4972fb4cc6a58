"""The cart while it travels through the stages: what each line costs so far (R6, R11)."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from playpark.contracts.catalog import CatalogSnapshot, PackageView, TaxMode, TaxView
from playpark.contracts.pricing import Cart, PricedLine, Slice, TraceEntry


@dataclass(slots=True)
class UnitMoney:
    """One unit of a line, satang."""

    gross: int
    line_discount: int = 0
    cart_discount: int = 0
    vat: int = 0

    @property
    def discounted(self) -> int:
        return self.gross - self.line_discount - self.cart_discount


@dataclass(slots=True)
class WorkingLine:
    package: PackageView
    tax: TaxView
    unit_price: int
    units: list[UnitMoney]

    @property
    def discounted(self) -> int:
        return sum(unit.discounted for unit in self.units)

    def frozen(self) -> PricedLine:
        """The line as it is sold. Exclusive VAT is part of what the guest pays for the unit."""
        exclusive = self.tax.mode is TaxMode.EXCLUSIVE
        slices = [
            Slice(
                gross=unit.gross,
                line_discount=unit.line_discount,
                cart_discount=unit.cart_discount,
                payable=unit.discounted + (unit.vat if exclusive else 0),
                vat=unit.vat,
                vat_rate=self.tax.rate,
            )
            for unit in self.units
        ]
        return PricedLine(
            package_id=self.package.package_id,
            name=self.package.name,
            name_th=self.package.name_th,
            qty=len(self.units),
            unit_price=self.unit_price,
            gross=sum(unit.gross for unit in self.units),
            line_discount=sum(unit.line_discount for unit in self.units),
            cart_discount=sum(unit.cart_discount for unit in self.units),
            payable=sum(part.payable for part in slices),
            vat=sum(unit.vat for unit in self.units),
            vat_rate=self.tax.rate,
            slices=slices,
        )


@dataclass(slots=True)
class Working:
    """State handed from stage to stage; only stages change it."""

    cart: Cart
    catalog: CatalogSnapshot
    at: datetime
    lines: list[WorkingLine] = field(default_factory=list)
    trace: list[TraceEntry] = field(default_factory=list)

    def note(
        self,
        stage: str,
        why: str,
        *,
        before: int,
        after: int,
        line: int | None = None,
        **facts: Any,
    ) -> None:
        """Append one applied step to the trace."""
        self.trace.append(
            TraceEntry(
                stage=stage, line=line, applied=True, input=before, output=after, why=why,
                facts=facts,
            )
        )  # fmt: skip
