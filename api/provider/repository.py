"""Queries of the operator's side.

Those named All… are not confined to a tenant: they are for operators and for the job that watches
the devices, which nobody's token confines. They only read, and only who a tenant or a device is and
how it fares, never its books. What is written goes through a repository of the tenant it is of.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from api.audit.repository import AuditRepository
from api.identity.models import Device, Tenant
from api.platform.authority import DeviceAuthority
from api.platform.repository import MAX_PAGE, D, Index, Repository
from api.platform.uow import Work
from api.platform.usage import UsageCounter
from api.provider.models import AREA, AUDITS_VIEW, DeviceHeartbeat, OperatorAccount, ProviderAlert
from playpark.contracts.provider import AlertKind

OPEN_ALERTS: Index = [(name, 1) for name in ("tenant_id", "store_id", "device_id", "kind")]

UNNOTICED: dict[str, Any] = {"$or": [{"online": True}, {"excused": True}]}
"""Heartbeats of devices for whose silence no alert stands."""


class OperatorRepository(Repository[OperatorAccount]):
    model = OperatorAccount

    def __init__(self, work: Work) -> None:
        super().__init__(work, *AREA)


class ProviderAudits(AuditRepository):
    """The operators' own trail, through its view."""

    def __init__(self, work: Work) -> None:
        super().__init__(work, *AREA)
        self._collection = work.collection(AUDITS_VIEW)


# --- one tenant ---------------------------------------------------------------------------


class HeartbeatRepository(Repository[DeviceHeartbeat]):
    model = DeviceHeartbeat


class AlertRepository(Repository[ProviderAlert]):
    model = ProviderAlert

    async def resolve(self, device_id: str, kinds: Sequence[AlertKind]) -> int:
        """End the open alerts of these kinds; how many."""
        ended = {"$set": {"open": False, "resolved_at": self.work.now}}
        return await self.update_many(
            ended, device_id=device_id, kind={"$in": list(kinds)}, open=True
        )


# --- all tenants --------------------------------------------------------------------------


class _Everywhere(Repository[D]):
    """Not confined to a tenant: see above."""

    def __init__(self, work: Work) -> None:
        super().__init__(work, "", None)

    def where(self, **conditions: Any) -> dict[str, Any]:
        return conditions


class AllTenants(_Everywhere[Tenant]):
    model = Tenant


class AllDevices(_Everywhere[Device]):
    model = Device


class AllSessions(_Everywhere[DeviceAuthority]):
    model = DeviceAuthority


class AllUsage(_Everywhere[UsageCounter]):
    model = UsageCounter


class AllAlerts(_Everywhere[ProviderAlert]):
    model = ProviderAlert

    async def listed(
        self, limit: int, cursor: str | None, *, is_open: bool | None, **conditions: Any
    ) -> tuple[list[ProviderAlert], str | None]:
        """A page, newest first. The open ones are few among many: an index has them alone."""
        if is_open is None:
            return await self.page(limit, cursor, **conditions)
        hint = OPEN_ALERTS if is_open else None
        return await self.page(limit, cursor, hint=hint, open=is_open, **conditions)


class AllHeartbeats(_Everywhere[DeviceHeartbeat]):
    model = DeviceHeartbeat

    async def silent(
        self, since: datetime, cursor: str | None
    ) -> tuple[list[DeviceHeartbeat], str | None]:
        """A page of those that have not been heard of since then, which nobody has noticed yet.

        There is one small document a device, so reading all of them is a matter of milliseconds.
        """
        return await self.page(MAX_PAGE, cursor, seen_at={"$lt": since}, **UNNOTICED)
