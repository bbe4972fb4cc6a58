"""Creating and changing what a catalogue consists of: checked, published, audited (R9, R12, R43).

Each change is one transaction: its stores' turns are taken, what is written is checked against all
that is in force, the next versions are frozen, and the audit row tells old and new values.
"""

from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from api.audit import service as audit
from api.catalog.models import RuleUses
from api.catalog.parts import RULES, Edit, Part
from api.catalog.publishing import freeze
from api.catalog.repository import RuleUsesRepository
from api.identity import stores
from api.identity.stores import require_everywhere
from api.platform.http import safe_errors
from api.platform.operations import chain_key
from api.platform.scope import Scope
from api.platform.services import Platform
from api.platform.uow import Work
from playpark.contracts.base import Page
from playpark.contracts.employees import Permission
from playpark.contracts.rules import Level
from playpark.errors import ErrorCode, PlayParkError
from playpark.ids import new_ulid

V = TypeVar("V", bound=BaseModel)


class _UnchangedError(Exception):
    """Nothing would be different: the transaction is given up, no version is made."""

    def __init__(self, document: Any) -> None:
        super().__init__()
        self.document = document


async def page(work: Work, scope: Scope, part: Part[V], limit: int, cursor: str | None) -> Page[V]:
    """What the scope's store has of this list, newest first, inactive entries too."""
    found, more = await part.in_force.of(work, scope).page(limit, cursor)
    return Page(items=[part.show(document) for document in found], next_cursor=more)


async def create(platform: Platform, scope: Scope, part: Part[V], entry: BaseModel) -> V:
    """Add an entry. Raises E_PERMISSION for a tenant's entry where the caller may not in every
    store, E_VALIDATION, E_RULE_CONFLICT."""
    level = getattr(entry, "scope", Level.STORE)
    document_id = new_ulid()

    async def transaction(work: Work) -> V:
        if level is Level.TENANT:
            await require_everywhere(work, scope, Permission.CATALOG_WRITE)
        edit = await _edit(work, scope, None if level is Level.TENANT else scope.store_id)
        checked = await part.check(edit, document_id, entry, None)
        document = await insert(edit, part, document_id, checked)
        changes = _changes({}, checked.model_dump(mode="json"))
        await _publish(edit, scope, f"{part.name}.created", document_id, changes)
        return part.show(document)

    return await platform.uow.run(transaction, queue=chain_key(scope))


async def change(
    platform: Platform, scope: Scope, part: Part[V], document_id: str, patch: BaseModel
) -> V:
    """Change the fields that were sent; null empties one that may be empty.

    Raises E_PERMISSION as `create` does, E_NOT_FOUND, E_VALIDATION, E_RULE_CONFLICT.
    """

    async def transaction(work: Work) -> V:
        found = await part.in_force.of(work, scope).find_one(_id=document_id)
        if found is None:
            message = f"There is no such {part.name.replace('_', ' ')} in this store."
            raise PlayParkError(ErrorCode.NOT_FOUND, message)
        if found.store_id is None:
            await require_everywhere(work, scope, Permission.CATALOG_WRITE)
        was = part.whole.model_validate(part.values(found))
        entry = _patched(part, found, patch)
        if entry == was:
            raise _UnchangedError(found)
        edit = await _edit(work, scope, found.store_id)
        entry = await part.check(edit, document_id, entry, was)
        changes = _changes(was.model_dump(mode="json"), entry.model_dump(mode="json"))
        stored = part.document(document_id, edit.tenant_id, edit.store_id, entry).model_dump_doc()
        values = {each["field"]: stored[each["field"]] for each in changes}
        repository = part.repository(work, edit.tenant_id, edit.store_id)
        changed = await repository.change({"$set": values}, _id=document_id)
        await _publish(edit, scope, f"{part.name}.changed", document_id, changes)
        return part.show(changed)

    try:
        return await platform.uow.run(transaction, queue=chain_key(scope))
    except _UnchangedError as unchanged:
        return part.show(unchanged.document)


async def insert(edit: Edit, part: Part[Any], document_id: str, entry: BaseModel) -> Any:
    """Store a checked entry; a rule with its counter."""
    place = (edit.work, edit.tenant_id, edit.store_id)
    document = part.document(document_id, edit.tenant_id, edit.store_id, entry)
    await part.repository(*place).insert(document)
    if part is RULES:
        counter = RuleUses(id=document_id, tenant_id=edit.tenant_id, store_id=edit.store_id)
        await RuleUsesRepository(*place).insert(counter)
    return document


async def _edit(work: Work, scope: Scope, store_id: str | None) -> Edit:
    turns = await stores.next_catalogs(work, scope.tenant_id, store_id)
    return Edit(work, scope.tenant_id, store_id, turns)


async def _publish(
    edit: Edit, scope: Scope, event: str, document_id: str, changes: list[dict[str, Any]]
) -> None:
    await freeze(edit.work, edit.tenant_id, edit.turns)
    versions = [{"store_id": turn.store_id, "version": turn.version} for turn in edit.turns]
    facts = {"changes": changes, "catalog_versions": versions}
    await audit.append(edit.work, scope, event, document_id, facts)


def _patched(part: Part[Any], found: Any, patch: BaseModel) -> BaseModel:
    """The whole entry after the patch. Raises E_VALIDATION where it no longer makes sense."""
    sent = {name: getattr(patch, name) for name in patch.model_fields_set}
    try:
        return part.whole.model_validate({**part.values(found), **sent})
    except ValidationError as invalid:
        message = "The change does not fit the rest of the entry: see details."
        details = {"errors": safe_errors(invalid.errors())}
        raise PlayParkError(ErrorCode.VALIDATION, message, details=details) from None


def _changes(was: dict[str, Any], now: dict[str, Any]) -> list[dict[str, Any]]:
    """[{field, old, new}] of all that differs; all of it for a new entry."""
    return [
        {"field": name, "old": was.get(name), "new": value}
        for name, value in now.items()
        if name not in was or was[name] != value
    ]
