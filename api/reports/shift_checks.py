"""A shift's totals and its Z reports against the documents that were booked on it (R27, R28). Pure.

Three witnesses: the documents, the shift, its Z report. Two that agree are taken for true.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from typing import Any

from api.reports.findings import MOVEMENTS, NOTHING, SHIFTS, Z_HEADS, Z_REPORTS, baht, broken
from api.reports.repository import Row
from api.shifts.booking import AFTER_CLOSE
from api.shifts.chain import report_hash
from api.shifts.figures import Figures
from playpark.cash import FIRST_HASH, DrawerTotals, expected_cash
from playpark.contracts.reports import BookCheck, Discrepancy
from playpark.contracts.shifts import ZKind

Counted = Counter[str]
"""Figures of a shift under their stored names, methods as dotted paths; satang and counts."""

NAMES = tuple(each.name for each in fields(Figures))
DRAWER = ("cash_sales", "cash_refunds", "pay_ins", "pay_outs", "drops")
SHIFT_FIELDS = (
    *NAMES,
    *("shift_id", "device_id", "status", "business_date", "cash_open", "cash_expected"),
    *("cash_counted", "counted", "z_no"),
)
LINK_FIELDS = (
    *("device_id", "chain_seq", "shift_id", "kind", "z_no", "supplement", "op_id", "report"),
    "cash_expected",
)
HEAD_FIELDS = ("chain_seq", "z_no", "grand_sales", "grand_refunds", "last_hash")


@dataclass(slots=True)
class ShiftBooks:
    """A shift, its links of the Z chain in their order, and what its documents come to: `booked`
    while it was open, `late` by the operations that came after. `elsewhere` is the part that
    belongs to other trading days, `unsealed` what came late and has no supplement: (collection,
    id) by operation."""

    key: str
    row: Row | None
    links: list[Row] = field(default_factory=list)
    booked: Counted = field(default_factory=Counter)
    late: dict[str, Counted] = field(default_factory=dict)
    elsewhere: Counted = field(default_factory=Counter)
    movements: list[Row] = field(default_factory=list)
    unsealed: dict[str, tuple[str, str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.late = {link["op_id"]: Counter() for link in self.of_kind(ZKind.SUPPLEMENT)}

    def book(self, collection: str, row: Row, figures: Figures) -> None:
        """Count what a document added: to the shift, or to the supplement that it came as."""
        into = self.late.get(row["op_id"], self.booked)
        if into is self.booked and AFTER_CLOSE in row["flags"]:
            self.unsealed[row["op_id"]] = (collection, row["_id"])
            return
        for name in NAMES:
            value = getattr(figures, name)
            if isinstance(value, int):
                into[name] += value
            else:
                for method, amount in value.items():
                    into[f"{name}.{method}"] += amount

    def of_kind(self, kind: ZKind) -> list[Row]:
        return [link for link in self.links if link["kind"] == kind]

    @property
    def close(self) -> Row | None:
        """The Z report itself."""
        found = self.of_kind(ZKind.CLOSE)
        return found[0] if found else None


def of_row(row: Row) -> Counted:
    """A shift's running totals."""
    return _counted({name: row[name] for name in NAMES})


def of_report(report: Row) -> Counted:
    """What a Z report says."""
    told: dict[str, Any] = {name: report["drawer"][name] for name in DRAWER}
    for part in ("sales", "refunds"):
        told[f"{part}_count"] = report[part]["count"]
        told[f"{part}_amount"] = report[part]["amount"]
        told[f"{part}_by_method"] = report[part]["by_method"]
    told["voids_count"], told["voids_amount"] = report["voids"]["count"], report["voids"]["amount"]
    return _counted(told | {name: report[name] for name in NAMES if name not in told})


def _counted(told: dict[str, Any]) -> Counted:
    flat: Counted = Counter()
    for name, value in told.items():
        if isinstance(value, dict):
            flat.update({f"{name}.{method}": amount for method, amount in value.items()})
        else:
            flat[name] = value
    return flat


def first_difference(one: Counted, other: Counted) -> str | None:
    """The first figure, in the order of a shift's, in which they differ."""
    different = {name for name in {*one, *other} if one[name] != other[name]}
    order = {name: place for place, name in enumerate(NAMES)}
    return min(different, key=lambda name: (order[name.partition(".")[0]], name), default=None)


