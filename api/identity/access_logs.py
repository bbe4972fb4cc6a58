"""Who logged in, or failed to, and where: read from the audit trail, so that there is no second
truth (001 §2, R41, R45)."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from api.audit.reading import row_view
from api.audit.repository import AuditRepository
from api.identity.repository import ALL, DeviceRepository, EmployeeRepository
from api.platform.scope import Scope
from api.platform.uow import Work
from playpark.clock import business_day_start
from playpark.contracts.audit import AuditView
from playpark.contracts.employees import AccessLogRow

EVENTS = (
    "employee.login",
    "employee.login_failed",
    "employee.logout",
    "employee.refresh_reused",
    "employee.stepped_up",
    "employee.step_up_failed",
    "employee.totp_failed",
    "approval.pin_failed",
)
"""A PIN or a code was given, right or wrong, or a login ended."""
Names = Mapping[str | None, str]
"""By id."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """Whose rows, on which device, of which trading days, both included."""

    employee_id: str | None
    device_id: str | None
    first: date | None
    last: date | None

    def conditions(self, scope: Scope) -> dict[str, Any]:
        found: dict[str, Any] = {"event_type": {"$in": list(EVENTS)}}
        if self.employee_id is not None:
            found["entity_id"] = self.employee_id
        if self.device_id is not None:
            found["device_id"] = self.device_id
        times = {}
        if self.first is not None:
            times["$gte"] = business_day_start(self.first, scope.zone)
        if self.last is not None:
            times["$lt"] = business_day_start(self.last + timedelta(days=1), scope.zone)
        return {**found, "ts": times} if times else found


async def page(
    work: Work, scope: Scope, chosen: Chosen, limit: int, cursor: str | None
) -> tuple[list[AccessLogRow], str | None]:
    """(rows of the scope's store, newest first; cursor of the next page). Raises E_VALIDATION for a
    cursor that is not ours."""
    audits = AuditRepository.of(work, scope)
    found, more = await audits.newest(limit, cursor, chosen.conditions(scope))
    rows = [row_view(row) for row in found]
    people = await _names(EmployeeRepository.of(work, scope), {row.entity_id for row in rows})
    devices = await _names(DeviceRepository.of(work, scope), {row.device_id for row in rows})
    return [_told(scope, row, people, devices) for row in rows], more


async def _names(
    repository: EmployeeRepository | DeviceRepository, ids: Collection[str | None]
) -> dict[str | None, str]:
    found = await repository.find(limit=ALL, _id={"$in": sorted(filter(None, ids))})
    return {each.id: each.name for each in found}


def _told(scope: Scope, row: AuditView, people: Names, devices: Names) -> AccessLogRow:
    return AccessLogRow(
        at=row.ts,
        event=row.event_type,
        subject=row.entity_id,
        employee_id=row.entity_id if row.entity_id in people else None,
        employee_name=people.get(row.entity_id),
        device_id=row.device_id,
        device_name=devices.get(row.device_id),
        store_id=scope.store_id,
        ip=row.ip,
        fingerprint=row.fingerprint,
    )
