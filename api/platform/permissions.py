"""Which permission a route needs: declared once, enforced, and told in OpenAPI (R40).

`dependencies=needs(Permission.X)` on a route is the whole declaration. It is judged before the
body is validated, so who may not act learns nothing about the contract's details.
"""

from datetime import timedelta

from fastapi import Depends
from fastapi.params import Depends as Dependency
from fastapi.routing import APIRoute

from api.platform.scope import Scope
from api.platform.services import App, Caller, Platform
from playpark.contracts.employees import Permission
from playpark.errors import ErrorCode, PlayParkError

FRESH = timedelta(minutes=15)
"""How long a PIN (and code) opens secrets, exports and revocations (R41)."""


class Needs:
    """A dependency that lets through who has one of the permissions; without any, every token."""

    def __init__(self, any_of: tuple[Permission, ...], *, fresh: bool) -> None:
        self.any_of = any_of
        self.fresh = fresh

    async def __call__(self, platform: App, scope: Caller) -> None:
        """Raises E_PERMISSION."""
        if self.any_of:
            scope.require_any(self.any_of)
        if self.fresh:
            require_fresh(platform, scope)


def needs(*any_of: Permission, fresh: bool = False) -> list[Dependency]:
    """For `dependencies=` of a route: one of these permissions, and with `fresh` a PIN that was
    given within the last 15 minutes."""
    return [Depends(Needs(any_of, fresh=fresh))]


def require_fresh(platform: Platform, scope: Scope) -> None:
    """Raises E_PERMISSION with reason `step_up` where the person's PIN was given too long ago."""
    proved_at = scope.actor.proved_at if scope.actor else None
    if proved_at is None or platform.clock.now() - proved_at > FRESH:
        message = "Prove that it is you first: send your PIN to /v1/auth/step_up, then try again."
        raise PlayParkError(ErrorCode.PERMISSION, message, details={"reason": "step_up"})


def declared(route: APIRoute) -> Needs | None:
    """What a route has declared; None for one that has declared nothing."""
    for dependency in route.dependant.dependencies:
        if isinstance(dependency.call, Needs):
            return dependency.call
    return None
