"""From the till's printer to the gate's answer, on real parts: every kind of ticket, both formats
of token, both widths of paper (R18, R21, R22)."""

import asyncio
import os
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import zxingcpp
from PIL import Image

from api.demo_park import demo_id
from demo.film import film
from demo.paper import PaperRoll
from demo.story import SITE_KEY
from gate.answers import Level, Scan
from gate.sources import open_source
from gate.station import Station
from playpark.client import ApiClient
from playpark.clock import SystemClock, business_date, business_day_start, park_zone
from playpark.contracts.catalog import PackageKind, PackageView
from playpark.contracts.sync import LocalOutcome, OpKind
from playpark.contracts.tickets import FailReason, TicketStatus, TicketView
from playpark.device import Allocator, DeviceStore, OpState, StoredOp
from playpark.device.safe import SECRET_VARIABLE
from playpark.device.till_key import Wanted
from playpark.ids import ReceiptSeries
from playpark.offline_tickets import named_ticket
from playpark.printing.document import Paper
from playpark.printing.interpreter import interpret
from playpark.printing.transport import PrinterTarget
from terminal.printer import PaperPrinter
from terminal.sale import ticket_paper
from terminal.till import Till
from tests.conftest import running_api
from tests.outside import CASHIER, Outsider

EVERY_KIND = ("Carousel ride", "10 entries", "2-hour pass", "Play credit 500", "Family bundle")
OWNER = {"email": "owner@demo.playpark", "pin": "8888"}
ZONE = "Ball Pit"
WIDTHS = {58: Paper.MM58, 80: Paper.MM80}
FULL = bool(os.environ.get("PLAYPARK_FULL"))
"""Both tokens on both papers; in `make test` one of each."""
PATIENCE = 20.0
ONCE = {PackageKind.SINGLE}


@pytest.fixture(scope="module")
def url(mongo_uri: str, database: str) -> Iterator[str]:
    with running_api(mongo_uri, f"{database}_paper_to_gate") as url:
        yield url


async def roll_out(url: str, width: int) -> None:
    """The store prints on paper of this width from now on."""
    async with httpx.AsyncClient(base_url=url, timeout=30) as http:
        owner = await (await Outsider(http).pair("ADMIN")).staff(**OWNER)
        store = demo_id("store", "main-gate")
        await owner.data("PATCH", f"/v1/stores/{store}", {"paper_width_mm": width})


@dataclass
class Desk:
    """A till in the middle of a shift, and the paper that comes out of its printer."""

    till: Till
    printer: PaperPrinter
    roll: PaperRoll
    width: Paper

    async def pages(self, count: int) -> list[Image.Image]:
        """So many printed papers; nothing on them that a printer does not know."""
        async with asyncio.timeout(PATIENCE):
            while len(self.roll.jobs) < count:  # noqa: ASYNC110 - paper has no event of its own
                await asyncio.sleep(0.02)
        printed = [interpret(job, self.width) for job in self.roll.jobs]
        assert [each.unknown for each in printed] == [()] * len(printed)
        return [page for each in printed for page in each.pages]


@asynccontextmanager
async def counter(url: str, folder: Path, width: int) -> AsyncIterator[Desk]:
    clock = SystemClock()
    with (
        PaperRoll() as roll,
        DeviceStore.open(folder / "till" / "device.db", clock) as store,
    ):
        client = ApiClient(url)
        printer = PaperPrinter(PrinterTarget.parse(roll.address), store)
        till = Till(store, client, clock, printer)
        printing = asyncio.create_task(till.papers.run())
        try:
            await till.pair(SITE_KEY, "Paper till")
            await till.log_in(CASHIER["email"], CASHIER["pin"])
            await till.open_shift(100_000)
            yield Desk(till, printer, roll, WIDTHS[width])
        finally:
            printing.cancel()
            await till.close()


def ring(till: Till) -> int:
    """One of every kind; what it costs, satang."""
    ids = {package.name: package.package_id for package in till.packages}
    for name in EVERY_KIND:
        till.add(ids[name], 1)
    assert till.priced is not None
    return till.priced.grand_total


async def sold_online(desk: Desk) -> list[str]:
    """The ids of the tickets that a sale has printed, PP1."""
    op = await desk.till.pay_cash(ring(desk.till))
    await desk.till.deliver(op)
    return [each for line in op.body["ticket_ids"] for each in line]


async def sold_offline(desk: Desk) -> tuple[StoredOp, list[str]]:
    """A sale whose tickets the till has signed and printed by itself, PP2; the server has not heard
    of it."""
    till, total = desk.till, ring(desk.till)
    certificate = await till.offline_tickets.renew(till.counter.client, till.counter.clock.now())
    assert certificate is not None
    papers: list[TicketView] = []
    tokens: list[list[str]] = []
    op = await till.counter.append(
        OpKind.SALE,
        lambda allocator: _body(till, allocator, total, papers, tokens),
        local=lambda *_: LocalOutcome(printed=True, tokens=tokens),
    )
    for paper in papers:
        await asyncio.to_thread(desk.printer.put_out, ticket_paper(paper))
    return op, [paper.ticket_id for paper in papers]


