"""kill -9 of the till between any two statements (R14, R23, R29, R34, R35).

A first run writes down which lines a till comes by from the key to the printed paper; then, for
each of them, a run kills itself right there, and the till is started again. After it the server has
exactly one sale where the till had committed it, else none; receipt numbers have no gap; each paper
came out once, or is a copy of one that was in doubt. `make nightly` runs every line each time it is
reached; `make test` the first and the last of each group of statements between two commits.
"""

import asyncio
import os
import shutil
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from pymongo import MongoClient

from playpark.clock import FixedClock, SystemClock
from playpark.contracts.sync import OpKind, OpResult, OpStatus
from playpark.device import DeviceStore, OpState, StoredOp
from playpark.ids import ReceiptSeries
from tests.offline.kill_desk import KilledTill, Left, Line, Point, Printed, Seen, TestPrinter
from tests.offline.kill_till import Record
from tests.terminal.park import IDENTITY, NOW

FULL = bool(os.environ.get("PLAYPARK_FULL"))
KILLED = -9
pytestmark = pytest.mark.timeout(14_400 if FULL else 180)


@dataclass
class Desk:
    """The till, its printer, and the server's database."""

    till: KilledTill
    printer: TestPrinter
    db: Any

    def start_again(self) -> Left:
        return asyncio.run(self.till.again())

    def ops(self, kind: OpKind) -> list[StoredOp]:
        """The operations of a kind on the till's disk, the oldest first."""
        with self.till.store() as store:
            return store.recent([kind], 1_000_000)[::-1]

    def device_id(self) -> str:
        with self.till.store() as store:
            assert store.identity is not None
            return store.identity.device_id


@pytest.fixture(scope="module")
def desk(
    api_url: str, mongo_uri: str, database: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Desk]:
    printer = TestPrinter()
    folder = tmp_path_factory.mktemp("killed")
    with (
        MongoClient[Any](mongo_uri, tz_aware=True) as client,
        KilledTill(folder, api_url, printer) as till,
    ):
        yield Desk(till, printer, client[f"{database}_live"])
    printer.close()


def chosen(seen: Seen) -> list[Point]:
    return seen.points if FULL else seen.groups()


def enumerated(desk: Desk, story: str, line: Line) -> Seen:
    """The lines of a run that nobody kills."""
    assert desk.till.run(story, line, None) == 0
    seen = desk.till.seen()
    assert seen.commits, "nothing was committed"
    assert len(seen.points) == len(set(seen.points))
    return seen


@pytest.mark.parametrize("line", list(Line) if FULL else [Line.LOST])
def test_R34_a_till_killed_at_any_line_of_a_sale_has_sold_once_or_not_at_all(
    desk: Desk, line: Line
) -> None:
    desk.start_again()
    desk.printer.papers()
    seen = enumerated(desk, "sale", line)
    after_a_sale(desk, desk.start_again(), sold=True, known=len(desk.ops(OpKind.SALE)) - 1)
    reached = 0
    for point in (points := chosen(seen)):
        known = len(desk.ops(OpKind.SALE))
        status = desk.till.run("sale", line, point)
        reached += status == KILLED
        after_a_sale(desk, desk.start_again(), sold=must_stand(desk, status), known=known)
    assert reached >= 0.9 * len(points), "most points were not reached"
    the_books_are_right(desk)


def test_R34_a_till_killed_while_it_starts_again_has_still_sold_once(desk: Desk) -> None:
    desk.start_again()
    desk.printer.papers()
    assert desk.till.run("sale", Line.DOWN, None) == 0
    seen = enumerated(desk, "again", Line.UP)
    desk.start_again()
    desk.printer.papers()
    reached = 0
    for point in (points := chosen(seen)):
        known = len(desk.ops(OpKind.SALE))
        assert desk.till.run("sale", Line.DOWN, None) == 0
        reached += desk.till.run("again", Line.UP, point) == KILLED
        after_a_sale(desk, desk.start_again(), sold=True, known=known)
    assert reached >= 0.9 * len(points), "most points were not reached"
    the_books_are_right(desk)


