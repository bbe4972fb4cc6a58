"""Queries on tenants, devices and people."""

from datetime import timedelta
from typing import Any

from pymongo.errors import DuplicateKeyError

from api.identity.models import (
    Device,
    Employee,
    Membership,
    PinAttempts,
    Role,
    SiteKey,
    Store,
    Tenant,
)
from api.platform.authority import DeviceAuthority
from api.platform.repository import Repository

FREE_ATTEMPTS = 5
FIRST_LOCK, MAX_DOUBLINGS = timedelta(seconds=30), 6


class TenantRepository(Repository[Tenant]):
    model = Tenant

    async def next_device_number(self) -> int | None:
        """The number of a device that is being paired, unique in the tenant (R24)."""
        tenant = await self.change({"$inc": {"device_numbers": 1}}, _id=self.tenant_id)
        return tenant.device_numbers if tenant else None

    async def reserve_short_codes(self, count: int) -> Tenant | None:
        """Count `count` codes of the server's own as taken; the tenant afterwards."""
        return await self.change({"$inc": {"short_codes": count}}, _id=self.tenant_id)


class StoreRepository(Repository[Store]):
    model = Store


class TenantStores(Repository[Store]):
    """All stores of a tenant: for what is set for all of them."""

    model = Store

    def where(self, **conditions: Any) -> dict[str, Any]:
        return {"tenant_id": self.tenant_id} | conditions


class SiteKeyRepository(Repository[SiteKey]):
    model = SiteKey

    async def spend(self, key: SiteKey) -> bool:
        """Take one use of a counted key; False where it has none left or has expired."""
        if key.expires_at is not None and key.expires_at <= self.work.now:
            return False
        if key.uses_left is None:
            return True
        return await self.update_one({"$inc": {"uses_left": -1}}, _id=key.id, uses_left={"$gt": 0})


class DeviceRepository(Repository[Device]):
    model = Device


class AuthorityRepository(Repository[DeviceAuthority]):
    model = DeviceAuthority


class EmployeeRepository(Repository[Employee]):
    model = Employee


class RoleRepository(Repository[Role]):
    model = Role


class MembershipRepository(Repository[Membership]):
    model = Membership


class PinAttemptsRepository(Repository[PinAttempts]):
    model = PinAttempts

    async def reserve(self, key: str) -> bool:
        """Count one attempt before it is evaluated; False while locked (R41).

        Counting and locking are one statement, so that parallel guesses cannot outrun the lock.
        """
        failed = {"$add": [{"$ifNull": ["$failed", 0]}, 1]}
        over = {"$min": [{"$subtract": ["$failed", FREE_ATTEMPTS]}, MAX_DOUBLINGS]}
        lock_ms = {"$multiply": [FIRST_LOCK // timedelta(milliseconds=1), {"$pow": [2, over]}]}
        locked = {
            "$cond": [
                {"$gte": ["$failed", FREE_ATTEMPTS]},
                {"$add": [self.work.now, {"$toLong": lock_ms}]},
                None,
            ]
        }
        now = self.work.now
        free = {"$or": [{"locked_until": None}, {"locked_until": {"$lte": now}}]}
        try:
            await self._collection.update_one(
                self.where(_id=key, **free),
                [
                    {"$set": {"failed": failed, "updated_at": now, "created_at": now}},
                    {"$set": {"locked_until": locked}},
                ],
                upsert=True,
                session=self.work.session,
            )
        except DuplicateKeyError:
            return False  # the entry exists and is locked
        return True

    async def locked_for(self, key: str) -> float:
        """Seconds until the lock opens."""
        entry = await self.find_one(_id=key)
        until = entry.locked_until if entry and entry.locked_until else self.work.now
        return max(1.0, (until - self.work.now).total_seconds())

    async def forget(self, key: str) -> None:
        """The right PIN starts the count again."""
        await self.update_one({"$set": {"failed": 0, "locked_until": None}}, _id=key)
