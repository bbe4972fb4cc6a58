"""Exports: all that only the device has, for nobody without the key, and what a person does with
them on the command line (R34, R37, R38)."""

import asyncio
import json
import re
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest
import typer
from click.testing import Result
from typer.testing import CliRunner

from playpark.client import ApiClient
from playpark.clock import FixedClock, SystemClock
from playpark.contracts.employees import EmployeeView
from playpark.contracts.sync import Counters, LocalOutcome, OpKind, OpResult, OpStatus
from playpark.device import Allocator, DeviceStore, StoredOp, pair
from playpark.device import bundle as bundles
from playpark.device.bundle import Bundle, export, hand_in, seal, unseal
from playpark.device.cli import register
from playpark.device.offline_login import Cost, OfflinePeople
from playpark.device.readout import look_into, read_out
from playpark.device.safe import SECRET_VARIABLE, GivenSecret
from playpark.errors import ErrorCode, PlayParkError
from playpark.ids import ReceiptSeries
from tests.device.conftest import IDENTITY, NOW
from tests.device.old_files import old_file

PASSPHRASE = "correct horse battery"
SAFE = GivenSecret("a secret of this till's environment")


def sell(store: DeviceStore, **options: Any) -> StoredOp:
    def body(allocator: Allocator) -> dict[str, Any]:
        return {"receipt_no": allocator.receipt_no(ReceiptSeries.SALE)}

    return store.append(OpKind.SALE, body, occurred_at=NOW, committed=True, **options)


def answer(store: DeviceStore, op: StoredOp, status: OpStatus, **more: Any) -> StoredOp:
    return store.record_result(op, OpResult(op_id=op.op_id, status=status, **more))


def refuse(store: DeviceStore, op: StoredOp, **more: Any) -> StoredOp:
    return answer(store, op, OpStatus.REJECTED, code="E_VALIDATION", message="bad", **more)


def a_week(path: Path, clock: FixedClock) -> dict[str, StoredOp]:
    """One sale of each fate, and one of a later epoch with a ticket that the till signed."""
    with DeviceStore.open(path, clock) as store:
        store.save_identity(IDENTITY)
        ops = {name: sell(store) for name in ("booked", "refused", "over", "waiting")}
        answer(store, ops["booked"], OpStatus.APPLIED)
        ops["refused"] = refuse(store, ops["refused"])
        refuse(store, ops["over"], dead_letter_id="dl1")
        store.hand_over(ops["over"].op_id)
        asked = store.append(OpKind.REPRINT, lambda _: {}, occurred_at=NOW)
        ops["asked"] = refuse(store, asked)
        store.open_epoch(Counters(epoch=1, seq=9, receipts={"S": 7}))
        ops["waiting"] = store.op(ops["waiting"].op_id)
        ops["last"] = sell(store, local=LocalOutcome(printed=True, tokens=[["PP2.SECRET"]]))
        return ops


def exported(path: Path, target: Path) -> Bundle:
    export(path, target, SAFE, NOW, damaged=False)
    return unseal(target.read_bytes(), SAFE)


# --- what is in it ----------------------------------------------------------------------


def test_R37_an_export_holds_what_only_the_device_has_as_it_stands(path, clock, tmp_path):
    ops = a_week(path, clock)

    made = exported(path, tmp_path / "out.bundle")

    wanted = [ops["refused"], ops["waiting"], ops["last"]]
    assert [op.to_op_in() for op in made.ops] == [op.to_op_in() for op in wanted]
    assert [(op.epoch, op.seq, op.state) for op in made.ops] == [
        (op.epoch, op.seq, op.state) for op in wanted
    ]
    assert made.ops[0].message == "bad"
    assert (made.epoch, made.counters["receipt:S"]) == (2, 8)
    assert made.origin.model_dump() == {
        "device_id": "dev1",
        "device_code": "03",
        "name": "till 03",
        "api_url": "http://park",
        "tenant_id": "t1",
        "store_id": "st1",
    }


def test_R34_an_export_holds_no_secret_of_the_device(path, clock, tmp_path):
    a_week(path, clock)

    made = exported(path, tmp_path / "out.bundle")

    text = made.model_dump_json()
    assert IDENTITY.device_token not in text
    assert IDENTITY.short_code_key not in text


def test_R34_an_export_is_closed_to_everybody_without_its_key(path, clock, tmp_path):
    a_week(path, clock)
    target = tmp_path / "out.bundle"
    export(path, target, PASSPHRASE, NOW, damaged=False)
    content = target.read_bytes()

    for word in (b"PP2.SECRET", b"03-S0000", b"dev1", b"sale"):
        assert word not in content
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    for key in ("another passphrase", SAFE, GivenSecret("another secret of another place")):
        with pytest.raises(PlayParkError) as refused:
            unseal(content, key)
        assert refused.value.code is ErrorCode.VALIDATION
    assert len(unseal(content, PASSPHRASE).ops) == 3


