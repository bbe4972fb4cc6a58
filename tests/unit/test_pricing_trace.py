"""R11, R12: a trace fits into 64 KiB, and what is prepared for a catalogue lives as long as it."""

import gc
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from playpark.contracts.pricing import Cart, TraceEntry
from playpark.contracts.rules import MAX_RULES, RuleKind
from playpark.contracts.snapshot import CatalogSnapshot
from playpark.pricing import applied_rules, price
from playpark.pricing import compiled as compiled_module
from playpark.pricing.compiled import compiled
from playpark.pricing.trace import at_most
from tests.unit.pricing_worlds import World, cart, package, rule, store, worlds

AT = datetime(2026, 11, 21, 8, 0, tzinfo=UTC)


def full_store(name: str, rules: int = MAX_RULES) -> tuple[Cart, CatalogSnapshot]:
    """100 lines and 200 rules of all kinds that all work, under long names and ids."""
    kinds: list[tuple[RuleKind, dict[str, int]]] = [
        (RuleKind.LINE_AMOUNT, {"amount": 1}),
        (RuleKind.LINE_PERCENT, {"percent": 1}),
        (RuleKind.CART_PERCENT, {"percent": 1}),
    ]
    packages = [package(f"p{i:039}", 9_000_000_000 + i, name=name) for i in range(100)]
    made = []
    for i in range(rules):
        kind, params = kinds[i % 3]
        made.append(rule(f"r{i:039}", kind, **params, name=f"{name} {i}", priority=i))
    return cart(*((each.package_id, 1) for each in packages)), store(packages, made)


@pytest.mark.parametrize("name", ["Happy hour", "X" * 110, "โปรโมชันสุดพิเศษ" * 6, '"\\\n' * 35])
def test_R11_a_trace_never_exceeds_64_KiB(name: str) -> None:
    cart_ = price(*full_store(name), at=AT)
    raw = TypeAdapter(list[TraceEntry]).dump_json(cart_.trace)
    assert 32 * 1024 < len(raw) <= 64 * 1024
    assert cart_.trace[-1].output == cart_.grand_total
    assert [e.input for e in cart_.trace[1:]] == [e.output for e in cart_.trace[:-1]]
    assert len(applied_rules(cart_)) == MAX_RULES
    assert sum(entry.stage == "base" for entry in cart_.trace) == 100
    by_rule = [entry.rule_id for entry in cart_.trace if entry.rule_id is not None]
    if name == "Happy hour":
        assert len(by_rule) == MAX_RULES  # under ordinary names nothing is folded
    else:
        assert len(by_rule) + len(cart_.trace[-1].facts.get("rule_ids", [])) == MAX_RULES


@given(worlds, st.integers(0, 60))
def test_R11_the_bound_of_a_trace_is_never_below_its_size(world: World, rules: int) -> None:
    """An ordinary trace is not measured, so its bound must not be too small."""
    words = world.random.choice(["Happy", 'say "hi" \\', "โปร", "\n", "🎢"])
    name = words * world.random.randint(1, 9)
    for trace in (
        world.price(world.payments()).trace,
        price(*full_store(name, rules), at=AT).trace,
    ):
        assert at_most(trace) >= len(TypeAdapter(list[TraceEntry]).dump_json(trace))


def test_R11_an_ordinary_trace_keeps_the_amount_of_each_line() -> None:
    cart_ = price(*full_store("Happy hour", rules=20), at=AT)
    assert all(len(e.facts["lines"]) == 100 for e in cart_.trace if e.rule_id is not None)


def test_R12_two_catalogues_are_never_taken_for_each_other_and_none_is_kept_alive() -> None:
    """Versions may be equal, as with packages that are added for money taken already (R17)."""
    gc.collect()
    held = len(compiled_module._held)
    one, two = store([package("a", 10_000)]), store([package("a", 1)])
    totals = [price(cart(("a", 1)), each, at=AT).grand_total for each in (one, two)]
    assert totals == [10_000, 1]
    assert compiled(one) is compiled(one)
    assert len(compiled_module._held) == held + 2
    del one, two
    gc.collect()
    assert len(compiled_module._held) <= held
