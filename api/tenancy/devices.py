"""Devices as the back office sees and changes them (R29, R40, R43; decision 0010).

Every change writes `sessions/{device}` too, so it bites on the next request of that device and of
the people on it.
"""

import secrets
from dataclasses import dataclass
from typing import Any

from api.audit import service as audit
from api.certificates import service as certificates
from api.identity.devices import device_view, secret_hash
from api.identity.models import Device
from api.identity.repository import AuthorityRepository, DeviceRepository
from api.platform.jwt import unauthenticated
from api.platform.operations import chain_key
from api.platform.scope import Scope
from api.platform.services import Platform
from api.platform.uow import Work
from playpark.contracts.base import Page
from playpark.contracts.tenancy import (
    DeviceCaps,
    DeviceDetail,
    DevicePatch,
    DeviceRotated,
    DeviceStatus,
    DeviceType,
    DeviceView,
)
from playpark.errors import ErrorCode, PlayParkError

_NEXT_STEP = {
    DeviceStatus.PENDING: "This device waits for approval: approve it, or revoke it.",
    DeviceStatus.ACTIVE: "This device is active: suspend or revoke it, or leave it as it is.",
    DeviceStatus.SUSPENDED: "This device is suspended: resume it, or revoke it.",
    DeviceStatus.REVOKED: "This device was revoked for good: pair it again with a site key.",
}
_NO_NOTES = {"notes"}
"""What people write down stays out of the audit trail, which nobody can clear."""


@dataclass(frozen=True, slots=True)
class Step:
    """A change of status: from where, to what, and whether a device may do it to itself."""

    event: str
    comes_from: frozenset[DeviceStatus]
    becomes: DeviceStatus
    to_itself: bool = True


APPROVE = Step("device.approved", frozenset({DeviceStatus.PENDING}), DeviceStatus.ACTIVE)
SUSPEND = Step(
    "device.suspended",
    frozenset({DeviceStatus.ACTIVE}),
    DeviceStatus.SUSPENDED,
    to_itself=False,
)
RESUME = Step("device.resumed", frozenset({DeviceStatus.SUSPENDED}), DeviceStatus.ACTIVE)
REVOKE = Step(
    "device.revoked",
    frozenset(DeviceStatus) - {DeviceStatus.REVOKED},
    DeviceStatus.REVOKED,
    to_itself=False,
)


async def page(
    work: Work,
    scope: Scope,
    limit: int,
    cursor: str | None,
    *,
    status: DeviceStatus | None,
    device_type: DeviceType | None,
) -> Page[DeviceDetail]:
    """The store's devices, newest first, of one status and type where that is asked for."""
    wanted: dict[str, Any] = {}
    if status is not None:
        wanted["status"] = status.value
    if device_type is not None:
        wanted["type"] = device_type.value
    found, more = await DeviceRepository.of(work, scope).page(limit, cursor, **wanted)
    return Page(items=[detail(device) for device in found], next_cursor=more)


async def one(work: Work, scope: Scope, device_id: str) -> DeviceDetail:
    """Raises E_NOT_FOUND."""
    return detail(await find(work, scope, device_id))


async def own(work: Work, scope: Scope) -> DeviceView:
    """The calling device. Raises E_UNAUTHENTICATED for a person without one."""
    home = DeviceRepository(work, scope.tenant_id, scope.home_store_id)
    device = await home.find_one(_id=scope.device.device_id)
    if device is None:
        raise unauthenticated()
    return device_view(device)


async def move(platform: Platform, scope: Scope, device_id: str, step: Step) -> DeviceDetail:
    """Take a device one step on. Raises E_NOT_FOUND, and E_CONFLICT where the step does not follow
    from its status, or would lock the caller's own device out."""

    async def transaction(work: Work) -> Device:
        device = await find(work, scope, device_id)
        if device.status not in step.comes_from:
            raise _conflict(device)
        if device_id == scope.device.device_id and not step.to_itself:
            message = "You are working on this very device: do that from another one."
            raise PlayParkError(ErrorCode.CONFLICT, message)
        since = {"revoked_at": work.now} if step is REVOKE else {}
        moved = await _change(work, scope, device, {"status": step.becomes.value, **since})
        standing = {"device_status": step.becomes.value, **since}
        await _tell(work, scope, device_id, {"$set": standing})
        if step is REVOKE:
            await certificates.end(work, scope, device_id)
        facts = {"was": device.status.value, "code": device.code}
        await audit.append(work, scope, step.event, device_id, facts)
        return moved

    return detail(await platform.uow.run(transaction, queue=chain_key(scope)))


