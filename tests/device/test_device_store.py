"""The device's store: one commit, no gap, nothing lost, nothing silently thrown away."""

import collections
import os
import re
import sqlite3
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from playpark.clock import FixedClock
from playpark.contracts.sync import LocalOutcome, OpKind, OpResult, OpStatus
from playpark.contracts.tickets import RedemptionResult
from playpark.device import Allocator, DeviceStore, OpState, PrintState, StoredOp
from playpark.device.records import link
from playpark.errors import PlayParkError
from playpark.ids import ReceiptSeries, normalise_short_code
from tests.device.conftest import IDENTITY, NOW


def a_sale(allocator: Allocator) -> dict[str, Any]:
    return {
        "receipt_no": allocator.receipt_no(ReceiptSeries.SALE),
        "ticket_ids": [[allocator.ticket_id()]],
        "short_codes": [[allocator.short_code()]],
        "reference": None,
    }


def sell(store: DeviceStore, **options: Any) -> StoredOp:
    return store.append(OpKind.SALE, a_sale, occurred_at=NOW, committed=True, **options)


def answer(op: StoredOp, status: OpStatus, **more: Any) -> OpResult:
    return OpResult(op_id=op.op_id, status=status, **more)


def test_R34_an_operation_is_on_the_disk_when_append_returns(path, clock, store):
    sold = sell(store, employee_id="e1")

    other = sqlite3.connect(path)
    row = other.execute("SELECT receipt_no, state FROM ops").fetchone()
    other.close()
    assert row == ("03-S000001", "pending")
    assert sold.to_op_in().employee_id == "e1"


def test_R34_a_file_is_written_through_to_the_disk(store):
    rows = [store._database.row(f"PRAGMA {name}")[0] for name in ("journal_mode", "synchronous")]

    assert rows == ["wal", 2]


def test_R29_numbers_of_a_failed_operation_are_taken_again(store):
    sell(store)

    def fails(allocator: Allocator) -> dict[str, Any]:
        a_sale(allocator)
        raise RuntimeError("no paper for the body")

    with pytest.raises(RuntimeError):
        store.append(OpKind.SALE, fails, occurred_at=NOW)

    again = sell(store)
    assert (again.receipt_no, again.seq) == ("03-S000002", 2)
    assert store.queued_count() == 2


def test_R29_every_number_has_a_ledger_row_that_tells_its_fate(store):
    first, second = sell(store), sell(store)
    store.record_result(first, answer(first, OpStatus.APPLIED))
    store.record_result(second, answer(second, OpStatus.REJECTED, code="E_X", message="no"))
    sell(store)

    ledger = store._database.rows("SELECT receipt_no, state FROM receipts ORDER BY number")
    assert [tuple(row) for row in ledger] == [
        ("03-S000001", "applied"),
        ("03-S000002", "dead_lettered"),
        ("03-S000003", "pending"),
    ]


def test_R29_each_series_counts_for_itself(store):
    store.append(
        OpKind.SALE,
        lambda allocator: {"no": allocator.receipt_no(ReceiptSeries.REFUND)},
        occurred_at=NOW,
    )

    assert sell(store).receipt_no == "03-S000001"


def test_R24_short_codes_differ_and_check(store):
    codes = [code for _ in range(50) for [code] in sell(store).body["short_codes"]]

    assert len(set(codes)) == 50
    assert all(normalise_short_code(code) == code for code in codes)


def test_R15_the_body_is_sent_as_frozen_null_stays_null_and_absent_stays_absent(store):
    sent = sell(store).to_op_in().model_dump(mode="json", exclude_unset=True)

    assert sent["body"]["reference"] is None
    assert "customer_id" not in sent["body"]
    assert "shift_id" not in sent
    assert "local" not in sent


def test_R34_the_chain_shows_a_deleted_operation(store):
    first, second, third = sell(store), sell(store), sell(store)

    for before, after in ((first, second), (second, third)):
        expected = link(
            before.op_id, before.kind, before.seq, before.envelope["prev_hash"], before.body
        )
        assert after.envelope["prev_hash"] == expected
    assert first.envelope["prev_hash"] == "0" * 64


