"""The till sells while the server is away: certified tickets, printed once (R14, R22, R23, R39)."""

import asyncio
from datetime import timedelta

import pytest

from playpark.contracts.pricing import PaymentMethod
from playpark.contracts.tenancy import OfflineCap
from playpark.device import LineMode, OpState, PrintState
from playpark.device.park_clock import ParkClock
from playpark.errors import ErrorCode, PlayParkError
from playpark.offline_tickets import parse_pp2, verify_pp2
from playpark.printing.transport import PrinterError
from terminal.outage import ENOUGH, NO_CERTIFICATE, PARKED, RAN_OUT
from terminal.parking import guest_of
from terminal.selling import SAVED
from tests.terminal.alone import FULL, IDS, PLAIN, certify
from tests.terminal.conftest import until
from tests.terminal.park import IDENTITY

ADULT, FAMILY, SOCKS = IDS["adult"], IDS["family"], IDS["socks"]


@pytest.fixture
def certificate(desk, monkeypatch):
    desk.sells(PLAIN)
    return certify(desk, monkeypatch)


@pytest.fixture
def certified(rich_desk, monkeypatch):
    rich_desk.sells(FULL)
    return certify(rich_desk, monkeypatch)


@pytest.fixture
async def alone(desk, certificate, till):
    """A till in a shift whose line has just gone."""
    desk.park.down = True
    await till.engine.drain()
    till.add(SOCKS)
    await till.deliver(await till.pay_exact_cash())
    await until(lambda: not till.papers.due)
    desk.paper.out.clear()
    assert not till.engine.online
    return till


def tokens(desk):
    return [each.qr_token for each in desk.paper.tickets]


async def test_R22_two_tickets_exact_cash_print_at_once_without_the_server(
    desk, certificate, alone
):
    alone.add(ADULT, 2)
    op = await alone.pay_exact_cash()
    await until(lambda: not alone.papers.due)  # nobody has asked the server yet

    assert desk.paper.names[0] == "receipt"
    assert len(desk.paper.tickets) == 2
    for ticket, ticket_id in zip(desk.paper.tickets, op.body["ticket_ids"][0], strict=True):
        signed = parse_pp2(ticket.qr_token)
        assert verify_pp2(signed, certificate) is None
        said = signed.ticket
        assert (said.ticket_id, said.package_id) == (ticket_id, ADULT)
        assert (said.valid_from, said.valid_to) == (ticket.valid_from, ticket.valid_to)
        assert (ticket.valid_to - ticket.valid_from) == timedelta(days=1)
    [line] = op.to_op_in().local.tokens
    assert line == tokens(desk)
    assert alone.notice.text == ""


async def test_R6_a_bundle_s_components_are_signed_one_by_one_with_their_share(desk, alone):
    alone.add(FAMILY)
    await alone.pay_exact_cash()
    await until(lambda: not alone.papers.due)

    said = [parse_pp2(text).ticket.package_id for text in tokens(desk)]
    assert said == [ADULT, ADULT, IDS["child"], IDS["child"]]
    assert sum(each.payable for each in desk.paper.tickets) == 59000
    assert len({parse_pp2(text).ticket.serial for text in tokens(desk)}) == 4


async def test_R23_a_late_answer_prints_nothing_more(desk, alone):
    alone.add(ADULT)
    op = await alone.pay_exact_cash()
    await until(lambda: not alone.papers.due)
    printed = list(desk.paper.names)
    desk.park.down = False

    await alone.engine.drain()
    assert desk.store.op(op.op_id).state is OpState.APPLIED
    await alone.papers.resume([op.op_id], 1.0)
    await asyncio.sleep(0.02)

    assert desk.paper.names == printed
    sent = next(each for each in desk.park.ops if each["op_id"] == op.op_id)
    assert [sent["local"]["tokens"], sent["committed"]] == [[tokens(desk)], True]


async def test_R23_sent_and_not_answered_prints_its_own_and_discards_the_answer(
    desk, certificate, till
):
    desk.park.lose = desk.park.gone = True
    till.add(ADULT)
    op = await till.pay_exact_cash()
    assert "local" not in op.envelope
    await till.deliver(op)
    await until(lambda: not till.papers.due)
    assert parse_pp2(tokens(desk)[0])

    desk.park.down = False
    await till.engine.drain()
    await asyncio.sleep(0.02)

    assert len(desk.paper.receipts) == len(tokens(desk)) == 1
    assert desk.store.op(op.op_id).state is OpState.APPLIED
    assert till.notice.text == ""


