"""What a gate keeps about itself: its place, and what happened at it (R30, R50, R51)."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from playpark.clock import FixedClock
from playpark.contracts.sync import LocalOutcome, OpKind, OpResult, OpStatus
from playpark.contracts.tickets import Direction, RedemptionResult
from playpark.device import DeviceStore, OpState
from playpark.device.gate_record import Place

NOW = datetime(2026, 11, 21, 8, 42, tzinfo=UTC)


@pytest.fixture
def store(tmp_path: Path) -> DeviceStore:
    return DeviceStore.open(tmp_path / "device.db", FixedClock(NOW))


def redeem(store: DeviceStore, at: datetime, code: str = "code") -> str:
    body = {"qr_token": code, "direction": "entry"}
    return store.append(OpKind.REDEMPTION, lambda _: body, occurred_at=at).op_id


def annul(store: DeviceStore, **body: str) -> None:
    store.append(OpKind.ANNUL, lambda _: dict(body), occurred_at=NOW)


def answer(store: DeviceStore, op_id: str, status: OpStatus, **changes: object) -> None:
    op = store.op(op_id)
    assert op is not None
    store.record_result(op, OpResult(op_id=op_id, status=status, **changes))


def test_R51_the_place_is_kept_over_a_restart(tmp_path: Path) -> None:
    with DeviceStore.open(tmp_path / "device.db", FixedClock(NOW)) as before:
        assert before.gate.place() is None
        before.gate.keep_place(Place(zone_id="z-ball"))
        before.gate.keep_place(Place(zone_id="z-water", direction=Direction.EXIT))

    with DeviceStore.open(tmp_path / "device.db", FixedClock(NOW)) as after:
        assert after.gate.place() == Place(zone_id="z-water", direction=Direction.EXIT)


def test_redemptions_of_a_time_come_newest_first(store: DeviceStore) -> None:
    minutes = [timedelta(minutes=n) for n in (-90, -60, -30, 0)]
    ops = [redeem(store, NOW + each) for each in minutes]
    store.append(OpKind.TIMECARD, lambda _: {}, occurred_at=NOW)

    found = store.gate.since(NOW - timedelta(minutes=60))

    assert [each.op_id for each in found] == [ops[3], ops[2], ops[1]]
    assert [each.at for each in found] == [NOW, NOW + minutes[2], NOW + minutes[1]]
    assert found[0].body["qr_token"] == "code"


def test_the_read_stops_at_the_first_older_one(
    store: DeviceStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    for day in range(20, 0, -1):
        redeem(store, NOW - timedelta(days=day))
    redeem(store, NOW)
    looked_at: list[str] = []
    loads = __import__("json").loads
    monkeypatch.setattr(
        "playpark.device.gate_record.json.loads", lambda text: looked_at.append(text) or loads(text)
    )

    assert len(store.gate.since(NOW - timedelta(hours=1))) == 1
    assert sum('"occurred_at"' in text for text in looked_at) == 2


def test_the_read_goes_along_an_index(store: DeviceStore) -> None:
    plan = store._database.rows(
        "EXPLAIN QUERY PLAN SELECT envelope, body, state, result, message FROM ops WHERE kind = ? "
        "ORDER BY epoch DESC, seq DESC",
        OpKind.REDEMPTION,
    )

    assert [row["detail"] for row in plan] == ["SEARCH ops USING INDEX ops_by_kind (kind=?)"]


def test_what_happened_and_what_was_answered_stand_beside_each_other(store: DeviceStore) -> None:
    waits, passed, refused, decided = (redeem(store, NOW) for _ in range(4))
    answer(store, passed, OpStatus.APPLIED, result={"redemption_id": "r1", "result": "pass"})
    answer(store, refused, OpStatus.REJECTED, code="E_NOT_FOUND", message="No such zone.")
    outcome = LocalOutcome(result=RedemptionResult.FAIL, reason="expired", at=NOW)
    store.record_local(decided, outcome, committed=True)

    found = {each.op_id: each for each in store.gate.since(NOW)}

    assert (found[waits].local, found[waits].result) == (None, None)
    assert found[passed].result == {"redemption_id": "r1", "result": "pass"}
    assert (found[refused].state, found[refused].refusal) == (OpState.REJECTED, "No such zone.")
    assert found[decided].local == outcome


@pytest.mark.parametrize("named", ["op_id", "redemption_id"])
def test_R50_an_entry_that_was_taken_back_says_so(store: DeviceStore, named: str) -> None:
    op_id = redeem(store, NOW)
    other = redeem(store, NOW)
    for each, name in ((op_id, "r1"), (other, "r2")):
        answer(store, each, OpStatus.APPLIED, result={"redemption_id": name, "result": "pass"})
    annul(store, **{named: op_id if named == "op_id" else "r1"})

    found = {each.op_id: each.annulled for each in store.gate.since(NOW)}

    assert found == {op_id: True, other: False}


def test_R50_an_annul_that_the_server_refused_is_none(store: DeviceStore) -> None:
    op_id = redeem(store, NOW)
    annul(store, op_id=op_id)
    (refused,) = store.pending_of([OpKind.ANNUL])
    answer(store, refused.op_id, OpStatus.REJECTED, code="E_CONFLICT", message="Too late.")

    assert [each.annulled for each in store.gate.since(NOW)] == [False]
