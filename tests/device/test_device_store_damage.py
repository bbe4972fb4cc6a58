"""Full, failing and read-only disks, damaged files: nothing unrecorded is sold, nothing thrown away
(R14, R29, R34)."""

import contextlib
import os
import random
import re
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from playpark.clock import FixedClock
from playpark.contracts.sync import Counters, OpKind, OpResult, OpStatus
from playpark.device import Allocator, DeviceStore, StoredOp
from playpark.device.bundle import export, unseal
from playpark.device.readout import look_into, read_out
from playpark.device.records import link
from playpark.device.safe import SECRET_VARIABLE, GivenSecret
from playpark.errors import ErrorCode, PlayParkError
from playpark.ids import ReceiptSeries
from tests.device.conftest import IDENTITY, NOW
from tests.device.disks import SmallDisk, small_disk

SECRET = "a secret of this till's environment"


def a_sale(allocator: Allocator) -> dict[str, Any]:
    number = allocator.receipt_no(ReceiptSeries.SALE)
    return {"receipt_no": number, "rung": {"grand_total": 100}, "note": "n" * 600}


def sell(store: DeviceStore) -> StoredOp:
    return store.append(OpKind.SALE, a_sale, occurred_at=NOW, committed=True)


def sell_until_refused(store: DeviceStore) -> tuple[list[StoredOp], PlayParkError]:
    sold: list[StoredOp] = []
    for _ in range(5000):
        try:
            sold.append(sell(store))
        except PlayParkError as refused:
            return sold, refused
    pytest.fail("it sold on and on")


def a_day(path: Path, clock: FixedClock, sales: int = 60) -> list[StoredOp]:
    """A till with so many sales; every third is booked."""
    with DeviceStore.open(path, clock) as store:
        store.save_identity(IDENTITY)
        ops = [sell(store) for _ in range(sales)]
        for op in ops[::3]:
            store.record_result(op, OpResult(op_id=op.op_id, status=OpStatus.APPLIED))
        return [op for op in ops if op not in ops[::3]]


def without_gap(store: DeviceStore) -> None:
    """Each number once, none left out, and a chain that holds."""
    rows = store._database.rows("SELECT * FROM ops ORDER BY epoch, seq")
    ops = [StoredOp.of_row(row) for row in rows]
    assert [op.receipt_no for op in ops] == [f"03-S{n:06}" for n in range(1, len(ops) + 1)]
    previous = "0" * 64
    for op in ops:
        assert op.envelope["prev_hash"] == previous
        previous = link(op.op_id, op.kind, op.seq, previous, op.body)
    ledger = store._database.rows("SELECT count(*) FROM receipts")
    assert ledger[0][0] == len(ops)


# --- full disks -------------------------------------------------------------------------


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    with small_disk(tmp_path / "disk") as found:
        yield found


@contextlib.contextmanager
def by_the_disk(store: DeviceStore, disk: SmallDisk) -> Iterator[None]:
    disk.fill()
    yield
    disk.make_room()


@contextlib.contextmanager
def by_a_page_count(store: DeviceStore, disk: SmallDisk) -> Iterator[None]:
    pages = store._database.row("PRAGMA page_count")[0]
    store._database.row(f"PRAGMA max_page_count = {pages}")
    yield
    store._database.row("PRAGMA max_page_count = 1000000")


@contextlib.contextmanager
def by_a_limit_of_files(store: DeviceStore, disk: SmallDisk) -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    size = max(part.stat().st_size for part in store.folder.iterdir())
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + 20_000, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, ignored)


@pytest.mark.parametrize("full", [by_the_disk, by_a_page_count, by_a_limit_of_files])
def test_R34_a_full_disk_sells_nothing_and_goes_on_without_a_gap_when_there_is_room(
    disk, clock, full: Callable
):
    path = disk.folder / "till.db"
    with DeviceStore.open(path, clock) as store:
        store.save_identity(IDENTITY)
        first = sell(store)
        with full(store, disk):
            sold, refused = sell_until_refused(store)
            assert refused.code is ErrorCode.UNAVAILABLE
            assert "nothing may be sold" in refused.message
            assert store.queued_count() == len(sold) + 1
            assert store.unsynced_sales().satang == 100 * (len(sold) + 1)
            assert [op.op_id for op in store.pending_of([OpKind.SALE])] == [
                op.op_id for op in (first, *sold)
            ]
        assert sell(store).seq == len(sold) + 2
        without_gap(store)
    with DeviceStore.open(path, clock) as store:
        assert store.queued_count() == len(sold) + 2
        without_gap(store)


