"""HTTP of pairing, logins, refreshed tokens, and proving again who one is (R40, R41, R43)."""

from api.identity import devices, employees, enrolment, login, sessions, stepping_up, totp
from api.platform.envelope import ok
from api.platform.http import either_router, private_router, public_router
from api.platform.permissions import needs
from api.platform.services import App, Caller, CallerIfAny
from playpark.contracts.auth import (
    DeviceLoginIn,
    DeviceRegistered,
    DeviceRegisterIn,
    DeviceSession,
    LoggedOut,
    RefreshIn,
    SteppedUp,
    StepUpIn,
    TotpConfirmIn,
    TotpEnrolment,
    TotpState,
)
from playpark.contracts.base import Envelope, IdStr
from playpark.contracts.employees import (
    EmployeeLoginIn,
    EmployeeSession,
    EmployeeView,
    Permission,
)

public = public_router("auth")
either = either_router("people")
private = private_router("people")


@public.post("/auth/device/register")
async def register_device(platform: App, body: DeviceRegisterIn) -> Envelope[DeviceRegistered]:
    """Pair a device with a site key. The token is shown this once."""
    return ok(await enrolment.enrol(platform, body))


@public.post("/auth/device/login")
async def login_device(platform: App, body: DeviceLoginIn) -> Envelope[DeviceSession]:
    """A short-lived access token for a paired device."""
    return ok(await devices.login(platform, body))


@public.post("/auth/refresh")
async def refresh(platform: App, body: RefreshIn) -> Envelope[EmployeeSession]:
    """A new pair of tokens; the refresh token that was sent is dead afterwards."""
    return ok(await sessions.refresh(platform, body.refresh_token))


@private.post("/auth/logout", dependencies=needs())
async def logout(platform: App, scope: Caller) -> Envelope[LoggedOut]:
    """End the employee's session on this device."""
    await sessions.logout(platform, scope)
    return ok(LoggedOut(logged_out=True))


@private.post("/auth/step_up", dependencies=needs(person=True))
async def step_up(platform: App, scope: Caller, body: StepUpIn) -> Envelope[SteppedUp]:
    """Prove again who is logged in: opens secrets, exports and revocations for a while."""
    return ok(await stepping_up.step_up(platform, scope, body))


@either.post("/employees/login")
async def login_employee(
    platform: App, scope: CallerIfAny, body: EmployeeLoginIn
) -> Envelope[EmployeeSession]:
    """PIN login on the device whose token is sent. Without a token: tenant, email and PIN, for
    admin routes only. Who has an authenticator app sends its code too: where it is missing, the
    401 says `{"totp": "required"}`."""
    if scope is None:
        return ok(await login.without_device(platform, body))
    return ok(await login.on_device(platform, scope, body))


@private.get("/employees/me", dependencies=needs(person=True))
async def me(scope: Caller) -> Envelope[EmployeeView]:
    """Who is logged in, and what they may do in this store."""
    return ok(employees.view(scope.person))


@private.post("/employees/me/totp", dependencies=needs(person=True, fresh=True))
async def enrol_totp(platform: App, scope: Caller) -> Envelope[TotpEnrolment]:
    """A new secret for an authenticator app, shown this once. It counts once it is confirmed."""
    return ok(await totp.enrol(platform, scope))


@private.post("/employees/me/totp/confirm", dependencies=needs(person=True, fresh=True))
async def confirm_totp(platform: App, scope: Caller, body: TotpConfirmIn) -> Envelope[TotpState]:
    """The app's first code: from now on logins and step-ups need one, each works once."""
    return ok(await stepping_up.confirm(platform, scope, body.code))


@private.delete("/employees/me/totp", dependencies=needs(person=True, fresh=True))
async def remove_totp(platform: App, scope: Caller) -> Envelope[TotpState]:
    """Take one's own authenticator app away: the PIN is enough again."""
    return ok(await stepping_up.remove(platform, scope))


@private.post(
    "/employees/{employee_id}/reset_totp",
    dependencies=needs(Permission.EMPLOYEE_MANAGE, person=True, fresh=True),
)
async def reset_totp(platform: App, scope: Caller, employee_id: IdStr) -> Envelope[TotpState]:
    """Take the authenticator app away from somebody who has lost it; their PIN stays."""
    return ok(await stepping_up.reset(platform, scope, employee_id))
