"""R33, R50: one scan, one operation, two who decide: whatever the server booked and the gate did,
the books say what happened and what it cost."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from api.app import create_app
from gate.admission import Admission, Code, Verdict
from gate.allowlist import AllowList
from gate.answers import Answer, Level
from gate.deciding import Judge
from gate.ledger import Ledger
from gate.refreshing import Refresher
from playpark.client import ApiClient
from playpark.contracts.sync import OpKind
from playpark.contracts.tenancy import DeviceType
from playpark.device import DeviceStore, SyncEngine, login, pair
from tests.api.drawers import applied, sync, tell
from tests.api.inside import inside
from tests.api.offline import OfflineTill, row_of
from tests.api.selling import Park, sell
from tests.outside import Outsider

BATCH = "/v1/sync/batch"
SOON = 0.02
"""A guest's patience here, seconds: the answer is held back for as long as the test likes."""


class Wire(httpx.AsyncBaseTransport):
    """The line of one gate: holds a batch back before the server has it, or the answer after."""

    def __init__(self, park: Park) -> None:
        self._through = httpx.ASGITransport(app=create_app(park.inside.platform))
        self._open = {"request": asyncio.Event(), "answer": asyncio.Event()}
        self.heard = asyncio.Event()
        """The server has worked on a batch."""
        self.cut = False
        self.batches: list[bytes] = []
        self.let_go()

    def hold(self, what: str) -> None:
        """Batches wait: the `request` on its way there, or the `answer` on its way back."""
        self.heard.clear()
        self._open[what].clear()

    def let_go(self, *what: str) -> None:
        for each in what or self._open:
            self._open[each].set()

    async def worked(self) -> None:
        """Wait until the server has worked on the batch that is held."""
        await asyncio.wait_for(self.heard.wait(), 5)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if self.cut:
            raise httpx.ConnectError("unplugged", request=request)
        held = request.url.path.endswith(BATCH)
        if held:
            self.batches.append(request.content)
            await self._open["request"].wait()
            if self.cut:
                raise httpx.ConnectError("cut", request=request)
        answer = await self._through.handle_async_request(request)
        if held:
            self.heard.set()
            await self._open["answer"].wait()
            if self.cut:
                raise httpx.ReadError("cut", request=request)
        return answer


@dataclass
class Gate:
    """A gate at the Ball Pit on a disk of its own; `restart` ends the program and starts it."""

    park: Park
    folder: Path
    wire: Wire
    zone_id: str
    store: DeviceStore = field(init=False)
    own: AllowList = field(init=False)
    judge: Judge = field(init=False)
    engine: SyncEngine = field(init=False)
    admission: Admission = field(init=False)
    client: ApiClient = field(init=False)

    @property
    def device_id(self) -> str:
        assert self.store.identity is not None
        return self.store.identity.device_id

    @property
    def clock(self) -> Any:
        return self.park.inside.clock

    async def start(self) -> None:
        self.store = DeviceStore.open(self.folder / "device.db", self.clock)
        self.own = AllowList(self.folder / "allowlist.db")
        self.client = ApiClient("http://park", transport=self.wire)
        if self.store.identity is None:
            await pair(self.store, self.client, "DEMO-MAIN-GATE", DeviceType.GATE, "Gate")
            self.store.save_catalog(await self.client.catalog())
        else:
            await login(self.store, self.client)
        self.judge = Judge(self.store, self.own, Ledger())
        self.judge.load(self.clock.now())
        self.engine = SyncEngine(self.store, self.client, self.clock, deadline=SOON)
        self.admission = Admission(
            self.store,
            self.engine,
            self.clock,
            zone_id=self.zone_id,
            deadline=SOON,
            judge=self.judge,
        )
        self.engine.note(None)

    async def stop(self) -> None:
        await self.client.close()
        self.own.close()
        self.store.close()

    async def restart(self) -> None:
        """The program dies with what is on the line, and begins again."""
        await self.cut_off()
        await self.stop()
        await self.start()

    async def refresh(self) -> None:
        """The gate's list, as the server has it now."""
        await Refresher(self.store, self.client, self.clock, self.own, self.judge).refresh()

    async def show(self, token: str) -> Verdict:
        return await self.admission.admit(Code(token))

    async def unheard(self, token: str, *, heard: str) -> Verdict:
        """A showing without an answer in time. The server has `heard` it "at once", "afterwards",
        when the gate had decided by itself, or "with what happened": the first copy was lost."""
        self.wire.hold("answer")
        if heard == "at once":
            asked = asyncio.create_task(self.show(token))
            await self.wire.worked()
            return await asked
        self.wire.hold("request")
        verdict = await self.show(token)
        if heard == "afterwards":
            self.wire.let_go("request")
            await self.wire.worked()
        else:
            await self.cut_off()
        return verdict

    async def cut_off(self) -> None:
        """What is on the line is lost, and nobody waits for it any more."""
        self.wire.cut = True
        self.wire.let_go()
        await asyncio.gather(*self.engine._attempts)
        self.wire.cut = False

    async def late(self, verdict: Verdict) -> Answer | None:
        """What is told about it when all have spoken."""
        coming = self.admission.answered(str(verdict.pending))
        await self.deliver()
        return await asyncio.wait_for(coming, 5)

    async def deliver(self) -> None:
        """All that is queued reaches the server, and its answers come back."""
        self.wire.let_go()
        async with asyncio.timeout(10):
            while self.store.queued_count():
                await self.engine.drain()


