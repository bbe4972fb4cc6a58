"""A film of printed tickets is read by the gate's own decoder: each ticket once, nothing else."""

from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import PIL.Image
import pytest

from demo.film import FPS, FilmPlan, film
from gate.decoders import Decoder
from gate.presentation import Presentations
from gate.sources import open_source
from tests.gate.pictures import slip, token

TICKETS = [token(n) for n in range(6)]
HEIGHTS = (520, 700, 950, 1150)


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> FilmPlan:
    slips = [slip(text, height=HEIGHTS[n % 4]) for n, text in enumerate(TICKETS)]
    return film(
        slips, tmp_path_factory.mktemp("film") / "tickets.avi", seed=21, seconds_per_ticket=0.8
    )


def test_the_gate_reads_every_ticket_of_the_film_once(plan: FilmPlan) -> None:
    decoder, presentations = Decoder(), Presentations()
    begun: list[tuple[str, int]] = []

    for frame in open_source(str(plan.path)).frames():
        seen = presentations.seen(decoder.read(frame), frame.at)
        begun += [(text, frame.number) for text in seen]

    assert [text for text, _ in begun] == TICKETS
    for (_, number), showing in zip(begun, plan.showings, strict=True):
        assert showing.first <= number <= showing.last


def test_the_plan_tells_what_is_in_the_file(plan: FilmPlan) -> None:
    frames = list(open_source(str(plan.path)).frames())

    assert len(frames) == plan.frames
    assert frames[0].image.shape == (720, 1280, 3)
    assert plan.fps == FPS
    for earlier, later in pairwise(plan.showings):
        assert later.first - earlier.last > FPS // 3  # an empty counter between two tickets


def test_the_same_seed_makes_the_same_film(tmp_path: Path) -> None:
    small = [slip(token(1), height=520)]
    films = [
        film(small, tmp_path / f"{n}.avi", seed=seed, seconds_per_ticket=0.4)
        for n, seed in enumerate((1, 1, 2))
    ]
    first, same, other = (cv2.VideoCapture(str(plan.path)).read()[1] for plan in films)

    assert np.array_equal(first, same)
    assert not np.array_equal(first, other)


def test_a_film_that_cannot_be_written_says_where(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="choose a folder that exists"):
        film([slip(token(1))], tmp_path / "nowhere" / "film.avi", seed=1)


def test_no_tickets_make_no_film(tmp_path: Path) -> None:
    nothing: list[PIL.Image.Image] = []

    with pytest.raises(ValueError, match="sell one first"):
        film(nothing, tmp_path / "film.avi", seed=1)
