"""The simulator's switches of a device (decision 0029; API.md: PUT /devices/{id}/qa).

They are delivered by heartbeat: the session has a copy, so that a heartbeat reads nothing more.
"""

from api.audit import service as audit
from api.identity.models import Device
from api.identity.repository import AuthorityRepository, DeviceRepository
from api.platform.operations import chain_key
from api.platform.scope import Scope
from api.platform.services import Platform
from api.platform.uow import Work
from api.tenancy.devices import find
from playpark.contracts.qa import QaSwitches, QaView
from playpark.contracts.tenancy import DeviceStatus
from playpark.errors import ErrorCode, PlayParkError


async def read(work: Work, scope: Scope, device_id: str) -> QaView:
    """What is set for a device. Raises E_NOT_FOUND."""
    return _view(await find(work, scope, device_id))


async def put(platform: Platform, scope: Scope, device_id: str, switches: QaSwitches) -> QaView:
    """Set exactly these switches; with none of them on, nothing is simulated any more.

    Raises E_PERMISSION in production, E_NOT_FOUND, and E_CONFLICT for a revoked device, which
    sends no heartbeats.
    """
    if platform.settings.production:
        message = (
            "This server works for real guests (ENVIRONMENT is production): outages are simulated "
            "on test servers only."
        )
        raise PlayParkError(ErrorCode.PERMISSION, message, details={"reason": "capability"})

    async def transaction(work: Work) -> Device:
        device = await find(work, scope, device_id)
        if device.status is DeviceStatus.REVOKED:
            message = "This device was revoked: it hears nothing any more."
            raise PlayParkError(ErrorCode.CONFLICT, message)
        was = QaSwitches.model_validate(device.qa)
        if switches == was:
            return device
        told = switches.model_dump(exclude_defaults=True)
        fields = {"qa": told, "qa_set_at": work.now, "qa_version": device.qa_version + 1}
        changed = await DeviceRepository.of(work, scope).change(
            {"$set": fields}, _id=device_id, status=device.status.value
        )
        sessions = AuthorityRepository.of(work, scope)
        if changed is None or not await sessions.update_one({"$set": {"qa": told}}, _id=device_id):
            raise RuntimeError("device changed under a transaction")
        facts = {"was": was.model_dump(exclude_defaults=True), "switches": told}
        await audit.append(work, scope, "device.qa_set", device_id, facts)
        return changed

    return _view(await platform.uow.run(transaction, queue=chain_key(scope)))


def _view(device: Device) -> QaView:
    return QaView(
        device_id=device.id,
        switches=QaSwitches.model_validate(device.qa),
        set_at=device.qa_set_at,
        version=device.qa_version,
    )