async def test_R23_where_the_answer_was_first_the_server_s_tickets_print(
    desk, certificate, till, monkeypatch
):
    """The answer is on the disk when the till would sign: then it signs nothing."""
    real = desk.store.record_printed

    def after_the_answer(op_id, sign):
        asyncio.run_coroutine_threadsafe(till.engine.drain(), loop).result(5)
        return real(op_id, sign)

    loop = asyncio.get_running_loop()
    monkeypatch.setattr(desk.store, "record_printed", after_the_answer)
    desk.park.lose = True
    till.add(ADULT)
    await till.deliver(await till.pay_exact_cash())
    await until(lambda: not till.papers.due)

    assert [text[:4] for text in tokens(desk)] == ["PP1."]
    assert len(desk.paper.receipts) == 1
    assert desk.store.signing.serials_taken("ABCDEFGH") == 0


async def test_R23_an_answer_between_signing_and_printing_is_discarded(
    desk, certificate, till, monkeypatch
):
    real = desk.store.record_printed

    def before_the_answer(op_id, sign):
        signed = real(op_id, sign)
        asyncio.run_coroutine_threadsafe(till.engine.drain(), loop).result(5)
        return signed

    loop = asyncio.get_running_loop()
    monkeypatch.setattr(desk.store, "record_printed", before_the_answer)
    desk.park.lose = True
    till.add(ADULT)
    await till.deliver(await till.pay_exact_cash())
    await until(lambda: not till.papers.due)

    assert len(desk.paper.receipts) == 1
    assert [text[:4] for text in tokens(desk)] == ["PP2."]


async def test_R23_what_was_signed_and_not_printed_prints_after_a_crash_without_the_server(
    desk, certificate, alone
):
    desk.paper.fails = PlayParkError(ErrorCode.UNAVAILABLE, "The printer is off.")
    alone.add(ADULT)
    op = await alone.pay_exact_cash()
    await until(lambda: alone.papers.error)
    desk.reopen()
    desk.paper.fails = None
    desk.store.save_catalog(PLAIN.model_copy(update={"packages": []}))  # off sale by now

    again = desk.till()
    printing = asyncio.create_task(again.papers.run())
    await again.papers.resume(again.papers.due, 0.1)
    await until(lambda: not again.papers.due)
    printing.cancel()

    assert tokens(desk) == op.to_op_in().local.tokens[0]
    assert desk.paper.printed[0][1] is False


async def test_R23_a_sale_that_died_before_its_answer_is_signed_at_the_next_start(
    desk, certificate, till
):
    till.add(ADULT)
    op = await till.pay_exact_cash()
    desk.reopen()
    desk.park.down = True

    again = desk.till()
    printing = asyncio.create_task(again.papers.run())
    await again.papers.resume(again.papers.due, 0.1)
    await until(lambda: not again.papers.due)
    printing.cancel()

    assert tokens(desk) == desk.store.op(op.op_id).to_op_in().local.tokens[0]
    assert len(desk.paper.receipts) == 1


async def test_R23_a_paper_that_may_be_out_is_a_copy_with_the_same_token(desk, alone):
    desk.paper.good, desk.paper.fails = 1, PrinterError("broke off", maybe_printed=True)
    alone.add(ADULT)
    op = await alone.pay_exact_cash()
    await until(lambda: alone.papers.doubtful)
    desk.paper.fails = None
    await asyncio.sleep(0.02)
    assert desk.paper.names == ["receipt"]

    await alone.papers.resume(alone.papers.doubtful, 0.1)
    await until(lambda: not alone.papers.doubtful)

    assert [copy for _, copy in desk.paper.out] == [False, True]
    assert tokens(desk) == op.to_op_in().local.tokens[0]


async def test_R35_a_sale_that_was_printed_alone_and_refused_later_is_told(desk, alone):
    alone.add(ADULT)
    op = await alone.pay_exact_cash()
    await until(lambda: not alone.papers.due)
    desk.park.refusals["sale"] = "The body is malformed."
    desk.park.down = False
    await alone.engine.drain()

    assert f"refused sale {op.receipt_no}" in alone.notice.text
    assert alone.last_sales[0].state is OpState.REJECTED


