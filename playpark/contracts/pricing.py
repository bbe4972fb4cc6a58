"""Carts in, priced carts with their trace out (API.md: pricing/preview; R4–R8, R11)."""

from enum import StrEnum
from typing import Annotated, Any, Self

from pydantic import Field, StringConstraints, model_validator

from playpark.clock import UtcDatetime
from playpark.contracts.base import IdStr, Request, View
from playpark.money import BasisPoints, Satang, SatangSum

MAX_LINES, MAX_TICKETS, MAX_PAYMENTS = 100, 500, 20  # R56

PromoCode = Annotated[str, StringConstraints(pattern=r"^[0-9A-Za-z_-]{1,40}$", to_upper=True)]


class PaymentMethod(StrEnum):
    CASH = "cash"
    QR = "qr"
    CARD = "card"
    OTHER = "other"


class PaymentIn(Request):
    """`amount` is the part of the total paid this way; `tendered` the cash handed over."""

    method: PaymentMethod
    payment_type_id: IdStr | None = None
    amount: Satang
    tendered: Satang | None = None
    reference: Annotated[str, StringConstraints(max_length=100)] | None = None


class CartLine(Request):
    package_id: IdStr
    qty: Annotated[int, Field(strict=True, ge=1, le=MAX_TICKETS)]
    discount_ids: Annotated[list[IdStr], Field(max_length=20)] | None = None
    manual_discount: Satang | None = None


class Cart(Request):
    """What a guest wants: at most 100 lines and 500 units (R56)."""

    lines: Annotated[list[CartLine], Field(min_length=1, max_length=MAX_LINES)]
    promo_codes: Annotated[list[PromoCode], Field(max_length=10)] | None = None
    discount_ids: Annotated[list[IdStr], Field(max_length=20)] | None = None
    customer_id: IdStr | None = None

    @model_validator(mode="after")
    def _not_too_many(self) -> Self:
        if sum(line.qty for line in self.lines) > MAX_TICKETS:
            msg = f"a cart holds at most {MAX_TICKETS} units: sell it in parts"
            raise ValueError(msg)
        return self


class PreviewIn(Cart):
    """`payments` as they are meant: surcharges and cash rounding depend on them (R7). The last
    one settles the rest, whatever its amount says."""

    payments: Annotated[list[PaymentIn], Field(max_length=MAX_PAYMENTS)] | None = None
    at: UtcDatetime | None = None


class Slice(View):
    """The frozen share of one sold unit in the money of its sale (R6); all in satang."""

    gross: Satang
    line_discount: Satang
    cart_discount: Satang
    payable: Satang
    vat: Satang
    vat_rate: BasisPoints


class PricedLine(View):
    """A line's sums, and one slice for each of its `qty` units."""

    gross: SatangSum
    line_discount: SatangSum
    cart_discount: SatangSum
    payable: SatangSum
    vat: SatangSum
    vat_rate: BasisPoints
    package_id: str
    name: str
    name_th: str
    qty: int
    unit_price: Satang
    slices: list[Slice]


class TraceEntry(View):
    """One step of the price: which stage and rule, what went in and out, and why (R11)."""

    stage: str
    rule_id: str | None = None
    line: int | None = None
    applied: bool
    input: int
    output: int
    why: str
    facts: dict[str, Any] = {}


class Totals(View):
    """A sale's header. grand_total = subtotal − discount_total + exclusive VAT
    + surcharge_total + cash_rounding. `tax_total` is the VAT of the slices; a surcharge's own
    stands with the surcharge."""

    subtotal: SatangSum
    discount_total: SatangSum
    tax_total: SatangSum
    surcharge_total: SatangSum
    cash_rounding: SatangSum
    grand_total: SatangSum


class Surcharge(View):
    """What one payment costs on top: its own line, outside the slices, VAT contained (R7)."""

    payment: int
    """Position of its payment."""
    payment_type_id: str
    name: str
    name_th: str
    amount: Satang
    vat: Satang
    vat_rate: BasisPoints


class PricedCart(Totals):
    lines: list[PricedLine]
    surcharges: list[Surcharge] = []
    due: list[SatangSum] = []
    """What each payment that was told has to be, satang: the last one settles the rest."""
    trace: list[TraceEntry]
    catalog_version: int


class RungSlice(Slice, Request):
    """A slice as a till sends it: unknown fields are refused."""


class RungLine(Request):
    unit_price: Satang
    slices: Annotated[list[RungSlice], Field(min_length=1, max_length=MAX_TICKETS)]


class Rung(Request):
    """What the till showed the guest: header and per-unit slices, booked as it stands (R12)."""

    subtotal: Satang
    discount_total: Satang
    tax_total: Satang
    surcharge_total: Satang
    cash_rounding: Annotated[int, Field(strict=True, ge=-100, le=100)]
    grand_total: Satang
    lines: Annotated[list[RungLine], Field(min_length=1, max_length=MAX_LINES)]

    @classmethod
    def of(cls, priced: PricedCart) -> "Rung":
        header = {name: getattr(priced, name) for name in Totals.model_fields}
        lines = [
            {"unit_price": line.unit_price, "slices": [part.model_dump() for part in line.slices]}
            for line in priced.lines
        ]
        return cls.model_validate({**header, "lines": lines})
