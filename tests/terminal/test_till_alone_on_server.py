"""What a till prints by itself is what the server would have had it print (R12, R22, R23)."""

import asyncio
from collections.abc import Awaitable, Callable

import httpx
import pytest

from playpark.client import ApiClient
from playpark.clock import SystemClock
from playpark.contracts.pricing import PaymentMethod
from playpark.contracts.sales import SaleAnswer
from playpark.device import DeviceStore, OpState
from playpark.device.safe import SECRET_VARIABLE
from playpark.offline_tickets import parse_pp2
from playpark.printing.escpos import to_escpos
from playpark.printing.letterhead import Letterhead
from playpark.printing.receipt_notes import ReceiptNotes
from terminal import sale
from terminal.till import Till
from tests.terminal.alone import SECRET
from tests.terminal.conftest import PaperTray, until
from tests.terminal.test_till_on_server import named


class Line(httpx.AsyncBaseTransport):
    """The real line; `cut` drops every request, `deaf` every answer."""

    def __init__(self) -> None:
        self.cut = self.deaf = False
        self._inner = httpx.AsyncHTTPTransport()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if self.cut:
            raise httpx.ConnectError("cut", request=request)
        answer = await self._inner.handle_async_request(request)
        if self.deaf:
            await answer.aread()
            raise httpx.ReadError("deaf", request=request)
        return answer


@pytest.fixture
async def working(api_url, tmp_path, monkeypatch):
    """A till in a shift with a certificate, its line and its paper."""
    monkeypatch.setenv(SECRET_VARIABLE, SECRET)
    paper, line = PaperTray(), Line()
    with DeviceStore.open(tmp_path / "till.db", SystemClock()) as store:
        till = Till(store, ApiClient(api_url, transport=line), SystemClock(), paper)
        await till.pair("DEMO-MAIN-GATE", "Till of a test")
        await till.log_in("cashier@demo.playpark", "1111")
        await till.open_shift(200000)
        await till.renew_certificate()
        printing = asyncio.create_task(till.papers.run())
        yield till, paper, line
        printing.cancel()
        await till.close()


def receipt(till: Till, answer: SaleAnswer, notes: ReceiptNotes) -> bytes:
    """The bytes of the receipt that go to the printer."""
    catalog, identity = till.counter.catalog, till.store.identity
    head = Letterhead.of(identity.store, catalog.receipt_template)
    return to_escpos(sale.receipt_paper(answer.sale, notes).draw(head, False))


async def _plain(till: Till) -> None:
    till.add(named(till, "Adult day pass"), 3)
    till.add(named(till, "10 entries"))


async def _bundle(till: Till) -> None:
    till.add(named(till, "Family bundle"), 2)
    till.add(named(till, "Adult day pass"))


async def _reduced(till: Till) -> None:
    till.add(named(till, "Adult day pass"), 3)
    till.add(named(till, "Family bundle"))
    till.selling.enter_promo("FAMILY10")


@pytest.mark.parametrize("ring", [_plain, _bundle, _reduced], ids=["plain", "bundle", "reduced"])
@pytest.mark.parametrize("method", [PaymentMethod.CASH, PaymentMethod.CARD], ids=["cash", "card"])
async def test_R23_the_papers_are_the_server_s_to_the_byte(
    working, ring: Callable[[Till], Awaitable[None]], method
):
    till, paper, line = working
    line.cut = True
    await till.engine.drain()
    await till.engine._knock()
    assert not till.engine.online
    await ring(till)
    if method is PaymentMethod.CASH:
        op = await till.pay_cash(till.priced.grand_total + 12300, confirmed=True)
    else:
        op = await till.pay(method, reference="A1")
    await until(lambda: not till.papers.due)

    line.cut = False
    await until_answered(till)
    answer = await till.engine.submit(op.op_id, 10.0)  # again: answered as the first time
    assert answer is not None
    told = SaleAnswer.model_validate(answer.result)
    notes = ReceiptNotes.model_validate(op.memo)
    known, tokens = sale.sold_here(op), sale.tokens_of(op)
    mine = sale.answer_of(op, known, tokens, till.counter.zone)
    assert receipt(till, mine, notes) == receipt(till, told, notes)

    # The server shows no token of what a till has printed; all else of a ticket is the same.
    assert [each.model_copy(update={"qr_token": None}) for each in mine.tickets] == [
        each.model_copy(update={"qr_token": None}) for each in told.tickets
    ]
    assert [each.ticket_id for each in paper.tickets] == [each.ticket_id for each in told.tickets]
    assert all(parse_pp2(each.qr_token) for each in paper.tickets)
    assert [flag for flag in told.sale.flags if flag.startswith("offline")] == []
    assert till.store.op(op.op_id).state is OpState.APPLIED


async def test_R23_the_fallback_of_a_lost_answer_is_what_the_server_books(working):
    """The server has booked its own tickets when it hears of the till's: then those are they."""
    till, paper, line = working
    till.add(named(till, "Adult day pass"), 2)
    line.deaf = True
    await till.deliver(await till.pay_exact_cash())
    await until(lambda: not till.papers.due)
    line.deaf = False
    [op] = till.store.recent(["sale"], 1)
    await until_answered(till)

    found = await till.finding.find(op.receipt_no)
    assert len(paper.receipts) == 1
    assert [text[:4] for text in (each.qr_token for each in paper.tickets)] == ["PP2."] * 2
    held = await till.counter.ask(lambda server: server.tickets(qr=paper.tickets[0].qr_token))
    assert [each.ticket_id for each in held.items] == [paper.tickets[0].ticket_id]
    assert found.sale.grand_total == 39800
    assert till.store.rejected() == []


async def until_answered(till: Till) -> None:
    async with asyncio.timeout(20):
        while till.engine.queued or not till.engine.online:
            await till.engine.drain()
            await till.engine._knock()
