"""How long a price takes."""

import time
from datetime import UTC, datetime

from playpark.contracts.catalog import (
    CatalogSnapshot,
    PackageKind,
    PackageView,
    SalesChannel,
    TaxMode,
    TaxView,
)
from playpark.contracts.pricing import Cart, CartLine
from playpark.pricing import price

ROUNDS = 100


def run() -> list[tuple[str, str]]:
    """Price a cart of 100 lines."""
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
    catalog = CatalogSnapshot(
        catalog_version=1, hash="", store_id="s", packages=packages, zones=[], taxes=[tax]
    )
    cart = Cart(lines=[CartLine(package_id=package.package_id, qty=1) for package in packages])
    began = time.perf_counter()
    for _ in range(ROUNDS):
        price(cart, catalog, at=datetime.now(UTC))
    each = (time.perf_counter() - began) / ROUNDS * 1000
    return [("Price a cart of 100 lines", f"{each:.2f} ms")]
