"""Pairing and login of devices (R43)."""

import hashlib
import hmac
import secrets

from api.audit import service as audit
from api.identity.models import Device, SiteKey
from api.identity.repository import (
    AuthorityRepository,
    DeviceRepository,
    SiteKeyRepository,
    StoreRepository,
    TenantRepository,
)
from api.platform.authority import DeviceAuthority
from api.platform.jwt import LIFETIME, Claims, TokenType
from api.platform.repository import find_anywhere
from api.platform.services import Platform
from api.platform.uow import Work
from playpark.contracts.auth import (
    DeviceLoginIn,
    DeviceRegistered,
    DeviceRegisterIn,
    DeviceSession,
)
from playpark.contracts.tenancy import (
    DeviceCaps,
    DeviceStatus,
    DeviceType,
    DeviceView,
    StoreView,
)
from playpark.errors import ErrorCode, PlayParkError
from playpark.ids import LAST_PAIRED_NUMBER, new_ulid

_CAPS = {
    DeviceType.POS: DeviceCaps(can_sell=True, can_redeem=True),
    DeviceType.GATE: DeviceCaps(can_redeem=True),
    DeviceType.KIOSK: DeviceCaps(can_sell=True, kiosk_mode=True),
    DeviceType.ADMIN: DeviceCaps(),
}


def secret_hash(text: str) -> str:
    """SHA-256 in hex, as device tokens and site keys are stored (R43)."""
    return hashlib.sha256(text.encode()).hexdigest()


async def register(platform: Platform, body: DeviceRegisterIn) -> DeviceRegistered:
    """Pair a device with a site key. Raises E_UNAUTHENTICATED for a key that is not good."""
    token = secrets.token_urlsafe(32)

    async def pair(work: Work) -> Device:
        key = await find_anywhere(work, SiteKey, secret_hash(body.site_key))
        keys = SiteKeyRepository(work, key.tenant_id, key.store_id) if key else None
        if key is None or keys is None or not await keys.spend(key):
            message = "This site key is wrong, used up or expired: ask a supervisor for a new one."
            raise PlayParkError(ErrorCode.UNAUTHENTICATED, message)
        return await _create(work, key, body, token)

    device = await platform.uow.run(pair)
    return DeviceRegistered(
        device_id=device.id, device_token=token, device_code=device.code, status=device.status
    )


async def _create(work: Work, key: SiteKey, body: DeviceRegisterIn, token: str) -> Device:
    area = (key.tenant_id, key.store_id)
    store = await StoreRepository(work, *area).find_one(_id=key.store_id, active=True)
    number = await TenantRepository(work, *area).next_device_number()
    tenant = await TenantRepository(work, *area).find_one(_id=key.tenant_id)
    if number is None or store is None or tenant is None:
        raise PlayParkError(ErrorCode.UNAUTHENTICATED, "This store is closed: ask a supervisor.")
    if number > LAST_PAIRED_NUMBER:
        message = "This park has paired as many devices as there are numbers: call support."
        raise PlayParkError(ErrorCode.CONFLICT, message)
    status = DeviceStatus.ACTIVE if key.auto_approve else DeviceStatus.PENDING
    device = Device(
        id=new_ulid(),
        tenant_id=key.tenant_id,
        store_id=key.store_id,
        type=body.type,
        name=body.name,
        code=f"{number:02d}",
        number=number,
        status=status,
        token_hash=secret_hash(token),
        public_key=body.public_key,
        caps=_CAPS[body.type].model_dump(),
        registered_at=work.now,
    )
    authority = DeviceAuthority(
        id=device.id,
        tenant_id=device.tenant_id,
        store_id=device.store_id,
        tenant_status=tenant.status,
        tz=store.tz or tenant.tz,
        device_type=device.type,
        device_code=device.code,
        device_number=device.number,
        device_name=device.name,
        device_status=status,
        caps=device.caps,
        catalog_version=store.catalog_version,
    )
    await DeviceRepository(work, *area).insert(device)
    await AuthorityRepository(work, *area).insert(authority)
    payload = {"type": device.type.value, "code": device.code, "status": status.value}
    await audit.append(work, authority.scope(None), "device.registered", device.id, payload)
    return device


async def login(platform: Platform, body: DeviceLoginIn) -> DeviceSession:
    """Exchange a device token for a short-lived access token. Wrong id and wrong token look and
    take the same; a pending, suspended or revoked device gets its 403 (R43)."""
    work = platform.uow.reading()
    device = await find_anywhere(work, Device, body.device_id)
    expected = device.token_hash if device else secret_hash("")
    if not hmac.compare_digest(expected, secret_hash(body.device_token)) or device is None:
        message = "This device is not known with that token: pair it again with a site key."
        raise PlayParkError(ErrorCode.UNAUTHENTICATED, message)
    area = (device.tenant_id, device.store_id)
    authority = await AuthorityRepository(work, *area).find_one(_id=device.id)
    store = await StoreRepository(work, *area).find_one(_id=device.store_id)
    tenant = await TenantRepository(work, *area).find_one(_id=device.tenant_id)
    if authority is None or store is None or tenant is None:
        raise RuntimeError("device without store")  # the pairing transaction makes all of them
    authority.check_device()
    await DeviceRepository(work, *area).update_one(
        {"$set": {"last_login_at": work.now}}, _id=device.id
    )
    claims = Claims(
        type=TokenType.DEVICE,
        tenant_id=device.tenant_id,
        store_id=device.store_id,
        device_id=device.id,
        employee_id=None,
        ver=str(authority.device_ver),
        jti=new_ulid(),
    )
    scope = authority.scope(None)
    sells = scope.device.caps.can_sell
    return DeviceSession(
        access_token=platform.jwt.issue(claims, work.now, scopes=["device"]),
        expires_in=int(LIFETIME[TokenType.DEVICE].total_seconds()),
        device=device_view(device),
        store=StoreView(
            store_id=store.id,
            tenant_id=tenant.id,
            tenant_name=tenant.name,
            name=store.name,
            tz=store.tz or tenant.tz,
            currency=tenant.currency,
            receipt_header=store.receipt_header,
            receipt_footer=store.receipt_footer,
            tax_registration=store.tax_registration,
            paper_width_mm=store.paper_width_mm,
        ),
        short_code_key=tenant.short_code_key if sells else None,
    )


def device_view(device: Device) -> DeviceView:
    return DeviceView(
        device_id=device.id,
        device_code=device.code,
        device_number=device.number,
        type=device.type,
        name=device.name,
        status=device.status,
        caps=DeviceCaps.model_validate(device.caps),
        last_login_at=device.last_login_at,
    )
