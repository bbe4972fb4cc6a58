"""Tones that keep nobody waiting: the bell, players on PATH that work, fail and hang."""

import asyncio
import io
import os
import time
import wave
from pathlib import Path

import pytest

from gate.sounds import BELLS, PLAYERS, SoundMode, Sounds, Tone, find_player, tone_file, wav


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder on PATH, besides the shell's own."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}/bin")
    monkeypatch.setattr("gate.sounds.PLAYERS", {"faplay": ()})
    return folder


def player(path: Path, script: str) -> Path:
    """A player that writes what it is given to `played` and does as `script` says."""
    program = path / "faplay"
    program.write_text(f'#!/bin/sh\necho "$1" >> {path}/played\necho $$ > {path}/pid\n{script}\n')
    program.chmod(0o755)
    return program


def played(path: Path) -> list[str]:
    log = path / "played"
    return [Path(line).name for line in log.read_text().split()] if log.exists() else []


class Ear:
    def __init__(self, mode: SoundMode, folder: Path) -> None:
        self.rings: list[float] = []
        self.sounds = Sounds(mode, folder / "sounds", lambda: self.rings.append(time.monotonic()))

    async def rest(self) -> None:
        """Until everything was heard."""
        if self.sounds._task is not None:
            await self.sounds._task


async def test_one_bell_is_a_pass_and_three_are_a_no(tmp_path: Path) -> None:
    ear = Ear(SoundMode.BELL, tmp_path)
    ear.sounds.play(Tone.PASS)
    await ear.rest()
    assert len(ear.rings) == 1

    ear.sounds.play(Tone.FAIL)
    await ear.rest()

    assert len(ear.rings) == 1 + BELLS[Tone.FAIL] == 4
    assert not (tmp_path / "sounds").exists()


async def test_sound_off_is_silent(tmp_path: Path) -> None:
    ear = Ear(SoundMode.OFF, tmp_path)
    ear.sounds.play(Tone.FAIL)
    await ear.rest()

    assert ear.rings == []


async def test_a_newer_tone_cuts_the_bells_of_an_older_one_short(tmp_path: Path) -> None:
    ear = Ear(SoundMode.BELL, tmp_path)
    ear.sounds.play(Tone.FAIL)
    await asyncio.sleep(0)
    ear.sounds.play(Tone.PASS)
    await ear.rest()

    assert len(ear.rings) == 2  # one of the three, then the newer one


async def test_a_player_plays_a_file_of_ours(tmp_path: Path, path: Path) -> None:
    player(path, "exit 0")
    ear = Ear(SoundMode.PLAYER, tmp_path)
    ear.sounds.play(Tone.PASS)
    await ear.rest()
    ear.sounds.play(Tone.FAIL)
    await ear.rest()

    assert played(path) == ["pass.wav", "fail.wav"]
    assert ear.rings == []
    assert ear.sounds.fault is None


async def test_only_the_newest_tone_waits_for_the_player(tmp_path: Path, path: Path) -> None:
    player(path, f"while [ ! -e {path}/go ]; do sleep 0.02; done")
    ear = Ear(SoundMode.PLAYER, tmp_path)
    ear.sounds.play(Tone.PASS)
    while not played(path):  # noqa: ASYNC110 - another process writes it
        await asyncio.sleep(0.01)

    for _ in range(20):
        ear.sounds.play(Tone.PASS)
    ear.sounds.play(Tone.FAIL)
    (path / "go").touch()
    await ear.rest()

    assert played(path) == ["pass.wav", "fail.wav"]


