"""`--headless`: one line of JSON for each answer, whoever reads it, and the turnstile's relay."""

import asyncio
import io
import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import httpx
import pytest

from demo.film import film
from gate import headless
from gate.answers import CHECKING, FOREIGN, OFFLINE, Answer, Scan
from gate.headless import Lines, decided_by, print_scans
from gate.relay import Relay
from gate.sources import open_source
from gate.station import Station
from playpark.clock import SystemClock
from playpark.device import DeviceStore
from playpark.ids import new_ulid
from tests.gate.pictures import qr, scene, slip, token, write_film
from tests.gate.test_relay import PASS
from tests.outside import Outsider

SITE_KEY = "DEMO-MAIN-GATE"
PATIENT = 60.0
"""Seconds for the server of a busy test machine; guests wait 0.8 s."""
FIELDS = {
    *("number", "at", "op_id", "code", "source", "zone", "zone_id", "direction", "result"),
    *("decided_by", "word", "headline", "reason", "remaining", "ticket_id", "redemption_id"),
    *("latency_ms", "allow_list_age_s", "message", "message_th"),
}


def opener_of(path: Path, body: str) -> str:
    """A program that opens a turnstile."""
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return str(path)


async def sold(api_url: str, count: int) -> list[dict[str, Any]]:
    async with httpx.AsyncClient(base_url=api_url, timeout=30) as http:
        pos = await Outsider(http).pair("POS")
        await pos.staff()
        await pos.open_shift()
        sale = await pos.sell(("Adult day pass", count), key=new_ulid())
        tickets: list[dict[str, Any]] = sale["tickets"]
        return tickets


def command(api_url: str, folder: Path, *options: str) -> list[str]:
    common = ["--headless", "--api", api_url, "--data", str(folder / "gate")]
    return [sys.executable, "-m", "playpark.cli", "gate", *common, "--site-key", SITE_KEY, *options]


