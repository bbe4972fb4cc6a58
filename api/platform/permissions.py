"""Who may do what: declared once, enforced, and told in OpenAPI (R40, R42, decision 0017).

`dependencies=needs(Permission.X)` on a route is the whole declaration. It is judged before the
body is validated, so who may not act learns nothing about the contract's details. Operations have
two doors, so their `Rights` belong to the kind: `operations.perform` judges them, and
`dependencies=performs(KIND.rights)` tells them.
"""

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from fastapi import Depends
from fastapi.params import Depends as Dependency
from fastapi.routing import APIRoute

from api.platform.scope import Scope
from api.platform.services import App, Caller, Platform
from playpark.contracts.approvals import ApprovalAction
from playpark.contracts.employees import Permission
from playpark.errors import ErrorCode, PlayParkError

FRESH = timedelta(minutes=15)
"""How long a PIN (and code) opens secrets, exports and revocations (R41)."""


@dataclass(frozen=True, slots=True)
class Rights:
    """What it takes: one permission of `any_of` and all of `all_of`; none at all is every token.

    `person`: somebody who is logged in, where a gate or a kiosk could do it by itself. `device`: a
    paired one, where a person without one could do it too (money, tickets, approvals). `fresh`: a
    PIN given within the last 15 minutes. `approvals`: a supervisor's yes to one of these actions
    too, always or in the case that `when` puts into words (R42). `office`: what it takes on an
    ADMIN device instead.
    """

    any_of: tuple[Permission, ...] = ()
    all_of: tuple[Permission, ...] = ()
    person: bool = False
    device: bool = False
    fresh: bool = False
    approvals: tuple[ApprovalAction, ...] = ()
    when: str = ""
    office: "Rights | None" = None

    def on(self, scope: Scope) -> "Rights":
        """What it takes on the device that asks."""
        return self.office if self.office is not None and scope.device.is_office else self

    def require(self, scope: Scope) -> None:
        """Raises E_PERMISSION, and E_UNAUTHENTICATED where a device asks without a person."""
        if self.device:
            scope.require_paired()
        if self.person and scope.actor is None:
            self.require_device(scope)  # what it never does is refused before anybody logs in
        if self.person:
            _ = scope.person
        if self.any_of:
            scope.require_any(self.any_of)
        for permission in self.all_of:
            scope.require(permission)

    def require_device(self, scope: Scope) -> None:
        """Raises E_PERMISSION where the device does not do such things at all (R17)."""
        for permission in (*self.any_of[-1:], *self.all_of):
            scope.require_device(permission)

    def held_by(self, scope: Scope) -> bool:
        """Whether device and person may."""
        any_of = not self.any_of or any(scope.may(each) for each in self.any_of)
        return any_of and all(scope.may(each) for each in self.all_of)

    def sentence(self) -> str:
        """The rights in words, for the description of a route."""
        parts = []
        if names := self._names():
            parts.append(f"an employee with {names}" if self.person else names)
        elif self.person:
            parts.append("an employee")
        elif self.device:
            parts.append("a paired device")
        if self.approvals:
            actions = " or ".join(f"`{action.value}`" for action in self.approvals)
            parts.append(f"an approval {actions}{self.when and ' '}{self.when}")
        if self.fresh:
            parts.append(f"a PIN given within the last {FRESH.seconds // 60} minutes")
        said = f"Needs {', and '.join(parts)}." if parts else "Any token will do."
        if self.office is not None:
            said += f" From an admin's device: {self.office.sentence().lower()}"
        return said

    def schema(self) -> dict[str, Any]:
        """The rights as `x-permissions` of an operation in OpenAPI."""
        found: dict[str, Any] = {
            "any_of": [permission.value for permission in self.any_of],
            "all_of": [permission.value for permission in self.all_of],
            "person": self.person,
            "device": self.device,
            "fresh_pin": self.fresh,
            "approval": [action.value for action in self.approvals],
        }
        if self.office is not None:
            found["on_admin_devices"] = self.office.schema()
        return found

    def _names(self) -> str:
        any_of = " or ".join(f"`{permission.value}`" for permission in self.any_of)
        return " and ".join([*filter(None, [any_of]), *(f"`{each.value}`" for each in self.all_of)])


class Needs:
    """A dependency that judges the rights of a route."""

    def __init__(self, rights: Rights) -> None:
        self.rights = rights

    async def __call__(self, platform: App, scope: Caller) -> None:
        """Raises E_PERMISSION, E_UNAUTHENTICATED."""
        self.rights.require(scope)
        if self.rights.fresh:
            require_fresh(platform, scope)


class Performs:
    """A dependency that only tells which rights `operations.perform` will judge."""

    def __init__(self, rights: Rights) -> None:
        self.rights = rights

    async def __call__(self) -> None:
        """Nothing: an operation is judged after the look-up of its first answer (R42)."""


def needs(
    *any_of: Permission,
    person: bool = False,
    device: bool = False,
    fresh: bool = False,
    approvals: tuple[ApprovalAction, ...] = (),
    when: str = "",
) -> list[Dependency]:
    """For `dependencies=` of a route: one of these permissions, and the rest as in `Rights`.
    `approvals` are told only: the service spends them."""
    who = Rights(any_of, person=person, device=device, fresh=fresh)
    return [Depends(Needs(replace(who, approvals=approvals, when=when)))]


def performs(rights: Rights) -> list[Dependency]:
    """For `dependencies=` of a route through the operation door: the rights of its kind. The door
    opens from devices only (`http.OperationDoor`)."""
    return [Depends(Performs(replace(rights, device=True)))]


def require_fresh(platform: Platform, scope: Scope) -> None:
    """Raises E_PERMISSION with reason `step_up` where the person's PIN was given too long ago."""
    proved_at = scope.actor.proved_at if scope.actor else None
    if proved_at is None or platform.clock.now() - proved_at > FRESH:
        message = "Prove that it is you first: send your PIN to /v1/auth/step_up, then try again."
        raise PlayParkError(ErrorCode.PERMISSION, message, details={"reason": "step_up"})


def declared(route: APIRoute) -> Rights | None:
    """What a route has declared; None for one that has declared nothing."""
    for dependency in route.dependant.dependencies:
        if isinstance(dependency.call, Needs | Performs):
            return dependency.call.rights
    return None
