"""What a receipt explains: discounts by name, list prices, surcharges, VAT, the guest (R7, R11)."""

from collections.abc import Callable

import pytest

from playpark.contracts.pricing import Surcharge, TraceEntry
from playpark.contracts.rules import DiscountView, RuleParams, RuleView
from playpark.contracts.sales import SaleView
from playpark.contracts.snapshot import CatalogSnapshot
from playpark.printing.letterhead import Letterhead
from playpark.printing.receipt_notes import OtherPrice, ReceiptNotes, Reduction
from playpark.printing.templates import receipt_document
from playpark.printing.text import to_text

Make = Callable[..., SaleView]
MakeHead = Callable[..., Letterhead]
STAFF = Reduction(line=0, name="Staff", name_th="พนักงาน", amount=-10_000)
FAMILY = Reduction(line=None, name="FAMILY10", name_th="ครอบครัว", amount=-7_800)
CATALOG = CatalogSnapshot(
    catalog_version=1,
    hash="0" * 64,
    store_id="s",
    packages=[],
    zones=[],
    taxes=[],
    rules=[
        RuleView(
            rule_id="happy",
            scope="store",
            name="Happy hour",
            name_th="ชั่วโมงสุข",
            kind="time_of_day",
            params=RuleParams(percent=1_000),
        ),
        RuleView(
            rule_id="promo",
            scope="store",
            name="FAMILY10",
            name_th="ครอบครัว",
            kind="promo_code",
            params=RuleParams(code="FAMILY10", percent=1_000),
        ),
    ],
    discounts=[
        DiscountView(
            discount_id="staff", name="Staff", name_th="พนักงาน", level="line", percent=2_000
        )
    ],
)


def row(text: str, label: str) -> str:
    (line,) = [line for line in text.splitlines() if label in line]
    return line.split()[-1]


@pytest.fixture
def printed(letterhead: MakeHead, sale: Make) -> Callable[..., str]:
    def print_it(notes: ReceiptNotes, **changes: object) -> str:
        return to_text(receipt_document(letterhead(), sale(**changes), till="03", notes=notes))

    return print_it


def step(stage: str, before: int, after: int, **more: object) -> TraceEntry:
    fields = {"stage": stage, "applied": True, "input": before, "output": after, "why": "because"}
    return TraceEntry.model_validate({**fields, **more})


def test_R11_each_discount_stands_with_its_name_where_it_belongs(
    printed: Callable[..., str],
) -> None:
    text = printed(ReceiptNotes(reductions=[STAFF, FAMILY]))

    assert row(text, "Staff") == "-100.00"
    assert row(text, "FAMILY10") == "-78.00"
    assert text.index("Staff") < text.index("Subtotal") < text.index("FAMILY10")
    assert row(text, "All discounts") == "-178.00"


@pytest.mark.parametrize(
    "notes",
    [
        ReceiptNotes(reductions=[STAFF]),
        ReceiptNotes(reductions=[STAFF, FAMILY, FAMILY]),
        ReceiptNotes(reductions=[STAFF.model_copy(update={"line": 9, "amount": -17_800})]),
    ],
)
def test_notes_that_do_not_tell_the_whole_are_left_out(
    printed: Callable[..., str], notes: ReceiptNotes
) -> None:
    text = printed(notes)

    assert "Staff" not in text
    assert "ส่วนลด Discount" in text


def test_another_price_than_the_lists_is_named_beside_it(printed: Callable[..., str]) -> None:
    happy = OtherPrice(line=1, name="Happy hour", name_th="ชั่วโมงสุข", list_price=69_000)

    text = printed(ReceiptNotes(prices=[happy], reductions=[STAFF, FAMILY]))

    assert "Happy hour (ปกติ List 690.00)" in text


def test_R7_a_surcharge_has_its_own_row_and_its_vat_in_the_row_of_its_rate(
    printed: Callable[..., str],
) -> None:
    card = Surcharge(
        payment=0,
        payment_type_id="card",
        name="Card +2 %",
        name_th="บัตร",
        amount=2_140,
        vat=140,
        vat_rate=700,
    )
    plain = printed(ReceiptNotes())

    text = printed(
        ReceiptNotes(), surcharges=[card], surcharge_total=2_140, grand_total=269_200 + 2_140
    )

    assert row(text, "Card +2 %") == "21.40"
    assert row(plain, "VAT 7%") == "176.13"
    assert row(text, "VAT 7%") == "177.53"


def test_a_guest_sees_what_became_of_the_points(printed: Callable[..., str]) -> None:
    notes = ReceiptNotes(guest="Ploy", points_balance=120)

    text = printed(notes, points_earned=26, points_burned=100)

    assert row(text, "Member") == "Ploy"
    assert row(text, "Points used") == "-100"
    assert row(text, "Points earned") == "+26"
    assert row(text, "Points balance") == "46"


def test_nobody_known_has_no_points(printed: Callable[..., str]) -> None:
    assert "Points" not in printed(ReceiptNotes())


def test_R32_a_training_sale_says_so_by_itself(printed: Callable[..., str]) -> None:
    assert printed(ReceiptNotes(), training=True).count("TRAINING") == 2


def test_R11_the_notes_are_read_from_the_trace() -> None:
    trace = [
        step("base", 0, 40_000, line=0),
        step("base", 40_000, 60_000, line=1),
        step("time_of_day", 60_000, 56_000, rule_id="happy", facts={"lines": [4_000, 0]}),
        step("line_discount", 56_000, 48_800, rule_id="staff", facts={"lines": [7_200, 0]}),
        step("promo_code", 48_800, 43_920, rule_id="promo", facts={"lines": [2_880, 2_000]}),
        step("cart_percent", 43_920, 43_920, applied=False, rule_id="x"),
        step("manual_discount", 43_920, 43_420, facts={"lines": [0, 500]}),
        step("vat", 43_420, 43_420),
        step("surcharge", 43_420, 44_288),
    ]

    notes = ReceiptNotes.of(trace, CATALOG, [2, 1])

    [price] = notes.prices
    assert (price.line, price.name, price.list_price) == (0, "Happy hour", 20_000)
    assert [(each.line, each.name, each.amount) for each in notes.reductions] == [
        (0, "Staff", -7_200),
        (None, "FAMILY10", -4_880),
        (1, "Discount", -500),
    ]
