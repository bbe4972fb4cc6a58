"""The till on a real server: the way of a sale from F1 to paper, and what kill -9 cannot break."""

import asyncio
import subprocess
import sys
import time
from pathlib import Path

import pytest

from playpark.client import ApiClient
from playpark.clock import SystemClock
from playpark.contracts.approvals import ApprovalAction
from playpark.contracts.pricing import PaymentMethod
from playpark.contracts.shifts import MovementType
from playpark.contracts.timecards import TimecardEvent
from playpark.device import DeviceStore, OpState
from playpark.errors import PlayParkError
from playpark.printing.transport import PrinterTarget
from playpark.tokens import parse_pp1
from terminal.counter import TillState
from terminal.giving_back import Standing, Why
from terminal.parking import guest_of
from terminal.printer import PaperPrinter
from terminal.refund_amount import Back
from terminal.till import Till
from tests.terminal.conftest import PATIENCE_S, PaperTray, until


@pytest.fixture
def store(tmp_path):
    with DeviceStore.open(tmp_path / "till.db", SystemClock()) as opened:
        yield opened


@pytest.fixture(autouse=True)
def patient(monkeypatch):
    """A server that is only busy with other tests is not away (what a till does then is in
    test_till_alone_on_server.py)."""
    for name in ("selling.SALE_DEADLINE_S", "drawer.DEADLINE_S"):
        monkeypatch.setattr(f"terminal.{name}", PATIENCE_S)


async def in_a_shift(store: DeviceStore, url: str, paper) -> Till:
    till = Till(store, ApiClient(url), SystemClock(), paper)
    till.engine._standing._line.deadline = PATIENCE_S
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
    await until(lambda: len(paper.tickets) == 8)
    await till.close_shift({100_000: 3, 10_000: 4, 5_000: 1, 2_000: 2})
    printing.cancel()
    await till.close()

    assert [sale.flags for sale, _ in paper.printed] == [[], []]
    family = paper.tickets[:5]
    assert [ticket.package_name for ticket in family] == [
        *["Adult day pass"] * 2,
        *["Child day pass"] * 2,
        "10 entries",
    ]
    assert all(parse_pp1(ticket.qr_token) for ticket in family)
    rung = store.op(store.recent(["sale"], 5)[1].op_id).body
    codes = [code for line in rung["short_codes"] for code in line]
    assert [ticket.short_code for ticket in family] == codes
    closed = till.closing.closed
    assert (closed.z.sales.count, closed.z.sales.by_method) == (2, {"cash": 149000, "card": 59700})
    assert (closed.cash_expected, closed.cash_diff) == (349000, 0)
    assert store.queued_count() == 0


async def test_receipt_and_tickets_come_out_of_a_printer_as_one_job(api_url, store, tmp_path):
    paper = tmp_path / "paper.bin"
    printer = PaperPrinter(PrinterTarget.parse(f"file:{paper}"), store)
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
    assert answer.receipt_no == sold.receipt_no
    assert answer.change == 30100
    assert len(page) == 1


async def _sales(till: Till) -> list[object]:
    """The sales that the server has of this till, asked for as a replay: the same id twice."""
    op = till.store.recent(["sale"], 1)[0]
    answers = [await till.engine.submit(op.op_id, 5.0) for _ in range(2)]
    return list({answer.result["sale"]["sale_id"] for answer in answers})


SUPERVISOR = ("supervisor@demo.playpark", "9999")
WHY = Why("customer_request", "Guest asked")


async def approved(till: Till, question) -> str:
    return (await till.approvals.ask(question, *SUPERVISOR)).approval_token


async def sold(till: Till, name: str = "Adult day pass", qty: int = 2):
    till.add(named(till, name), qty)
    op = await till.pay_exact_cash()
    await till.deliver(op)
    await until(lambda: not till.engine.queued and till.engine.online)  # a busy machine is slow
    return await till.finding.find(op.receipt_no)


@pytest.fixture
async def working(api_url, store):
    """A till in a shift, with its printing."""
    paper = PaperTray()
    till = await in_a_shift(store, api_url, paper)
    printing = asyncio.create_task(till.papers.run())
    yield till, paper
    printing.cancel()
    await till.close()


async def test_R42_an_approved_discount_is_booked_without_a_flag(working):
    till, paper = working
    till.add(named(till, "Adult day pass"), 2)
    till.selling.enter_promo("FAMILY10")
    till.selling.discount_by_hand(0, amount=9000)
    question = till.selling.question()
    till.selling.approved(question, await approved(till, question))

    await till.deliver(await till.pay_cash(100000))
    await until(lambda: paper.receipts)

    [(sale, _)] = paper.printed
    assert sale.flags == []
    assert sale.promo_codes == ["FAMILY10"]
    assert "-90.00" in paper.text("receipt")


async def test_R7_a_sale_in_parts_for_a_member_is_booked_without_a_flag(working):
    till, paper = working
    member = await till.guests.create("Mali of a test", f"08{int(time.time() * 1000) % 10**8:08d}")
    [found] = [
        each
        for each in await till.guests.find("Mali of a test")
        if each.customer_id == member.customer_id
    ]
    till.add(named(till, "Family bundle"))
    till.selling.attach(guest_of(found))
    at = till.selling.quote()
    split, ways = till.selling.split(at), {way.name: way for way in till.selling.ways()}
    card = next(way for way in ways.values() if way.method is PaymentMethod.CARD)
    cash = next(way for way in ways.values() if way.method is PaymentMethod.CASH)
    split.give(card, 20000, "A7")
    split.give(cash, split.suggested(cash))

    await till.deliver(await till.selling.pay_by(split.payments, at))
    await until(lambda: paper.receipts)

    [(sale, _)] = paper.printed
    assert sale.flags == []
    assert sale.customer_id == member.customer_id
    assert sale.payment_method == "split"
    assert sale.points_earned > 0


