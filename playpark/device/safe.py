"""Where a device keeps the secret that its own file is locked with (R34).

It is one of the environment, or of the OS keyring where the `keyring` package is installed. Whoever
has the disk alone has neither the till's key nor anything to try PINs on.
"""

import base64
import hashlib
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from cryptography.fernet import Fernet

from playpark.errors import ErrorCode, PlayParkError

SECRET_VARIABLE = "PLAYPARK_DEVICE_KEY"  # noqa: S105 - the name of a variable
KEYRING_SERVICE = "playpark till key"
SHORTEST_SECRET = 32


class Safe(Protocol):
    """Something outside the device's store that keeps the secrets which open what is sealed."""

    def secret(self, name: str) -> str | None:
        """The secret of this name, made where the safe makes its own; None where it cannot."""


@dataclass(frozen=True, slots=True)
class GivenSecret:
    """The secret of the environment, for every name."""

    value: str

    def secret(self, name: str) -> str | None:  # noqa: ARG002 - one for all
        return self.value


class KeyringSafe:
    """The keyring of the OS, one random secret a name. It may ask a person, so it blocks."""

    def __init__(self) -> None:
        import keyring  # noqa: PLC0415 - optional, and 0.2 s of a start

        self._keyring = keyring

    def secret(self, name: str) -> str | None:
        errors = self._keyring.errors.KeyringError
        try:
            known: str | None = self._keyring.get_password(KEYRING_SERVICE, name)
            if known is None:
                known = secrets.token_urlsafe(SHORTEST_SECRET)
                self._keyring.set_password(KEYRING_SERVICE, name, known)
        except errors:
            return None
        return known


def find_safe(environment: Mapping[str, str] = os.environ) -> Safe | None:
    """The environment's secret, else the keyring, else None. Raises E_VALIDATION for a secret that
    is too short to be one."""
    given = environment.get(SECRET_VARIABLE, "")
    if given:
        if len(given) < SHORTEST_SECRET:
            message = f"{SECRET_VARIABLE} needs {SHORTEST_SECRET} characters or more: make it anew."
            raise PlayParkError(ErrorCode.VALIDATION, message)
        return GivenSecret(given)
    try:
        return KeyringSafe()
    except ImportError:
        return None


def box(label: str, secret: str) -> Fernet:
    """What seals and opens things of one kind with a secret of the safe; another `label` makes
    another key of the same secret."""
    digest = hashlib.sha256(f"playpark|{label}|{secret}".encode()).digest()
    return Fernet(base64.urlsafe_b64encode(digest))
