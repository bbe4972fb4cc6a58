"""The key with which the server vouches for tills that sign tickets (R22, decision 0020).

It is made when a tenant needs it first. Only its newest version signs; nothing is verified with the
others, for a certificate is signed whenever it is handed out.
"""

import secrets

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from api.platform.documents import scoped_id
from api.platform.keyring import SecretRepository, StoredSecret
from api.platform.uow import Work
from api.platform.vault import Vault

CERTIFICATE_KEY = "certificate_ed25519"
SEED_BYTES = 32


async def current(work: Work, vault: Vault, tenant_id: str) -> Ed25519PrivateKey | None:
    """The key that signs now; None where no till of the tenant has asked for a certificate yet."""
    known = await SecretRepository(work, tenant_id, None).versions(CERTIFICATE_KEY)
    return _open(vault, known[-1]) if known else None


async def ensured(work: Work, vault: Vault, tenant_id: str) -> Ed25519PrivateKey:
    """The key that signs now, made where there is none; in a transaction."""
    found = await current(work, vault, tenant_id)
    return found or _open(vault, await add(work, vault, tenant_id))


async def add(work: Work, vault: Vault, tenant_id: str) -> StoredSecret:
    """Make the next version, in a transaction; the former one signs nothing more.

    Two that meet here would make the same version: the later one starts again and finds it."""
    repository = SecretRepository(work, tenant_id, None)
    known = await repository.versions(CERTIFICATE_KEY)
    if known:
        await repository.update_one({"$set": {"not_after": work.now}}, _id=known[-1].id)
    number = len(known) + 1
    version = f"C{number}"
    return await repository.insert(
        StoredSecret(
            id=scoped_id(tenant_id, CERTIFICATE_KEY, version),
            tenant_id=tenant_id,
            name=CERTIFICATE_KEY,
            version=version,
            number=number,
            sealed=vault.seal(secrets.token_hex(SEED_BYTES)),
        )
    )


def _open(vault: Vault, stored: StoredSecret) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(bytes.fromhex(vault.open(stored.sealed or "")))
