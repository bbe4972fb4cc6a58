"""The gate against the real server: `playpark gate --headless` and its exit codes."""

import asyncio
import json
import re
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import cv2
import httpx
import pytest

from demo.film import film
from gate.cli import gate
from gate.station import Station
from playpark.errors import PlayParkError
from playpark.ids import new_ulid
from tests.gate.pictures import qr, scene, slip, token
from tests.outside import Outsider

SITE_KEY = "DEMO-MAIN-GATE"


class Headless:
    """`playpark gate --headless` in this process: a process of its own takes two seconds. The
    server of a busy test machine has `deadline` seconds; guests wait 0.8 s."""

    def __init__(
        self,
        capsys: pytest.CaptureFixture[str],
        api_url: str,
        folder: Path,
        defaults: dict[str, Any],
    ) -> None:
        self._defaults = defaults
        self._capsys = capsys
        self._api_url = api_url
        self._folder = folder

    async def __call__(
        self, source: Path, *, deadline: float = 60.0, **options: Any
    ) -> list[dict[str, Any]]:
        self._defaults["deadline"] = deadline
        defaults = {"api": self._api_url, "data": self._folder / "gate", "site_key": SITE_KEY}
        self._capsys.readouterr()
        await asyncio.to_thread(gate, source=[str(source)], headless=True, **defaults | options)
        return [json.loads(line) for line in self._capsys.readouterr().out.splitlines()]


@pytest.fixture
def headless(
    capsys: pytest.CaptureFixture[str],
    api_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Headless:
    defaults = dict(Station.__init__.__kwdefaults__ or {})
    monkeypatch.setattr(Station.__init__, "__kwdefaults__", defaults)
    return Headless(capsys, api_url, tmp_path, defaults)


@pytest.fixture
async def tickets(api_url: str) -> AsyncIterator[list[dict[str, Any]]]:
    """Three tickets that were just sold: two day passes and a book of ten entries."""
    async with httpx.AsyncClient(base_url=api_url, timeout=30) as http:
        pos = await Outsider(http).pair("POS")
        await pos.staff()
        await pos.open_shift()
        sale = await pos.sell(("Adult day pass", 2), ("10 entries", 1), key=new_ulid())
        yield sale["tickets"]


async def test_R20_every_sold_ticket_of_a_film_passes_once_and_then_not_again(
    headless: Headless, tmp_path: Path, tickets: list[dict[str, Any]]
) -> None:
    path = tmp_path / "film.avi"
    film([slip(ticket["qr_token"]) for ticket in tickets], path, seed=5, seconds_per_ticket=0.6)

    first = await headless(path, zone="Ball Pit")
    again = await headless(path, zone="ball pit", site_key=None)  # it is paired now

    assert [scan["result"] for scan in first] == ["pass"] * 3
    assert [scan["headline"] for scan in first] == ["WELCOME", "WELCOME", "9 LEFT"]
    assert [scan["ticket_id"] for scan in first] == [t["ticket_id"] for t in tickets]
    assert [scan["reason"] for scan in again[:2]] == ["duplicate_use"] * 2
    assert "already used at" in again[0]["message"]


async def test_R19_codes_that_are_no_tickets_of_this_park_fail_in_words(
    headless: Headless, tmp_path: Path, tickets: list[dict[str, Any]]
) -> None:
    good = tickets[0]["qr_token"]
    forged = good[:-1] + ("A" if good[-1] != "A" else "B")
    texts = [token(1), forged, good[:-1], "https://example.com", b"\xff\xfe\x00", "PPT.A1.X"]
    for number, text in enumerate(texts):
        cv2.imwrite(str(tmp_path / f"{number}.png"), scene(qr(text)))

    scans = await headless(tmp_path)

    by_number = sorted(scans, key=lambda scan: int(scan["number"]))
    assert [scan["reason"] for scan in by_number] == ["invalid_sig"] * 5 + ["training"]
    assert all(scan["redemption_id"] for scan in scans)


async def test_R33_without_the_server_a_gate_decides_by_its_list_and_loses_nothing(
    headless: Headless, tmp_path: Path, tickets: list[dict[str, Any]]
) -> None:
    ticket, foreign = tmp_path / "one.png", tmp_path / "foreign.png"
    cv2.imwrite(str(ticket), scene(qr(tickets[0]["qr_token"])))
    cv2.imwrite(str(foreign), scene(qr("https://example.com")))
    await headless(foreign)  # it takes its list with it

    away = await headless(ticket, api="http://127.0.0.1:9", deadline=0.3)
    no_ticket = await headless(foreign, api="http://127.0.0.1:9", deadline=0.3)
    back = await headless(ticket)

    assert [(scan["result"], scan["decided_by"]) for scan in away] == [("pass", "gate")]
    assert away[0]["ticket_id"] == tickets[0]["ticket_id"]
    assert 0 <= away[0]["allow_list_age_s"] < 600
    assert [(scan["result"], scan["decided_by"]) for scan in no_ticket] == [("fail", "gate")]
    assert [(scan["reason"], scan["decided_by"]) for scan in back] == [("duplicate_use", "server")]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"source": "nothing.avi"}, "nothing.avi is not there"),
        ({"source": "96"}, "Camera 96 is not there: plug it in"),
        ({"source": "none"}, "--headless needs pictures"),
        ({"zone": "Moon Base"}, "There is no zone 'Moon Base' in this store: choose one of"),
        ({"site_key": "WRONG-KEY-123"}, "site key"),
        ({"api": "http://127.0.0.1:9"}, "does not answer: check the network"),
        ({"site_key": None}, "not paired yet: give the store's site key"),
    ],
    ids=["file", "camera", "none", "zone", "site key", "server", "unpaired"],
)
async def test_a_bad_start_is_refused_in_one_sentence(
    headless: Headless, tmp_path: Path, options: dict[str, Any], says: str
) -> None:
    cv2.imwrite(str(tmp_path / "none.png"), scene())

    with pytest.raises(PlayParkError, match=re.escape(says)) as refused:
        await headless(**{"source": tmp_path / "none.png", **options})

    assert "\n" not in refused.value.message


async def test_the_command_ends_with_exit_code_1_and_the_sentence(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "playpark.cli", "gate", "--source", "nothing.avi"]
    process = await asyncio.create_subprocess_exec(
        *command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=tmp_path
    )

    out, error = await asyncio.wait_for(process.communicate(), 30)

    assert process.returncode == 1
    assert out == b""
    assert error.decode().splitlines() == [
        (
            "playpark: nothing.avi is not there: give --source a camera number such as 0, a video "
            "file, a folder of pictures or one picture."
        )
    ]
