"""R8, R9, R11, R13: what each stage does, by examples that fit on a slip of paper."""

from datetime import UTC, datetime
from typing import Any

import pytest

from playpark.contracts.catalog import Component, SalesChannel, TaxMode, TaxView
from playpark.contracts.pricing import Cart, CartLine, PricedCart, TraceEntry
from playpark.contracts.rules import (
    DiscountLevel,
    DiscountView,
    Level,
    PriceListView,
    RuleKind,
    RuleView,
    Targets,
)
from playpark.contracts.settings import MoneySettings, VatMode
from playpark.contracts.snapshot import CatalogSnapshot
from playpark.errors import ErrorCode, PlayParkError
from playpark.pricing import Context, applied_rules, price
from tests.unit.pricing_worlds import cart, package, rule, store

AT = datetime(2026, 11, 21, 8, 0, tzinfo=UTC)
A, B = package("a", 10_000), package("b", 5_000)


def priced(asked: Cart, catalog: CatalogSnapshot, **context: Any) -> PricedCart:
    return price(asked, catalog, at=AT, context=Context(**context))


def entry_of(cart: PricedCart, rule_id: str) -> TraceEntry:
    return next(entry for entry in cart.trace if entry.rule_id == rule_id)


def refused(asked: Cart, catalog: CatalogSnapshot, **context: Any) -> PlayParkError:
    with pytest.raises(PlayParkError) as refusal:
        priced(asked, catalog, **context)
    return refusal.value


# --- base -------------------------------------------------------------------------------


def price_list(list_id: str, amount: int, **more: Any) -> PriceListView:
    values: dict[str, Any] = {"scope": Level.TENANT, "name": list_id, "prices": {"a": amount}}
    return PriceListView(price_list_id=list_id, **values | more)


@pytest.mark.parametrize(
    ("weaker", "stronger"),
    [
        (price_list("z", 1), price_list("a", 2)),
        (price_list("a", 1), price_list("z", 2, priority=1)),
        (
            price_list("a", 1, priority=1),
            price_list("z", 2, starts_at=datetime(2026, 1, 1, tzinfo=UTC)),
        ),
        (
            price_list("a", 1, starts_at=datetime(2026, 1, 1, tzinfo=UTC)),
            price_list("z", 2, channel=SalesChannel.POS),
        ),
        (
            price_list("a", 1, channel=SalesChannel.POS),
            price_list("z", 2, scope=Level.STORE),
        ),
    ],
)
def test_R8_the_stronger_price_list_wins_whatever_the_order(
    weaker: PriceListView, stronger: PriceListView
) -> None:
    for lists in ([weaker, stronger], [stronger, weaker]):
        cart_ = priced(cart(("a", 1)), store([A], price_lists=lists))
        assert cart_.lines[0].unit_price == 2
        assert cart_.trace[0].why == f"1 × 0.02 from {stronger.name}"


def test_R8_a_price_list_that_does_not_apply_or_lacks_the_package_leaves_its_price() -> None:
    lists = [
        price_list("kiosk", 1, channel=SalesChannel.KIOSK),
        price_list("over", 2, ends_at=AT),
        price_list("later", 3, starts_at=datetime(2026, 12, 1, tzinfo=UTC)),
        price_list("off", 4, active=False),
        price_list("other", 5, prices={"b": 5}),
    ]
    catalog = store([A, B], price_lists=lists)
    assert priced(cart(("a", 1), ("b", 1)), catalog).subtotal == 10_005
    assert priced(cart(("a", 1)), catalog, channel=SalesChannel.KIOSK).subtotal == 1


def test_R13_what_is_not_on_sale_is_refused_and_booked_where_money_is_taken() -> None:
    catalog = store([A, package("x", 700, active=False), package("k", 1, visible_on=["KIOSK"])])
    unknown = refused(cart(("a", 1), ("q", 1)), catalog)
    assert (unknown.code, unknown.details) == (ErrorCode.NOT_FOUND, {"line": 1})
    for package_id in ("x", "k"):
        sold = cart(("a", 1), (package_id, 1))
        off_sale = refused(sold, catalog)
        assert (off_sale.code, off_sale.details) == (ErrorCode.INACTIVE_PACKAGE, {"line": 1})
        booked = priced(sold, catalog, committed=True)
        assert "although it was not on sale" in booked.trace[1].why
    assert refused(cart(("q", 1)), catalog, committed=True).code is ErrorCode.NOT_FOUND


