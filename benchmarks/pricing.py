"""How long a price takes: a large cart with many rules, and an ordinary one."""

import time
from datetime import UTC, datetime

from playpark.contracts.catalog import (
    ActiveWindow,
    Component,
    PackageKind,
    PackageView,
    SalesChannel,
    TaxMode,
    TaxView,
)
from playpark.contracts.pricing import Cart, CartLine, PaymentIn, PaymentMethod
from playpark.contracts.rules import Level, RuleKind, RuleParams, RuleView, Targets
from playpark.contracts.snapshot import CatalogSnapshot
from playpark.pricing import price

ROUNDS = 200
AT = datetime(2026, 11, 21, 8, 0, tzinfo=UTC)  # 15:00 in the park


def _params(kind: RuleKind, number: int) -> RuleParams:
    match kind:
        case RuleKind.TIME_OF_DAY:
            return RuleParams(percent=500 + number)
        case RuleKind.BUNDLE:
            pair = [Component(package_id=f"p{number + side}", qty=1) for side in (0, 1)]
            return RuleParams(components=pair, price=15_000)
        case RuleKind.LINE_AMOUNT:
            return RuleParams(amount=100 + number)
        case RuleKind.LINE_PERCENT | RuleKind.CART_PERCENT:
            return RuleParams(percent=100 + number)
        case RuleKind.PROMO_CODE:
            return RuleParams(code=f"CODE{number}", percent=100)
        case RuleKind.CART_AMOUNT:
            return RuleParams(amount=1_000, min_subtotal=10_000)


def _rule(number: int) -> RuleView:
    """All kinds in turn; of each kind some for all packages, some for a few, some closed now."""
    kind = list(RuleKind)[number % len(RuleKind)]
    some = [f"p{each}" for each in range(number % 10, 100, 10)]
    evening = ActiveWindow(from_time="18:00", to_time="22:00")
    afternoon = ActiveWindow(from_time="12:00", to_time="18:00")
    return RuleView(
        rule_id=f"01JD00000000000000000{number:05}",
        scope=Level.STORE,
        name=f"Promotion {number}",
        name_th=f"โปรโมชัน {number}",
        kind=kind,
        params=_params(kind, number),
        targets=Targets(package_ids=[] if number % 3 else some),
        priority=number,
        window=evening if number % 4 == 0 else afternoon,
    )


def _catalog(rules: int) -> CatalogSnapshot:
    packages = [
        PackageView(
            package_id=f"p{number}",
            name="Ticket",
            name_th="ตั๋ว",
            kind=PackageKind.SINGLE,
            price=9_900 + number,
            tax_id="t",
            quota_or_minutes=1,
            valid_days=1,
            zones=[],
            visible_on=[SalesChannel.POS],
            active=True,
        )
        for number in range(100)
    ]
    tax = TaxView(tax_id="t", name="VAT", rate=700, mode=TaxMode.INCLUSIVE)
    return CatalogSnapshot(
        catalog_version=1,
        hash="",
        store_id="s",
        packages=packages,
        zones=[],
        taxes=[tax],
        rules=[_rule(number) for number in range(rules)],
    )


def _measure(lines: int, qty: int, rules: int) -> str:
    catalog = _catalog(rules)
    cart = Cart(
        lines=[CartLine(package_id=f"p{number}", qty=qty) for number in range(lines)],
        promo_codes=["CODE4", "CODE11"][: rules // 6],
    )
    cash = [PaymentIn(method=PaymentMethod.CASH, amount=0)]
    applied = sum(entry.applied for entry in price(cart, catalog, at=AT, payments=cash).trace)
    took = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        price(cart, catalog, at=AT, payments=cash)
        took.append(time.perf_counter() - began)
    took.sort()
    middle, worst = took[ROUNDS // 2] * 1000, took[ROUNDS * 95 // 100] * 1000
    return f"{middle:.2f} ms (p95 {worst:.2f} ms, {applied} steps applied)"


def run() -> list[tuple[str, str]]:
    """Price carts of several sizes."""
    return [
        ("Price 4 lines, 5 rules", _measure(4, 1, 5)),
        ("Price 100 lines, no rules", _measure(100, 1, 0)),
        ("Price 100 lines, 50 rules", _measure(100, 1, 50)),
        ("Price 100 lines with 500 tickets, 50 rules", _measure(100, 5, 50)),
    ]
