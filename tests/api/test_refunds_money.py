"""Every satang of a refund: rounding, split tenders, surcharges, discounts, points (R7, R31)."""

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from playpark.ids import new_ulid
from tests.api.giving_back import (
    SUPERVISOR,
    approve,
    ask,
    behind,
    close,
    copies_of,
    refund,
    refund_of,
    told,
)
from tests.conftest import running_api
from tests.outside import Outsider

OWNER = {"email": "owner@demo.playpark", "pin": "8888"}
EXAMPLES = 200 if os.environ.get("PLAYPARK_FULL") else 6
NAMES = ("Adult day pass", "Child day pass", "Family bundle", "2-hour pass", "Carousel ride")


@pytest.fixture(scope="module")
def park_database(database: str) -> str:
    return f"{database}_refunds"


@pytest.fixture(scope="module")
def park(mongo_uri: str, park_database: str) -> Iterator[str]:
    """A park of its own: these tests change the settings of its store."""
    with running_api(mongo_uri, park_database) as url:
        yield url


@pytest.fixture
async def pos(park: str) -> AsyncIterator[Outsider]:
    async with httpx.AsyncClient(base_url=park, timeout=30) as http:
        yield await a_till(http)


async def a_till(http: httpx.AsyncClient) -> Outsider:
    pos = await Outsider(http).pair("POS")
    await pos.staff()
    await pos.open_shift()
    return pos


async def change_settings(pos: Outsider, **sections: dict[str, Any]) -> None:
    """Change settings as the owner, on a device of their own."""
    owner = await Outsider(pos.http).pair("ADMIN")
    await owner.staff(**OWNER)
    await owner.data("PUT", "/v1/settings", {"sections": sections})


@pytest.fixture
async def plain(pos: Outsider) -> AsyncIterator[Outsider]:
    """A till of a store whose settings the test may change; they go back afterwards."""
    yield pos
    money = {"cash_step": None, "cash_rounding": None}
    sales = {"refund_by_amount": None, "refund_reprice": None}
    await change_settings(pos, money=money, sales=sales)


async def sell(
    pos: Outsider,
    *lines: tuple[str, int],
    pay: list[dict[str, Any]],
    **more: Any,
) -> dict[str, Any]:
    """Sell; the last payment settles the rest (decision 0007)."""
    packages = await pos.packages()
    cart = [{"package_id": packages[name]["package_id"], "qty": qty} for name, qty in lines]
    asked = [{"amount": 0, **each} for each in pay]
    preview = await pos.data(
        "POST", "/v1/pricing/preview", {"lines": cart, "payments": asked, **more}
    )
    payments = [{**each, "amount": due} for each, due in zip(asked, preview["due"], strict=True)]
    body = {"lines": cart, "payments": payments, **more}
    sale: dict[str, Any] = await pos.data("POST", "/v1/sales", body, key=new_ulid())
    return sale


def units(sold: dict[str, Any]) -> list[list[str]]:
    """The tickets of each unit that was sold, in their order."""
    ids = iter(ticket["ticket_id"] for ticket in sold["tickets"])
    sizes = [
        4 if line["name"] == "Family bundle" else 1
        for line in sold["sale"]["lines"]
        for _ in range(line["qty"])
    ]
    return [[next(ids) for _ in range(size)] for size in sizes]


CASH, CARD = {"method": "cash"}, {"method": "card"}


@pytest.fixture
def rounding_park(park: str) -> Iterator[str]:
    """Cash is rounded to whole baht."""

    async def switch(**money: Any) -> None:
        async with httpx.AsyncClient(base_url=park, timeout=30) as http:
            await change_settings(Outsider(http), money=money)

    asyncio.run(switch(cash_step=100, cash_rounding="nearest"))
    yield park
    asyncio.run(switch(cash_step=None, cash_rounding=None))


