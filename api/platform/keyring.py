"""The keys that sign a tenant's tickets: roots of the environment, then the tenant's own (R21).

A process reads a tenant's keys once for each rotation: the request's scope says how many there
were, and nothing that stands on a token ever causes a read.
"""

import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from api.platform.documents import UNSTAMPED, Field, Model, ODMConfigDict, StoredTime, ascending
from api.platform.repository import Repository
from api.platform.uow import Work, unavailable
from api.platform.vault import Vault
from playpark.redemption import SigningKey

TICKET_HMAC = "ticket_hmac"
ROOTS = "roots"
"""The version that stands for all keys of the environment."""
MOST_KEYS = 1_000
_CACHE_SIZE = 1_000


class StoredSecret(Model):
    """One version of a tenant's secret. `id` is tenant:name:version.

    `number` counts the versions, the highest is in use; the environment's keys together are
    number 0, of which only the end is stored. After `not_after` nothing more is issued with it.
    """

    model_config = ODMConfigDict(
        collection="secrets",
        indexes=lambda: [ascending("tenant_id", "name", "version", unique=True)],
    )

    id: str = Field(primary_field=True)
    tenant_id: str
    created_at: StoredTime = UNSTAMPED
    updated_at: StoredTime = UNSTAMPED
    name: str
    version: str
    number: int
    sealed: str | None = None
    not_after: StoredTime | None = None


class SecretRepository(Repository[StoredSecret]):
    model = StoredSecret

    async def versions(self, name: str) -> list[StoredSecret]:
        """All versions of a secret, the oldest first."""
        return await self.find(sort="number", limit=MOST_KEYS, name=name)


@dataclass(frozen=True, slots=True)
class TicketKeys:
    """The HMAC keys of one tenant, by kid; `current` signs new tickets (R21)."""

    by_kid: dict[str, bytes] = field(repr=False)
    current: str
    not_after: Mapping[str, datetime] = field(default_factory=dict)
    """By kid: since when it issues nothing any more."""

    def signing_key(self, kid: str) -> SigningKey:
        """What a ticket is judged by whose token carries `kid`."""
        return SigningKey(kid, self.not_after.get(kid))


class KeyRing:
    """The ticket keys of all tenants; `roots` are HMAC_KEY_V<n> by their number."""

    def __init__(self, roots: Mapping[int, str], vault: Vault) -> None:
        self._roots = roots
        self._vault = vault
        self._kept: dict[str, tuple[int, TicketKeys]] = {}

    async def of(self, work: Work, tenant_id: str, key_version: int) -> TicketKeys:
        """The keys after `key_version` rotations, or later ones. `work` is outside transactions,
        whose view of the database may be older than the request's scope."""
        kept = self._kept.get(tenant_id)
        if kept is not None and kept[0] >= key_version:
            return kept[1]
        stored: list[StoredSecret] = []
        if key_version:
            stored = await SecretRepository(work, tenant_id, None).versions(TICKET_HMAC)
            if not stored or stored[-1].number < key_version:
                raise unavailable()
        keys = self._keys(tenant_id, stored)
        while len(self._kept) >= _CACHE_SIZE:
            self._kept.pop(next(iter(self._kept)))
        self._kept[tenant_id] = (stored[-1].number if stored else 0, keys)
        return keys

    def root_kids(self) -> list[str]:
        """The kids of the environment's keys, the oldest first: `01` is HMAC_KEY_V1."""
        return [f"{number:02d}" for number in sorted(self._roots)]

    def _keys(self, tenant_id: str, stored: list[StoredSecret]) -> TicketKeys:
        purpose = f"ticket|{tenant_id}".encode()
        by_kid = {
            f"{number:02d}": hmac.digest(self._roots[number].encode(), purpose, "sha256")
            for number in sorted(self._roots)
        }
        current = max(by_kid)
        not_after: dict[str, datetime] = {}
        for secret in stored:
            kids = [secret.version]
            if secret.sealed is None:
                kids = self.root_kids()
            else:
                by_kid[secret.version] = bytes.fromhex(self._vault.open(secret.sealed))
                current = secret.version
            if secret.not_after is not None:
                not_after |= dict.fromkeys(kids, secret.not_after)
        return TicketKeys(by_kid, current, not_after)
