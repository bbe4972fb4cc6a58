"""What other domains need of a store and its tenant."""

from dataclasses import dataclass

from api.identity import short_codes
from api.identity.repository import (
    AuthorityRepository,
    StoreRepository,
    TenantRepository,
    TenantSessions,
    TenantStores,
)
from api.identity.standing import standings
from api.platform.scope import Scope
from api.platform.services import Platform
from api.platform.uow import Work
from playpark.contracts.employees import Permission
from playpark.errors import ErrorCode, PlayParkError
from playpark.ids import server_short_code

CODE_BLOCK = 100
MANY = 10_000
AT_ONCE = 300
"""Stores that one change reaches well within a transaction's 5 s: these take a core about 1 s, and
the database as long."""


@dataclass(frozen=True, slots=True)
class CatalogTurn:
    """A store whose next catalogue version is being made, and its time zone."""

    store_id: str
    version: int
    tz: str


async def next_catalogs(work: Work, tenant_id: str, store_id: str | None) -> list[CatalogTurn]:
    """Count the catalogue of the store, or of all the tenant's, up, and tell the devices with
    their next request (R43, R46).

    Two transactions that do so for the same store cannot both stand: the later one starts again
    and sees what the earlier one has written. Raises E_NOT_FOUND, and E_CONFLICT for more stores
    than a transaction can reach.
    """
    if store_id is not None:
        return [await _next_catalog(work, tenant_id, store_id)]
    stores = TenantStores(work, tenant_id, None)
    await stores.update_many({"$inc": {"catalog_version": 1}})
    turns = [
        CatalogTurn(store.id, store.catalog_version, store.tz)
        for store in await stores.find(limit=MANY)
    ]
    versions = {turn.store_id: turn.version for turn in turns}
    if len(turns) > AT_ONCE:
        message = f"A change for the whole park reaches at most {AT_ONCE} stores: make it by store."
        raise PlayParkError(ErrorCode.CONFLICT, message, details={"most": AT_ONCE})
    await TenantSessions(work, tenant_id, None).tell_versions(versions)
    return turns


async def _next_catalog(work: Work, tenant_id: str, store_id: str) -> CatalogTurn:
    store = await StoreRepository(work, tenant_id, store_id).change(
        {"$inc": {"catalog_version": 1}}, _id=store_id
    )
    if store is None:
        raise PlayParkError(ErrorCode.NOT_FOUND, "There is no such store.")
    sessions = AuthorityRepository(work, tenant_id, store_id)
    await sessions.update_many({"$set": {"catalog_version": store.catalog_version}})
    return CatalogTurn(store_id, store.catalog_version, store.tz)


async def require_everywhere(work: Work, scope: Scope, permission: Permission) -> None:
    """For what concerns a whole tenant: raises E_PERMISSION unless the caller may do this in every
    active store of it (R40, R44)."""
    scope.require(permission)
    stores = await TenantStores(work, scope.tenant_id, None).find(limit=MANY, active=True)
    others = {store.id for store in stores} - {scope.store_id}
    if not others:
        return
    caller = scope.actor_id or ""
    person = (await standings(work, scope.tenant_id, (caller,))).get(caller)
    if person is None or not all(person.may(store, permission) for store in others):
        message = "This concerns every store of the park: your roles have to allow it in each."
        details = {"reason": "permission", "permission": permission.value, "everywhere": True}
        raise PlayParkError(ErrorCode.PERMISSION, message, details=details)


async def server_short_codes(platform: Platform, tenant_id: str, count: int) -> list[str]:
    """`count` fresh short codes of the server's own (R24).

    Numbers are taken in blocks and outside any transaction: one that is lost harms nobody, a
    counter inside the sale would make every sale of the tenant wait for the other.
    Raises E_CONFLICT where the numbers are used up.
    """
    async with platform.uow.one_at_a_time(f"short-codes:{tenant_id}"):
        spare = platform.spare_codes.setdefault(tenant_id, [])
        if len(spare) < count:
            block = max(count, CODE_BLOCK)
            tenants = TenantRepository(platform.uow.reading(), tenant_id, None)
            tenant = await tenants.reserve_short_codes(block)
            if tenant is None:
                raise PlayParkError(ErrorCode.NOT_FOUND, "There is no such tenant.")
            key = bytes.fromhex(short_codes.open_key(platform.vault, tenant))
            end = tenant.short_codes
            try:
                spare += [server_short_code(key, number) for number in range(end - block, end)]
            except ValueError as used_up:
                raise PlayParkError(ErrorCode.CONFLICT, str(used_up)) from None
        taken, spare[:] = spare[:count], spare[count:]
    return taken
