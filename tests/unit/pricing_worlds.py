"""Random stores and carts for the properties of pricing and refunding.

A world is made from one seed by Python's own generator: thousands a second, the same one again
from the same seed. Everything in it is what the contracts allow; amounts are small enough that
rounding bites.
"""

import os
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import cached_property
from random import Random
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st

from playpark.contracts.catalog import (
    ActiveWindow,
    Component,
    PackageKind,
    PackageView,
    SalesChannel,
    TaxMode,
    TaxView,
)
from playpark.contracts.pricing import Cart, CartLine, PaymentIn, PaymentMethod, PricedCart
from playpark.contracts.rules import (
    DiscountLevel,
    DiscountView,
    Level,
    PaymentTypeView,
    PriceListView,
    RuleKind,
    RuleParams,
    RuleView,
    Targets,
)
from playpark.contracts.settings import CashRounding, MoneySettings, StoreSettings, VatMode
from playpark.contracts.snapshot import CatalogSnapshot
from playpark.pricing import Context, price

_AT_NIGHT = 100_000 if os.environ.get("PLAYPARK_FULL") else 0
many = settings(max_examples=_AT_NIGHT or 1_000, deadline=None)
"""What a property of carts is tried on: thousands in `make test`, many more at night."""
several = settings(max_examples=_AT_NIGHT or 300, deadline=None)
"""For properties that price each cart many times."""
few = settings(max_examples=5_000 if _AT_NIGHT else 100, deadline=None)
"""For properties that ask every quarter of an hour of many weeks."""

