"""HTTP of approvals and reason codes."""

from api.approvals import service
from api.approvals.repository import ApprovalRepository, ReasonCodeRepository
from api.platform.envelope import ok
from api.platform.http import Cursor, Limit, private_router
from api.platform.services import App, Caller
from playpark.contracts.approvals import (
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


@private.post("/approvals/verify_pin")
async def verify_pin(platform: App, scope: Caller, body: VerifyPinIn) -> Envelope[ApprovalGranted]:
    """A supervisor approves one action with their PIN, on the device of who asks for it.

    Needs a device's or an employee's token. The approver needs `approve` and the permission for
    the action itself, and is another person than who is logged in.
    """
    return ok(await service.verify_pin(platform, scope, body))


@private.get("/approvals")
async def list_approvals(
    platform: App, scope: Caller, limit: Limit = 50, cursor: Cursor = None
) -> Envelope[Page[ApprovalView]]:
    """The store's approvals, newest first. Needs `audit_view` or `approve`."""
    if not scope.may(Permission.APPROVE):
        scope.require(Permission.AUDIT_VIEW)
    approvals = ApprovalRepository.of(platform.uow.reading(), scope)
    found, more = await approvals.page(limit, cursor)
    return ok(Page(items=[service.view(approval) for approval in found], next_cursor=more))


@private.get("/reason_codes")
async def list_reason_codes(
    platform: App, scope: Caller, limit: Limit = 50, cursor: Cursor = None
) -> Envelope[Page[ReasonCodeView]]:
    """The store's reasons, newest first; those that are no longer active too."""
    codes = ReasonCodeRepository.of(platform.uow.reading(), scope)
    found, more = await codes.page(limit, cursor)
    return ok(Page(items=[service.reason_view(code) for code in found], next_cursor=more))


@private.post("/reason_codes")
async def create_reason_code(
    platform: App, scope: Caller, body: ReasonCodeIn
) -> Envelope[ReasonCodeView]:
    """Add a reason; it is in the next version of the catalogue. Needs `settings_write`."""
    scope.require(Permission.SETTINGS_WRITE)
    return ok(await service.create_reason(platform, scope, body))


@private.patch("/reason_codes/{code}")
async def change_reason_code(
    platform: App, scope: Caller, code: Code, body: ReasonCodePatch
) -> Envelope[ReasonCodeView]:
    """Change a reason's words or take it out of use. Needs `settings_write`."""
    scope.require(Permission.SETTINGS_WRITE)
    return ok(await service.change_reason(platform, scope, code, body))
