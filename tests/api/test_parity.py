"""Preview, till and sale say the same about a cart, to the byte (R11, R12).

Random catalogues are made through the API, random carts are priced by the preview, by `price` as
our till does it, and by the sale that is then booked.
"""

import os
import random
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import pytest

from playpark.canonical import canonical_json
from playpark.contracts.catalog import SalesChannel
from playpark.contracts.pricing import Cart, PaymentIn, PricedCart
from playpark.contracts.snapshot import CatalogSnapshot
from playpark.errors import PlayParkError
from playpark.ids import new_ulid
from playpark.pricing import Context, applied_rules, price
from tests.api.drawers import SUPERVISOR, send, tell
from tests.api.inside import inside
from tests.api.selling import Park, rung
from tests.outside import Outsider

FULL = bool(os.environ.get("PLAYPARK_FULL"))
CATALOGUES, CARTS = (40, 250) if FULL else (3, 40)
GROUPS = ("member", "vip")


@dataclass
class World:
    """A park with a catalogue of its own, and what a test knows of it by itself."""

    park: Park
    chance: random.Random
    tills: dict[SalesChannel, Outsider]
    guests: dict[str, str]
    """Customer by group."""
    catalog: CatalogSnapshot
    uses: Counter[str] = field(default_factory=Counter)
    """How often each capped rule was sold, counted here."""

    def context(self, channel: SalesChannel, group: str | None) -> Context:
        caps = {rule.rule_id: rule.max_uses for rule in self.catalog.rules if rule.max_uses}
        used_up = frozenset(rule for rule, cap in caps.items() if self.uses[rule] >= cap)
        return Context(channel=channel, customer_group=group, used_up=used_up)


@pytest.fixture(scope="module")
async def park(mongo_uri: str, database: str) -> AsyncIterator[Park]:
    async with inside(mongo_uri, f"{database}_parity") as park:
        yield await Park.of(park)


@pytest.fixture(scope="module")
async def tills(park: Park) -> dict[SalesChannel, Outsider]:
    """A till with somebody who may give discounts, and a kiosk that sells by itself."""
    return {
        SalesChannel.POS: await park.till(shift=False, **SUPERVISOR),
        SalesChannel.KIOSK: await park.inside.device("KIOSK"),
    }


@pytest.mark.parametrize("seed", range(CATALOGUES))
async def test_R12_preview_till_and_sale_agree_to_the_byte(
    park: Park, tills: dict[SalesChannel, Outsider], seed: int
) -> None:
    chance = random.Random(seed)
    catalog = await _a_catalogue(park, chance)
    guests = {group: await park.customer(group=group) for group in GROUPS}
    world = World(park, chance, tills, guests, catalog)
    outcomes: Counter[str] = Counter()
    for _ in range(CARTS):
        # At any hour of a few days and nights: a sale costs what it costs by the server's clock.
        ago = timedelta(minutes=chance.randrange(0, 70 * 60))
        park.inside.clock.advance(-ago)
        outcomes[await _agree(world)] += 1
        park.inside.clock.advance(ago)
    # Most carts are sold, and some are refused: both were compared.
    assert outcomes["sold"] >= CARTS // 2, outcomes


async def _agree(world: World) -> str:
    """Price and sell one cart three ways; the outcome, `sold` or the code of the refusal."""
    chance = world.chance
    channel = chance.choice([SalesChannel.POS, SalesChannel.POS, SalesChannel.KIOSK])
    till = world.tills[channel]
    group = chance.choice([None, *GROUPS])
    cart = _a_cart(world, channel, group)
    payments = _some_payments(chance, world.catalog)
    at = world.park.inside.clock.now()
    body = {**cart, "payments": payments, "at": at.isoformat()}
    response = await send(till, "POST", "/pricing/preview", body)
    answer = response.json()
    local = _as_the_till(world, cart, payments, at, world.context(channel, group))
    if isinstance(local, PlayParkError):
        assert answer["error"] is not None, (local, answer)
        told = (answer["error"]["code"], answer["error"]["details"])
        assert told == (local.code, local.details)
        sold = await send(till, "POST", "/sales", _sale(cart, payments, at))
        assert sold.json()["error"] == answer["error"]
        return str(local.code)
    assert answer["error"] is None, answer
    assert _bytes(answer["data"]) == _bytes(local.model_dump(mode="json"))
    await _sell(world, till, cart, payments, at, local)
    return "sold"


