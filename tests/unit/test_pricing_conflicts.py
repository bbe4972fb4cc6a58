"""R10: a conflict is reported exactly where `price` would have to choose between two rules."""

from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from playpark.clock import park_zone
from playpark.contracts.catalog import ActiveWindow, Component, PackageView, SalesChannel
from playpark.contracts.pricing import Cart, TraceEntry
from playpark.contracts.rules import RuleKind, RuleView, Targets
from playpark.contracts.snapshot import CatalogSnapshot
from playpark.pricing import Conflict, Context, find_conflict, price
from playpark.pricing.windows import Moment, Window
from tests.unit.pricing_worlds import TIMES, ZONES, World, cart, few, package, rule, several, store

BANGKOK = "Asia/Bangkok"
ON_LINES = {RuleKind.TIME_OF_DAY, RuleKind.BUNDLE, RuleKind.LINE_AMOUNT, RuleKind.LINE_PERCENT}


def entry_of(
    catalog: CatalogSnapshot, rules: list[RuleView], asked: Cart, at: datetime, context: Context
) -> dict[str, TraceEntry]:
    """The trace entries of these rules, alone in the store."""
    only = catalog.model_copy(update={"rules": rules})
    trace = price(asked, only, at=at, context=context).trace
    return {entry.rule_id: entry for entry in trace if entry.rule_id is not None}


def both_work(
    catalog: CatalogSnapshot,
    pair: list[RuleView],
    asked: Cart,
    at: datetime,
    context: Context,
) -> bool:
    """Whether each, without the other, works on this cart: on one line, or on the cart."""
    touched = []
    for each in pair:
        entry = entry_of(catalog, [each], asked, at, context)[each.rule_id]
        if not entry.applied:
            return False
        ids = [line.package_id for line in asked.lines]
        mine = {part.package_id for part in each.params.components or ()}
        mine = mine or set(each.targets.package_ids) or set(ids)
        lines = {i for i, package_id in enumerate(ids) if package_id in mine}
        if each.kind not in {RuleKind.TIME_OF_DAY, RuleKind.BUNDLE}:
            lines = {i for i in lines if entry.facts["lines"][i]}
        touched.append(lines)
    return pair[0].kind not in ON_LINES or bool(touched[0] & touched[1])


def make_pair(world: World) -> list[RuleView]:
    """Two rules of one kind and priority that do not stack."""
    kind = world.random.choice(list(RuleKind))
    same = {"priority": 5, "stackable": False, "exclusive_group": None}
    return [world.rule(i, kind).model_copy(update=same) for i in (0, 1)]


def lenient(world: World) -> Context:
    """The two codes of the worlds are both given; a store with one rule knows only one."""
    group = world.random.choice([None, "member", "staff"])
    return Context(world.random.choice(list(SalesChannel)), group, committed=True)


def limited(world: World) -> list[PackageView]:
    """The packages, some on sale in a window or on a channel only."""
    pick = world.random
    return [
        each.model_copy(
            update={
                "window": world.window() if pick.random() < 0.4 else None,
                "visible_on": pick.choice([list(SalesChannel), [SalesChannel.KIOSK]]),
            }
        )
        for each in world.packages
    ]


def check_counter_example(
    found: Conflict, pair: list[RuleView], packages: list[PackageView], tz: str
) -> None:
    """It really makes `price` choose, and an uncommitted sale of it is not refused."""
    taxed = [each.model_copy(update={"tax_id": "t0"}) for each in packages]
    catalog = store(taxed, pair, tz=tz)
    context = Context(found.channel, found.customer_group)
    entries = entry_of(catalog, pair, found.cart, found.at, context)
    first, second = sorted(pair, key=lambda each: each.rule_id)
    assert entries[first.rule_id].applied
    blocked = entries[second.rule_id]
    assert not blocked.applied
    assert blocked.facts == {"reason": "not_stackable"}
    context = Context(found.channel, found.customer_group, committed=True)
    assert both_work(catalog, pair, found.cart, found.at, context)


