"""Identifiers: ULIDs, short codes that a person can type, receipt numbers (R23, R24, R29)."""

import hmac
import os
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Annotated

from pydantic import StringConstraints
from ulid import ULID

CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_ULID = re.compile(r"[0-7][0-9A-HJKMNP-TV-Z]{25}")
_SHORT_BITS = 35
_MASK = (1 << _SHORT_BITS) - 1
_COUNTER_BITS = 22
_ROUNDS = 6
MAX_DEVICE_NUMBER = (1 << (_SHORT_BITS - _COUNTER_BITS)) - 1
LAST_PAIRED_NUMBER = MAX_DEVICE_NUMBER - 64
"""Device numbers beyond it are the server's, besides 0: it sells for all outside clients."""

UlidStr = Annotated[str, StringConstraints(pattern=r"^[0-7][0-9A-HJKMNP-TV-Z]{25}$")]
"""A ULID in its canonical upper-case form."""

NewId = Callable[[], str]
"""Makes a fresh ULID; passed in where a test wants to know the ids."""


_PAIRS = [first + second for first in CROCKFORD for second in CROCKFORD]
_RANDOM_BYTES, _AT_ONCE = 10, 256
_RANDOM_BITS = 8 * _RANDOM_BYTES


class _Ulids:
    """Makes ULIDs that rise, within one millisecond too: lists stand in the order in which their
    documents were made.

    Randomness is asked for 256 ids at once: each asking lets every other thread go first, which
    costs a busy server more than all else about an id.
    """

    def __init__(self) -> None:
        self.start_anew()

    def start_anew(self) -> None:
        """Forget all; a child process would make its parent's ids again."""
        self._random: list[bytes] = []
        self._last = 0
        self._one_at_a_time = threading.Lock()

    def make(self) -> str:
        with self._one_at_a_time:
            now = time.time_ns() // 1_000_000
            if self._last >> _RANDOM_BITS == now:
                value = self._last + 1
            else:
                value = now << _RANDOM_BITS | int.from_bytes(self._chance(), "big")
            self._last = value
        return "".join([_PAIRS[value >> shift & 1023] for shift in range(120, -10, -10)])

    def _chance(self) -> bytes:
        if not self._random:
            fresh, size = os.urandom(_RANDOM_BYTES * _AT_ONCE), _RANDOM_BYTES
            self._random = [fresh[start : start + size] for start in range(0, len(fresh), size)]
        return self._random.pop()


_ulids = _Ulids()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_ulids.start_anew)


def new_ulid(at: datetime | None = None) -> str:
    """A fresh ULID, of the moment `at` if given; those of the present rise in each process."""
    return str(ULID.from_datetime(at)) if at else _ulids.make()


def is_ulid(text: str) -> bool:
    """True for a canonical upper-case ULID."""
    return _ULID.fullmatch(text) is not None


# --- short codes (R24) ------------------------------------------------------------------


def short_code(key: bytes, device_number: int, counter: int) -> str:
    """Seven Crockford characters (35 bits) and a check character (R24).

    A keyed bijection of (device number, counter): two tills never make the same code, and a
    code tells a stranger nothing about the next. Device number 0 is the server's.
    Raises ValueError when a number does not fit: 13 bits of device, 22 bits of counter.
    """
    if not 0 <= device_number <= MAX_DEVICE_NUMBER or not 0 <= counter < 1 << _COUNTER_BITS:
        msg = "short codes are used up for this device: pair it again to get a new number"
        raise ValueError(msg)
    value = _permute(key, device_number << _COUNTER_BITS | counter)
    body = "".join(CROCKFORD[value >> shift & 31] for shift in range(30, -5, -5))
    return body + _check_character(body)


def short_code_origin(key: bytes, code: str) -> tuple[int, int]:
    """(device number, counter) that `short_code` made a code of. Any eight Crockford characters
    have an answer: only the key's owner can tell whether it means something."""
    value = 0
    for char in code[:7]:
        value = value << 5 | CROCKFORD.index(char)
    number = _permute_back(key, value)
    return number >> _COUNTER_BITS, number & ((1 << _COUNTER_BITS) - 1)


def server_short_code(key: bytes, number: int) -> str:
    """The `number`-th short code of the server itself: device 0, then the numbers above
    LAST_PAIRED_NUMBER, 272 million in all. Raises ValueError beyond."""
    block, counter = divmod(number, 1 << _COUNTER_BITS)
    return short_code(key, LAST_PAIRED_NUMBER + block if block else 0, counter)


def normalise_short_code(text: str) -> str | None:
    """What a person typed as a short code, or None where the check character is wrong.

    Case, blanks and hyphens do not matter; O reads as 0, I and L as 1.
    """
    code = re.sub(r"[\s-]", "", text).upper().translate(str.maketrans("OIL", "011"))
    if len(code) != 8 or any(char not in CROCKFORD for char in code):
        return None
    return code if _check_character(code[:7]) == code[7] else None


def _check_character(body: str) -> str:
    # Weights that are odd (units modulo 32) catch every single wrong character.
    return CROCKFORD[sum((2 * i + 1) * CROCKFORD.index(c) for i, c in enumerate(body)) % 32]


def _permute(key: bytes, value: int) -> int:
    """A four-round unbalanced Feistel permutation of 35-bit numbers (18 + 17 bits)."""
    left_bits, right_bits = 18, 17
    left, right = value >> right_bits, value & ((1 << right_bits) - 1)
    for round_number in range(_ROUNDS):
        mixed = left ^ _mixture(key, round_number, right)
        left, right = right, mixed & ((1 << left_bits) - 1)
        left_bits, right_bits = right_bits, left_bits
    return (left << right_bits | right) & _MASK


def _permute_back(key: bytes, value: int) -> int:
    """What `_permute` was given: its rounds are even in number, so both halves end where they
    began."""
    left_bits, right_bits = 18, 17
    left, right = value >> right_bits, value & ((1 << right_bits) - 1)
    for round_number in reversed(range(_ROUNDS)):
        left_bits, right_bits = right_bits, left_bits
        mixed = right ^ _mixture(key, round_number, left)
        left, right = mixed & ((1 << left_bits) - 1), left
    return left << right_bits | right


def _mixture(key: bytes, round_number: int, half: int) -> int:
    message = round_number.to_bytes(1, "big") + half.to_bytes(4, "big")
    return int.from_bytes(hmac.digest(key, message, "sha256")[:4], "big")


# --- receipt numbers (R29) --------------------------------------------------------------


class ReceiptSeries(StrEnum):
    """Each series of a device counts for itself, without gaps (R29)."""

    SALE = "S"
    REFUND = "R"
    TRAINING = "T"
    Z = "Z"
    SERVER = "W"


_RECEIPT = re.compile(r"([0-9A-Z]{2,6})-([SRTZW])([0-9]{6,9})")


@dataclass(frozen=True, slots=True)
class ReceiptNumber:
    """`03-S000128`: device code, series, number."""

    device_code: str
    series: ReceiptSeries
    number: int

    def __str__(self) -> str:
        return f"{self.device_code}-{self.series.value}{self.number:06d}"

    @classmethod
    def parse(cls, text: str) -> "ReceiptNumber":
        """Raises ValueError where `text` is no receipt number."""
        if not (match := _RECEIPT.fullmatch(text)):
            msg = "a receipt number looks like 03-S000128: device code, series, number"
            raise ValueError(msg)
        return cls(match[1], ReceiptSeries(match[2]), int(match[3]))