async def test_R31_a_refund_and_a_copy_go_the_whole_way(working):
    till, paper = working
    found = await sold(till)
    ids = (found.tickets[0].ticket.ticket_id,)
    amount = till.giving_back.expected(found, Back(ids))
    ask = till.giving_back.question(ApprovalAction.REFUND, found, WHY, amount)

    outcome = await till.giving_back.refund(found, Back(ids), WHY, await approved(till, ask))
    await until(lambda: "refund" in paper.names)

    assert outcome.parts == ((PaymentMethod.CASH, amount),)
    again = await till.finding.find(found.tickets[0].ticket.short_code)
    assert [each.state for each in again.tickets] == ["refunded", "not used"]
    assert again.left == found.left - amount
    ask = till.giving_back.question(ApprovalAction.REPRINT, again, WHY, None)
    kept = [again.tickets[1].ticket.ticket_id]
    copies = await till.giving_back.reprint(again, kept, WHY, await approved(till, ask))
    assert copies.standing is Standing.DONE
    await until(lambda: paper.out[-1][1])
    assert parse_pp1(paper.tickets[-1].qr_token)


async def test_R29_a_refund_without_approval_is_refused_and_its_number_closed(working):
    till, _ = working
    found = await sold(till)

    outcome = await till.giving_back.refund(found, Back(), WHY, "no-such-approval")
    await till.engine.drain()

    assert outcome.standing is Standing.REFUSED
    assert "Give no money back" in outcome.sentence
    [closed] = till.store.recent(["abandon"], 5)
    assert (closed.state, closed.body["receipt_no"]) == (OpState.APPLIED, outcome_number(till))


def outcome_number(till: Till) -> str:
    [refused] = [op for op in till.store.rejected() if op.kind == "refund"]
    return refused.receipt_no


async def test_R32_a_void_gives_all_back_and_the_shift_agrees(working):
    till, paper = working
    found = await sold(till)
    ask = till.giving_back.question(ApprovalAction.VOID, found, WHY, found.left)

    outcome = await till.giving_back.void(found, WHY, await approved(till, ask))
    await until(lambda: "void" in paper.names)

    assert outcome.parts == ((PaymentMethod.CASH, 39800),)
    await till.close_shift(200000)
    assert till.closing.closed.cash_diff == 0


async def test_R13_a_cart_is_parked_resumed_and_settled_once(working):
    till, paper = working
    till.add(named(till, "Adult day pass"))
    view = await till.parking.park("family in red")
    assert view.open_ticket_id in [each.open_ticket_id for each in await till.parking.parked()]
    await till.parking.resume(view.open_ticket_id)

    await till.deliver(await till.pay_exact_cash())
    await until(lambda: paper.receipts)

    assert paper.printed[0][0].flags == []
    left = [each.open_ticket_id for each in await till.parking.parked()]
    assert view.open_ticket_id not in left


async def test_R27_R28_movements_x_z_and_an_accepted_difference(working):
    till, paper = working
    await sold(till)
    await till.drawer.move_cash(MovementType.DROP, 100000, WHY)
    question = till.drawer.x_question()
    report = await till.drawer.x_report(await approved(till, question))
    assert report.drawer.cash_expected == 200000 + 39800 - 100000
    await till.drawer.clock(TimecardEvent.CLOCK_IN)

    await till.close_shift(100000)
    await until(lambda: "z" in paper.names)
    assert till.closing.closed.z.receipt_no == till.store.op(till.closing.op_id).receipt_no
    assert till.closing.over_tolerance
    asked = till.drawer.variance_question(WHY)
    await till.drawer.adjust(WHY, await approved(till, asked))
    await until(lambda: "adjustment" in paper.names)

    assert till.store.rejected() == []
    assert till.store.queued_count() == 0


async def test_R32_a_training_sale_has_its_own_number_and_tickets_that_admit_nobody(working):
    till, paper = working
    till.train()
    till.add(named(till, "Adult day pass"))
    await till.deliver(await till.pay_exact_cash())
    await until(lambda: paper.tickets)

    assert paper.printed[0][0].training
    assert "-T" in paper.receipts[0]
    assert paper.tickets[0].qr_token.startswith("PPT.")
    till.train()
    await till.close_shift(200000)
    assert till.closing.closed.cash_diff == 0


async def test_R25_a_lost_ticket_is_exchanged_and_the_new_one_is_found(working):
    till, paper = working
    found = await sold(till)
    lost = found.tickets[0]
    question = till.giving_back.exchange_question(lost, WHY)

    outcome = await till.giving_back.exchange(found, lost, WHY, await approved(till, question))
    await until(lambda: len(paper.tickets) == 3)

    assert outcome.standing is Standing.DONE
    new = paper.tickets[-1]
    assert parse_pp1(new.qr_token).ticket_id != lost.ticket.ticket_id
    again = await till.finding.find(new.short_code)
    assert again.sale.sale_id == found.sale.sale_id
    assert [each.ticket.ticket_id for each in again.tickets] == [
        new.ticket_id,
        found.tickets[1].ticket.ticket_id,
    ]
    refused = await till.giving_back.exchange(found, lost, WHY, await approved(till, question))
    assert refused.standing is Standing.REFUSED
    assert "exchanged already" in refused.sentence
