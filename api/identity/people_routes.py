"""HTTP of employees, their memberships and roles, and of who logged in where."""

from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import StreamingResponse
from fastapi.routing import APIRoute
from pydantic import StringConstraints

from api.identity import access_logs, people, roles
from api.platform.csv import CSV, Listing
from api.platform.envelope import ok
from api.platform.http import Cursor, Limit, private_router
from api.platform.permissions import declared, needs
from api.platform.services import App, Caller
from playpark.clock import BusinessDate
from playpark.contracts.base import Envelope, IdStr, Page
from playpark.contracts.employees import (
    AccessLogRow,
    EmployeeCreated,
    EmployeeDetail,
    EmployeeIn,
    EmployeePatch,
    EmployeeStatus,
    MembershipsIn,
    Permission,
    PermissionMatrix,
    PinReset,
    PinResetIn,
    RoleIn,
    RolePatch,
    RoleView,
)

private = private_router("employees")
MANAGE = needs(Permission.EMPLOYEE_MANAGE)
DECIDE = needs(Permission.EMPLOYEE_MANAGE, fresh=True)
"""A login that somebody left open must not give out PINs and roles."""
NameBegins = Annotated[
    str | None,
    StringConstraints(max_length=80, pattern=r"^[^\x00-\x1f\x7f]*$"),
    Query(description="beginning of the name, in any case"),
]
StoreFilter = Annotated[
    IdStr | None, Query(description="only those who work in this store of the caller's (R44)")
]
COLUMNS = (
    "at",
    "event",
    "subject",
    "employee_id",
    "employee_name",
    "device_id",
    "device_name",
    "store_id",
    "ip",
    "fingerprint",
)


@private.get("/employees", dependencies=MANAGE)
async def list_employees(
    platform: App,
    scope: Caller,
    *,
    q: NameBegins = None,
    status: EmployeeStatus | None = None,
    store_id: StoreFilter = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Envelope[Page[EmployeeDetail]]:
    """People of the stores where the caller manages employees, and those who have no store yet,
    newest first."""
    chosen = people.Chosen(q, status, store_id)
    return ok(await people.page(platform.uow.reading(), scope, chosen, limit, cursor))


@private.post("/employees", dependencies=DECIDE)
async def add_employee(platform: App, scope: Caller, body: EmployeeIn) -> Envelope[EmployeeCreated]:
    """A new employee. Roles with more than the caller may do in that store cannot be given."""
    return ok(await people.create(platform, scope, body))


@private.get("/employees/{employee_id}", dependencies=MANAGE)
async def read_employee(
    platform: App, scope: Caller, employee_id: IdStr
) -> Envelope[EmployeeDetail]:
    """One employee."""
    return ok(await people.one(platform.uow.reading(), scope, employee_id))


@private.patch("/employees/{employee_id}", dependencies=DECIDE)
async def change_employee(
    platform: App, scope: Caller, employee_id: IdStr, body: EmployeePatch
) -> Envelope[EmployeeDetail]:
    """Change name or e-mail, suspend or take back, on every device at once. The caller must be
    allowed all that the person is allowed."""
    return ok(await people.change_person(platform, scope, employee_id, body))


@private.post("/employees/{employee_id}/reset_pin", dependencies=DECIDE)
async def reset_pin(
    platform: App, scope: Caller, employee_id: IdStr, body: PinResetIn
) -> Envelope[PinReset]:
    """Another PIN: the one that is sent, or one that is shown this once. All logins of the person
    end. The caller must be allowed all that the person is allowed."""
    return ok(await people.reset_pin(platform, scope, employee_id, body.pin))


@private.put("/employees/{employee_id}/memberships", dependencies=DECIDE)
async def put_memberships(
    platform: App, scope: Caller, employee_id: IdStr, body: MembershipsIn
) -> Envelope[EmployeeDetail]:
    """Replace the memberships in the stores where the caller manages employees; those elsewhere
    stay as they are."""
    return ok(await people.put_memberships(platform, scope, employee_id, body.memberships))


@private.get("/roles", dependencies=MANAGE)
async def list_roles(
    platform: App, scope: Caller, limit: Limit = 50, cursor: Cursor = None
) -> Envelope[Page[RoleView]]:
    """The park's roles, newest first."""
    return ok(await roles.page(platform.uow.reading(), scope, limit, cursor))


@private.post("/roles", dependencies=DECIDE)
async def add_role(platform: App, scope: Caller, body: RoleIn) -> Envelope[RoleView]:
    """A new role, for all stores: the caller must be allowed all of it in each of them."""
    return ok(await roles.create(platform, scope, body))


@private.get("/roles/matrix", dependencies=MANAGE)
async def matrix(request: Request, platform: App, scope: Caller) -> Envelope[PermissionMatrix]:
    """Which role has which permission, and which routes ask for it."""
    asked = _routes(request.app.state.routers)
    return ok(await roles.matrix(platform.uow.reading(), scope, asked))


@private.patch("/roles/{role_id}", dependencies=DECIDE)
async def change_role(
    platform: App, scope: Caller, role_id: IdStr, body: RolePatch
) -> Envelope[RoleView]:
    """Change a role for everybody who has it, at once. The caller must be allowed, in every store,
    all that it allowed before and allows then."""
    return ok(await roles.change(platform, scope, role_id, body))


@private.get(
    "/access_logs",
    response_model=Envelope[Page[AccessLogRow]],
    responses=CSV,
    dependencies=needs(Permission.AUDIT_VIEW, Permission.EMPLOYEE_MANAGE),
)
async def list_access_logs(
    platform: App,
    scope: Caller,
    listing: Listing,
    *,
    employee_id: IdStr | None = None,
    device_id: IdStr | None = None,
    first: Annotated[
        BusinessDate | None, Query(alias="from", description="first day, in the store's time")
    ] = None,
    last: Annotated[BusinessDate | None, Query(alias="to", description="last day")] = None,
) -> Envelope[Page[AccessLogRow]] | StreamingResponse:
    """Who logged in or out or failed to, where and from which address, newest first."""
    chosen = access_logs.Chosen(employee_id, device_id, first, last)
    work = platform.uow.reading()
    return await listing.answer(
        lambda limit, after: access_logs.page(work, scope, chosen, limit, after),
        lambda row: row,
        COLUMNS,
    )


def _routes(routers: Sequence[APIRouter]) -> dict[Permission, list[str]]:
    """Method and path of the routes that ask for a permission, as they are declared."""
    found: dict[Permission, list[str]] = {}
    for route in (each for router in routers for each in router.routes):
        if not isinstance(route, APIRoute) or (rights := declared(route)) is None:
            continue
        asked = {*rights.any_of, *rights.all_of}
        if rights.office is not None:
            asked |= {*rights.office.any_of, *rights.office.all_of}
        doors = [f"{method} /v1{route.path}" for method in sorted(route.methods or ())]
        for permission in asked:
            found.setdefault(permission, []).extend(doors)
    return found