@dataclass
class Books:
    """What the server says of one ticket and its showings."""

    park: Park
    ticket_id: str

    async def rows(self) -> list[dict[str, Any]]:
        found = self.park.db.redemptions.find({"ticket_id": self.ticket_id})
        return list(await found.sort([("occurred_at", 1), ("op_id", 1)]).to_list(None))

    async def told(self, row: dict[str, Any]) -> list[str]:
        """The events about a showing."""
        found = await self.park.db.events.find({"data.redemption_id": row["_id"]}).to_list(None)
        return [each["type"] for each in sorted(found, key=lambda each: str(each["_id"]))]

    async def audited(self, row: dict[str, Any]) -> list[str]:
        found = await self.park.db.audits.find({"entity_id": row["_id"]}).to_list(None)
        return [each["event_type"] for each in found]

    async def used(self) -> int:
        return int((await self.park.db.tickets.find_one({"ticket_id": self.ticket_id}))["used"])

    async def state(self) -> list[Any]:
        """All of it, to see that nothing changes any more."""
        rows = await self.rows()
        events = [await self.told(row) for row in rows]
        audits = [await self.audited(row) for row in rows]
        return [rows, events, audits, await self.used()]


@pytest.fixture(scope="module")
async def park(mongo_uri: str, database: str) -> AsyncIterator[Park]:
    async with inside(mongo_uri, f"{database}_outcomes") as opened:
        yield await Park.of(opened)


@pytest.fixture(scope="module")
async def till(park: Park) -> Outsider:
    return await park.till()


@pytest.fixture(scope="module")
async def zone_id(park: Park) -> str:
    known = await park.catalog()
    return str(next(each["zone_id"] for each in known["zones"] if each["name"] == "Ball Pit"))


@pytest.fixture
async def gate(park: Park, zone_id: str, tmp_path: Path) -> AsyncIterator[Gate]:
    opened = Gate(park, tmp_path, Wire(park), zone_id)
    await opened.start()
    yield opened
    await opened.cut_off()
    await opened.stop()


async def inside_zone(park: Park, zone_id: str) -> int:
    found = park.db.occupancy.find({"zone_id": zone_id})
    return sum(each["entries"] - each["exits"] for each in await found.to_list(None))


@dataclass(frozen=True)
class Outcome:
    """What the books say of the scan. `used`: of the ticket, by whomever."""

    result: str
    gate_result: str | None
    annulled: str | None
    told: list[str]
    audited: list[str]
    used: int


PASSED, REFUSED = "ticket.redeemed.pass", "ticket.redeemed.fail"
OUTCOMES = {
    ("pass", "pass"): Outcome("pass", None, None, [PASSED], [], 1),
    ("fail", "fail"): Outcome("fail", None, None, [REFUSED], [], 1),
    ("fail", "pass"): Outcome(
        "fail", "pass", None, ["ticket.conflict", REFUSED], ["redemption.conflict"], 1
    ),
    ("pass", "fail"): Outcome(
        "pass",
        "fail",
        "not_admitted",
        ["ticket.redeemed.annulled", PASSED],
        ["redemption.annulled"],
        0,
    ),
}
"""By what the server says of the scan alone, and what the gate's list says."""


def outcome(server: str, here: str, heard: str) -> Outcome:
    expected = OUTCOMES[server, here]
    if (server, here, heard) == ("pass", "pass", "with what happened"):
        return replace(expected, gate_result="pass")
    return expected


