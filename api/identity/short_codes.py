"""The key of a tenant's short codes, sealed at rest (R24, 001 §11)."""

import re
import secrets

from api.identity.models import Tenant
from api.platform.vault import Vault

CLEAR_KEY = re.compile(r"[0-9a-f]{64}")
"""A key as it stood before there was a vault."""


def make_key(vault: Vault) -> str:
    """A fresh key, sealed."""
    return vault.seal(secrets.token_hex(32))


def open_key(vault: Vault, tenant: Tenant) -> str:
    """A tenant's key, hex. Parks that are older than the vault have it in clear until
    `playpark secrets reseal`."""
    stored = tenant.short_code_key
    return stored if CLEAR_KEY.fullmatch(stored) else vault.open(stored)
