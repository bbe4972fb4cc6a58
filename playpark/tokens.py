"""What stands in a ticket's QR code: PP1 tokens, minted and verified (R21).

`PP1.<kid>.<ticket ULID>.<26 Base32 characters>`: 60 upper-case characters, which a QR code of
version 3 at ECC M holds in its alphanumeric mode. The ticket id is the identity; the token only
authenticates. Only the server holds the keys; a gate checks shape and matches hashes.
"""

import base64
import hashlib
import hmac
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass

_PP1 = re.compile(r"PP1\.([0-9A-Z]{2})\.([0-7][0-9A-HJKMNP-TV-Z]{25})\.([A-Z2-7]{26})")
TOKEN_LENGTH = 60
MIN_KEY_BYTES = 32


@dataclass(frozen=True, slots=True)
class TicketToken:
    """The parts of a PP1 token whose shape is right; its signature is not verified yet."""

    kid: str
    ticket_id: str
    signature: str
    text: str

    @property
    def hash(self) -> str:
        return token_hash(self.text)


def parse_pp1(text: str) -> TicketToken | None:
    """The parts of `text`, or None where it is no PP1 token by shape (a foreign QR code)."""
    if len(text) != TOKEN_LENGTH or not (match := _PP1.fullmatch(text)):
        return None
    return TicketToken(kid=match[1], ticket_id=match[2], signature=match[3], text=text)


def mint_pp1(keys: Mapping[str, bytes], kid: str, tenant_id: str, ticket_id: str) -> str:
    """The token of a ticket, signed with the key `kid`. Raises KeyError for an unknown kid."""
    return f"PP1.{kid}.{ticket_id}.{_signature(keys[kid], kid, tenant_id, ticket_id)}"


def verify_pp1(keys: Mapping[str, bytes], tenant_id: str, token: TicketToken) -> bool:
    """True where the signature is this tenant's, in time that does not depend on the answer."""
    # An unknown kid is hashed with a throwaway key, so that it takes as long as a known one.
    key = keys.get(token.kid) or secrets.token_bytes(MIN_KEY_BYTES)
    expected = _signature(key, token.kid, tenant_id, token.ticket_id)
    return hmac.compare_digest(expected, token.signature) and token.kid in keys


def token_hash(text: str) -> str:
    """SHA-256 of a token in hex: what databases and allow-lists hold instead of it."""
    return hashlib.sha256(text.encode()).hexdigest()


def _signature(key: bytes, kid: str, tenant_id: str, ticket_id: str) -> str:
    message = f"PP1|{kid}|{tenant_id}|{ticket_id}".encode()
    digest = hmac.digest(key, message, "sha256")[:16]
    return base64.b32encode(digest).decode().rstrip("=")
