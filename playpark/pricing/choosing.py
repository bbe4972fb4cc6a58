"""Which rules of a stage work, on which lines, and what the others are told (R8, R9, R11).

Every stage of rules is the same walk: who is out by its own conditions, who loses inside an
exclusive group, then the rest in their total order, each on the lines that no other has closed.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from playpark.contracts.rules import RuleKind
from playpark.money import format_satang
from playpark.pricing.compiled import Rule
from playpark.pricing.working import Line, Working


@dataclass(slots=True)
class Effect:
    """What a rule would do: `offs[i]` satang off `lines[i]` (below 0: dearer), `off` in all, said
    in `why`. `units` are a bundle's: (line, position of the unit, satang off it)."""

    lines: list[Line]
    offs: list[int]
    off: int
    why: str
    units: list[tuple[Line, int, int]] = field(default_factory=list)

    @classmethod
    def none(cls, why: str) -> "Effect":
        return cls([], [], 0, why)


@dataclass(frozen=True, slots=True)
class RuleStage:
    """One kind of rule. `reckon` says what a rule would do and changes nothing, `take` does it.

    `whole_cart`: what a rule excludes it excludes on the cart, not on a line (decision 7).
    `replaces`: at most one rule a line, and one that changes nothing still counts.
    """

    kind: RuleKind
    reckon: Callable[[Rule, list[Line]], Effect]
    take: Callable[[Rule, Effect], None]
    whole_cart: bool = False
    replaces: bool = False

    def __call__(self, work: Working) -> None:
        rules = work.catalog.rules.get(self.kind, [])
        wanted = {rule.id: work.lines_of(rule.packages) for rule in rules}
        out = {
            rule.id: refusal
            for rule in rules
            if (refusal := _refusal(work, rule, wanted[rule.id])) is not None
        }
        self._exclude(rules, wanted, out)
        slots = _Slots(rules, whole_cart=self.whole_cart, replaces=self.replaces)
        for rule in rules:
            if rule.id in out:
                reason, why = out[rule.id]
                work.skip(self.kind.value, f"{rule.name}: {why}", reason, rule.id)
            else:
                self._try(work, rule, wanted[rule.id], slots)

    def _exclude(
        self, rules: list[Rule], wanted: dict[str, list[Line]], out: dict[str, tuple[str, str]]
    ) -> None:
        """Of each exclusive group the best for the guest stays, judged on the cart as it enters
        the stage; of equals the first."""
        groups: dict[str, list[Rule]] = {}
        for rule in rules:
            if rule.exclusive_group is not None and rule.id not in out:
                groups.setdefault(rule.exclusive_group, []).append(rule)
        for members in groups.values():
            if len(members) == 1:
                continue
            worth = {rule.id: self.reckon(rule, wanted[rule.id]).off for rule in members}
            best = max(members, key=lambda rule: worth[rule.id])
            for rule in members:
                if rule is not best:
                    equal = worth[rule.id] == worth[best.id]
                    what = "comes first" if equal else "is better for the guest"
                    out[rule.id] = "exclusive_group", f"{best.name} {what}, only one of them works"

    def _try(self, work: Working, rule: Rule, lines: list[Line], slots: "_Slots") -> None:
        free, blocker = slots.free(rule, lines)
        effect = self.reckon(rule, free) if free else Effect.none("")
        if not effect.off and not (self.replaces and free):
            reason, why = "no_effect", effect.why
            if blocker is not None:
                reason, why = "not_stackable", f"not together with {blocker.name}"
            work.skip(self.kind.value, f"{rule.name}: {why}", reason, rule.id)
            return
        self.take(rule, effect)
        slots.close(rule, effect)
        facts = work.lines_off(effect.lines, effect.offs)
        if blocker is not None:
            still = {line.index for line in free}
            facts["blocked"] = [line.index for line in lines if line.index not in still]
        why = f"{rule.name}: {effect.why}"
        work.step(self.kind.value, why, change=-effect.off, rule_id=rule.id, facts=facts)


def _refusal(work: Working, rule: Rule, lines: list[Line]) -> tuple[str, str] | None:
    """Why the rule is out whatever the others do: a word for programs, words for people."""
    if rule.params.code is not None and rule.params.code not in work.codes:
        return "code", "its code was not given"
    if rule.window is not None and not rule.window.is_open(work.moment):
        return "window", rule.window.why_closed(work.moment)
    if rule.channels is not None and work.context.channel not in rule.channels:
        return "channel", f"only at {', '.join(sorted(rule.channels))}"
    if rule.groups is not None and work.context.customer_group not in rule.groups:
        return "customer_group", f"only for {', '.join(sorted(rule.groups))}"
    if not lines:
        return "packages", "none of its tickets is in the cart"
    least = rule.params.min_subtotal
    if least and (has := sum([line.amount for line in lines])) < least:
        return "min_subtotal", f"only from {format_satang(least)} on, this is {format_satang(has)}"
    if rule.id in work.context.used_up:
        return "used_up", "it is used up"
    return None


_CART = -1
"""The one slot of a stage that works on the whole cart."""


class _Slots:
    """What rules have closed to later ones in one stage: lines, or the whole cart."""

    def __init__(self, rules: list[Rule], *, whole_cart: bool, replaces: bool) -> None:
        self._needed = replaces or not all(rule.stackable for rule in rules)
        self._whole_cart = whole_cart
        self._replaces = replaces
        self._first: dict[int, Rule] = {}
        self._closed: dict[int, Rule] = {}

    def free(self, rule: Rule, lines: list[Line]) -> tuple[list[Line], Rule | None]:
        """The lines on which the rule may work, and who closed the others (the first of them)."""
        alone = self._replaces or not rule.stackable
        by = self._first if alone else self._closed
        if not by:
            return lines, None
        if self._whole_cart:
            return [], by[_CART]
        free = [line for line in lines if line.index not in by]
        blocked = next((by[line.index] for line in lines if line.index in by), None)
        return free, blocked

    def close(self, rule: Rule, effect: Effect) -> None:
        if not self._needed:
            return
        keys = [_CART] if self._whole_cart else self._keys(effect)
        for key in keys:
            self._first.setdefault(key, rule)
        if not rule.stackable:
            self._closed |= dict.fromkeys(keys, rule)

    def _keys(self, effect: Effect) -> list[int]:
        """Where the rule worked: a set holds its tickets, even where its satangs ran out."""
        if effect.units or self._replaces:
            return [line.index for line in effect.lines]
        each = zip(effect.lines, effect.offs, strict=True)
        return [line.index for line, off in each if off]
