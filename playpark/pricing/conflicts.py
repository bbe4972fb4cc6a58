"""Rules that could not say which of them goes first (R10).

Two rules conflict if there is a cart and a moment at which `price` would have to choose between
them by their ids alone. What is reported is such a cart: the search is exact, not a comparison of
fields, because windows wrap midnight, weekdays and dates meet, and a minimum may be out of reach.
"""

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import TypeVar
from zoneinfo import ZoneInfo

from playpark.clock import park_zone
from playpark.contracts.catalog import PackageView, SalesChannel
from playpark.contracts.pricing import MAX_LINES, MAX_TICKETS, Cart, CartLine
from playpark.contracts.rules import RuleKind, RuleView
from playpark.pricing.compiled import Rule
from playpark.pricing.windows import Moment, Window

_SEARCH_DAYS = 16
"""Windows repeat every week; two weeks and two days see a week without a change of the clock."""
_MINUTE = timedelta(minutes=1)
_SOME_DAY = datetime(2026, 1, 5, tzinfo=UTC)
_CART_KINDS = {RuleKind.PROMO_CODE, RuleKind.CART_PERCENT, RuleKind.CART_AMOUNT}
T = TypeVar("T", bound=str)
Wanted = dict[str, int]
"""Units by package."""


@dataclass(frozen=True, slots=True)
class Conflict:
    """Two rules, and a cart and a moment at which `price` would have to choose between them,
    reckoned at the packages' own prices."""

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
    """The first of `others` that conflicts with `rule`; None where none does.

    `others` are the rules that meet `rule` in one store, whatever their scope. Two of one
    exclusive group never conflict: the better one wins.
    """
    search = _Search(catalog_packages, park_zone(tz))
    for other in others:
        if other.rule_id != rule.rule_id and _could_conflict(rule, other):
            found = search.counter_example(rule, other)
            if found is not None:
                return found
    return None


def _could_conflict(rule: RuleView, other: RuleView) -> bool:
    grouped = rule.exclusive_group is not None and rule.exclusive_group == other.exclusive_group
    # A line has one price of the time at most, whatever such a rule says of itself (R8).
    stacks = rule.kind is not RuleKind.TIME_OF_DAY and (rule.stackable or other.stackable)
    return (
        rule.active
        and other.active
        and rule.kind is other.kind
        and rule.priority == other.priority
        and not (stacks or grouped)
    )


class _Search:
    """Looks for a moment, a channel, a group and a cart at which two rules both work."""

    def __init__(self, packages: Sequence[PackageView], zone: ZoneInfo) -> None:
        self._zone = zone
        self._packages = [
            (package, Window.of(package.window)) for package in packages if package.active
        ]

    def counter_example(self, rule: RuleView, other: RuleView) -> Conflict | None:
        one, two = Rule.of(rule), Rule.of(other)
        groups = _common(one.groups, two.groups)
        channels = _common(one.channels, two.channels)
        if groups is not None and not groups:
            return None
        for moment in self._moments(one, two):
            for channel in SalesChannel if channels is None else sorted(channels):
                wanted = self._cart(one, two, moment, channel)
                if wanted is None:
                    continue
                codes = [each.params.code for each in (one, two) if each.params.code is not None]
                lines = [CartLine(package_id=each, qty=qty) for each, qty in wanted.items()]
                cart = Cart(lines=lines, promo_codes=list(dict.fromkeys(codes)) or None)
                group = min(groups) if groups else None
                return Conflict(
                    rule_id=one.id,
                    other_id=two.id,
                    cart=cart,
                    at=moment.at,
                    channel=channel,
                    customer_group=group,
                    why=_why(one, two, moment),
                )
        return None

    def _moments(self, one: Rule, two: Rule) -> Iterator[Moment]:
        """Moments at which both rules are open: enough to see every combination of them and
        their packages' windows that ever occurs."""
        rules = [window for window in (one.window, two.window) if window is not None]
        packages = {
            window
            for package, window in self._packages
            if window is not None and (_is_for(one, package) or _is_for(two, package))
        }
        for at in _openings(rules, packages, self._zone):
            moment = Moment.of(at, self._zone)
            if all(window.is_open(moment) for window in rules):
                yield moment

    def _cart(self, one: Rule, two: Rule, moment: Moment, channel: SalesChannel) -> Wanted | None:
        """A small cart of what is on sale then, at which both rules work and meet."""
        on_sale = [
            package
            for package, window in self._packages
            if channel in package.visible_on and (window is None or window.is_open(moment))
        ]
        if one.kind is RuleKind.BUNDLE:
            wanted = _sets(one, two, {package.package_id: package.price for package in on_sale})
        elif one.kind in _CART_KINDS:
            wanted = _two_baskets(one, two, on_sale)
        else:
            wanted = _one_line(one, two, on_sale)
        if wanted is None or len(wanted) > MAX_LINES or sum(wanted.values()) > MAX_TICKETS:
            return None
        return wanted


def _one_line(one: Rule, two: Rule, on_sale: list[PackageView]) -> Wanted | None:
    """Rules on lines meet on one line of a package that both are for."""
    timed = one.kind is RuleKind.TIME_OF_DAY  # works at any price
    first, second = (0, 0) if timed else (_enough(one), _enough(two))
    if first is None or second is None:
        return None
    for package in on_sale:
        if _is_for(one, package) and _is_for(two, package):
            units = max(1, _missing(max(first, second), package.price))
            if units <= MAX_TICKETS:
                return {package.package_id: units}
    return None


