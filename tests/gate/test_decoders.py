"""The cascade reads what zxing-cpp reads and more; what is no ticket does no harm."""

import importlib
import os
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import zxingcpp

from demo.damage import DAMAGES, clutter, damaged
from gate.decoders import TURNS, Decoder, Reader, _darker, _mended, _smooth, _twice
from gate.frames import Frame, Image
from gate.sources import IMAGE_SUFFIXES
from playpark.tokens import parse_pp1
from tests.gate.pictures import frame, qr, scene, token

PHOTOS = Path(__file__).resolve().parents[3] / "shared" / "data" / "qr_photos"
FOLDERS = sorted(p for p in PHOTOS.iterdir() if p.is_dir()) if PHOTOS.is_dir() else []
SAMPLE = None if os.environ.get("PLAYPARK_FULL") else 40


def no_pyzbar() -> Any:
    raise ImportError("Unable to find zbar shared library")


def test_all_tickets_of_one_picture_are_read() -> None:
    image = scene(*(qr(token(n), box=5) for n in range(4)))

    assert sorted(Decoder().read(frame(image))) == sorted(token(n) for n in range(4))


def test_the_same_code_twice_in_a_picture_is_read_once() -> None:
    assert Decoder().read(frame(scene(qr(token(1)), qr(token(1))))) == [token(1)]


def test_a_grey_picture_is_read() -> None:
    assert Decoder().read(frame(qr(token(2)))) == [token(2)]


def test_nothing_is_read_from_an_empty_counter() -> None:
    assert Decoder(stills=True).read(frame(scene())) == []


@pytest.mark.parametrize("data", [b"\xff\xfe\x00\x80", b"\x00\x01\x02", "ตั๋ว".encode(), b"\x1b[2J"])
def test_a_code_that_is_no_ticket_is_text_and_no_ticket(data: bytes) -> None:
    (text,) = Decoder().read(frame(scene(qr(data))))

    assert parse_pp1(text) is None
    text.encode()  # can be sent and shown: no stray surrogate


def blurred(sigma: float, box: int = 6) -> Image:
    image = scene(qr(token(3), box=box))
    rng = np.random.default_rng(7)
    noise = rng.normal(0, 55, image.shape[:2])[:, :, None]
    soft = cv2.GaussianBlur(image, (0, 0), sigma).astype(np.float64) + noise
    return np.clip(soft, 0, 255).astype(np.uint8)


@pytest.fixture
def tried(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, ...]]:
    """The shapes of the pictures in which zxing-cpp looks in vain."""
    shapes: list[tuple[int, ...]] = []
    monkeypatch.setattr("gate.decoders._zxing", lambda image, *_: shapes.append(image.shape) or [])
    return shapes


def test_a_film_s_frames_are_treated_in_turn(tried: list[tuple[int, ...]]) -> None:
    decoder = Decoder(load_pyzbar=no_pyzbar)

    for number in (0, 2, 4):  # a slow reader may take every second frame
        decoder.read(frame(np.zeros((100, 200, 3), np.uint8), number))

    same_size, enlarged = [(100, 200)] * 3, [(100, 200), (200, 400), (100, 200)]
    assert tried == [*same_size, *enlarged, *same_size]


def test_each_of_several_cameras_takes_its_own_turns(tried: list[tuple[int, ...]]) -> None:
    decoder = Decoder(load_pyzbar=no_pyzbar)
    black = np.zeros((100, 200, 3), np.uint8)

    for number in range(2):
        for camera in ("camera 0", "camera 1"):
            decoder.read(Frame(number, float(number), black, camera))

    assert tried.count((200, 400)) == 2  # not both of one camera's frames, none of the other's
    assert tried[6:].count((200, 400)) == 2


def test_of_a_wide_picture_only_the_centre_is_enlarged(tried: list[tuple[int, ...]]) -> None:
    Decoder(stills=True, load_pyzbar=no_pyzbar).read(frame(np.zeros((720, 1920, 3), np.uint8)))

    assert tried[-2] == (720, 1920)  # twice 360 x 960


def test_a_huge_picture_is_not_enlarged(tried: list[tuple[int, ...]]) -> None:
    Decoder(stills=True, load_pyzbar=no_pyzbar).read(frame(np.zeros((3000, 4200, 3), np.uint8)))

    assert max(max(shape) for shape in tried) == 4200


