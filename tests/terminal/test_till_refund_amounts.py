"""How much goes back: amounts, bundles, roundings; the supervisor approves that much (R18, R31)."""

import pytest

from playpark.contracts.approvals import ApprovalAction
from playpark.contracts.settings import (
    CashRounding,
    MoneySettings,
    SalesSettings,
    StoreSettings,
)
from playpark.errors import PlayParkError
from terminal.refund_amount import Back
from tests.terminal.conftest import RICH
from tests.terminal.test_till_giving_back import WHY, asked, sold


def with_settings(**sections):
    return RICH.model_copy(update={"settings": StoreSettings(**sections)})


def ids_of(found, *numbers):
    return tuple(found.tickets[number].ticket.ticket_id for number in numbers)


async def test_R31_an_amount_is_given_back_where_the_store_allows_it(rich_desk, rich):
    found = await sold(rich)
    assert not rich.giving_back.by_amount
    rich.counter.catalog = with_settings(sales=SalesSettings(refund_by_amount=True))
    assert rich.giving_back.by_amount
    back = Back(amount=5000)
    assert rich.giving_back.expected(found, back) == 5000

    outcome = await rich.giving_back.refund(found, back, WHY, "t")

    [op] = asked(rich_desk)
    assert op["body"]["amount"] == 5000
    assert "ticket_ids" not in op["body"]
    assert "give back 50.00 cash" in outcome.sentence
    again = await rich.finding.find(found.sale.receipt_no)
    assert [each.left for each in again.tickets] == [17400, 17400]
    with pytest.raises(PlayParkError, match="more than is left"):
        rich.giving_back.expected(again, Back(amount=34801))


async def test_R18_the_tickets_of_a_bundle_are_one_unit(rich):
    rich.add("adult")
    found = await sold(rich, "family", 2)

    units = [each.unit for each in found.tickets]
    assert units == ["0:0"] + ["1:0"] * 4 + ["1:1"] * 4
    with pytest.raises(PlayParkError, match="given back as a whole"):
        rich.giving_back.expected(found, Back(ids_of(found, 1)))
    assert rich.giving_back.expected(found, Back(ids_of(found, 1, 2, 3, 4))) == 59000


async def test_R18_bundles_that_the_catalogue_knows_no_more_leave_the_units_to_the_server(rich):
    found = await sold(rich, "family", 1)
    packages = [each for each in RICH.packages if each.package_id != "family"]
    rich.counter.catalog = RICH.model_copy(update={"packages": packages})

    again = await rich.finding.find(found.sale.receipt_no)

    assert [each.unit for each in again.tickets] == list(ids_of(again, 0, 1, 2, 3))


@pytest.mark.parametrize(
    ("mode", "first", "second"),
    [(CashRounding.NEAREST, 18000, 17900), (CashRounding.DOWN, 17900, 18000)],
)
async def test_R31_the_second_cash_refund_is_rounded_together_with_the_first(
    rich_desk, rich, mode, first, second
):
    catalog = with_settings(money=MoneySettings(cash_step=100, cash_rounding=mode))
    dear = [each.model_copy(update={"price": 17950}) for each in catalog.packages]
    rich_desk.park.catalog = catalog.model_copy(update={"packages": dear})
    rich.counter.catalog = rich_desk.park.catalog
    found = await sold(rich, qty=3)
    assert rich.giving_back.expected(found, Back(ids_of(found, 0))) == first
    answer = rich_desk.park.answers[rich.last_sales[0].op_id]
    answer["sale"]["refunded"] = first
    answer["tickets"][0] |= {"refunded": 17950, "status": "refunded"}

    again = await rich.finding.find(found.sale.receipt_no)

    # 359.00 for both of them; all that is left is what was taken less what went back.
    assert rich.giving_back.expected(again, Back(ids_of(again, 1))) == second
    assert rich.giving_back.expected(again, Back()) == again.sale.grand_total - first


async def test_R42_what_only_the_server_can_reckon_stands_there_without_an_amount(rich):
    found = await sold(rich)
    rich.counter.catalog = with_settings(sales=SalesSettings(refund_reprice=True))
    amount = rich.giving_back.expected(found, Back(ids_of(found, 0)))

    question = rich.giving_back.question(ApprovalAction.REFUND, found, WHY, amount)

    assert question.amount is None
    assert question.what == "Refund: the server says how much, 398.00 at most"


async def test_R31_another_version_of_the_catalogue_says_nothing_about_the_rounding(rich):
    rich.add("adult", 2)
    rich.selling.enter_promo("FAMILY10")
    op = await rich.pay_exact_cash()
    await rich.deliver(op)
    found = await rich.finding.find(op.receipt_no)
    assert rich.giving_back.expected(found, Back(ids_of(found, 0))) == 17900

    rich.counter.catalog = RICH.model_copy(update={"catalog_version": 8})

    assert rich.giving_back.expected(found, Back(ids_of(found, 0))) is None
    assert rich.giving_back.expected(found, Back()) == found.left