async def disagree(gate: Gate, ticket: dict[str, Any], server: str, here: str) -> None:
    """Let the list of the gate say `here` of a ticket, and the server `server`."""
    other, token = await gate.park.inside.device("GATE"), ticket["qr_token"]
    if here == "pass":
        await gate.refresh()
    if "fail" in {server, here}:
        used = await tell(other, "POST", "/redemptions", {"qr_token": token})
        assert used["result"] == "pass"
    if here == "fail":
        await gate.refresh()
        if server == "pass":
            path = f"/redemptions/{used['redemption_id']}/annul"
            await tell(other, "POST", path, {})
    gate.clock.advance(timedelta(seconds=10))


@pytest.mark.parametrize("restarted", [False, True], ids=["goes on", "restarted"])
@pytest.mark.parametrize("heard", ["at once", "afterwards", "with what happened"])
@pytest.mark.parametrize("says", OUTCOMES, ids=lambda says: f"server {says[0]}, gate {says[1]}")
async def test_R33_R50_the_four_outcomes_of_one_scan(
    gate: Gate, till: Outsider, says: tuple[str, str], heard: str, *, restarted: bool
) -> None:
    server, here = says
    ticket = (await sell(till, gate.park.adult()))["tickets"][0]
    token, books = ticket["qr_token"], Books(gate.park, ticket["ticket_id"])
    await disagree(gate, ticket, server, here)
    before = await inside_zone(gate.park, gate.zone_id)

    verdict = await gate.unheard(token, heard=heard)

    assert verdict.answer.local
    assert verdict.answer.word == {"pass": "PASS", "fail": "NO"}[here]
    (op,) = gate.store.recent([OpKind.REDEMPTION], 9)
    assert (op.op_id, op.committed, op.local and op.local.result) == (verdict.op_id, True, here)
    if restarted:
        await gate.restart()
        await gate.deliver()
    else:
        late = await gate.late(verdict)
        assert (late is not None and late.level is Level.LATE) == (server != here)
    rows = [row for row in await books.rows() if row["device_id"] == gate.device_id]
    (row,) = rows
    found = Outcome(
        row["result"],
        row["gate_result"],
        row["annulled_because"],
        sorted(await books.told(row)),
        await books.audited(row),
        await books.used(),
    )
    assert (row["op_id"], found) == (verdict.op_id, outcome(server, here, heard))
    assert await inside_zone(gate.park, gate.zone_id) == before + (here == "pass")
    # Whatever comes again changes nothing, and is answered as the first time.
    state = await books.state()
    for _ in range(2):
        result = await gate.engine.submit(op.op_id, 5, patient=True)
        assert result is not None
        assert result.result is not None
        assert result.result["result"] == server
    assert await books.state() == state
    assert await inside_zone(gate.park, gate.zone_id) == before + (here == "pass")
    gate.clock.advance(timedelta(seconds=10))
    await gate.refresh()
    again = await gate.show(token)
    assert (again.answer.word == "PASS") == (says == ("pass", "fail"))


@pytest.mark.parametrize("order", ["gate first", "till first"])
async def test_R20_R23_a_tills_paper_over_an_answered_sale_admits_once_and_the_books_say_so(
    gate: Gate, order: str
) -> None:
    """The sale was answered and nobody heard it; the gate's list has the server's token, its guest
    the paper of the till, and neither till nor gate has a line."""
    offline = await OfflineTill.of(gate.park)
    ticket = offline.ticket()
    sent = await offline.op(ticket, tokens=None)
    await applied(offline.till, sent)
    await gate.refresh()
    gate.wire.cut = True
    token, books = offline.token(ticket), Books(gate.park, ticket.ticket_id)

    words = []
    for _ in range(3):
        words.append((await gate.show(token)).answer.word)
        gate.clock.advance(timedelta(seconds=10))

    assert words == ["PASS", "NO", "NO"]
    gate.wire.cut = False
    tells = sent | {"local": {"printed": True, "tokens": [[token]]}}
    if order == "till first":
        await sync(offline.till, tells)
    await gate.deliver()
    if order == "gate first":
        await sync(offline.till, tells)
    rows = [(row["result"], row["gate_result"], row["annulled_at"]) for row in await books.rows()]
    assert rows == [("pass", "pass", None), ("fail", "fail", None), ("fail", "fail", None)]
    row = await row_of(gate.park, ticket)
    assert row is not None
    assert (row["kid"], row["used"], row["status"]) == (ticket.key_id, 1, "active")
    await gate.refresh()
    assert (await gate.show(token)).answer.word == "NO"
