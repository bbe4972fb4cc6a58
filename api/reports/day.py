"""One store's trading day while it is being reconciled: what was read of it so far (R30, R49)."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from api.reports.findings import Z_REPORTS, Findings
from api.reports.repository import Books, Row, StoreRef
from api.reports.shift_checks import LINK_FIELDS, SHIFT_FIELDS, ShiftBooks, of_report
from api.shifts.figures import SaleAmounts
from api.shifts.models import Shift, ZLink
from playpark.clock import business_day_start, park_zone
from playpark.ids import ReceiptNumber


@dataclass(slots=True)
class Numbers:
    """The lowest and the highest receipt number of a day, and on how many documents."""

    low: int = 0
    high: int = 0
    documents: int = 0


@dataclass(slots=True)
class TradingDay:
    """`shifts` are those that anything of the day was booked on, or that were opened on it, by
    their shift_id; `totals` the day's sums, satang; `numbers` the lowest and highest receipt
    number of each (device code, series), `voided` what each voided sale had added to its shift."""

    books: Books
    store: StoreRef
    date: date
    findings: Findings = field(default_factory=Findings)
    shifts: dict[str, ShiftBooks] = field(default_factory=dict)
    totals: Counter[str] = field(default_factory=Counter)
    numbers: dict[tuple[str, str], Numbers] = field(default_factory=dict)
    voided: dict[str, SaleAmounts] = field(default_factory=dict)

    @property
    def iso(self) -> str:
        return self.date.isoformat()

    @property
    def zone(self) -> ZoneInfo:
        return park_zone(self.store.tz)

    @property
    def start(self) -> datetime:
        return business_day_start(self.date, self.zone)

    @property
    def end(self) -> datetime:
        return business_day_start(self.date + timedelta(days=1), self.zone)

    def note(self, receipt_no: str) -> None:
        """A number that a document of the day has. One that cannot be read has no row in the
        ledger either."""
        try:
            number = ReceiptNumber.parse(receipt_no)
        except ValueError:
            return
        used = self.numbers.setdefault((number.device_code, number.series.value), Numbers())
        used.low = min(used.low or number.number, number.number)
        used.high = max(used.high, number.number)
        used.documents += 1

    async def load_shifts(self, shift_ids: Iterable[str | None]) -> None:
        """Read these shifts and their Z reports, those that are not here yet."""
        wanted = {shift_id for shift_id in shift_ids if shift_id} - self.shifts.keys()
        if not wanted:
            return
        keys = {self.books.key(shift_id) for shift_id in wanted}
        rows = {
            row["shift_id"]: row for row in await self.books.by(Shift, SHIFT_FIELDS, "_id", keys)
        }
        links = await self.books.by(ZLink, LINK_FIELDS, "shift_id", wanted, sort="chain_seq")
        sound: list[Row] = []
        for link in links:
            with self.findings.reading(Z_REPORTS, link["_id"]):
                of_report(link["report"])
                sound.append(link)
        by_shift = grouped(sound, "shift_id")
        for shift_id in sorted(wanted):
            key, of_it = self.books.key(shift_id), by_shift.get(shift_id, [])
            self.shifts[shift_id] = ShiftBooks(key, rows.get(shift_id), of_it)


def grouped(rows: Sequence[Row], name: str) -> dict[str, list[Row]]:
    """Rows by one of their fields, in their order."""
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(row[name], []).append(row)
    return found
