"""Vouching for tills that sign tickets while they are offline (R22, decision 0020)."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from api.audit import service as audit
from api.catalog import service as catalog
from api.certificates.models import Certificate
from api.certificates.repository import CertificateRepository
from api.identity.models import Device
from api.identity.repository import DeviceRepository
from api.platform.operations import chain_key
from api.platform.scope import Scope
from api.platform.services import Platform
from api.platform.uow import Work
from api.secrets import certificate_key
from playpark.clock import business_date, business_day_start
from playpark.contracts.catalog import PackageKind
from playpark.contracts.employees import Permission
from playpark.contracts.gate import CertificateIn, CertificateView
from playpark.contracts.tenancy import DeviceStatus, DeviceType
from playpark.errors import ErrorCode, PlayParkError
from playpark.ids import MAX_DEVICE_NUMBER
from playpark.offline_tickets import (
    LONGEST_CERTIFICATE,
    SignedTicket,
    key_id_of,
    public_key_text,
    sign_certificate,
    verify_pp2,
)

MOST_AT_ONCE = 50
"""Certificates that one till may have in force: more is a fault, and a burden to every gate."""
KEPT = timedelta(days=90)
"""How long after its last ticket has expired a certificate waits for sales that come late."""
CLOCK_SLACK = timedelta(minutes=5)
_COUNT_BITS = 40 - MAX_DEVICE_NUMBER.bit_length()


@dataclass(frozen=True, slots=True)
class GateCertificates:
    """What gates check offline tickets with. `key`: the server's public key, Base64, None where no
    till has a certificate."""

    key: str | None
    certificates: list[CertificateView]


async def issue(platform: Platform, scope: Scope, body: CertificateIn) -> CertificateView:
    """A certificate for the calling till's key: the one that it has, while that has half of its
    time and of its serials before it and nothing has changed, else the next. A till that counts
    fewer serials than have arrived was set back: it would sign some of them again (R38).

    Raises E_PERMISSION for a device that sells no tickets offline, E_VALIDATION without a key,
    E_CONFLICT for too many at once.
    """
    _require_offline_till(scope)

    async def transaction(work: Work) -> CertificateView:
        device = await _device(work, scope)
        wanted = await _wanted(work, scope, device, _key_of(device, body))
        in_force = await CertificateRepository.of(work, scope).in_force(device.id)
        server_key = await certificate_key.ensured(work, platform.vault, scope.tenant_id)
        good = bool(in_force) and _still_good(work, in_force[0], wanted, body.serials_taken)
        if good and not await _is_behind(work, scope, in_force[0], body):
            return sign_certificate(server_key, view(in_force[0]))
        if len(in_force) >= MOST_AT_ONCE:
            message = "This till has too many certificates in force: wait until the oldest end."
            raise PlayParkError(ErrorCode.CONFLICT, message)
        fresh = await _insert(work, scope, device, wanted)
        facts = {
            "device_id": device.id,
            "not_after": fresh.not_after.isoformat(),
            "max_tickets": fresh.max_tickets,
            "max_valid_to": fresh.max_valid_to.isoformat(),
            "packages": len(fresh.packages),
            "new_key": fresh.public_key not in {each.public_key for each in in_force},
        }
        await audit.append(work, scope, "certificate.issued", fresh.key_id, facts)
        return sign_certificate(server_key, view(fresh))

    return await platform.uow.run(transaction, queue=chain_key(scope))


async def certificates_for(platform: Platform, work: Work, scope: Scope) -> GateCertificates:
    """What the store's gates need: certificates whose tickets may admit without their sale, signed
    with the server's present key (R22)."""
    certificates = CertificateRepository.of(work, scope)
    found = await certificates.ended_after(work.now - LONGEST_CERTIFICATE)
    server_key = await certificate_key.current(work, platform.vault, scope.tenant_id)
    if server_key is None:
        return GateCertificates(None, [])
    signed = [sign_certificate(server_key, view(each)) for each in found]
    return GateCertificates(public_key_text(server_key), signed)


async def covering(work: Work, scope: Scope, signed: SignedTicket) -> Certificate | None:
    """The certificate of this store that an offline ticket was signed under and that covers it;
    None for a ticket that is forged or beyond its bounds. Reads no ticket (R21)."""
    found = await CertificateRepository.of(work, scope).named(signed.ticket.key_id)
    if found is None or verify_pp2(signed, view(found)) is not None:
        return None
    return found


async def covering_all(
    work: Work, scope: Scope, tokens: Sequence[SignedTicket]
) -> dict[str, Certificate]:
    """The same for the tickets of one sale, by token: those that are covered."""
    certificates = CertificateRepository.of(work, scope)
    keys = sorted({certificates.key(signed.ticket.key_id) for signed in tokens})
    known = await certificates.find(limit=len(keys) or 1, _id={"$in": keys})
    found = {each.key_id: each for each in known}
    covered = {}
    for signed in tokens:
        certificate = found.get(signed.ticket.key_id)
        if certificate is not None and verify_pp2(signed, view(certificate)) is None:
            covered[signed.text] = certificate
    return covered


