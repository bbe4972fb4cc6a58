"""PP2: tickets that a till signs by itself while the server is away (R22).

`PP2.` and the Base45 (RFC 9285) of 52 bytes of claims and an Ed25519 signature: 178 characters,
which a QR code of version 7 at ECC M holds in its alphanumeric mode. A ticket names the certificate
that bounds it by its key id; whoever has the certificate can check it, and nobody can make one.
"""

import base64
import re
import struct
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from pydantic import StringConstraints
from ulid import ULID

from playpark.canonical import canonical_json
from playpark.contracts.catalog import PackageView
from playpark.contracts.gate import CertificateView
from playpark.contracts.tickets import FailReason, TicketStatus
from playpark.ids import CROCKFORD
from playpark.redemption import TicketState
from playpark.tokens import parse_pp1, token_hash

PP2_PREFIX = "PP2."
PP2_LENGTH = 178
LONGEST_CERTIFICATE = timedelta(hours=72)
MAX_SERIAL = (1 << 24) - 1
_CLAIMS = struct.Struct(">16s16sIII3s5s")
_KEY_ID_LENGTH = 8
_KEY_ID = re.compile(rf"[{CROCKFORD}]{{{_KEY_ID_LENGTH}}}")
_BASE45 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:"
_BASE45_VALUES = {char: value for value, char in enumerate(_BASE45)}
# What a key signs begins with what it is: no signature of one thing can stand for another.
_TICKET_PURPOSE, _CERTIFICATE_PURPOSE = b"playpark|PP2|", b"playpark|PP2 certificate|"
SIGNED_FIELDS = frozenset(
    {
        "key_id",
        "public_key",
        "device_id",
        "store_id",
        "packages",
        "not_before",
        "not_after",
        "max_tickets",
        "max_valid_to",
    }
)
"""What a certificate's signature covers: named, so that a gate which is older than the server
still reads what a newer server adds beside it (R57)."""

KeyId = Annotated[str, StringConstraints(pattern=r"^[0-9A-HJKMNP-TV-Z]{8}$")]
"""Eight Crockford characters (40 bits), chosen by the server: a certificate, within a tenant."""


@dataclass(frozen=True, slots=True)
class OfflineTicket:
    """What a till says of one ticket. Times are whole seconds; `serial` counts from 1 under one
    certificate, which `key_id` names."""

    ticket_id: str
    package_id: str
    valid_from: datetime
    valid_to: datetime
    issued_at: datetime
    serial: int
    key_id: str


@dataclass(frozen=True, slots=True)
class SignedTicket:
    """The parts of a PP2 token whose shape is right; its signature is not verified yet."""

    ticket: OfflineTicket
    signature: bytes
    text: str

    @property
    def hash(self) -> str:
        return token_hash(self.text)


# --- tokens -----------------------------------------------------------------------------


def mint_pp2(private_key: Ed25519PrivateKey, ticket: OfflineTicket) -> str:
    """The token of a ticket, times cut to whole seconds.

    Raises ValueError where an id is no ULID, or a number or time does not fit.
    """
    claims = _pack(ticket)
    return join_pp2(ticket, private_key.sign(_TICKET_PURPOSE + claims))


def join_pp2(ticket: OfflineTicket, signature: bytes) -> str:
    """The token again, of its claims and the signature that it had. Raises as `mint_pp2`."""
    return PP2_PREFIX + base45_encode(_pack(ticket) + signature)


def parse_pp2(text: str) -> SignedTicket | None:
    """The parts of `text`, or None where it is no PP2 token by shape (a foreign QR code)."""
    if len(text) != PP2_LENGTH or not text.startswith(PP2_PREFIX):
        return None
    raw = base45_decode(text.removeprefix(PP2_PREFIX))
    if raw is None:
        return None
    return SignedTicket(_unpack(raw[: _CLAIMS.size]), raw[_CLAIMS.size :], text)


def verify_pp2(signed: SignedTicket, certificate: CertificateView) -> FailReason | None:
    """None where the certificate's key has signed the ticket, within its bounds; else
    `invalid_sig`, whatever it was: who tries learns nothing.

    The certificate itself has been verified. Whether its key was withdrawn stands in `not_after`.
    """
    if not _within(signed.ticket, certificate):
        return FailReason.INVALID_SIG
    message = _TICKET_PURPOSE + _pack(signed.ticket)
    if not _verified(certificate.public_key, signed.signature, message):
        return FailReason.INVALID_SIG
    return None


def named_ticket(text: str) -> str | None:
    """The id of the ticket that a token of either format names by its shape; nothing of it is
    verified. None for a foreign code."""
    if token := parse_pp1(text):
        return token.ticket_id
    signed = parse_pp2(text)
    return signed.ticket.ticket_id if signed else None


def _within(ticket: OfflineTicket, certificate: CertificateView) -> bool:
    return (
        ticket.key_id == certificate.key_id
        and ticket.package_id in certificate.packages
        and 1 <= ticket.serial <= certificate.max_tickets
        and certificate.not_before <= ticket.issued_at <= certificate.not_after
        and ticket.valid_from < ticket.valid_to <= certificate.max_valid_to
    )


