"""The key with which a till signs tickets while the server is away, and its certificate (R22, R34).

The private key lies in the device's store, encrypted with a secret of the device's safe. Without a
safe there is no key, and the till prints no tickets by itself.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from cryptography.fernet import InvalidToken
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pydantic import BaseModel, ConfigDict, Field

from playpark.client import ApiClient
from playpark.contracts.catalog import PackageKind
from playpark.contracts.gate import CertificateIn, CertificateView
from playpark.contracts.tenancy import DeviceType
from playpark.device.database import Database
from playpark.device.records import Allocator, Identity
from playpark.device.safe import Safe, box
from playpark.errors import ErrorCode, PlayParkError
from playpark.offline_tickets import OfflineTicket, mint_pp2, parse_pp2, public_key_text, verify_pp2

if TYPE_CHECKING:
    from playpark.device.store import DeviceStore

ASK_AGAIN = timedelta(hours=1)
"""After a refusal: a supervisor may have changed the device's capabilities by then."""
_NEXT_TIME = {
    ErrorCode.UNAVAILABLE,
    ErrorCode.RATE_LIMITED,
    ErrorCode.UNAUTHENTICATED,
    ErrorCode.TOKEN_EXPIRED,
}
"""What passes: all else is a refusal."""
_LABEL = "till key"
_BEYOND = (
    "This till may not print these tickets without the server: its certificate does not cover them."
)


# --- what stands on the disk ------------------------------------------------------------


class SealedKey(BaseModel):
    """A key pair: the public half, and the private one encrypted."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    public_key: str
    sealed: str = Field(repr=False)


class SigningRecord:
    """The till's key and certificate in its store. Blocks on the disk, from any thread."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @property
    def key(self) -> SealedKey | None:
        found = self._fact("till_key")
        return SealedKey.model_validate_json(found) if found else None

    @property
    def certificate(self) -> CertificateView | None:
        found = self._fact("certificate")
        return CertificateView.model_validate_json(found) if found else None

    def save_key(self, key: SealedKey) -> None:
        self._save("till_key", key)

    def save_certificate(self, certificate: CertificateView) -> None:
        self._save("certificate", certificate)

    def serials_taken(self, key_id: str) -> int:
        """How many tickets were signed under a certificate."""
        row = self._database.row("SELECT value FROM counters WHERE name = ?", f"serial:{key_id}")
        return int(row["value"]) if row else 0

    def _fact(self, name: str) -> str | None:
        row = self._database.row("SELECT value FROM facts WHERE name = ?", name)
        return str(row["value"]) if row else None

    def _save(self, name: str, value: BaseModel) -> None:
        with self._database.transaction() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO facts VALUES (?, ?)", (name, value.model_dump_json())
            )


# --- signing ----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Wanted:
    """A ticket to be signed."""

    ticket_id: str
    package_id: str
    valid_from: datetime
    valid_to: datetime


