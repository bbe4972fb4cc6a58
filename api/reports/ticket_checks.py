"""The tickets of a sale against its slices (R6, R18). Pure."""

from collections.abc import Iterator

from api.reports.findings import NOTHING, SALES, TICKETS, broken
from api.reports.repository import Row
from api.reports.rows import MONEY, nonsense, out_of_turn, skipped
from playpark.contracts.reports import BookCheck, Discrepancy
from playpark.money import allocate


def tickets(sale: Row, rows: list[Row]) -> Iterator[Discrepancy]:
    """Each unit's tickets are its slice: all there, none too many, none of another worth."""
    check, number = BookCheck.TICKETS, sale["receipt_no"]
    if extra := out_of_turn(rows):
        why = f"Sale {number} has another ticket in this place already: it has one too many."
        yield broken(check, TICKETS, extra["_id"], NOTHING, extra["slice"]["payable"], why)
        return
    if (missing := skipped(rows)) is not None:
        why = f"Ticket {missing + 1} of sale {number} is not there any more."
        yield broken(check, SALES, sale["_id"], f"ticket {missing + 1}", NOTHING, why)
        return
    by_unit: dict[str, list[Row]] = {}
    for row in rows:
        by_unit.setdefault(row["unit"], []).append(row)
    before = 0
    for index, line in enumerate(sale["lines"]):
        for position, part in enumerate(line["slices"]):
            unit = f"{index}:{position}"
            of_unit = by_unit.pop(unit, [])
            if not of_unit:
                yield _without_ticket(sale, unit, rows[before:])
                return
            if found := _unit(sale, part, of_unit):
                yield found
                return
            before += len(of_unit)
    for strays in by_unit.values():
        why = f"Sale {number} has no unit {strays[0]['unit']}: this ticket was not sold with it."
        yield broken(check, TICKETS, strays[0]["_id"], NOTHING, strays[0]["unit"], why)
        return


def _without_ticket(sale: Row, unit: str, rest: list[Row]) -> Discrepancy:
    """Tickets stand in the order of their units: the one in this unit's place names another."""
    check, number = BookCheck.TICKETS, sale["receipt_no"]
    if rest:
        why = f"This ticket of sale {number} stands in the place of unit {unit}."
        return broken(check, TICKETS, rest[0]["_id"], unit, rest[0]["unit"], why)
    why = f"The ticket of unit {unit} of sale {number} is not there any more."
    return broken(check, SALES, sale["_id"], "a ticket", NOTHING, why)


def _unit(sale: Row, part: Row, rows: list[Row]) -> Discrepancy | None:
    """The ticket of one unit that does not fit its slice; of several the one that cannot be."""
    check, number = BookCheck.TICKETS, sale["receipt_no"]
    wrong = [name for name in MONEY if sum(row["slice"][name] for row in rows) != part[name]]
    rates = [row for row in rows if row["slice"]["vat_rate"] != part["vat_rate"]]
    if not wrong and not rates:
        return None
    name = wrong[0] if wrong else "vat_rate"
    odd = rates[0] if rates else _odd_ticket(part, rows)
    if len(rows) > 1 and all(rows[0]["slice"][each] == part[each] for each in MONEY):
        odd = rows[1]  # the first one is the whole unit: the others were added
    others = sum(row["slice"][name] for row in rows if row is not odd) if wrong else 0
    expected, found = part[name] - others, odd["slice"][name]
    why = f"{name} of this ticket is not its share in sale {number}."
    return broken(check, TICKETS, odd["_id"], expected, found, why)


def _odd_ticket(part: Row, rows: list[Row]) -> Row:
    for row in rows:
        if nonsense(row["slice"]):
            return row
    vats = allocate(max(0, part["vat"]), [row["slice"]["payable"] for row in rows])
    odd = [row for row, vat in zip(rows, vats, strict=True) if row["slice"]["vat"] != vat]
    return odd[0] if odd else rows[0]
