"""The trace of a price: what each step took in, gave out, and why, in at most 64 KiB (R11)."""

from collections.abc import Iterable
from typing import Final

from playpark.contracts.pricing import TraceEntry
from playpark.pricing.frozen import frozen, names_of

MAX_TRACE: Final = 64 * 1024
"""Bytes of a trace as JSON in UTF-8."""
_SHORT_WHY: Final = 60
_FRAME: Final = 120
"""Bytes of an entry beside its numbers, its sentence and its facts, at most."""
_FACTS: Final = 80
_LINE: Final = 7
ENTRY = names_of(TraceEntry)


def fitted(entries: list[TraceEntry]) -> list[TraceEntry]:
    """All steps, cut to what fits into 64 KiB.

    What goes first is the amount of each line, from the last step backwards; then long sentences;
    at the very end the last steps become one, which names the rules in it.
    """
    if at_most(entries) <= MAX_TRACE:
        return entries
    entries = list(entries)
    sizes = [_size(entry) for entry in entries]
    over = sum(sizes) + 2 - MAX_TRACE
    for shorter in (_without_lines, _with_short_why):
        for index in range(len(entries) - 1, -1, -1):
            if over <= 0:
                return entries
            cut = shorter(entries[index])
            if cut is not None:
                entries[index], size = cut, _size(cut)
                over -= sizes[index] - size
                sizes[index] = size
    return _folded(entries, sizes) if over > 0 else entries


def rule_ids(entries: Iterable[TraceEntry], stages: frozenset[str]) -> list[str]:
    """Ids of what was applied in these stages, each once, in order."""
    found: dict[str, None] = {}
    for entry in entries:
        if entry.applied and entry.rule_id is not None and entry.stage in stages:
            found[entry.rule_id] = None
        found |= dict.fromkeys(entry.facts.get("rule_ids", ()))
    return list(found)


def at_most(entries: list[TraceEntry]) -> int:
    """Bytes that these take as JSON, at most: an ordinary trace need not be measured."""
    digits = len(str(max([entry.output for entry in entries], default=0)))
    text = "".join([entry.why for entry in entries])
    length = len(text.encode()) + text.count('"') + text.count("\\")
    size = 2 + len(entries) * (_FRAME + 2 * digits) + length * (1 if text.isprintable() else 6)
    size += sum([len(entry.rule_id) for entry in entries if entry.rule_id is not None])
    for facts in [entry.facts for entry in entries if entry.facts]:
        size += _FACTS + len(facts.get("lines", ())) * (_LINE + digits)
        size += len(facts.get("blocked", ())) * _LINE
    return size


def _size(entry: TraceEntry) -> int:
    """Bytes of an entry as JSON, with the comma after it."""
    return len(entry.__pydantic_serializer__.to_json(entry)) + 1


def _without_lines(entry: TraceEntry) -> TraceEntry | None:
    if "lines" not in entry.facts:
        return None
    facts = {name: value for name, value in entry.facts.items() if name != "lines"}
    return entry.model_copy(update={"facts": facts})


def _with_short_why(entry: TraceEntry) -> TraceEntry | None:
    raw = entry.why.encode()
    if len(raw) <= _SHORT_WHY:
        return None
    why = raw[: _SHORT_WHY - 3].decode(errors="ignore") + "…"
    return entry.model_copy(update={"why": why})


def _folded(entries: list[TraceEntry], sizes: list[int]) -> list[TraceEntry]:
    """As many first steps as there is room for, and one for all the others."""
    kept = len(entries)
    room = MAX_TRACE - 2 - sum(sizes)
    while True:
        rest = entries[kept:]
        last = _fold(rest) if rest else None
        if last is not None and room >= _size(last):
            return [*entries[:kept], last]
        kept -= 1
        room += sizes[kept]


def _fold(entries: list[TraceEntry]) -> TraceEntry:
    used = [each.rule_id for each in entries if each.applied and each.rule_id is not None]
    values = {
        "stage": "more",
        "rule_id": None,
        "line": None,
        "applied": any(each.applied for each in entries),
        "input": entries[0].input,
        "output": entries[-1].output,
        "why": f"{len(entries)} more steps, which there is no room for here",
        "facts": {"rule_ids": used},
    }
    return frozen(TraceEntry, ENTRY, values)
