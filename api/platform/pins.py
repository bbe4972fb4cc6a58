"""PIN hashes: argon2id, off the event loop, few at once and behind everything else (R41).

The threads that hash have a low priority and their queue is short, so that a storm of wrong
PINs makes logins slow and never sales.
"""

import asyncio
import os
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from playpark.errors import ErrorCode, PlayParkError

PARALLEL, MAX_UNDER_WAY, FOR_STRANGERS = 1, 40, 8
ENOUGH_MEMORY_KIB = 19_456
"""Of argon2id with two passes: less makes guessing cheap (OWASP, password storage)."""
LOWEST = 10
"""The niceness of a thread that sales go before: a tenth of a busy core is left to it, so that a
cashier can log in while the park is at its busiest."""
R = TypeVar("R")


class PinHasher:
    """Hashes and verifies PINs, `parallel` at once; at most `under_way` run or wait, and fewer of
    strangers, so that they never keep a till's people out.

    `hash` and `verify` raise E_UNAVAILABLE beyond that, whoever asks.
    """

    def __init__(
        self,
        parallel: int = PARALLEL,
        under_way: int = MAX_UNDER_WAY,
        memory_kib: int = ENOUGH_MEMORY_KIB,
    ) -> None:
        self._argon2 = PasswordHasher(time_cost=2, memory_cost=memory_kib, parallelism=1)
        self._threads = ThreadPoolExecutor(parallel, "pin", initializer=_step_back)
        self._under_way, self._most = 0, under_way
        self._strangers = 0
        self._dummy = self._argon2.hash("0000")

    async def hash(self, pin: str) -> str:
        """What may be stored of a PIN."""
        return await self._run(lambda: self._argon2.hash(pin))

    async def verify(self, pin_hash: str | None, pin: str, *, stranger: bool = False) -> bool:
        """True for the right PIN. Without a hash (unknown person) it takes as long and is False.
        `stranger`: no device of ours vouches for who asks."""
        if stranger and self._strangers >= FOR_STRANGERS:
            raise _busy()
        self._strangers += stranger
        try:
            return await self._run(lambda: self._verify(pin_hash, pin))
        finally:
            self._strangers -= stranger

    def _verify(self, pin_hash: str | None, pin: str) -> bool:
        try:
            self._argon2.verify(pin_hash or self._dummy, pin)
        except (VerificationError, InvalidHashError):
            return False
        return pin_hash is not None

    async def _run(self, job: Callable[[], R]) -> R:
        if self._under_way >= self._most:
            raise _busy()
        self._under_way += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, job)
        finally:
            self._under_way -= 1

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)


def _busy() -> PlayParkError:
    message = "Many people are logging in at this moment: try again in a few seconds."
    return PlayParkError(ErrorCode.UNAVAILABLE, message, retry_after=3)


def _step_back() -> None:
    """Only Linux has a priority for each thread; elsewhere this would slow the whole process."""
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), LOWEST)
