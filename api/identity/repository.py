"""Queries on tenants, devices and people. Pairing and device login come before a scope exists:
their look-ups go by a secret's hash or a server-made id, and everything after is confined."""

from datetime import datetime

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
from api.platform.uow import Work


class TenantRepository(Repository[Tenant]):
    model = Tenant


class StoreRepository(Repository[Store]):
    model = Store

    async def next_device_number(self) -> int | None:
        """The number of a device that is being paired; None where the store is closed."""
        store = await self.change({"$inc": {"device_numbers": 1}}, _id=self.store_id, active=True)
        return store.device_numbers if store else None


class SiteKeyRepository(Repository[SiteKey]):
    model = SiteKey

    @staticmethod
    async def use(work: Work, key_hash: str, now: datetime) -> SiteKey | None:
        """Spend one use of a key that is still good; None otherwise. The only query by a secret."""
        good = {
            "_id": key_hash,
            "$and": [
                {"$or": [{"uses_left": None}, {"uses_left": {"$gt": 0}}]},
                {"$or": [{"expires_at": None}, {"expires_at": {"$gt": now}}]},
            ],
        }
        collection = work.collection(SiteKey.__collection__)
        found = await collection.find_one(good, session=work.session)
        if found is None:
            return None
        key = SiteKey.model_validate_doc(found)
        if key.uses_left is not None:
            spend = {"$inc": {"uses_left": -1}}
            changed = await collection.update_one(good, spend, session=work.session)
            return key if changed.modified_count else None
        return key


class DeviceRepository(Repository[Device]):
    model = Device

    @staticmethod
    async def by_id(work: Work, device_id: str) -> Device | None:
        """A device by its server-made id, before its tenant is known: for its own login only."""
        collection = work.collection(Device.__collection__)
        found = await collection.find_one({"_id": device_id}, session=work.session)
        return Device.model_validate_doc(found) if found else None


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
