"""R3–R6, R11: base prices, VAT, slices, trace."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from playpark.contracts.catalog import (
    PackageKind,
    PackageView,
    SalesChannel,
    TaxMode,
    TaxView,
)
from playpark.contracts.pricing import Cart, CartLine, PricedCart, Rung
from playpark.contracts.settings import VatMode
from playpark.contracts.snapshot import CatalogSnapshot
from playpark.errors import ErrorCode, PlayParkError
from playpark.money import percent_of, vat_inside
from playpark.pricing import price

AT = datetime(2026, 11, 21, tzinfo=UTC)


def package(package_id: str, amount: int, tax_id: str) -> PackageView:
    return PackageView(
        package_id=package_id,
        name=package_id,
        name_th=package_id,
        kind=PackageKind.SINGLE,
        price=amount,
        tax_id=tax_id,
        quota_or_minutes=1,
        valid_days=1,
        zones=[],
        visible_on=[SalesChannel.POS],
        active=True,
    )


@st.composite
def catalogs(draw: st.DrawFn) -> CatalogSnapshot:
    taxes = [
        TaxView(
            tax_id=f"t{i}",
            name="VAT",
            rate=draw(st.sampled_from([0, 100, 700, 1000])),
            mode=draw(st.sampled_from(TaxMode)),
        )
        for i in range(draw(st.integers(1, 3)))
    ]
    packages = [
        package(f"p{i}", draw(st.integers(0, 500_000)), draw(st.sampled_from(taxes)).tax_id)
        for i in range(draw(st.integers(1, 6)))
    ]
    return CatalogSnapshot(
        catalog_version=1,
        hash="",
        store_id="s",
        packages=packages,
        zones=[],
        taxes=taxes,
        vat_mode=draw(st.sampled_from(VatMode)),
    )


@st.composite
def carts(draw: st.DrawFn) -> tuple[Cart, CatalogSnapshot]:
    catalog = draw(catalogs())
    ids = st.sampled_from([package.package_id for package in catalog.packages])
    quantity = st.integers(1, 12)
    lines = draw(
        st.lists(st.builds(CartLine, package_id=ids, qty=quantity), min_size=1, max_size=8)
    )
    return Cart(lines=lines), catalog


def priced(cart: Cart, catalog: CatalogSnapshot) -> PricedCart:
    return price(cart, catalog, at=AT)


@given(carts())
def test_R6_slices_sum_to_their_line_and_lines_to_the_header(
    drawn: tuple[Cart, CatalogSnapshot],
) -> None:
    cart = priced(*drawn)
    for line in cart.lines:
        assert len(line.slices) == line.qty
        for name in ("gross", "line_discount", "cart_discount", "payable", "vat"):
            assert sum(getattr(part, name) for part in line.slices) == getattr(line, name)
            assert all(getattr(part, name) >= 0 for part in line.slices)
    assert cart.subtotal == sum(line.gross for line in cart.lines)
    assert cart.tax_total == sum(line.vat for line in cart.lines)
    assert cart.grand_total == sum(line.payable for line in cart.lines)


@given(carts())
def test_R4_vat_is_rounded_once_a_receipt_and_rate_or_once_a_line(
    drawn: tuple[Cart, CatalogSnapshot],
) -> None:
    _, catalog = drawn
    cart = priced(*drawn)
    taxes = {tax.tax_id: (tax.mode, tax.rate) for tax in catalog.taxes}
    tax_of = {item.package_id: taxes[item.tax_id] for item in catalog.packages}
    expected = 0
    for mode, rate in set(taxes.values()):
        rule = vat_inside if mode is TaxMode.INCLUSIVE else percent_of
        # Two taxes of one rate are one group on a receipt.
        grosses = [line.gross for line in cart.lines if tax_of[line.package_id] == (mode, rate)]
        if catalog.settings.money.vat_mode is VatMode.PER_LINE:
            expected += sum(rule(gross, rate) for gross in grosses)
        else:
            expected += rule(sum(grosses), rate)
    assert cart.tax_total == expected


@given(carts())
def test_R11_the_same_cart_has_the_same_price_to_the_byte(
    drawn: tuple[Cart, CatalogSnapshot],
) -> None:
    again = Cart.model_validate_json(drawn[0].model_dump_json())
    catalog = CatalogSnapshot.model_validate_json(drawn[1].model_dump_json())
    assert priced(*drawn).model_dump_json() == priced(again, catalog).model_dump_json()


@given(carts())
def test_R11_every_line_and_rate_stands_in_the_trace(drawn: tuple[Cart, CatalogSnapshot]) -> None:
    cart = priced(*drawn)
    base = [entry for entry in cart.trace if entry.stage == "base"]
    assert [entry.output for entry in base] == [line.gross for line in cart.lines]
    assert sum(e.facts["vat"] for e in cart.trace if e.stage == "vat") == cart.tax_total


@given(carts())
def test_R12_what_is_rung_survives_the_wire(drawn: tuple[Cart, CatalogSnapshot]) -> None:
    rung = Rung.of(priced(*drawn))
    assert Rung.model_validate_json(rung.model_dump_json()) == rung


def test_R13_what_the_catalogue_does_not_offer_is_refused_by_name() -> None:
    catalog = CatalogSnapshot(
        catalog_version=1,
        hash="",
        store_id="s",
        packages=[package("p", 100, "t")],
        zones=[],
        taxes=[TaxView(tax_id="t", name="VAT", rate=700, mode=TaxMode.INCLUSIVE)],
    )
    unknown = Cart(lines=[CartLine(package_id="q", qty=1)])
    with pytest.raises(PlayParkError) as refused:
        priced(unknown, catalog)
    assert refused.value.code is ErrorCode.NOT_FOUND
    line = CartLine(package_id="p", qty=1)
    for cart in (
        Cart(lines=[line], promo_codes=["NOPE"]),
        Cart(lines=[line], discount_ids=["d"]),
        Cart(lines=[line.model_copy(update={"manual_discount": 5})]),
        Cart(lines=[line.model_copy(update={"discount_ids": ["d"]})]),
    ):
        with pytest.raises(PlayParkError, match="is known in this store"):
            priced(cart, catalog)
    huge = catalog.model_copy(update={"packages": [package("p", 10**12, "t")]})
    with pytest.raises(PlayParkError, match="too large"):
        priced(Cart(lines=[CartLine(package_id="p", qty=500)]), huge)