ZONES = ("Asia/Bangkok", "Asia/Tokyo", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe")
PRICES = (0, 1, 3, 7, 50, 99, 100, 333, 999, 1_000, 5_550, 9_900, 12_345, 100_000)
TIMES = ("00:00", "02:30", "06:00", "10:00", "14:00", "16:00", "22:00", "23:30")
BEGIN = datetime(2026, 3, 1, tzinfo=UTC)


def package(package_id: str, amount: int, tax_id: str = "t0", **more: Any) -> PackageView:
    values: dict[str, Any] = {
        "package_id": package_id,
        "name": f"Ticket {package_id}",
        "name_th": f"ตั๋ว {package_id}",
        "kind": PackageKind.SINGLE,
        "price": amount,
        "tax_id": tax_id,
        "quota_or_minutes": 1,
        "valid_days": 1,
        "zones": [],
        "visible_on": list(SalesChannel),
        "active": True,
    }
    return PackageView(**values | more)


def rule(rule_id: str, kind: RuleKind, **more: Any) -> RuleView:
    """A rule; its parameters may be given flat: `percent=1000`."""
    params = {name: more.pop(name) for name in list(more) if name in RuleParams.model_fields}
    values: dict[str, Any] = {
        "rule_id": rule_id,
        "scope": Level.STORE,
        "name": f"Rule {rule_id}",
        "name_th": f"กฎ {rule_id}",
        "kind": kind,
        "params": RuleParams(**params),
    }
    return RuleView(**values | more)


def store(
    packages: Sequence[PackageView],
    rules: Sequence[RuleView] = (),
    *,
    money: MoneySettings | None = None,
    **more: Any,
) -> CatalogSnapshot:
    """A catalogue with 7 % inclusive VAT, if nothing else is said."""
    values: dict[str, Any] = {
        "catalog_version": 1,
        "hash": "",
        "store_id": "s",
        "packages": list(packages),
        "zones": [],
        "taxes": [TaxView(tax_id="t0", name="VAT", rate=700, mode=TaxMode.INCLUSIVE)],
        "rules": list(rules),
        "settings": StoreSettings(money=money or MoneySettings()),
    }
    return CatalogSnapshot(**values | more)


def cart(*lines: tuple[str, int], **more: Any) -> Cart:
    return Cart(lines=[CartLine(package_id=each, qty=qty) for each, qty in lines], **more)


class World:
    """A store, a cart, a moment and a context, all from one seed."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.random = Random(seed)
        pick = self.random
        self.at = self.moment()
        self.taxes = [
            TaxView(tax_id=f"t{i}", name="VAT", rate=rate, mode=mode)
            for i, (mode, rate) in enumerate(
                pick.choice(
                    [
                        [(TaxMode.INCLUSIVE, 700)],
                        [(TaxMode.EXCLUSIVE, 700), (TaxMode.INCLUSIVE, 700)],
                        [(TaxMode.INCLUSIVE, 1_000), (TaxMode.ZERO, 0), (TaxMode.EXEMPT, 0)],
                    ]
                )
            )
        ]
        self.packages = [
            package(f"p{i}", pick.choice(PRICES), pick.choice(self.taxes).tax_id)
            for i in range(pick.randint(1, 6))
        ]
        kinds = pick.sample(list(RuleKind), pick.randint(1, 4))
        self.rules = [self.rule(i, pick.choice(kinds)) for i in range(pick.randint(0, 10))]
        self.context = Context(
            channel=pick.choice(list(SalesChannel)),
            customer_group=pick.choice([None, "member", "staff"]),
            used_up=frozenset(each.rule_id for each in self.rules if pick.random() < 0.05),
        )
        self.catalog = store(
            self.packages,
            self.rules,
            taxes=self.taxes,
            tz=pick.choice(ZONES),
            price_lists=[self._price_list(i) for i in range(pick.randint(0, 2))],
            discounts=[self._discount(i) for i in range(pick.randint(0, 4))],
            payment_types=[self._payment_type(i) for i in range(pick.randint(0, 4))],
            money=MoneySettings(
                vat_mode=pick.choice(list(VatMode)),
                cash_step=pick.choice([1, 25, 50, 100]),
                cash_rounding=pick.choice(list(CashRounding)),
            ),
        )
        self.cart = self._cart()

    def __repr__(self) -> str:
        return f"World({self.seed})"

    @cached_property
    def preview(self) -> PricedCart:
        """The price before anybody says how it is paid."""
        return self.price()

    def price(self, payments: Sequence[PaymentIn] | None = None, **more: Any) -> PricedCart:
        """The price in this world; `more` replaces catalogue, cart or context."""
        return price(
            more.get("cart") or self.cart,
            more.get("catalog") or self.catalog,
            at=self.at,
            context=more.get("context") or self.context,
            payments=payments,
        )

    def moment(self) -> datetime:
        return BEGIN + timedelta(minutes=self.random.randrange(60 * 24 * 60))

    def some(self, ids: Sequence[str]) -> list[str]:
        """Often none, which means all."""
        if self.random.random() < 0.5:
            return []
        return self.random.sample(ids, self.random.randint(1, len(ids)))

    def window(self) -> ActiveWindow | None:
        pick = self.random
        if pick.random() < 0.6:
            return None
        hours = pick.sample(TIMES, 2) if pick.random() < 0.6 else (None, None)
        dated = pick.random() < 0.3
        days = sorted(pick.sample(range(7), pick.randint(1, 6)))
        return ActiveWindow(
            from_time=hours[0],
            to_time=hours[1],
            weekdays=days if pick.random() < 0.4 else [],
            starts_at=BEGIN + timedelta(hours=pick.randrange(900)) if dated else None,
            ends_at=BEGIN + timedelta(hours=900 + pick.randrange(900)) if dated else None,
        )

    def params(self, kind: RuleKind) -> dict[str, Any]:
        pick = self.random
        percent = pick.choice([1, 50, 333, 700, 1_000, 1_250, 3_333, 5_000, 10_000])
        amount = pick.choice([0, 1, 3, 99, 100, 500, 10_000, 99_999])
        either = {"percent": percent} if pick.random() < 0.5 else {"amount": amount}
        least = {"min_subtotal": pick.choice([1, 1_000, 20_000])} if pick.random() < 0.3 else {}
        ids = [each.package_id for each in self.packages]
        match kind:
            case RuleKind.TIME_OF_DAY:
                return {"percent": percent} if pick.random() < 0.5 else {"price": amount}
            case RuleKind.BUNDLE:
                chosen = pick.sample(ids, pick.randint(1, min(3, len(ids))))
                parts = [Component(package_id=each, qty=pick.randint(1, 3)) for each in chosen]
                return {"components": parts, "price": amount}
            case RuleKind.LINE_AMOUNT:
                return {"amount": amount}
            case RuleKind.LINE_PERCENT:
                return {"percent": percent}
            case RuleKind.PROMO_CODE:
                return either | least | {"code": pick.choice(["SUMMER", "CLUB"])}
            case RuleKind.CART_PERCENT:
                return {"percent": percent} | least
            case RuleKind.CART_AMOUNT:
                return {"amount": amount} | least

    def rule(self, number: int, kind: RuleKind) -> RuleView:
        pick = self.random
        return rule(
            f"r{number}",
            kind,
            **self.params(kind),
            targets=Targets(
                package_ids=self.some([each.package_id for each in self.packages]),
                channels=[pick.choice(list(SalesChannel))] if pick.random() < 0.2 else [],
                customer_groups=["member"] if pick.random() < 0.2 else [],
            ),
            priority=pick.choice([10, 100, 100]),
            stackable=pick.random() < 0.7,
            exclusive_group=pick.choice(["a", "b"]) if pick.random() < 0.4 else None,
            window=self.window(),
        )

    def _price_list(self, number: int) -> PriceListView:
        pick = self.random
        return PriceListView(
            price_list_id=f"l{number}",
            scope=pick.choice(list(Level)),
            name=f"Prices {number}",
            channel=pick.choice([None, *SalesChannel]),
            starts_at=pick.choice([None, self.moment()]),
            prices={each.package_id: pick.choice(PRICES) for each in self.packages[::2]},
            priority=pick.choice([1, 2]),
        )

    def _discount(self, number: int) -> DiscountView:
        pick = self.random
        percent = pick.random() < 0.5
        return DiscountView(
            discount_id=f"d{number}",
            name=f"Discount {number}",
            name_th="ส่วนลด",
            level=pick.choice(list(DiscountLevel)),
            percent=pick.choice([1, 1_000, 3_333, 10_000]) if percent else None,
            amount=None if percent else pick.choice([1, 100, 9_999]),
            package_ids=self.some([each.package_id for each in self.packages]),
        )

    def _payment_type(self, number: int) -> PaymentTypeView:
        pick = self.random
        surcharge = pick.random() < 0.7
        return PaymentTypeView(
            payment_type_id=f"m{number}",
            name=f"Card {number}",
            name_th="บัตร",
            method=pick.choice([PaymentMethod.CARD, PaymentMethod.QR]),
            surcharge_percent=pick.choice([0, 150, 300, 10_000]) if surcharge else 0,
            surcharge_amount=pick.choice([0, 1, 500]) if surcharge else 0,
            surcharge_tax=pick.choice([0, 700]),
        )

    def _cart(self) -> Cart:
        pick = self.random
        ids = [each.package_id for each in self.packages]
        levels = {each.discount_id: each.level for each in self.catalog.discounts}
        on_line = [each for each, level in levels.items() if level is DiscountLevel.LINE]
        on_cart = [each for each, level in levels.items() if level is DiscountLevel.CART]
        codes = {each.params.code for each in self.rules if each.params.code is not None}
        lines = [
            CartLine(
                package_id=pick.choice(ids),
                qty=pick.choice([1, 1, 2, 3, 8]),
                discount_ids=[each for each in on_line if pick.random() < 0.3],
            )
            for _ in range(pick.randint(1, 6))
        ]
        asked = Cart(
            lines=lines,
            promo_codes=[each for each in sorted(codes) if pick.random() < 0.7],
            discount_ids=[each for each in on_cart if pick.random() < 0.5],
        )
        if pick.random() < 0.7:
            return asked
        costs = [
            line.gross - line.line_discount - line.cart_discount
            for line in self.price(cart=asked).lines
        ]
        manual = [
            line.model_copy(update={"manual_discount": pick.randint(0, most)})
            for line, most in zip(lines, costs, strict=True)
        ]
        return asked.model_copy(update={"lines": manual})

    def payments(self) -> list[PaymentIn]:
        """Payments that settle the cart, the last one by whatever is left."""
        pick = self.random
        rest = self.preview.grand_total
        step = self.catalog.settings.money.cash_step
        told = []
        for _ in range(pick.choice([0, 0, 1, 2])):
            kind = pick.choice([None, *self.catalog.payment_types])
            fixed = kind.surcharge_amount if kind else 0
            amount = pick.randint(0, rest) // 2
            if kind is None:
                amount = amount // step * step
                told.append(PaymentIn(method=PaymentMethod.CASH, amount=amount))
            elif amount > fixed:
                told.append(self._by(kind, amount))
            else:
                continue
            rest -= amount
        kind = pick.choice([None, *self.catalog.payment_types])
        last = PaymentIn(method=PaymentMethod.CASH, amount=0)
        return [*told, last if kind is None else self._by(kind, 0)]

    @staticmethod
    def _by(kind: PaymentTypeView, amount: int) -> PaymentIn:
        return PaymentIn(method=kind.method, payment_type_id=kind.payment_type_id, amount=amount)


worlds = st.integers(0, 2**62).map(World)
