"""Logging in while the server is away: who did so here within seven days, as they were (R39, R41).

A verifier is argon2id over the PIN keyed with a secret of this device, sealed with the device's
safe. The methods hash for a good while and block on the disk: call them in a thread.
"""

import hmac
import json
import secrets
import threading
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from argon2.low_level import Type, hash_secret_raw
from cryptography.fernet import Fernet, InvalidToken

from playpark.contracts.employees import EmployeeView
from playpark.device.people import Person, SealedSecret
from playpark.device.safe import Safe, box
from playpark.errors import ErrorCode, PlayParkError

if TYPE_CHECKING:
    from playpark.device.store import DeviceStore

VALID_FOR = timedelta(days=7)
_LABEL = "people"
_LONGEST_NAME = 200
_NO_SAFE = (
    "Nobody can log in on this device without the server: it has no secret to keep PINs with "
    "(PLAYPARK_DEVICE_KEY). Connect it to the server."
)
_NOBODY_YET = (
    "This device cannot check PINs without the server yet: connect it and log in with the server."
)
_WRONG = (
    "That person and PIN do not belong together here, or did not log in on this device within "
    "seven days: try again, or connect it to the server."
)
_LOCKED = "Too many wrong PINs: wait, then try again, or connect this device to the server."


@dataclass(frozen=True, slots=True)
class Cost:
    """How dear a guess is."""

    memory_kib: int = 64 * 1024
    passes: int = 3


@dataclass(frozen=True, slots=True)
class _Keys:
    """What opens the verifiers: their box, and the device's secret inside each of them."""

    box: Fernet
    secret: bytes


class OfflinePeople:
    """The right to log in without the server. One PIN is hashed at a time."""

    def __init__(self, store: "DeviceStore", safe: Safe | None, cost: Cost = Cost()) -> None:
        self._people = store.people
        self._safe = safe
        self._cost = cost
        self._hashing = threading.Lock()

    def remember(self, employee: EmployeeView, email: str, pin: str, now: datetime) -> None:
        """Somebody has logged in with the server: for seven days they may here without it, with
        the permissions of now. Without a safe nothing is kept."""
        keys = self._keys() or self._make()
        if keys is None:
            return
        salt = secrets.token_bytes(16)
        verifier = {
            "salt": salt.hex(),
            "memory_kib": self._cost.memory_kib,
            "passes": self._cost.passes,
            "digest": self._digest(keys, employee.employee_id, pin, salt, self._cost).hex(),
        }
        sealed = keys.box.encrypt(json.dumps(verifier).encode()).decode()
        self._people.keep(Person(_name(email), employee, sealed, now))

    def log_in(self, email: str, pin: str, now: datetime) -> EmployeeView:
        """Who this is, with their permissions as of their last login with the server.

        Raises E_UNAUTHENTICATED, the same and after the same work for a wrong PIN, for somebody
        unknown and for one who was here too long ago; E_PIN_LOCKED with `retry_after`, 30 s after
        five in a row and then longer; E_UNAVAILABLE where this device has no safe, or the disk
        does not take the attempt.
        """
        keys = self._keys()
        if keys is None:
            raise PlayParkError(ErrorCode.UNAVAILABLE, _NOBODY_YET if self._safe else _NO_SAFE)
        name = _name(email)
        wait = self._people.reserve(name, now)
        if wait is not None:
            raise PlayParkError(ErrorCode.PIN_LOCKED, _LOCKED, retry_after=wait)
        person = self._people.find(name)
        if person is not None and not self._is_recent(person, now):
            person = None
        if not self._fits(keys, person, pin) or person is None:
            raise PlayParkError(ErrorCode.UNAUTHENTICATED, _WRONG)
        self._people.accept(name, now)
        return person.employee

    def forget(self, email: str) -> None:
        """Who has this address may not log in here without the server any more."""
        if person := self._people.find(_name(email)):
            self._people.forget(person.employee.employee_id)

    def forget_pin(self, email: str, pin: str) -> None:
        """The server does not take this PIN: where this device would, it is an old one."""
        keys, person = self._keys(), self._people.find(_name(email))
        if keys is not None and person is not None and self._fits(keys, person, pin):
            self._people.forget(person.employee.employee_id)

    def forget_all(self) -> None:
        """Nobody may: the device was revoked, or is given away."""
        self._people.forget_all()

    # --- verifiers ----------------------------------------------------------------------

    def _is_recent(self, person: Person, now: datetime) -> bool:
        latest = self._people.latest()
        at = max(now, latest) if latest else now
        return at - person.seen_at <= VALID_FOR

    def _fits(self, keys: _Keys, person: Person | None, pin: str) -> bool:
        verifier = _opened(keys, person)
        cost, salt, expected = self._cost, secrets.token_bytes(16), secrets.token_bytes(32)
        if verifier is not None:
            cost = Cost(int(verifier["memory_kib"]), int(verifier["passes"]))
            salt, expected = bytes.fromhex(verifier["salt"]), bytes.fromhex(verifier["digest"])
        employee_id = person.employee.employee_id if person else "nobody"
        digest = self._digest(keys, employee_id, pin, salt, cost)
        return hmac.compare_digest(digest, expected)

    def _digest(self, keys: _Keys, employee_id: str, pin: str, salt: bytes, cost: Cost) -> bytes:
        keyed = hmac.digest(keys.secret, f"{employee_id}|{pin}".encode(), "sha256")
        with self._hashing:
            return hash_secret_raw(
                keyed,
                salt,
                time_cost=cost.passes,
                memory_cost=cost.memory_kib,
                parallelism=1,
                hash_len=32,
                type=Type.ID,
            )

    # --- the device's secret ------------------------------------------------------------

    def _keys(self) -> _Keys | None:
        """None where there is no safe, no secret yet, or one that does not open any more."""
        kept = self._people.secret
        secret = self._safe.secret(kept.name) if self._safe and kept else None
        if secret is None or kept is None:
            return None
        opened = box(_LABEL, secret)
        try:
            return _Keys(opened, opened.decrypt(kept.sealed.encode()))
        except InvalidToken:
            return None

    def _make(self) -> _Keys | None:
        name = f"people:{secrets.token_hex(8)}"
        secret = self._safe.secret(name) if self._safe else None
        if secret is None:
            return None
        keys = _Keys(box(_LABEL, secret), secrets.token_bytes(32))
        self._people.save_secret(
            SealedSecret(name=name, sealed=keys.box.encrypt(keys.secret).decode())
        )
        return keys


def _name(email: str) -> str:
    return email.strip().lower()[:_LONGEST_NAME]


def _opened(keys: _Keys, person: Person | None) -> dict[str, str] | None:
    if person is None:
        return None
    try:
        found: dict[str, str] = json.loads(keys.box.decrypt(person.sealed.encode()))
    except InvalidToken:
        return None
    return found
