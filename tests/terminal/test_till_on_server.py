"""The till on a real server: the way of a sale from F1 to paper, and what kill -9 cannot break."""

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from playpark.client import ApiClient
from playpark.clock import SystemClock
from playpark.contracts.pricing import PaymentMethod
from playpark.device import DeviceStore, OpState
from playpark.errors import PlayParkError
from playpark.printing.transport import PrinterTarget
from playpark.tokens import parse_pp1
from terminal.counter import TillState
from terminal.printer import PaperPrinter
from terminal.till import Till
from tests.terminal.conftest import PaperTray, until


@pytest.fixture
def store(tmp_path):
    with DeviceStore.open(tmp_path / "till.db", SystemClock()) as opened:
        yield opened


async def in_a_shift(store: DeviceStore, url: str, paper) -> Till:
    till = Till(store, ApiClient(url), SystemClock(), paper)
    await till.pair("DEMO-MAIN-GATE", "Till of a test")
    await till.log_in("cashier@demo.playpark", "1111")
    await till.open_shift(200000)
    return till


def named(till: Till, name: str) -> str:
    return next(each.package_id for each in till.packages if each.name == name)


async def test_a_day_at_the_till(api_url, store):
    paper = PaperTray()
    till = await in_a_shift(store, api_url, paper)
    printing = asyncio.create_task(till.papers.run())

    till.add(named(till, "Family bundle"))
    till.add(named(till, "10 entries"))
    await till.deliver(await till.pay_cash(200000))
    till.add(named(till, "Adult day pass"), 3)
    await till.deliver(await till.pay(PaymentMethod.CARD, reference="A1"))
    await until(lambda: len(paper.printed) == 2)
    await till.close_shift({100_000: 3, 10_000: 4, 5_000: 1, 2_000: 2})
    printing.cancel()
    await till.close()

    family = paper.printed[0][0]
    assert family.sale.flags == []
    assert [ticket.package_name for ticket in family.tickets] == [
        *["Adult day pass"] * 2,
        *["Child day pass"] * 2,
        "10 entries",
    ]
    assert all(parse_pp1(ticket.qr_token) for ticket in family.tickets)
    rung = store.op(store.recent(["sale"], 5)[1].op_id).body
    codes = [code for line in rung["short_codes"] for code in line]
    assert [ticket.short_code for ticket in family.tickets] == codes
    closed = till.closing.closed
    assert (closed.z.sales.count, closed.z.sales.by_method) == (2, {"cash": 149000, "card": 59700})
    assert (closed.cash_expected, closed.cash_diff) == (349000, 0)
    assert store.queued_count() == 0


async def test_receipt_and_tickets_come_out_of_a_printer_as_one_job(api_url, store, tmp_path):
    paper = tmp_path / "paper.bin"
    printer = PaperPrinter(
        PrinterTarget.parse(f"file:{paper}"),
        lambda: store.identity.store if store.identity else None,
    )
    till = await in_a_shift(store, api_url, printer)
    till.add(named(till, "Adult day pass"), 2)
    await till.deliver(await till.pay_exact_cash())
    printing = asyncio.create_task(till.papers.run())
    await until(lambda: not till.papers.due)
    printing.cancel()
    await till.close()

    cuts = paper.read_bytes().count(b"\x1dVB")
    assert cuts == 3


async def test_a_wrong_site_key_and_a_wrong_pin_are_sentences(api_url, store):
    till = Till(store, ApiClient(api_url), SystemClock(), PaperTray())

    with pytest.raises(PlayParkError):
        await till.pair("NO-SUCH-KEY", "Till")
    assert till.state is TillState.UNPAIRED
    await till.pair("DEMO-MAIN-GATE", "Till")
    with pytest.raises(PlayParkError):
        await till.log_in("cashier@demo.playpark", "4321")
    assert till.state is TillState.LOGGED_OUT
    await till.close()


KILLED = """
import asyncio, os, signal, sys
from pathlib import Path
from playpark.client import ApiClient
from playpark.clock import SystemClock
from playpark.device import DeviceStore
from terminal.till import Till
from tests.terminal.conftest import PaperTray

async def main(url, path):
    with DeviceStore.open(Path(path), SystemClock()) as store:
        till = Till(store, ApiClient(url), SystemClock(), PaperTray())
        await till.pair("DEMO-MAIN-GATE", "Till to kill")
        await till.log_in("cashier@demo.playpark", "1111")
        await till.open_shift(0)
        till.add(next(each.package_id for each in till.packages if each.name == "Adult day pass"))
        await till.pay_cash(50000)
        os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(main(*sys.argv[1:]))
"""


async def test_R34_kill_9_between_the_commit_and_the_send_loses_nothing(api_url, tmp_path):
    path = tmp_path / "till.db"
    run = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-c", KILLED, api_url, path],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
    )
    assert run.returncode == -9, run.stderr

    paper = PaperTray()
    with DeviceStore.open(path, SystemClock()) as store:
        [sold] = store.pending()
        till = Till(store, ApiClient(api_url), SystemClock(), paper)
        printing = asyncio.create_task(till.papers.run())
        await till.engine.drain()
        await till.engine.drain()
        await until(lambda: paper.printed)
        printing.cancel()
        assert store.op(sold.op_id).state is OpState.APPLIED
        assert till.shift is not None
        page = await _sales(till)
        await till.close()

    [(answer, copy)] = paper.printed
    assert not copy
    assert answer.sale.receipt_no == sold.receipt_no
    assert answer.sale.change == 30100
    assert len(page) == 1


async def _sales(till: Till) -> list[object]:
    """The sales that the server has of this till, asked for as a replay: the same id twice."""
    op = till.store.recent(["sale"], 1)[0]
    answers = [await till.engine.submit(op.op_id, 5.0) for _ in range(2)]
    return list({answer.result["sale"]["sale_id"] for answer in answers})
