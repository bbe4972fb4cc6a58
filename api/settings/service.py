"""Settings: defaults, overridden by the tenant, overridden by the store (R46).

Selling never reads them here. Each change publishes the next catalogue version, which carries
the merged settings; a process keeps the versions that it has read, and tills keep theirs on disk,
so that prices go on by the last good copy while this collection cannot be read.
"""

from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import to_jsonable_python

from api.audit import service as audit
from api.identity import stores
from api.identity.repository import StoreRepository, TenantRepository
from api.platform.health import Metrics
from api.platform.http import safe_errors
from api.platform.operations import chain_key
from api.platform.scope import Scope
from api.platform.services import Platform
from api.platform.uow import Work
from api.settings import features
from api.settings.last_good import LastGood
from api.settings.models import Overrides
from api.settings.repository import OverridesInForce, OverridesRepository
from playpark.contracts.employees import Permission
from playpark.contracts.rules import Level
from playpark.contracts.settings import (
    BillingSettings,
    ReceiptSettings,
    SettingsIn,
    SettingsView,
    SettingView,
    Source,
    StoreSettings,
)
from playpark.errors import ErrorCode, PlayParkError

Sections = dict[str, dict[str, Any]]
Values = dict[tuple[str, str], Any]
"""By (section, name)."""
CHANGED_ELSEWHERE = {
    "features": "features are switched with PUT /v1/feature_flags",
    "billing": "the park's operator changes the plan",
    "receipt": "it is changed with PATCH /v1/stores/{store_id} and /v1/receipt_templates",
}
"""Sections that are shown here and kept where they belong."""
_last_good: LastGood[SettingsView] = LastGood("settings")


async def merged(work: Work, tenant_id: str, store_ids: Sequence[str]) -> dict[str, StoreSettings]:
    """All settings of each store as they are now."""
    found = await _in_force(work, tenant_id, store_ids)
    return {store_id: _merged(overrides) for store_id, overrides in found.items()}


def _merged(found: Sequence[Overrides]) -> StoreSettings:
    sections: Sections = {}
    for overrides in found:
        for section, values in overrides.sections.items():
            sections.setdefault(section, {}).update(values)
    return StoreSettings.model_validate(sections)


async def read(platform: Platform, metrics: Metrics, scope: Scope) -> SettingsView:
    """Every setting of the scope's store and where it comes from, or the last good copy."""
    work = platform.uow.reading()
    return await _last_good.read(platform.mongo, metrics, _place(scope), lambda: view(work, scope))


async def view(work: Work, scope: Scope) -> SettingsView:
    """Every setting of the scope's store and where it comes from."""
    store_id = scope.store_id
    found = (await _in_force(work, scope.tenant_id, [store_id]))[store_id]
    sections = {
        section: {
            name: SettingView(value=value, source=Source.DEFAULT) for name, value in values.items()
        }
        for section, values in StoreSettings().model_dump(mode="json").items()
    }
    for overrides in found:
        source = Source.TENANT if overrides.store_id is None else Source.STORE
        for section, values in overrides.sections.items():
            for name, value in values.items():
                sections[section][name] = SettingView(value=value, source=source)
    sections |= await _kept_elsewhere(work, scope)
    return SettingsView(version=sum(each.version for each in found), sections=sections)


async def change(platform: Platform, scope: Scope, body: SettingsIn) -> SettingsView:
    """Set values, or take them back, for the store or the whole tenant; devices hear of it with
    their next request. Raises E_PERMISSION, and E_VALIDATION naming every wrong setting."""
    values = _checked(body.sections)
    store_id = None if body.scope is Level.TENANT else scope.store_id

    async def transaction(work: Work) -> SettingsView:
        if store_id is None:
            await stores.require_everywhere(work, scope, Permission.SETTINGS_WRITE)
        own = OverridesRepository(work, scope.tenant_id, store_id)
        before = await own.set_values(values)
        await platform.publish(work, scope.tenant_id, store_id)
        changed = await view(work, scope)
        was = before.sections if before else {}
        changes = [
            {"setting": f"{section}.{name}", "old": was.get(section, {}).get(name), "new": value}
            for (section, name), value in values.items()
        ]
        entity = store_id or scope.tenant_id
        facts = {"scope": body.scope.value, "changes": changes}
        await audit.append(work, scope, "settings.changed", entity, facts)
        return changed

    changed = await platform.uow.run(transaction, queue=chain_key(scope))
    return _last_good.keep(platform.mongo, _place(scope), changed)


