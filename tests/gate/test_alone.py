"""R33, R50, R51: what the gate does without the server, writes down, and is told about it later."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from gate.admission import Admission, Code, Verdict
from gate.allowlist import AllowList
from gate.answers import Answer, Level, Scan
from gate.deciding import Judge
from gate.decoders import Decoder
from gate.frames import Frame
from gate.ledger import Ledger
from gate.pipeline import run
from gate.presentation import Presentations
from playpark.client import ApiClient
from playpark.contracts.sync import OpKind
from playpark.contracts.tickets import Direction, OccupancyView
from playpark.device import DeviceStore, SyncEngine
from playpark.errors import ErrorCode, PlayParkError
from tests.gate.lists import allowed, fill, told
from tests.gate.park import SNAPSHOT, URL, Park
from tests.gate.pictures import token

FIRST, SECOND = Code(token(1)), Code(token(2))


@dataclass
class Desk:
    """An admission that can decide by itself, with its engine at work in the background."""

    park: Park
    store: DeviceStore
    own: AllowList
    judge: Judge
    engine: SyncEngine
    admission: Admission

    async def admit(self, code: Code) -> Verdict:
        return await self.admission.admit(code)

    async def away(self, code: Code) -> Verdict:
        """The verdict with the server gone."""
        self.park.away = True
        return await self.admit(code)

    async def told_later(self, verdict: Verdict) -> Answer | None:
        """What comes of it with the server back."""
        assert verdict.pending is not None
        coming = self.admission.answered(verdict.pending)
        self.park.away = self.park.lose = False
        self.engine.wake()
        return await asyncio.wait_for(asyncio.shield(coming), 5)

    async def sent(self) -> None:
        """Wait until the outbox is empty."""
        self.park.away = False
        self.engine.wake()
        async with asyncio.timeout(5):
            while self.store.queued_count():  # noqa: ASYNC110 - there is no event for it
                await asyncio.sleep(0.005)


@contextlib.asynccontextmanager
async def working(park: Park, store: DeviceStore, own: AllowList) -> AsyncIterator[Desk]:
    async with ApiClient(URL, transport=park.transport) as client:
        engine = SyncEngine(store, client, park.clock, idle=0.02, jitter=lambda: 0.02)
        judge = Judge(store, own, Ledger())
        judge.load(park.clock.now())
        admission = Admission(
            store, engine, park.clock, zone_id="z-ball", deadline=0.3, judge=judge
        )
        task = asyncio.create_task(engine.run_forever())
        try:
            while not engine.online and not park.away:  # noqa: ASYNC110 - there is no event for it
                await asyncio.sleep(0.005)
            yield Desk(park, store, own, judge, engine, admission)
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task


@pytest.fixture
def own(store: DeviceStore) -> Iterator[AllowList]:
    opened = AllowList(store.folder / "allowlist.db")
    fill(opened, told(allowed(FIRST.text), allowed(SECOND.text)))
    yield opened
    opened.close()


@pytest.fixture
async def desk(park: Park, store: DeviceStore, own: AllowList) -> AsyncIterator[Desk]:
    async with working(park, store, own) as running:
        yield running


def written(desk: Desk) -> list[tuple[str | None, str | None, bool]]:
    """(result, reason, committed) of what waits in the outbox."""
    return [
        (op.local.result if op.local else None, op.local.reason if op.local else None, op.committed)
        for op in desk.store.pending()
    ]


# --- deciding ---------------------------------------------------------------------------------


async def test_R33_a_listed_ticket_is_admitted_and_it_is_written_down_first(desk: Desk) -> None:
    verdict = await desk.away(FIRST)

    answer = verdict.answer
    assert (answer.level, answer.word, answer.headline) == (Level.PASS, "PASS", "WELCOME")
    assert answer.local
    (op,) = desk.store.pending()
    assert (op.op_id, op.op_id) == (verdict.op_id, verdict.pending)
    assert written(desk) == [("pass", None, True)]
    assert op.local is not None
    assert op.local.at == desk.park.clock.now()


async def test_with_the_server_there_the_list_is_not_asked(desk: Desk) -> None:
    fill(desk.own, told(version=2))

    verdict = await desk.admit(FIRST)

    assert (verdict.answer.level, verdict.answer.local) == (Level.PASS, False)
    assert [op["committed"] for op in desk.park.ops] == [False]


async def test_R33_the_server_gets_the_same_operation_with_what_happened(desk: Desk) -> None:
    verdict = await desk.away(FIRST)

    assert await desk.told_later(verdict) is None

    (op,) = desk.park.ops
    assert (op["op_id"], op["committed"], op["local"]["result"]) == (verdict.op_id, True, "pass")


async def test_R33_who_was_let_in_stays_in_and_the_supervisor_is_told(desk: Desk) -> None:
    desk.park.spent.add(FIRST.text)  # at another gate, meanwhile
    verdict = await desk.away(FIRST)
    assert verdict.answer.level is Level.PASS

    late = await desk.told_later(verdict)

    assert late is not None
    assert late.level is Level.LATE
    assert "ALREADY USED" in late.detail_en
    assert "The guest is inside" in late.detail_en


async def test_R50_who_was_refused_has_lost_nothing_and_may_show_it_again(desk: Desk) -> None:
    fill(desk.own, told(version=2))  # the ticket is newer than the list
    desk.park.lose = True
    verdict = await desk.admit(FIRST)
    assert (verdict.answer.level, verdict.answer.headline) == (Level.FAIL, "NOT ON LIST")
    assert desk.park.spent == {FIRST.text}  # the server had let the guest in

    late = await desk.told_later(verdict)

    assert late is not None
    assert late.level is Level.LATE
    assert "show it again" in late.detail_en
    await desk.sent()
    assert desk.park.not_admitted == [verdict.op_id]
    assert desk.park.ops[-1]["local"]["reason"] == "unknown_ticket"


async def test_a_second_showing_finds_the_ticket_used_here(desk: Desk) -> None:
    first = await desk.away(FIRST)
    desk.park.clock.advance(timedelta(minutes=1))

    second = await desk.away(FIRST)

    assert second.op_id != first.op_id
    assert (second.answer.level, second.answer.headline) == (Level.FAIL, "ALREADY USED")
    assert "already used at 15:42" in second.answer.detail_en
    assert written(desk) == [("pass", None, True), ("fail", "duplicate_use", True)]


async def test_an_entry_that_the_server_let_in_counts_without_it_too(desk: Desk) -> None:
    """The list is of before: the gate knows better."""
    await desk.admit(FIRST)
    desk.park.clock.advance(timedelta(minutes=1))

    assert (await desk.away(FIRST)).answer.headline == "ALREADY USED"


async def test_R33_a_restart_between_two_showings_admits_once(
    park: Park, store: DeviceStore, own: AllowList
) -> None:
    async with working(park, store, own) as before:
        assert (await before.away(FIRST)).answer.level is Level.PASS
    park.clock.advance(timedelta(minutes=1))

    async with working(park, store, own) as after:
        assert (await after.away(FIRST)).answer.headline == "ALREADY USED"


async def test_R51_two_guests_do_not_both_get_the_last_place(desk: Desk) -> None:
    zone = SNAPSHOT.zones[0].model_copy(update={"capacity": 1})
    nobody = OccupancyView(zone_id="z-ball", name="", inside=0, capacity=1, entries=0, exits=0)
    listed = [allowed(token(number)) for number in range(1, 9)]
    fill(desk.own, told(*listed, zones=[zone], occupancy=[nobody], version=2))
    desk.judge.refreshed(desk.park.clock.now())
    desk.park.away = True

    verdicts = await asyncio.gather(*(desk.admit(Code(token(number))) for number in range(1, 9)))

    words = sorted(verdict.answer.headline for verdict in verdicts)
    assert words == ["WELCOME"] + ["ZONE FULL"] * 7


@pytest.mark.parametrize(
    "unable",
    ["none", "old", "typed", "zone"],
)
async def test_what_the_list_cannot_tell_waits_for_the_server(desk: Desk, unable: str) -> None:
    code = FIRST
    if unable == "none":
        desk.own.throw_away()
    elif unable == "old":
        desk.park.clock.advance(timedelta(hours=24, seconds=1))
    elif unable == "typed":
        code = Code("0000-0000", typed=True)
    else:
        desk.admission.zone_id = "z-gone"

    verdict = await desk.away(code)

    assert verdict.answer.level is Level.OFFLINE
    assert written(desk) == [(None, None, False)]
    late = await desk.told_later(verdict)
    assert late is not None
    assert late.level is Level.PASS  # for the pipeline to show, or to tell as LATE


async def test_R38_a_suspended_gate_admits_nobody_by_its_list_and_not_unplugged_either(
    desk: Desk,
) -> None:
    desk.park.error = (403, "E_DEVICE_SUSPENDED", "This device is suspended.")
    verdict = await desk.admit(FIRST)
    assert (verdict.answer.level, verdict.answer.headline) == (Level.OFFLINE, "NOT READY")

    desk.park.error = None
    assert (await desk.away(SECOND)).answer.level is Level.OFFLINE
    assert written(desk) == [(None, None, False)] * 2


@pytest.mark.parametrize(
    ("status", "code"), [(503, "E_UNAVAILABLE"), (429, "E_RATE_LIMITED"), (500, "E_INTERNAL")]
)
async def test_R37_a_server_that_cannot_answer_now_is_one_that_does_not_answer(
    desk: Desk, status: int, code: str
) -> None:
    desk.park.error = (status, code, "Try again.")

    assert (await desk.admit(FIRST)).answer.level is Level.PASS
    assert written(desk) == [("pass", None, True)]


@pytest.mark.parametrize("text", ["https://example.com", "PPT.A1.X"], ids=["foreign", "training"])
async def test_R20_what_is_no_ticket_is_refused_and_recorded(desk: Desk, text: str) -> None:
    verdict = await desk.away(Code(text))

    assert verdict.answer.level is Level.FAIL
    reason = "training" if text.startswith("PPT") else "invalid_sig"
    assert written(desk) == [("fail", reason, True)]


async def test_R51_an_exit_is_let_out_and_counted(desk: Desk) -> None:
    desk.admission.direction = Direction.EXIT

    verdict = await desk.away(Code(token(77)))

    assert (verdict.answer.level, verdict.answer.headline) == (Level.PASS, "GOODBYE")
    assert written(desk) == [("pass", None, True)]
    assert verdict.pending is None


# --- when the answer comes in between ---------------------------------------------------------


async def test_an_answer_that_comes_while_the_list_is_read_is_the_answer(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    meanwhile(desk, monkeypatch, desk.judge, "judge", before=True)
    desk.park.slow = asyncio.Event()

    verdict = await desk.admit(FIRST)

    assert (verdict.answer.level, verdict.answer.local) == (Level.PASS, False)
    assert desk.store.queued_count() == 0
    (op,) = desk.park.ops
    assert op["committed"] is False


@pytest.mark.parametrize("before", [True, False], ids=["just before", "just after"])
async def test_what_is_written_down_stands_when_the_answer_comes_beside_it(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, *, before: bool
) -> None:
    desk.park.spent.add(FIRST.text)
    meanwhile(desk, monkeypatch, desk.store, "record_local", before=before)
    desk.park.slow = asyncio.Event()

    verdict = await desk.admit(FIRST)

    assert (verdict.answer.level, verdict.answer.local) == (Level.PASS, True)
    late = await desk.told_later(verdict)
    assert late is not None
    assert late.level is Level.LATE
    await desk.sent()
    assert desk.park.ops[-1]["local"]["result"] == "pass"
    assert len({op["op_id"] for op in desk.park.ops}) == 1


def meanwhile(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, what: Any, name: str, *, before: bool
) -> None:
    """Let the server's answer arrive while `what.name` runs in its thread."""
    loop, does = asyncio.get_running_loop(), getattr(what, name)
    heard = asyncio.Event()
    desk.engine.listen(lambda *_: heard.set())

    async def answer() -> None:
        assert desk.park.slow is not None
        desk.park.slow.set()
        await asyncio.wait_for(heard.wait(), 5)

    def stalled(*args: Any, **more: Any) -> Any:
        wait: Callable[[], Coroutine[Any, Any, None]] = answer
        if before:
            asyncio.run_coroutine_threadsafe(wait(), loop).result(10)
        found = does(*args, **more)
        if not before:
            asyncio.run_coroutine_threadsafe(wait(), loop).result(10)
        return found

    monkeypatch.setattr(what, name, stalled)


