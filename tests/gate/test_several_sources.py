"""Several cameras at one gate, what their drivers really give, and films without end."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import cv2
import pytest

from gate.decoders import Decoder
from gate.frames import Frame, SourceError
from gate.pipeline import newest_frames, run
from gate.presentation import Presentations
from gate.sources import Camera, Newest, Several, open_inputs, open_source
from gate.sources.cameras import WANTED, Format, open_camera
from tests.gate.conftest import Desk
from tests.gate.pictures import Plug, qr, scene, shade, token, write_film


def until(done: Callable[[], bool], seconds: float = 5.0) -> bool:
    end = time.monotonic() + seconds
    while not done():
        if time.monotonic() > end:
            return False
        time.sleep(0.005)
    return True


class Showing(Plug):
    """A camera that sees a ticket from its tenth picture on."""

    def read(self) -> tuple[bool, object]:
        there, _ = super().read()
        return there, scene(qr(token(1))) if self.reads > 10 else scene()


# --- several cameras --------------------------------------------------------------------


@contextlib.contextmanager
def cameras(*plugs: Plug) -> Iterator[Newest]:
    found = [Camera(n, opener=plug.open, required=False) for n, plug in enumerate(plugs)]
    newest = Newest(Several(found))
    try:
        yield newest
    finally:
        newest.close()


def seen(newest: Newest, count: int) -> list[Frame]:
    found = []
    while len(found) < count and (frame := newest.latest(2.0)):
        found.append(frame)
    return found


def test_each_camera_gets_its_turn_and_its_name() -> None:
    with cameras(Plug(), Plug(pause=0.01)) as newest:
        names = [frame.source for frame in seen(newest, 40)]

    assert set(names) == {"camera 0", "camera 1"}


def test_a_camera_that_is_unplugged_stops_no_other_and_is_named() -> None:
    left, right = Plug(), Plug()
    with cameras(left, right) as newest:
        right.plugged = False

        assert until(lambda: len(newest.faults) == 1)
        assert newest.faults[0].startswith("Camera 1 is not there")
        assert newest.fault is None  # there is a picture
        assert {frame.source for frame in seen(newest, 20)[5:]} == {"camera 0"}

        right.plugged = True
        assert until(lambda: newest.faults == [])
        assert "camera 1" in {frame.source for frame in seen(newest, 20)}

        left.plugged = right.plugged = False
        assert until(lambda: newest.fault is not None)
        assert "Camera 0" in str(newest.fault)
        assert "Camera 1" in str(newest.fault)


def test_a_camera_that_is_missing_at_the_start_comes_when_it_is_plugged_in() -> None:
    left, right = Plug(), Plug()
    right.plugged = False
    with cameras(left, right) as newest:
        assert seen(newest, 1)[0].source == "camera 0"

        right.plugged = True

        assert until(lambda: newest.faults == [])
        assert "camera 1" in {frame.source for frame in seen(newest, 20)}


async def test_a_ticket_that_two_cameras_see_is_shown_once(desk: Desk) -> None:
    looked: list[str] = []

    async def watched(newest: Newest) -> AsyncIterator[Frame]:
        async for frame in newest_frames(newest):
            looked.append(frame.source)
            yield frame

    with cameras(Showing(), Showing()) as newest:
        scans = run(
            watched(newest), Decoder(), Presentations(), desk.admission, clock=time.monotonic
        )
        async with contextlib.aclosing(scans), asyncio.timeout(10):
            first, answered = await anext(scans), await anext(scans)
            looked.clear()
            while min(map(looked.count, ("camera 0", "camera 1"))) < 5:  # noqa: ASYNC110
                await asyncio.sleep(0.01)

    assert answered.answer.word == "PASS"
    assert first.source in {"camera 0", "camera 1"}
    assert answered.latency is not None
    assert 0 < answered.latency < 5
    assert len(desk.park.ops) == 1


def test_without_any_camera_the_gate_says_which_are_missing() -> None:
    with pytest.raises(SourceError, match=r"Camera 96 is not there.*Camera 97 is not there"):
        open_inputs(["96", "97"])


@pytest.mark.parametrize(
    ("names", "says"),
    [
        (["0", "0"], "--source 0 is given twice"),
        (["a/film.avi", "b/film.avi"], "Two sources are called film.avi"),
        (["96", "missing.avi"], "missing.avi is not there"),
    ],
)
def test_sources_that_cannot_be_told_apart_or_found_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, names: list[str], says: str
) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        write_film(tmp_path / folder / "film.avi", [shade(8)])
    monkeypatch.chdir(tmp_path)

    with pytest.raises(SourceError, match=says):
        open_inputs(names)


def test_a_camera_may_be_named_by_its_path() -> None:
    with pytest.raises(SourceError, match="Camera usb-Nobody-index0 is not there"):
        open_source("/dev/v4l/by-id/usb-Nobody-index0")


def test_a_camera_that_the_account_may_not_use_says_how_to_change_that(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plug = Plug()
    plug.plugged = False
    device = tmp_path / "video0"
    device.touch()
    monkeypatch.setattr("os.access", lambda *_: False)  # the tests may run as root

    with pytest.raises(SourceError) as refused:
        Camera(str(device), opener=plug.open)

    assert "usermod -aG video" in str(refused.value)


# --- what the driver gives --------------------------------------------------------------


class Driver:
    """Stands in for cv2.VideoCapture: takes what it is asked for, as far as it can."""

    def __init__(self, best: Format) -> None:
        self.best = best
        self.asked: list[int] = []

    def __call__(self, *_: int) -> "Driver":
        return self

    def isOpened(self) -> bool:
        return True

    def set(self, prop: int, _: float) -> bool:
        self.asked.append(prop)
        return True

    def get(self, prop: int, /) -> float:
        return Plug(gives=self.best).get(prop)

    def read(self) -> tuple[bool, object]:
        return True, shade(8)

    def release(self) -> None:
        pass


def test_a_camera_is_asked_for_one_format_and_the_shortest_queue(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    driver = Driver(WANTED)
    monkeypatch.setattr("cv2.VideoCapture", driver)

    camera = Camera(0, opener=open_camera)

    assert driver.asked[0] == cv2.CAP_PROP_FOURCC  # a driver's sizes depend on the coding
    assert {cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT, cv2.CAP_PROP_FPS} < set(
        driver.asked
    )
    assert driver.asked[-1] == cv2.CAP_PROP_BUFFERSIZE
    assert camera.note is None


@pytest.mark.parametrize(
    ("best", "says"),
    [
        (Format(640, 480, "YUYV", 30), "gives 640x480 YUYV at 30 a second, not 1280x720 MJPG"),
        (Format(1280, 720, "YUYV", 10), "gives 1280x720 YUYV at 10 a second"),
        (Format(1920, 1080, "MJPG", 30), None),
        (Format(1280, 720, "MJPG", 0), None),  # a driver that does not know its rate
    ],
)
def test_what_the_driver_really_gives_is_said_where_it_is_less(
    best: Format, says: str | None
) -> None:
    camera = Camera(0, opener=Plug(gives=best).open)

    if says is None:
        assert camera.note is None
    else:
        assert says in str(camera.note)
        assert str(camera.note).startswith("The camera 0")


# --- films without end ------------------------------------------------------------------


def test_a_looped_film_begins_again_on_one_time_line(tmp_path: Path) -> None:
    write_film(tmp_path / "film.avi", [shade(n * 8) for n in range(10)], fps=10)
    source = open_source(str(tmp_path / "film.avi"), loop=True)

    frames = [frame for _, frame in zip(range(35), source.frames(), strict=False)]

    assert [frame.number for frame in frames] == list(range(35))
    assert [frame.at for frame in frames] == pytest.approx([n / 10 for n in range(35)])
    assert [round(float(frame.image.mean()) / 8) for frame in frames] == [*range(10)] * 3 + [
        *range(5)
    ]


def test_a_looped_film_that_is_emptied_ends_with_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_film(tmp_path / "film.avi", [shade(8)], fps=10)
    source = open_source(str(tmp_path / "film.avi"), loop=True)
    frames = source.frames()
    next(frames)
    monkeypatch.setattr(type(source), "_images", lambda _: iter(()))

    with pytest.raises(SourceError, match="cannot be read"):
        list(frames)


def test_a_looped_folder_begins_again_and_ends_when_closed(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), shade(8))
    source = open_source(str(tmp_path), loop=True)
    numbers = []

    for frame in source.frames():
        numbers.append(frame.number)
        if frame.number == 5:
            source.close()

    assert numbers == list(range(6))


def test_several_films_are_merged_by_their_time_and_a_broken_one_ends_alone(
    tmp_path: Path,
) -> None:
    write_film(tmp_path / "slow.avi", [shade(8)] * 20, fps=5)
    write_film(tmp_path / "quick.avi", [shade(8)] * 50, fps=10)
    broken = write_film(tmp_path / "broken.avi", [shade(8)] * 40, fps=10)
    whole = broken.read_bytes()
    broken.write_bytes(whole[: len(whole) // 2])
    source = open_inputs([str(tmp_path / f"{n}.avi") for n in ("slow", "quick", "broken")]).frames
    assert source is not None
    frames: list[Frame] = []

    with pytest.raises(SourceError, match=r"broken\.avi is damaged"):
        frames.extend(source.frames())

    times = [frame.at for frame in frames]
    assert times == sorted(times)
    assert sum(frame.source == "slow.avi" for frame in frames) == 20
    assert sum(frame.source == "quick.avi" for frame in frames) == 50