@pytest.mark.parametrize("line", [Line.UP, Line.LOST] if FULL else [Line.LOST])
def test_R28_a_till_killed_at_any_line_of_its_close_has_closed_once_or_not_at_all(
    desk: Desk, line: Line
) -> None:
    desk.start_again()
    desk.till.run("sale", Line.UP, None)
    desk.printer.papers()
    seen = enumerated(desk, "close", line)
    desk.start_again()
    desk.printer.papers()
    for point in chosen(seen):
        known = len(desk.ops(OpKind.SHIFT_CLOSE))
        if FULL:
            desk.till.run("sale", Line.UP, None)
            desk.printer.papers()
        status = desk.till.run("close", line, point)
        must = must_stand(desk, status)
        left = desk.start_again()
        papers = [each for each in desk.printer.papers() if each.name != "provisional"]
        closed = desk.ops(OpKind.SHIFT_CLOSE)[known:]
        assert len(closed) in ({must} if must is not None else {0, 1}), point
        if closed:
            papers_are_out_once(left, closed[0], papers, {"z"})
    the_books_are_right(desk)


@pytest.mark.parametrize("action", ["open_epoch", "retry", "hand_over"])
def test_R35_R38_an_epoch_and_the_quarantine_move_whole_or_not_at_all(
    desk: Desk, action: str, tmp_path: Path
) -> None:
    prepared = tmp_path / "prepared"
    waiting_store(prepared / "till.db")
    before, path = _rows(copy_of(prepared, tmp_path)), tmp_path / "copy" / "till.db"
    assert desk.till.run(action, Line.UP, None, store=path) == 0
    seen, after = desk.till.seen(), _rows(path)
    assert before != after
    [committed] = seen.commits
    for point in chosen(seen):
        number = seen.points.index(point)
        copy_of(prepared, tmp_path)
        assert desk.till.run(action, Line.UP, point, store=path) == KILLED
        assert _rows(path) == (after if number >= committed else before), point
        if number < committed or action == "open_epoch":  # what was told again changes nothing
            assert desk.till.run(action, Line.UP, None, store=path) == 0
            assert _rows(path) == after


def waiting_store(path: Path) -> None:
    """Sales of every fate: booked, refused and kept by the office, waiting."""
    with DeviceStore.open(path, FixedClock(NOW)) as store:
        store.save_identity(IDENTITY)
        fates = [OpStatus.APPLIED, OpStatus.REJECTED, OpStatus.REJECTED, None, None, None]
        for fate in fates:
            op = store.append(
                OpKind.SALE,
                lambda numbers: {"receipt_no": numbers.receipt_no(ReceiptSeries.SALE)},
                occurred_at=NOW,
                committed=True,
                prints=True,
            )
            if fate is not None:
                letter = "letter" if fate is OpStatus.REJECTED else None
                told = OpResult(op_id=op.op_id, status=fate, dead_letter_id=letter)
                store.record_result(op, told)


def copy_of(prepared: Path, folder: Path) -> Path:
    shutil.rmtree(folder / "copy", ignore_errors=True)
    shutil.copytree(prepared, folder / "copy")
    return folder / "copy" / "till.db"


def _rows(path: Path) -> dict[str, list[tuple[Any, ...]]]:
    """All that a store knows of its operations, and proof that they are chained."""
    with DeviceStore.open(path, SystemClock()) as store:
        pending = store.pending()
        assert [op.state for op in pending] == [OpState.PENDING] * len(pending)
        tables = ("ops", "receipts", "papers", "counters")
        query = "SELECT * FROM {} ORDER BY 1, 2"
        found = {
            name: [tuple(row) for row in store._database.rows(query.format(name))]
            for name in tables
        }
        rows = store._database.rows("SELECT * FROM ops ORDER BY epoch, seq")
    links: dict[int, str] = {}
    for row in rows:
        op = StoredOp.of_row(row)
        if op.epoch in links:
            assert op.envelope["prev_hash"] == links[op.epoch]
        links[op.epoch] = row["link"]
    return found


