"""A way back for somebody whom nobody in the park may decide on, such as its only owner (R40, R41).

It takes the server's machine, and stands in the audit trail.
"""

from api.audit import service as audit
from api.identity import changes, totp
from api.identity.people import renew_pin
from api.identity.repository import EmployeeRepository, StoreRepository, TenantMemberships
from api.platform.scope import server_scope
from api.platform.services import Platform
from api.platform.uow import Work
from playpark.errors import ErrorCode, PlayParkError


async def rescue(platform: Platform, tenant_id: str, email: str, pin: str) -> None:
    """Give the person a new PIN, without their authenticator app and with all logins ended; whoever
    is suspended stays so. Raises E_NOT_FOUND where nobody with this e-mail address works there."""
    pin_hash = await platform.pins.hash(pin)
    work = platform.uow.reading()
    person = await EmployeeRepository(work, tenant_id, None).find_one(email=email)
    who = person.id if person else ""
    place = await TenantMemberships(work, tenant_id, None).find_one(employee_id=who)
    store_id = place.store_id if place else ""
    store = await StoreRepository(work, tenant_id, store_id).find_one(_id=store_id)
    if store is None:
        message = "Nobody with this e-mail address works in that park: see both once more."
        raise PlayParkError(ErrorCode.NOT_FOUND, message)
    scope = server_scope(tenant_id, store.id, store.tz)

    async def transaction(work: Work) -> None:
        change = await changes.begin(work, scope, (who,))
        await renew_pin(work, scope, change, who, pin_hash)
        await totp.remove(work, scope, who, "employee.totp_reset")
        await audit.append(work, scope, "employee.rescued", who, {})

    await changes.in_turn(platform, scope, transaction)