def test_R34_a_changed_export_does_not_open(path, clock, tmp_path):
    a_week(path, clock)
    export(path, tmp_path / "out.bundle", SAFE, NOW, damaged=False)
    content = (tmp_path / "out.bundle").read_bytes()
    lock, _, sealed = content.partition(b"\n")
    swapped = bytes(sealed[:60]) + (b"A" if sealed[60:61] != b"A" else b"B") + bytes(sealed[61:])

    for damaged in (b"", b"{}\n", b"garbage", content[:-40], lock + b"\n" + swapped):
        with pytest.raises(PlayParkError) as refused:
            unseal(damaged, SAFE)
        assert refused.value.code is ErrorCode.VALIDATION


def test_R34_a_short_passphrase_is_refused():
    empty = Bundle(made_at=NOW, origin=None, epoch=1, counters={}, ops=[])

    with pytest.raises(PlayParkError, match="12 characters"):
        seal(empty, "eleven char")


def test_R37_an_export_does_not_replace_another_and_is_whole_or_not_there(path, clock, tmp_path):
    a_week(path, clock)
    (tmp_path / "out.bundle").write_text("the only copy of something")
    (tmp_path / "file").write_text("in the way")

    with pytest.raises(PlayParkError, match="choose another name"):
        export(path, tmp_path / "out.bundle", SAFE, NOW, damaged=False)
    with pytest.raises(PlayParkError, match="choose another folder"):
        export(path, tmp_path / "file" / "out.bundle", SAFE, NOW, damaged=False)

    assert (tmp_path / "out.bundle").read_text() == "the only copy of something"
    assert not list(tmp_path.glob("*.part"))


@pytest.mark.parametrize("version", [1, 2])
def test_R37_a_file_of_an_earlier_program_is_exported_without_taking_it_over(
    path, tmp_path, version
):
    _, *waiting = old_file(path, version)

    made = exported(path, tmp_path / "out.bundle")

    assert [op.envelope["op_id"] for op in made.ops] == waiting
    assert not list(path.parent.glob("*.v*"))


def test_R34_a_file_of_a_newer_program_is_for_that_program_to_export(path, clock, tmp_path):
    with DeviceStore.open(path, clock) as store, store._database.transaction() as connection:
        connection.execute("UPDATE schema_version SET version = 99")

    with pytest.raises(PlayParkError, match="install the newer program"):
        export(path, tmp_path / "out.bundle", SAFE, NOW, damaged=False)

    assert not (tmp_path / "out.bundle").exists()


def test_R34_one_process_has_the_file_for_exports_too(path, store, tmp_path):
    sell(store)

    with pytest.raises(PlayParkError) as refused:
        export(path, tmp_path / "out.bundle", SAFE, NOW, damaged=False)

    assert refused.value.code is ErrorCode.CONFLICT
    assert "in use by another running program" in refused.value.message


def test_R37_a_till_at_work_exports_itself(path, clock, tmp_path):
    a_week(path, clock)
    with DeviceStore.open(path, clock) as store:
        made = store.export(tmp_path / "first.bundle", PASSPHRASE)
        assert unseal((tmp_path / "first.bundle").read_bytes(), PASSPHRASE) == made
        assert made == Bundle.model_validate_json(
            exported_again(store, tmp_path / "second.bundle").model_dump_json()
        )
    assert run("unpair", "--data", path, "--yes").exit_code == 0


def exported_again(store: DeviceStore, target: Path) -> Bundle:
    with pytest.raises(PlayParkError, match="12 characters"):
        store.export(target, "short")
    return store.export(target, SAFE)


# --- handing in -------------------------------------------------------------------------


class Office:
    """Takes bundles; `refuses` from that batch on."""

    def __init__(self, refuses: int = 10**6) -> None:
        self.bodies: list[dict[str, Any]] = []
        self.stores: list[str | None] = []
        self.refuses = refuses

    def client(self) -> ApiClient:
        return ApiClient("http://park", transport=httpx.MockTransport(self._answer))

    def _answer(self, request: httpx.Request) -> httpx.Response:
        assert request.url.path == "/v1/sync/bundles"
        if len(self.bodies) >= self.refuses:
            error = {"code": "E_PERMISSION", "message": "not you"}
            return self._response(403, error=error)
        body = json.loads(request.content)
        self.bodies.append(body)
        self.stores.append(request.url.params.get("store_id"))
        return self._response(200, data={"kept": len(body["ops"]) - 1, "known": 1})

    @staticmethod
    def _response(status: int, data: Any = None, error: Any = None) -> httpx.Response:
        envelope = {"server_time": NOW.isoformat(), "request_id": "r", "data": data, "error": error}
        return httpx.Response(status, json=envelope)


