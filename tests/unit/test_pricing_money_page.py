"""docs/money.md says nothing that the code does not do: each of its tables is reckoned again."""

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from playpark.cash import round_cash
from playpark.contracts.catalog import Component, TaxMode, TaxView
from playpark.contracts.pricing import PaymentIn, PaymentMethod, PricedCart
from playpark.contracts.rules import PaymentTypeView, RuleKind, RuleView, Targets
from playpark.contracts.settings import CashRounding, MoneySettings, VatMode
from playpark.money import allocate, format_satang, parse_baht, percent_of, round_half_up
from playpark.pricing import pipeline, price
from playpark.pricing.choosing import RuleStage
from playpark.refunding import RefundPlan, RefundState, SoldSlice, Tender, plan_refund
from tests.unit.pricing_worlds import cart, package, rule, store

PAGE = (Path(__file__).parents[2] / "docs" / "money.md").read_text()
AT = datetime(2026, 11, 21, 8, 0, tzinfo=UTC)
Row = tuple[str, ...]


def tables() -> dict[Row, list[Row]]:
    """Each table of the page by the names of its columns."""
    found: dict[Row, list[Row]] = {}
    for block in re.findall(r"(?:^\|.*\n)+", PAGE, re.MULTILINE):
        head, _, *rows = (
            tuple(cell.strip() for cell in line.strip("|").split("|"))
            for line in block.splitlines()
        )
        assert head not in found, "two tables have the same columns"
        found[head] = rows
    return found


def satang(text: str) -> int:
    return -parse_baht(text[1:]) if text.startswith("-") else parse_baht(text)


def each_satang(text: str) -> list[int]:
    return [satang(part) for part in text.split(", ")]


def baht(*amounts: int) -> str:
    return ", ".join(format_satang(amount) for amount in amounts)


def points(text: str) -> int:
    """Basis points of `12.5 %`."""
    return parse_baht(text.removesuffix(" %"))


def rounding(rows: list[Row]) -> list[Row]:
    fractions = [tuple(int(part) for part in exact.split(" / ")) for exact, _ in rows]
    return [(f"{top} / {under}", str(round_half_up(top, under))) for top, under in fractions]


def percentages(rows: list[Row]) -> list[Row]:
    again = []
    for units, each, percent, *_ in rows:
        qty, unit, rate = int(units), satang(each), points(percent)
        ten = rule("r", RuleKind.LINE_PERCENT, percent=rate)
        priced = price(cart(("a", qty)), store([package("a", unit)], [ten]), at=AT)
        singly = qty * percent_of(unit, rate)
        again.append((units, each, percent, baht(priced.discount_total), baht(singly)))
    return again


def sharing(rows: list[Row]) -> list[Row]:
    return [
        (amount, over, baht(*allocate(satang(amount), each_satang(over))))
        for amount, over, _ in rows
    ]


def taxes(rows: list[Row]) -> list[Row]:
    again = []
    for lines, mode, percent, *_ in rows:
        tax = TaxView(tax_id="t0", name="VAT", rate=points(percent), mode=TaxMode(mode))
        packages = [package(f"p{i}", each) for i, each in enumerate(each_satang(lines))]
        asked = cart(*((each.package_id, 1) for each in packages))
        receipt, by_line = (
            price(asked, store(packages, taxes=[tax], money=MoneySettings(vat_mode=vat)), at=AT)
            for vat in (VatMode.PER_RECEIPT, VatMode.PER_LINE)
        )
        shares = baht(*(line.vat for line in receipt.lines))
        totals = baht(receipt.tax_total), shares, baht(by_line.tax_total)
        again.append((lines, mode, percent, *totals))
    return again


def happy_rule(number: int, row: Row) -> RuleView:
    kind, which, what = row
    amounts = [satang(each) for each in re.findall(r"\d+\.\d\d", what)]
    percent = re.search(r"([\d.]+ %)", what)
    params: dict[str, object] = {"percent": points(percent[1])} if percent else {}
    match kind:
        case "time_of_day":
            params["price"] = amounts[0]
        case "bundle":
            params["price"] = amounts[0]
            params["components"] = [
                Component(package_id=each, qty=int(qty))
                for qty, each in (part.split() for part in which.split(", "))
            ]
        case "line_amount":
            params["amount"] = amounts[0]
        case "promo_code":
            params["code"] = "CODE"
        case "cart_amount":
            params |= {"amount": amounts[0], "min_subtotal": amounts[1]}
        case "line_percent":
            pass
    only = [which] if which in {"adult", "child"} else []
    targets = Targets(package_ids=only)
    return rule(f"r{number}", RuleKind(kind), **params, targets=targets)