def check_shift(books: ShiftBooks, movement_amounts: dict[str, int]) -> Iterator[Discrepancy]:
    """All checks of one shift. `movement_amounts`: what the audit trail says of its movements,
    satang by id."""
    if books.row is None:
        why = "Documents name this shift, and it is not there any more."
        yield broken(BookCheck.SHIFTS, SHIFTS, books.key, "a shift", NOTHING, why)
        return
    yield from totals(books, books.row, movement_amounts)
    yield from reports(books, books.row)
    for collection, row_id in books.unsealed.values():
        why = "This came after its shift was closed, and its supplement is not there any more."
        yield broken(BookCheck.Z_REPORTS, collection, row_id, "a supplement", NOTHING, why)
    yield from supplements(books)


def totals(books: ShiftBooks, row: Row, movement_amounts: dict[str, int]) -> Iterator[Discrepancy]:
    """The running totals are the sums of the documents."""
    own = of_row(row)
    name = first_difference(own, books.booked)
    if name is None:
        return
    for movement in books.movements:
        told = movement_amounts.get(movement["_id"])
        if told is not None and movement["amount"] != told:
            why = f"This movement was made and audited with {baht(told)}."
            check = BookCheck.SHIFTS
            yield broken(check, MOVEMENTS, movement["_id"], told, movement["amount"], why)
            return
    why = f"{name} of this shift: its documents come to {books.booked[name]}, it says {own[name]}."
    if books.close and of_report(books.close["report"]) == own:
        why += " Its Z report says the same: a document has vanished or was changed."
    yield broken(BookCheck.SHIFTS, SHIFTS, books.key, books.booked[name], own[name], why)


def reports(books: ShiftBooks, row: Row) -> Iterator[Discrepancy]:
    """A closed shift has one Z report, and that is what the shift says."""
    check, closes, close = BookCheck.Z_REPORTS, books.of_kind(ZKind.CLOSE), books.close
    if row["status"] == "open" and close is not None:
        why = f"This shift is open, but Z {close['z_no']} has closed it."
        yield broken(check, SHIFTS, books.key, "closed", row["status"], why)
        return
    if row["status"] == "open":
        return
    if close is None:
        yield broken(check, SHIFTS, books.key, "a Z report", NOTHING, "This shift has no Z report.")
        return
    if len(closes) > 1:
        why = "This shift has another Z report already."
        yield broken(check, Z_REPORTS, closes[1]["_id"], NOTHING, closes[1]["z_no"], why)
        return
    own, told = of_row(row), of_report(close["report"])
    if name := first_difference(told, own):
        # Where the documents bear the report out, it is the shift that is named, above.
        if first_difference(told, books.booked) is not None:
            why = f"{name} of Z {close['z_no']}: the shift says {own[name]}."
            yield broken(check, Z_REPORTS, close["_id"], own[name], told[name], why)
        return
    yield from _counts(books, row, close)


def _counts(books: ShiftBooks, row: Row, close: Row) -> Iterator[Discrepancy]:
    """The cash that ought to be there and the cash that was counted."""
    check, report = BookCheck.Z_REPORTS, close["report"]
    drawer = report["drawer"]
    right = _expected(drawer)
    number = f"Z {close['z_no']}"
    if drawer["cash_expected"] != right or close["cash_expected"] != right:
        found = (
            drawer["cash_expected"] if drawer["cash_expected"] != right else close["cash_expected"]
        )
        why = f"The drawer of {number} ought to hold {baht(right)} by its own figures."
        yield broken(check, Z_REPORTS, close["_id"], right, found, why)
        return
    for name, told in (
        ("cash_open", drawer["cash_open"]),
        ("cash_expected", drawer["cash_expected"]),
        ("cash_counted", report["cash_counted"]),
        ("z_no", close["z_no"]),
    ):
        if row[name] != told:
            why = f"{name} of this shift is not what its {number} says."
            yield broken(check, SHIFTS, books.key, told, row[name], why)
            return
    if row["counted"] is not None:
        coins = sum(int(face) * pieces for face, pieces in row["counted"].items())
        if coins != row["cash_counted"]:
            why = f"The coins and notes that were counted come to {baht(coins)}."
            yield broken(check, SHIFTS, books.key, coins, row["cash_counted"], why)