async def _kept_elsewhere(work: Work, scope: Scope) -> dict[str, dict[str, SettingView]]:
    """The sections that are changed elsewhere, as they are now."""
    flags = await features.view(work, scope.tenant_id, scope.store_id)
    tenant = await TenantRepository.of(work, scope).find_one(_id=scope.tenant_id)
    store = await StoreRepository.of(work, scope).find_one(_id=scope.store_id)
    billing, receipt = BillingSettings(), ReceiptSettings()
    if tenant is not None:
        billing = BillingSettings(
            plan=tenant.billing_plan,
            trial_from=tenant.trial_from,
            trial_until=tenant.trial_until,
        )
    if store is not None:
        receipt = ReceiptSettings(
            header=store.receipt_header,
            footer=store.receipt_footer,
            logo_ref=store.logo_ref,
            tax_registration=store.tax_registration,
            paper_width_mm=store.paper_width_mm,
        )
    return {
        "features": {
            feature.value: SettingView(value=flag.value, source=flag.source)
            for feature, flag in flags.features.items()
        },
        "billing": _told(billing, Source.TENANT),
        "receipt": _told(receipt, Source.STORE),
    }


def _told(section: BaseModel, source: Source) -> dict[str, SettingView]:
    """Each value with its source, or as the default where it is no other."""
    defaults = type(section)().model_dump(mode="json")
    return {
        name: SettingView(value=value, source=Source.DEFAULT if value == defaults[name] else source)
        for name, value in section.model_dump(mode="json").items()
    }


def _place(scope: Scope) -> str:
    return f"{scope.tenant_id}:{scope.store_id}"


async def _in_force(
    work: Work, tenant_id: str, store_ids: Sequence[str]
) -> dict[str, list[Overrides]]:
    """For each store the tenant's overrides, then its own: those that exist."""
    return await OverridesInForce(work, tenant_id, store_ids).by_store(sort="store_id")


def _checked(sections: Sections) -> Values:
    """What is to be set, each value as its contract reads it. Raises E_VALIDATION."""
    known = StoreSettings.model_fields
    values: Values = {}
    problems: list[dict[str, Any]] = []
    for section, told in sections.items():
        if section not in known:
            problems.append(_not_here(section))
            continue
        model: type[BaseModel] = type(known[section].get_default())
        for name, value in told.items():
            if name not in model.model_fields:
                problems.append(_unknown(section, name))
            elif value is None:
                values[section, name] = None
            else:
                try:
                    read_value = getattr(model.model_validate({name: value}), name)
                except ValidationError as invalid:
                    problems += [{**e, "loc": (section, *e["loc"])} for e in invalid.errors()]
                else:
                    values[section, name] = to_jsonable_python(read_value)
    if problems:
        message = "These are not settings as the contract has them: see details."
        details = {"errors": safe_errors(problems)}
        raise PlayParkError(ErrorCode.VALIDATION, message, details=details)
    if not values:
        message = "Name at least one setting to change, such as money.cash_step."
        raise PlayParkError(ErrorCode.VALIDATION, message)
    return values


def _not_here(section: str) -> dict[str, Any]:
    if elsewhere := CHANGED_ELSEWHERE.get(section):
        return {"type": "elsewhere", "loc": (section,), "msg": elsewhere}
    return _unknown(section)


def _unknown(*path: str) -> dict[str, Any]:
    return {"type": "unknown", "loc": path, "msg": "there is no such setting: see GET /settings"}
