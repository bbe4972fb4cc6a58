"""From frames to answers: one pipeline, every showing once, nothing lost (DESIGN, R50)."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator
from pathlib import Path

import cv2
import pytest

from gate.admission import Admission, Code
from gate.answers import Level, Scan
from gate.decoders import Decoder
from gate.frames import Frame, Image, SourceError
from gate.pipeline import every_frame, newest_frames, run
from gate.presentation import Presentations
from gate.sources import Newest, open_source
from tests.gate.conftest import Desk
from tests.gate.pictures import qr, scene, token, write_film


class Stage:
    """Frames that the test plays by hand, on a clock that it moves."""

    def __init__(self) -> None:
        self.now = 100.0
        self._frames: asyncio.Queue[Frame | None] = asyncio.Queue()

    def show(self, *texts: str) -> None:
        image = scene(*(qr(text, box=5) for text in texts))
        self._frames.put_nowait(Frame(0, self.now, image))

    def end(self) -> None:
        self._frames.put_nowait(None)

    async def frames(self) -> AsyncIterator[Frame]:
        while (frame := await self._frames.get()) is not None:
            yield frame


@pytest.fixture
def stage() -> Stage:
    return Stage()


@contextlib.asynccontextmanager
async def scanning(
    stage: Stage, admission: Admission, keyed: asyncio.Queue[Code] | None = None
) -> AsyncIterator[AsyncGenerator[Scan]]:
    scans = run(
        stage.frames(),
        Decoder(),
        Presentations(),
        admission,
        keyed=keyed,
        clock=lambda: stage.now,
    )
    async with contextlib.aclosing(scans):
        yield scans


async def take(scans: AsyncIterator[Scan], count: int) -> list[tuple[int, str]]:
    """The next scans as (number, word)."""
    async with asyncio.timeout(5):
        return [
            (scan.number, scan.answer.word) for scan in [await anext(scans) for _ in range(count)]
        ]


async def test_a_showing_is_checked_and_answered(stage: Stage, desk: Desk) -> None:
    async with scanning(stage, desk.admission) as scans:
        stage.show(token(1))

        assert await take(scans, 2) == [(1, "CHECKING"), (1, "PASS")]


async def test_a_ticket_that_is_held_is_asked_about_once(stage: Stage, desk: Desk) -> None:
    async with scanning(stage, desk.admission) as scans:
        for _ in range(10):
            stage.show(token(1))
            stage.now += 0.5
        stage.end()

        assert [scan.answer.word async for scan in scans] == ["CHECKING", "PASS"]
    assert len(desk.park.ops) == 1


async def test_tickets_of_one_picture_are_one_group(stage: Stage, desk: Desk) -> None:
    async with scanning(stage, desk.admission) as scans:
        stage.show(token(1), token(2))
        stage.now += 0.2
        stage.show(token(1), token(2), token(3))
        stage.now += 1.0
        stage.show(token(4))
        stage.end()
        found = {scan.number: scan.together async for scan in scans}

    assert found == {1: 1, 2: 1, 3: 1, 4: 2}


async def test_the_end_of_the_frames_waits_for_the_answers(stage: Stage, desk: Desk) -> None:
    desk.park.slow = asyncio.Event()
    async with scanning(stage, desk.admission) as scans:
        stage.show(token(1))
        stage.end()
        assert (await anext(scans)).answer.level is Level.CHECKING
        desk.park.slow.set()

        assert [scan.answer.word async for scan in scans] == ["PASS"]


async def test_R50_an_answer_while_the_ticket_is_still_shown_counts(
    stage: Stage, desk: Desk
) -> None:
    desk.park.away = True
    async with scanning(stage, desk.admission) as scans:
        stage.show(token(1))
        assert await take(scans, 2) == [(1, "CHECKING"), (1, "OFFLINE")]

        desk.park.away = False

        assert await take(scans, 1) == [(1, "PASS")]
    assert desk.park.not_admitted == []


async def test_R50_an_answer_after_the_guest_has_gone_is_late_and_annulled(
    stage: Stage, desk: Desk
) -> None:
    desk.park.lose = True
    async with scanning(stage, desk.admission) as scans:
        stage.show(token(1))
        assert await take(scans, 2) == [(1, "CHECKING"), (1, "OFFLINE")]
        stage.now += 2.0
        desk.park.lose = False

        async with asyncio.timeout(5):
            scan = await anext(scans)
            assert (scan.number, scan.answer.level) == (1, Level.LATE)
            assert "Call the supervisor" in scan.answer.detail_en
            await desk.park.annulled.wait()
    (redemption,) = {op["op_id"] for op in desk.park.ops}
    assert desk.park.not_admitted == [redemption]


async def test_a_ticket_shown_again_before_the_answer_takes_the_operation_over(
    stage: Stage, desk: Desk
) -> None:
    desk.park.away = True
    async with scanning(stage, desk.admission) as scans:
        stage.show(token(1))
        assert await take(scans, 2) == [(1, "CHECKING"), (1, "OFFLINE")]
        stage.now += 3.0
        stage.show(token(1))
        assert await take(scans, 2) == [(2, "CHECKING"), (2, "OFFLINE")]
        desk.park.away = False

        assert await take(scans, 1) == [(2, "PASS")]
    assert len({op["op_id"] for op in desk.park.ops}) == 1
    assert desk.park.not_admitted == []


async def test_a_code_from_a_hand_scanner_goes_the_same_way(stage: Stage, desk: Desk) -> None:
    keyed: asyncio.Queue[Code] = asyncio.Queue()
    async with scanning(stage, desk.admission, keyed) as scans:
        keyed.put_nowait(Code(token(1), keyed=True))
        keyed.put_nowait(Code(token(1), keyed=True))  # it sends on while the ticket lies there
        stage.show(token(1))  # and the camera sees it too

        assert await take(scans, 2) == [(1, "CHECKING"), (1, "PASS")]
        stage.now += 5.0
        keyed.put_nowait(Code(token(1), keyed=True))
        assert await take(scans, 2) == [(2, "CHECKING"), (2, "NO")]


async def test_a_code_typed_twice_is_meant_twice(stage: Stage, desk: Desk) -> None:
    keyed: asyncio.Queue[Code] = asyncio.Queue()
    async with scanning(stage, desk.admission, keyed) as scans:
        for _ in range(2):
            keyed.put_nowait(Code("00000000", typed=True))

        assert sorted(await take(scans, 4)) == [
            (1, "CHECKING"),
            (1, "PASS"),
            (2, "CHECKING"),
            (2, "NO"),
        ]


async def test_operations_of_an_earlier_run_are_answered_as_late(stage: Stage, desk: Desk) -> None:
    desk.park.away = True
    await desk.admission.admit(Code(token(1)))
    desk.park.away = False

    async with scanning(stage, desk.admission) as scans:
        assert await take(scans, 1) == [(1, "LATE")]


# --- files ------------------------------------------------------------------------------


def clip(tmp_path: Path) -> Path:
    """Two tickets, each for half a second, and the first one again after three seconds."""
    first, second = scene(qr(token(1))), scene(qr(token(2)))
    pictures: list[Image] = [first] * 5 + [second] * 5 + [scene()] * 22 + [first] * 5
    return write_film(tmp_path / "clip.avi", pictures, fps=10)


async def test_a_film_is_read_to_its_end_at_any_speed(tmp_path: Path, desk: Desk) -> None:
    frames = every_frame(open_source(str(clip(tmp_path))))

    scans = run(frames, Decoder(), Presentations(), desk.admission)
    words = {scan.number: scan.answer.word async for scan in scans}

    assert words == {1: "PASS", 2: "PASS", 3: "NO"}


async def test_a_film_in_front_of_a_screen_plays_at_its_own_rate(
    tmp_path: Path, desk: Desk
) -> None:
    newest = Newest(open_source(str(clip(tmp_path))))
    started = asyncio.get_running_loop().time()
    try:
        frames = newest_frames(newest)
        scans = run(frames, Decoder(), Presentations(), desk.admission, clock=newest._clock)
        words = {scan.number: scan.answer.word async for scan in scans}
    finally:
        newest.close()

    assert words == {1: "PASS", 2: "PASS", 3: "NO"}
    assert asyncio.get_running_loop().time() - started >= 3.5


async def test_a_damaged_picture_ends_the_run_after_the_answers(tmp_path: Path, desk: Desk) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), scene(qr(token(1))))
    (tmp_path / "b.png").write_bytes(b"broken")
    frames = every_frame(open_source(str(tmp_path)))
    scans = run(frames, Decoder(stills=True), Presentations(), desk.admission)

    assert await take(scans, 2) == [(1, "CHECKING"), (1, "PASS")]
    with pytest.raises(SourceError, match=r"b\.png cannot be read"):
        await anext(scans)
