"""Real files and cameras that fail: every frame in order, the newest only, one clear sentence."""

import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from gate.frames import Frame, SourceError
from gate.sources import Camera, Newest, open_source
from tests.gate.pictures import Plug, qr, scene, shade, token, write_film


@pytest.fixture
def film(tmp_path: Path) -> Path:
    return write_film(tmp_path / "film.avi", [shade(n * 8) for n in range(30)])


def brightness(frames: list[Frame]) -> list[int]:
    return [round(float(frame.image.mean()) / 8) for frame in frames]


def test_a_film_delivers_every_frame_in_order_with_its_time(film: Path) -> None:
    source = open_source(str(film))

    frames = list(source.frames())

    assert brightness(frames) == list(range(30))
    assert [frame.number for frame in frames] == list(range(30))
    assert frames[15].at == pytest.approx(1.0)


def test_a_folder_delivers_its_pictures_by_name(tmp_path: Path) -> None:
    for name, level in (("b.png", 16), ("a.jpg", 8), ("c.webp", 24)):
        cv2.imwrite(str(tmp_path / name), shade(level))
    (tmp_path / "notes.txt").write_text("no picture")

    source = open_source(str(tmp_path))

    assert brightness(list(source.frames())) == [1, 2, 3]
    assert source.stills


def test_one_picture_is_a_source(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "one.png"), scene(qr(token(1))))

    frames = list(open_source(str(tmp_path / "one.png")).frames())

    assert [frame.image.shape for frame in frames] == [(720, 1280, 3)]


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("nothing.avi", None, "is not there"),
        ("noise.avi", b"\x00\xff" * 5000, "cannot be read as a video"),
        ("empty.avi", b"", "cannot be read as a video"),
        ("noise.png", b"\x89PNG\r\n" + b"\x00" * 100, "cannot be read as a picture"),
        ("words.txt", b"hello", "cannot be read as a video"),
    ],
)
def test_a_bad_file_is_refused_in_one_sentence(
    tmp_path: Path, name: str, content: bytes | None, says: str
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)

    with pytest.raises(SourceError, match=says) as refused:
        open_source(str(tmp_path / name))

    assert "\n" not in str(refused.value)


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="holds no pictures"):
        open_source(str(tmp_path))


def test_a_film_that_breaks_off_delivers_what_it_has_and_says_so(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    grain = [rng.integers(0, 255, (240, 320, 3), np.uint8) for _ in range(40)]
    whole = write_film(tmp_path / "film.avi", grain)
    content = whole.read_bytes()
    whole.write_bytes(content[: len(content) // 2])
    frames: list[Frame] = []

    with pytest.raises(SourceError, match="damaged after picture"):
        frames.extend(open_source(str(whole)).frames())

    assert 15 <= len(frames) <= 25


def test_a_damaged_picture_in_a_folder_is_named(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), shade(8))
    (tmp_path / "b.png").write_bytes(b"broken")
    source = open_source(str(tmp_path))

    with pytest.raises(SourceError, match=r"b\.png cannot be read"):
        list(source.frames())


def test_a_camera_that_is_not_there_is_refused() -> None:
    with pytest.raises(SourceError, match="Camera 97 is not there: plug it in"):
        open_source("97")


# --- a camera's thread ------------------------------------------------------------------


def until(done: Callable[[], bool], seconds: float = 3.0) -> bool:
    end = time.monotonic() + seconds
    while not done():
        if time.monotonic() > end:
            return False
        time.sleep(0.005)
    return True


def test_a_slow_reader_sees_the_newest_frame() -> None:
    plug = Plug()
    newest = Newest(Camera(0, opener=plug.open))
    try:
        first = newest.latest(1.0)
        assert first is not None
        assert until(lambda: plug.reads > first.number + 20)

        second = newest.latest(1.0)

        assert second is not None
        assert second.number >= first.number + 19
        assert second.at > first.at
    finally:
        newest.close()


def test_an_unplugged_camera_is_said_and_opened_again() -> None:
    plug = Plug()
    newest = Newest(Camera(0, opener=plug.open))
    try:
        assert newest.latest(1.0) is not None
        assert newest.fault is None

        plug.plugged = False

        assert until(lambda: newest.fault is not None)
        assert "Camera 0 is not there" in str(newest.fault)

        plug.plugged = True

        assert until(lambda: newest.fault is None)
        assert newest.latest(1.0) is not None
        assert plug.opened >= 2
    finally:
        newest.close()


def test_a_camera_that_hangs_counts_as_not_there() -> None:
    now = 100.0
    newest = Newest(Camera(0, opener=Plug().open), clock=lambda: now)
    newest.close()

    now = 103.0

    assert "sends no picture" in str(newest.fault)


def test_a_film_is_played_at_its_own_rate(film: Path) -> None:
    newest = Newest(open_source(str(film)))
    started = time.monotonic()
    numbers = []
    try:
        while not newest.ended:
            if frame := newest.latest(0.5):
                numbers.append(frame.number)
    finally:
        newest.close()

    assert 1.8 <= time.monotonic() - started <= 3.0
    assert numbers == sorted(set(numbers))


def test_a_damaged_film_ends_with_a_fault_and_no_exception(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), shade(8))
    (tmp_path / "b.png").write_bytes(b"broken")
    newest = Newest(open_source(str(tmp_path)))
    try:
        assert until(lambda: newest.ended)
        assert "b.png cannot be read" in str(newest.fault)
    finally:
        newest.close()
