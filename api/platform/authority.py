"""`sessions/{device}`: the one primary read of a request, and the scope it grants (R43).

Suspension, rotation, role and PIN changes write this document in their own transaction, so
they bite on the next request. Issued permissions are never trusted, only this document is.
"""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from api.platform.documents import UNSTAMPED, Field, Model, ODMConfigDict, StoredTime, ascending
from api.platform.jwt import LIFETIME, Claims, TokenType, unauthenticated
from api.platform.scope import Actor, Device, Scope
from api.platform.uow import Work
from playpark.contracts.employees import Permission
from playpark.contracts.tenancy import DeviceCaps, DeviceStatus, DeviceType, Feature
from playpark.errors import ErrorCode, PlayParkError

_DEVICE_REFUSALS = {
    DeviceStatus.PENDING: (
        ErrorCode.DEVICE_PENDING,
        "This device waits for approval: a supervisor approves it in the back office.",
    ),
    DeviceStatus.SUSPENDED: (
        ErrorCode.DEVICE_SUSPENDED,
        "This device is suspended: ask a supervisor to resume it.",
    ),
    DeviceStatus.REVOKED: (
        ErrorCode.DEVICE_REVOKED,
        "This device was revoked: pair it again with a site key.",
    ),
}


REVIEW_LASTS = timedelta(days=30)
"""How long after its revocation a device may hand in what it still holds."""


class DeviceAuthority(Model):
    """Everything that a request of this device may rely on.

    `employees`: {employee_id: {status, ver, sid, name, roles, permissions, since, refresh_jti,
    refreshed_at, proved_at, stores}}, those who are logged in here; `stores` is {store_id: {roles,
    permissions}} on ADMIN devices. `features` holds what is switched off or on, by name; what is
    missing is on. `qa` has the simulator's switches. `id` is the device's; a login without a device
    has one of its own, which is not `paired`.
    """

    model_config = ODMConfigDict(
        collection="sessions", indexes=lambda: [ascending("tenant_id", "store_id")]
    )

    id: str = Field(primary_field=True)
    tenant_id: str
    store_id: str
    created_at: StoredTime = UNSTAMPED
    updated_at: StoredTime = UNSTAMPED
    tenant_status: str = "active"
    tz: str
    device_type: DeviceType
    device_code: str
    device_number: int
    device_name: str
    device_status: DeviceStatus
    device_ver: int = 1
    revoked_at: StoredTime | None = None
    paired: bool = True
    caps: dict[str, Any] = {}
    features: dict[str, bool] = {}
    catalog_version: int = 0
    key_version: int = 0
    qa: dict[str, Any] = {}
    employees: dict[str, dict[str, Any]] = {}

    def lapsed(self, now: datetime) -> list[str]:
        """Whose logins nobody has kept alive: their refresh tokens have run out."""
        last = now - LIFETIME[TokenType.REFRESH]
        return [key for key, entry in self.employees.items() if entry["refreshed_at"] < last]

    def version_for(self, employee_id: str | None) -> str | None:
        """The version that a live token carries, None where the employee is not logged in."""
        if employee_id is None:
            return str(self.device_ver)
        entry = self.employees.get(employee_id)
        return None if entry is None else f"{self.device_ver}.{entry['ver']}.{entry['sid']}"

    def scope(self, employee_id: str | None) -> Scope:
        """The scope of a request by this device and, if given, this employee."""
        here = {key: e for key, e in self.employees.items() if e["status"] == "active"}
        people = {key: _actor(key, entry) for key, entry in here.items()}
        return Scope(
            tenant_id=self.tenant_id,
            store_id=self.store_id,
            device=Device(
                device_id=self.id,
                code=self.device_code,
                number=self.device_number,
                type=self.device_type,
                name=self.device_name,
                caps=DeviceCaps.model_validate(self.caps),
                paired=self.paired,
                ver=self.device_ver,
                qa=self.qa,
            ),
            actor=people.get(employee_id) if employee_id else None,
            catalog_version=self.catalog_version,
            tz=self.tz,
            home_store_id=self.store_id,
            features=frozenset(each for each in Feature if self.features.get(each.value, True)),
            key_version=self.key_version,
            colleagues=people,
            sessions={key: entry["sid"] for key, entry in self.employees.items()},
        )

    def asking(self, employee_id: str | None) -> Scope:
        """Who asks, even if they may not: somebody who is suspended may do nothing."""
        scope, entry = self.scope(employee_id), self.employees.get(employee_id or "")
        if scope.actor is not None or entry is None:
            return scope
        return scope.acting_as(Actor(employee_id=str(employee_id), name=entry["name"]))

    def check(self, employee_id: str | None) -> None:
        """Raises the refusal of a tenant, device or employee that may not act."""
        self.check_device()
        entry = self.employees.get(employee_id or "")
        if entry is not None and entry["status"] != "active":
            message = "This employee is suspended: ask a supervisor."
            raise PlayParkError(ErrorCode.EMPLOYEE_SUSPENDED, message)

    def check_device(self) -> None:
        """Raises the refusal of a tenant or device that may not act."""
        self.check_tenant()
        if refusal := _DEVICE_REFUSALS.get(self.device_status):
            raise PlayParkError(*refusal)

    def check_tenant(self) -> None:
        """Raises the refusal of a suspended tenant."""
        if self.tenant_status != "active":
            message = "This park's account is suspended: ask the operator."
            raise PlayParkError(ErrorCode.TENANT_SUSPENDED, message)

    def may_be_reviewed(self, now: datetime) -> bool:
        """Whether it was revoked so lately that what it still holds is taken for a review (R38)."""
        if self.device_status is not DeviceStatus.REVOKED or self.revoked_at is None:
            return False
        return now < self.revoked_at + REVIEW_LASTS