async def test_play_returns_at_once_while_the_player_hangs(
    tmp_path: Path, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gate.sounds.LONGEST_S", 0.3)
    player(path, "exec sleep 60")
    ear = Ear(SoundMode.PLAYER, tmp_path)

    ear.sounds.play(Tone.PASS)
    ear.sounds.play(Tone.FAIL)
    ticks = 0
    while not (path / "pid").exists():
        await asyncio.sleep(0.01)
        ticks += 1
    ear.sounds.play(Tone.FAIL)
    await ear.rest()

    assert ticks > 0  # the loop went on
    with pytest.raises(ProcessLookupError):
        os.kill(int((path / "pid").read_text()), 0)
    assert ear.sounds.fault == "faplay does not end: the bell rings instead."
    assert len(ear.rings) == BELLS[Tone.FAIL]  # what had waited behind it


async def test_a_player_that_fails_leaves_the_tone_to_the_bell(tmp_path: Path, path: Path) -> None:
    player(path, "exit 3")
    ear = Ear(SoundMode.PLAYER, tmp_path)
    ear.sounds.play(Tone.FAIL)
    await ear.rest()
    ear.sounds.play(Tone.PASS)
    await ear.rest()

    assert ear.sounds.fault == "faplay plays nothing: the bell rings instead."
    assert len(ear.rings) == 4
    assert played(path) == ["fail.wav"]


async def test_a_player_that_cannot_be_started_leaves_it_to_the_bell(
    tmp_path: Path, path: Path
) -> None:
    player(path, "exit 0").write_bytes(b"\x7fELF nonsense")
    ear = Ear(SoundMode.PLAYER, tmp_path)
    ear.sounds.play(Tone.PASS)
    await ear.rest()

    assert ear.sounds.fault is not None
    assert ear.sounds.fault.startswith("faplay cannot be started")
    assert len(ear.rings) == 1


async def test_without_a_player_the_bell_rings_and_it_is_said(tmp_path: Path, path: Path) -> None:
    ear = Ear(SoundMode.PLAYER, tmp_path)
    ear.sounds.play(Tone.PASS)
    await ear.rest()

    assert len(ear.rings) == 1
    assert ear.sounds.fault == "No faplay here: the bell rings instead."


async def test_closing_ends_a_player(tmp_path: Path, path: Path) -> None:
    player(path, "exec sleep 60")
    ear = Ear(SoundMode.PLAYER, tmp_path)
    ear.sounds.play(Tone.PASS)
    while not (path / "pid").exists() or not (path / "pid").read_text().strip():  # noqa: ASYNC110
        await asyncio.sleep(0.01)

    await ear.sounds.close()

    with pytest.raises(ProcessLookupError):
        os.kill(int((path / "pid").read_text()), 0)


def test_the_first_player_on_PATH_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_player() is None

    for name in ("afplay", "aplay"):
        (tmp_path / name).write_text("#!/bin/sh\n")
        (tmp_path / name).chmod(0o755)

    assert find_player() == (str(tmp_path / "aplay"), ("-q",))
    assert list(PLAYERS) == ["paplay", "aplay", "afplay"]


# --- files ------------------------------------------------------------------------------


@pytest.mark.parametrize("tone", Tone, ids=str)
def test_a_tone_is_a_short_file_that_is_not_clipped(tone: Tone) -> None:
    with wave.open(io.BytesIO(wav(tone))) as file:
        seconds = file.getnframes() / file.getframerate()
        samples = memoryview(file.readframes(file.getnframes())).cast("h")

    assert 0.2 <= seconds <= 1.0
    assert 8_000 < max(map(abs, samples)) < 32_767
    assert abs(samples[0]) < 200
    assert abs(samples[-1]) < 200


def test_the_tones_differ() -> None:
    assert wav(Tone.PASS) != wav(Tone.FAIL)
    assert len(wav(Tone.FAIL)) > 2 * len(wav(Tone.PASS))


def test_a_file_is_written_once_and_mended_when_it_is_damaged(tmp_path: Path) -> None:
    path = tone_file(tmp_path / "sounds", Tone.PASS)
    first = path.stat().st_mtime_ns
    assert tone_file(tmp_path / "sounds", Tone.PASS).stat().st_mtime_ns == first

    path.write_bytes(b"RIFF")

    assert tone_file(tmp_path / "sounds", Tone.PASS).read_bytes() == wav(Tone.PASS)