def test_R34_a_till_on_a_full_disk_does_not_start_and_its_sales_can_be_carried_away(
    disk, clock, tmp_path, monkeypatch
):
    """There is no room for a copy of the file either."""
    path = disk.folder / "till.db"
    waiting = a_day(path, clock, sales=9)
    disk.fill()
    monkeypatch.setattr(tempfile, "tempdir", str(disk.folder))

    with pytest.raises(PlayParkError, match="full"):
        DeviceStore.open(path, clock)
    made = export(path, tmp_path / "out.bundle", GivenSecret(SECRET), NOW, damaged=False)

    assert [op.envelope["op_id"] for op in made.ops] == [op.op_id for op in waiting]
    disk.make_room()
    with DeviceStore.open(path, clock) as store:
        assert store.pending() == waiting
        sell(store)
        without_gap(store)


def test_R34_what_was_killed_on_a_full_disk_can_be_carried_away(disk, clock, tmp_path):
    """The last sales stand in the log beside the file."""
    path = disk.folder / "till.db"
    program = (
        "import os, sys; from pathlib import Path\n"
        "from playpark.clock import FixedClock; from playpark.device import DeviceStore\n"
        "from tests.device.conftest import NOW, IDENTITY\n"
        "from tests.device.test_device_store_damage import sell\n"
        "store = DeviceStore.open(Path(sys.argv[1]), FixedClock(NOW))\n"
        "store.save_identity(IDENTITY)\n"
        "for _ in range(5): sell(store)\n"
        "os.kill(os.getpid(), 9)"
    )
    killed = subprocess.run([sys.executable, "-c", program, path], check=False, cwd=Path.cwd())
    assert killed.returncode == -signal.SIGKILL
    disk.fill()

    with look_into(path) as connection:
        found = read_out(connection)

    assert [op.receipt_no for op in found.ops] == [f"03-S{n:06}" for n in range(1, 6)]


def test_R34_a_disk_that_takes_nothing_is_told_and_can_still_be_read(disk, clock, tmp_path):
    path = disk.folder / "till.db"
    waiting = a_day(path, clock, sales=9)
    kept = DeviceStore.open(path, clock)
    waiting.append(sell(kept))
    copy = tmp_path / "as a crash leaves it"
    copy.mkdir()
    for part in ("till.db", "till.db-wal"):
        shutil.copy(disk.folder / part, copy / part)
    kept.close()
    for part in copy.iterdir():
        shutil.copy(part, disk.folder / part.name)
    disk.take_nothing()

    with pytest.raises(PlayParkError, match="cannot be used"):
        DeviceStore.open(path, clock)
    with look_into(path) as connection:
        found = read_out(connection)

    assert [op.envelope["op_id"] for op in found.ops] == [op.op_id for op in waiting]


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become somebody else")
def test_R34_a_folder_that_may_not_be_written_is_one_sentence(path, clock):
    a_day(path, clock, sales=3)
    path.parent.chmod(0o555)
    before = {part.name: part.read_bytes() for part in path.parent.iterdir()}

    said = _as_nobody(path, clock)

    assert said.startswith("E_UNAVAILABLE")
    assert "choose another --data folder" in said
    assert {part.name: part.read_bytes() for part in path.parent.iterdir()} == before