def happy_cart() -> PricedCart:
    wanted = re.search(r"three adults at ([\d.]+) and a child at ([\d.]+)", PAGE)
    assert wanted is not None
    packages = [package("adult", satang(wanted[1])), package("child", satang(wanted[2]))]
    rows = tables()["rule", "of all lines or", "what"]
    rules = [happy_rule(number, row) for number, row in enumerate(rows)]
    asked = cart(("adult", 3), ("child", 1), promo_codes=["CODE"])
    return price(asked, store(packages, rules), at=AT)


def trace(_: list[Row]) -> list[Row]:
    return [
        (entry.stage, baht(entry.input - entry.output), baht(entry.output))
        for entry in happy_cart().trace
    ]


def slices(_: list[Row]) -> list[Row]:
    return [
        (line.package_id, baht(part.gross), baht(part.line_discount), baht(part.cart_discount),
         baht(part.payable), baht(part.vat))
        for line in happy_cart().lines
        for part in line.slices
    ]  # fmt: skip


def paid(goods: str, payments: list[PaymentIn], **money: object) -> PricedCart:
    told = re.search(r"With a card at ([\d.]+ %) and ([\d.]+), VAT on it (\d+ %)", PAGE)
    assert told is not None
    card = PaymentTypeView(
        payment_type_id="card", name="Card", name_th="บัตร", method=PaymentMethod.CARD,
        surcharge_percent=points(told[1]), surcharge_amount=satang(told[2]),
        surcharge_tax=points(told[3]),
    )  # fmt: skip
    settings = MoneySettings.model_validate(money)
    catalog = store([package("a", satang(goods))], payment_types=[card], money=settings)
    return price(cart(("a", 1)), catalog, at=AT, payments=payments)


def payment(text: str) -> PaymentIn:
    name, _, amount = text.partition(" ")
    return PaymentIn(
        method=PaymentMethod(name),
        payment_type_id="card" if name == "card" else None,
        amount=satang(amount) if amount else 0,
    )


def surcharges(rows: list[Row]) -> list[Row]:
    again = []
    for goods, told, *_ in rows:
        priced = paid(goods, [payment(each) for each in told.split(", ")])
        vat = sum(each.vat for each in priced.surcharges)
        sums = baht(priced.surcharge_total), baht(vat), baht(priced.grand_total)
        again.append((goods, told, baht(*priced.due), *sums))
    return again


def coins(rows: list[Row]) -> list[Row]:
    again = []
    for part, step, mode, *_ in rows:
        money = {"cash_step": satang(step), "cash_rounding": CashRounding(mode)}
        priced = paid(part, [payment("cash")], **money)
        assert priced.due == [round_cash(satang(part), satang(step), CashRounding(mode))]
        again.append((part, step, mode, baht(*priced.due), baht(priced.cash_rounding)))
    return again


def refunds(state: RefundState, kept: list[int] | None = None) -> list[tuple[RefundPlan, int]]:
    """Ticket by ticket: each plan, and what was paid out by then."""
    made = []
    for index, part in enumerate(state.slices):
        kept_price = kept[index] if kept is not None else None
        plan = plan_refund(state, ticket_ids=[part.ticket_id], kept_price=kept_price)
        back, given = dict(plan.parts), {each: amount for each, amount, _ in plan.tickets}
        state = replace(
            state,
            slices=[
                replace(
                    each,
                    refunded=each.refunded + given.get(each.ticket_id, 0),
                    returned=each.returned or each.ticket_id in given,
                )
                for each in state.slices
            ],
            tenders=[
                replace(each, refunded=each.refunded + back.get(each.method, 0))
                for each in state.tenders
            ],
            refunded_total=state.refunded_total + plan.amount,
            cash_goods_refunded=state.cash_goods_refunded + plan.cash_goods,
        )
        made.append((plan, state.refunded_total))
    return made


def sold(*payables: int) -> list[SoldSlice]:
    return [SoldSlice(f"t{i}", f"u{i}", payable, 0) for i, payable in enumerate(payables)]


def cash_refunds(_: list[Row]) -> list[Row]:
    told = re.search(r"Three tickets of ([\d.]+), settled with ([\d.]+) in coins of ([\d.]+)", PAGE)
    assert told is not None
    each, taken, step = (satang(text) for text in told.groups())
    assert round_cash(3 * each, step, CashRounding.NEAREST) == taken
    state = RefundState(
        slices=sold(each, each, each), tenders=[Tender(PaymentMethod.CASH, taken)],
        grand_total=taken, cash_rounding=taken - 3 * each, cash_step=step,
    )  # fmt: skip
    return [
        (str(number), baht(each), baht(plan.amount), baht(plan.cash_rounding), baht(so_far))
        for number, (plan, so_far) in enumerate(refunds(state), 1)
    ]


