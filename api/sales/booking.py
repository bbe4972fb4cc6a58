"""Which money a sale is booked with: the server's price, or what the till rang (R12, R17)."""

from dataclasses import dataclass, field
from typing import Any

from api.catalog import service as catalog
from api.platform.operations import Operation
from api.platform.scope import Scope
from api.platform.uow import Work
from playpark.contracts.pricing import (
    PaymentIn,
    PaymentMethod,
    PricedCart,
    PricedLine,
    Rung,
    Totals,
)
from playpark.contracts.sales import SaleIn
from playpark.errors import ErrorCode, PlayParkError

NEEDS_REVIEW, PRICE_VARIANCE = "needs_review", "price_variance"


@dataclass(slots=True)
class Booking:
    """The priced cart as it is booked, and what an auditor has to look at."""

    priced: PricedCart
    flags: list[str] = field(default_factory=list)
    variance: dict[str, Any] | None = None


async def book(work: Work, scope: Scope, op: Operation[SaleIn]) -> Booking:
    """Price the sale, or take what was rung for money that is taken already.

    Raises E_PRICE_CHANGED (uncommitted, with both traces), E_INSUFFICIENT_TENDER, E_VALIDATION,
    and what pricing raises.
    """
    sale = op.body
    version = sale.catalog_version if op.committed else None
    priced = await catalog.price_cart(work, scope, sale, at=op.occurred_at, version=version)
    booking = Booking(priced)
    if sale.rung is not None:
        _check_shape(sale, sale.rung)
        if op.committed:
            booking = _as_rung(priced, sale.rung)
        elif not _same(priced, sale.rung):
            raise _price_changed(priced)
    if sale.expected_total not in {None, priced.grand_total} and not op.committed:
        raise _price_changed(priced)
    problem = payment_problem(sale.payments, booking.priced.grand_total)
    if problem is not None:
        if not op.committed:
            raise problem
        booking.flags.append(NEEDS_REVIEW)
    return booking


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


def _as_rung(priced: PricedCart, rung: Rung) -> Booking:
    lines = [
        _rung_line(line, rung_line.unit_price, rung_line.slices)
        for line, rung_line in zip(priced.lines, rung.lines, strict=True)
    ]
    header = {name: getattr(rung, name) for name in Totals.model_fields}
    booked = PricedCart(
        **header, lines=lines, trace=priced.trace, catalog_version=priced.catalog_version
    )
    booking = Booking(booked)
    if not _adds_up(booked):
        booking.flags.append(NEEDS_REVIEW)
    if not _same(priced, rung):
        booking.flags.append(PRICE_VARIANCE)
        booking.variance = {"rung": rung.grand_total, "server": priced.grand_total}
    return booking


def _rung_line(line: PricedLine, unit_price: int, slices: list[Any]) -> PricedLine:
    sums = {
        name: sum(getattr(part, name) for part in slices)
        for name in ("gross", "line_discount", "cart_discount", "payable", "vat")
    }
    return line.model_copy(update={"unit_price": unit_price, "slices": slices, **sums})


def _adds_up(cart: PricedCart) -> bool:
    """The sums of R4–R6: slices make the header."""
    lines = cart.lines
    discount = sum(line.line_discount + line.cart_discount for line in lines)
    payable = sum(line.payable for line in lines)
    return (
        cart.subtotal == sum(line.gross for line in lines)
        and cart.discount_total == discount
        and cart.tax_total == sum(line.vat for line in lines)
        and cart.grand_total == payable + cart.surcharge_total + cart.cash_rounding
    )


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