# --- rules on lines ---------------------------------------------------------------------


def test_R8_the_price_of_the_time_replaces_the_unit_price_once() -> None:
    rules = [
        rule("t2", RuleKind.TIME_OF_DAY, percent=5_000, priority=2),
        rule("t1", RuleKind.TIME_OF_DAY, price=8_000, priority=1, name="Happy hour"),
    ]
    cart_ = priced(cart(("a", 2)), store([A], rules))
    assert (cart_.lines[0].unit_price, cart_.subtotal, cart_.discount_total) == (8_000, 16_000, 0)
    assert entry_of(cart_, "t1").why == "Happy hour: 80.00 each at this time, 40.00 off"
    second = entry_of(cart_, "t2")
    assert (second.why, second.facts) == (
        "Rule t2: not together with Happy hour",
        {"reason": "not_stackable"},
    )


def test_R8_the_price_of_the_time_may_be_dearer() -> None:
    peak = rule("t", RuleKind.TIME_OF_DAY, price=12_000)
    cart_ = priced(cart(("a", 2)), store([A], [peak]))
    assert cart_.subtotal == 24_000
    assert entry_of(cart_, "t").why == "Rule t: 120.00 each at this time, 40.00 more"


def family(**more: Any) -> RuleView:
    parts = [Component(package_id="a", qty=2), Component(package_id="b", qty=1)]
    return rule("f", RuleKind.BUNDLE, components=parts, price=20_000, name="Family", **more)


def test_R8_a_bundle_takes_as_many_full_sets_as_lie_in_the_cart() -> None:
    cart_ = priced(cart(("a", 3), ("b", 3), ("a", 2)), store([A, B], [family()]))
    assert cart_.discount_total == 2 * 5_000  # two sets of 250.00 for 200.00, one a and one b left
    assert entry_of(cart_, "f").why == "Family: 2 sets for 200.00 each, 100.00 off"
    offs = [[part.line_discount for part in line.slices] for line in cart_.lines]
    assert offs == [[2_000, 2_000, 2_000], [1_000, 1_000, 0], [2_000, 0]]


def test_R8_a_bundle_is_never_dearer_and_no_unit_is_in_two() -> None:
    dear = rule("d", RuleKind.BUNDLE, components=[Component(package_id="a", qty=2)], price=20_000)
    assert entry_of(priced(cart(("a", 2)), store([A], [dear])), "d").facts["reason"] == "no_effect"
    again = rule(
        "g", RuleKind.BUNDLE, components=[Component(package_id="a", qty=2)], price=100, priority=200
    )
    cart_ = priced(cart(("a", 3), ("b", 1)), store([A, B], [again, family()]))
    assert cart_.discount_total == 5_000
    assert entry_of(cart_, "g").why == "Rule g: there is no full set of it in the cart"


def test_R3_amounts_come_off_each_unit_and_percentages_round_once_a_line() -> None:
    rules = [
        rule("p", RuleKind.LINE_PERCENT, percent=3_333),
        rule("m", RuleKind.LINE_AMOUNT, amount=1),
    ]
    cart_ = priced(cart(("a", 3)), store([package("a", 101)], rules))
    assert cart_.lines[0].line_discount == 3 + 100  # 33.33 % of 3.00, not 3 × 33
    assert [part.line_discount for part in cart_.lines[0].slices] == [35, 34, 34]
    assert entry_of(cart_, "m").why == "Rule m: 0.01 off each ticket, 0.03 in all"
    more = rule("m", RuleKind.LINE_AMOUNT, amount=500)
    assert priced(cart(("a", 3)), store([package("a", 101)], [more])).grand_total == 0


# --- targets, stacking, groups ----------------------------------------------------------