def split_refunds(_: list[Row]) -> list[Row]:
    told = re.search(
        r"Two tickets of ([\d.]+) and ([\d.]+), paid with ([\d.]+) in cash and then ([\d.]+) by",
        PAGE,
    )
    assert told is not None
    one, two, cash, card = (satang(text) for text in told.groups())
    state = RefundState(
        slices=sold(one, two), grand_total=cash + card, surcharge_total=cash + card - one - two,
        tenders=[Tender(PaymentMethod.CASH, cash), Tender(PaymentMethod.CARD, card)],
    )  # fmt: skip
    assert "by a card at 3 %" in PAGE
    assert percent_of(one + two - cash, 300) == state.surcharge_total
    rows = []
    for number, (plan, so_far) in enumerate(refunds(state), 1):
        back, slice_ = dict(plan.parts), plan.tickets[0][1]
        by_card, by_cash = back.get(PaymentMethod.CARD, 0), back.get(PaymentMethod.CASH, 0)
        amounts = (slice_, by_card, by_cash, plan.surcharge, so_far)
        rows.append((str(number), *(baht(amount) for amount in amounts)))
    return rows


def repriced(rows: list[Row]) -> list[Row]:
    told = re.search(r"Three tickets of ([\d.]+)\s+for ([\d.]+) together", PAGE)
    assert told is not None
    each, total = satang(told[1]), satang(told[2])
    kept = [satang(row[1]) for row in rows]
    assert kept == [2 * each, each, 0]
    state = RefundState(
        slices=sold(*allocate(total, [1, 1, 1])),
        tenders=[Tender(PaymentMethod.CARD, total)],
        grand_total=total,
    )
    return [
        (str(number), baht(kept[number - 1]), baht(plan.amount), baht(so_far))
        for number, (plan, so_far) in enumerate(refunds(state, kept), 1)
    ]


CHECKS: dict[Row, Callable[[list[Row]], list[Row]]] = {
    ("exact satang", "rounded"): rounding,
    ("units", "each", "percent", "off the line", "ticket by ticket it would be"): percentages,
    ("amount", "over", "shares"): sharing,
    ("lines", "mode", "rate", "VAT", "by line", "rounded line by line"): taxes,
    ("step", "off", "the cart costs"): trace,
    ("ticket", "gross", "line discount", "cart discount", "payable", "VAT"): slices,
    ("goods", "payments", "due", "surcharge", "VAT in it", "total"): surcharges,
    ("part in cash", "step", "mode", "cash", "rounding"): coins,
    ("refund", "its slice", "paid in cash", "rounding", "paid so far"): cash_refunds,
    ("refund", "its slice", "card", "cash", "surcharge in it", "paid so far"): split_refunds,
    ("refund", "kept, priced again", "paid back", "paid so far"): repriced,
}


@pytest.mark.parametrize("head", CHECKS, ids=lambda head: head[-1])
def test_every_table_of_the_page_is_what_the_code_reckons(head: Row) -> None:
    rows = tables()[head]
    assert CHECKS[head](rows) == rows


def test_no_table_of_the_page_goes_unchecked() -> None:
    inputs = {("rule", "of all lines or", "what")}
    assert set(tables()) == set(CHECKS) | inputs


def test_the_order_on_the_page_is_the_order_of_the_pipeline() -> None:
    named = re.findall(r"^\d+\. \*\*(\w+)\*\*", PAGE, re.MULTILINE)
    stages = [
        stage.kind.value if isinstance(stage, RuleStage) else stage.__name__.removesuffix("s")
        for stage in pipeline.PIPELINE
    ]
    helpers = {"check", "unknown_code"}
    settling = ["surcharge", "cash_rounding"]
    assert named == [stage for stage in stages if stage not in helpers | {"settle"}] + settling


def test_every_amount_in_the_text_stands_in_a_table_of_its_section() -> None:
    for section in PAGE.split("\n## ")[1:]:
        text = " ".join(re.sub(r"^\|.*$", "", section, flags=re.MULTILINE).split())
        cells = " ".join(re.findall(r"^\|.*$", section, flags=re.MULTILINE))
        known = set(re.findall(r"\d+\.\d\d", cells))
        sentences = re.findall(
            r"(?:Three tickets|Two tickets|With a card|three adults)[^|:]*:", text
        )
        for sentence in sentences:
            text = text.replace(sentence, "")  # read by the table that follows it
        assert set(re.findall(r"\d+\.\d\d", text)) <= known
