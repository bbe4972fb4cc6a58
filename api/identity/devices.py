"""Pairing and login of devices (R43)."""

import hashlib
import hmac
import secrets

from api.audit import service as audit
from api.identity import short_codes
from api.identity.models import Device, SiteKey, Store, Tenant
from api.identity.repository import (
    AuthorityRepository,
    DeviceRepository,
    SiteKeyRepository,
    StoreRepository,
    TenantRepository,
    TenantStores,
)
from api.platform.authority import DeviceAuthority
from api.platform.jwt import LIFETIME, SYNC_REVIEW, Claims, TokenType
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
    Feature,
    StoreView,
)
from playpark.errors import ErrorCode, PlayParkError
from playpark.ids import CROCKFORD, LAST_PAIRED_NUMBER, new_ulid

_CAPS = {
    DeviceType.POS: DeviceCaps(can_sell=True, can_redeem=True),
    DeviceType.GATE: DeviceCaps(can_redeem=True),
    DeviceType.KIOSK: DeviceCaps(can_sell=True, kiosk_mode=True),
    DeviceType.ADMIN: DeviceCaps(),
}


KEY_LENGTH, KEY_GROUP = 50, 5
"""A site key of our own making has 250 bits; people read it in groups."""


def secret_hash(text: str) -> str:
    """SHA-256 in hex, as device tokens and site keys are stored (R43)."""
    return hashlib.sha256(text.encode()).hexdigest()


def grouped(letters: str) -> str:
    """`ABCDEFGHJK` → `ABCDE-FGHJK`: as a site key is shown and hashed."""
    return "-".join(letters[at : at + KEY_GROUP] for at in range(0, len(letters), KEY_GROUP))


def _key_hash(typed: str) -> str:
    """The id of a typed site key. In one of ours, case, hyphens and letters that look like digits
    do not matter; any other is taken as it is."""
    letters = typed.replace("-", "").upper().translate(str.maketrans("OIL", "011"))
    ours = len(letters) == KEY_LENGTH and set(letters) <= set(CROCKFORD)
    return secret_hash(grouped(letters) if ours else typed)


async def register(platform: Platform, body: DeviceRegisterIn) -> DeviceRegistered:
    """Pair a device with a site key.

    Raises E_UNAUTHENTICATED for whatever is wrong with the key or its store, E_VALIDATION with the
    stores to choose from where a tenant's key leaves that open, E_TENANT_SUSPENDED.
    """
    token, key_hash = secrets.token_urlsafe(32), _key_hash(body.site_key)

    async def pair(work: Work) -> Device:
        key = await find_anywhere(work, SiteKey, key_hash)
        if key is None:
            raise _bad_key()
        if not await SiteKeyRepository(work, key.tenant_id, key.store_id).spend(key.id):
            raise _bad_key()
        store = await _store_of(work, key, body.store_id)
        return await _create(work, key, store, body, token)

    # All that use one key write the same documents: here they wait instead of colliding there.
    device = await platform.uow.run(pair, queue=f"site-key:{key_hash}")
    return DeviceRegistered(
        device_id=device.id, device_token=token, device_code=device.code, status=device.status
    )


def _bad_key() -> PlayParkError:
    message = "This site key is wrong, used up or expired: ask a supervisor for a new one."
    return PlayParkError(ErrorCode.UNAUTHENTICATED, message)


async def _store_of(work: Work, key: SiteKey, named: str | None) -> Store:
    """The store that a key pairs with: its own, or of a tenant's key the one that was named, or
    the only one."""
    wanted = named or key.store_id
    if key.store_id not in {None, wanted}:
        raise _bad_key()
    if wanted is None:
        open_ones = await TenantStores(work, key.tenant_id, None).find(active=True)
        if len(open_ones) > 1:
            message = "This key pairs with several stores: send the store_id of one of them."
            choice = [{"store_id": store.id, "name": store.name} for store in open_ones]
            raise PlayParkError(ErrorCode.VALIDATION, message, details={"stores": choice})
        wanted = open_ones[0].id if open_ones else ""
    # Written, not only read: a change of the store that happens meanwhile would tell the devices
    # that there are, and miss this one.
    store = await StoreRepository(work, key.tenant_id, wanted).hold(_id=wanted, active=True)
    if store is None:
        raise _bad_key()
    return store