def test_R34_a_second_process_is_told_who_holds_the_file(path, store):
    program = (
        "import sys; from pathlib import Path; from playpark.clock import SystemClock;"
        "from playpark.device import DeviceStore; from playpark.errors import PlayParkError\n"
        "try: DeviceStore.open(Path(sys.argv[1]), SystemClock())\n"
        "except PlayParkError as refused: print(refused.message); sys.exit(3)"
    )
    run = subprocess.run(
        [sys.executable, "-c", program, path], capture_output=True, text=True, check=False
    )

    assert run.returncode == 3
    assert f"process {os.getpid()}" in run.stdout


def test_R34_what_is_there_survives_a_restart(path, clock):
    with DeviceStore.open(path, clock) as store:
        store.save_identity(IDENTITY)
        sold = sell(store, prints=True)
    with DeviceStore.open(path, clock) as store:
        assert store.identity == IDENTITY
        assert store.pending() == [sold]
        assert store.queued_count() == 1
        assert store.oldest_pending_at() == NOW
        assert sell(store).receipt_no == "03-S000002"


def test_R34_a_damaged_file_is_kept_aside(path, clock):
    with DeviceStore.open(path, clock) as store:
        store.save_identity(IDENTITY)
        sell(store)
    path.write_bytes(b"\x00garbage" * 600)

    with pytest.raises(PlayParkError, match="damaged") as refused:
        DeviceStore.open(path, clock)

    kept = Path(re.search(r"kept as (\S+)", refused.value.message)[1])
    assert kept.read_bytes().startswith(b"\x00garbage")
    with DeviceStore.open(path, clock) as fresh:
        assert fresh.identity is None


def test_R34_a_full_disk_refuses_and_changes_nothing(store):
    sell(store)
    pages = store._database.row("PRAGMA page_count")[0]
    store._database.row(f"PRAGMA max_page_count = {pages}")

    with pytest.raises(PlayParkError, match="disk"):
        collections.deque((sell(store) for _ in range(200)), maxlen=0)

    count = store._database.row("SELECT count(*) FROM ops")[0]
    last = store._database.row("SELECT max(number) FROM receipts")[0]
    assert (count, last) == (store.queued_count(), store.queued_count())
    store._database.row("PRAGMA max_page_count = 100000")
    assert sell(store).seq == count + 1


def test_only_the_owner_may_read_the_file(path, store):
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_folder_that_cannot_be_written_is_one_sentence(tmp_path, clock):
    (tmp_path / "file").write_text("in the way")

    with pytest.raises(PlayParkError, match="choose another --data folder"):
        DeviceStore.open(tmp_path / "file" / "till.db", clock)


def test_R15_tokens_of_tickets_never_reach_the_disk(path, store):
    sold = sell(store)
    secret = "PP1.01." + "A" * 53
    result = {
        "sale": {"sale_id": "s1", "receipt_no": "03-S000001", "flags": [], "lines": []},
        "tickets": [{"qr_token": secret}],
    }

    stored = store.record_result(sold, answer(sold, OpStatus.APPLIED, result=result))

    assert stored.result == {"sale_id": "s1", "receipt_no": "03-S000001", "flags": []}
    for part in path.parent.iterdir():
        assert secret.encode() not in part.read_bytes()


def test_R35_rejected_operations_stay_visible(store):
    sold = sell(store)

    store.record_result(sold, answer(sold, OpStatus.REJECTED, code="E_VALIDATION", message="bad"))

    assert [(op.op_id, op.message) for op in store.rejected()] == [(sold.op_id, "bad")]
    assert store.pending() == []


def test_R35_an_answer_that_stands_is_not_overwritten(store):
    sold = sell(store)
    store.record_result(sold, answer(sold, OpStatus.APPLIED))

    store.record_result(sold, answer(sold, OpStatus.REJECTED, code="E_X", message="late"))

    assert store.op(sold.op_id).state is OpState.APPLIED


def test_R14_what_happened_is_written_once_and_always_sent(store):
    """The answer to the copy without `local` does not settle the operation (R50)."""
    scanned = store.append(OpKind.REDEMPTION, lambda _: {"qr_token": "x"}, occurred_at=NOW)
    refused = LocalOutcome(result=RedemptionResult.FAIL, reason="zone_full")
    later = store.record_local(scanned.op_id, refused, committed=True)

    after_late_answer = store.record_result(scanned, answer(scanned, OpStatus.APPLIED))
    assert after_late_answer.state is OpState.PENDING
    assert later.to_op_in().local == refused
    assert later.to_op_in().committed

    assert store.record_result(later, answer(later, OpStatus.DUPLICATE)).state is OpState.APPLIED
    with pytest.raises(PlayParkError, match="never rewritten"):
        store.record_local(scanned.op_id, refused, committed=True)