def _actor(employee_id: str, entry: dict[str, Any]) -> Actor:
    stores = entry.get("stores", {})
    return Actor(
        employee_id=employee_id,
        name=entry["name"],
        roles=tuple(entry["roles"]),
        permissions=_permissions(entry),
        proved_at=entry.get("proved_at"),
        since=entry.get("since"),
        stores={store_id: _permissions(there) for store_id, there in stores.items()},
    )


def _permissions(entry: dict[str, Any]) -> frozenset[Permission]:
    return frozenset(Permission(name) for name in entry["permissions"])


class SubjectRefusedError(PlayParkError):
    """A suspended tenant, device or person asks: `scope` says who, for the audit trail (R43)."""

    def __init__(self, refusal: PlayParkError, scope: Scope) -> None:
        super().__init__(refusal.code, refusal.message)
        self.scope = scope


async def read_scope(
    work: Work, claims: Claims, store_id: str | None = None, *, review: bool = False
) -> Scope:
    """The scope that `claims` name, as of now; with `store_id` in that store (R44). `review`: what
    a revoked device brings is taken here (R38).

    Raises E_UNAUTHENTICATED, E_TOKEN_EXPIRED (another version), the 403s of R43, and E_NOT_FOUND
    for a store that is not the caller's.
    """
    found = await work.collection(DeviceAuthority.__collection__).find_one(
        {"_id": claims.device_id, "tenant_id": claims.tenant_id, "store_id": claims.store_id}
    )
    if found is None:
        raise unauthenticated()
    authority = DeviceAuthority.model_validate_doc(found)
    for each in authority.lapsed(work.now):
        del authority.employees[each]
    reviewed = review and claims.only_review and authority.may_be_reviewed(work.now)
    try:
        authority.check_tenant() if reviewed else authority.check(claims.employee_id)
    except PlayParkError as refusal:
        raise SubjectRefusedError(refusal, authority.asking(claims.employee_id)) from None
    if authority.version_for(claims.employee_id) != claims.ver:
        raise PlayParkError(ErrorCode.TOKEN_EXPIRED, "The login has run out: log in again.")
    scope = replace(authority.scope(claims.employee_id), only_review=reviewed)
    if store_id is None or store_id == scope.store_id:
        return scope
    entry = authority.employees.get(claims.employee_id or "", {})
    return await _elsewhere(work, scope, entry, store_id)


async def _elsewhere(work: Work, scope: Scope, entry: dict[str, Any], store_id: str) -> Scope:
    """Another store of a person on an ADMIN device. The second read is theirs alone."""
    there = entry.get("stores", {}).get(store_id)
    query = {"_id": store_id, "tenant_id": scope.tenant_id, "store_id": store_id, "active": True}
    store = await work.collection("stores").find_one(query) if there else None
    if scope.actor is None or there is None or store is None:
        raise PlayParkError(ErrorCode.NOT_FOUND, "There is no such store.")
    actor = replace(scope.actor, roles=tuple(there["roles"]), permissions=_permissions(there))
    return scope.in_store(store_id, actor, store["catalog_version"], store["tz"])
