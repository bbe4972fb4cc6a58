"""What follows a scan: tone, slip, figures, and what the keys do (R50, R51, R54)."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from gate.answers import (
    CHECKING,
    FOREIGN,
    MISTYPED,
    OFFLINE,
    Answer,
    Level,
    annul_refused,
    annulled,
    exit_unanswered,
    late,
    of_redemption,
)
from gate.desk import Desk
from gate.slips import KEEP_S, Slips
from gate.sounds import SoundMode, Sounds, Tone
from gate.typed import look_at
from playpark.contracts.catalog import SlipPolicy
from playpark.contracts.provider import PartState
from playpark.contracts.sync import LocalOutcome, OpKind, OpResult, OpStatus
from playpark.contracts.tickets import Direction, FailReason, RedemptionResult
from playpark.device import DeviceStore
from playpark.printing.admission_slip import Admission
from playpark.printing.transport import PrinterTarget, TargetKind
from tests.gate.park import NOW, SNAPSHOT, URL, Park
from tests.gate.pictures import token
from tests.gate.screen import KnownStation, passed, scan, view


class Ears(Sounds):
    """Hears tones instead of ringing them."""

    heard: list[Tone]

    def play(self, tone: Tone) -> None:
        self.heard.append(tone)


class Paper(Slips):
    """Takes slips instead of printing them."""

    taken: list[Admission]

    @property
    def there(self) -> bool:
        return True

    def print(self, admission: Admission) -> None:
        self.taken.append(admission)


class Counter:
    """A desk at the Ball Pit, its ears and its paper."""

    def __init__(self, store: DeviceStore, park: Park) -> None:
        self.now = 10.0
        self.park = park
        store.save_catalog(SNAPSHOT)
        station = KnownStation(
            store,
            park.clock,
            None,
            api_url=URL,
            transport=park.transport,
            monotonic=lambda: self.now,
        )
        station.admission.zone_id = "z-ball"
        self.ears = Ears(SoundMode.OFF, store.folder, lambda: None)
        self.ears.heard = []
        self.paper = Paper(PrinterTarget(TargetKind.NONE), store)
        self.paper.taken = []
        self.desk = Desk(station, self.ears, self.paper)

    def policy(self, policy: SlipPolicy) -> None:
        ball, water = SNAPSHOT.zones
        zones = [ball.model_copy(update={"slip": policy}), water]
        self.desk.station.store.save_catalog(SNAPSHOT.model_copy(update={"zones": zones}))
        self.desk._zones = (float("-inf"), [])


@pytest.fixture
async def counter(store: DeviceStore, park: Park) -> AsyncIterator[Counter]:
    counter = Counter(store, park)
    yield counter
    await counter.desk.station.client.close()


NO = of_redemption(view(FailReason.EXPIRED), Direction.ENTRY)


# --- tones ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "tones"),
    [
        (passed().answer, [Tone.PASS]),
        (NO, [Tone.FAIL]),
        (FOREIGN, [Tone.FAIL]),
        (OFFLINE, [Tone.FAIL]),
        (exit_unanswered(), [Tone.PASS]),
        (CHECKING, []),
        (late(passed().answer), []),
    ],
    ids=["pass", "no", "foreign", "offline", "exit", "checking", "late"],
)
def test_each_answer_has_its_tone(counter: Counter, answer: Answer, tones: list[Tone]) -> None:
    counter.desk.take(scan(answer))

    assert counter.ears.heard == tones


def test_a_family_with_one_NO_hears_no_PASS_behind_it(counter: Counter) -> None:
    counter.desk.take(passed(1, together=1))
    counter.desk.take(scan(NO, 2, together=1))
    counter.desk.take(passed(3, together=1))
    counter.desk.take(scan(NO, 4, together=1))
    assert counter.ears.heard == [Tone.PASS, Tone.FAIL]

    counter.desk.take(passed(5, together=2))
    counter.desk.take(scan(NO, 6, together=3))

    assert counter.ears.heard == [Tone.PASS, Tone.FAIL, Tone.PASS, Tone.FAIL]


def test_a_family_that_is_still_being_checked_hears_nothing_yet(counter: Counter) -> None:
    counter.desk.take(scan(CHECKING, 1, together=1))
    counter.desk.take(scan(CHECKING, 2, together=1))
    counter.desk.take(passed(1, together=1))
    assert counter.ears.heard == []

    counter.desk.take(passed(2, together=1))

    assert counter.ears.heard == [Tone.PASS]


# --- slips ------------------------------------------------------------------------------


def test_R54_always_prints_each_entry_once(counter: Counter) -> None:
    counter.policy(SlipPolicy.ALWAYS)
    counter.desk.take(scan(CHECKING))
    counter.desk.take(passed())

    (slip,) = counter.paper.taken
    assert (slip.zone, slip.zone_th, slip.remaining) == ("Ball Pit", "บ่อบอล", 2)
    assert slip.ticket_id == "01K9ZZZZZZZZZZZZZZZZZZ0001"
    assert counter.desk.slips_due() == []


@pytest.mark.parametrize(
    "answer",
    [
        NO,
        of_redemption(view(FailReason.TRAINING), Direction.ENTRY),
        of_redemption(view(), Direction.EXIT),
        exit_unanswered(),
        OFFLINE,
        late(passed().answer),
    ],
    ids=["no", "training", "exit", "exit offline", "offline", "late"],
)
def test_R54_only_an_entry_prints(counter: Counter, answer: Answer) -> None:
    counter.policy(SlipPolicy.ALWAYS)
    counter.desk.take(scan(answer))

    assert counter.paper.taken == []


def test_R54_on_key_prints_the_last_group_when_it_is_asked_for(counter: Counter) -> None:
    counter.policy(SlipPolicy.ON_KEY)
    counter.desk.take(passed(1, together=1))
    counter.desk.take(passed(2, together=2))
    counter.desk.take(passed(3, together=2))
    assert counter.paper.taken == []

    assert counter.desk.print_slips() == 2
    assert counter.desk.print_slips() == 1
    assert counter.desk.print_slips() == 0

    assert len(counter.paper.taken) == 3


def test_R54_a_minute_later_no_key_prints_a_slip(counter: Counter) -> None:
    counter.policy(SlipPolicy.ON_KEY)
    counter.desk.take(passed())
    counter.park.clock.advance(timedelta(seconds=KEEP_S))
    assert len(counter.desk.slips_due()) == 1

    counter.park.clock.advance(timedelta(milliseconds=1))

    assert counter.desk.slips_due() == []


@pytest.mark.parametrize("zone_id", ["z-ball", None], ids=["never", "no zone"])
def test_R54_never_prints_nothing(counter: Counter, zone_id: str | None) -> None:
    counter.desk.station.admission.zone_id = zone_id
    counter.desk.take(passed())

    assert counter.desk.slips_due() == []
    assert counter.desk.print_slips() == 0
    assert counter.paper.taken == []


def test_R54_an_entry_that_was_taken_back_has_no_slip(counter: Counter) -> None:
    counter.policy(SlipPolicy.ON_KEY)
    counter.desk.take(passed())
    counter.desk.board.annulled(counter.desk.board.rows()[0], counter.desk.now)

    assert counter.desk.slips_due() == []


# --- annul ------------------------------------------------------------------------------


async def test_R50_an_annul_takes_the_entry_out_of_the_figures(
    counter: Counter, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    async def annul(op_id: str) -> Answer:
        asked.append(op_id)
        return annulled()

    monkeypatch.setattr(counter.desk.station.admission, "annul", annul)
    counter.desk.take(passed())

    await counter.desk.annul(counter.desk.board.rows()[0])

    assert asked == ["op-1"]
    assert counter.desk.board.tally.today(counter.desk.now).admitted == 0
    assert counter.desk.panel() == annulled()


async def test_R50_an_annul_that_is_refused_leaves_everything(
    counter: Counter, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def annul(_: str) -> Answer:
        return annul_refused("15 minutes have passed.")

    monkeypatch.setattr(counter.desk.station.admission, "annul", annul)
    counter.desk.take(passed())

    answer = await counter.desk.annul(counter.desk.board.rows()[0])

    assert answer.word == "NOT DONE"
    assert counter.desk.board.tally.today(counter.desk.now).admitted == 1
    assert not counter.desk.board.rows()[0].annulled


# --- after a restart --------------------------------------------------------------------


def record(store: DeviceStore, code: str = "", **body: str) -> str:
    frozen = {"qr_token": code or token(1), "direction": "entry", **body}
    return store.append(OpKind.REDEMPTION, lambda _: frozen, occurred_at=NOW).op_id


def answered(store: DeviceStore, op_id: str, reason: FailReason | None = None) -> None:
    op = store.op(op_id)
    assert op is not None
    result = view(reason).model_dump(mode="json") | {"redemption_id": f"r-{op_id}"}
    store.record_result(op, OpResult(op_id=op_id, status=OpStatus.APPLIED, result=result))


def happened(
    store: DeviceStore, op_id: str, result: RedemptionResult, reason: str | None = None
) -> None:
    store.record_local(op_id, LocalOutcome(result=result, reason=reason, at=NOW), committed=True)


async def test_the_figures_of_the_day_survive_a_restart(counter: Counter) -> None:
    store = counter.desk.station.store
    first, second, used, third, alone, gone, waits = (record(store) for _ in range(7))
    for op_id in (first, second, third):
        answered(store, op_id)
    answered(store, used, FailReason.DUPLICATE_USE)
    happened(store, alone, RedemptionResult.FAIL, "expired")
    answered(store, gone)
    happened(store, gone, RedemptionResult.FAIL, "answer_too_late")
    out = record(store, direction="exit")
    happened(store, out, RedemptionResult.PASS)
    store.append(OpKind.ANNUL, lambda _: {"op_id": second}, occurred_at=NOW)
    rejected = record(store)
    op = store.op(rejected)
    assert op is not None
    refusal = OpResult(op_id=rejected, status=OpStatus.REJECTED, code="E", message="No such zone.")
    store.record_result(op, refusal)

    await counter.desk.restore()

    today = counter.desk.board.tally.today(counter.desk.now)
    assert (today.admitted, today.left) == (2, 1)
    assert dict(today.reasons) == {"ALREADY USED": 1, "EXPIRED": 1, "NOT ACCEPTED": 1}
    assert counter.desk.board.tally.since_start.admitted == 0
    rows = {row.op_id: row for row in counter.desk.board.rows()}
    assert rows[gone].answer.level is Level.LATE
    assert rows[waits].answer.level is Level.OFFLINE
    assert rows[alone].answer.local
    assert rows[second].annulled
    assert rows[first].code == "…ZZZZ0001"
    assert {row.op_id for row in counter.desk.board.annullable(counter.desk.now)} == {first, third}


async def test_R33_a_pass_of_the_gate_alone_stays_one_whatever_the_server_found_later(
    counter: Counter,
) -> None:
    store = counter.desk.station.store
    op_id = record(store)
    happened(store, op_id, RedemptionResult.PASS)
    answered(store, op_id, FailReason.DUPLICATE_USE)

    await counter.desk.restore()

    (row,) = counter.desk.board.rows()
    assert (row.answer.level, row.answer.local) == (Level.PASS, True)


async def test_an_answer_that_is_not_understood_any_more_stops_no_start(counter: Counter) -> None:
    store = counter.desk.station.store
    op_id = record(store, "https://example.com/\x1b[2J")
    op = store.op(op_id)
    assert op is not None
    store.record_result(op, OpResult(op_id=op_id, status=OpStatus.APPLIED, result={"odd": 1}))

    await counter.desk.restore()

    (row,) = counter.desk.board.rows()
    assert row.answer.headline == "NOT ACCEPTED"


def test_the_heartbeat_is_told_of_the_printer(counter: Counter) -> None:
    counter.paper.fault = "It is out of paper."

    assert counter.paper.state is PartState.FAILED
    assert "It is out of paper." in counter.desk.troubles


def test_a_zone_that_is_gone_is_said_and_not_forgotten(counter: Counter, tmp_path: Path) -> None:
    counter.desk.station.admission.zone_id = "z-gone"
    counter.desk.station.engine.note(None)

    assert not counter.desk.placed
    assert counter.desk.panel().word == "NO ZONE"


def test_what_is_said_of_a_typed_code_is_not_a_refusal(counter: Counter) -> None:
    counter.desk.mistyped(look_at("00000001"))

    assert counter.desk.panel().headline == MISTYPED.headline
    assert counter.ears.heard == [Tone.FAIL]
    assert counter.desk.board.tally.since_start.refused == 0
    assert replace(MISTYPED, cause="x").reason == "x"