async def rotate(platform: Platform, scope: Scope, device_id: str) -> DeviceRotated:
    """Give a device another token; every token issued before is dead. Raises E_NOT_FOUND, and
    E_CONFLICT for a revoked device."""
    token = secrets.token_urlsafe(32)

    async def transaction(work: Work) -> None:
        device = await find(work, scope, device_id)
        if device.status is DeviceStatus.REVOKED:
            raise _conflict(device)
        fresh = {"token_hash": secret_hash(token), "token_used_at": None}
        await _change(work, scope, device, fresh)
        await _tell(work, scope, device_id, {"$inc": {"device_ver": 1}, "$set": {"employees": {}}})
        await audit.append(work, scope, "device.rotated", device_id, {"code": device.code})

    await platform.uow.run(transaction, queue=chain_key(scope))
    return DeviceRotated(device_id=device_id, device_token=token)


async def change(
    platform: Platform, scope: Scope, device_id: str, patch: DevicePatch
) -> DeviceDetail:
    """Change name, notes and capabilities. Raises E_NOT_FOUND, and E_CONFLICT for a revoked
    device."""

    async def transaction(work: Work) -> Device:
        device = await find(work, scope, device_id)
        if device.status is DeviceStatus.REVOKED:
            raise _conflict(device)
        old = {"name": device.name, "notes": device.notes, "caps": device.caps}
        new = {**old, **patch.model_dump(exclude_unset=True, exclude={"caps"})}
        if patch.caps is not None:
            told = patch.caps.model_dump(exclude_unset=True)
            new["caps"] = DeviceCaps.model_validate({**device.caps, **told}).model_dump()
        changes = [
            {"field": name, "old": old[name], "new": value}
            for name, value in new.items()
            if value != old[name]
        ]
        if not changes:
            return device
        changed = await _change(work, scope, device, new)
        known = {"device_name": new["name"], "caps": new["caps"]}
        await _tell(work, scope, device_id, {"$set": known})
        shown = [{"field": c["field"]} if c["field"] in _NO_NOTES else c for c in changes]
        await audit.append(work, scope, "device.changed", device_id, {"changes": shown})
        return changed

    return detail(await platform.uow.run(transaction, queue=chain_key(scope)))


async def find(work: Work, scope: Scope, device_id: str) -> Device:
    """A device of this store as stored. Raises E_NOT_FOUND."""
    device = await DeviceRepository.of(work, scope).find_one(_id=device_id)
    if device is None:
        raise PlayParkError(ErrorCode.NOT_FOUND, "There is no such device in this store.")
    return device


def _conflict(device: Device) -> PlayParkError:
    details = {"status": device.status.value}
    return PlayParkError(ErrorCode.CONFLICT, _NEXT_STEP[device.status], details=details)


async def _change(work: Work, scope: Scope, device: Device, fields: dict[str, Any]) -> Device:
    changed = await DeviceRepository.of(work, scope).change(
        {"$set": fields}, _id=device.id, status=device.status.value
    )
    if changed is None:
        raise RuntimeError("device changed under a transaction")  # the database starts it again
    return changed


async def _tell(work: Work, scope: Scope, device_id: str, update: dict[str, Any]) -> None:
    """Write what the next request of the device goes by."""
    if not await AuthorityRepository.of(work, scope).update_one(update, _id=device_id):
        raise RuntimeError("device without session")  # pairing makes both


def detail(device: Device) -> DeviceDetail:
    """A device as the back office sees it."""
    return DeviceDetail(
        **device_view(device).model_dump(),
        notes=device.notes,
        registered_at=device.registered_at,
        registered_by=device.registered_by,
        token_used_at=device.token_used_at,
    )
