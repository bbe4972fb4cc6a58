"""Queries on parked carts. Every change has its condition: only what is open and in time."""

from collections.abc import Mapping
from typing import Any

from api.open_tickets.models import OpenTicket
from api.platform.repository import Repository
from playpark.contracts.open_tickets import OpenTicketStatus


class OpenTicketRepository(Repository[OpenTicket]):
    model = OpenTicket

    async def parked(self, limit: int, cursor: str | None) -> tuple[list[OpenTicket], str | None]:
        """A page of those that can be checked out, the newest first."""
        return await self.page(limit, cursor, **self._in_time())

    async def edit(
        self, open_ticket_id: str, changes: Mapping[str, Any], version: int | None = None
    ) -> OpenTicket | None:
        """Change one that is open, in time and, where given, of this version; it as it is then."""
        as_read: dict[str, Any] = {} if version is None else {"version": version}
        update = {"$set": dict(changes), "$inc": {"version": 1}}
        return await self.change(update, _id=open_ticket_id, **self._in_time(), **as_read)

    async def check_out(self, open_ticket_id: str, sale_id: str, *, late: bool = False) -> bool:
        """Settle one that is open, with `late` also one whose time is over; False where another
        sale was faster."""
        when = {"status": OpenTicketStatus.OPEN.value} if late else self._in_time()
        done = {"status": OpenTicketStatus.CHECKED_OUT.value, "sale_id": sale_id}
        update = {"$set": done, "$inc": {"version": 1}}
        return await self.update_one(update, _id=open_ticket_id, **when)

    def _in_time(self) -> dict[str, Any]:
        return {"status": OpenTicketStatus.OPEN.value, "expires_at": {"$gt": self.work.now}}
