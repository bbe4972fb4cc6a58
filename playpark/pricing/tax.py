"""VAT on what is left to pay (R4)."""

from collections import defaultdict

from playpark.contracts.catalog import TaxMode
from playpark.contracts.settings import VatMode
from playpark.money import allocate, format_satang, percent_of, vat_inside
from playpark.pricing.line_rules import percent_text
from playpark.pricing.working import Line, Working


def vat(work: Working) -> None:
    """Rounded once per receipt and rate, or per line, and allocated by largest remainder. Two
    taxes of one mode and rate are one group. Zero-rated and exempt lines carry none."""
    groups: dict[tuple[TaxMode, int], list[Line]] = defaultdict(list)
    for line in work.lines:
        groups[line.tax.mode, line.tax.rate].append(line)
    per_line = work.catalog.money.vat_mode is VatMode.PER_LINE
    for (mode, rate), lines in groups.items():
        amounts = [line.amount for line in lines]
        amount = sum(amounts)
        if per_line:
            parts = [_vat_of(each, mode, rate) for each in amounts]
        else:
            parts = allocate(_vat_of(amount, mode, rate), amounts)
        for line, part in zip(lines, parts, strict=True):
            line.vat = part
        total = sum(parts)
        name = lines[0].tax.name
        if mode is TaxMode.INCLUSIVE or mode is TaxMode.EXCLUSIVE:
            verb = "contained in" if mode is TaxMode.INCLUSIVE else "added to"
            why = f"{name} {percent_text(rate)}: {format_satang(total)} {verb} "
        else:
            why = f"{name}: no VAT on "
        change = total if mode is TaxMode.EXCLUSIVE else 0
        facts: dict[str, object] = {"mode": mode.value, "rate": rate, "vat": total}
        work.step("vat", why + format_satang(amount), change=change, facts=facts)


def _vat_of(amount: int, mode: TaxMode, rate: int) -> int:
    if mode is TaxMode.INCLUSIVE:
        return vat_inside(amount, rate)
    return percent_of(amount, rate) if mode is TaxMode.EXCLUSIVE else 0