class OfflineTickets:
    """The till's right to print tickets without the server. Blocks on the disk and the safe, from
    any thread; `renew` is for the event loop's background."""

    def __init__(self, store: "DeviceStore", safe: Safe | None) -> None:
        self._store = store
        self._safe = safe
        self._opened: Ed25519PrivateKey | None = None
        self._not_before: datetime | None = None
        """When the server may be asked again after a refusal."""
        self._compared = False
        """The server has seen how many serials were taken since this program began: it knows more
        where the file was set back (R38)."""

    def public_key(self) -> str | None:
        """The public half of the till's key, made where there is none that opens; None where no
        secret would keep it."""
        if self._safe is None:
            return None
        key = self._key() or self._make()
        return public_key_text(key) if key else None

    async def renew(self, client: ApiClient, now: datetime) -> CertificateView | None:
        """Ask for a certificate where half of the present one is over, where it does not cover what
        is on sale, where there is none, and once after each start. None where nothing was asked or
        nothing is given.

        Raises PlayParkError where the server is not reachable or too busy, or the device has to log
        in again; a refusal is asked about again after an hour.
        """
        public_key = await asyncio.to_thread(self._wanting, now)
        if public_key is None:
            return None
        body = await asyncio.to_thread(self._request, public_key)
        try:
            certificate = await client.acting(None).certificate(body)
        except PlayParkError as refused:
            if refused.code in _NEXT_TIME:
                raise
            self._not_before = now + ASK_AGAIN
            return None
        self._compared = True
        await asyncio.to_thread(self._store.signing.save_certificate, certificate)
        return certificate

    def sign(
        self, allocator: Allocator, tickets: Sequence[Wanted], issued_at: datetime
    ) -> list[str]:
        """The tokens of these tickets, each with the next serial number, within the transaction of
        the operation that `allocator` belongs to: what is refused takes no number.

        Raises E_CONFLICT where there is no certificate for now, or the tickets are beyond it.
        """
        certificate = self._store.signing.certificate
        key = self._key()
        if certificate is None or key is None or certificate.public_key != public_key_text(key):
            message = "This till has no certificate for its own tickets: connect it to the server."
            raise PlayParkError(ErrorCode.CONFLICT, message)
        tokens = []
        for wanted in tickets:
            ticket = OfflineTicket(
                ticket_id=wanted.ticket_id,
                package_id=wanted.package_id,
                valid_from=wanted.valid_from,
                valid_to=wanted.valid_to,
                issued_at=issued_at,
                serial=allocator.serial(certificate.key_id),
                key_id=certificate.key_id,
            )
            token = mint_pp2(key, ticket)
            signed = parse_pp2(token)
            if signed is None or verify_pp2(signed, certificate) is not None:
                raise PlayParkError(ErrorCode.CONFLICT, _BEYOND)
            tokens.append(token)
        return tokens

    def _wanting(self, now: datetime) -> str | None:
        """The public key for which a certificate is due; None where none is."""
        too_early = self._not_before is not None and now < self._not_before
        if too_early or not _may_sell_offline(self._store.identity):
            return None
        public_key = self.public_key()
        present = self._store.signing.certificate
        if not self._compared or present is None or present.public_key != public_key:
            return public_key
        return None if self._covers(present, now) else public_key

    def _covers(self, present: CertificateView, now: datetime) -> bool:
        half = present.not_before + (present.not_after - present.not_before) / 2
        catalog = self._store.catalog()
        on_sale = {
            each.package_id
            for each in (catalog.packages if catalog else ())
            if each.kind is not PackageKind.BUNDLE
        }
        taken = self._store.signing.serials_taken(present.key_id)
        return now < half and on_sale <= {*present.packages} and 2 * taken < present.max_tickets

    def _request(self, public_key: str) -> CertificateIn:
        present = self._store.signing.certificate
        taken = self._store.signing.serials_taken(present.key_id) if present else 0
        return CertificateIn(public_key=public_key, serials_taken=taken)

    def _key(self) -> Ed25519PrivateKey | None:
        if self._opened is None and self._safe is not None:
            kept = self._store.signing.key
            self._opened = _open(self._safe, kept) if kept else None
        return self._opened

    def _make(self) -> Ed25519PrivateKey | None:
        key = Ed25519PrivateKey.generate()
        public_key = public_key_text(key)
        secret = self._safe.secret(public_key) if self._safe else None
        if secret is None:
            return None
        sealed = box(_LABEL, secret).encrypt(key.private_bytes_raw()).decode()
        self._store.signing.save_key(SealedKey(public_key=public_key, sealed=sealed))
        self._opened = key
        return key


def _open(safe: Safe, kept: SealedKey) -> Ed25519PrivateKey | None:
    secret = safe.secret(kept.public_key)
    if secret is None:
        return None
    try:
        raw = box(_LABEL, secret).decrypt(kept.sealed.encode())
    except InvalidToken:
        return None
    return Ed25519PrivateKey.from_private_bytes(raw)


def _may_sell_offline(identity: Identity | None) -> bool:
    """What the server would say, as far as the device knows itself."""
    device = identity.device if identity else None
    if device is None or device.type is not DeviceType.POS or not device.caps.can_sell:
        return False
    cap = device.caps.offline_cap
    return cap is None or 0 not in {cap.sales, cap.satang}
