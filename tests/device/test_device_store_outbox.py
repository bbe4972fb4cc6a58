"""What becomes of operations: epochs, quarantine, tickets signed by the till (R22, R35, R38)."""

import threading
from typing import Any

import pytest

from playpark.contracts.sync import Counters, LocalOutcome, OpKind, OpResult, OpStatus
from playpark.device import Allocator, ClockNote, DeviceStore, OpState, StoredOp, Unsynced
from playpark.device.numbers import Figures
from playpark.device.records import link
from playpark.errors import ErrorCode, PlayParkError
from playpark.ids import ReceiptSeries
from tests.device.conftest import IDENTITY, NOW

KEY = "k3-1"


def a_sale(allocator: Allocator) -> dict[str, Any]:
    number = allocator.receipt_no(ReceiptSeries.SALE)
    return {
        "receipt_no": number,
        "short_codes": [[allocator.short_code()]],
        "rung": {"grand_total": 25_000},
    }


def sell(store: DeviceStore, **options: Any) -> StoredOp:
    return store.append(OpKind.SALE, a_sale, occurred_at=NOW, **({"committed": True} | options))


def answer(store: DeviceStore, op: StoredOp, status: OpStatus, **more: Any) -> StoredOp:
    return store.record_result(op, OpResult(op_id=op.op_id, status=status, **more))


def refuse(store: DeviceStore, op: StoredOp, **more: Any) -> StoredOp:
    return answer(store, op, OpStatus.REJECTED, code="E_VALIDATION", message="bad", **more)


def signed(allocator: Allocator) -> LocalOutcome:
    return LocalOutcome(printed=True, tokens=[[f"PP2.{allocator.serial(KEY)}"]])


def same_figures_after_a_restart(store: DeviceStore) -> None:
    assert store._figures == Figures.count(store._database)


# --- epochs -----------------------------------------------------------------------------


def test_R38_a_new_epoch_is_above_the_servers_and_chains_what_waits_again(store):
    booked = sell(store)
    answer(store, booked, OpStatus.APPLIED)
    first, second = sell(store), sell(store, local=signed_at_once)

    assert store.open_epoch(Counters(epoch=4, seq=70)) == 5

    again = store.pending()
    assert [op.op_id for op in again] == [first.op_id, second.op_id]
    assert [(op.epoch, op.seq) for op in again] == [(5, 1), (5, 2)]
    assert [op.body for op in again] == [first.body, second.body]
    assert again[1].local == second.local
    assert again[0].envelope["prev_hash"] == "0" * 64
    assert again[1].envelope["prev_hash"] == link(first.op_id, first.kind, 1, "0" * 64, first.body)
    assert store.op(booked.op_id).epoch == 1
    third = sell(store)
    assert (third.epoch, third.seq, store.epoch) == (5, 3, 5)
    same_figures_after_a_restart(store)


def signed_at_once(allocator: Allocator, _: dict[str, Any]) -> LocalOutcome:
    return signed(allocator)


def test_R38_counters_are_raised_and_never_lowered(store):
    for _ in range(3):
        sell(store, local=signed_at_once)

    store.open_epoch(Counters(epoch=1, seq=9, receipts={"S": 2, "R": 7}, short_codes=1))
    assert sell(store).receipt_no == "03-S000004"

    store.open_epoch(
        Counters(epoch=1, seq=9, receipts={"S": 40}, short_codes=50, serials={KEY: 60, "k": 2})
    )

    assert sell(store, local=signed_at_once).receipt_no == "03-S000041"
    counters = {row["name"]: row["value"] for row in store._database.rows("SELECT * FROM counters")}
    assert (counters["short_code"], counters[f"serial:{KEY}"]) == (51, 61)
    assert (counters["serial:k"], counters["receipt:R"]) == (2, 7)


def test_R38_the_same_counters_again_change_nothing(store):
    sell(store), sell(store)
    told = Counters(epoch=1, seq=70, receipts={"S": 70})
    store.open_epoch(told)
    before = (
        store._database.rows("SELECT * FROM ops"),
        store._database.rows("SELECT * FROM counters"),
    )

    assert store.open_epoch(told) == 2

    after = (
        store._database.rows("SELECT * FROM ops"),
        store._database.rows("SELECT * FROM counters"),
    )
    assert after == before