@several
@given(st.integers(0, 2**62).map(World))
def test_R10_a_conflict_is_found_exactly_where_two_rules_work_on_one_cart(world: World) -> None:
    pair, packages = make_pair(world), limited(world)
    catalog = world.catalog.model_copy(
        update={"packages": packages, "price_lists": [], "discounts": []}
    )
    found = find_conflict(pair[0], [pair[1]], packages, catalog.tz)
    if found is not None:
        assert (found.rule_id, found.other_id) == ("r0", "r1")
        check_counter_example(found, pair, packages, catalog.tz)
        return
    lines = [
        line.model_copy(update={"discount_ids": None, "manual_discount": None})
        for line in world.cart.lines
    ]
    asked = Cart(lines=lines, promo_codes=["SUMMER", "CLUB"])
    for _ in range(4):
        at, context = world.moment(), lenient(world)
        on_sale = {
            each.package_id
            for each in packages
            if context.channel in each.visible_on and opens(each, at, catalog)
        }
        if all(line.package_id in on_sale for line in asked.lines):
            assert not both_work(catalog, pair, asked, at, context)


def opens(each: PackageView, at: datetime, catalog: CatalogSnapshot) -> bool:
    only = catalog.model_copy(update={"packages": [each], "rules": []})
    entry = price(cart((each.package_id, 1)), only, at=at, context=Context(
        each.visible_on[0], committed=True)).trace[0]  # fmt: skip
    return "not on sale" not in entry.why


def windows(seed: int) -> tuple[ActiveWindow, ActiveWindow, str]:
    """Two windows that begin and end anywhere, wrap midnight, have weekdays and dates."""
    pick = Random(seed)

    def one() -> ActiveWindow:
        hours = pick.sample(TIMES, 2) if pick.random() < 0.8 else (None, None)
        starts = datetime(2026, 3, 20, tzinfo=UTC) + timedelta(hours=pick.randrange(300))
        return ActiveWindow(
            from_time=hours[0],
            to_time=hours[1],
            weekdays=sorted(pick.sample(range(7), pick.randint(1, 2))),
            starts_at=starts if pick.random() < 0.6 else None,
            ends_at=starts + timedelta(hours=pick.randint(1, 300)) if pick.random() < 0.6 else None,
        )

    return one(), one(), pick.choice(ZONES)


@few
@given(st.integers(0, 2**62).map(windows))
def test_R10_windows_meet_exactly_where_some_quarter_of_an_hour_lies_in_both(
    drawn: tuple[ActiveWindow, ActiveWindow, str],
) -> None:
    """Every quarter of an hour of five weeks is asked, over changes of the clock too."""
    one, two, tz = drawn
    pair = [
        rule(f"r{i}", RuleKind.LINE_PERCENT, percent=1_000, stackable=False, window=window)
        for i, window in enumerate((one, two))
    ]
    packages = [package("a", 1_000)]
    found = find_conflict(pair[0], [pair[1]], packages, tz)
    if found is not None:
        check_counter_example(found, pair, packages, tz)
        return
    ready = [Window.of(window) for window in (one, two)]
    for quarter in range(35 * 96):
        at = datetime(2026, 3, 10, tzinfo=UTC) + timedelta(minutes=15 * quarter)
        moment = Moment.of(at, park_zone(tz))
        assert not all(window is None or window.is_open(moment) for window in ready)


PERCENT = {"percent": 1_000, "stackable": False}
BERLIN = "Europe/Berlin"


def meeting(one: ActiveWindow, two: ActiveWindow, tz: str) -> datetime | None:
    """When two rules with these windows meet."""
    pair = [
        rule(f"r{i}", RuleKind.LINE_PERCENT, **PERCENT, window=window)
        for i, window in enumerate((one, two))
    ]
    found = find_conflict(pair[0], [pair[1]], [package("a", 1_000)], tz)
    return None if found is None else found.at


