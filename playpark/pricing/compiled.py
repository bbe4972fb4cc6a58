"""A catalogue made ready for pricing: looked up by id, rules in their total order (R8, R12)."""

import weakref
from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime

from playpark.clock import park_zone
from playpark.contracts.catalog import SalesChannel
from playpark.contracts.rules import (
    Level,
    PriceListView,
    RuleKind,
    RuleParams,
    RuleView,
)
from playpark.contracts.snapshot import CatalogSnapshot
from playpark.pricing.windows import Window

_ALWAYS = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule as the stages ask it. `packages`, `channels` and `groups` are None for all. Those of
    a bundle are its components."""

    id: str
    name: str
    kind: RuleKind
    params: RuleParams
    packages: frozenset[str] | None
    channels: frozenset[SalesChannel] | None
    groups: frozenset[str] | None
    window: Window | None
    stackable: bool
    exclusive_group: str | None
    sets: dict[str, int]
    """Units of each package in one set of a bundle."""

    @classmethod
    def of(cls, view: RuleView) -> "Rule":
        targets = view.targets
        sets: dict[str, int] = defaultdict(int)
        for part in view.params.components or ():
            sets[part.package_id] += part.qty
        return cls(
            id=view.rule_id,
            name=view.name,
            kind=view.kind,
            params=view.params,
            packages=_packages(targets.package_ids, sets),
            channels=frozenset(targets.channels) or None,
            groups=frozenset(targets.customer_groups) or None,
            window=Window.of(view.window),
            stackable=view.stackable,
            exclusive_group=view.exclusive_group,
            sets=dict(sets),
        )


def _packages(targeted: list[str], sets: dict[str, int]) -> frozenset[str] | None:
    if sets and targeted:
        return frozenset(sets).intersection(targeted)
    return frozenset(sets or targeted) or None


class Compiled:
    """All that can be prepared for one catalogue version."""

    def __init__(self, catalog: CatalogSnapshot) -> None:
        self.version = catalog.catalog_version
        self.zone = park_zone(catalog.tz)
        self.money = catalog.settings.money
        self.packages = {package.package_id: package for package in catalog.packages}
        self.windows = {
            package.package_id: window
            for package in catalog.packages
            if (window := Window.of(package.window)) is not None
        }
        self.taxes = {tax.tax_id: tax for tax in catalog.taxes}
        # Without several prices every package costs its own (R40).
        lists = catalog.price_lists if catalog.features.multi_price else []
        self.price_lists = sorted((each for each in lists if each.active), key=_list_order)
        self.rules: dict[RuleKind, list[Rule]] = defaultdict(list)
        for view in sorted(catalog.rules, key=lambda view: (view.priority, view.rule_id)):
            if view.active:
                self.rules[view.kind].append(Rule.of(view))
        self.codes = {rule.params.code for rule in self.rules[RuleKind.PROMO_CODE]}
        self.discounts = {each.discount_id: each for each in catalog.discounts if each.active}
        self.payment_types = {
            each.payment_type_id: each for each in catalog.payment_types if each.active
        }

    def lists_at(self, at: datetime, channel: SalesChannel) -> list[PriceListView]:
        """The price lists that apply, the strongest first."""
        return [
            each
            for each in self.price_lists
            if each.channel in {None, channel}
            and (each.starts_at is None or each.starts_at <= at)
            and (each.ends_at is None or at < each.ends_at)
        ]


def _list_order(each: PriceListView) -> tuple[bool, bool, float, int, str]:
    """A store's list before the tenant's, one for the channel before one for all, the later
    beginning before the earlier, then the lower priority, then the id."""
    begins = (each.starts_at or _ALWAYS) - _ALWAYS
    return (
        each.scope is not Level.STORE,
        each.channel is None,
        -begins.total_seconds(),
        each.priority,
        each.price_list_id,
    )


_held: dict[int, tuple[weakref.ref[CatalogSnapshot], Compiled]] = {}
"""What is compiled, as long as its snapshot lives. Snapshots are immutable, and two of one hash
may still differ (R17 adds packages that are no longer on sale), so identity is the key."""


def compiled(catalog: CatalogSnapshot) -> Compiled:
    """The catalogue made ready, once for each snapshot object."""
    key = id(catalog)
    held = _held.get(key)
    if held is not None and held[0]() is catalog:
        return held[1]
    made = Compiled(catalog)
    _held[key] = weakref.ref(catalog, lambda _: _held.pop(key, None)), made
    return made
