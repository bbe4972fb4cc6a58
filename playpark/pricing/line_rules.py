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
    price, rate = rule.params.price or 0, rule.params.percent
    if rate:
        offs = [percent_of(line.unit_price, rate) * line.qty for line in lines]
        what = f"{percent_text(rate)} off each"
    else:
        offs = [(line.unit_price - price) * line.qty for line in lines]
        what = f"{format_satang(price)} each"
    off = sum(offs)
    change = f"{format_satang(abs(off))} {'more' if off < 0 else 'off'}"
    return Effect(lines, offs, off, f"{what} at this time, {change}")


def _take_time_price(_: Rule, effect: Effect) -> None:
    for line, off in zip(effect.lines, effect.offs, strict=True):
        line.reprice(line.unit_price - off // line.qty)


def _bundle(rule: Rule, lines: list[Line]) -> Effect:
    """As many full sets as there are, each for the set's price; never dearer than without."""
    free: dict[str, list[tuple[Line, int]]] = {package_id: [] for package_id in rule.sets}
    for line in lines:
        units = [(line, unit) for unit in range(line.qty) if unit not in line.bundled]
        free[line.package_id] += units
    sets = min((len(free[each]) // qty for each, qty in rule.sets.items()), default=0)
    if not sets:
        return Effect.none("there is no full set of it in the cart")
    used = [each for key, qty in rule.sets.items() for each in free[key][: sets * qty]]
    used.sort(key=lambda each: (each[0].index, each[1]))
    prices = [line.unit_price for line, _ in used]
    price = rule.params.price or 0
    off = sum(prices) - sets * price
    if off <= 0:
        return Effect.none("the set costs no less than its tickets")
    by_line: dict[Line, int] = {}
    shares = []
    for (line, unit), share in zip(used, allocate(off, prices), strict=True):
        shares.append((line, unit, share))
        by_line[line] = by_line.get(line, 0) + share
    what = f"{sets} {'set' if sets == 1 else 'sets'} for {format_satang(price)} each"
    why = f"{what}, {format_satang(off)} off"
    return Effect(list(by_line), list(by_line.values()), off, why, shares)


def _take_bundle(_: Rule, effect: Effect) -> None:
    for line, unit, share in effect.units:
        line.units = line.costs()
        line.units[unit] -= share
        line.amount -= share
        line.bundled |= {unit}


def _amount(rule: Rule, lines: list[Line]) -> Effect:
    """An amount off each unit, at most what the unit costs."""
    each = rule.params.amount or 0
    offs = [
        line.qty * (min(line.unit_cost, each))
        if line.units is None
        else sum([min(each, unit) for unit in line.units])
        for line in lines
    ]
    return _in_all(lines, offs, f"{format_satang(each)} off each ticket")


def _take_amount(rule: Rule, effect: Effect) -> None:
    each = rule.params.amount or 0
    for line, off in zip(effect.lines, effect.offs, strict=True):
        line.amount -= off
        if line.units is None:
            line.unit_cost -= off // line.qty
        else:
            line.units = [max(0, unit - each) for unit in line.units]


def _percent(rule: Rule, lines: list[Line]) -> Effect:
    """A percentage of what the line costs now, rounded once a line (R3)."""
    rate = rule.params.percent or 0
    # percent_of for amounts that are never negative, without two calls a line
    offs = [(line.amount * rate + 5_000) // 10_000 for line in lines]
    return _in_all(lines, offs, f"{percent_text(rate)} off")


def _take_percent(_: Rule, effect: Effect) -> None:
    for line, off in zip(effect.lines, effect.offs, strict=True):
        line.amount -= off


def _in_all(lines: list[Line], offs: list[int], what: str) -> Effect:
    off = sum(offs)
    return Effect(lines, offs, off, f"{what}, {format_satang(off)} in all" if off else NOTHING)


time_of_day = RuleStage(RuleKind.TIME_OF_DAY, _time_price, _take_time_price, replaces=True)
bundle = RuleStage(RuleKind.BUNDLE, _bundle, _take_bundle)
line_amount = RuleStage(RuleKind.LINE_AMOUNT, _amount, _take_amount)
line_percent = RuleStage(RuleKind.LINE_PERCENT, _percent, _take_percent)
