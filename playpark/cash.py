"""What ought to be in the drawer, which coins there are, and what makes a Z report tamper-evident
(R7, R27, R28)."""

import hashlib
from dataclasses import dataclass
from typing import Any

from playpark.canonical import canonical_json
from playpark.contracts.settings import CashRounding
from playpark.money import round_half_up

FIRST_HASH = "0" * 64


@dataclass(frozen=True, slots=True)
class DrawerTotals:
    """All in satang. `cash_sales` is tendered minus change over all cash payments."""

    cash_open: int
    cash_sales: int = 0
    pay_ins: int = 0
    pay_outs: int = 0
    drops: int = 0
    cash_refunds: int = 0


def expected_cash(drawer: DrawerTotals) -> int:
    """float + cash taken + pay-ins − pay-outs − drops − cash refunds (R27), satang."""
    put_in = drawer.cash_open + drawer.cash_sales + drawer.pay_ins
    return put_in - drawer.pay_outs - drawer.drops - drawer.cash_refunds


def round_cash(amount: int, step: int, mode: CashRounding) -> int:
    """What `amount` satang comes to in coins of `step` satang (R7).

    `nearest` goes half-up, `down` towards zero; both are symmetric, so that a refund mirrors its
    sale: round(-x) is -round(x).
    """
    if mode is CashRounding.NEAREST:
        return round_half_up(amount, step) * step
    coins = abs(amount) // step * step
    return coins if amount >= 0 else -coins


def chain_hash(prev_hash: str, content: Any) -> str:
    """The next link of a hash chain: SHA-256 over the previous link and canonical JSON."""
    return hashlib.sha256(prev_hash.encode() + b"\n" + canonical_json(content)).hexdigest()