def test_R38_what_waits_in_an_epoch_before_comes_along_although_the_new_one_is_open(store):
    """Else an operation of the quarantine that is sent again would be refused for ever."""
    stuck = sell(store)
    refuse(store, stuck)
    store.open_epoch(Counters(epoch=1, seq=1))
    newer = sell(store)
    store.retry(stuck.op_id)

    assert store.open_epoch(Counters(epoch=1, seq=1)) == 2

    assert [(op.op_id, op.epoch, op.seq) for op in store.pending()] == [
        (newer.op_id, 2, 1),
        (stuck.op_id, 2, 2),
    ]


def test_R38_the_answer_to_the_copy_of_the_former_epoch_settles_nothing(store):
    sent = sell(store)
    store.open_epoch(Counters(epoch=1, seq=70))

    assert answer(store, sent, OpStatus.APPLIED).state is OpState.PENDING
    assert store.queued_count() == 1


def test_R38_the_epoch_survives_a_restart(path, clock):
    with DeviceStore.open(path, clock) as store:
        store.save_identity(IDENTITY)
        store.open_epoch(Counters(epoch=6, seq=1))
    with DeviceStore.open(path, clock) as store:
        assert store.epoch == 7
        assert sell(store).epoch == 7


# --- quarantine -------------------------------------------------------------------------


def test_R35_the_quarantine_holds_what_had_happened_and_nothing_else(store):
    sold, asked = sell(store), store.append(OpKind.REFUND, lambda _: {}, occurred_at=NOW)
    refuse(store, asked)
    refuse(store, sold)

    assert [op.op_id for op in store.quarantine()] == [sold.op_id]
    assert {op.op_id for op in store.rejected()} == {sold.op_id, asked.op_id}
    assert store.quarantined_count() == 1
    same_figures_after_a_restart(store)


def test_R35_an_operation_of_the_quarantine_is_sent_again_as_it_stands(store):
    sold = sell(store)
    refuse(store, sold, dead_letter_id="dl1")

    again = store.retry(sold.op_id)

    assert (again.state, again.envelope, again.body) == (
        OpState.PENDING,
        sold.envelope,
        sold.body,
    )
    assert (again.code, again.message) == (None, None)
    assert (store.queued_count(), store.quarantined_count()) == (1, 0)
    assert ledger(store) == {"03-S000001": "pending"}
    assert store.retry(sold.op_id) == again
    refuse(store, again)
    assert store.op(sold.op_id).dead_letter_id == "dl1"
    same_figures_after_a_restart(store)


def ledger(store: DeviceStore) -> dict[str, str]:
    rows = store._database.rows("SELECT receipt_no, state FROM receipts")
    return {row["receipt_no"]: row["state"] for row in rows}


def test_R35_only_the_quarantine_is_sent_again(store):
    booked, asked = sell(store), store.append(OpKind.REFUND, lambda _: {}, occurred_at=NOW)
    answer(store, booked, OpStatus.APPLIED)
    refuse(store, asked)

    for op in (booked, asked):
        with pytest.raises(PlayParkError) as refused:
            store.retry(op.op_id)
        assert refused.value.code is ErrorCode.CONFLICT
        with pytest.raises(PlayParkError, match="Only what the server has refused"):
            store.hand_over(op.op_id)
    with pytest.raises(PlayParkError) as unknown:
        store.retry(store.new_id())
    assert unknown.value.code is ErrorCode.NOT_FOUND


def test_R35_handing_over_needs_the_servers_word_that_it_has_the_operation(store):
    lost, kept = sell(store), sell(store)
    refuse(store, lost)
    refuse(store, kept, dead_letter_id="dl1")

    with pytest.raises(PlayParkError, match="export it"):
        store.hand_over(lost.op_id)
    over = store.hand_over(kept.op_id)

    assert (over.state, over.dead_letter_id) == (OpState.HANDED_OVER, "dl1")
    assert store.hand_over(kept.op_id) == over
    assert [op.op_id for op in store.quarantine()] == [lost.op_id]
    assert store.quarantined_count() == 1
    with pytest.raises(PlayParkError, match="handed over"):
        store.retry(kept.op_id)
    assert store.recent([OpKind.SALE], 5) == []
    same_figures_after_a_restart(store)


# --- sales that are not synced ----------------------------------------------------------


