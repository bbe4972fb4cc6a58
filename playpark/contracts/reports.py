"""Reconciliation: that sales, payments, shifts, tickets and Z reports agree (R49)."""

from enum import StrEnum

from pydantic import computed_field

from playpark.clock import BusinessDate, UtcDatetime
from playpark.contracts.base import View
from playpark.money import SatangSum


class BookCheck(StrEnum):
    """What is proved, in the order in which it is told: causes before what follows from them."""

    READABLE = "readable"
    """Every document has the fields that its kind has."""
    OPERATIONS = "operations"
    """Whatever was done has left its document."""
    ORPHANS = "orphans"
    """No payment, ticket, refund or void without its sale."""
    SALES = "sales"
    """Slices = lines = header (R6)."""
    BELONGING = "belonging"
    """A sale, its payments and its tickets name the same day, shift, device and number."""
    PAYMENTS = "payments"
    """The payments of a sale are its total."""
    CHANGE = "change"
    """Change = tendered − the cash that was due."""
    TICKETS = "tickets"
    """The tickets of a unit are its slice, as many as were sold."""
    VOIDS = "voids"
    """A voided sale has voided payments and cancelled tickets (R32)."""
    REFUNDS = "refunds"
    """What was given back of a sale, its tickets and its payments is the sum of its refunds."""
    RECEIPTS = "receipts"
    """Every number has one row in the ledger, and there is no gap (R29)."""
    SHIFTS = "shifts"
    """A shift's totals are the sums of its documents (R27)."""
    Z_REPORTS = "z_reports"
    """A Z report and its supplements say the same (R28)."""
    Z_CHAIN = "z_chain"
    """The hashes and grand totals of a device's Z reports follow each other (R28)."""
    SUMS = "sums"
    """Sales = payments = tickets = shifts = Z for the day as a whole."""


class Discrepancy(View):
    """The first document that fails a check: what it should have said and what it says, as text;
    amounts are satang. A document that has vanished is named by the id that it had, where that
    can be known, and otherwise by the sale that misses it."""

    check: BookCheck
    collection: str
    document_id: str
    expected: str
    found: str
    why: str
    others: int = 0
    """How many more documents fail the same check."""


class Reconciliation(View):
    """A store's trading day (R30), satang. `breaks` has the first document of each check that
    failed, and is empty where the books are whole. Then

    sales = payments = tickets + surcharges + cash_rounding = shifts + no_shift, and
    shifts = z_reports + open_shifts; likewise
    refunds = refunds_in_shifts + refunds_no_shift, and
    refunds_in_shifts = refunds_in_z + refunds_open.
    """

    store_id: str
    store_name: str
    business_date: BusinessDate
    checked_at: UtcDatetime
    sales_count: int
    sales: SatangSum
    """Net of voided sales, which stand in `voided`."""
    payments: SatangSum
    tickets: SatangSum
    """What the slices of the tickets are worth: the goods, without surcharges and rounding."""
    surcharges: SatangSum
    cash_rounding: SatangSum
    shifts: SatangSum
    """The day's part of the shifts' totals, late supplements included."""
    no_shift: SatangSum
    """Sales outside any shift."""
    z_reports: SatangSum
    """The day's part of the Z reports and their supplements."""
    open_shifts: SatangSum
    """The day's part of shifts that are still open, with their supplements to come."""
    voided_count: int
    voided: SatangSum
    refunds_count: int
    refunds: SatangSum
    """Given back on this day, of whichever day's sales."""
    refunds_in_shifts: SatangSum
    refunds_no_shift: SatangSum
    refunds_in_z: SatangSum
    refunds_open: SatangSum
    documents: int
    """How many documents were compared."""
    dead_letters: int = 0
    """Operations of the store that wait for a person now, of any day: they are in no figure."""
    breaks: list[Discrepancy]

    @computed_field  # type: ignore[prop-decorator]
    @property
    def whole(self) -> bool:
        return not self.breaks
