"""Heartbeats of devices: how each of them is, and what begins or ends to be wrong (R36, R44)."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from api.identity.models import Device
from api.platform.scope import Scope
from api.platform.services import Platform
from api.platform.uow import Work
from api.provider import alerts
from api.provider.models import DeviceHeartbeat
from api.provider.repository import AllHeartbeats, HeartbeatRepository
from playpark.contracts.provider import AlertKind, DeviceHealth, HeartbeatAnswer, HeartbeatIn
from playpark.contracts.qa import QaSwitches
from playpark.errors import ErrorCode, PlayParkError

SKEWED_MS = 120_000
"""A clock that is off by more makes people look at the wrong hour (R36)."""
STUCK = timedelta(minutes=15)


async def receive(platform: Platform, scope: Scope, body: HeartbeatIn) -> HeartbeatAnswer:
    """Keep the heartbeat of the caller's device in place of its last one.

    One statement where nothing changes for better or worse; otherwise one transaction with the
    alerts. Raises E_PERMISSION for a login without a device, E_VALIDATION for another store.
    """
    if not scope.device.paired:
        message = "Heartbeats come from paired devices: this login has none."
        raise PlayParkError(ErrorCode.PERMISSION, message, details={"reason": "capability"})
    if scope.store_id != scope.home_store_id:
        message = "A heartbeat is of the device's own store: send it without store_id."
        raise PlayParkError(ErrorCode.VALIDATION, message)
    told = body.model_dump()
    work = platform.uow.reading()
    troubles = _troubles(body, work.now)
    if not await _as_before(work, scope, told, troubles):
        await _turn(platform, scope, told, troubles)
    return HeartbeatAnswer(
        server_time=work.now,
        catalog_version=scope.catalog_version,
        features=sorted(scope.features),
        caps=scope.device.caps,
        clock_skewed=AlertKind.CLOCK_SKEW in troubles,
        qa=_simulated(platform, scope),
    )


def _simulated(platform: Platform, scope: Scope) -> QaSwitches | None:
    """What QA has switched on. In production nothing, whatever a copied database says."""
    if platform.settings.production or not scope.device.qa:
        return None
    return QaSwitches.model_validate(scope.device.qa)


def _troubles(body: HeartbeatIn, now: datetime) -> list[AlertKind]:
    """What is wrong by what the device tells, sorted; what it does not tell is not wrong."""
    found = []
    offset = body.clock_offset_ms or 0
    if abs(offset) > SKEWED_MS:
        found.append(AlertKind.CLOCK_SKEW)
    if body.oldest_queued_at is not None and body.queued != 0:
        # Both times by the device's own clock.
        waited = now - timedelta(milliseconds=offset) - body.oldest_queued_at
        if waited > STUCK:
            found.append(AlertKind.QUEUE_STUCK)
    return found


async def _as_before(
    work: Work, scope: Scope, told: dict[str, Any], troubles: list[AlertKind]
) -> bool:
    """Take the heartbeat of a device that is online and in the same troubles as before."""
    beats = HeartbeatRepository.of(work, scope)
    return await beats.update_one(
        {"$set": {**told, "seen_at": work.now}},
        _id=scope.device.device_id,
        online=True,
        troubles=troubles,
        seen_at={"$lte": work.now},
    )


async def _turn(
    platform: Platform, scope: Scope, told: dict[str, Any], troubles: list[AlertKind]
) -> None:
    async def transaction(work: Work) -> None:
        beats = HeartbeatRepository.of(work, scope)
        before = await beats.find_one(_id=scope.device.device_id)
        if before is None:
            first = DeviceHeartbeat(
                id=scope.device.device_id,
                tenant_id=scope.tenant_id,
                store_id=scope.store_id,
                seen_at=work.now,
                troubles=troubles,
                **told,
            )
            await beats.insert(first)
        elif before.seen_at > work.now:
            return  # a later one was faster
        else:
            now = {**told, "seen_at": work.now, "online": True, "excused": False}
            await beats.update_one({"$set": {**now, "troubles": troubles}}, _id=before.id)
        known = set(before.troubles) if before else set()
        ended = [AlertKind.DEVICE_OFFLINE] if before and not before.online else []
        ended += sorted(known - set(troubles))
        begun = sorted(set(troubles) - known)
        await alerts.settle(work, scope, ended=ended, begun=begun)

    # Of two first heartbeats at once the later transaction starts again and finds the other's.
    await platform.uow.run(transaction)


async def health(work: Work, devices: Sequence[Device]) -> list[DeviceHealth]:
    """Devices with their last heartbeats."""
    ids = [device.id for device in devices]
    beats = {beat.id: beat for beat in await AllHeartbeats(work).find(_id={"$in": ids})}
    return [_health(device, beats.get(device.id), work.now) for device in devices]


def _health(device: Device, beat: DeviceHeartbeat | None, now: datetime) -> DeviceHealth:
    known = DeviceHealth(
        tenant_id=device.tenant_id,
        store_id=device.store_id,
        device_id=device.id,
        device_code=device.code,
        type=device.type,
        name=device.name,
        status=device.status,
        online=beat is not None and now - beat.seen_at <= alerts.SILENT,
    )
    if beat is None:
        return known
    told = {name: getattr(beat, name) for name in HeartbeatIn.model_fields}
    return known.model_copy(update={**told, "last_seen": beat.seen_at})