def test_R39_unsynced_sales_are_counted_without_practice(store):
    sold = [sell(store) for _ in range(3)]
    store.append(
        OpKind.SALE, lambda a: a_sale(a) | {"training": True}, occurred_at=NOW, committed=True
    )
    store.append(OpKind.CASH_MOVEMENT, lambda _: {"amount": 5}, occurred_at=NOW)
    assert store.unsynced_sales() == Unsynced(3, 75_000)

    answer(store, sold[0], OpStatus.APPLIED)
    answer(store, sold[1], OpStatus.RETRY)
    refuse(store, sold[2])

    assert store.unsynced_sales() == Unsynced(1, 25_000)
    store.retry(sold[2].op_id)
    assert store.unsynced_sales() == Unsynced(2, 50_000)
    same_figures_after_a_restart(store)


def test_R39_a_sale_that_fails_counts_for_nothing(store):
    def fails(allocator: Allocator, _: dict[str, Any]) -> LocalOutcome:
        allocator.serial(KEY)
        raise PlayParkError(ErrorCode.CONFLICT, "beyond its certificate")

    with pytest.raises(PlayParkError):
        sell(store, local=fails)

    assert (store.queued_count(), store.unsynced_sales()) == (0, Unsynced())
    assert sell(store, local=signed_at_once).receipt_no == "03-S000001"
    assert store.signing.serials_taken(KEY) == 1


def test_R39_figures_hold_whoever_writes_at_once(store):
    """The sync engine settles while the till sells."""

    def work() -> None:
        for _ in range(12):
            answer(store, sell(store), OpStatus.APPLIED)
            sell(store)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert store.queued_count() == 48
    same_figures_after_a_restart(store)


# --- tickets that the till signs --------------------------------------------------------


def test_R22_tickets_are_signed_in_the_commit_of_their_sale(store):
    seen: list[dict[str, Any]] = []

    def sign(allocator: Allocator, body: dict[str, Any]) -> LocalOutcome:
        seen.append(body)
        return signed(allocator)

    sold = sell(store, local=sign)

    assert seen == [sold.body]
    assert sold.to_op_in().local == LocalOutcome(printed=True, tokens=[["PP2.1"]])
    assert store.signing.serials_taken(KEY) == 1


def test_R23_a_till_that_prints_by_itself_signs_once(store):
    sold = sell(store)

    printed = store.record_printed(sold.op_id, signed)
    again = store.record_printed(sold.op_id, signed)

    assert printed == again
    assert printed.local.tokens == [["PP2.1"]]
    assert (printed.committed, printed.seq, printed.body) == (True, sold.seq, sold.body)
    assert store.signing.serials_taken(KEY) == 1
    assert store.queued_count() == 1


def test_R23_a_till_signs_nothing_once_the_server_has_answered(store):
    booked, refused = sell(store), sell(store)
    answer(store, booked, OpStatus.APPLIED)
    refuse(store, refused)

    assert store.record_printed(booked.op_id, signed) is None
    assert store.record_printed(refused.op_id, signed) is None
    assert store.signing.serials_taken(KEY) == 0


def test_R23_the_answer_to_the_copy_without_tickets_does_not_settle_the_sale(store):
    sold = sell(store)
    printed = store.record_printed(sold.op_id, signed)

    assert answer(store, sold, OpStatus.APPLIED).state is OpState.PENDING
    assert answer(store, printed, OpStatus.DUPLICATE).state is OpState.APPLIED


def test_R23_what_cannot_be_signed_leaves_the_sale_as_it_was(store):
    sold = sell(store)

    def fails(allocator: Allocator) -> LocalOutcome:
        allocator.serial(KEY)
        raise PlayParkError(ErrorCode.CONFLICT, "no certificate")

    with pytest.raises(PlayParkError):
        store.record_printed(sold.op_id, fails)

    assert store.op(sold.op_id) == sold
    assert store.signing.serials_taken(KEY) == 0
    with pytest.raises(PlayParkError) as unknown:
        store.record_printed(store.new_id(), signed)
    assert unknown.value.code is ErrorCode.NOT_FOUND


# --- the time ---------------------------------------------------------------------------


def test_R36_what_was_heard_of_the_servers_clock_is_kept(store):
    assert store.clock() is None

    store.save_clock(-1500, NOW)

    assert store.clock() == ClockNote(offset_ms=-1500, heard_at=NOW)
