"""Alerts about devices: raised by silence or by what a heartbeat tells, ended by the next good one;
acknowledged by an operator (R36, R44)."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from api.audit import service as audit
from api.events import service as events
from api.identity.repository import AuthorityRepository
from api.platform.authority import DeviceAuthority
from api.platform.operations import chain_key
from api.platform.repository import MAX_PAGE
from api.platform.scope import Scope
from api.platform.services import Platform
from api.platform.uow import UnitOfWork, Work
from api.provider.models import DeviceHeartbeat, ProviderAlert
from api.provider.repository import (
    UNNOTICED,
    AlertRepository,
    AllAlerts,
    AllHeartbeats,
    AllSessions,
    HeartbeatRepository,
)
from api.provider.scope import ProviderScope
from playpark.contracts.provider import AlertKind, AlertView, TenantStatus
from playpark.contracts.tenancy import DeviceStatus
from playpark.errors import ErrorCode, PlayParkError
from playpark.ids import new_ulid

SILENT = timedelta(seconds=120)


async def settle(
    work: Work, scope: Scope, *, ended: Sequence[AlertKind], begun: Sequence[AlertKind]
) -> None:
    """Inside the transaction of a heartbeat of `scope`'s device: end and begin its alerts."""
    if ended:
        await AlertRepository.of(work, scope).resolve(scope.device.device_id, ended)
    for kind in begun:
        await _begin(work, scope, kind, work.now)
    if AlertKind.DEVICE_OFFLINE in ended:
        await events.emit(work, scope, ("device.online", {"device_id": scope.device.device_id}))


async def notice_silence(uow: UnitOfWork) -> None:
    """Raise an alert for active devices that were not heard of for 120 s; each is a transaction
    that its heartbeat can win. Those that are not active stay unnoticed until they are."""
    work, cursor = uow.reading(), None
    while True:
        silent, cursor = await AllHeartbeats(work).silent(work.now - SILENT, cursor)
        devices = await _devices(work, [beat.id for beat in silent])
        for beat in silent:
            if _is_active(devices.get(beat.id)):
                await _gone_silent(uow, beat)
        if cursor is None:
            return


async def forget_the_inactive(uow: UnitOfWork) -> None:
    """End the alerts of devices that are no longer meant to be there: suspended, revoked, or of a
    suspended tenant."""
    work, cursor = uow.reading(), None
    while True:
        found, cursor = await AllAlerts(work).listed(MAX_PAGE, cursor, is_open=True)
        devices = await _devices(work, [alert.device_id for alert in found])
        for alert in found:
            if not _is_active(devices.get(alert.device_id)):
                await _end_all(uow, alert)
        if cursor is None:
            return


async def acknowledge(platform: Platform, operator: ProviderScope, alert_id: str) -> AlertView:
    """Note who looks after it; the first who says so stays. Raises E_NOT_FOUND."""
    known = await AllAlerts(platform.uow.reading()).find_one(_id=alert_id)
    if known is None:
        raise PlayParkError(ErrorCode.NOT_FOUND, "There is no such alert.")

    async def transaction(work: Work) -> ProviderAlert | None:
        alerts = AlertRepository(work, known.tenant_id, known.store_id)
        taken = {"acknowledged_by": operator.operator_id, "acknowledged_at": work.now}
        if found := await alerts.change({"$set": taken}, _id=alert_id, acknowledged_at=None):
            facts = {"tenant_id": found.tenant_id, "kind": found.kind.value}
            await audit.append(work, operator.own, "alert.acknowledged", alert_id, facts)
        return found

    taken = await platform.uow.run(transaction, queue=chain_key(operator.own))
    return view(taken or await AllAlerts(platform.uow.reading()).find_one(_id=alert_id) or known)


def view(alert: ProviderAlert) -> AlertView:
    """An alert as the API shows it."""
    return AlertView(alert_id=alert.id, **alert.model_dump(exclude={"id"}))


async def _gone_silent(uow: UnitOfWork, beat: DeviceHeartbeat) -> None:
    async def transaction(work: Work) -> None:
        beats = HeartbeatRepository(work, beat.tenant_id, beat.store_id)
        device = await _device(work, beat.tenant_id, beat.store_id, beat.id)
        if device is None or not _is_active(device):
            return
        silent = {"$set": {"online": False, "excused": False}}
        if not await beats.update_one(silent, _id=beat.id, seen_at=beat.seen_at, **UNNOTICED):
            return  # it was heard meanwhile, or somebody else has noticed
        scope = device.scope(None)
        await _begin(work, scope, AlertKind.DEVICE_OFFLINE, beat.seen_at)
        if beat.online:
            facts = {"device_id": beat.id, "last_seen": beat.seen_at.isoformat()}
            await events.emit(work, scope, ("device.offline", facts))

    await uow.run(transaction)


async def _begin(work: Work, scope: Scope, kind: AlertKind, last_seen: datetime) -> None:
    alert = ProviderAlert(
        id=new_ulid(),
        tenant_id=scope.tenant_id,
        store_id=scope.store_id,
        device_id=scope.device.device_id,
        device_name=scope.device.name,
        kind=kind,
        opened_at=work.now,
        last_seen=last_seen,
    )
    await AlertRepository.of(work, scope).insert(alert)


async def _end_all(uow: UnitOfWork, alert: ProviderAlert) -> None:
    async def transaction(work: Work) -> None:
        place = (work, alert.tenant_id, alert.store_id)
        if _is_active(await _device(*place, alert.device_id)):
            return  # it is back
        anew = {"$set": {"troubles": [], "excused": True}}
        await HeartbeatRepository(*place).update_one(anew, _id=alert.device_id)
        await AlertRepository(*place).resolve(alert.device_id, list(AlertKind))

    await uow.run(transaction)


async def _devices(work: Work, ids: Sequence[str]) -> dict[str, DeviceAuthority]:
    return {each.id: each for each in await AllSessions(work).find(_id={"$in": ids})}


async def _device(
    work: Work, tenant_id: str, store_id: str, device_id: str
) -> DeviceAuthority | None:
    return await AuthorityRepository(work, tenant_id, store_id).find_one(_id=device_id)


def _is_active(device: DeviceAuthority | None) -> bool:
    return (
        device is not None
        and device.device_status is DeviceStatus.ACTIVE
        and device.tenant_status == TenantStatus.ACTIVE
    )
