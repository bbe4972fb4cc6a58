"""PASS and NO for the ears: the terminal's bell, or a player of audio files (SCREENS).

One bell is a PASS, three are not. Nothing here is waited for: a newer tone takes the place of one
that has not begun, and a player that does not end is killed.
"""

import asyncio
import contextlib
import io
import math
import shutil
import struct
import wave
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path

PLAYERS: dict[str, tuple[str, ...]] = {"paplay": (), "aplay": ("-q",), "afplay": ()}
"""Programs that play a file and end, with the options that keep them quiet; the first that is on
PATH is taken."""
LONGEST_S = 2.0
BETWEEN_BELLS_S = 0.18
RATE = 22_050
_LOUD = 0.6 * 32_767
_FADE_S = 0.008


class Tone(StrEnum):
    """What is heard: a guest goes in, or does not."""

    PASS = "pass"  # noqa: S105 - a word of the contract, no password
    FAIL = "fail"


BELLS = {Tone.PASS: 1, Tone.FAIL: 3}
_NOTES: dict[Tone, tuple[tuple[float, float], ...]] = {
    Tone.PASS: ((1046.5, 0.09), (1568.0, 0.16)),
    Tone.FAIL: ((196.0, 0.16), (0.0, 0.05), (196.0, 0.16), (0.0, 0.05), (155.6, 0.32)),
}
"""(hertz, seconds): two rising notes, or three low ones. Told apart over a crowd, and by people
who hear no high notes."""


class SoundMode(StrEnum):
    BELL = "bell"
    PLAYER = "player"
    OFF = "off"


class Sounds:
    """Plays tones, the newest first, one at a time. `ring` rings the terminal's bell once;
    `folder` takes the tones as files when the first is played.

    `fault` says why the player was given up; the bell rings instead from then on.
    """

    def __init__(self, mode: SoundMode, folder: Path, ring: Callable[[], None]) -> None:
        self.mode = mode
        self.fault: str | None = None
        self._folder = folder
        self._ring = ring
        self._player = find_player() if mode is SoundMode.PLAYER else None
        if mode is SoundMode.PLAYER and self._player is None:
            self.fault = f"No {' / '.join(PLAYERS)} here: the bell rings instead."
        self._next: Tone | None = None
        self._task: asyncio.Task[None] | None = None

    def play(self, tone: Tone) -> None:
        """Have it heard as soon as nothing else is; returns at once."""
        if self.mode is SoundMode.OFF:
            return
        self._next = tone
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._work())

    async def close(self) -> None:
        """End what is being played."""
        self._next = None
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _work(self) -> None:
        while self._next is not None:
            tone, self._next = self._next, None
            if self._player is None:
                await self._bells(tone)
                continue
            try:
                await self._file(tone, *self._player)
            except OSError as broken:
                self._give_up(f"cannot be started ({broken.strerror})")
                await self._bells(tone)

    async def _bells(self, tone: Tone) -> None:
        for number in range(BELLS[tone]):
            if number:
                await asyncio.sleep(BETWEEN_BELLS_S)
            if self._next is not None:
                return  # a guest further on has an answer
            self._ring()

    async def _file(self, tone: Tone, program: str, options: tuple[str, ...]) -> None:
        path = await asyncio.to_thread(tone_file, self._folder, tone)
        quiet = asyncio.subprocess.DEVNULL
        process = await asyncio.create_subprocess_exec(
            program, *options, str(path), stdin=quiet, stdout=quiet, stderr=quiet
        )
        try:
            ended = await asyncio.wait_for(process.wait(), LONGEST_S)
        except TimeoutError:
            self._give_up("does not end")
        else:
            if ended != 0:
                self._give_up("plays nothing")
                await self._bells(tone)
        finally:
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
                await process.wait()

    def _give_up(self, why: str) -> None:
        name = Path(self._player[0]).name if self._player else "The player"
        self.fault = f"{name} {why}: the bell rings instead."
        self._player = None


def find_player() -> tuple[str, tuple[str, ...]] | None:
    """The first player on PATH, as its whole path and its options."""
    for name, options in PLAYERS.items():
        if path := shutil.which(name):
            return path, options
    return None


def tone_file(folder: Path, tone: Tone) -> Path:
    """The tone as a .wav file in `folder`, written where it is not there yet."""
    path = folder / f"{tone.value}.wav"
    data = wav(tone)
    if not path.is_file() or path.stat().st_size != len(data):
        folder.mkdir(parents=True, exist_ok=True)
        begun = path.with_suffix(".part")
        begun.write_bytes(data)
        begun.replace(path)
    return path


def wav(tone: Tone) -> bytes:
    """The tone as a mono file of 16 bits."""
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        for hertz, seconds in _NOTES[tone]:
            file.writeframes(_note(hertz, seconds))
    return buffer.getvalue()


def _note(hertz: float, seconds: float) -> bytes:
    """A note with its octave and fifth above it, faded in and out so that it does not click."""
    count = round(RATE * seconds)
    fade = RATE * _FADE_S
    samples = []
    for number in range(count):
        angle = 2 * math.pi * hertz * number / RATE
        tone = (math.sin(angle) + 0.4 * math.sin(2 * angle) + 0.2 * math.sin(3 * angle)) / 1.6
        edge = min(1.0, number / fade, (count - 1 - number) / fade)
        samples.append(round(_LOUD * tone * edge))
    return struct.pack(f"<{count}h", *samples)
