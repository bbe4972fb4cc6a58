"""Every answer as the gate's staff see it, at 80x24 and 120x40; `--snapshot-update` accepts a new
look (SCREENS, R19, R50, R51, R53)."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from textual.pilot import Pilot

from gate.answers import (
    CHECKING,
    OFFLINE,
    WAIT,
    Answer,
    Scan,
    annul_refused,
    annul_waits,
    annulled,
    exit_unanswered,
    late,
    not_accepted,
    of_redemption,
    unanswered,
)
from playpark.clock import park_zone
from playpark.contracts.catalog import PackageKind
from playpark.contracts.tickets import Direction, FailReason, RedemptionView
from playpark.device import SyncEngine
from playpark.guest_text import guest_message
from playpark.redemption import refuse
from tests.gate.park import NOW
from tests.gate.screen import Gate, KnownStation, Snap, passed, says, scan, settle, until, view

SIZES = [(80, 24), (120, 40)]
pytestmark = pytest.mark.parametrize("size", SIZES, ids=["80x24", "120x40"])
Show = Callable[..., bool]
Before = Callable[[Pilot[None]], Awaitable[None]]


@pytest.fixture
def gate(tmp_path: Path) -> Gate:
    gate = Gate(tmp_path)
    gate.park.zone(capacity=800)
    return gate


@pytest.fixture
def show(gate: Gate, snap_compare: Snap, size: tuple[int, int]) -> Show:
    """Compare the picture after `scans` were taken and `keys` pressed."""

    def compare(*scans: Scan, keys: tuple[str, ...] = (), before: Before | None = None) -> bool:
        async def act(pilot: Pilot[None]) -> None:
            await until(pilot, says(pilot, "ready"))
            for each in scans:
                pilot.app.desk.take(each)
            await settle(pilot)
            if before is not None:
                await before(pilot)
            for key in keys:
                await pilot.press(key)
            await pilot.pause()

        return snap_compare(gate.app(), terminal_size=size, run_before=act)

    return compare


def refused(reason: FailReason) -> RedemptionView:
    english, thai = guest_message(
        refuse(reason), PackageKind.MULTI, zone=park_zone(None), used_at=NOW
    )
    return view(reason, message=english, message_th=thai, remaining=None)


def entry(**changes: object) -> Answer:
    return of_redemption(view(**changes), Direction.ENTRY)


@pytest.mark.parametrize("reason", FailReason, ids=str)
def test_R19_each_reason_of_a_NO(show: Show, reason: FailReason) -> None:
    assert show(scan(of_redemption(refused(reason), Direction.ENTRY)))


KINDS = {
    PackageKind.SINGLE: (None, "Welcome!", "ยินดีต้อนรับ"),
    PackageKind.MULTI: (2, "Welcome! 2 left.", "ยินดีต้อนรับ เหลืออีก 2 ครั้ง"),
    PackageKind.TIMEPASS: (95, "Welcome! 95 minutes left.", "ยินดีต้อนรับ เหลือเวลา 95 นาที"),
    PackageKind.CREDIT: (42000, "Welcome! ฿420.00 left.", "ยินดีต้อนรับ เหลือเครดิต ฿420.00"),
}


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_a_PASS_says_what_is_left_on_each_kind(show: Show, kind: PackageKind) -> None:
    left, english, thai = KINDS[kind]

    assert show(scan(entry(kind=kind, remaining=left, message=english, message_th=thai)))


def test_R51_an_exit(show: Show, gate: Gate) -> None:
    gate.direction = Direction.EXIT
    goodbye = view(message="Goodbye, see you again!", message_th="ขอบคุณค่ะ แล้วพบกันใหม่")

    assert show(scan(of_redemption(goodbye, Direction.EXIT)))


def test_nobody_there(show: Show) -> None:
    assert show()


def test_checking(show: Show) -> None:
    assert show(scan(CHECKING, op_id=None))


def test_the_server_is_busy(show: Show) -> None:
    assert show(scan(WAIT))


def test_the_server_does_not_take_this_device(show: Show) -> None:
    assert show(scan(unanswered(online=True, error="This device is suspended.")))


def test_the_server_refuses_the_operation(show: Show) -> None:
    assert show(scan(not_accepted("There is no such zone: see the catalogue.")))


def test_offline_without_a_decision(
    show: Show, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(KnownStation, "allow_list_age", timedelta(hours=25, minutes=2))
    # The countdown to the next try runs by a clock that no test sets.
    monkeypatch.setattr(SyncEngine, "_back_in", lambda _engine, _mode: 7.0)

    async def unplug(pilot: Pilot[None]) -> None:
        gate.park.away = True
        gate.now += 10.0
        await pilot.press(*"00000000", "enter")
        await until(pilot, says(pilot, "offline", "1 waiting for the server"))
        await settle(pilot)

    assert show(before=unplug)


@pytest.mark.parametrize("level", ["pass", "exit", "fail"])
def test_R33_a_decision_of_the_gate_alone_says_so(
    show: Show, level: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(KnownStation, "allow_list_age", None)
    answer = {
        "pass": of_redemption(view(), Direction.ENTRY, local=True),
        "exit": exit_unanswered(),
        "fail": of_redemption(refused(FailReason.EXPIRED), Direction.ENTRY, local=True),
    }[level]

    assert show(scan(answer))


def test_a_late_answer_stands_in_the_list(show: Show) -> None:
    first = scan(OFFLINE, 1)
    assert show(first, passed(2), replace(first, answer=late(entry())))


def test_a_family_with_one_NO(show: Show) -> None:
    family = [passed(number, together=1) for number in (1, 2, 3)]
    used = scan(of_redemption(refused(FailReason.DUPLICATE_USE), Direction.ENTRY), 4, together=1)

    assert show(*family, used)


@pytest.mark.parametrize(
    "answer",
    [annulled(), annul_waits(), annul_refused("15 minutes have passed.")],
    ids=["done", "waits", "refused"],
)
def test_R50_what_came_of_an_annul(show: Show, answer: Answer) -> None:
    entered = passed(2)

    async def take_back(pilot: Pilot[None]) -> None:
        board = pilot.app.desk.board
        if answer.word == "ANNULLED":
            board.annulled(entered, pilot.app.desk.now)
        board.say(answer, pilot.app.desk.at, of=entered)
        await settle(pilot)

    assert show(passed(1), entered, before=take_back)


def test_no_camera(show: Show, gate: Gate) -> None:
    async def unplug(pilot: Pilot[None]) -> None:
        gate.plug.plugged = False
        await until(pilot, says(pilot, "offline", "plug it in"))
        await settle(pilot)

    assert show(before=unplug)


def test_no_zone(show: Show) -> None:
    async def lose(pilot: Pilot[None]) -> None:
        pilot.app.desk.station.admission.zone_id = "z-gone"
        await settle(pilot)

    assert show(before=lose)


def test_R54_a_printer_that_does_not_print(show: Show) -> None:
    async def break_it(pilot: Pilot[None]) -> None:
        pilot.app.desk.slips.fault = "The printer at 10.0.0.9:9100 is out of paper."
        await settle(pilot)

    assert show(passed(), before=break_it)


def test_hostile_names(show: Show, gate: Gate) -> None:
    gate.park.zone(name="[red]Zone[/x] \x1b[2J " + "ที่ปั๊ม" * 30, name_th="ก" * 200)
    gate.zone = "z-water"
    evil = {"message": "[b]\x1b[2J\u202eWelcome" + "!" * 400, "package_name": "[/bold]" * 30}

    assert show(scan(entry(**evil, message_th="ที่ปั๊มน้ำมัน" * 30), code="[blink]\x1b[5m"))


# --- over the panel ---------------------------------------------------------------------


def _busy_day() -> list[Scan]:
    reasons = [FailReason.DUPLICATE_USE] * 3 + [FailReason.EXPIRED] * 2 + [FailReason.ZONE_FULL]
    scans = [
        scan(of_redemption(refused(reason), Direction.ENTRY), number)
        for number, reason in enumerate(reasons, 1)
    ]
    return [*scans, *(passed(number) for number in range(10, 30))]


@pytest.mark.parametrize("key", ["f1", "f2", "f5", "f6", "f8"])
def test_what_a_key_opens(show: Show, key: str) -> None:
    assert show(*_busy_day(), keys=(key,))


@pytest.mark.parametrize(
    ("name", "keys"),
    [
        ("invites", ("f4",)),
        ("unfinished", ("f4", *"7k3")),
        ("wrong", ("f4", *"00000001", "enter")),
    ],
    ids=["invites", "unfinished", "wrong"],
)
def test_R24_a_code_is_typed(show: Show, name: str, keys: tuple[str, ...]) -> None:
    assert show(keys=keys)
