"""What the API does beside answering requests."""

import contextlib
from collections.abc import AsyncIterator

from api.audit import nightly as audit
from api.platform import usage
from api.platform.services import Platform
from api.provider import watch
from api.reports import nightly as reconciliation


@contextlib.asynccontextmanager
async def running(platform: Platform, *, nightly: bool) -> AsyncIterator[None]:
    """All jobs, for as long as the block lasts; `nightly` ones only where asked for."""
    async with contextlib.AsyncExitStack() as stack:
        await stack.enter_async_context(usage.writing(platform.usage, platform.uow))
        await stack.enter_async_context(watch.running(platform.uow))
        if nightly:
            await stack.enter_async_context(reconciliation.running(platform))
            await stack.enter_async_context(audit.running(platform))
        yield
