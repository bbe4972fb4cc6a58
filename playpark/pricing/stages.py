"""The stages of the price pipeline, in the order of R8. Each reads and changes the working cart
and writes its trace."""

from collections import defaultdict

from playpark.contracts.catalog import TaxMode, VatMode
from playpark.errors import ErrorCode, PlayParkError
from playpark.money import allocate, format_satang, percent_of, vat_inside
from playpark.pricing.working import UnitMoney, Working, WorkingLine


def base(work: Working) -> None:
    """Every line at the price list's price (R8).

    Raises E_NOT_FOUND for a package that this catalogue does not sell.
    """
    packages = {package.package_id: package for package in work.catalog.packages}
    taxes = {tax.tax_id: tax for tax in work.catalog.taxes}
    for index, line in enumerate(work.cart.lines):
        package = packages.get(line.package_id)
        if package is None:
            message = "This package is not on sale here: refresh the catalogue."
            raise PlayParkError(ErrorCode.NOT_FOUND, message, details={"line": index})
        units = [UnitMoney(gross=package.price) for _ in range(line.qty)]
        work.lines.append(WorkingLine(package, taxes[package.tax_id], package.price, units))
        why = f"{line.qty} × {format_satang(package.price)} from the price list"
        work.note("base", why, line=index, before=0, after=line.qty * package.price)


def refuse_unknown_discounts(work: Working) -> None:
    """What the catalogue does not offer is refused by name, never left out silently (R13)."""
    cart = work.cart
    asked = [
        ("promo code", cart.promo_codes),
        ("customer", cart.customer_id),
        ("discount", cart.discount_ids),
        *(("discount", line.discount_ids) for line in cart.lines),
        *(("manual discount", line.manual_discount) for line in cart.lines),
    ]
    for what, value in asked:
        if value:
            message = f"No such {what} is known in this store: take it off the cart."
            raise PlayParkError(ErrorCode.VALIDATION, message, details={"reason": "discount"})


def vat(work: Working) -> None:
    """VAT on the discounted price, rounded once per receipt and rate, or per line (R4)."""
    per_line = work.catalog.vat_mode is VatMode.PER_LINE
    groups: dict[tuple[TaxMode, int, int], list[WorkingLine]] = defaultdict(list)
    for index, line in enumerate(work.lines):
        groups[line.tax.mode, line.tax.rate, index if per_line else -1].append(line)
    for lines in groups.values():
        tax = lines[0].tax
        amounts = [line.discounted for line in lines]
        inclusive = tax.mode is TaxMode.INCLUSIVE
        total = (vat_inside if inclusive else percent_of)(sum(amounts), tax.rate)
        for line, share in zip(lines, allocate(total, amounts), strict=True):
            per_unit = allocate(share, [unit.discounted for unit in line.units])
            for unit, part in zip(line.units, per_unit, strict=True):
                unit.vat = part
        rate = f"{tax.rate / 100:g} %"
        verb = "contained in" if inclusive else "added to"
        why = f"{tax.name} {rate}: {format_satang(total)} {verb} {format_satang(sum(amounts))}"
        after = sum(amounts) + (0 if inclusive else total)
        work.note("vat", why, before=sum(amounts), after=after, rate=tax.rate, vat=total)


PIPELINE = (base, refuse_unknown_discounts, vat)
"""The composition. A stage that changes money stands where R8 puts it."""
