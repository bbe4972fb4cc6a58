"""A sale as an operation: its frozen body, and what the screen keeps of it (R12, R14, R23)."""

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from playpark.contracts.catalog import CatalogSnapshot
from playpark.contracts.pricing import Cart, PaymentIn, PaymentMethod, PricedCart, Rung
from playpark.contracts.sales import SaleIn
from playpark.device import Allocator, OpState, PrintState, StoredOp
from playpark.errors import ErrorCode, PlayParkError
from playpark.ids import ReceiptSeries
from playpark.money import format_satang
from terminal.basket import tickets_per_unit

UNUSUAL_TENDER = 10
"""A tender of more than so many times the total is asked about: it may be a slip (SCREENS)."""


@dataclass(frozen=True, slots=True)
class SaleDraft:
    """All that a sale's body is made of; the numbers come with the store's transaction."""

    cart: Cart
    priced: PricedCart
    catalog: CatalogSnapshot
    payment: PaymentIn
    occurred_at: datetime
    business_date: date

    def body(self, allocator: Allocator) -> dict[str, Any]:
        """The request body of `POST /v1/sales`: number, ticket ids and codes included."""
        packages = {package.package_id: package for package in self.catalog.packages}
        counts = [
            line.qty * tickets_per_unit(packages[line.package_id]) for line in self.cart.lines
        ]
        sale = SaleIn(
            lines=self.cart.lines,
            payments=[self.payment],
            receipt_no=allocator.receipt_no(ReceiptSeries.SALE),
            ticket_ids=[[allocator.ticket_id() for _ in range(count)] for count in counts],
            short_codes=[[allocator.short_code() for _ in range(count)] for count in counts],
            catalog_version=self.priced.catalog_version,
            business_date=self.business_date,
            rung=Rung.of(self.priced),
            occurred_at=self.occurred_at,
        )
        return sale.model_dump(mode="json", exclude_unset=True)


def payment(
    method: PaymentMethod, total: int, *, tendered: int | None, reference: str | None
) -> PaymentIn:
    """The one payment of a sale, satang. Raises E_INSUFFICIENT_TENDER, E_VALIDATION."""
    if method is PaymentMethod.CASH:
        given = total if tendered is None else tendered
        if given < total:
            missing = format_satang(total - given)
            message = f"฿{missing} is missing: type the whole amount that the guest hands over."
            raise PlayParkError(ErrorCode.INSUFFICIENT_TENDER, message)
        return PaymentIn(method=method, amount=total, tendered=given)
    if not reference:
        return PaymentIn(method=method, amount=total)
    if len(reference) > 100:
        raise PlayParkError(ErrorCode.VALIDATION, "The reference is too long: 100 letters at most.")
    return PaymentIn(method=method, amount=total, reference=reference)


def is_unusual(tendered: int, total: int) -> bool:
    """True where a tender (satang) looks like a slip of the finger."""
    return total > 0 and tendered > UNUSUAL_TENDER * total


@dataclass(frozen=True, slots=True)
class Sold:
    """A sale in the list of the last ones, read from its operation."""

    op_id: str
    receipt_no: str
    occurred_at: datetime
    total: int
    method: PaymentMethod
    tendered: int | None
    state: OpState
    printing: PrintState

    @classmethod
    def of(cls, op: StoredOp) -> "Sold":
        paid = op.body["payments"][0]
        return cls(
            op_id=op.op_id,
            receipt_no=op.receipt_no or "",
            occurred_at=op.occurred_at,
            total=op.body["rung"]["grand_total"],
            method=PaymentMethod(paid["method"]),
            tendered=paid.get("tendered"),
            state=op.state,
            printing=op.printing,
        )

    @property
    def change(self) -> int:
        return 0 if self.tendered is None else self.tendered - self.total
