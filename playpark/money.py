"""Money in integer satang and rates in basis points; no float anywhere (R1, R2, R4, R5).

One rounding function and one allocation function serve prices, taxes, discounts and refunds.
"""

from collections.abc import Sequence
from typing import Annotated

from pydantic import Field

MAX_INT = 2**53 - 1
"""Largest integer that every JSON reader keeps exact (R1)."""

MAX_AMOUNT = 10**12
"""Ten billion baht. One amount beyond it is a slip; sums of amounts still fit into int64."""

Satang = Annotated[int, Field(strict=True, ge=0, le=MAX_AMOUNT)]
"""One amount of money that is not negative, in satang (100 satang = 1 baht)."""

SatangSum = Annotated[int, Field(strict=True)]
"""A sum or difference of amounts, satang. Not bounded: an answer must never fail on it."""

BasisPoints = Annotated[int, Field(strict=True, ge=0, le=100_000)]
"""A rate in hundredths of a percent: 700 is 7 %."""


def round_half_up(numerator: int, denominator: int) -> int:
    """numerator / denominator, rounded half-up on the absolute value, sign restored (R2).

    Raises ZeroDivisionError for a zero denominator.
    """
    sign = -1 if (numerator < 0) != (denominator < 0) else 1
    quotient, remainder = divmod(abs(numerator), abs(denominator))
    return sign * (quotient + (2 * remainder >= abs(denominator)))


def percent_of(amount: int, rate: int) -> int:
    """`rate` basis points of `amount` satang, rounded once (R3)."""
    return round_half_up(amount * rate, 10_000)


def vat_inside(gross: int, rate: int) -> int:
    """The VAT contained in an inclusive price: round(G·r / (1 + r)) (R4)."""
    return round_half_up(gross * rate, 10_000 + rate)


def allocate(total: int, weights: Sequence[int]) -> list[int]:
    """Split `total` over `weights` by largest remainder, ties to the lower index (R4, R5).

    The shares sum to `total` exactly; equal shares where all weights are zero (R6). As long as
    `total` does not exceed the sum of the weights, no share exceeds its weight.
    Raises ValueError for a negative total or weight, or for an amount with nowhere to go.
    """
    if total < 0 or min(weights, default=0) < 0:
        msg = "allocate() takes amounts and weights that are not negative"
        raise ValueError(msg)
    if not weights:
        if total:
            msg = "allocate() has nothing to allocate to"
            raise ValueError(msg)
        return []
    whole = sum(weights)
    if not whole:
        weights, whole = [1] * len(weights), len(weights)
    exact = [total * weight for weight in weights]
    shares = [each // whole for each in exact]
    remainders = [each % whole for each in exact]
    # A stable sort leaves equal remainders in their order, in reverse too.
    by_remainder = sorted(range(len(weights)), key=remainders.__getitem__, reverse=True)
    for index in by_remainder[: total - sum(shares)]:
        shares[index] += 1
    return shares


def format_satang(amount: int, *, grouping: bool = True) -> str:
    """`123456` → `1,234.56`; the minus sign is U+002D."""
    sign = "-" if amount < 0 else ""
    baht, satang = divmod(abs(amount), 100)
    return f"{sign}{baht:,}.{satang:02d}" if grouping else f"{sign}{baht}.{satang:02d}"


def parse_baht(text: str) -> int:
    """What a cashier types, in baht, as satang: `420`, `420.5`, `1,000.25`.

    Raises ValueError with a sentence that says what to type.
    """
    cleaned = text.strip().replace(",", "")
    baht, point, satang = cleaned.partition(".")
    digits_only = (baht + satang).isascii() and (baht + satang).isdecimal() and bool(baht)
    if not digits_only or (point and not 1 <= len(satang) <= 2) or len(baht) > 12:
        msg = f"{text.strip()[:20]!r} is not an amount: type baht, such as 420 or 420.50"
        raise ValueError(msg)
    return int(baht) * 100 + int(satang.ljust(2, "0"))