@pytest.mark.parametrize(
    ("more", "context", "reason", "why"),
    [
        ({"targets": Targets(package_ids=["b"])}, {}, "packages", "none of its tickets"),
        ({"targets": Targets(channels=["KIOSK"])}, {}, "channel", "only at KIOSK"),
        (
            {"targets": Targets(customer_groups=["member", "staff"])},
            {"customer_group": "visitor"},
            "customer_group",
            "only for member, staff",
        ),
        ({"max_uses": 1}, {"used_up": frozenset({"r"})}, "used_up", "it is used up"),
        ({"percent": 1}, {}, "no_effect", "there is nothing to take off"),
    ],
)
def test_R9_R11_a_rule_that_does_not_work_says_why(
    more: dict[str, Any], context: dict[str, Any], reason: str, why: str
) -> None:
    one = rule("r", RuleKind.LINE_PERCENT, **{"percent": 1_000} | more)
    cart_ = priced(cart(("a", 1)), store([package("a", 100), B], [one]), **context)
    entry = entry_of(cart_, "r")
    assert (entry.applied, entry.facts) == (False, {"reason": reason})
    assert entry.why.startswith(f"Rule r: {why}")
    assert cart_.discount_total == 0
    assert applied_rules(cart_) == []


def test_R9_rules_for_a_group_of_guests_and_some_packages_work_there_only() -> None:
    member = rule(
        "r",
        RuleKind.LINE_PERCENT,
        percent=1_000,
        targets=Targets(package_ids=["b"], customer_groups=["member"]),
    )
    cart_ = priced(cart(("a", 1), ("b", 1)), store([A, B], [member]), customer_group="member")
    assert [line.line_discount for line in cart_.lines] == [0, 500]
    assert entry_of(cart_, "r").facts == {"lines": [0, 500]}


def test_R9_what_is_not_stackable_excludes_others_on_its_lines_only() -> None:
    rules = [
        rule("1", RuleKind.LINE_PERCENT, percent=1_000, priority=1, stackable=False,
             targets=Targets(package_ids=["a"])),
        rule("2", RuleKind.LINE_PERCENT, percent=2_000, priority=2),
    ]  # fmt: skip
    cart_ = priced(cart(("a", 1), ("b", 1)), store([A, B], rules))
    assert [line.line_discount for line in cart_.lines] == [1_000, 1_000]
    assert entry_of(cart_, "2").facts == {"lines": [0, 1_000], "blocked": [0]}


def test_R9_a_bundle_closes_all_its_lines_even_those_that_got_no_satang_off() -> None:
    sevens = [package(each, 7) for each in "abc"]

    def of(rule_id: str, *parts: str) -> RuleView:
        components = [Component(package_id=each, qty=1) for each in parts]
        return rule(rule_id, RuleKind.BUNDLE, components=components, price=13, stackable=False)

    catalog = store(sevens, [of("1", "a", "b"), of("2", "b", "c")])
    cart_ = priced(cart(("a", 1), ("b", 2), ("c", 1)), catalog)
    assert applied_rules(cart_) == ["1"]
    assert entry_of(cart_, "1").facts == {"lines": [1, 0, 0]}
    assert entry_of(cart_, "2").facts == {"reason": "not_stackable"}


def test_R9_on_the_cart_what_is_not_stackable_excludes_all_others() -> None:
    rules = [
        rule("1", RuleKind.CART_PERCENT, percent=1_000, priority=1,
             targets=Targets(package_ids=["a"])),
        rule("2", RuleKind.CART_PERCENT, percent=2_000, priority=2, stackable=False,
             targets=Targets(package_ids=["b"])),
        rule("3", RuleKind.CART_PERCENT, percent=1_000, priority=3),
    ]  # fmt: skip
    cart_ = priced(cart(("a", 1), ("b", 1)), store([A, B], rules))
    assert applied_rules(cart_) == ["1", "3"]
    assert entry_of(cart_, "2").why == "Rule 2: not together with Rule 1"


def test_R9_the_best_of_an_exclusive_group_wins_and_of_equals_the_first() -> None:
    ten = rule("ten", RuleKind.CART_PERCENT, percent=1_000, priority=1, exclusive_group="g")
    some = rule("some", RuleKind.CART_PERCENT, percent=2_000, priority=9, exclusive_group="g")
    cart_ = priced(cart(("a", 1)), store([A], [ten, some]))
    assert applied_rules(cart_) == ["some"]
    lost = entry_of(cart_, "ten")
    assert lost.why == "Rule ten: Rule some is better for the guest, only one of them works"
    same = rule("tens", RuleKind.CART_PERCENT, percent=1_000, priority=9, exclusive_group="g")
    cart_ = priced(cart(("a", 1)), store([A], [same, ten]))
    assert applied_rules(cart_) == ["ten"]
    assert "Rule ten comes first" in entry_of(cart_, "tens").why