async def end(work: Work, scope: Scope, device_id: str) -> int:
    """A till is revoked: what it signs from now on is invalid. Returns how many certificates
    ended; in the revocation's transaction."""
    return await CertificateRepository.of(work, scope).end(device_id)


def view(certificate: Certificate) -> CertificateView:
    """A certificate without its signature."""
    return CertificateView(
        key_id=certificate.key_id,
        public_key=certificate.public_key,
        device_id=certificate.device_id,
        store_id=certificate.store_id,
        packages=certificate.packages,
        not_before=certificate.not_before,
        not_after=certificate.not_after,
        max_tickets=certificate.max_tickets,
        max_valid_to=certificate.max_valid_to,
        signature="",
    )


def _require_offline_till(scope: Scope) -> None:
    """Raises E_PERMISSION for whatever is no till that may sell offline."""
    scope.require_device(Permission.SELL)
    cap = scope.device.caps.offline_cap
    nothing = cap is not None and 0 in {cap.sales, cap.satang}
    if scope.device.type is not DeviceType.POS or nothing:
        message = "This device sells no tickets offline: a supervisor can change its offline cap."
        raise PlayParkError(ErrorCode.PERMISSION, message, details={"reason": "capability"})


async def _device(work: Work, scope: Scope) -> Device:
    device = await DeviceRepository.of(work, scope).find_one(
        _id=scope.device.device_id, status=DeviceStatus.ACTIVE.value
    )
    if device is None:
        raise PlayParkError(ErrorCode.DEVICE_SUSPENDED, "This device is not active any more.")
    return device


def _key_of(device: Device, body: CertificateIn) -> str:
    key = body.public_key or device.public_key
    if key is None:
        message = "Send `public_key`: this device has registered none at its pairing."
        raise PlayParkError(ErrorCode.VALIDATION, message)
    return key


async def _wanted(work: Work, scope: Scope, device: Device, public_key: str) -> Certificate:
    """The certificate that the till would get now; its key id is not taken yet."""
    known = await catalog.snapshot(work, scope)
    tickets = [each for each in known.packages if each.kind is not PackageKind.BUNDLE]
    lasts = timedelta(hours=known.settings.offline.certificate_hours)
    # Tickets tell whole seconds, and the till's clock may be behind ours.
    not_before = work.now.replace(microsecond=0) - CLOCK_SLACK
    not_after = not_before + min(lasts, LONGEST_CERTIFICATE)
    days = max((each.valid_days for each in tickets), default=1)
    last_day = business_date(not_after, scope.zone) + timedelta(days=days)
    max_valid_to = business_day_start(last_day, scope.zone)
    return Certificate(
        id="",
        tenant_id=scope.tenant_id,
        store_id=scope.store_id,
        key_id="",
        device_id=device.id,
        public_key=public_key,
        packages=[each.package_id for each in tickets],
        not_before=not_before,
        not_after=not_after,
        max_tickets=known.settings.offline.max_tickets,
        max_valid_to=max_valid_to,
        expires_at=max_valid_to + KEPT,
    )


def _still_good(work: Work, present: Certificate, wanted: Certificate, taken: int) -> bool:
    lasts = wanted.not_after - wanted.not_before
    same = all(
        getattr(present, name) == getattr(wanted, name)
        for name in ("public_key", "packages", "max_tickets")
    )
    # Within its first half, and no longer than what the store allows now.
    half_left = lasts / 2 <= present.not_after - work.now <= lasts
    return same and half_left and 2 * taken < present.max_tickets


async def _is_behind(work: Work, scope: Scope, present: Certificate, body: CertificateIn) -> bool:
    if "serials_taken" not in body.model_fields_set:
        return False
    arrived = await CertificateRepository.of(work, scope).last_serial(present.key_id)
    return arrived > body.serials_taken


async def _insert(work: Work, scope: Scope, device: Device, wanted: Certificate) -> Certificate:
    """Count and keep it. A revocation writes the device too: one of the two starts again."""
    counted = await DeviceRepository.of(work, scope).change(
        {"$inc": {"certificates": 1}, "$set": {"public_key": wanted.public_key}},
        _id=device.id,
        status=DeviceStatus.ACTIVE.value,
    )
    if counted is None:
        raise RuntimeError("device changed under a transaction")  # the database starts it again
    certificates = CertificateRepository.of(work, scope)
    key_id = key_id_of(counted.number << _COUNT_BITS | counted.certificates)
    named = {"id": certificates.key(key_id), "key_id": key_id}
    return await certificates.insert(wanted.model_copy(update=named))
