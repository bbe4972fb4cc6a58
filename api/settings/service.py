"""Settings: defaults, overridden by the tenant, overridden by the store (R46).

Selling never reads them here. Each change publishes the next catalogue version, which carries
the merged settings; a process keeps the versions that it has read, and tills keep theirs on disk,
so that prices go on by the last good copy while this collection cannot be read.
"""

from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import to_jsonable_python

from api.audit import service as audit
from api.platform.http import safe_errors
from api.platform.operations import chain_key
from api.platform.scope import Scope
from api.platform.services import Platform
from api.platform.uow import Work
from api.settings.models import Overrides
from api.settings.repository import OverridesInForce, OverridesRepository
from playpark.contracts.employees import Permission
from playpark.contracts.rules import Level
from playpark.contracts.settings import (
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


async def merged(work: Work, tenant_id: str, store_id: str) -> StoreSettings:
    """All settings of a store as they are now."""
    found = await _in_force(work, tenant_id, store_id)
    sections: Sections = {}
    for overrides in found:
        for section, values in overrides.sections.items():
            sections.setdefault(section, {}).update(values)
    return StoreSettings.model_validate(sections)


async def read(work: Work, scope: Scope) -> SettingsView:
    """Every setting of the scope's store and where it comes from."""
    found = await _in_force(work, scope.tenant_id, scope.store_id)
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
    return SettingsView(version=sum(each.version for each in found), sections=sections)


async def change(platform: Platform, scope: Scope, body: SettingsIn) -> SettingsView:
    """Set values, or take them back, for the store or the whole tenant; devices hear of it with
    their next request. Raises E_PERMISSION, and E_VALIDATION naming every wrong setting."""
    scope.require(Permission.SETTINGS_WRITE)
    values = _checked(body.sections)
    store_id = None if body.scope is Level.TENANT else scope.store_id

    async def transaction(work: Work) -> SettingsView:
        own = OverridesRepository(work, scope.tenant_id, store_id)
        before = await own.set_values(values)
        await platform.publish(work, scope.tenant_id, store_id)
        view = await read(work, scope)
        was = before.sections if before else {}
        changes = [
            {"setting": f"{section}.{name}", "old": was.get(section, {}).get(name), "new": value}
            for (section, name), value in values.items()
        ]
        entity = store_id or scope.tenant_id
        facts = {"scope": body.scope.value, "changes": changes}
        await audit.append(work, scope, "settings.changed", entity, facts)
        return view

    return await platform.uow.run(transaction, queue=chain_key(scope))


async def _in_force(work: Work, tenant_id: str, store_id: str) -> list[Overrides]:
    """The tenant's overrides, then the store's: those that exist."""
    found = await OverridesInForce(work, tenant_id, store_id).find()
    return sorted(found, key=lambda overrides: overrides.store_id is not None)


def _checked(sections: Sections) -> Values:
    """What is to be set, each value as its contract reads it. Raises E_VALIDATION."""
    known = StoreSettings.model_fields
    values: Values = {}
    problems: list[dict[str, Any]] = []
    for section, told in sections.items():
        if section not in known:
            problems.append(_unknown(section))
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


def _unknown(*path: str) -> dict[str, Any]:
    return {"type": "unknown", "loc": path, "msg": "there is no such setting: see GET /settings"}