# --- codes, cart rules, chosen discounts ------------------------------------------------


def test_R8_codes_are_known_in_any_case_and_work_together() -> None:
    rules = [
        rule("s", RuleKind.PROMO_CODE, code="SUMMER", percent=1_000),
        rule("v", RuleKind.PROMO_CODE, code="VIP", amount=500),
        rule("n", RuleKind.PROMO_CODE, code="OTHER", amount=500),
    ]
    asked = cart(("a", 1), promo_codes=["summer", "Vip"])
    cart_ = priced(asked, store([A], rules))
    assert (cart_.discount_total, applied_rules(cart_)) == (1_500, ["s", "v"])
    assert entry_of(cart_, "s").why == "Rule s: 10 % of 100.00, 10.00 off"
    assert entry_of(cart_, "n").why == "Rule n: its code was not given"
    raw = asked.model_copy(update={"promo_codes": ["sUmMeR", "vip", "VIP"]})
    assert priced(raw, store([A], rules)).discount_total == 1_500


def test_R8_a_known_code_that_does_not_apply_is_left_out_with_its_reason() -> None:
    least = rule("s", RuleKind.PROMO_CODE, code="SUMMER", amount=500, min_subtotal=20_000)
    cart_ = priced(cart(("a", 1), promo_codes=["SUMMER"]), store([A], [least]))
    assert cart_.discount_total == 0
    assert entry_of(cart_, "s").why == "Rule s: only from 200.00 on, this is 100.00"


def test_R8_a_minimum_is_judged_on_its_lines_as_they_enter_the_stage() -> None:
    """After the line discounts; not after the other rules of the stage."""
    rules = [
        rule("p", RuleKind.LINE_PERCENT, percent=1_000),
        rule("1", RuleKind.CART_AMOUNT, amount=8_000, priority=1),
        rule("2", RuleKind.CART_AMOUNT, amount=500, priority=2, min_subtotal=9_000,
             targets=Targets(package_ids=["a"])),
        rule("3", RuleKind.CART_AMOUNT, amount=500, priority=3, min_subtotal=9_001,
             targets=Targets(package_ids=["a"])),
    ]  # fmt: skip
    cart_ = priced(cart(("a", 1), ("b", 1)), store([A, B], rules))
    assert applied_rules(cart_) == ["p", "1", "2"]


def test_R5_a_cart_amount_is_capped_and_allocated_by_largest_remainder() -> None:
    prices = [package("a", 100), package("b", 100), package("c", 100)]
    ten = rule("r", RuleKind.CART_AMOUNT, amount=200)
    cart_ = priced(cart(("a", 1), ("b", 1), ("c", 1)), store(prices, [ten]))
    assert [line.cart_discount for line in cart_.lines] == [67, 67, 66]
    most = rule("r", RuleKind.CART_AMOUNT, amount=99_999)
    assert priced(cart(("a", 1)), store(prices, [most])).grand_total == 0


def discount(discount_id: str, level: DiscountLevel, **more: Any) -> DiscountView:
    return DiscountView(
        discount_id=discount_id, name=discount_id, name_th="ส่วนลด", level=level, **more
    )


SHOP = store(
    [A, B],
    discounts=[
        discount("half", DiscountLevel.LINE, percent=5_000),
        discount("off", DiscountLevel.LINE, amount=1_000, package_ids=["a"]),
        discount("cart", DiscountLevel.CART, percent=1_000),
        discount("gone", DiscountLevel.CART, amount=1, active=False),
    ],
)


def test_R8_chosen_discounts_come_off_the_line_in_the_order_of_the_cart() -> None:
    line = CartLine(package_id="a", qty=2, discount_ids=["off", "half", "off"])
    cart_ = priced(Cart(lines=[line], discount_ids=["cart"]), SHOP)
    assert cart_.lines[0].line_discount == 1_000 + 9_500  # an amount is off the line, not a unit
    assert cart_.lines[0].cart_discount == 950
    why = [entry.why for entry in cart_.trace[1:4]]
    assert why == [
        "off: 10.00 in all", "half: 50 % off, 95.00 in all", "cart: 10 % off, 9.50 in all",
    ]  # fmt: skip
    wrong = Cart(lines=[CartLine(package_id="b", qty=1, discount_ids=["off"])])
    assert entry_of(priced(wrong, SHOP), "off").why == "off: it is not for these tickets"


