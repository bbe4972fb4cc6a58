"""Queries on certificates."""

from datetime import datetime

from api.certificates.models import Certificate
from api.platform.documents import scoped_id
from api.platform.repository import Repository

MOST_SERVED = 10_000


class CertificateRepository(Repository[Certificate]):
    model = Certificate

    def key(self, key_id: str) -> str:
        return scoped_id(self.tenant_id, str(self.store_id), key_id)

    async def named(self, key_id: str) -> Certificate | None:
        return await self.find_one(_id=self.key(key_id))

    async def in_force(self, device_id: str) -> list[Certificate]:
        """Those that a device may sign under now, the longest lasting first."""
        later = {"$gt": self.work.now}
        return await self.find(
            sort="not_after", descending=True, device_id=device_id, not_after=later
        )

    async def ended_after(self, moment: datetime) -> list[Certificate]:
        """Those that end after `moment` and whose tickets may be valid now."""
        return await self.find(
            sort="not_after",
            limit=MOST_SERVED,
            not_after={"$gt": moment},
            max_valid_to={"$gt": self.work.now},
        )

    async def last_serial(self, key_id: str) -> int:
        """The highest serial that has arrived under a certificate, 0 for none. Tickets know their
        certificates, and not the other way round: so they are read by the collection's name."""
        which = self.where(kid=key_id, serial={"$gt": 0})
        tickets = self.work.collection("tickets").find(
            which, {"serial": 1}, session=self.work.session
        )
        found = await tickets.sort([("serial", -1)]).limit(1).to_list(1)
        return int(found[0]["serial"]) if found else 0

    async def end(self, device_id: str) -> int:
        """End those that a device may still sign under, at this moment; how many."""
        ended = {"$set": {"not_after": self.work.now}}
        return await self.update_many(ended, device_id=device_id, not_after={"$gt": self.work.now})
