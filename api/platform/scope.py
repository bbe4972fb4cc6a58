"""Who acts, where, and what they may do: built once a request, passed to every repository (R40,
R43, R44)."""

from dataclasses import dataclass, field, replace
from zoneinfo import ZoneInfo

from playpark.clock import park_zone
from playpark.contracts.employees import Permission
from playpark.contracts.tenancy import DeviceCaps, DeviceType
from playpark.errors import ErrorCode, PlayParkError


@dataclass(frozen=True, slots=True)
class Actor:
    """An employee who acts, with the permissions of their roles in this store."""

    employee_id: str
    name: str
    roles: tuple[str, ...] = ()
    permissions: frozenset[Permission] = frozenset()


@dataclass(frozen=True, slots=True)
class Device:
    device_id: str
    code: str
    number: int
    type: DeviceType
    name: str
    caps: DeviceCaps


@dataclass(frozen=True, slots=True)
class Scope:
    """The tenant and store that every query is confined to, and who is asking.

    `colleagues` are the employees logged in on this device: the actors of synced operations;
    `sessions` the ids of their logins.
    """

    tenant_id: str
    store_id: str
    device: Device
    actor: Actor | None
    catalog_version: int
    tz: str
    colleagues: dict[str, Actor] = field(default_factory=dict, repr=False)
    sessions: dict[str, str] = field(default_factory=dict, repr=False)

    @property
    def zone(self) -> ZoneInfo:
        return park_zone(self.tz)

    @property
    def actor_id(self) -> str | None:
        return self.actor.employee_id if self.actor else None

    @property
    def actor_name(self) -> str | None:
        return self.actor.name if self.actor else None

    def acting_as(self, actor: Actor | None) -> "Scope":
        return replace(self, actor=actor)

    def may(self, permission: Permission) -> bool:
        """GATE redeems and KIOSK sells by the device alone; all else needs an employee (R40)."""
        if not self._device_can(permission):
            return False
        by_itself = {
            DeviceType.GATE: {Permission.REDEEM},
            DeviceType.KIOSK: {Permission.SELL},
        }.get(self.device.type, set())
        if permission in by_itself:
            return True
        return self.actor is not None and permission in self.actor.permissions

    def require_device(self, permission: Permission) -> None:
        """Raises E_PERMISSION where this device does not do such things at all: even what is
        committed is then of foreign origin (R17, R40)."""
        if not self._device_can(permission):
            message = "This device is not allowed to do that: a supervisor can change its caps."
            raise PlayParkError(ErrorCode.PERMISSION, message, details={"reason": "capability"})

    def require(self, permission: Permission) -> None:
        """Raises E_PERMISSION where the device or the employee may not."""
        self.require_device(permission)
        if not self.may(permission):
            message = "Your roles do not allow that: ask a supervisor."
            raise PlayParkError(
                ErrorCode.PERMISSION,
                message,
                details={"reason": "permission", "permission": permission.value},
            )

    def _device_can(self, permission: Permission) -> bool:
        if permission in {Permission.SELL, Permission.SHIFT_OPEN, Permission.SHIFT_CLOSE}:
            return self.device.caps.can_sell
        if permission is Permission.REDEEM:
            return self.device.caps.can_redeem
        return True
