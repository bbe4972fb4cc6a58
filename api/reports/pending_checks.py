"""Tickets of the day that admitted guests and whose sale has never come (R22, R49)."""

from api.reports.day import TradingDay
from api.reports.findings import NOTHING, TICKETS, broken
from api.reports.repository import IDS
from api.tickets.models import Ticket
from playpark.contracts.reports import BookCheck
from playpark.contracts.tickets import TicketStatus
from playpark.redemption import PENDING_LASTS

PENDING = TicketStatus.PENDING.value


async def read_pending(day: TradingDay) -> None:
    """Name those whose sale is later than a till may be offline. The others may still come."""
    late = day.books.work.now - PENDING_LASTS
    valid = {"$gte": day.start, "$lt": day.end}
    fields = ("device_id", "issued_at")
    async for page in day.books.pages(Ticket, fields, size=IDS, valid_from=valid, status=PENDING):
        for row in page:
            if row["issued_at"] > late:
                continue
            why = (
                "A till signed this ticket while it was offline, and its sale has not come since: "
                f"sync device {row['device_id']}, or look for a key that was stolen."
            )
            day.findings.add(broken(BookCheck.ORPHANS, TICKETS, row["_id"], "a sale", NOTHING, why))
