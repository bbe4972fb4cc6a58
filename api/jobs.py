"""What the API does beside answering requests."""

import contextlib
from collections.abc import AsyncIterator

from api.platform.services import Platform
from api.reports import nightly as reconciliation


@contextlib.asynccontextmanager
async def running(platform: Platform, *, nightly: bool) -> AsyncIterator[None]:
    """All jobs, for as long as the block lasts; `nightly` ones only where asked for."""
    async with contextlib.AsyncExitStack() as stack:
        if nightly:
            await stack.enter_async_context(reconciliation.running(platform))
        yield
