"""The first stage: what each line costs before any rule (R8, R13)."""

from playpark.contracts.catalog import PackageView, TaxMode
from playpark.contracts.rules import PriceListView
from playpark.errors import ErrorCode, PlayParkError
from playpark.money import format_satang
from playpark.pricing.working import Line, Working


def base(work: Working) -> None:
    """Every line at the price list's price, else at its package's.

    Raises E_NOT_FOUND for a package that this catalogue does not know, E_INACTIVE_PACKAGE for
    one that is not on sale at this moment on this channel.
    """
    catalog, committed = work.catalog, work.context.committed
    lists = catalog.lists_at(work.moment.at, work.context.channel)
    packages, taxes, by_package = catalog.packages, catalog.taxes, work.by_package
    for index, asked in enumerate(work.cart.lines):
        package = packages.get(asked.package_id)
        if package is None:
            message = "This package is not on sale here: refresh the catalogue."
            raise PlayParkError(ErrorCode.NOT_FOUND, message, details={"line": index})
        closed = why_not_on_sale(work, package)
        if closed is not None and not committed:
            message = f"{package.name} is not on sale now: {closed}. Take it off the cart."
            raise PlayParkError(ErrorCode.INACTIVE_PACKAGE, message, details={"line": index})
        price, source = _price(package, lists) if lists else (package.price, "")
        qty, tax = asked.qty, taxes[package.tax_id]
        line = Line(
            index=index,
            package=package,
            package_id=asked.package_id,
            tax=tax,
            exclusive=tax.mode is TaxMode.EXCLUSIVE,
            qty=qty,
            unit_price=price,
            unit_cost=price,
            amount=price * qty,
        )
        work.lines.append(line)
        by_package.setdefault(asked.package_id, []).append(line)
        why = f"{qty} × {format_satang(price)}{source}"
        if closed is not None:
            why += f"; sold although it was not on sale: {closed}"
        work.step("base", why, change=line.amount, line=index)


def why_not_on_sale(work: Working, package: PackageView) -> str | None:
    """Words for the cashier; None where the package may be sold."""
    if not package.active:
        return "it was taken off sale"
    channel = work.context.channel
    if channel not in package.visible_on:
        return f"it is not sold at {channel}"
    window = work.catalog.windows.get(package.package_id)
    if window is not None and not window.is_open(work.moment):
        return window.why_closed(work.moment)
    return None


def _price(package: PackageView, lists: list[PriceListView]) -> tuple[int, str]:
    for each in lists:
        price = each.prices.get(package.package_id)
        if price is not None:
            return price, f" from {each.name}"
    return package.price, ""
