"""`sessions/{device}`: the one primary read of a request, and the scope it grants (R43).

Suspension, rotation, role and PIN changes write this document in their own transaction, so
they bite on the next request. Issued permissions are never trusted, only this document is.
"""

from typing import Any

from api.platform.documents import UNSTAMPED, Field, Model, ODMConfigDict, StoredTime
from api.platform.jwt import Claims, unauthenticated
from api.platform.scope import Actor, Device, Scope
from api.platform.uow import Work
from playpark.contracts.employees import Permission
from playpark.contracts.tenancy import DeviceCaps, DeviceStatus, DeviceType
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


class DeviceAuthority(Model):
    """Everything that a request of this device may rely on.

    `employees`: {employee_id: {status, ver, sid, name, roles, permissions, refresh_jti}}, those
    who are logged in here. `id` is the device's.
    """

    model_config = ODMConfigDict(collection="sessions")

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
    caps: dict[str, bool] = {}
    catalog_version: int = 0
    employees: dict[str, dict[str, Any]] = {}

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
            ),
            actor=people.get(employee_id) if employee_id else None,
            catalog_version=self.catalog_version,
            tz=self.tz,
            colleagues=people,
            sessions={key: entry["sid"] for key, entry in self.employees.items()},
        )

    def check_device(self) -> None:
        """Raises the refusal of a tenant or device that may not act."""
        if self.tenant_status != "active":
            message = "This park's account is suspended: ask the operator."
            raise PlayParkError(ErrorCode.TENANT_SUSPENDED, message)
        if refusal := _DEVICE_REFUSALS.get(self.device_status):
            raise PlayParkError(*refusal)


def _actor(employee_id: str, entry: dict[str, Any]) -> Actor:
    return Actor(
        employee_id=employee_id,
        name=entry["name"],
        roles=tuple(entry["roles"]),
        permissions=frozenset(Permission(name) for name in entry["permissions"]),
    )


async def read_scope(work: Work, claims: Claims) -> Scope:
    """The scope that `claims` name, as of now.

    Raises E_UNAUTHENTICATED, E_TOKEN_EXPIRED (another version) and the 403s of R43.
    """
    found = await work.collection(DeviceAuthority.__collection__).find_one(
        {"_id": claims.device_id, "tenant_id": claims.tenant_id, "store_id": claims.store_id}
    )
    if found is None:
        raise unauthenticated()
    authority = DeviceAuthority.model_validate_doc(found)
    authority.check_device()
    entry = authority.employees.get(claims.employee_id or "")
    if entry is not None and entry["status"] != "active":
        message = "This employee is suspended: ask a supervisor."
        raise PlayParkError(ErrorCode.EMPLOYEE_SUSPENDED, message)
    if authority.version_for(claims.employee_id) != claims.ver:
        raise PlayParkError(ErrorCode.TOKEN_EXPIRED, "The login has run out: log in again.")
    return authority.scope(claims.employee_id)
