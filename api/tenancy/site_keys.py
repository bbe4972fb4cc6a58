"""Site keys: what pairs devices with a store, or with any store of the tenant (R43, R44)."""

import secrets
from datetime import datetime

from api.audit import service as audit
from api.identity.devices import KEY_GROUP, KEY_LENGTH, grouped, secret_hash
from api.identity.models import SiteKey
from api.identity.repository import SiteKeyRepository, SiteKeysInForce
from api.identity.stores import require_everywhere
from api.platform.operations import chain_key
from api.platform.scope import Scope
from api.platform.services import Platform
from api.platform.uow import Work
from playpark.contracts.base import Page
from playpark.contracts.employees import Permission
from playpark.contracts.rules import Level
from playpark.contracts.tenancy import SiteKeyCreated, SiteKeyIn, SiteKeyView
from playpark.errors import ErrorCode, PlayParkError
from playpark.ids import CROCKFORD, new_ulid


def make(
    tenant_id: str,
    store_id: str | None,
    *,
    uses: int | None,
    expires_at: datetime | None,
    auto_approve: bool,
    created_by: str | None,
) -> tuple[str, SiteKey]:
    """A fresh key, to be shown once, and the document that knows its hash only."""
    text = grouped("".join(secrets.choice(CROCKFORD) for _ in range(KEY_LENGTH)))
    key = SiteKey(
        id=secret_hash(text),
        tenant_id=tenant_id,
        store_id=store_id,
        site_key_id=new_ulid(),
        prefix=text[:KEY_GROUP],
        auto_approve=auto_approve,
        uses=uses,
        expires_at=expires_at,
        created_by=created_by,
    )
    return text, key


async def page(work: Work, scope: Scope, limit: int, cursor: str | None) -> Page[SiteKeyView]:
    """The store's keys and its tenant's, newest first, those that are no longer good too."""
    keys = SiteKeysInForce.of(work, scope)
    found, more = await keys.page(limit, cursor, key="site_key_id")
    return Page(items=[view(key) for key in found], next_cursor=more)


async def create(platform: Platform, scope: Scope, body: SiteKeyIn) -> SiteKeyCreated:
    """Make a key. Raises E_PERMISSION for a tenant's where the caller may not everywhere, and
    E_VALIDATION for an end that has passed."""
    of_tenant = body.scope is Level.TENANT
    text, key = make(
        scope.tenant_id,
        None if of_tenant else scope.store_id,
        uses=body.uses,
        expires_at=body.expires_at,
        auto_approve=body.auto_approve,
        created_by=scope.actor_id,
    )

    async def transaction(work: Work) -> SiteKey:
        if of_tenant:
            await require_everywhere(work, scope, Permission.DEVICE_MANAGE)
        if body.expires_at is not None and body.expires_at <= work.now:
            message = "This key would have expired already: choose a later expires_at, or none."
            raise PlayParkError(ErrorCode.VALIDATION, message, details={"field": "expires_at"})
        await SiteKeyRepository(work, scope.tenant_id, key.store_id).insert(key)
        facts = {**body.model_dump(mode="json"), "prefix": key.prefix}
        await audit.append(work, scope, "site_key.created", key.site_key_id, facts)
        return key.model_copy(update={"created_at": work.now})

    made = await platform.uow.run(transaction, queue=chain_key(scope))
    return SiteKeyCreated(**view(made).model_dump(), site_key=text)


async def withdraw(platform: Platform, scope: Scope, site_key_id: str) -> SiteKeyView:
    """Make a key useless from now on; devices that it has paired stay. Raises E_NOT_FOUND,
    E_CONFLICT where it is withdrawn already, and E_PERMISSION as `create` does."""

    async def transaction(work: Work) -> SiteKey:
        found = await SiteKeysInForce.of(work, scope).find_one(site_key_id=site_key_id)
        if found is None:
            raise PlayParkError(ErrorCode.NOT_FOUND, "There is no such site key in this store.")
        if found.store_id is None:
            await require_everywhere(work, scope, Permission.DEVICE_MANAGE)
        keys = SiteKeyRepository(work, scope.tenant_id, found.store_id)
        withdrawn = await keys.change(
            {"$set": {"withdrawn_at": work.now}}, _id=found.id, withdrawn_at=None
        )
        if withdrawn is None:
            message = "This site key is withdrawn already: it pairs nothing any more."
            raise PlayParkError(ErrorCode.CONFLICT, message)
        facts = {"prefix": found.prefix, "used": found.used}
        await audit.append(work, scope, "site_key.withdrawn", site_key_id, facts)
        return withdrawn

    return view(await platform.uow.run(transaction, queue=chain_key(scope)))


def view(key: SiteKey) -> SiteKeyView:
    """A key as it is listed."""
    return SiteKeyView(
        site_key_id=key.site_key_id,
        scope=Level.TENANT if key.store_id is None else Level.STORE,
        prefix=key.prefix,
        uses=key.uses,
        used=key.used,
        uses_left=None if key.uses is None else key.uses - key.used,
        expires_at=key.expires_at,
        auto_approve=key.auto_approve,
        created_at=key.created_at,
        created_by=key.created_by,
        withdrawn_at=key.withdrawn_at,
    )
