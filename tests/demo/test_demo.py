"""The park's main job in one command, as a newcomer runs it."""

import subprocess
import sys
from pathlib import Path

import pytest

from demo.cli import _fresh
from demo.paper import PaperRoll
from demo.story import KEY_FOR_TRYING_OUT, _in_notes, _same
from playpark.device.safe import SECRET_VARIABLE, find_safe
from playpark.errors import PlayParkError
from playpark.printing.transport import PrinterTarget


def run_demo(folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "playpark.cli", "demo", "--out", str(folder)],
        capture_output=True,
        text=True,
        timeout=170,
        check=False,
    )


def test_the_demo_sells_prints_scans_admits_and_refuses(tmp_path: Path) -> None:
    result = run_demo(tmp_path / "out")
    assert result.returncode == 0, result.stdout + result.stderr
    assert "9 × PASS" in result.stdout
    assert "9 × FAIL duplicate_use" in result.stdout
    assert "sold = printed = scanned = admitted" in result.stdout
    assert "make pos" in result.stdout
    papers = sorted(path.name for path in (tmp_path / "out" / "papers").iterdir())
    assert len(papers) == 12
    assert sum("ticket" in name for name in papers) == 9


def test_a_folder_with_other_things_is_not_touched(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    result = run_demo(tmp_path)
    assert result.returncode == 1
    assert "choose another --out" in result.stderr
    assert (tmp_path / "thesis.txt").exists()


def test_the_demos_own_folder_is_made_anew(tmp_path: Path) -> None:
    folder = _fresh(tmp_path / "out")
    (folder / "old").touch()
    assert not (_fresh(tmp_path / "out") / "old").exists()


def test_trying_out_brings_a_key_that_is_named_as_what_it_is() -> None:
    """A till without one refuses to sell tickets as soon as the server is slow (R22)."""
    makefile = (Path(__file__).parents[2] / "Makefile").read_text(encoding="utf-8")
    assert f"{SECRET_VARIABLE}=$${{{SECRET_VARIABLE}:-{KEY_FOR_TRYING_OUT}}}" in makefile
    assert find_safe({SECRET_VARIABLE: KEY_FOR_TRYING_OUT}) is not None
    assert "trying-out" in KEY_FOR_TRYING_OUT


def test_a_mismatch_ends_the_demo() -> None:
    with pytest.raises(PlayParkError, match="mismatch: tickets: 8 instead of 9"):
        _same("tickets", 8, 9)


def test_the_stand_in_printer_keeps_what_it_is_sent() -> None:
    with PaperRoll() as roll:
        PrinterTarget.parse(roll.address).send(b"hello\n")
        PrinterTarget.parse(roll.address).send(b"again\n")
    assert [job.strip(b"\x10\x04\x01\x02\x03") for job in roll.jobs] == [b"hello\n", b"again\n"]


def test_notes_add_up() -> None:
    for amount in (0, 1, 119_900, 999_999):
        assert sum(face * pieces for face, pieces in _in_notes(amount).items()) == amount