def _as_the_till(
    world: World,
    cart: dict[str, Any],
    payments: list[dict[str, Any]],
    at: datetime,
    context: Context,
) -> PricedCart | PlayParkError:
    """The price by the snapshot alone, or why there is none."""
    meant = [PaymentIn.model_validate(each) for each in payments]
    rung_cart = Cart.model_validate(cart)
    try:
        return price(rung_cart, world.catalog, at=at, context=context, payments=meant)
    except PlayParkError as refusal:
        return refusal


async def _sell(
    world: World,
    till: Outsider,
    cart: dict[str, Any],
    payments: list[dict[str, Any]],
    at: datetime,
    local: PricedCart,
) -> None:
    """Sell the cart at its price: answer, stored sale and tickets are the same numbers."""
    for payment, due in zip(payments, local.due, strict=True):
        payment["amount"] = due
    shown = local.model_dump(mode="json")
    told: dict[str, Any] = {"expected_total": local.grand_total}
    if world.chance.random() < 0.5:
        told = {"rung": rung(shown), "catalog_version": local.catalog_version}
    sold = await tell(till, "POST", "/sales", _sale(cart, payments, at) | told)
    world.uses.update(applied_rules(local))
    sale = sold["sale"]
    for name in shown.keys() - {"trace", "due"}:
        assert _bytes(sale[name]) == _bytes(shown[name]), name
    # The last amount in a preview is anything; in the sale it is what was due: one trace.
    read = await tell(till, "GET", f"/sales/{sale['sale_id']}")
    assert _bytes(read["trace"]) == _bytes(shown["trace"])
    assert sum(each["payable"] for each in sold["tickets"]) == sum(
        line.payable for line in local.lines
    )


def _bytes(value: Any) -> bytes:
    return canonical_json(value)


def _sale(cart: dict[str, Any], payments: list[dict[str, Any]], at: datetime) -> dict[str, Any]:
    """Told of another hour, which must not matter."""
    told = at - timedelta(hours=5)
    return {**cart, "payments": payments, "occurred_at": told.isoformat()}


# --- random things ----------------------------------------------------------------------


def _a_cart(world: World, channel: SalesChannel, group: str | None) -> dict[str, Any]:
    chance, catalog = world.chance, world.catalog
    packages = [each.package_id for each in catalog.packages if channel in each.visible_on]
    if chance.random() < 0.05:
        packages = [each.package_id for each in catalog.packages]
    cart: dict[str, Any] = {"lines": []}
    for package_id in chance.choices(packages, k=chance.randint(1, 5)):
        line: dict[str, Any] = {"package_id": package_id, "qty": chance.choice([1, 1, 2, 3, 7])}
        if chance.random() < 0.2:
            line["discount_ids"] = _some(chance, catalog, "line")
        if channel is SalesChannel.POS and chance.random() < 0.15:
            line["manual_discount"] = chance.choice([1, 33, 500, 5_000])
        cart["lines"].append(line)
    if chance.random() < 0.4:
        known = [rule.params.code for rule in catalog.rules if rule.params.code]
        cart["promo_codes"] = chance.sample(known, k=min(len(known), chance.randint(1, 2)))
        if chance.random() < 0.1:
            cart["promo_codes"].append("NOSUCHCODE")
    if chance.random() < 0.3:
        cart["discount_ids"] = _some(chance, catalog, "cart")
    if group is not None:
        cart["customer_id"] = world.guests[group]
    return cart


def _some(chance: random.Random, catalog: CatalogSnapshot, level: str) -> list[str]:
    known = [each.discount_id for each in catalog.discounts if each.level == level]
    return chance.sample(known, k=min(len(known), chance.randint(1, 2)))


def _some_payments(chance: random.Random, catalog: CatalogSnapshot) -> list[dict[str, Any]]:
    """One to three payments; amounts of all but the last stand, in whole coins."""
    kinds = [each for each in catalog.payment_types if not each.points]
    payments: list[dict[str, Any]] = []
    for kind in chance.choices(kinds, k=chance.choice([1, 1, 1, 2, 3])):
        amount = chance.choice([100, 2_500, 5_000, 30_000])
        payment = {"method": kind.method.value, "amount": amount, "reference": "R-1"}
        if chance.random() < 0.9:
            payment["payment_type_id"] = kind.payment_type_id
        payments.append(payment)
    return payments