def _body(
    till: Till,
    allocator: Allocator,
    total: int,
    papers: list[TicketView],
    tokens: list[list[str]],
) -> dict[str, Any]:
    assert till.counter.catalog is not None
    by_id = {each.package_id: each for each in till.counter.catalog.packages}
    named = {each.name: each for each in till.packages}
    now = till.counter.clock.now()
    lines = [[*_parts(named[name], by_id)] for name in EVERY_KIND]
    views = [[_view(allocator, part, now) for part in parts] for parts in lines]
    tokens += [
        till.offline_tickets.sign(allocator, [_wanted(each) for each in line], now)
        for line in views
    ]
    for line, of_line in zip(views, tokens, strict=True):
        papers += [
            view.model_copy(update={"qr_token": token})
            for view, token in zip(line, of_line, strict=True)
        ]
    return {
        "lines": [{"package_id": named[name].package_id, "qty": 1} for name in EVERY_KIND],
        "payments": [{"method": "cash", "amount": total}],
        "receipt_no": allocator.receipt_no(ReceiptSeries.SALE),
        "ticket_ids": [[each.ticket_id for each in line] for line in views],
        "short_codes": [[each.short_code for each in line] for line in views],
        "business_date": business_date(now, park_zone(None)).isoformat(),
    }


def _parts(package: PackageView, by_id: dict[str, PackageView]) -> Iterator[PackageView]:
    if package.kind is not PackageKind.BUNDLE:
        yield package
    for part in package.components:
        yield from [by_id[part.package_id]] * part.qty


def _view(allocator: Allocator, package: PackageView, now: datetime) -> TicketView:
    zone = park_zone(None)
    day = business_date(now, zone)
    until = day + timedelta(days=package.valid_days)
    return TicketView(
        ticket_id=allocator.ticket_id(),
        short_code=allocator.short_code(),
        qr_token=None,
        kind=package.kind,
        package_id=package.package_id,
        package_name=package.name,
        package_name_th=package.name_th,
        quota_or_minutes=package.quota_or_minutes,
        valid_from=business_day_start(day, zone),
        valid_to=business_day_start(until, zone),
        payable=package.price,
    )


def _wanted(view: TicketView) -> Wanted:
    return Wanted(view.ticket_id, view.package_id, view.valid_from, view.valid_to)


async def at_the_gate(url: str, folder: Path, pages: list[Image.Image]) -> list[Scan]:
    """Film the papers and show the film to a gate; the last answer to each showing."""
    video = folder / "film.avi"
    await asyncio.to_thread(film, pages, video, seed=22, seconds_per_ticket=0.6)
    clock = SystemClock()
    answers: dict[int, Scan] = {}
    store = DeviceStore.open(folder / "gate" / "device.db", clock)
    source = open_source(str(video))
    station = Station(store, clock, source, api_url=url, zone=ZONE, deadline=PATIENCE)
    async with station:  # which closes the store
        await station.connect(site_key=SITE_KEY, name="Paper gate")
        async for scan in station.scans(live=False):
            answers[scan.number] = scan
    return list(answers.values())


def ids_on(pages: list[Image.Image]) -> list[str | None]:
    """The tickets that the papers name, as any reader has them."""
    read = [zxingcpp.read_barcodes(page.convert("L")) for page in pages]
    return [named_ticket(codes[0].text) if codes else None for codes in read]


def told(scans: list[Scan]) -> list[tuple[str, Level]]:
    redeemed = [scan.answer.redemption for scan in scans]
    assert all(redeemed)
    return [
        (str(each.ticket_id), scan.answer.level)
        for each, scan in zip(redeemed, scans, strict=True)
        if each is not None
    ]


def again(scans: list[Scan]) -> Counter[FailReason | None]:
    """What a ticket for one entry is told when it is shown again."""
    views = [scan.answer.redemption for scan in scans]
    return Counter(view.reason for view in views if view is not None and view.kind in ONCE)


@pytest.mark.parametrize("width", WIDTHS if FULL else [58])
async def test_R21_every_kind_of_ticket_that_is_printed_online_is_admitted(
    url: str, tmp_path: Path, width: int
) -> None:
    await roll_out(url, width)
    async with counter(url, tmp_path, width) as desk:
        ids = await sold_online(desk)
        tickets = (await desk.pages(1 + len(ids)))[1:]
    assert ids_on(tickets) == ids
    scans = await at_the_gate(url, tmp_path, tickets)
    assert told(scans) == [(each, Level.PASS) for each in ids]
    assert again(await at_the_gate(url, tmp_path, tickets[:1])) == {FailReason.DUPLICATE_USE: 1}


@pytest.mark.parametrize("width", WIDTHS if FULL else [80])
async def test_R22_every_kind_of_ticket_that_a_till_signs_is_admitted_before_its_sale_has_come(
    url: str, tmp_path: Path, width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(SECRET_VARIABLE, "a secret of this till's environment")
    await roll_out(url, width)
    async with counter(url, tmp_path, width) as desk:
        op, ids = await sold_offline(desk)
        tickets = await desk.pages(len(ids))
        assert ids_on(tickets) == ids
        scans = await at_the_gate(url, tmp_path, tickets)
        assert told(scans) == [(each, Level.PASS) for each in ids]
        await desk.till.engine.submit(op.op_id, PATIENCE)
        arrived = desk.till.store.op(op.op_id)
        assert arrived is not None
        assert (arrived.state, arrived.result and arrived.result["flags"]) == (OpState.APPLIED, [])
        number = str(op.receipt_no)
        found = (
            await desk.till.counter.ask(lambda server: server.tickets(receipt_no=number))
        ).items
        assert [(each.ticket_id, each.status) for each in found] == [
            (each, TicketStatus.ACTIVE) for each in ids
        ]
        assert [each.used for each in found if each.kind in ONCE] == [1] * 5
    assert again(await at_the_gate(url, tmp_path, tickets[:1])) == {FailReason.DUPLICATE_USE: 1}