# --- what has to hold -------------------------------------------------------------------


def must_stand(desk: Desk, status: int) -> bool | None:
    """Whether the operation must be on the disk; None where SQLite was just at it."""
    if status != KILLED:
        assert status == 0
        return True
    return {Record.NONE: False, Record.COMMITTED: True}.get(desk.till.will)


def after_a_sale(desk: Desk, left: Left, *, sold: bool | None, known: int) -> None:
    """One sale more than `known`, or none, on the disk and at the server; its papers are out."""
    sales = desk.ops(OpKind.SALE)
    papers = desk.printer.papers()
    if sold is None:
        sold = len(sales) > known
    assert len(sales) == known + sold
    assert {op.state for op in sales} <= {OpState.APPLIED}
    at_server = desk.db["sales"].find({"device_id": desk.device_id()}).sort("receipt_no")
    assert [each["receipt_no"] for each in at_server] == [op.receipt_no for op in sales]
    if not sold:
        assert papers == []
        assert left.unprinted == set()
        return
    [tickets] = sales[-1].body["ticket_ids"]
    papers_are_out_once(left, sales[-1], papers, {"receipt", *tickets})


def papers_are_out_once(
    left: Left, op: StoredOp, papers: list[Printed], expected: set[str]
) -> None:
    """Each paper came out once. What was in doubt came out once more, as a copy."""
    in_doubt = {name for op_id, name in left.doubtful if op_id == op.op_id}
    originals = Counter(each.name for each in papers if not each.copy)
    copies = Counter(each.name for each in papers if each.copy)
    assert copies == Counter(in_doubt)
    for name in expected - in_doubt:
        assert originals.pop(name) == 1
    # Of a paper in doubt something came out, or nothing, or it was torn off before its name.
    assert sum(originals.values()) <= len(in_doubt)
    assert set(originals) <= {*in_doubt, None}
    assert all(each.whole for each in papers if each.name not in {*in_doubt, None})


def the_books_are_right(desk: Desk) -> None:
    """Numbers without a gap, a row in both ledgers for each, the cash of each shift."""
    device_id = desk.device_id()
    sales, closes = desk.ops(OpKind.SALE), desk.ops(OpKind.SHIFT_CLOSE)
    with desk.till.store() as store:
        rows = store._database.rows("SELECT * FROM receipts ORDER BY series, number")
        assert store.rejected() == []
        code = store.identity.device_code if store.identity else ""
    for series, ops in (("S", sales), ("Z", closes)):
        numbers = [f"{code}-{series}{number:06d}" for number in range(1, len(ops) + 1)]
        assert [op.receipt_no for op in ops] == numbers
        here = [(row["receipt_no"], row["state"]) for row in rows if row["series"] == series]
        assert here == [(number, "applied") for number in numbers]
    mine = {"device_id": device_id}
    ids = [each["_id"] for each in desk.db["sales"].find(mine)]
    assert len(ids) == len(sales)
    assert desk.db["receipt_ledger"].count_documents({**mine, "state": "applied"}) == len(rows)
    assert desk.db["operations"].count_documents({**mine, "kind": "sale"}) == len(sales)
    for collection, key in (("payments", "sale_id"), ("tickets", "sale_id")):
        owners = [each[key] for each in desk.db[collection].find({key: {"$in": ids}})]
        assert sorted(owners) == sorted(ids)
    cash: Counter[str | None] = Counter()
    for op in sales:
        cash[op.shift_id] += op.body["rung"]["grand_total"]
    for shift in desk.db["shifts"].find(mine):
        assert shift["cash_sales"] == cash.pop(shift["_id"].rpartition(":")[2], 0)
        if shift["status"] == "closed":
            assert shift["cash_counted"] == shift["cash_expected"]
    assert not cash
