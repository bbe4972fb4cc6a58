"""Which money a sale is booked with: the server's price, or what the till rang (R12, R17)."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from api.catalog import service as catalog
from api.platform.operations import Operation
from api.platform.scope import Scope
from api.platform.uow import Work
from playpark.contracts.pricing import (
    Cart,
    PaymentIn,
    PaymentMethod,
    PricedCart,
    PricedLine,
    Rung,
    Slice,
    Totals,
)
from playpark.contracts.sales import SaleIn
from playpark.contracts.snapshot import CatalogSnapshot
from playpark.errors import ErrorCode, PlayParkError
from playpark.pricing import price

NEEDS_REVIEW, PRICE_VARIANCE = "needs_review", "price_variance"
NO_DISCOUNT = {"discount_ids": None, "manual_discount": None}


@dataclass(slots=True)
class Booking:
    """The priced cart as it is booked, and what an auditor has to look at."""

    priced: PricedCart
    catalog: CatalogSnapshot
    flags: list[str] = field(default_factory=list)
    variance: dict[str, Any] | None = None


async def book(work: Work, scope: Scope, op: Operation[SaleIn]) -> Booking:
    """Price the sale, or take what was rung for money that is taken already.

    Raises E_PRICE_CHANGED (uncommitted, with both traces), E_INSUFFICIENT_TENDER, E_VALIDATION,
    and what pricing raises.
    """
    sale = op.body
    booking = await (_price_committed if op.committed else _price)(work, scope, op)
    priced = booking.priced
    if sale.rung is not None:
        _check_shape(sale, sale.rung)
        if op.committed:
            _book_as_rung(booking, sale.rung)
        elif not _same(priced, sale.rung):
            raise _price_changed(priced)
    if sale.expected_total not in {None, booking.priced.grand_total}:
        if not op.committed:
            raise _price_changed(priced)
        booking.flags.append(PRICE_VARIANCE)
    problem = payment_problem(sale.payments, booking.priced.grand_total)
    if problem is not None:
        if not op.committed:
            raise problem
        booking.flags.append(NEEDS_REVIEW)
    return booking


async def _price(work: Work, scope: Scope, op: Operation[SaleIn]) -> Booking:
    priced = await catalog.price_cart(work, scope, op.body, at=op.occurred_at)
    return Booking(priced, await catalog.snapshot(work, scope))


async def _price_committed(work: Work, scope: Scope, op: Operation[SaleIn]) -> Booking:
    """What no longer fits the catalogue is priced as well as it can be, and flagged (R17)."""
    sale = op.body
    package_ids = [line.package_id for line in sale.lines]
    snapshot, flags = await catalog.snapshot_with(work, scope, sale.catalog_version, package_ids)
    if sale.promo_codes or sale.discount_ids or sale.customer_id:
        flags.append("discount_unknown")
    cart = Cart(lines=[line.model_copy(update=NO_DISCOUNT) for line in sale.lines])
    return Booking(price(cart, snapshot, at=op.occurred_at), snapshot, flags)


def payment_problem(payments: list[PaymentIn], total: int) -> PlayParkError | None:
    """Why these payments do not settle `total` satang; None where they do."""
    paid = sum(payment.amount for payment in payments)
    if paid < total:
        message = "The payments do not cover the total: take the rest."
        return PlayParkError(
            ErrorCode.INSUFFICIENT_TENDER, message, details={"missing": total - paid}
        )
    if paid > total:
        message = "The payments are more than the total: cash beyond it goes into `tendered`."
        return PlayParkError(ErrorCode.VALIDATION, message, details={"excess": paid - total})
    for payment in payments:
        if payment.tendered is None:
            continue
        if payment.method is not PaymentMethod.CASH:
            message = "Only cash has `tendered`: leave it out of other payments."
            return PlayParkError(ErrorCode.VALIDATION, message)
        if payment.tendered < payment.amount:
            message = "The cash handed over is less than its payment: take the rest."
            missing = payment.amount - payment.tendered
            return PlayParkError(
                ErrorCode.INSUFFICIENT_TENDER, message, details={"missing": missing}
            )
    return None


def _check_shape(sale: SaleIn, rung: Rung) -> None:
    """A rung cart has the lines and units of its sale; anything else is malformed (R17)."""
    same_lines = len(rung.lines) == len(sale.lines)
    if not same_lines or any(
        len(line.slices) != asked.qty for line, asked in zip(rung.lines, sale.lines, strict=True)
    ):
        message = "`rung` needs one line for each line sold and one slice for each unit."
        raise PlayParkError(ErrorCode.VALIDATION, message)


def _book_as_rung(booking: Booking, rung: Rung) -> None:
    priced = booking.priced
    lines = [
        _rung_line(line, rung_line.unit_price, rung_line.slices)
        for line, rung_line in zip(priced.lines, rung.lines, strict=True)
    ]
    header = {name: getattr(rung, name) for name in Totals.model_fields}
    booking.priced = PricedCart(
        **header, lines=lines, trace=priced.trace, catalog_version=priced.catalog_version
    )
    if not _adds_up(booking.priced):
        booking.flags.append(NEEDS_REVIEW)
    if not _same(priced, rung):
        booking.flags.append(PRICE_VARIANCE)
        booking.variance = {"rung": rung.grand_total, "server": priced.grand_total}


def _rung_line(line: PricedLine, unit_price: int, rung: Sequence[Slice]) -> PricedLine:
    slices = [Slice.model_validate(part.model_dump()) for part in rung]
    sums = {
        name: sum(getattr(part, name) for part in slices)
        for name in ("gross", "line_discount", "cart_discount", "payable", "vat")
    }
    return line.model_copy(update={"unit_price": unit_price, "slices": slices, **sums})


def _adds_up(cart: PricedCart) -> bool:
    """The sums of R4–R6: slices make the header, and each slice makes sense by itself."""
    lines = cart.lines
    if not all(_makes_sense(part) for line in lines for part in line.slices):
        return False
    discount = sum(line.line_discount + line.cart_discount for line in lines)
    payable = sum(line.payable for line in lines)
    return (
        cart.subtotal == sum(line.gross for line in lines)
        and cart.discount_total == discount
        and cart.tax_total == sum(line.vat for line in lines)
        and cart.grand_total == payable + cart.surcharge_total + cart.cash_rounding
    )


def _makes_sense(part: Slice) -> bool:
    """What is payable is the discounted price, with VAT on top where it is exclusive (R6)."""
    net = part.gross - part.line_discount - part.cart_discount
    return part.payable in {net, net + part.vat} and part.vat <= part.payable


def _same(priced: PricedCart, rung: Rung) -> bool:
    return Rung.of(priced) == rung


def _price_changed(priced: PricedCart) -> PlayParkError:
    message = "The price has changed: show the guest the new total, then sell again."
    details = {
        "grand_total": priced.grand_total,
        "catalog_version": priced.catalog_version,
        "trace": [entry.model_dump(mode="json") for entry in priced.trace],
    }
    return PlayParkError(ErrorCode.PRICE_CHANGED, message, details=details)
