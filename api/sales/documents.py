"""From a booking to the documents that are stored, and what they add to the shift (R6, R26)."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from api.platform.operations import Operation
from api.platform.scope import Scope
from api.sales.booking import Booking
from api.sales.loyalty import NO_POINTS, Points
from api.sales.models import Payment, Sale
from api.sales.tenders import change
from api.shifts.service import SaleAmounts
from playpark.contracts.approvals import EmployeeRef
from playpark.contracts.pricing import PaymentIn, PaymentMethod, PricedCart, Totals
from playpark.contracts.sales import SaleIn
from playpark.ids import new_ulid


@dataclass(frozen=True, slots=True)
class Place:
    """Where a sale stands in the books, and what was found on the way there."""

    sale_id: str
    receipt_no: str
    shift_id: str | None
    day: date
    flags: list[str]
    approver: EmployeeRef | None = None
    points: Points = NO_POINTS
    counted: Sequence[str] = ()
    """The rules whose caps the sale was counted on."""


def amounts_of(
    money: PricedCart | Sale, payments: Sequence[PaymentIn | Payment], tickets: int
) -> SaleAmounts:
    """What a sale adds to its shift, and what leaves it again with a void."""
    by_method: dict[str, int] = {}
    for payment in payments:
        by_method[payment.method.value] = by_method.get(payment.method.value, 0) + payment.amount
    return SaleAmounts(
        amount=sum(by_method.values()),
        cash=by_method.get(PaymentMethod.CASH.value, 0),
        by_method=by_method,
        tickets=tickets,
        discounts=money.discount_total,
        tax=money.tax_total,
        surcharges=money.surcharge_total,
        cash_rounding=money.cash_rounding,
    )


def sale_of(scope: Scope, op: Operation[SaleIn], booking: Booking, place: Place) -> Sale:
    """The sale as it is stored."""
    body, priced, money = op.body, booking.priced, booking.catalog.settings.money
    paid = [p.amount if p.tendered is None else p.tendered for p in body.payments]
    return Sale(
        id=place.sale_id,
        tenant_id=scope.tenant_id,
        store_id=scope.store_id,
        op_id=op.op_id,
        device_id=scope.device.device_id,
        shift_id=place.shift_id,
        cashier_id=scope.actor_id,
        cashier_name=scope.actor_name,
        receipt_no=place.receipt_no,
        business_date=place.day.isoformat(),
        occurred_at=op.occurred_at,
        priced_at=booking.at,
        lines=[line.model_dump(mode="json") for line in priced.lines],
        **{name: getattr(priced, name) for name in Totals.model_fields},
        amount_tendered=sum(paid),
        change=change(body.payments),
        payment_method=_payment_method(body.payments),
        surcharges=[each.model_dump(mode="json") for each in priced.surcharges],
        cash_step=money.cash_step,
        cash_rounding_mode=money.cash_rounding,
        promo_codes=list(body.promo_codes or ()),
        counted_rules=list(place.counted),
        customer_id=booking.customer_id,
        points_earned=place.points.earned,
        points_burned=place.points.burned,
        approved_by=place.approver.name if place.approver else None,
        open_ticket_id=body.open_ticket_id,
        catalog_version=priced.catalog_version,
        vat_mode=money.vat_mode,
        trace=[entry.model_dump(mode="json") for entry in priced.trace],
        flags=place.flags,
    )


def payments_of(op: Operation[SaleIn], booking: Booking, sale: Sale) -> list[Payment]:
    """The payments as they are stored, in their order."""
    on_top = {each.payment: each.amount for each in booking.priced.surcharges}
    return [
        Payment(
            id=new_ulid(),
            tenant_id=sale.tenant_id,
            store_id=sale.store_id,
            sale_id=sale.id,
            position=position,
            method=payment.method,
            payment_type_id=payment.payment_type_id,
            amount=payment.amount,
            tendered=payment.tendered,
            reference=payment.reference,
            surcharge=on_top.get(position, 0),
            device_id=sale.device_id,
            shift_id=sale.shift_id,
            receipt_no=sale.receipt_no,
            business_date=sale.business_date,
            occurred_at=op.occurred_at,
        )
        for position, payment in enumerate(op.body.payments)
    ]


def _payment_method(payments: Sequence[PaymentIn]) -> str:
    methods = {payment.method for payment in payments}
    if not methods:
        return PaymentMethod.OTHER.value  # nothing had to be paid
    return methods.pop().value if len(methods) == 1 else "split"
