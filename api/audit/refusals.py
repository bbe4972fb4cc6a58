"""Refused requests in the audit trail: at most one row a minute for each subject (R43).

Those in between are counted, and the next row tells how many there were.
"""

import asyncio
from datetime import timedelta

import structlog
from pymongo.errors import DuplicateKeyError, PyMongoError

from api.audit import service
from api.audit.repository import RefusalRepository
from api.platform.documents import scoped_id
from api.platform.operations import chain_key
from api.platform.scope import Scope
from api.platform.uow import UnitOfWork, Work
from playpark.errors import ErrorCode, PlayParkError

REFUSED = "request.refused"
ONE_ROW = timedelta(minutes=1)
PATIENCE = 2.0
"""Seconds. A refusal does not wait longer for its row."""
log = structlog.get_logger("playpark.audit")


async def note(uow: UnitOfWork, scope: Scope, code: ErrorCode, route: str) -> None:
    """Write down that `scope` was refused with `code` at `route`. Never raises: the answer stays
    the refusal, whatever becomes of the row."""
    try:
        async with asyncio.timeout(PATIENCE):
            await _note(uow, scope, code, route)
    except (TimeoutError, PlayParkError, PyMongoError) as away:
        told = {"device_id": scope.device.device_id, "error": type(away).__name__}
        log.warning("a refusal is not in the audit trail", error_code=code, **told)
    except Exception:
        log.exception("a refusal is not in the audit trail", error_code=code)


async def _note(uow: UnitOfWork, scope: Scope, code: ErrorCode, route: str) -> None:
    subject = _subject(scope, code)
    # What is not there is asked for at many routes: each of them is a story of its own.
    where = (route,) if code.status == 404 else ()
    key = scoped_id(scope.tenant_id, *subject, code.value, *where)
    if await _counted(uow, scope, key):
        return

    async def tell(work: Work) -> None:
        now = {"$set": {"told_at": work.now, "count": 0}}
        due = {"told_at": {"$lte": work.now - ONE_ROW}}
        known = await RefusalRepository.of(work, scope).change(
            now, before=True, upsert=True, _id=key, **due
        )
        payload = {"code": code.value, "route": route, "count": known.count + 1 if known else 1}
        await service.append(work, scope, REFUSED, subject[1], payload)

    try:
        await uow.run(tell, queue=chain_key(scope))
    except DuplicateKeyError:
        await _counted(uow, scope, key)  # another request has just told it


async def _counted(uow: UnitOfWork, scope: Scope, key: str) -> bool:
    """Count it for the next row, where there was one within the last minute."""
    work = uow.reading()
    just_now = {"told_at": {"$gt": work.now - ONE_ROW}}
    refusals = RefusalRepository.of(work, scope)
    return await refusals.update_one({"$inc": {"count": 1}}, _id=key, **just_now)


def _subject(scope: Scope, code: ErrorCode) -> tuple[str, str]:
    """Who is refused, as (kind, id)."""
    if code is ErrorCode.TENANT_SUSPENDED:
        return "tenant", scope.tenant_id
    if code is ErrorCode.EMPLOYEE_SUSPENDED and scope.actor_id is not None:
        return "employee", scope.actor_id
    return "device", scope.device.device_id
