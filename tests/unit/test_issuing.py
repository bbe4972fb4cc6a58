"""R6, R18, R30: which tickets a sale makes, for the server and for a till alike."""

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from playpark.clock import business_day_start, park_zone
from playpark.contracts.catalog import Component, PackageKind, PackageView
from playpark.contracts.pricing import CartLine, Slice
from playpark.contracts.snapshot import CatalogSnapshot
from playpark.errors import PlayParkError
from playpark.issuing import by_line, components, shares, tickets_per_line, validity

ZONE = park_zone(None)
DAY = date(2026, 11, 21)


def package(name: str, price: int = 100, **more: object) -> PackageView:
    facts = {
        "package_id": name,
        "name": name,
        "name_th": name,
        "kind": PackageKind.SINGLE,
        "price": price,
        "tax_id": "vat",
        "quota_or_minutes": 1,
        "valid_days": 1,
        "zones": [],
        "visible_on": [],
        "active": True,
    }
    return PackageView.model_validate(facts | more)


RIDE, PASS = package("ride", 40), package("pass", 60, valid_days=3)
FAMILY = package(
    "family",
    kind=PackageKind.BUNDLE,
    components=[Component(package_id="pass", qty=2), Component(package_id="ride", qty=1)],
)
BY_ID = {each.package_id: each for each in (RIDE, PASS, FAMILY)}
CATALOG = CatalogSnapshot(
    catalog_version=1, hash="0" * 64, store_id="st1", packages=[*BY_ID.values()], zones=[], taxes=[]
)


def test_R18_a_bundle_is_its_components_in_their_order_and_all_else_is_itself() -> None:
    assert components(FAMILY, BY_ID) == [PASS, PASS, RIDE]
    assert components(RIDE, BY_ID) == [RIDE]


def test_R56_a_sale_makes_at_most_500_tickets() -> None:
    lines = [CartLine(package_id="family", qty=166), CartLine(package_id="ride", qty=2)]
    assert tickets_per_line(lines, CATALOG) == [498, 2]
    more = [*lines, CartLine(package_id="ride", qty=1)]
    with pytest.raises(PlayParkError, match="500 tickets"):
        tickets_per_line(more, CATALOG)


def test_R30_a_ticket_holds_from_four_in_the_morning_for_its_days() -> None:
    begins, ends = validity(PASS, DAY, ZONE)
    assert begins == datetime(2026, 11, 20, 21, tzinfo=UTC)  # in Bangkok it is four then
    assert ends - begins == timedelta(days=3)
    assert ends == business_day_start(date(2026, 11, 24), ZONE)


money = st.integers(0, 10_000)


@given(
    payable=money,
    discounts=st.tuples(money, money),
    rate=st.sampled_from([0, 700]),
    prices=st.lists(st.integers(0, 500), min_size=1, max_size=6),
    inclusive=st.booleans(),
)
def test_R6_the_shares_of_a_bundle_are_its_slice_to_the_satang(
    payable: int, discounts: tuple[int, int], rate: int, prices: list[int], *, inclusive: bool
) -> None:
    line, cart = discounts
    vat = payable * rate // 10_700
    unit = Slice(
        gross=payable + line + cart - (0 if inclusive else vat),
        line_discount=line,
        cart_discount=cart,
        payable=payable,
        vat=vat,
        vat_rate=rate,
    )
    parts = [package(str(number), price) for number, price in enumerate(prices)]
    found = shares(unit, parts)
    assert len(found) == len(parts)
    for name in ("gross", "line_discount", "cart_discount", "payable", "vat"):
        assert sum(getattr(each, name) for each in found) == getattr(unit, name), name
    assert {each.vat_rate for each in found} == {rate}


def test_R23_ids_codes_and_tokens_stand_line_by_line() -> None:
    assert by_line("abcde", [2, 0, 3]) == [["a", "b"], [], ["c", "d", "e"]]
