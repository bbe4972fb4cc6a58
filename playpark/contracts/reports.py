"""Reconciliation: that sales, payments, shifts, tickets and Z reports agree (R49)."""

from playpark.clock import BusinessDate, UtcDatetime
from playpark.contracts.base import View
from playpark.money import SatangSum


class Discrepancy(View):
    """One thing that does not agree: the document that breaks the books, what it should have
    said and what it says, satang or counts."""

    check: str
    collection: str
    document_id: str
    expected: str
    found: str
    why: str


class Reconciliation(View):
    """A store's trading day. `breaks` is empty where the books are whole, and in the order of
    the checks otherwise."""

    store_id: str
    business_date: BusinessDate
    checked_at: UtcDatetime
    sales: SatangSum
    payments: SatangSum
    shifts: SatangSum
    tickets: SatangSum
    z_reports: SatangSum
    refunds: SatangSum
    documents: int
    breaks: list[Discrepancy]

    @property
    def whole(self) -> bool:
        return not self.breaks