def _two_baskets(one: Rule, two: Rule, on_sale: list[PackageView]) -> Wanted | None:
    """Rules on the cart meet in every cart that has enough for each: the dearest tickets of each,
    and of both, get there with the fewest units. How many of both is tried out."""
    first = _dearest([package for package in on_sale if _is_for(one, package)])
    second = _dearest([package for package in on_sale if _is_for(two, package)])
    enough = _enough(one), _enough(two)
    if first is None or second is None or enough[0] is None or enough[1] is None:
        return None
    shared = _dearest([each for each in on_sale if _is_for(one, each) and _is_for(two, each)])
    both = shared or first
    smallest: Counter[str] | None = None
    for common in range(MAX_TICKETS + 1 if shared is not None else 1):
        worth = common * both.price
        wanted: Counter[str] = Counter({first.package_id: _missing(enough[0] - worth, first.price)})
        wanted[second.package_id] += _missing(enough[1] - worth, second.price)
        wanted[both.package_id] += common
        if smallest is None or wanted.total() < smallest.total():
            smallest = wanted
    return None if smallest is None else dict(+smallest)


def _sets(one: Rule, two: Rule, prices: dict[str, int]) -> Wanted | None:
    """Bundles meet on the lines of a component that both have."""
    if not set(one.sets) & set(two.sets):
        return None
    for rule in (one, two):
        sold = all(each in prices and each in (rule.packages or ()) for each in rule.sets)
        if not sold:
            return None
        if sum(prices[each] * qty for each, qty in rule.sets.items()) <= (rule.params.price or 0):
            return None
    packages = one.sets | two.sets
    return {each: max(one.sets.get(each, 0), two.sets.get(each, 0)) for each in packages}


def _enough(rule: Rule) -> int | None:
    """The smallest amount, satang, on which the rule works; None where it never does."""
    rate, amount = rule.params.percent, rule.params.amount
    if amount:
        least = 1
    elif rate:
        least = -(-5_000 // rate)  # from half a satang on it is one (R2)
    else:
        return None
    return max(least, rule.params.min_subtotal or 0)


def _missing(amount: int, price: int) -> int:
    """Units at `price` that make up `amount`; more than any cart holds where none do."""
    if amount <= 0:
        return 0
    return -(-amount // price) if price else MAX_TICKETS + 1


def _is_for(rule: Rule, package: PackageView) -> bool:
    return rule.packages is None or package.package_id in rule.packages


def _dearest(packages: list[PackageView]) -> PackageView | None:
    return max(packages, key=lambda package: package.price, default=None)


def _common(one: frozenset[T] | None, two: frozenset[T] | None) -> frozenset[T] | None:
    """What is in both, where None is everything."""
    if one is None or two is None:
        return one if two is None else two
    return one & two


def _why(one: Rule, two: Rule, moment: Moment) -> str:
    local = moment.at.astimezone(moment.zone).strftime("%Y-%m-%d %H:%M")
    return (
        f"{one.name} and {two.name} both work on this cart at {local}, neither goes together with "
        "another, and their priorities are equal: change one of them."
    )


def _openings(
    rules: Collection[Window], packages: Collection[Window], zone: ZoneInfo
) -> Iterator[datetime]:
    """Moments of which one lies in every combination of these windows that is ever open, as far
    as the dates of the rules go.

    A combination opens when a date begins, when a weekday or a time of day begins, or when the
    clock jumps into it; from the latest beginning, or up to the earliest end, the same hours come
    round every week.
    """
    windows = [*rules, *packages]
    starts = {window.starts_at for window in windows if window.starts_at is not None}
    ends = {window.ends_at for window in windows if window.ends_at is not None}
    first = max((each.starts_at for each in rules if each.starts_at is not None), default=None)
    last = min((each.ends_at for each in rules if each.ends_at is not None), default=None)
    anchors = starts | {end - timedelta(days=_SEARCH_DAYS) for end in ends} | {_SOME_DAY}
    anchors = {anchor if first is None else max(anchor, first) for anchor in anchors}
    minutes = {0} | {minute for each in windows for minute in (each.from_minute, each.to_minute)}
    for anchor in sorted(anchors):
        if last is None or anchor < last:
            yield from _hours_after(anchor, minutes, zone)


def _hours_after(anchor: datetime, minutes: set[int], zone: ZoneInfo) -> Iterator[datetime]:
    """The anchor, and these minutes of the days that follow, on the zone's clock."""
    yield anchor
    found = set()
    midnight = datetime.combine(anchor.astimezone(zone).date(), time())
    for day in range(_SEARCH_DAYS + 1):
        local = midnight + timedelta(days=day)
        for minute in minutes:
            wall = local + timedelta(minutes=minute)
            found |= {wall.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1)}
        found |= _jump(local, zone)
    yield from sorted(at for at in found if at > anchor)


def _jump(local: datetime, zone: ZoneInfo) -> set[datetime]:
    """The moment of this day at which the zone's clock is put forward or back, if there is one."""
    low = local.replace(tzinfo=zone).astimezone(UTC)
    high = (local + timedelta(days=1)).replace(tzinfo=zone).astimezone(UTC)
    before = low.astimezone(zone).utcoffset()
    if high.astimezone(zone).utcoffset() == before:
        return set()
    same, changed = 0, int((high - low) / _MINUTE)
    while changed - same > 1:
        middle = (same + changed) // 2
        if (low + middle * _MINUTE).astimezone(zone).utcoffset() == before:
            same = middle
        else:
            changed = middle
    return {low + changed * _MINUTE}