@pytest.mark.parametrize(
    ("asked", "what"),
    [
        (cart(("a", 1), promo_codes=["NOPE"]), "promo code"),
        (cart(("a", 1), discount_ids=["nope"]), "discount for the whole cart"),
        (cart(("a", 1), discount_ids=["half"]), "discount for the whole cart"),
        (cart(("a", 1), discount_ids=["gone"]), "discount for the whole cart"),
        (
            Cart(lines=[CartLine(package_id="a", qty=1, discount_ids=["cart"])]),
            "discount for a line",
        ),
    ],
)
def test_R13_what_the_store_does_not_offer_is_refused_by_name(asked: Cart, what: str) -> None:
    refusal = refused(asked, SHOP)
    assert refusal.code is ErrorCode.VALIDATION
    assert refusal.message == f"No such {what} is known in this store: take it off the cart."
    booked = priced(asked, SHOP, committed=True)
    assert booked.grand_total == 10_000
    assert booked.trace[1].facts == {"reason": "unknown"}


def test_a_customer_is_no_reason_to_refuse() -> None:
    assert priced(cart(("a", 1), customer_id="c1"), SHOP).grand_total == 10_000


def test_R8_a_manual_discount_takes_at_most_what_its_line_still_costs() -> None:
    half = ["half"]
    for manual, total in ((0, 5_000), (1, 4_999), (5_000, 0)):
        line = CartLine(package_id="a", qty=1, discount_ids=half, manual_discount=manual)
        assert priced(Cart(lines=[line]), SHOP).grand_total == total
    line = CartLine(package_id="a", qty=1, discount_ids=half, manual_discount=5_001)
    refusal = refused(Cart(lines=[line]), SHOP)
    assert refusal.code is ErrorCode.VALIDATION
    assert refusal.details == {"reason": "manual_discount", "line": 0, "most": 5_000}
    assert "at most 50.00" in refusal.message
    assert priced(Cart(lines=[line]), SHOP, committed=True).grand_total == 0


# --- tax and totals ---------------------------------------------------------------------


def test_R4_vat_per_receipt_and_per_line_differ_by_their_rounding() -> None:
    packages = [package(f"p{i}", 107) for i in range(3)]
    asked = cart(*((each.package_id, 1) for each in packages))
    off = rule("r", RuleKind.LINE_AMOUNT, amount=99)  # 0.08 each: 0.0052 of VAT
    totals = [
        priced(asked, store(packages, [off], money=MoneySettings(vat_mode=mode)))
        for mode in (VatMode.PER_RECEIPT, VatMode.PER_LINE)
    ]
    assert [cart_.tax_total for cart_ in totals] == [2, 3]
    assert [line.vat for line in totals[0].lines] == [1, 1, 0]


def test_R4_exclusive_vat_is_paid_on_top_and_exempt_lines_carry_none() -> None:
    taxes = [
        TaxView(tax_id="t0", name="Service", rate=700, mode=TaxMode.EXCLUSIVE),
        TaxView(tax_id="t1", name="Exempt", rate=0, mode=TaxMode.EXEMPT),
    ]
    catalog = store([A, package("b", 5_000, "t1")], taxes=taxes)
    cart_ = priced(cart(("a", 1), ("b", 1)), catalog)
    assert (cart_.subtotal, cart_.tax_total, cart_.grand_total) == (15_000, 700, 15_700)
    assert [part.payable for line in cart_.lines for part in line.slices] == [10_700, 5_000]
    assert [entry.why for entry in cart_.trace[2:]] == [
        "Service 7 %: 7.00 added to 100.00",
        "Exempt: no VAT on 50.00",
    ]


def test_a_total_beyond_ten_billion_baht_is_refused() -> None:
    dear = store([package("p", 10**12)])
    assert priced(cart(("p", 1)), dear).grand_total == 10**12
    free = store([package("p", 10**12)], [rule("r", RuleKind.LINE_PERCENT, percent=10_000)])
    for catalog in (dear, free):
        assert "too large" in refused(cart(("p", 2)), catalog).message
