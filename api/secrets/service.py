"""A tenant's secrets by name and version, and their rotation (R21, decision 0014)."""

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

from api.audit import service as audit
from api.identity import stores
from api.identity.models import Tenant
from api.identity.repository import TenantRepository, TenantSessions
from api.platform.documents import scoped_id
from api.platform.keyring import ROOTS, TICKET_HMAC, SecretRepository, StoredSecret
from api.platform.operations import chain_key
from api.platform.scope import Scope
from api.platform.services import Platform
from api.platform.uow import Work
from api.secrets import certificate_key
from api.secrets.certificate_key import CERTIFICATE_KEY
from playpark.contracts.employees import Permission
from playpark.contracts.secrets import SecretSource, SecretStatus, SecretVersion, SecretView
from playpark.errors import ErrorCode, PlayParkError

KEY_BYTES = 32
UNDER_WAY = timedelta(minutes=1)
"""Batches and transactions that began before a rotation are over by then."""
_LETTERS, _SIGNS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ", "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
LAST_KEY = len(_LETTERS) * len(_SIGNS)


async def listed(platform: Platform, scope: Scope) -> list[SecretView]:
    """The tenant's secrets. Raises E_PERMISSION."""
    work = platform.uow.reading()
    await stores.require_everywhere(work, scope, Permission.SETTINGS_WRITE)
    return await _views(platform, work, scope.tenant_id)


@dataclass(frozen=True, slots=True)
class ParkSecret:
    """A secret of one of the parks."""

    park: str
    secret: SecretView


async def of_all_parks(platform: Platform) -> list[ParkSecret]:
    """The secrets of all tenants: for the operator at the server's own keyboard."""
    work = platform.uow.reading()
    parks = work.collection(Tenant.__collection__).find({}, {"name": 1}).sort("_id", 1)
    return [
        ParkSecret(park["name"], secret)
        async for park in parks
        for secret in await _views(platform, work, park["_id"])
    ]


async def rotate(platform: Platform, scope: Scope, name: str, grace: timedelta) -> SecretView:
    """Make the next version; the former one may issue for `grace` more.

    It signs from everybody's next request on. Raises E_PERMISSION, E_NOT_FOUND, E_CONFLICT where
    there are no more versions.
    """
    key = platform.vault.seal(secrets.token_hex(KEY_BYTES))

    async def transaction(work: Work) -> SecretView:
        await stores.require_everywhere(work, scope, Permission.SETTINGS_WRITE)
        if name == CERTIFICATE_KEY:
            return await _rotate_certificate_key(platform, work, scope)
        if name != TICKET_HMAC:
            raise _no_such_secret()
        number = await _next_number(work, scope.tenant_id)
        not_after = work.now + max(grace, UNDER_WAY)
        former = await _retire(work, scope.tenant_id, number - 1, not_after)
        version = _kid(number)
        await SecretRepository.of(work, scope).insert(
            StoredSecret(
                id=scoped_id(scope.tenant_id, name, version),
                tenant_id=scope.tenant_id,
                name=name,
                version=version,
                number=number,
                sealed=key,
            )
        )
        view = await _view(platform, work, scope.tenant_id)
        facts = {"version": version, "former": former, "not_after": not_after.isoformat()}
        await audit.append(work, scope, "secret.rotated", name, facts)
        return view

    return await platform.uow.run(transaction, queue=chain_key(scope))


async def _rotate_certificate_key(platform: Platform, work: Work, scope: Scope) -> SecretView:
    """Sign certificates with another key from now on. No grace: gates get the certificates and
    the key that has signed them in one answer (R22). Raises E_NOT_FOUND."""
    former = await _certificate_key(work, scope.tenant_id)
    if former is None:
        raise _no_such_secret()
    added = await certificate_key.add(work, platform.vault, scope.tenant_id)
    view = await _certificate_key(work, scope.tenant_id)
    facts = {"version": added.version, "former": former.current}
    await audit.append(work, scope, "secret.rotated", CERTIFICATE_KEY, facts)
    return view or former


