"""Rules on lines: the price of the time, sets, amounts and percentages off (R3, R8)."""

from playpark.contracts.rules import RuleKind
from playpark.money import allocate, format_satang, percent_of
from playpark.pricing.choosing import Effect, RuleStage
from playpark.pricing.compiled import Rule
from playpark.pricing.working import Line

NOTHING = "there is nothing to take off"


def percent_text(rate: int) -> str:
    """`12.5 %` of 1250 basis points."""
    return f"{rate / 100:g} %"


def _change(off: int) -> str:
    return f"{format_satang(abs(off))} {'more' if off < 0 else 'off'}"


def _time_price(rule: Rule, lines: list[Line]) -> Effect:
    """Another unit price: `price`, or `percent` off, rounded once a unit."""
    price, rate = rule.params.price, rule.params.percent
    offs = [
        (
            line,
            (percent_of(line.unit_price, rate) if rate else line.unit_price - (price or 0))
            * line.qty,
        )
        for line in lines
    ]
    what = f"{percent_text(rate)} off each" if rate else f"{format_satang(price or 0)} each"
    return Effect(offs, f"{what} at this time, {_change(sum(off for _, off in offs))}")


def _take_time_price(_: Rule, effect: Effect) -> None:
    for line, off in effect.offs:
        line.reprice(line.unit_price - off // line.qty)


def _bundle(rule: Rule, lines: list[Line]) -> Effect:
    """As many full sets as there are, each for the set's price; never dearer than without."""
    free: dict[str, list[tuple[Line, int]]] = {package_id: [] for package_id in rule.sets}
    for line in lines:
        if (units := free.get(line.package.package_id)) is not None:
            units += [(line, unit) for unit in range(line.qty) if unit not in line.bundled]
    sets = min((len(free[each]) // qty for each, qty in rule.sets.items()), default=0)
    if not sets:
        return Effect([], "there is no full set of it in the cart")
    used = [each for key, qty in rule.sets.items() for each in free[key][: sets * qty]]
    used.sort(key=lambda each: (int(each[0].key), each[1]))
    prices = [line.units[unit] for line, unit in used]
    off = sum(prices) - sets * (rule.params.price or 0)
    if off <= 0:
        return Effect([], "the set costs no less than its tickets")
    shares = [
        (line, unit, share) for (line, unit), share in zip(used, allocate(off, prices), strict=True)
    ]
    by_line: dict[Line, int] = {}
    for line, _, share in shares:
        by_line[line] = by_line.get(line, 0) + share
    each = format_satang(rule.params.price or 0)
    why = f"{sets} {'set' if sets == 1 else 'sets'} for {each} each, {format_satang(off)} off"
    return Effect(list(by_line.items()), why, shares)


def _take_bundle(_: Rule, effect: Effect) -> None:
    for line, unit, share in effect.units:
        line.units[unit] -= share
        line.amount -= share
        line.bundled.add(unit)


def _amount(rule: Rule, lines: list[Line]) -> Effect:
    """An amount off each unit, at most what the unit costs."""
    each = rule.params.amount or 0
    offs = [(line, sum(min(each, unit) for unit in line.units)) for line in lines]
    off = sum(off for _, off in offs)
    what = f"{format_satang(each)} off each ticket, {format_satang(off)} in all"
    return Effect(offs, what if off else NOTHING)


def _take_amount(rule: Rule, effect: Effect) -> None:
    each = rule.params.amount or 0
    for line, off in effect.offs:
        line.units = [max(0, unit - each) for unit in line.units]
        line.amount -= off


def _percent(rule: Rule, lines: list[Line]) -> Effect:
    """A percentage of what the line costs now, rounded once a line (R3)."""
    rate = rule.params.percent or 0
    offs = [(line, percent_of(line.amount, rate)) for line in lines]
    off = sum(off for _, off in offs)
    return Effect(
        offs, f"{percent_text(rate)} off, {format_satang(off)} in all" if off else NOTHING
    )


def _take_percent(_: Rule, effect: Effect) -> None:
    for line, off in effect.offs:
        line.amount -= off


time_of_day = RuleStage(RuleKind.TIME_OF_DAY, _time_price, _take_time_price, replaces=True)
bundle = RuleStage(RuleKind.BUNDLE, _bundle, _take_bundle)
line_amount = RuleStage(RuleKind.LINE_AMOUNT, _amount, _take_amount)
line_percent = RuleStage(RuleKind.LINE_PERCENT, _percent, _take_percent)