async def _create(
    work: Work, key: SiteKey, store: Store, body: DeviceRegisterIn, token: str
) -> Device:
    area = (key.tenant_id, store.id)
    tenant = await TenantRepository(work, *area).next_device_number()
    if tenant is None:
        raise RuntimeError("store without tenant")  # one transaction makes both
    if tenant.status != "active":
        message = "This park's account is suspended: ask the operator."
        raise PlayParkError(ErrorCode.TENANT_SUSPENDED, message)
    number = tenant.device_numbers
    if number > LAST_PAIRED_NUMBER:
        message = "This park has paired as many devices as there are numbers: call support."
        raise PlayParkError(ErrorCode.CONFLICT, message)
    features = tenant.features | store.features
    if body.type is DeviceType.KIOSK and not features.get(Feature.KIOSK, True):
        message = "Kiosks are switched off in this store: a supervisor can switch them on."
        raise PlayParkError(ErrorCode.PERMISSION, message, details={"reason": "capability"})
    status = DeviceStatus.ACTIVE if key.auto_approve else DeviceStatus.PENDING
    device = Device(
        id=new_ulid(),
        tenant_id=key.tenant_id,
        store_id=store.id,
        type=body.type,
        name=body.name,
        code=f"{number:02d}",
        number=number,
        status=status,
        token_hash=secret_hash(token),
        public_key=body.public_key,
        caps=_CAPS[body.type].model_dump(),
        registered_at=work.now,
        registered_by=key.created_by,
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
        features=features,
        key_version=tenant.key_version,
    )
    await DeviceRepository(work, *area).insert(device)
    await AuthorityRepository(work, *area).insert(authority)
    payload = {
        "type": device.type.value,
        "code": device.code,
        "status": status.value,
        "site_key_id": key.site_key_id,
    }
    await audit.append(work, authority.scope(None), "device.registered", device.id, payload)
    return device


async def login(platform: Platform, body: DeviceLoginIn) -> DeviceSession:
    """Exchange a device token for a short-lived access token. Wrong id and wrong token look and
    take the same; a pending, suspended or revoked device gets its 403 (R43). For 30 days after its
    revocation it gets a token instead that is good for handing in what it still holds, and for
    nothing else (R38)."""
    work = platform.uow.reading()
    device = await find_anywhere(work, Device, body.device_id)
    expected = device.token_hash if device else secret_hash("")
    if not hmac.compare_digest(expected, secret_hash(body.device_token)) or device is None:
        raise _not_known()
    await platform.limits.login_of_device(device.tenant_id, device.id)
    area = (device.tenant_id, device.store_id)
    authority = await AuthorityRepository(work, *area).find_one(_id=device.id)
    store = await StoreRepository(work, *area).find_one(_id=device.store_id)
    tenant = await TenantRepository(work, *area).find_one(_id=device.tenant_id)
    if authority is None or store is None or tenant is None:
        raise RuntimeError("device without store")  # the pairing transaction makes all of them
    review = authority.may_be_reviewed(work.now)
    try:
        authority.check_device()
    except PlayParkError as refusal:
        asking = authority.scope(None)
        await platform.note_refusal(
            platform.uow, asking, refusal.code, "POST /v1/auth/device/login"
        )
        if not review or refusal.code is not ErrorCode.DEVICE_REVOKED:
            raise
    # The authority was read before: a rotation in between has made its version a dead one, or the
    # token no longer the device's.
    used = {"last_login_at": work.now, "token_used_at": work.now}
    known = await DeviceRepository(work, *area).change(
        {"$set": used}, _id=device.id, token_hash=device.token_hash
    )
    if known is None:
        raise _not_known()
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
    sells = scope.device.caps.can_sell and not review
    scopes = [SYNC_REVIEW if review else "device"]
    return DeviceSession(
        access_token=platform.jwt.issue(claims, work.now, scopes=scopes),
        expires_in=int(LIFETIME[TokenType.DEVICE].total_seconds()),
        device=device_view(known),
        store=store_view(store, tenant),
        short_code_key=short_codes.open_key(platform.vault, tenant) if sells else None,
    )


def _not_known() -> PlayParkError:
    message = "This device is not known with that token: pair it again with a site key."
    return PlayParkError(ErrorCode.UNAUTHENTICATED, message)


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


def store_view(store: Store, tenant: Tenant) -> StoreView:
    return StoreView(
        store_id=store.id,
        tenant_id=tenant.id,
        tenant_name=tenant.name,
        name=store.name,
        address=store.address,
        tz=store.tz or tenant.tz,
        currency=tenant.currency,
        receipt_header=store.receipt_header,
        receipt_footer=store.receipt_footer,
        logo_ref=store.logo_ref,
        tax_registration=store.tax_registration,
        paper_width_mm=store.paper_width_mm,
        active=store.active,
    )