async def _a_catalogue(park: Park, chance: random.Random) -> CatalogSnapshot:
    """Packages, rules of every kind, price lists, discounts, ways to pay and money settings, made
    through the API on top of what is there; rules of before are switched off."""
    known = CatalogSnapshot.model_validate(await park.catalog())
    for rule in known.rules:
        await tell(park.owner, "PATCH", f"/pricing/rules/{rule.rule_id}", {"active": False})
    for each in known.discounts:
        path = f"/catalog/discounts/{each.discount_id}"
        await tell(park.owner, "PATCH", path, {"active": False})
    await park.settings(
        money={
            "vat_mode": chance.choice(["per_receipt", "per_line"]),
            "cash_step": chance.choice([1, 25, 100]),
            "cash_rounding": chance.choice(["nearest", "down"]),
            "manual_discount_limit": 100_000,
        },
        sales={"without_shift": True},
    )
    packages = await _packages(park, chance)
    for number in range(2):
        prices = {each: chance.randrange(1, 40_000) for each in chance.sample(packages, k=2)}
        channel = chance.choice([None, "POS", "KIOSK"])
        fields = {"prices": prices, "channel": channel, "priority": number}
        await park.add("/catalog/price_lists", name=f"list {number}", **fields)
    for _ in range(9):
        rule = _a_rule(chance, packages)
        response = await send(park.owner, "POST", "/pricing/rules", rule)
        assert response.status_code in {200, 409}, response.text  # 409: two that conflict (R10)
    for level in ("line", "cart"):
        for off in ({"percent": chance.randrange(1, 9_000)}, {"amount": chance.randrange(9_000)}):
            await park.add("/catalog/discounts", level=level, **off)
    card = {
        "method": "card",
        "surcharge_percent": chance.choice([0, 150, 333]),
        "surcharge_amount": chance.choice([0, 25, 500]),
        "surcharge_tax": chance.choice([0, 700]),
    }
    await park.add("/catalog/payment_types", **card)
    return CatalogSnapshot.model_validate(await park.catalog())


async def _packages(park: Park, chance: random.Random) -> list[str]:
    taxes = [
        (await park.add("/catalog/taxes", name=mode, rate=rate, mode=mode))["tax_id"]
        for mode, rate in (("inclusive", 700), ("exclusive", 1_050), ("exempt", 0))
    ]
    made = []
    for number in range(6):
        kind = chance.choice(["single", "multi", "timepass", "credit"])
        package = await park.add(
            "/catalog/packages",
            name=f"package {number}",
            kind=kind,
            price=chance.choice([0, 1, 3_333, 10_000, 19_999, 50_000]),
            tax_id=chance.choice(taxes),
            quota_or_minutes=1 if kind == "single" else 10,
            visible_on=chance.choice([["POS", "KIOSK"], ["POS", "KIOSK"], ["POS"]]),
        )
        made.append(str(package["package_id"]))
    parts = [{"package_id": each, "qty": chance.randint(1, 2)} for each in made[:2]]
    bundle = {"kind": "bundle", "price": 23_457, "tax_id": taxes[0], "components": parts}
    made.append(str((await park.add("/catalog/packages", **bundle))["package_id"]))
    return made


def _a_rule(chance: random.Random, packages: list[str]) -> dict[str, Any]:
    kind = chance.choice(
        [
            *("time_of_day", "bundle", "line_amount", "line_percent"),
            *("promo_code", "cart_percent", "cart_amount"),
        ]
    )
    percent, amount = chance.randrange(1, 5_000), chance.randrange(1, 4_000)
    params: dict[str, Any] = {
        "time_of_day": {"price": amount},
        "bundle": {
            "price": 5_000,
            "components": [{"package_id": each, "qty": 1} for each in chance.sample(packages, 2)],
        },
        "line_amount": {"amount": amount},
        "line_percent": {"percent": percent},
        "promo_code": {"code": f"P{new_ulid()}", "percent": percent},
        "cart_percent": {"percent": percent},
        "cart_amount": {"amount": amount},
    }[kind]
    if kind in {"promo_code", "cart_percent", "cart_amount"} and chance.random() < 0.3:
        params["min_subtotal"] = 20_000
    rule: dict[str, Any] = {
        "name": f"{kind} {amount}",
        "name_th": "กฎ",
        "kind": kind,
        "params": params,
        "priority": chance.randrange(0, 1_000),
        "stackable": chance.random() < 0.5,
    }
    targets: dict[str, Any] = {}
    if kind != "bundle" and chance.random() < 0.6:
        targets["package_ids"] = chance.sample(packages, k=chance.randint(1, 4))
    if chance.random() < 0.3:
        targets["customer_groups"] = [chance.choice(GROUPS)]
    if chance.random() < 0.2:
        targets["channels"] = [chance.choice(["POS", "KIOSK"])]
    if targets:
        rule["targets"] = targets
    if chance.random() < 0.3:
        rule["window"] = {"from_time": "10:00", "to_time": "16:00"}
    if chance.random() < 0.3:
        rule["max_uses"] = chance.randint(1, 4)
    if chance.random() < 0.3:
        rule["exclusive_group"] = "best"
    return rule