def test_R10_windows_that_meet_only_where_the_clock_jumps_are_found() -> None:
    """In Berlin the clock goes from 02:00 to 03:00 on 29 March 2026: both open at that moment."""
    sunday = {
        "starts_at": datetime(2026, 3, 28, 23, tzinfo=UTC),
        "ends_at": datetime(2026, 3, 29, 12, tzinfo=UTC),
    }
    one = ActiveWindow(from_time="02:30", to_time="03:30", **sunday)
    two = ActiveWindow(from_time="02:15", to_time="03:10", **sunday)
    assert meeting(one, two, BERLIN) == datetime(2026, 3, 29, 1, tzinfo=UTC)


def test_R10_windows_that_meet_only_in_the_hour_that_comes_twice_are_found() -> None:
    """On 25 October 2026 it is 02:10 in Berlin twice; only the second time lies in the dates."""
    dates = {
        "starts_at": datetime(2026, 10, 25, 0, 45, tzinfo=UTC),
        "ends_at": datetime(2026, 10, 25, 1, 40, tzinfo=UTC),
    }
    one = ActiveWindow(from_time="02:10", to_time="02:20", **dates)
    assert meeting(one, one, BERLIN) == datetime(2026, 10, 25, 1, 10, tzinfo=UTC)


@pytest.mark.parametrize(
    "dates",
    [
        {"starts_at": datetime(2031, 5, 1, tzinfo=UTC)},
        {"ends_at": datetime(2024, 5, 1, tzinfo=UTC)},
    ],
)
def test_R10_rules_meet_while_their_package_is_on_sale(dates: dict[str, datetime]) -> None:
    pair = pair_of(RuleKind.LINE_PERCENT, PERCENT, PERCENT)
    packages = [package("a", 1_000, window=ActiveWindow(weekdays=[2], **dates))]
    found = find_conflict(pair[0], [pair[1]], packages, BANGKOK)
    assert found is not None
    check_counter_example(found, pair, packages, BANGKOK)


def pair_of(kind: RuleKind, one: dict[str, Any], two: dict[str, Any]) -> list[RuleView]:
    return [rule(f"r{i}", kind, **{"stackable": False} | more) for i, more in enumerate((one, two))]


def conflict(pair: list[RuleView], *packages: PackageView) -> Conflict | None:
    return find_conflict(pair[0], pair[1:], packages or [package("a", 1_000)], BANGKOK)


def test_R10_a_conflict_names_the_rules_the_moment_and_what_to_do() -> None:
    evening = ActiveWindow(from_time="18:00", to_time="02:00", weekdays=[4])
    night = ActiveWindow(from_time="00:00", to_time="04:00", weekdays=[5])
    pair = pair_of(
        RuleKind.LINE_PERCENT,
        {"percent": 1_000, "window": evening},
        {"percent": 500, "window": night, "targets": Targets(customer_groups=["member"])},
    )
    found = conflict(pair)
    assert found is not None
    assert (found.rule_id, found.other_id, found.customer_group) == ("r0", "r1", "member")
    assert found.at.astimezone(UTC).isoformat() == "2026-01-09T17:00:00+00:00"  # Saturday 00:00
    assert found.why == (
        "Rule r0 and Rule r1 both work on this cart at 2026-01-10 00:00, neither goes together "
        "with another, and their priorities are equal: change one of them."
    )