def supplements(books: ShiftBooks) -> Iterator[Discrepancy]:
    """A supplement is what its operation added; an adjustment adds nothing. Each link says what
    the drawer ought to hold by then."""
    check, held, seen = BookCheck.Z_REPORTS, 0, set[str]()
    for link in books.links:
        report = link["report"]
        number = report["number"]
        held += _expected(report["drawer"])
        if link["kind"] == ZKind.CLOSE:
            continue
        adds = books.late.get(link["op_id"], Counter()) if link["kind"] == ZKind.SUPPLEMENT else {}
        if link["op_id"] in seen:
            adds = {}
        seen.add(link["op_id"])
        told = of_report(report)
        if name := first_difference(told, Counter(adds)):
            why = f"{name} of Z {number}: what was booked with it comes to {Counter(adds)[name]}."
            yield broken(check, Z_REPORTS, link["_id"], Counter(adds)[name], told[name], why)
            return
        if link["cash_expected"] != held:
            why = f"By Z {number} the drawer ought to hold {baht(held)}."
            yield broken(check, Z_REPORTS, link["_id"], held, link["cash_expected"], why)
            return


def _expected(drawer: Row) -> int:
    return expected_cash(
        DrawerTotals(cash_open=drawer["cash_open"], **{name: drawer[name] for name in DRAWER})
    )


# --- the chain -----------------------------------------------------------------------------


@dataclass(slots=True)
class Chain:
    """A device's Z reports, followed link by link from the first."""

    seq: int = 0
    z_no: int = 0
    hash: str = FIRST_HASH
    grand_sales: int = 0
    grand_refunds: int = 0
    last_id: str | None = None

    def follow(self, link: Row) -> Discrepancy | None:
        """What is wrong with the next link, if anything (R28)."""
        report, expected = link["report"], self.seq + 1

        def wrong(right: Any, found: Any, why: str) -> Discrepancy:
            sentence = f"Z {report['number']}: {why}"
            return broken(BookCheck.Z_CHAIN, Z_REPORTS, link["_id"], right, found, sentence)

        if link["chain_seq"] != expected:
            return wrong(expected, link["chain_seq"], "the link before it is missing.")
        if report["prev_hash"] != self.hash:
            return wrong(self.hash, report["prev_hash"], "it does not follow the link before it.")
        if report["hash"] != report_hash(report):
            right = report_hash(report)
            return wrong(right, report["hash"], "its contents are not those that were sealed.")
        for name in ("shift_id", "kind", "z_no", "supplement"):
            if link[name] != report[name]:
                return wrong(report[name], link[name], f"{name} is not that of the sealed report.")
        sales = self.grand_sales + report["sales"]["amount"]
        refunds = self.grand_refunds + report["refunds"]["amount"]
        for name, right in (
            ("grand_sales", sales),
            ("grand_refunds", refunds),
            ("grand_total", sales - refunds),
        ):
            if report[name] != right:
                return wrong(right, report[name], f"{name} does not go on from the link before it.")
        self.seq, self.hash, self.last_id = expected, report["hash"], link["_id"]
        self.grand_sales, self.grand_refunds = sales, refunds
        self.z_no = max(self.z_no, link["z_no"])
        return None

    def ends(self, head_id: str, head: Row | None) -> Discrepancy | None:
        """Whether the head that the next link will follow is the last link."""
        told = head or {"chain_seq": 0, "last_hash": FIRST_HASH, "grand_sales": 0,
                        "grand_refunds": 0, "z_no": 0}  # fmt: skip
        pairs = (
            ("chain_seq", self.seq),
            ("last_hash", self.hash),
            ("grand_sales", self.grand_sales),
            ("grand_refunds", self.grand_refunds),
            ("z_no", self.z_no),
        )
        for name, right in pairs:
            if told[name] != right:
                why = f"{name} of the chain's head is not that of its last Z report."
                if name == "chain_seq" and told[name] > right:
                    why = f"The last {told[name] - right} Z reports of this device are missing."
                return broken(BookCheck.Z_CHAIN, Z_HEADS, head_id, right, told[name], why)
        return None