def test_R35_a_batch_stays_below_what_the_server_takes(store):
    big = {"blob": "x" * 1_200_000}
    ops = [store.append(OpKind.SALE, lambda _: big, occurred_at=NOW) for _ in range(5)]

    first = store.pending()

    assert first == ops[:2]
    assert store.pending(after=(first[-1].epoch, first[-1].seq)) == ops[2:4]


def test_R23_a_paper_is_claimed_once_and_a_crash_leaves_only_it_doubtful(path, clock):
    with DeviceStore.open(path, clock) as store:
        store.save_identity(IDENTITY)
        sold = sell(store, prints=True)
        assert store.papers.claim(sold.op_id, "receipt", PrintState.DUE)
        store.papers.finish(sold.op_id, "receipt", PrintState.PRINTED)
        assert store.papers.claim(sold.op_id, "ticket", PrintState.DUE)
        assert not store.papers.claim(sold.op_id, "ticket", PrintState.DUE)
    with DeviceStore.open(path, clock) as store:
        assert [op.printing for op in store.unprinted()] == [PrintState.DOUBTFUL]
        assert store.papers.of(sold.op_id) == {
            "receipt": PrintState.PRINTED,
            "ticket": PrintState.DOUBTFUL,
        }
        assert not store.papers.claim(sold.op_id, "receipt", PrintState.DUE)
        assert not store.papers.claim(sold.op_id, "ticket", PrintState.DUE)
        assert store.papers.claim(sold.op_id, "ticket", PrintState.DOUBTFUL)
        store.papers.finish(sold.op_id, "ticket", PrintState.PRINTED)
        store.papers.settle(sold.op_id, PrintState.PRINTED)
        assert store.unprinted() == []


def test_R42_an_op_id_can_be_chosen_before_and_the_approval_travels_in_the_envelope(store):
    chosen = store.new_id()

    sold = sell(store, op_id=chosen, approval="token", memo={"why": "never sent"})

    sent = sold.to_op_in()
    assert (sent.op_id, sent.approval) == (chosen, "token")
    assert "why" not in str(sent.model_dump(mode="json"))


def test_R29_a_refused_operation_that_was_not_committed_abandons_its_number_at_once(store):
    def refund(allocator: Allocator) -> dict[str, Any]:
        return {"receipt_no": allocator.receipt_no(ReceiptSeries.REFUND)}

    asked = store.append(OpKind.REFUND, refund, occurred_at=NOW, employee_id="e1", shift_id=None)
    store.record_result(asked, answer(asked, OpStatus.REJECTED, code="E_X", message="no"))

    [closed] = store.pending()
    assert (closed.kind, closed.body) == (
        OpKind.ABANDON,
        {"op_id": asked.op_id, "receipt_no": "03-R000001"},
    )
    assert (closed.committed, closed.employee_id) == (True, "e1")
    assert store.queued_count() == 1
    ledger = store._database.row("SELECT state FROM receipts WHERE receipt_no = '03-R000001'")
    assert ledger["state"] == "abandoned"


def test_R29_a_refused_committed_sale_keeps_its_number_for_the_dead_letters(store):
    sold = sell(store)

    store.record_result(sold, answer(sold, OpStatus.REJECTED, code="E_X", message="no"))

    assert store.pending() == []


def test_R15_tokens_of_a_reprint_never_reach_the_disk(path, store):
    asked = store.append(OpKind.REPRINT, lambda _: {"sale_id": "s1"}, occurred_at=NOW)
    secret = "PP1.01." + "B" * 53
    result = {"reprint_id": "r1", "tickets": [{"qr_token": secret}], "sale": None}

    stored = store.record_result(asked, answer(asked, OpStatus.APPLIED, result=result))

    assert stored.result == {"reprint_id": "r1"}
    for part in path.parent.iterdir():
        assert secret.encode() not in part.read_bytes()


def test_recent_employees_are_kept_the_latest_first(store, clock: FixedClock):
    from playpark.device import RecentEmployee

    for name in ["nok", "ploy", "nok"]:
        store.remember_employee(RecentEmployee(employee_id=name, name=name, seen_at=clock.now()))

    assert [employee.name for employee in store.recent_employees()] == ["nok", "ploy"]
