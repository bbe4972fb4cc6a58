"""Who acts, where, and what they may do: built once a request, passed to every repository (R40,
R43, R44)."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from api.platform.jwt import unauthenticated
from playpark.clock import park_zone
from playpark.contracts.employees import Permission
from playpark.contracts.tenancy import DeviceCaps, DeviceType, Feature
from playpark.errors import ErrorCode, PlayParkError


@dataclass(frozen=True, slots=True)
class Actor:
    """An employee who acts, with the permissions of their roles in this store.

    `proved_at`: when they last gave their PIN (and code) on this device. `since`: from when on they
    have had these permissions in the device's store, where that is known (R35). `stores`: the
    permissions in every store of theirs, known for logins on ADMIN devices only.
    """

    employee_id: str
    name: str
    roles: tuple[str, ...] = ()
    permissions: frozenset[Permission] = frozenset()
    proved_at: datetime | None = None
    since: datetime | None = None
    stores: Mapping[str, frozenset[Permission]] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class Device:
    device_id: str
    code: str
    number: int
    type: DeviceType
    name: str
    caps: DeviceCaps
    paired: bool = True
    """False for a person who logged in without a device: admin routes only (R41)."""
    ver: int = 1
    """Counts the tokens that the device has had: what began with an earlier one is not finished."""
    qa: Mapping[str, Any] = field(default_factory=dict)
    """The simulator's switches that are on; never minded in production."""

    @property
    def is_office(self) -> bool:
        """An ADMIN device that sells nothing itself: it looks after the tills of others."""
        return self.type is DeviceType.ADMIN and not self.caps.can_sell


@dataclass(frozen=True, slots=True)
class Scope:
    """The tenant and store that every query is confined to, and who is asking.

    `colleagues` are the employees logged in on this device: the actors of synced operations;
    `sessions` the ids of their logins. `home_store_id` is the device's own store: people on ADMIN
    devices may act in another one of theirs (R44). `key_version` counts the rotations of the
    tenant's ticket keys.
    """

    tenant_id: str
    store_id: str
    device: Device
    actor: Actor | None
    catalog_version: int
    tz: str
    home_store_id: str
    features: frozenset[Feature] = frozenset(Feature)
    key_version: int = 0
    colleagues: dict[str, Actor] = field(default_factory=dict, repr=False)
    sessions: dict[str, str] = field(default_factory=dict, repr=False)
    only_review: bool = False
    """A revoked device: what it brings is kept for a review, and it may do nothing else (R38)."""

    @property
    def zone(self) -> ZoneInfo:
        return park_zone(self.tz)

    @property
    def actor_id(self) -> str | None:
        return self.actor.employee_id if self.actor else None

    @property
    def actor_name(self) -> str | None:
        return self.actor.name if self.actor else None

    @property
    def person(self) -> Actor:
        """Who is logged in. Raises E_UNAUTHENTICATED where a device asks by itself."""
        if self.actor is None:
            raise unauthenticated()
        return self.actor

    @property
    def own_only(self) -> dict[str, Any]:
        """A condition on sales and tickets: a kiosk by itself sees what it sold, for its guest has
        nothing to do with what others bought (R44)."""
        alone = self.actor is None and self.device.type is DeviceType.KIOSK
        return {"device_id": self.device.device_id} if alone else {}

    @property
    def switched_off(self) -> bool:
        """Whether such devices are switched off here. What one has sold already is booked all the
        same: the money is in it (R17, R40)."""
        return self.device.type is DeviceType.KIOSK and Feature.KIOSK not in self.features

    def require_paired(self) -> None:
        """Raises E_PERMISSION for a person who logged in without a device: money, tickets and
        approvals belong to a counter (R41)."""
        if not self.device.paired:
            message = "This takes a device: log in on a paired till, gate or office device."
            raise PlayParkError(ErrorCode.PERMISSION, message, details={"reason": "capability"})

    def acting_as(self, actor: Actor | None) -> "Scope":
        return replace(self, actor=actor)

    def in_store(self, store_id: str, actor: Actor, catalog_version: int, tz: str) -> "Scope":
        """The same device and person in another store of theirs (R44)."""
        return replace(
            self,
            store_id=store_id,
            actor=actor,
            catalog_version=catalog_version,
            tz=tz,
            colleagues={actor.employee_id: actor},
        )

    def may(self, permission: Permission) -> bool:
        """GATE redeems and KIOSK sells by the device alone; all else needs an employee (R40)."""
        if self.switched_off or not self._device_can(permission):
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
        self.require_any((permission,))

    def require_any(self, permissions: Collection[Permission]) -> None:
        """Raises E_PERMISSION where none of them is allowed; names the last."""
        if not any(self.may(each) for each in permissions):
            named = list(permissions)[-1]
            if self.switched_off:
                message = "Kiosks are switched off here: a supervisor can switch them on."
                raise PlayParkError(ErrorCode.PERMISSION, message, details={"reason": "capability"})
            self.require_device(named)
            message = "Your roles do not allow that: ask a supervisor."
            raise PlayParkError(
                ErrorCode.PERMISSION,
                message,
                details={"reason": "permission", "permission": named.value},
            )

    def _device_can(self, permission: Permission) -> bool:
        if permission in {Permission.SELL, Permission.SHIFT_OPEN, Permission.SHIFT_CLOSE}:
            return self.device.caps.can_sell
        if permission is Permission.REDEEM:
            return self.device.caps.can_redeem
        return True


SERVER = Device(
    device_id="server", code="", number=0, type=DeviceType.ADMIN, name="Server", caps=DeviceCaps()
)
"""Who writes where no device asks: its audit rows are a chain of the store's own (R45)."""


def server_scope(tenant_id: str, store_id: str, tz: str) -> Scope:
    """The scope of the server's own jobs and commands in a store."""
    return Scope(
        tenant_id=tenant_id,
        store_id=store_id,
        device=SERVER,
        actor=None,
        catalog_version=0,
        tz=tz,
        home_store_id=store_id,
    )
