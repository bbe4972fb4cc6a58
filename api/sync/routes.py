"""HTTP of the sync protocol, and of what waits for a person."""

from typing import Annotated

from fastapi import Path, Query, Request

from api.platform.envelope import ok
from api.platform.http import Approval, Cursor, Limit, private_router
from api.platform.permissions import needs
from api.platform.services import App, Caller
from api.sync import resolving, reviewing
from api.sync.keeping import Arrived
from api.sync.repository import Chosen
from api.sync.service import SyncService
from playpark.contracts.approvals import ApprovalAction
from playpark.contracts.base import Envelope, IdStr, Page
from playpark.contracts.employees import Permission
from playpark.contracts.sync import (
    BatchIn,
    BatchOut,
    BundleIn,
    BundleOut,
    DeadLetterKind,
    DeadLetterStatus,
    DeadLetterView,
    ResolveIn,
)

private = private_router("sync")
LetterId = Annotated[IdStr, Path(description="dead_letter_id")]
SEES = (Permission.APPROVE, Permission.DEVICE_MANAGE)
DEVICE = Query(description="device_id of the device that made them")


@private.post("/sync/batch", dependencies=needs(device=True))
async def sync_batch(
    request: Request, platform: App, scope: Caller, body: BatchIn
) -> Envelope[BatchOut]:
    """Apply up to 50 operations of this device; each has its own outcome, HTTP 200, and takes what
    its direct route takes. What had happened and is refused is kept as a dead letter, and so is all
    that a revoked device brings. E_OUTBOX_REWOUND, with the counters to go above, where the
    device's store was set back or copied: then nothing was applied."""
    return ok(await SyncService(platform).apply(scope, body, await request.json()))


@private.get("/sync/dead_letters", dependencies=needs(*SEES))
async def list_dead_letters(
    platform: App,
    scope: Caller,
    *,
    status: DeadLetterStatus | None = None,
    kind: DeadLetterKind | None = None,
    device_id: Annotated[IdStr | None, DEVICE] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Envelope[Page[DeadLetterView]]:
    """The store's operations that are kept without their effect, newest first."""
    chosen = Chosen(status, kind, device_id)
    return ok(await resolving.page(platform.uow.reading(), scope, limit, cursor, chosen))


@private.get("/sync/dead_letters/{dead_letter_id}", dependencies=needs(*SEES))
async def get_dead_letter(
    platform: App, scope: Caller, dead_letter_id: LetterId
) -> Envelope[DeadLetterView]:
    """One of them with its body, as its device has sent it; tokens are left out."""
    return ok(await resolving.one(platform, scope, dead_letter_id))


@private.post(
    "/sync/dead_letters/{dead_letter_id}/resolve",
    dependencies=needs(*SEES, person=True, approvals=(ApprovalAction.DEAD_LETTER,)),
)
async def resolve_dead_letter(
    platform: App,
    scope: Caller,
    dead_letter_id: LetterId,
    body: ResolveIn,
    approval: Approval = None,
) -> Envelope[DeadLetterView]:
    """`apply` books it under its device as it stands, in the name of who did it and at the time it
    was done; `dismiss` says that it is settled by hand, and it can be booked no more. The approval
    is for this dead_letter_id."""
    return ok(await resolving.resolve(platform, scope, dead_letter_id, body, approval))


@private.post("/sync/bundles", dependencies=needs(Permission.DEVICE_MANAGE, person=True))
async def hand_in_bundle(
    request: Request, platform: App, scope: Caller, body: BundleIn
) -> Envelope[BundleOut]:
    """Hand in what another device of this store has exported, up to 500 operations at once: they
    wait for a review under it. The same again changes nothing."""
    raw = await request.json()
    came = [
        Arrived(op, body.epoch, raw_op["body"])
        for op, raw_op in zip(body.ops, raw["ops"], strict=True)
    ]
    return ok(await reviewing.hand_in(platform, scope, body, came))