def pending_state(ticket: OfflineTicket, package: PackageView) -> TicketState:
    """What a verified ticket is whose sale has not arrived yet: its claims, and what the catalogue
    says of its package (R22)."""
    return TicketState(
        kind=package.kind,
        quota=package.quota_or_minutes,
        used=0,
        valid_from=ticket.valid_from,
        valid_to=ticket.valid_to,
        status=TicketStatus.PENDING,
        zones=tuple(package.zones),
        allowed_devices=tuple(package.allowed_devices),
        kid=ticket.key_id,
        issued_at=ticket.issued_at,
    )


# --- certificates -----------------------------------------------------------------------


def sign_certificate(server_key: Ed25519PrivateKey, unsigned: CertificateView) -> CertificateView:
    """The certificate with the server's signature over all its other fields."""
    signature = server_key.sign(_certificate_message(unsigned))
    return unsigned.model_copy(update={"signature": base64.b64encode(signature).decode()})


def verify_certificate(view: CertificateView, server_public_key: str) -> bool:
    """Whether the server's key (Base64) has signed it as it stands here, for 72 hours at most."""
    lasts = view.not_after - view.not_before
    if lasts > LONGEST_CERTIFICATE:
        return False
    signature = _base64(view.signature)
    return _verified(server_public_key, signature, _certificate_message(view))


def public_key_text(key: Ed25519PrivateKey) -> str:
    """The public half of a key, Base64 of its 32 bytes."""
    raw = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    return base64.b64encode(raw).decode()


def key_id_of(number: int) -> str:
    """A 40-bit number as a key id."""
    return "".join(CROCKFORD[number >> shift & 31] for shift in range(35, -5, -5))


def is_public_key(text: str) -> bool:
    """Whether `text` is an Ed25519 public key as `public_key_text` writes it."""
    return _public_key(text) is not None


def _certificate_message(view: CertificateView) -> bytes:
    facts = view.model_dump(mode="json", include=set(SIGNED_FIELDS))
    return _CERTIFICATE_PURPOSE + canonical_json(facts)


def _verified(public_key: str, signature: bytes, message: bytes) -> bool:
    key = _public_key(public_key)
    if key is None:
        return False
    try:
        key.verify(signature, message)
    except InvalidSignature:
        return False
    return True


def _public_key(text: str) -> Ed25519PublicKey | None:
    try:
        return Ed25519PublicKey.from_public_bytes(_base64(text))
    except ValueError:
        return None


def _base64(text: str) -> bytes:
    """The bytes, none where it is no canonical Base64."""
    try:
        raw = base64.b64decode(text, validate=True)
    except ValueError:
        return b""
    return raw if base64.b64encode(raw).decode() == text else b""


# --- claims in bytes --------------------------------------------------------------------


def _pack(ticket: OfflineTicket) -> bytes:
    if not 1 <= ticket.serial <= MAX_SERIAL or not _KEY_ID.fullmatch(ticket.key_id):
        msg = "a serial number or key id does not fit into a ticket"
        raise ValueError(msg)
    times = (ticket.valid_from, ticket.valid_to, ticket.issued_at)
    try:
        return _CLAIMS.pack(
            _ulid(ticket.ticket_id),
            _ulid(ticket.package_id),
            *(int(each.timestamp()) for each in times),
            ticket.serial.to_bytes(3, "big"),
            _key_number(ticket.key_id).to_bytes(5, "big"),
        )
    except struct.error:
        msg = "a time does not fit into a ticket: years from 1970 to 2106"
        raise ValueError(msg) from None


def _unpack(claims: bytes) -> OfflineTicket:
    ticket, package, valid_from, valid_to, issued_at, serial, key = _CLAIMS.unpack(claims)
    return OfflineTicket(
        ticket_id=str(ULID(ticket)),
        package_id=str(ULID(package)),
        valid_from=datetime.fromtimestamp(valid_from, UTC),
        valid_to=datetime.fromtimestamp(valid_to, UTC),
        issued_at=datetime.fromtimestamp(issued_at, UTC),
        serial=int.from_bytes(serial, "big"),
        key_id=key_id_of(int.from_bytes(key, "big")),
    )


def _ulid(text: str) -> bytes:
    ulid = ULID.from_str(text)
    if str(ulid) != text:
        msg = "an id of a ticket is a ULID in upper case"
        raise ValueError(msg)
    return bytes(ulid)


def _key_number(key_id: str) -> int:
    number = 0
    for char in key_id:
        number = number << 5 | CROCKFORD.index(char)
    return number


# --- Base45 (RFC 9285) ------------------------------------------------------------------


def base45_encode(raw: bytes) -> str:
    """Two bytes as three characters of the QR alphabet, least significant first; a last single
    byte as two."""
    text = []
    for at in range(0, len(raw), 2):
        pair = raw[at : at + 2]
        value = int.from_bytes(pair, "big")
        for _ in range(len(pair) + 1):
            value, digit = divmod(value, 45)
            text.append(_BASE45[digit])
    return "".join(text)


def base45_decode(text: str) -> bytes | None:
    """The bytes, or None for what no encoder writes: a foreign character, a group that is too
    short or stands for more than its bytes hold."""
    raw = bytearray()
    for at in range(0, len(text), 3):
        group = text[at : at + 3]
        digits = [_BASE45_VALUES.get(char, -1) for char in reversed(group)]
        if len(group) == 1 or min(digits) < 0:
            return None
        value = 0
        for digit in digits:
            value = value * 45 + digit
        size = len(group) - 1
        if value >> 8 * size:
            return None
        raw += value.to_bytes(size, "big")
    return bytes(raw)