def test_a_still_picture_gets_every_treatment_and_the_colours(
    tried: list[tuple[int, ...]],
) -> None:
    Decoder(stills=True, load_pyzbar=no_pyzbar).read(frame(np.zeros((100, 200, 3), np.uint8)))

    grey, enlarged = (100, 200), (200, 400)
    assert tried == [grey, (100, 200, 3), grey, grey, enlarged, grey]


def test_the_retry_reads_what_the_first_look_does_not() -> None:
    image = blurred(1.0, box=4)
    grey = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
    assert not zxingcpp.read_barcodes(grey, formats=zxingcpp.BarcodeFormat.QRCode)

    assert Decoder(stills=True, load_pyzbar=no_pyzbar).read(frame(image)) == [token(3)]


# --- pyzbar -----------------------------------------------------------------------------


class Zbar:
    """Stands in for pyzbar, whose system library is not on every machine."""

    class ZBarSymbol:
        QRCODE = 64

    def __init__(self) -> None:
        self.calls = 0

    def decode(self, _: Image, symbols: list[int]) -> list[Any]:
        assert symbols == [self.ZBarSymbol.QRCODE]
        self.calls += 1
        return [type("Code", (), {"data": b"FROM ZBAR"})()]


def test_without_pyzbar_one_line_says_so_and_the_rest_works() -> None:
    decoder = Decoder(load_pyzbar=no_pyzbar)

    assert decoder.note is not None
    assert "libzbar0" in decoder.note
    assert "\n" not in decoder.note
    assert decoder.read(frame(qr(token(1)))) == [token(1)]


def test_a_library_that_lacks_another_one_is_off_too() -> None:
    def broken() -> Any:
        raise OSError("libv4l2.so.0: cannot open shared object file")

    assert Decoder(load_pyzbar=broken).note is not None


def test_pyzbar_is_asked_last() -> None:
    zbar = Zbar()
    decoder = Decoder(load_pyzbar=lambda: zbar, budget=9.0)

    assert decoder.read(frame(qr(token(1)))) == [token(1)]
    assert zbar.calls == 0
    assert decoder.read(frame(scene())) == ["FROM ZBAR"]


def test_pyzbar_is_left_out_where_the_frame_s_budget_is_spent() -> None:
    zbar = Zbar()
    ticks = iter([0.0, 0.05])
    decoder = Decoder(load_pyzbar=lambda: zbar, budget=0.04, clock=lambda: next(ticks))

    assert decoder.read(frame(scene())) == []
    assert zbar.calls == 0


def test_a_film_is_not_slowed_by_pyzbar() -> None:
    zbar = Zbar()
    decoder = Decoder(load_pyzbar=lambda: zbar, budget=9.0)

    for number in range(100):
        decoder.read(frame(np.zeros((90, 120), np.uint8), number))

    assert zbar.calls == 4  # one of 25: not in what 95 of 100 frames take


def test_the_real_pyzbar_reads_where_it_is_installed() -> None:
    try:
        importlib.import_module("pyzbar.pyzbar")
    except (ImportError, OSError):
        assert Decoder().note is not None
        return
    decoder = Decoder()

    assert decoder.note is None
    assert decoder._last is not None
    assert decoder._last(qr(token(1))) == [token(1).encode()]


# --- photos -----------------------------------------------------------------------------


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: str(folder.name))
def test_the_cascade_is_at_least_as_good_as_zxing_alone(folder: Path) -> None:
    photos = sorted(p for p in folder.iterdir() if p.suffix in IMAGE_SUFFIXES)[:SAMPLE]
    decoder = Decoder(stills=True)

    missed, cascade = [], 0
    for photo in photos:
        image = np.asarray(cv2.imread(str(photo)), dtype=np.uint8)
        alone = zxingcpp.read_barcodes(image, formats=zxingcpp.BarcodeFormat.QRCode)
        texts = decoder.read(frame(image))
        cascade += bool(texts)
        missed += [photo.name] if alone and not texts else []

    assert missed == []
    assert cascade >= 0.9 * len(photos)


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: str(folder.name))
def test_what_is_read_from_a_photo_is_what_stands_there(folder: Path) -> None:
    photos = sorted(p for p in folder.iterdir() if p.suffix in IMAGE_SUFFIXES)[:SAMPLE]
    decoder = Decoder(stills=True)

    wrong, right = [], 0
    for photo in photos:
        expected = photo.with_suffix(".txt")
        if not expected.is_file():
            continue
        texts = decoder.read(frame(np.asarray(cv2.imread(str(photo)), dtype=np.uint8)))
        meant = expected.read_bytes().decode("utf-8", "backslashreplace").replace("\r\n", "\n")
        if texts and meant.isascii() and meant.strip():
            found = any(_same(text, meant) for text in texts)
            wrong += [] if found else [photo.name]
            right += found

    assert wrong == []
    assert right > 5


