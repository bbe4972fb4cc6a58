"""PIN login: on the device whose token is sent, or without any device (R40, R41)."""

from dataclasses import dataclass, replace

from api.identity import proving, sessions, tries
from api.identity.budgets import NOBODY
from api.identity.models import Store, Tenant
from api.identity.proving import Candidate, Told
from api.identity.repository import (
    StoreRepository,
    TenantRepository,
    TenantSessions,
    TenantStores,
)
from api.identity.standing import Standing
from api.platform.authority import DeviceAuthority
from api.platform.jwt import unauthenticated
from api.platform.scope import Actor, Device, Scope, server_scope
from api.platform.services import Platform
from api.platform.uow import Work
from playpark.contracts.employees import EmployeeLoginIn, EmployeeSession
from playpark.contracts.tenancy import DeviceCaps, DeviceStatus, DeviceType
from playpark.errors import ErrorCode, PlayParkError

FAILED = "employee.login_failed"
CODE, NAME = "WEB", "Without a device"
_MANY = 10_000
_DOOR = Device(
    device_id="web",
    code=CODE,
    number=0,
    type=DeviceType.ADMIN,
    name=NAME,
    caps=DeviceCaps(),
    paired=False,
)
"""Where logins without a device fail: nobody is known there yet."""


async def on_device(platform: Platform, scope: Scope, body: EmployeeLoginIn) -> EmployeeSession:
    """Log an employee in on the caller's device.

    Raises what `proving.prove` raises, and E_VALIDATION where `tenant` is another than the
    device's.
    """
    if body.tenant not in {None, scope.tenant_id}:
        message = "This device belongs to another tenant: leave the tenant out."
        raise PlayParkError(ErrorCode.VALIDATION, message)
    at_home = replace(scope.acting_as(None), store_id=scope.home_store_id)
    told = Told(body.employee_id, body.email, body.pin, body.totp)
    proof = await proving.prove(platform, at_home, told, failure=FAILED)
    return await sessions.open_session(platform, at_home, proof)


async def without_device(platform: Platform, body: EmployeeLoginIn) -> EmployeeSession:
    """Log an employee in for admin routes, by tenant, e-mail and PIN.

    An unknown tenant looks and takes like a wrong PIN. Raises what `proving.judge` raises, and
    E_TENANT_SUSPENDED after the right PIN.
    """
    if body.tenant is None or body.email is None:
        raise unauthenticated()
    told = Told(None, body.email, body.pin, body.totp)
    work = platform.uow.reading()
    place = await _place(work, body.tenant, told)
    candidate = Candidate(
        employee=place.person.employee if place.person else None,
        actor=place.actor,
        tries=tries.without_device(body.tenant, body.email),
        asker=place.door,
        failure=FAILED,
    )
    proof = await proving.judge(platform, work, candidate, told)
    tenant, store = place.tenant, place.store
    if tenant is None or store is None:
        raise unauthenticated()  # nobody proves anything without both
    authority = place.session or _authority(tenant, store, proof.employee.id)
    await _check_open(platform, authority)

    async def prepare(work: Work) -> None:
        await _prepare(work, authority)

    return await sessions.open_session(platform, authority.scope(None), proof, also=prepare)


async def _check_open(platform: Platform, authority: DeviceAuthority) -> None:
    """Raises E_TENANT_SUSPENDED, and notes it (R43)."""
    try:
        authority.check_device()
    except PlayParkError as refusal:
        asking, route = authority.scope(None), "POST /v1/employees/login"
        await platform.note_refusal(platform.uow, asking, refusal.code, route)
        raise


@dataclass(frozen=True, slots=True)
class _Place:
    """Who may be meant and where their login would stand: in the store of the last one, else in
    the first where they work."""

    tenant: Tenant | None
    person: Standing | None
    store: Store | None
    session: DeviceAuthority | None
    door: Scope

    @property
    def actor(self) -> Actor | None:
        """The person as who acts in that store; None for nobody, and for who works nowhere."""
        if self.person is None or self.store is None:
            return None
        return self.person.actor(self.store.id, _DOOR.type)


async def _place(work: Work, tenant_id: str, told: Told) -> _Place:
    """The same reads, whoever exists."""
    tenant = await TenantRepository(work, tenant_id, None).find_one(_id=tenant_id)
    stores = await TenantStores(work, tenant_id, None).find(limit=_MANY, active=True)
    person = await proving.find(work, tenant_id, told)
    session_id = _session_id(person.employee.id if person else "")
    session = await TenantSessions(work, tenant_id, None).find_one(_id=session_id)
    theirs = [store for store in stores if person and store.id in person.stores]
    before = [store for store in theirs if session and store.id == session.store_id]
    store = next(iter(before or theirs), None)
    door = _door(tenant_id, store or next(iter(stores), None))
    return _Place(tenant, person, store, session if before else None, door)


def _door(tenant_id: str, store: Store | None) -> Scope:
    """In whose audit chain a failure stands: the person's store, else the tenant's first; nobody's
    where there is no such tenant."""
    area = (tenant_id, store.id, store.tz) if store else (NOBODY, NOBODY, "UTC")
    return replace(server_scope(*area), device=_DOOR)


def _session_id(employee_id: str) -> str:
    return f"web-{employee_id}"


def _authority(tenant: Tenant, store: Store, employee_id: str) -> DeviceAuthority:
    """The document that the person's requests will read: an ADMIN device that is not there."""
    return DeviceAuthority(
        id=_session_id(employee_id),
        tenant_id=tenant.id,
        store_id=store.id,
        tenant_status=tenant.status,
        tz=store.tz or tenant.tz,
        device_type=_DOOR.type,
        device_code=_DOOR.code,
        device_number=_DOOR.number,
        device_name=_DOOR.name,
        device_status=DeviceStatus.ACTIVE,
        paired=False,
        features=tenant.features | store.features,
        catalog_version=store.catalog_version,
        key_version=tenant.key_version,
    )


async def _prepare(work: Work, authority: DeviceAuthority) -> None:
    """Put the document where it is missing, or stands in a store that the person has left.

    Tenant and store are written then, not only read: a suspension or a new catalogue that happens
    meanwhile comes before this or after it, and never past it.
    """
    area = (authority.tenant_id, authority.store_id)
    documents = TenantSessions(work, authority.tenant_id, None)
    found = await documents.find_one(_id=authority.id)
    if found is not None and found.store_id == authority.store_id:
        return
    tenant = await TenantRepository(work, *area).hold(_id=authority.tenant_id)
    store = await StoreRepository(work, *area).hold(_id=authority.store_id)
    if tenant is None or store is None:
        raise unauthenticated()
    fresh = _authority(tenant, store, authority.id.removeprefix(_session_id("")))
    if found is None:
        await documents.insert(fresh)
    else:
        body = fresh.model_dump(exclude={"id", "tenant_id", "created_at", "updated_at"})
        await documents.update_one({"$set": body}, _id=fresh.id)
