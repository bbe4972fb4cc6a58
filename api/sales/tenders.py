"""Whether the payments settle a sale, and by what rules of their kinds (R7, R17)."""

from collections.abc import Iterator
from typing import Any

from api.platform.operations import Operation
from api.sales.booking import NEEDS_REVIEW, Booking
from playpark.contracts.pricing import PaymentIn, PaymentMethod
from playpark.contracts.rules import PaymentTypeView
from playpark.contracts.sales import SaleIn
from playpark.errors import ErrorCode, PlayParkError

REFERENCE_MISSING, POINTS_SHORT = "reference_missing", "points_short"
Problem = tuple[str, PlayParkError]
"""The flag for money that is taken already, and the refusal for money that is not."""


def check(op: Operation[SaleIn], booking: Booking) -> list[str]:
    """Flags. Raises E_INSUFFICIENT_TENDER for too little, E_VALIDATION for anything else, with
    what each payment has to be in `details.due`; money that is taken already is flagged."""
    flags: list[str] = []
    for flag, refusal in _problems(op.body, booking):
        if not op.committed:
            raise refusal
        if flag not in flags:
            flags.append(flag)
    return flags


def points_payments(sale: SaleIn, booking: Booking) -> list[PaymentIn]:
    """The payments that are made with loyalty points."""
    return [
        payment for payment, kind in _with_types(sale, booking) if kind is not None and kind.points
    ]


def change(payments: list[PaymentIn]) -> int:
    """What the guest gets back: tendered minus amount over the cash payments, satang."""
    return sum(
        payment.tendered - payment.amount
        for payment in payments
        if payment.method is PaymentMethod.CASH and payment.tendered is not None
    )


def _problems(sale: SaleIn, booking: Booking) -> Iterator[Problem]:
    """All but the last payment are due as they were told (decision 0007), so that the sum tells
    whether the last one is."""
    total, due = booking.priced.grand_total, booking.priced.due
    paid = sum(payment.amount for payment in sale.payments)
    if paid < total:
        message = "The payments do not cover the total: take the rest."
        yield _problem(message, short=True, missing=total - paid, due=due)
    elif paid > total:
        message = "The payments are more than the total: cash beyond it goes into `tendered`."
        yield _problem(message, excess=paid - total, due=due)
    for position, (payment, kind) in enumerate(_with_types(sale, booking)):
        if problem := _tendered(payment, position):
            yield problem
        if kind is not None and kind.needs_reference and not (payment.reference or "").strip():
            message = f"{kind.name} needs a reference: send the number from its slip."
            refusal = _refusal(message, reason="reference", payment=position)
            yield REFERENCE_MISSING, refusal
        if kind is not None and kind.points and (words := _points_problem(payment, booking)):
            yield POINTS_SHORT, _refusal(words, reason="points", payment=position)


def _with_types(sale: SaleIn, booking: Booking) -> list[tuple[PaymentIn, PaymentTypeView | None]]:
    types = {each.payment_type_id: each for each in booking.catalog.payment_types}
    return [(payment, types.get(payment.payment_type_id or "")) for payment in sale.payments]


def _tendered(payment: PaymentIn, position: int) -> Problem | None:
    if payment.tendered is None:
        return None
    if payment.method is not PaymentMethod.CASH:
        message = "Only cash has `tendered`: leave it out of other payments."
        return _problem(message, payment=position)
    if payment.tendered < payment.amount:
        message = "The cash handed over is less than its payment: take the rest."
        return _problem(message, short=True, missing=payment.amount - payment.tendered)
    return None


def _points_problem(payment: PaymentIn, booking: Booking) -> str | None:
    value = booking.catalog.settings.loyalty.point_value
    if not value:
        return "This store takes no points: choose another way to pay."
    if booking.customer_id is None:
        return "Points are a guest's: name the customer whose points they are."
    if payment.amount % value:
        return "Points are worth whole steps: see the store's settings, loyalty.point_value."
    return None


def _problem(message: str, *, short: bool = False, **details: Any) -> Problem:
    code = ErrorCode.INSUFFICIENT_TENDER if short else ErrorCode.VALIDATION
    return NEEDS_REVIEW, PlayParkError(code, message, details=details)


def _refusal(message: str, **details: Any) -> PlayParkError:
    return PlayParkError(ErrorCode.VALIDATION, message, details=details)