@settings(
    max_examples=EXAMPLES,
    phases=[Phase.generate],  # an example is a whole day at a till: shrinking would take hours
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(data=st.data())
def test_R31_all_refunds_of_a_sale_sum_to_what_was_paid_in_whatever_order(
    rounding_park: str, mongo_uri: str, park_database: str, data: st.DataObject
) -> None:
    """Split tenders, an odd discount, and coins of a baht: the drawer is right to the satang."""
    lines = data.draw(
        st.lists(st.tuples(st.sampled_from(NAMES), st.integers(1, 2)), min_size=2, max_size=3)
    )
    codes = data.draw(st.sampled_from([["FAMILY10"], None]))
    in_cash = data.draw(st.integers(0, 4_000))
    cash_last = data.draw(st.sampled_from([True, False]))
    chance = data.draw(st.randoms(use_true_random=False))

    async def story() -> None:
        async with httpx.AsyncClient(base_url=rounding_park, timeout=30) as http:
            pos = await a_till(http)
            if cash_last:
                pay = [{**CARD, "amount": in_cash}, dict(CASH)]
            else:
                pay = [{**CASH, "amount": in_cash // 100 * 100}, dict(CARD)]
            sold = await sell(pos, *lines, pay=pay, **({"promo_codes": codes} if codes else {}))
            sale = sold["sale"]
            order = units(sold)
            chance.shuffle(order)
            token = await approve(pos, "refund", sale["sale_id"])
            with behind(mongo_uri, park_database) as db:
                tokens = copies_of(db, token, len(order))
            answers = []
            for unit, each in zip(order, tokens, strict=True):
                body = refund_of(sale["sale_id"], ticket_ids=unit)
                status, answer = told(await ask(pos, "/v1/refunds", body, approval=each))
                assert status == 200, answer
                answers.append(answer)
            for answer in answers:
                slices = sum(part["amount"] for part in answer["tickets"])
                assert answer["amount"] == sum(part["amount"] for part in answer["parts"])
                assert answer["amount"] == slices + answer["surcharge"] + answer["cash_rounding"]
            for answer in answers[:-1]:  # no coin smaller than a baht leaves the drawer
                cash = [part["amount"] for part in answer["parts"] if part["method"] == "cash"]
                assert all(amount % 100 == 0 for amount in cash)
            assert sum(answer["amount"] for answer in answers) == sale["grand_total"]
            assert sum(answer["vat"] for answer in answers) == sale["tax_total"]
            assert sum(a["cash_rounding"] for a in answers) == sale["cash_rounding"]
            now = (await pos.data("GET", f"/v1/sales/{sale['sale_id']}"))["sale"]
            assert (now["status"], now["refunded"]) == ("refunded", sale["grand_total"])
            assert (await close(pos))["cash_expected"] == 100_000

    asyncio.run(story())


async def test_R31_a_cash_refund_mirrors_how_the_sale_was_rounded(plain: Outsider) -> None:
    await change_settings(plain, money={"cash_step": 100})
    sold = await sell(plain, ("Adult day pass", 6), pay=[dict(CASH)], promo_codes=["FAMILY10"])
    sale = sold["sale"]
    assert (sale["grand_total"], sale["cash_rounding"]) == (107_500, 40)
    await change_settings(plain, money={"cash_step": 25})  # the sale keeps its own
    amounts = [
        (await refund(plain, sale["sale_id"], ticket_ids=unit))[1]["amount"] for unit in units(sold)
    ]
    # Six times 179.10: round(cum_k) − round(cum_k−1), and the last gets what is left.
    assert amounts == [17_900, 17_900, 17_900, 17_900, 18_000, 17_900]


async def test_R31_a_discounted_sale_never_gives_back_more_than_was_paid(plain: Outsider) -> None:
    lines = ("Child day pass", 3)
    sold = await sell(plain, lines, pay=[dict(CASH)], promo_codes=["FAMILY10"])
    assert sold["sale"]["grand_total"] == 40_230
    amounts = [
        (await refund(plain, sold["sale"]["sale_id"], ticket_ids=unit))[1]["amount"]
        for unit in units(sold)
    ]
    assert amounts == [13_410, 13_410, 13_410]
    assert await refund(plain, sold["sale"]["sale_id"]) == (409, "E_REFUND_EXCEEDS")


async def test_R7_a_surcharge_goes_back_with_the_final_refund(plain: Outsider) -> None:
    types = (await plain.data("GET", "/v1/catalog/snapshot"))["payment_types"]
    (abroad,) = (each for each in types if each["surcharge_percent"])
    pay = [{**CARD, "payment_type_id": abroad["payment_type_id"]}]
    sold = await sell(plain, ("Adult day pass", 2), pay=pay)
    sale = sold["sale"]
    assert sale["surcharge_total"] > 0
    first, last = [
        (await refund(plain, sale["sale_id"], ticket_ids=unit))[1] for unit in units(sold)
    ]
    assert (first["amount"], first["surcharge"]) == (19_900, 0)
    assert (last["amount"], last["surcharge"]) == (
        19_900 + sale["surcharge_total"],
        sale["surcharge_total"],
    )
    assert last["vat"] == sum(part["vat"] for part in last["tickets"]) + sum(
        each["vat"] for each in sale["surcharges"]
    )
    assert first["method"] == last["method"] == "card"


async def test_R31_original_tenders_give_back_unless_one_is_named(plain: Outsider) -> None:
    pay = [{**CASH, "amount": 9_900}, dict(CARD)]
    sold = await sell(plain, ("Adult day pass", 2), pay=pay)
    answers = [
        (await refund(plain, sold["sale"]["sale_id"], ticket_ids=unit))[1] for unit in units(sold)
    ]
    assert [answer["method"] for answer in answers] == ["card", "split"]
    parts = [part for answer in answers for part in answer["parts"]]
    assert sum(part["amount"] for part in parts if part["method"] == "cash") == 9_900
    sold = await sell(plain, ("Adult day pass", 1), pay=[dict(CARD)])
    _, answer = await refund(plain, sold["sale"]["sale_id"], method="cash")
    assert answer["parts"] == [{"method": "cash", "amount": 19_900}]
    assert (await close(plain))["cash_expected"] == 100_000 + 9_900 - 9_900 - 19_900


async def test_R31_an_amount_is_spread_over_what_is_left_where_the_store_allows_it(
    plain: Outsider,
) -> None:
    await change_settings(plain, sales={"refund_by_amount": True})
    sold = await sell(plain, ("Adult day pass", 1), ("Carousel ride", 1), pay=[dict(CASH)])
    sale_id = sold["sale"]["sale_id"]
    _, part = await refund(plain, sale_id, amount=2_390)
    assert [each["amount"] for each in part["tickets"]] == [1_990, 400]
    found = (await plain.data("GET", "/v1/tickets", sale_id=sale_id))["items"]
    assert [(each["status"], each["refunded"]) for each in found] == [
        ("active", 1_990),
        ("active", 400),
    ]
    assert await refund(plain, sale_id, amount=21_511) == (409, "E_REFUND_EXCEEDS")
    _, rest = await refund(plain, sale_id, amount=21_510)
    assert sum(each["amount"] for each in rest["tickets"]) == 21_510
    found = (await plain.data("GET", "/v1/tickets", sale_id=sale_id))["items"]
    assert [each["status"] for each in found] == ["refunded", "refunded"]


async def test_R31_a_store_that_prices_again_gives_back_what_was_paid_less_what_is_kept(
    plain: Outsider,
) -> None:
    await change_settings(plain, sales={"refund_reprice": True})
    lines = ("Child day pass", 10)
    sold = await sell(plain, lines, pay=[dict(CASH)], promo_codes=["FAMILY10"])
    sale_id, paid, full = sold["sale"]["sale_id"], 134_100, 14_900
    order = units(sold)
    _, first = await refund(plain, sale_id, ticket_ids=order[0])
    assert first["amount"] == paid - 9 * full == 0  # never below
    _, second = await refund(plain, sale_id, ticket_ids=order[1])
    assert second["amount"] == paid - 8 * full
    _, rest = await refund(plain, sale_id, ticket_ids=[each for unit in order[2:] for each in unit])
    assert first["amount"] + second["amount"] + rest["amount"] == paid
    again = await refund(plain, sale_id, ticket_ids=order[0])
    assert again == (409, "E_REFUND_EXCEEDS")


async def test_points_that_a_sale_earned_go_and_points_that_paid_it_come_back(
    plain: Outsider,
) -> None:
    boss = await Outsider(plain.http).pair("POS")
    await boss.staff(**SUPERVISOR)
    guest = await plain.data("POST", "/v1/customers", {"name": "Lek"})
    who = guest["customer_id"]
    give = {"points": 50, "reason_text": "Welcome"}
    await boss.data("POST", f"/v1/customers/{who}/points", give, key=new_ulid())
    types = (await plain.data("GET", "/v1/catalog/snapshot"))["payment_types"]
    (kind,) = (each for each in types if each["points"])
    by_points = {"method": "other", "payment_type_id": kind["payment_type_id"], "amount": 5_000}
    sold = await sell(plain, ("Adult day pass", 2), pay=[by_points, dict(CASH)], customer_id=who)
    sale = sold["sale"]
    assert sale["points_burned"] == 50
    earned = sale["points_earned"]

    async def balance() -> int:
        return int((await plain.data("GET", f"/v1/customers/{who}"))["points"])

    assert await balance() == earned
    first, last = units(sold)
    assert (await refund(plain, sale["sale_id"], ticket_ids=first))[0] == 200
    assert (await refund(plain, sale["sale_id"], ticket_ids=last))[0] == 200
    assert await balance() == 50
    # A guest who has spent what the sale earned keeps no debt; the refund says so.
    sold = await sell(plain, ("10 entries", 1), pay=[dict(CASH)], customer_id=who)
    earned = sold["sale"]["points_earned"]
    assert earned > 0
    take = {"points": -(await balance()) + 1, "reason_text": "Spent"}
    await boss.data("POST", f"/v1/customers/{who}/points", take, key=new_ulid())
    _, answer = await refund(plain, sold["sale"]["sale_id"])
    assert (answer["flags"], await balance()) == (["points_short"], 0)


async def test_R9_a_void_gives_the_use_of_a_capped_promotion_back(plain: Outsider) -> None:
    owner = await Outsider(plain.http).pair("ADMIN")
    await owner.staff(**OWNER)
    code = f"ONCE{new_ulid()[-6:]}"
    rule = {
        "name": "Once",
        "name_th": "ครั้งเดียว",
        "kind": "promo_code",
        "params": {"code": code, "amount": 5_000},
        "priority": 77,
        "max_uses": 1,
    }
    await owner.data("POST", "/v1/pricing/rules", rule)
    line, pay = ("Child day pass", 1), [dict(CASH)]
    sold = [await sell(plain, line, pay=pay, promo_codes=[code]) for _ in range(2)]
    assert [each["sale"]["grand_total"] for each in sold] == [9_900, 14_900]
    first = sold[0]["sale"]["sale_id"]
    approval = await approve(plain, "void", first)
    body = {"reason_code": "wrong_package"}
    response = await ask(plain, f"/v1/sales/{first}/void", body, approval=approval)
    assert response.status_code == 200
    again = await sell(plain, line, pay=pay, promo_codes=[code])
    assert again["sale"]["grand_total"] == 9_900


async def test_a_void_takes_back_the_points_that_its_sale_earned(plain: Outsider) -> None:
    guest = await plain.data("POST", "/v1/customers", {"name": "Nid"})
    who = guest["customer_id"]
    sold = await sell(plain, ("10 entries", 1), pay=[dict(CASH)], customer_id=who)
    assert sold["sale"]["points_earned"] > 0
    sale_id = sold["sale"]["sale_id"]
    approval = await approve(plain, "void", sale_id)
    body = {"reason_code": "wrong_package"}
    response = await ask(plain, f"/v1/sales/{sale_id}/void", body, approval=approval)
    assert told(response)[0] == 200
    assert (await plain.data("GET", f"/v1/customers/{who}"))["points"] == 0
    assert (await close(plain))["cash_expected"] == 100_000
