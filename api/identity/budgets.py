"""How often something may be tried in a while: reserved before it is judged, by one statement, so
that parallel tries cannot outrun the limit (R41).

A budget belongs to a key of a tenant and store; what belongs to none (an address) has `NOBODY` for
both. Entries vanish with their window.
"""

from datetime import timedelta

from api.identity.tallies import BudgetRepository
from api.platform.documents import scoped_id
from api.platform.envelope import client
from api.platform.uow import Work

NOBODY = "*"


async def reserve(
    work: Work, tenant_id: str, store_id: str, key: str, *, limit: int, window: timedelta
) -> bool:
    """Take one of `limit` tries in `window`; False where none is left. Not inside a transaction:
    it has to outlive one that fails."""
    entries = BudgetRepository(work, tenant_id, store_id)
    return await entries.reserve(scoped_id(tenant_id, store_id, key), limit, window)


async def give_back(work: Work, tenant_id: str, store_id: str, key: str) -> None:
    """The try was a right one, or none at all: it does not count."""
    entries = BudgetRepository(work, tenant_id, store_id)
    await entries.give_back(scoped_id(tenant_id, store_id, key))


async def opens_in(work: Work, tenant_id: str, store_id: str, key: str) -> float:
    """Seconds until the window is over and all tries are there again."""
    entries = BudgetRepository(work, tenant_id, store_id)
    entry = await entries.find_one(_id=scoped_id(tenant_id, store_id, key))
    return max(1.0, (entry.resets_at - work.now).total_seconds()) if entry else 1.0


def address_key(purpose: str) -> str:
    """The key of the address that the request at hand comes from."""
    return f"{purpose}:{client.get().network}"