async def test_R35_what_is_refused_before_the_paper_is_out_still_prints(desk, alone):
    """The guest has paid, and the tickets are signed: a gate admits them."""
    desk.paper.fails = PlayParkError(ErrorCode.UNAVAILABLE, "The printer is off.")
    alone.add(ADULT)
    await alone.pay_exact_cash()
    await until(lambda: alone.papers.error)
    desk.park.refusals["sale"] = "The body is malformed."
    desk.park.down = False
    await alone.engine.drain()
    assert alone.papers.due
    desk.reopen()
    desk.paper.fails = None
    again = desk.till()
    printing = asyncio.create_task(again.papers.run())
    await again.papers.resume(again.papers.due, 0.1)
    await until(lambda: not again.papers.due)
    printing.cancel()

    assert len(tokens(desk)) == 1


async def test_R29_numbers_are_gapless_across_sales_that_could_not_be_signed(
    desk, alone, monkeypatch
):
    certify(desk, monkeypatch, packages=[ADULT], key_id="HHHHHHHH")
    alone.add(SOCKS)
    with pytest.raises(PlayParkError, match="Socks cannot be sold without the server"):
        await alone.pay_exact_cash()
    assert alone.basket
    alone.void_line(0)
    alone.add(ADULT)
    op = await alone.pay_exact_cash()

    assert op.receipt_no == "03-S000002"  # the first was of the line that went
    assert desk.store.signing.serials_taken("HHHHHHHH") == 1


@pytest.mark.parametrize(
    ("bounds", "sentence"),
    [
        ({"not_after": "2026-11-21T08:00:00Z"}, RAN_OUT),
        ({"max_tickets": 1}, ENOUGH),
        ({"public_key": "A" * 43 + "="}, NO_CERTIFICATE),
    ],
    ids=["ran out", "enough", "another key"],
)
async def test_R22_beyond_the_certificate_nothing_is_sold_and_no_money_taken(
    desk, alone, monkeypatch, bounds, sentence
):
    certify(desk, monkeypatch, key_id="GGGGGGGG", **bounds)
    alone.add(ADULT, 2)

    with pytest.raises(PlayParkError) as refused:
        await alone.pay_exact_cash()
    assert refused.value.message == sentence
    with pytest.raises(PlayParkError, match=sentence[:20]):
        await alone.selling.ready()  # what card and QR ask before they show their dialog

    assert alone.basket
    assert len(desk.store.recent(["sale"], 9)) == 1


async def test_R22_a_till_without_a_safe_sells_nothing_offline(desk, till):
    desk.park.down = True
    till.add("adult")
    await till.deliver(await till.pay_exact_cash())
    assert till.notice.text == SAVED  # the line went after the money was taken
    till.add("adult")

    with pytest.raises(PlayParkError, match="may not print tickets alone"):
        await till.pay_exact_cash()


async def test_R22_a_till_without_a_safe_waits_for_a_server_that_is_only_slow(desk, till):
    till.engine._standing.missed()
    assert till.engine.state.mode is LineMode.SLOW
    till.add("adult")

    await till.deliver(await till.pay_exact_cash())
    await until(lambda: not till.papers.due)

    assert not desk.paper.tickets[0].qr_token.startswith("PP2.")


async def test_a_card_that_was_charged_is_recorded_whatever_the_certificate_says(
    desk, alone, monkeypatch
):
    certify(desk, monkeypatch, key_id="GGGGGGGG", max_tickets=1)
    alone.add(ADULT, 2)
    at = alone.selling.quote()

    op = await alone.pay(PaymentMethod.CARD, reference="A1", at=at)
    await alone.deliver(op)

    assert "local" not in op.envelope
    assert alone.notice.text == SAVED
    assert tokens(desk) == []


@pytest.mark.parametrize(
    ("cap", "sentence"),
    [(OfflineCap(sales=2), "may make 2 sales"), (OfflineCap(satang=25000), "for 29.00 baht more")],
    ids=["count", "satang"],
)
async def test_R39_the_offline_cap_is_refused_before_money_is_taken(desk, alone, cap, sentence):
    caps = IDENTITY.device.caps.model_copy(update={"offline_cap": cap})
    device = IDENTITY.device.model_copy(update={"caps": caps})
    desk.store.save_identity(IDENTITY.model_copy(update={"device": device}))
    alone.add(ADULT)
    await alone.pay_exact_cash()  # with the socks before: two, and 221 baht
    alone.add(ADULT)

    with pytest.raises(PlayParkError, match=sentence):
        await alone.pay_exact_cash()

    desk.park.down = False
    await alone.engine.drain()
    assert desk.store.unsynced_sales().count == 0
    await alone.pay_exact_cash()


