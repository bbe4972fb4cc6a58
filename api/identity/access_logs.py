"""Who logged in, or failed to, and where: read from the audit trail, so that there is no second
truth (001 §2, R41, R45)."""

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from api.audit.repository import AuditRepository, Row
from api.identity.repository import DeviceRepository, EmployeeRepository
from api.platform.scope import Scope
from api.platform.uow import Work
from playpark.clock import business_day_start
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
    rows, more = await audits.newest(limit, cursor, chosen.conditions(scope))
    people = await _names(EmployeeRepository.of(work, scope), rows, "entity_id")
    devices = await _names(DeviceRepository.of(work, scope), rows, "device_id")
    return [_told(scope, row, people, devices) for row in rows], more


async def _names(
    repository: EmployeeRepository | DeviceRepository, rows: list[Row], field: str
) -> dict[str, str]:
    ids = sorted({row[field] for row in rows if isinstance(row[field], str)})
    found = await repository.find(limit=len(ids) or 1, _id={"$in": ids})
    return {each.id: each.name for each in found}


def _told(scope: Scope, row: Row, people: dict[str, str], devices: dict[str, str]) -> AccessLogRow:
    subject = row["entity_id"]
    return AccessLogRow(
        at=row["ts"],
        event=row["event_type"],
        subject=subject,
        employee_id=subject if subject in people else None,
        employee_name=people.get(subject),
        device_id=row["device_id"],
        device_name=devices.get(row["device_id"]),
        store_id=scope.store_id,
        ip=row.get("ip"),
        fingerprint=row.get("fingerprint"),
    )