def _no_such_secret() -> PlayParkError:
    message = "There is no such secret: see GET /v1/secrets."
    return PlayParkError(ErrorCode.NOT_FOUND, message)


async def _next_number(work: Work, tenant_id: str) -> int:
    """Count the tenant's rotations, and tell every session (R43). Two that meet here follow each
    other, and so does a device that is being paired."""
    tenant = await TenantRepository(work, tenant_id, None).change(
        {"$inc": {"key_version": 1}}, _id=tenant_id
    )
    if tenant is None:
        raise PlayParkError(ErrorCode.NOT_FOUND, "There is no such park.")
    if tenant.key_version > LAST_KEY:
        message = "Every version of this secret was used: call support."
        raise PlayParkError(ErrorCode.CONFLICT, message)
    told = {"$set": {"key_version": tenant.key_version}}
    await TenantSessions(work, tenant_id, None).update_many(told)
    return tenant.key_version


async def _retire(work: Work, tenant_id: str, number: int, not_after: datetime) -> str:
    """End the issuing with a version; its name. The environment's keys end together (0)."""
    repository = SecretRepository(work, tenant_id, None)
    if number:
        ended = {"$set": {"not_after": not_after}}
        await repository.update_one(ended, name=TICKET_HMAC, number=number)
        return _kid(number)
    await repository.insert(
        StoredSecret(
            id=scoped_id(tenant_id, TICKET_HMAC, ROOTS),
            tenant_id=tenant_id,
            name=TICKET_HMAC,
            version=ROOTS,
            number=0,
            not_after=not_after,
        )
    )
    return ROOTS


async def _views(platform: Platform, work: Work, tenant_id: str) -> list[SecretView]:
    certificates = await _certificate_key(work, tenant_id)
    tickets = await _view(platform, work, tenant_id)
    return [tickets] if certificates is None else [tickets, certificates]


async def _certificate_key(work: Work, tenant_id: str) -> SecretView | None:
    """The key of the tills' certificates; None until a till has asked for one."""
    stored = await SecretRepository(work, tenant_id, None).versions(CERTIFICATE_KEY)
    if not stored:
        return None
    versions = [_version(work, each, each.version) for each in reversed(stored)]
    return SecretView(name=CERTIFICATE_KEY, current=versions[0].version, versions=versions)


async def _view(platform: Platform, work: Work, tenant_id: str) -> SecretView:
    stored = await SecretRepository(work, tenant_id, None).versions(TICKET_HMAC)
    own = [_version(work, each, each.version) for each in stored if each.number]
    roots = _roots(platform, work, stored[0] if stored else None)
    versions = [*reversed(own), *roots]
    return SecretView(name=TICKET_HMAC, current=versions[0].version, versions=versions)


def _roots(platform: Platform, work: Work, end: StoredSecret | None) -> list[SecretVersion]:
    """The environment's keys, the newest first; all but that one only verify."""
    newest, *older = reversed(platform.keyring.root_kids())
    ended = end.not_after if end else None
    return [
        SecretVersion(
            version=kid,
            status=_status(work, ended) if kid == newest else SecretStatus.RETIRED,
            source=SecretSource.ENVIRONMENT,
            created_at=None,
            not_after=ended,
        )
        for kid in (newest, *older)
    ]


def _version(work: Work, stored: StoredSecret, version: str) -> SecretVersion:
    return SecretVersion(
        version=version,
        status=_status(work, stored.not_after),
        source=SecretSource.TENANT,
        created_at=stored.created_at,
        not_after=stored.not_after,
    )


def _status(work: Work, not_after: datetime | None) -> SecretStatus:
    if not_after is None:
        return SecretStatus.CURRENT
    return SecretStatus.RETIRING if work.now <= not_after else SecretStatus.RETIRED


def _kid(number: int) -> str:
    """The name of the tenant's own version `number`, 1 and up: A0, …, A9, AA, …, ZZ. Those of the
    environment have two digits (R21)."""
    letter, sign = divmod(number - 1, len(_SIGNS))
    return _LETTERS[letter] + _SIGNS[sign]
