"""Sales and payments as the API shows them."""

from collections.abc import Sequence

from api.sales.models import Payment, Sale
from playpark.contracts.pricing import PricedLine, Totals
from playpark.contracts.sales import PaymentSummary, PaymentView, SaleSummary, SaleView


def view(
    sale: Sale, payments: Sequence[Payment], lines: Sequence[PricedLine] | None = None
) -> SaleView:
    """A sale as it is now. `lines` are its own, where they are at hand and need no reading."""
    header = {name: getattr(sale, name) for name in Totals.model_fields}
    return SaleView(
        **header,
        sale_id=sale.id,
        receipt_no=sale.receipt_no,
        business_date=sale.day,
        occurred_at=sale.occurred_at,
        device_id=sale.device_id,
        shift_id=sale.shift_id,
        cashier_id=sale.cashier_id,
        cashier_name=sale.cashier_name,
        lines=sale.lines if lines is None else lines,
        payments=[
            PaymentView(
                payment_id=payment.id,
                method=payment.method,
                payment_type_id=payment.payment_type_id,
                amount=payment.amount,
                tendered=payment.tendered,
                reference=payment.reference,
            )
            for payment in payments
        ],
        change=sale.change,
        payment_method=sale.payment_method,
        surcharges=sale.surcharges,
        promo_codes=sale.promo_codes,
        customer_id=sale.customer_id,
        points_earned=sale.points_earned,
        points_burned=sale.points_burned,
        status=sale.status,
        refunded=sale.refunded,
        catalog_version=sale.catalog_version,
        flags=sale.flags,
    )


def summary(sale: Sale) -> SaleSummary:
    """A sale in a list."""
    return SaleSummary(
        sale_id=sale.id,
        receipt_no=sale.receipt_no,
        business_date=sale.day,
        occurred_at=sale.occurred_at,
        device_id=sale.device_id,
        shift_id=sale.shift_id,
        cashier_name=sale.cashier_name,
        grand_total=sale.grand_total,
        payment_method=sale.payment_method,
        status=sale.status,
        refunded=sale.refunded,
        flags=sale.flags,
    )


def payment_summary(payment: Payment) -> PaymentSummary:
    """A payment in a list."""
    return PaymentSummary(
        payment_id=payment.id,
        sale_id=payment.sale_id,
        receipt_no=payment.receipt_no,
        business_date=payment.day,
        occurred_at=payment.occurred_at,
        device_id=payment.device_id,
        shift_id=payment.shift_id,
        method=payment.method,
        payment_type_id=payment.payment_type_id,
        amount=payment.amount,
        surcharge=payment.surcharge,
        tendered=payment.tendered,
        reference=payment.reference,
        status=payment.status,
        refunded=payment.refunded,
    )
