"""HTTP of approvals and reason codes."""

from typing import Annotated

from fastapi import Query

from api.approvals import service
from api.approvals.repository import ApprovalRepository, Chosen, ReasonCodeRepository
from api.platform.envelope import ok
from api.platform.http import Cursor, Limit, private_router
from api.platform.permissions import needs
from api.platform.services import App, Caller
from playpark.clock import BusinessDate
from playpark.contracts.approvals import (
    ApprovalAction,
    ApprovalGranted,
    ApprovalView,
    Code,
    ReasonCodeIn,
    ReasonCodePatch,
    ReasonCodeView,
    VerifyPinIn,
)
from playpark.contracts.base import Envelope, Page
from playpark.contracts.employees import Permission

private = private_router("approvals")
From = Annotated[
    BusinessDate | None, Query(alias="from", description="first business date of the granting")
]
To = Annotated[
    BusinessDate | None, Query(alias="to", description="last business date of the granting")
]


@private.post("/approvals/verify_pin", dependencies=needs(device=True))
async def verify_pin(platform: App, scope: Caller, body: VerifyPinIn) -> Envelope[ApprovalGranted]:
    """A supervisor approves one action with their PIN, on the device of who asks for it.

    The approver has `approve` and the permission for the action itself, and is another person than
    who is logged in.
    """
    return ok(await service.verify_pin(platform, scope, body))


@private.get("/approvals", dependencies=needs(Permission.APPROVE, Permission.AUDIT_VIEW))
async def list_approvals(
    platform: App,
    scope: Caller,
    *,
    action: ApprovalAction | None = None,
    used: bool | None = None,
    first: From = None,
    last: To = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Envelope[Page[ApprovalView]]:
    """The store's approvals, newest first."""
    approvals = ApprovalRepository.of(platform.uow.reading(), scope)
    chosen = Chosen(action, used, first, last)
    found, more = await approvals.page(limit, cursor, **chosen.conditions(scope.zone))
    return ok(Page(items=[service.view(approval) for approval in found], next_cursor=more))


@private.get("/reason_codes", dependencies=needs())
async def list_reason_codes(
    platform: App, scope: Caller, limit: Limit = 50, cursor: Cursor = None
) -> Envelope[Page[ReasonCodeView]]:
    """The store's reasons, newest first; those that are no longer active too."""
    codes = ReasonCodeRepository.of(platform.uow.reading(), scope)
    found, more = await codes.page(limit, cursor)
    return ok(Page(items=[service.reason_view(code) for code in found], next_cursor=more))


@private.post("/reason_codes", dependencies=needs(Permission.SETTINGS_WRITE))
async def create_reason_code(
    platform: App, scope: Caller, body: ReasonCodeIn
) -> Envelope[ReasonCodeView]:
    """Add a reason; it is in the next version of the catalogue."""
    return ok(await service.create_reason(platform, scope, body))


@private.patch("/reason_codes/{code}", dependencies=needs(Permission.SETTINGS_WRITE))
async def change_reason_code(
    platform: App, scope: Caller, code: Code, body: ReasonCodePatch
) -> Envelope[ReasonCodeView]:
    """Change a reason's words or take it out of use."""
    return ok(await service.change_reason(platform, scope, code, body))
