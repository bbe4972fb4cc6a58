"""Queries on tenants, devices and people."""

from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pymongo import ReturnDocument, UpdateMany
from pymongo.errors import DuplicateKeyError

from api.identity.models import (
    Authenticator,
    AuthorityRow,
    AuthorityTurn,
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
from api.platform.documents import UNSTAMPED
from api.platform.repository import Repository

ALL = 1_000_000
"""More than a tenant has of anything that is read as a whole."""


class TenantRepository(Repository[Tenant]):
    model = Tenant

    async def next_device_number(self) -> Tenant | None:
        """Count one more device: the tenant afterwards, whose `device_numbers` is its number,
        unique in the tenant and never given again (R24, R29)."""
        return await self.change({"$inc": {"device_numbers": 1}}, _id=self.tenant_id)

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
    """Those of one store, or with store None the tenant's."""

    model = SiteKey

    async def spend(self, key_hash: str) -> bool:
        """Count one use; False where the key has none left, has expired or was withdrawn."""
        good: list[dict[str, Any]] = [
            {"$or": [{"uses": None}, {"$expr": {"$lt": ["$used", "$uses"]}}]},
            {"$or": [{"expires_at": None}, {"expires_at": {"$gt": self.work.now}}]},
        ]
        return await self.update_one(
            {"$inc": {"used": 1}}, _id=key_hash, withdrawn_at=None, **{"$and": good}
        )


class SiteKeysInForce(Repository[SiteKey]):
    """A store's and its tenant's."""

    model = SiteKey

    def where(self, **conditions: Any) -> dict[str, Any]:
        places = {"$in": [self.store_id, None]}
        return {"tenant_id": self.tenant_id, "store_id": places} | conditions


class DeviceRepository(Repository[Device]):
    model = Device


class AuthorityRepository(Repository[DeviceAuthority]):
    model = DeviceAuthority


class TenantSessions(Repository[DeviceAuthority]):
    """The sessions of all of a tenant's devices."""

    model = DeviceAuthority

    def where(self, **conditions: Any) -> dict[str, Any]:
        return {"tenant_id": self.tenant_id} | conditions

    async def tell_versions(self, versions: Mapping[str, int]) -> None:
        """The catalogue's version of each store {store_id: version} to its devices, in one
        command."""
        if versions:
            await self._collection.bulk_write(
                [
                    UpdateMany(
                        self.where(store_id=store_id),
                        self._stamped({"$set": {"catalog_version": version}}),
                    )
                    for store_id, version in versions.items()
                ],
                ordered=False,
                session=self.work.session,
            )

    async def of_people(self, employee_ids: Collection[str]) -> list[DeviceAuthority]:
        """Those where one of these people is logged in. The ids are the server's own."""
        somebody = [{f"employees.{each}": {"$exists": True}} for each in sorted(employee_ids)]
        conditions: dict[str, Any] = {"$or": somebody}
        return await self.find(limit=ALL, **conditions) if somebody else []


class EmployeeRepository(Repository[Employee]):
    model = Employee

    async def enter(self, employee_id: str, ver: int) -> Employee | None:
        """Note a login; None where the PIN or the status has changed since `ver` was read."""
        told = {"last_login_at": self.work.now}
        return await self.hold(told, _id=employee_id, ver=ver, status="active")


class RoleRepository(Repository[Role]):
    model = Role


class MembershipRepository(Repository[Membership]):
    model = Membership


@dataclass(frozen=True, slots=True)
class Held:
    """Of an active membership what authority is reckoned from."""

    employee_id: str
    store_id: str
    role_ids: tuple[str, ...]


class TenantMemberships(Repository[Membership]):
    """The memberships in all of a tenant's stores."""

    model = Membership

    def where(self, **conditions: Any) -> dict[str, Any]:
        return {"tenant_id": self.tenant_id} | conditions

    async def held(self, **conditions: Any) -> list[Held]:
        """A role of a large park has thousands, so they never become documents."""
        fields = {"employee_id": 1, "store_id": 1, "roles": 1}
        found = self._collection.find(self.where(**conditions), fields, session=self.work.session)
        return [
            Held(each["employee_id"], each["store_id"], tuple(each["roles"]))
            for each in await found.to_list(None)
        ]

    async def people(self, **conditions: Any) -> set[str]:
        """The ids of the employees who have one of these memberships."""
        found = await self._collection.distinct(
            "employee_id", self.where(**conditions), session=self.work.session
        )
        return set(found)


class AuthorityTurns(Repository[AuthorityTurn]):
    model = AuthorityTurn

    async def begin(self) -> None:
        """Make the tenant's count where it is missing. Outside a transaction: two that make it at
        once would otherwise fail for good instead of starting again."""
        fresh = {"$setOnInsert": {"number": 0, "at": UNSTAMPED, "created_at": self.work.now}}
        with suppress(DuplicateKeyError):  # the other one has made it
            await self._collection.update_one(self.where(_id=self.tenant_id), fresh, upsert=True)

    async def next(self) -> AuthorityTurn:
        """The number and moment of a change: two transactions that take one cannot both stand."""
        later = {"$max": [self.work.now, {"$add": ["$at", 1]}]}
        number = {"$add": ["$number", 1]}
        found = await self._collection.find_one_and_update(
            self.where(_id=self.tenant_id),
            [{"$set": {"number": number, "at": later, "updated_at": self.work.now}}],
            return_document=ReturnDocument.AFTER,
            session=self.work.session,
        )
        return self._parse_some(found)


class AuthorityHistory(Repository[AuthorityRow]):
    """What people could do in one store, and when."""

    model = AuthorityRow

    async def latest(self, employee_id: str, moment: datetime | None = None) -> AuthorityRow | None:
        """The row that was in force at `moment`, or is."""
        until: dict[str, Any] = {} if moment is None else {"at": {"$lte": moment}}
        found = await self.find(
            sort="at", descending=True, limit=1, employee_id=employee_id, **until
        )
        return found[0] if found else None


class TenantAuthorityHistory(Repository[AuthorityRow]):
    """What people could do in all of a tenant's stores."""

    model = AuthorityRow

    def where(self, **conditions: Any) -> dict[str, Any]:
        return {"tenant_id": self.tenant_id} | conditions

    async def known(self, employee_ids: Collection[str]) -> set[tuple[str, str]]:
        """(employee, store) of those who have a row."""
        pair = {"employee_id": "$employee_id", "store_id": "$store_id"}
        steps = [
            {"$match": self.where(employee_id={"$in": sorted(employee_ids)})},
            {"$group": {"_id": pair}},
        ]
        found = self._collection.aggregate(steps, session=self.work.session)
        return {(each["_id"]["employee_id"], each["_id"]["store_id"]) async for each in found}


class AuthenticatorRepository(Repository[Authenticator]):
    model = Authenticator

    async def remove(self, app_id: str) -> bool:
        """Forget the app and its secret; False where there was none."""
        result = await self._collection.delete_one(
            self.where(_id=app_id), session=self.work.session
        )
        return bool(result.deleted_count)


class TenantPinAttempts(Repository[PinAttempts]):
    """Wrong PINs on all of a tenant's devices."""

    model = PinAttempts

    def where(self, **conditions: Any) -> dict[str, Any]:
        return {"tenant_id": self.tenant_id} | conditions

    async def forget(self, keys: Collection[str]) -> None:
        """Start these counts again."""
        fresh = {"$set": {"failed": 0, "locked_until": None}}
        await self.update_many(fresh, _id={"$in": sorted(keys)}, failed={"$gt": 0})
