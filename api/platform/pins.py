"""PIN hashes: argon2id, off the event loop, never more than two at once (R41)."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

MAX_PARALLEL = 2


class PinHasher:
    """Hashes and verifies PINs; a storm of logins waits here and not in front of the tills."""

    def __init__(self) -> None:
        self._argon2 = PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)
        self._threads = ThreadPoolExecutor(MAX_PARALLEL, thread_name_prefix="pin")
        self._dummy = self._argon2.hash("0000")

    def hash(self, pin: str) -> str:
        return self._argon2.hash(pin)

    async def verify(self, pin_hash: str | None, pin: str) -> bool:
        """True for the right PIN. Without a hash (unknown person) it takes as long and is False."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, self._verify, pin_hash, pin)

    def _verify(self, pin_hash: str | None, pin: str) -> bool:
        try:
            self._argon2.verify(pin_hash or self._dummy, pin)
        except (VerificationError, InvalidHashError):
            return False
        return pin_hash is not None

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)