async def test_R37_an_export_is_handed_in_in_batches_of_one_epoch(path, clock, tmp_path):
    with DeviceStore.open(path, clock) as store:
        store.save_identity(IDENTITY)
        stays = [sell(store) for _ in range(3)]
        for op in stays:
            refuse(store, op)
        store.open_epoch(Counters(epoch=1, seq=3))
        for _ in range(120):
            sell(store)
    made = exported(path, tmp_path / "out.bundle")
    office = Office()

    async with office.client() as client:
        said = await hand_in(client, made, "dev1")

    assert [(body["epoch"], len(body["ops"])) for body in office.bodies] == [
        (1, 3),
        (2, 50),
        (2, 50),
        (2, 20),
    ]
    assert {body["device_id"] for body in office.bodies} == {"dev1"}
    sent = [op for body in office.bodies for op in body["ops"]]
    as_synced = [op.to_op_in().model_dump(mode="json", exclude_unset=True) for op in made.ops]
    assert sent == as_synced
    assert (said.kept, said.known) == (119, 4)


async def test_R44_it_is_handed_in_at_the_store_of_its_device(path, clock, tmp_path):
    a_week(path, clock)
    made = exported(path, tmp_path / "out.bundle")
    assert made.origin is not None
    office = Office()

    async with office.client() as client:
        there = made.origin.model_copy(update={"store_id": "st2"})
        await hand_in(client, made.model_copy(update={"origin": there}), "dev1")
        await hand_in(client, made.model_copy(update={"origin": None}), "dev1")

    assert set(office.stores) == {"st2", None}


async def test_R56_big_operations_go_in_smaller_batches(path, clock, tmp_path):
    with DeviceStore.open(path, clock) as store:
        store.save_identity(IDENTITY)
        for _ in range(4):
            store.append(OpKind.SALE, lambda _: {"note": "x" * 1_300_000}, occurred_at=NOW)
    made = exported(path, tmp_path / "out.bundle")
    office = Office()

    async with office.client() as client:
        await hand_in(client, made, "dev1")

    assert [len(body["ops"]) for body in office.bodies] == [2, 2]


async def test_R37_what_the_office_refuses_is_told(path, clock, tmp_path):
    a_week(path, clock)
    made = exported(path, tmp_path / "out.bundle")

    async with Office(refuses=1).client() as client:
        with pytest.raises(PlayParkError, match="not you"):
            await hand_in(client, made, "dev1")


# --- the command line -------------------------------------------------------------------


def run(*words: object, typed: str = "", secret: str | None = None) -> Result:
    app = typer.Typer(pretty_exceptions_enable=False)
    app.callback()(lambda: None)
    register(app)
    env = {SECRET_VARIABLE: secret}
    return CliRunner(env=env).invoke(app, ["device", *map(str, words)], input=typed)


def refusal(result: Result) -> PlayParkError:
    assert isinstance(result.exception, PlayParkError), result.output
    return result.exception


def test_R35_status_shows_what_waits_and_what_was_refused_and_no_secret(path, clock):
    ops = a_week(path, clock)
    with DeviceStore.open(path, clock) as store:
        store.save_clock(-1500, NOW)
        nok = EmployeeView(employee_id="e1", name="Nok", roles=[], permissions=[])
        OfflinePeople(store, SAFE, Cost(8, 1)).remember(nok, "nok@park.example", "2580", NOW)

    said = run("status", "--data", path.parent).output

    for words in (
        "Device      03 (dev1)",
        "Server      http://park",
        "Waiting     2 operations, since 2026-11-21 08:42 UTC",
        "Quarantine  1 operations",
        f"{ops['refused'].op_id} sale 03-S000002 E_VALIDATION: bad",
        "Exported    no, or changed since",
        "Epoch       2, sequence 2",
        "Numbers     S 8",
        "People      1 may log in",
        "-1500 ms",
        "Certificate none",
    ):
        assert words in said
    assert IDENTITY.device_token not in said
    assert "PP2" not in said


def test_R37_a_person_exports_with_a_passphrase_and_the_device_knows_it(path, clock, tmp_path):
    a_week(path, clock)

    said = run(
        *("export", "--data", path.parent, "--to", tmp_path),
        typed=f"{PASSPHRASE}\n{PASSPHRASE}\n",
    )

    assert "Saved 3 operations" in said.output
    assert PASSPHRASE not in said.output
    [target] = tmp_path.glob("*.bundle")
    assert len(unseal(target.read_bytes(), PASSPHRASE).ops) == 3
    assert "Exported    as it stands" in run("status", "--data", path).output