async def test_a_full_disk_admits_nobody(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise PlayParkError(ErrorCode.UNAVAILABLE, "The disk is full: nothing was recorded.")

    monkeypatch.setattr(desk.store, "record_local", full)

    answer = (await desk.away(FIRST)).answer

    assert answer.level is Level.FAIL
    assert "disk is full" in answer.detail_en


async def test_a_new_run_is_told_where_the_server_says_otherwise(
    park: Park, store: DeviceStore, own: AllowList
) -> None:
    async with working(park, store, own) as before:
        await before.away(FIRST)
        await before.away(SECOND)
    park.spent.add(FIRST.text)

    async with working(park, store, own) as after:
        found = after.admission.left_over()
        coming = [after.admission.answered(op_id) for op_id, _ in found]
        await after.sent()
        answers = [await asyncio.wait_for(each, 5) for each in coming]

    assert [code for _, code in found] == [FIRST, SECOND]
    assert [answer.level if answer else None for answer in answers] == [Level.LATE, None]


# --- on the screen ----------------------------------------------------------------------------


async def no_frames() -> AsyncIterator[Frame]:
    for frame in tuple[Frame, ...]():
        yield frame


@contextlib.asynccontextmanager
async def scanning(desk: Desk) -> AsyncIterator[tuple[asyncio.Queue[Code], AsyncGenerator[Scan]]]:
    keyed: asyncio.Queue[Code] = asyncio.Queue()
    parts = (Decoder(), Presentations(), desk.admission)
    scans = run(no_frames(), *parts, keyed=keyed, clock=lambda: 100.0)
    async with contextlib.aclosing(scans):
        yield keyed, scans


async def words(scans: AsyncIterator[Scan], count: int) -> list[tuple[int, str]]:
    async with asyncio.timeout(5):
        return [
            (scan.number, scan.answer.word) for scan in [await anext(scans) for _ in range(count)]
        ]


async def test_R33_an_agreement_is_not_told_and_a_difference_is_even_while_it_is_shown(
    desk: Desk,
) -> None:
    """A NO that was said and written down never becomes a PASS before the guest's eyes."""
    fill(desk.own, told(allowed(SECOND.text), version=2))
    desk.park.away = True
    async with scanning(desk) as (keyed, scans):
        for code in (SECOND, FIRST):
            keyed.put_nowait(code)
        said = await words(scans, 4)
        assert sorted(said) == [(1, "CHECKING"), (1, "PASS"), (2, "CHECKING"), (2, "NO")]
        await desk.sent()

        late = await words(scans, 1)

    assert late == [(2, "LATE")]
    assert desk.park.not_admitted == [desk.park.ops[-1]["op_id"]]


# --- annulling --------------------------------------------------------------------------------


async def annul(desk: Desk, verdict: Verdict) -> Answer:
    assert verdict.op_id is not None
    return await desk.admission.annul(verdict.op_id)


async def test_R50_an_entry_is_taken_back_and_the_ticket_admits_again(desk: Desk) -> None:
    verdict = await desk.admit(FIRST)

    answer = await annul(desk, verdict)

    assert answer.word == "ANNULLED"
    op = desk.park.ops[-1]
    assert (op["kind"], op["body"]["op_id"]) == ("annul", verdict.op_id)
    assert op["committed"] is False
    assert (await desk.admit(FIRST)).answer.level is Level.PASS


async def test_R50_without_the_server_it_is_taken_back_here_and_sent_behind_the_entry(
    desk: Desk,
) -> None:
    verdict = await desk.away(FIRST)

    answer = await annul(desk, verdict)

    assert (answer.word, answer.headline) == ("ANNULLED", "SENT LATER")
    again = await desk.away(FIRST)
    assert again.answer.level is Level.PASS  # within the anti-passback too: nobody went in
    await desk.sent()
    kinds = [(op["kind"], op["committed"]) for op in desk.park.ops]
    assert kinds == [("redemption", True), ("annul", True), ("redemption", True)]
    assert desk.park.ops[1]["local"]["at"] is not None


async def test_R50_an_annulled_entry_stays_annulled_after_its_answer_and_a_restart(
    park: Park, store: DeviceStore, own: AllowList
) -> None:
    async with working(park, store, own) as desk:
        await annul(desk, await desk.away(FIRST))
        await desk.sent()
        assert (await desk.away(FIRST)).answer.level is Level.PASS
        (again,) = store.pending()
        await annul(desk, Verdict(Answer(Level.PASS, "", "", "", ""), op_id=again.op_id))

    async with working(park, store, own) as desk:
        assert (await desk.away(FIRST)).answer.level is Level.PASS


async def test_R50_after_a_quarter_of_an_hour_it_stands(desk: Desk) -> None:
    first, second = await desk.admit(FIRST), await desk.away(SECOND)
    desk.park.clock.advance(timedelta(minutes=15))
    assert (await annul(desk, first)).word == "ANNULLED"
    desk.park.clock.advance(timedelta(seconds=1))

    answer = await annul(desk, second)

    assert "more than 15 minutes old" in answer.detail_en
    assert len(desk.store.recent([OpKind.ANNUL], 9)) == 1


@pytest.mark.parametrize("away", [True, False], ids=["alone", "online"])
async def test_R50_it_is_taken_back_once(desk: Desk, *, away: bool) -> None:
    desk.park.away = away
    verdict = await desk.admit(FIRST)
    await annul(desk, verdict)

    answer = await annul(desk, verdict)

    assert "annulled already" in answer.detail_en
    assert len(desk.store.recent([OpKind.ANNUL], 9)) == 1


async def test_R50_a_key_that_is_pressed_twice_annuls_once(desk: Desk) -> None:
    verdict = await desk.admit(FIRST)

    answers = await asyncio.gather(annul(desk, verdict), annul(desk, verdict))

    assert sorted(answer.word for answer in answers) == ["ANNULLED", "NOT DONE"]
    assert len(desk.store.recent([OpKind.ANNUL], 9)) == 1


@pytest.mark.parametrize("what", ["refused", "exit", "waiting", "unknown", "annulment"])
async def test_R50_only_an_entry_is_taken_back(desk: Desk, what: str) -> None:
    op_id = "01K9ZZZZZZZZZZZZZZZZZZ9999"
    if what == "refused":
        op_id = str((await desk.away(Code(token(9)))).op_id)
    elif what == "exit":
        desk.admission.direction = Direction.EXIT
        op_id = str((await desk.away(FIRST)).op_id)
    elif what == "waiting":
        op_id = str((await desk.away(Code("0000-0000", typed=True))).op_id)
    elif what == "annulment":
        await annul(desk, await desk.away(FIRST))
        op_id = desk.store.recent([OpKind.ANNUL], 1)[0].op_id
    before = len(desk.store.recent([OpKind.ANNUL], 9))

    answer = await desk.admission.annul(op_id)

    assert answer.word == "NOT DONE"
    assert len(desk.store.recent([OpKind.ANNUL], 9)) == before


async def test_R50_what_the_server_does_not_take_back_stands_here_too(desk: Desk) -> None:
    verdict = await desk.admit(FIRST)
    desk.park.rejects = "This entry is more than 15 minutes old: send the guest to the counter."

    answer = await annul(desk, verdict)

    assert answer.word == "NOT DONE"
    assert "send the guest to the counter" in answer.detail_en
    desk.park.clock.advance(timedelta(minutes=1))
    assert (await desk.away(FIRST)).answer.headline == "ALREADY USED"