OTHER_DAY = ActiveWindow(weekdays=[0])
SATURDAY = ActiveWindow(weekdays=[5])


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ({}, {"stackable": True}),
        ({}, {"priority": 99}),
        ({}, {"active": False}),
        ({"exclusive_group": "g"}, {"exclusive_group": "g"}),
        ({"targets": Targets(package_ids=["a"])}, {"targets": Targets(package_ids=["b"])}),
        ({"targets": Targets(channels=["POS"])}, {"targets": Targets(channels=["KIOSK"])}),
        (
            {"targets": Targets(customer_groups=["x"])},
            {"targets": Targets(customer_groups=["y"])},
        ),
        ({"window": OTHER_DAY}, {"window": SATURDAY}),
        (
            {"window": ActiveWindow(from_time="10:00", to_time="12:00")},
            {"window": ActiveWindow(from_time="12:00", to_time="10:00")},
        ),
        (
            {"window": ActiveWindow(ends_at=datetime(2026, 5, 1, tzinfo=UTC))},
            {"window": ActiveWindow(starts_at=datetime(2026, 5, 1, tzinfo=UTC))},
        ),
    ],
)
def test_R10_rules_that_never_meet_do_not_conflict(
    one: dict[str, Any], two: dict[str, Any]
) -> None:
    packages = [package("a", 1_000), package("b", 1_000)]
    kind = RuleKind.LINE_PERCENT
    assert conflict(pair_of(kind, {"percent": 10}, {"percent": 10}), *packages) is not None
    assert conflict(pair_of(kind, {"percent": 10} | one, {"percent": 10} | two), *packages) is None


def test_R10_two_prices_of_the_time_conflict_whatever_they_say_of_stacking() -> None:
    stackable = {"percent": 1_000, "stackable": True}
    assert conflict(pair_of(RuleKind.TIME_OF_DAY, stackable, stackable)) is not None
    other = stackable | {"priority": 99}
    assert conflict(pair_of(RuleKind.TIME_OF_DAY, stackable, other)) is None


def test_R10_codes_meet_because_a_cart_may_carry_two() -> None:
    pair = pair_of(
        RuleKind.PROMO_CODE, {"code": "ONE", "percent": 100}, {"code": "TWO", "amount": 100}
    )
    found = conflict(pair)
    assert found is not None
    assert found.cart.promo_codes == ["ONE", "TWO"]


def test_R10_cart_rules_for_different_packages_meet_in_a_cart_with_both() -> None:
    pair = pair_of(
        RuleKind.CART_AMOUNT,
        {"amount": 100, "targets": Targets(package_ids=["a"])},
        {"amount": 100, "min_subtotal": 3_500, "targets": Targets(package_ids=["b"])},
    )
    found = conflict(pair, package("a", 1_000), package("b", 1_000))
    assert found is not None
    assert {line.package_id: line.qty for line in found.cart.lines} == {"a": 1, "b": 4}
    assert conflict(pair, package("a", 1_000), package("b", 8)) is not None
    assert conflict(pair, package("a", 1_000), package("b", 7)) is None  # 35.00 with 499: no


def test_R10_one_basket_may_be_enough_for_two_minimums() -> None:
    """400 tickets are 40.00 and 30.00 both; 400 and 300 more would not fit into a cart."""
    pair = pair_of(
        RuleKind.CART_PERCENT,
        {"percent": 1_000, "min_subtotal": 4_000},
        {"percent": 1_000, "min_subtotal": 3_000},
    )
    found = conflict(pair, package("a", 10))
    assert found is not None
    assert [line.qty for line in found.cart.lines] == [400]


def test_R10_bundles_meet_in_a_component_of_both() -> None:
    def of(*parts: tuple[str, int]) -> dict[str, Any]:
        components = [Component(package_id=each, qty=qty) for each, qty in parts]
        return {"components": components, "price": 100}

    packages = [package(each, 1_000) for each in "abc"]
    meeting = conflict(pair_of(RuleKind.BUNDLE, of(("a", 2), ("b", 1)), of(("b", 3))), *packages)
    assert meeting is not None
    assert {line.package_id: line.qty for line in meeting.cart.lines} == {"a": 2, "b": 3}
    apart = pair_of(RuleKind.BUNDLE, of(("a", 2), ("b", 1)), of(("c", 3)))
    assert conflict(apart, *packages) is None


def test_R10_a_rule_does_not_conflict_with_itself_nor_with_other_kinds() -> None:
    one = rule("r", RuleKind.LINE_PERCENT, percent=10, stackable=False)
    amount = rule("s", RuleKind.LINE_AMOUNT, amount=10, stackable=False)
    assert find_conflict(one, [one, amount], [package("a", 1_000)], BANGKOK) is None