def test_R37_a_damaged_file_is_exported_by_its_name(path, clock, tmp_path):
    ops = a_week(path, clock)
    aside = path.with_name("till.db.damaged-20261121T084200")
    path.rename(aside)
    content = aside.read_bytes()
    place = content.rindex(b'"receipt_no":"03-S000008"')
    aside.write_bytes(content[:place] + b'"receipt_no":"03-S000009"' + content[place + 25 :])

    said = run(
        *("export", "--data", aside, "--to", tmp_path / "what is left", "--safe"),
        secret=SAFE.value,
    )

    assert "Saved 2 operations" in said.output
    assert "1 could not be read" in said.output
    made = unseal((tmp_path / "what is left").read_bytes(), SAFE)
    assert {op.envelope["op_id"] for op in made.ops} == {
        ops["refused"].op_id,
        ops["waiting"].op_id,
    }


def test_R37_unpairing_waits_until_nothing_is_left_or_everything_is_exported(path, clock, tmp_path):
    a_week(path, clock)

    refused = refusal(run("unpair", "--data", path, "--yes"))
    assert refused.code is ErrorCode.CONFLICT
    assert "2 operations wait for the server and 1 were refused" in refused.message

    export(path, tmp_path / "first.bundle", SAFE, NOW, damaged=False)
    with DeviceStore.open(path, clock) as store:
        sell(store)
    assert refusal(run("unpair", "--data", path, "--yes")).code is ErrorCode.CONFLICT

    export(path, tmp_path / "second.bundle", SAFE, NOW, damaged=False)
    said = run("unpair", "--data", path, "--yes").output

    assert not path.exists()
    aside = Path(re.search(r"Kept as (\S+)\. ", said)[1])
    with look_into(aside) as connection:
        assert len(read_out(connection).ops) == 4
    with DeviceStore.open(path, clock) as fresh:
        assert fresh.identity is None


def test_R37_a_device_that_owes_nothing_is_unpaired_at_once(path, clock):
    with DeviceStore.open(path, clock) as store:
        store.save_identity(IDENTITY)
        answer(store, sell(store), OpStatus.APPLIED)

    assert run("unpair", "--data", path, typed="n\n").exit_code == 1
    assert path.exists()
    assert run("unpair", "--data", path, typed="y\n").exit_code == 0
    assert not path.exists()


def test_R34_unpairing_and_looking_wait_for_the_program_that_has_the_file(path, store):
    for command in ("status", "unpair"):
        words = [command, "--data", path, *(["--yes"] if command == "unpair" else [])]
        assert refusal(run(*words)).code is ErrorCode.CONFLICT
    assert path.exists()


@pytest.mark.parametrize("command", ["status", "export", "unpair"])
def test_a_folder_without_a_device_is_one_sentence(tmp_path, command):
    words = [command, "--data", tmp_path, *(["--yes"] if command == "unpair" else [])]

    assert "no data of a device" in refusal(run(*words)).message


def test_a_file_that_is_no_export_is_one_sentence(tmp_path):
    (tmp_path / "photo.jpg").write_bytes(b"\xff\xd8")

    for name in ("photo.jpg", "nothing"):
        words = ("import", tmp_path / name, "--email", "owner@demo.playpark")
        assert "export" in refusal(run(*words)).message


def test_an_export_of_a_device_that_could_not_be_read_asks_whose_it_is(tmp_path):
    empty = Bundle(made_at=NOW, origin=None, epoch=1, counters={}, ops=[])
    bundles.write(seal(empty, SAFE), tmp_path / "x.bundle")

    refused = refusal(
        run("import", tmp_path / "x.bundle", "--email", "a@b.example", secret=SAFE.value)
    )

    assert "add --api, --tenant and --device" in refused.message


async def test_R37_an_export_waits_for_a_review_on_a_real_server(api_url, tmp_path):
    """A till whose line is dead: its sales reach the office in somebody's pocket."""
    path = tmp_path / "till" / "till.db"
    with DeviceStore.open(path, SystemClock()) as store:
        async with ApiClient(api_url) as client:
            await pair(store, client, "DEMO-MAIN-GATE", "POS", "Till without a line")
        sell(store), sell(store)
    export(path, tmp_path / "out.bundle", SAFE, NOW, damaged=False)

    words = ["device", "import", str(tmp_path / "out.bundle"), "--email", "owner@demo.playpark"]
    program = (
        "import sys; import typer; from playpark.cli import main\n"
        "typer.prompt = lambda *_, **__: '8888'\n"
        "sys.argv = ['playpark', *sys.argv[1:]]; main()"
    )

    def hand_it_in() -> str:
        run = subprocess.run(
            [sys.executable, "-c", program, *words],
            check=False,
            capture_output=True,
            text=True,
            env={SECRET_VARIABLE: SAFE.value},
        )
        return run.stdout + run.stderr

    for said in (
        "2 operations wait for a review; 0 were known already.\n",
        "0 operations wait for a review; 2 were known already.\n",
    ):
        assert await asyncio.to_thread(hand_it_in) == said
