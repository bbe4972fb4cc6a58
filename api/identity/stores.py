"""What other domains change in a store."""

from api.identity.repository import AuthorityRepository, StoreRepository
from api.platform.uow import Work
from playpark.errors import ErrorCode, PlayParkError


async def next_catalog_version(work: Work, tenant_id: str, store_id: str) -> int:
    """Count the store's catalogue up and tell all its devices with their next request (R43, R46).

    Raises E_NOT_FOUND.
    """
    store = await StoreRepository(work, tenant_id, store_id).change(
        {"$inc": {"catalog_version": 1}}, _id=store_id
    )
    if store is None:
        raise PlayParkError(ErrorCode.NOT_FOUND, "There is no such store.")
    sessions = AuthorityRepository(work, tenant_id, store_id)
    await sessions.update_many({"$set": {"catalog_version": store.catalog_version}})
    return store.catalog_version
