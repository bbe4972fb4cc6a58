"""Secrets that are stored: encrypted with a key from the environment (001 §11).

MultiFernet: the first ENCRYPTION_KEY seals, all of them open, so the key can be changed without a
moment in which something cannot be read.
"""

import base64
import hashlib
from collections.abc import Sequence

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from playpark.errors import ErrorCode, PlayParkError


class Vault:
    """Seals and opens short texts. `keys` are secrets of at least 32 bytes, the newest first."""

    def __init__(self, keys: Sequence[str]) -> None:
        self._keys = [Fernet(_fernet_key(key)) for key in keys]
        self._fernet = MultiFernet(self._keys)

    def seal(self, text: str) -> str:
        """What may be stored."""
        return self._fernet.encrypt(text.encode()).decode()

    def open(self, sealed: str) -> str:
        """What was sealed. Raises E_INTERNAL where no configured key fits."""
        try:
            return self._fernet.decrypt(sealed.encode()).decode()
        except InvalidToken:
            message = "A stored secret cannot be opened: ENCRYPTION_KEY lacks its key."
            raise PlayParkError(ErrorCode.INTERNAL, message) from None

    def is_current(self, sealed: str) -> bool:
        """Whether the newest key has sealed it."""
        try:
            self._keys[0].decrypt(sealed.encode())
        except InvalidToken:
            return False
        return True

    def reseal(self, sealed: str) -> str:
        """The same secret under the newest key. Raises as `open` does."""
        return self.seal(self.open(sealed))


def _fernet_key(secret: str) -> bytes:
    digest = hashlib.sha256(f"playpark|vault|{secret}".encode()).digest()
    return base64.urlsafe_b64encode(digest)