async def test_R36_a_clock_that_is_wrong_by_a_day_sells_nothing(desk, till):
    till.counter.clock = clock = ParkClock(desk.clock)
    clock.learn(desk.clock.now() + timedelta(hours=23), 0.1)
    till.add("adult")
    await till.pay_exact_cash()
    clock.learn(desk.clock.now() + timedelta(hours=25), 0.1)
    till.add("adult")

    with pytest.raises(PlayParkError, match="wrong by more than a day: set it"):
        await till.pay_exact_cash()


async def test_R38_a_till_that_is_turned_away_is_not_offline_and_sells_nothing(
    desk, certificate, till
):
    desk.park.fault = {"code": "E_DEVICE_SUSPENDED", "message": "This till is suspended."}
    till.add(ADULT)
    await till.deliver(await till.pay_exact_cash())
    assert tokens(desk) == []
    till.add(ADULT)

    with pytest.raises(PlayParkError, match="This till is suspended"):
        await till.pay_exact_cash()


async def test_R32_practice_prints_alone_and_takes_no_serial(desk, alone, monkeypatch):
    certify(desk, monkeypatch, key_id="GGGGGGGG", max_tickets=1)
    alone.train()
    alone.add(ADULT, 2)
    op = await alone.pay_exact_cash()
    await until(lambda: not alone.papers.due)

    ids = op.body["ticket_ids"][0]
    assert tokens(desk) == [f"PPT.{each}" for each in ids]
    assert "TRAINING" in desk.paper.text("receipt")
    assert "local" not in op.envelope
    assert desk.store.signing.serials_taken("GGGGGGGG") == 0


async def test_R13_a_parked_sale_needs_the_server(desk, certified, rich):
    rich.add(ADULT)
    await rich.parking.park("red hats")
    [parked] = await rich.parking.parked()
    await rich.parking.resume(parked.open_ticket_id)
    desk.park.down = True
    with pytest.raises(PlayParkError):
        await rich.parking.parked()
    assert not rich.engine.online

    with pytest.raises(PlayParkError) as refused:
        await rich.pay_exact_cash()
    assert refused.value.message == PARKED


async def test_R8_promotions_are_sold_without_the_server(desk, certified, rich):
    desk.park.down = True
    with pytest.raises(PlayParkError):
        await rich.parking.parked()
    rich.add(ADULT)
    rich.selling.enter_promo("FAMILY10")
    op = await rich.pay_exact_cash()
    await until(lambda: rich.last_sales[0].printing is PrintState.PRINTED)

    assert op.body["promo_codes"] == ["FAMILY10"]
    assert "FAMILY10" in desk.paper.text("receipt")
    assert desk.paper.tickets[0].qr_token.startswith("PP2.")


async def test_R22_what_the_till_cannot_sign_after_all_is_not_sold(desk, alone, monkeypatch):
    """The look before the money and the signature are two moments."""
    monkeypatch.setattr(alone.outage, "_refuse_uncovered", lambda _priced, _now: None)
    certify(desk, monkeypatch, key_id="GGGGGGGG", max_tickets=1)
    alone.add(ADULT, 2)

    with pytest.raises(PlayParkError) as refused:
        await alone.pay_exact_cash()

    assert refused.value.code is ErrorCode.CONFLICT
    assert alone.basket
    assert len(desk.store.recent(["sale"], 9)) == 1
    assert desk.store.signing.serials_taken("GGGGGGGG") == 0


async def test_R23_a_member_s_receipt_leaves_the_points_to_the_server(desk, certified, rich):
    [ploy] = await rich.guests.find("ploy")
    desk.park.down = True
    with pytest.raises(PlayParkError):
        await rich.parking.parked()
    rich.add(ADULT)
    rich.selling.attach(guest_of(ploy))
    await rich.pay_exact_cash()
    await until(lambda: not rich.papers.due)

    receipt = desk.paper.text("receipt")
    assert "Ploy" in receipt
    assert "Points" not in receipt