async def run(api_url: str, folder: Path, *options: str) -> tuple[list[dict[str, Any]], str, int]:
    """A gate's process to its end: lines, stderr, exit code."""
    process = await asyncio.create_subprocess_exec(
        *command(api_url, folder, *options), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    out, error = await asyncio.wait_for(process.communicate(), 60)
    code = process.returncode
    assert code is not None
    return [json.loads(line) for line in out.splitlines()], error.decode(), code


# --- a real gate before a real server ---------------------------------------------------


async def test_a_line_says_all_of_a_scan_and_the_relay_opens_for_each_pass(
    api_url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tickets = await sold(api_url, 2)
    path, log = tmp_path / "film.avi", tmp_path / "opened"
    film([slip(t["qr_token"]) for t in tickets], path, seed=5, seconds_per_ticket=0.6)
    opener = opener_of(tmp_path / "open-gate", f'echo "$PLAYPARK_REDEMPTION_ID" >> {log}')
    clock = SystemClock()
    station = Station(
        DeviceStore.open(tmp_path / "gate" / "device.db", clock),
        clock,
        open_source(str(path)),
        api_url=api_url,
        zone="Ball Pit",
        relay=Relay(opener),
        deadline=PATIENT,
    )

    await print_scans(station, site_key=SITE_KEY, name="Gate")

    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [set(line) for line in lines] == [FIELDS, FIELDS]
    for line, ticket in zip(lines, tickets, strict=True):
        assert (line["result"], line["decided_by"]) == ("pass", "server")
        assert (line["zone"], line["direction"]) == ("Ball Pit", "entry")
        assert (line["source"], line["ticket_id"]) == ("film.avi", ticket["ticket_id"])
        assert len(line["op_id"]) == 26
        assert line["zone_id"]
        assert line["latency_ms"] > 0
    assert log.read_text().split() == [line["redemption_id"] for line in lines]


async def test_a_relay_that_fails_is_told_and_turns_no_pass_into_anything_else(
    api_url: str, tmp_path: Path
) -> None:
    (ticket,) = await sold(api_url, 1)
    cv2.imwrite(str(tmp_path / "one.png"), scene(qr(ticket["qr_token"])))
    opener = opener_of(tmp_path / "open-gate", "echo no such pin >&2; exit 1")

    lines, error, code = await run(
        api_url, tmp_path, "--source", str(tmp_path / "one.png"), "--relay", opener
    )

    assert code == 0
    assert lines[-1]["result"] == "pass"
    assert "playpark: Relay: the command ended with 1: no such pin" in error


async def test_a_gate_whose_reader_has_gone_goes_on_and_says_so_once(
    api_url: str, tmp_path: Path
) -> None:
    tickets = await sold(api_url, 3)
    path, log = tmp_path / "film.avi", tmp_path / "opened"
    film([slip(t["qr_token"]) for t in tickets], path, seed=6, seconds_per_ticket=0.6)
    opener = opener_of(tmp_path / "open-gate", f'echo "$PLAYPARK_TICKET_ID" >> {log}')
    process = await asyncio.create_subprocess_exec(
        *command(api_url, tmp_path, "--source", str(path), "--relay", opener),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stderr is not None

    process._transport.get_pipe_transport(1).close()  # type: ignore[attr-defined]
    error = (await asyncio.wait_for(process.stderr.read(), 60)).decode()

    assert await process.wait() == 0
    opened = log.read_text().split()  # the pipe was closed before the first of them
    assert opened
    assert set(opened) <= {ticket["ticket_id"] for ticket in tickets}
    assert error.count("Nobody reads stdout any more") == 1
    assert "Traceback" not in error
    assert "Exception ignored" not in error


async def test_a_looped_film_runs_until_it_is_stopped(api_url: str, tmp_path: Path) -> None:
    shown = scene(qr(token(1)))
    away = [scene()] * 25
    path = write_film(tmp_path / "film.avi", [shown] * 5 + away, fps=10)
    process = await asyncio.create_subprocess_exec(
        *command(api_url, tmp_path, "--source", str(path), "--loop"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None

    numbers: set[int] = set()
    async with asyncio.timeout(60):
        while len(numbers) < 3:  # a busy server's answer may come after an "offline"
            numbers.add(json.loads(await process.stdout.readline())["number"])
    process.send_signal(signal.SIGINT)
    _, error = await asyncio.wait_for(process.communicate(), 30)

    assert b"Traceback" not in error
    assert numbers == {1, 2, 3}


# --- lines and readers ------------------------------------------------------------------


def test_a_reader_that_does_not_read_holds_up_no_decision(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reading, writing = os.pipe()
    monkeypatch.setattr(headless, "GOODBYE", 0.1)
    monkeypatch.setattr(sys, "stdout", os.fdopen(writing, "w"))
    lines = Lines()
    for number in range(headless.WAITING * 3):
        lines.write(f"{number:05} {'x' * 200}")  # far more than a pipe holds

    assert lines._waiting.qsize() <= headless.WAITING + 1
    lines.close()  # does not wait for ever either

    os.close(reading)
    lines._thread.join(5)
    assert not lines._thread.is_alive()


def test_lines_come_whole_and_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    written = io.StringIO()
    monkeypatch.setattr(sys, "stdout", written)
    lines = Lines()
    for number in range(100):
        lines.write(str(number))
    lines.close()

    assert written.getvalue().splitlines() == [str(number) for number in range(100)]


@pytest.mark.parametrize(
    ("answer", "by"),
    [
        (PASS.answer, "server"),
        (replace(PASS.answer, local=True), "gate"),
        (FOREIGN, "gate"),
        (OFFLINE, None),
        (CHECKING, None),
    ],
)
def test_who_decided_is_said(answer: Answer, by: str | None) -> None:
    scan = Scan(1, 1, "code", datetime(2026, 11, 21, tzinfo=UTC), answer)

    assert decided_by(scan) == by


async def test_a_trouble_is_told_once_and_again_when_it_comes_back(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(headless, "LOOK", 0)
    station: Any = SimpleNamespace(troubles=["Camera 1 is not there: plug it in."])
    watch = asyncio.create_task(headless._watch(station))
    for _ in range(20):
        await asyncio.sleep(0)
    station.troubles = []
    for _ in range(20):
        await asyncio.sleep(0)
    station.troubles = ["Camera 1 is not there: plug it in."]
    for _ in range(20):
        await asyncio.sleep(0)
    watch.cancel()

    told = capsys.readouterr().err.splitlines()
    assert told == ["playpark: Camera 1 is not there: plug it in."] * 2
