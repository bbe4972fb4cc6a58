"""HTTP of the sync protocol."""

from fastapi import Request

from api.platform.envelope import ok
from api.platform.http import private_router
from api.platform.permissions import needs
from api.platform.services import App, Caller
from api.sync.service import SyncService
from playpark.contracts.base import Envelope
from playpark.contracts.sync import BatchIn, BatchOut

private = private_router("sync")


@private.post("/sync/batch", dependencies=needs(device=True))
async def sync_batch(
    request: Request, platform: App, scope: Caller, body: BatchIn
) -> Envelope[BatchOut]:
    """Apply up to 50 operations of this device; each has its own outcome, HTTP 200, and takes what
    its direct route takes."""
    return ok(await SyncService(platform).apply(scope, body, await request.json()))
