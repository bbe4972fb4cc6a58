"""Every stored secret under the newest ENCRYPTION_KEY (001 §11).

What has been done is seen at the value itself, so a run that was interrupted is simply run again.
"""

from dataclasses import dataclass
from typing import Any

from api.identity.short_codes import CLEAR_KEY
from api.platform.uow import Work
from api.platform.vault import Vault
from playpark.errors import PlayParkError


@dataclass(frozen=True, slots=True)
class SealedField:
    """Where sealed values stand: a field of a collection."""

    collection: str
    field: str


SEALED_FIELDS = (
    SealedField("secrets", "sealed"),
    SealedField("tenants", "short_code_key"),
    SealedField("authenticators", "sealed"),
    SealedField("tickets", "sealed_signature"),
    SealedField("dead_letters", "sealed"),
)
"""All of them: a test fails where a sealed value stands elsewhere."""


@dataclass(slots=True)
class Resealed:
    """What was found in one field: values sealed anew now, and those that were already; ids of
    documents whose value no configured key opens."""

    where: SealedField
    resealed: int
    current: int
    locked: list[str]


async def reseal_all(work: Work, vault: Vault) -> list[Resealed]:
    """Go through all tenants. A value that changes meanwhile is left to the next run."""
    return [await _reseal(work, vault, where) for where in SEALED_FIELDS]


async def _reseal(work: Work, vault: Vault, where: SealedField) -> Resealed:
    found = Resealed(where, 0, 0, [])
    collection = work.collection(where.collection)
    wanted = {"tenant_id": 1, where.field: 1}
    async for document in collection.find({where.field: {"$type": "string"}}, wanted):
        sealed = document[where.field]
        if vault.is_current(sealed):
            found.current += 1
            continue
        try:
            anew = vault.seal(sealed) if CLEAR_KEY.fullmatch(sealed) else vault.reseal(sealed)
        except PlayParkError:
            found.locked.append(str(document["_id"]))
            continue
        same: dict[str, Any] = {
            "_id": document["_id"],
            "tenant_id": document["tenant_id"],
            where.field: sealed,
        }
        change = {"$set": {where.field: anew, "updated_at": work.now}}
        found.resealed += (await collection.update_one(same, change)).modified_count
    return found