def _same(text: str, meant: str) -> bool:
    return text.replace("\r\n", "\n").strip() == meant.strip()


# --- worn prints and clutter ------------------------------------------------------------


def _read_by_policy(image: Image) -> bool:
    """The policy of PLATFORM.md: zxing-cpp, else σ 1, else twice the centre."""
    grey = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
    height, width = grey.shape
    centre = grey[height // 4 : -height // 4, width // 4 : -width // 4]
    looks = (
        lambda: grey,
        lambda: cv2.GaussianBlur(grey, (0, 0), 1.0),
        lambda: cv2.resize(centre, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC),
    )
    kind = zxingcpp.BarcodeFormat.QRCode
    return any(zxingcpp.read_barcodes(look(), formats=kind) for look in looks)


@pytest.mark.parametrize("kind", DAMAGES)
def test_worn_and_badly_held_tickets_are_read_at_least_as_well_as_by_smoothing_and_enlarging(
    kind: str,
) -> None:
    policy, ours = 0, 0
    for number in range(150 if os.environ.get("PLAYPARK_FULL") else 20):
        text, image = damaged(kind, number)
        policy += _read_by_policy(image)
        decoder = Decoder()  # as a film's: two frames of the same
        texts = decoder.read(frame(image)) or decoder.read(frame(image, 1))
        assert texts in ([], [text])
        ours += bool(texts)

    assert ours >= policy


@pytest.mark.parametrize(
    ("treatment", "kind", "numbers"),
    [
        (_smooth, "low_light", (3, 7, 11, 12)),
        (_darker, "faded", (3, 7, 9, 10)),
        (_twice, "faded", (12,)),
        (_mended, "dropouts", (16, 31, 35, 40)),
    ],
    ids=["smooth", "darker", "twice", "mended"],
)
def test_each_treatment_reads_what_no_other_does(
    monkeypatch: pytest.MonkeyPatch, treatment: Reader, kind: str, numbers: tuple[int, ...]
) -> None:
    images = [damaged(kind, number)[1] for number in numbers]
    with_all = [Decoder(stills=True).read(frame(image)) for image in images]
    others = tuple(tuple(each for each in turn if each is not treatment) for turn in TURNS)
    monkeypatch.setattr("gate.decoders.TURNS", others)
    without = [Decoder(stills=True).read(frame(image)) for image in images]

    assert sum(map(bool, with_all)) > sum(map(bool, without))


@pytest.mark.parametrize(("kind", "more"), [("dropouts", 5), ("faded", 4)])
def test_worn_print_heads_and_faded_paper_are_read_better_than_that(kind: str, more: int) -> None:
    images = [damaged(kind, number)[1] for number in range(25)]
    policy = sum(map(_read_by_policy, images))

    ours = sum(bool(Decoder(stills=True).read(frame(image))) for image in images)

    assert ours >= policy + more


def test_the_larger_code_of_an_offline_ticket_is_read_when_worn() -> None:
    text = "PP2." + "A1B2C3D4E" * 19 + "ABC"

    found = [
        Decoder(stills=True).read(frame(damaged("dropouts", n, text=text)[1])) for n in range(9)
    ]

    assert sum(each == [text] for each in found) >= 4
    assert all(each in ([], [text]) for each in found)


def test_clutter_is_never_read_as_a_ticket() -> None:
    decoder = Decoder(stills=True)
    count = 2000 if os.environ.get("PLAYPARK_FULL") else 210

    found = [texts for image in clutter(count) if (texts := decoder.read(frame(image)))]

    assert found == []