def _as_nobody(path: Path, clock: FixedClock) -> str:
    """What `open` says to somebody who may read the folder and not write it."""
    for folder in (path.parent, *path.parent.parents[:3]):
        folder.chmod(folder.stat().st_mode | 0o555)
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.setuid(65534)
        try:
            DeviceStore.open(path, clock)
            said = "opened"
        except BaseException as refused:  # noqa: BLE001 - the parent is told whatever it is
            said = str(refused)
        os.write(writer, said.encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as told:
        said = told.read()
    os.waitpid(child, 0)
    return said


# --- damaged files ----------------------------------------------------------------------


def opened_damaged(path: Path, clock: FixedClock) -> tuple[Path, str]:
    """Open it, see it refused; where it was put and what was said."""
    with pytest.raises(PlayParkError, match="damaged") as refused:
        DeviceStore.open(path, clock)
    assert not path.exists()
    return Path(re.search(r"kept as (\S+)", refused.value.message)[1]), refused.value.message


def saved(aside: Path) -> list[str]:
    bundle = unseal(aside.with_name(aside.name + ".bundle").read_bytes(), GivenSecret(SECRET))
    return [op.envelope["op_id"] for op in bundle.ops]


def page_of(path: Path, name: str) -> int:
    look = sqlite3.connect(path)
    [(page,)] = look.execute("SELECT rootpage FROM sqlite_master WHERE name = ?", (name,))
    look.close()
    return page


def overwrite(path: Path, page: int, content: bytes = b"\xff" * 4096) -> None:
    with path.open("r+b") as file:
        file.seek((page - 1) * 4096)
        file.write(content)


@pytest.fixture
def safe(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SECRET_VARIABLE, SECRET)


@pytest.mark.usefixtures("safe")
def test_R34_a_truncated_file_is_kept_and_its_sales_are_saved(path, clock):
    waiting = a_day(path, clock)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 4096 * 3 // 4 * 4096])
    cut = path.read_bytes()

    aside, said = opened_damaged(path, clock)

    assert aside.read_bytes() == cut
    ids = saved(aside)
    assert set(ids) < {op.op_id for op in waiting}
    assert f"{len(ids)} operations that can be read are saved" in said
    assert len(ids) > 5


@pytest.mark.usefixtures("safe")
def test_R34_a_damaged_index_costs_no_sale(path, clock):
    waiting = a_day(path, clock)
    overwrite(path, page_of(path, "ops_pending"))

    aside, _ = opened_damaged(path, clock)

    assert saved(aside) == [op.op_id for op in waiting]


@pytest.mark.usefixtures("safe")
def test_R34_damaged_facts_cost_no_sale(path, clock):
    waiting = a_day(path, clock)
    overwrite(path, page_of(path, "facts"))
    overwrite(path, page_of(path, "counters"))

    aside, _ = opened_damaged(path, clock)

    assert saved(aside) == [op.op_id for op in waiting]


@pytest.mark.usefixtures("safe")
def test_R34_flipped_pages_give_nothing_that_was_not_recorded(path, clock, tmp_path):
    """Whatever is saved is as it was recorded, to the byte; what is not is counted."""
    waiting = {op.op_id: op for op in a_day(path, clock)}
    whole = path.read_bytes()
    dice = random.Random(34)
    found = 0
    for turn in range(40):
        damaged = bytearray(whole)
        for _ in range(8):
            place = dice.randrange(4096, len(damaged))
            damaged[place] ^= 1 << dice.randrange(8)
        file = tmp_path / f"till.db.damaged-{turn}"
        file.write_bytes(damaged)
        with look_into(file, damaged=True) as connection:
            read = read_out(connection, damaged=True)
        for op in read.ops:
            original = waiting[op.envelope["op_id"]]
            assert (op.body, op.link, op.seq) == (
                original.body,
                link(
                    original.op_id,
                    original.kind,
                    original.seq,
                    original.envelope["prev_hash"],
                    original.body,
                ),
                original.seq,
            )
        assert len(read.ops) + read.unreadable >= len(waiting) - 1
        found += len(read.ops)
    assert found > 40 * len(waiting) * 0.7


@pytest.mark.usefixtures("safe")
@pytest.mark.parametrize(
    ("was", "now"),
    [
        (b'"grand_total":100', b'"grand_total":900'),
        (b'"grand_total":100', b'"grand_total":"00'),
        (b'"grand_total":100', b'"grand_\xfe\xfftal":100'),
    ],
    ids=["another amount", "no JSON", "no text"],
)
def test_R34_a_sale_that_says_something_else_now_is_damage_too(path, clock, was, now):
    """SQLite looks at the structure of its pages, not at what stands in a row."""
    waiting = a_day(path, clock)
    content = path.read_bytes()
    victim = waiting[7].op_id.encode()
    place = content.index(was, content.index(b'"op_id":"' + victim))
    path.write_bytes(content[:place] + now + content[place + len(was) :])

    aside, _ = opened_damaged(path, clock)

    assert saved(aside) == [op.op_id for op in waiting if op.op_id != waiting[7].op_id]
    with DeviceStore.open(path, clock) as fresh:
        assert fresh.queued_count() == 0


@pytest.mark.usefixtures("safe")
def test_R34_a_device_that_does_not_know_itself_any_more_is_not_taken_for_a_new_one(path, clock):
    waiting = a_day(path, clock)
    content = path.read_bytes()
    path.write_bytes(
        content.replace(b'"device_id":"dev1","device_token"', b'"device_id":"dev1"<"device_token"')
    )

    aside, _ = opened_damaged(path, clock)

    bundle = unseal(aside.with_name(aside.name + ".bundle").read_bytes(), GivenSecret(SECRET))
    assert bundle.origin is None
    assert len(bundle.ops) == len(waiting)


def test_R34_a_file_that_could_not_be_opened_can_be_opened_later(path, clock):
    """The lock is not kept by a program that has nothing."""
    path.mkdir(parents=True)
    with pytest.raises(PlayParkError, match="cannot be used"):
        DeviceStore.open(path, clock)
    path.rmdir()

    DeviceStore.open(path, clock).close()


@pytest.mark.usefixtures("safe")
def test_R34_a_file_of_which_nothing_is_left_is_kept_too(path, clock):
    a_day(path, clock)
    path.write_bytes(b"\x00garbage" * 600)

    aside, said = opened_damaged(path, clock)

    assert aside.read_bytes() == b"\x00garbage" * 600
    assert f"playpark device export --data {aside}" in said


def test_R34_without_a_secret_the_person_is_told_how_to_save_it(path, clock, monkeypatch):
    monkeypatch.setitem(sys.modules, "keyring", None)
    monkeypatch.delenv(SECRET_VARIABLE, raising=False)
    a_day(path, clock)
    overwrite(path, page_of(path, "ops_pending"))

    aside, said = opened_damaged(path, clock)

    assert f"playpark device export --data {aside}" in said
    assert not list(path.parent.glob("*.bundle"))


@pytest.mark.usefixtures("safe")
def test_R34_a_second_damaged_file_does_not_replace_the_first(path, clock):
    for content in (b"first" * 900, b"second" * 900):
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
        opened_damaged(path, clock)

    kept = sorted(path.parent.glob("*.damaged-*"), key=lambda each: len(each.name))
    contents = [each.read_bytes() for each in kept if not each.name.endswith(".lock")]
    assert contents == [b"first" * 900, b"second" * 900]


@pytest.mark.usefixtures("safe")
def test_R34_the_log_is_kept_with_its_damaged_file(path, clock):
    """The newest sales stand in it."""
    a_day(path, clock)
    overwrite(path, page_of(path, "ops_pending"))
    store_log = b"a log that belongs to nothing"
    path.with_name("till.db-wal").write_bytes(store_log)

    aside, _ = opened_damaged(path, clock)

    assert not path.with_name("till.db-wal").exists()
    assert aside.exists()
    with DeviceStore.open(path, clock) as fresh:
        assert (fresh.identity, fresh.queued_count()) == (None, 0)


def test_R38_a_log_that_was_deleted_leaves_an_older_store_that_the_server_puts_right(
    path, clock, tmp_path
):
    """What was sold since the last checkpoint is gone; the rest holds together, and with the
    server's counters no number is given out twice."""
    with DeviceStore.open(path, clock) as store:
        store.save_identity(IDENTITY)
        before = [sell(store) for _ in range(3)]
        store._database.rows("PRAGMA wal_checkpoint(TRUNCATE)")
        for _ in range(2):
            sell(store)
        behind = tmp_path / "without its log.db"
        shutil.copy(path, behind)

    with DeviceStore.open(behind, clock) as store:
        assert store.pending() == before
        without_gap(store)
        again = sell(store)
        assert again.receipt_no == "03-S000004"
        store.open_epoch(Counters(epoch=1, seq=5, receipts={"S": 5}))
        assert sell(store).receipt_no == "03-S000006"
        assert [op.seq for op in store.pending()] == [1, 2, 3, 4, 5]


def test_R34_a_disk_that_fails_while_selling_says_so(store):
    sell(store)

    class Failing:
        in_transaction = True

        def execute(self, statement: str, *_: object) -> Any:
            if statement == "ROLLBACK":
                return None
            broken = sqlite3.OperationalError("disk I/O error")
            broken.sqlite_errorcode = sqlite3.SQLITE_IOERR_FSYNC
            raise broken

        def close(self) -> None:
            pass

    real, store._database._connection = store._database._connection, Failing()
    try:
        with pytest.raises(PlayParkError, match="full or failing"):
            sell(store)
    finally:
        store._database._connection = real
    assert store.queued_count() == 1
    assert sell(store).seq == 2
