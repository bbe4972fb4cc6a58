"""Queries on sales and payments."""

from api.platform.repository import Repository
from api.sales.models import Payment, Sale


class SaleRepository(Repository[Sale]):
    model = Sale


class PaymentRepository(Repository[Payment]):
    model = Payment
