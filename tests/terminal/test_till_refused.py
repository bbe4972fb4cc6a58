"""The quarantine at the till: seen, sent again, handed over, carried away (R35, R37)."""

import pytest

from playpark.device import DeviceStore, OpState
from playpark.device.bundle import unseal
from playpark.device.cli import put_away
from playpark.errors import PlayParkError
from playpark.tui import Ask
from terminal.screens.quarantine import QuarantineDialog
from terminal.screens.register import RegisterScreen
from tests.terminal.conftest import until
from tests.terminal.test_register_screen import running, screen_text, settled, text, till_of

WHY = "The body is malformed."
PHRASE = "twelve red balloons"


async def refused(desk, till):
    desk.park.refuse = WHY
    till.add("adult")
    op = await till.pay_exact_cash()
    await till.deliver(op)
    desk.park.refuse = None
    return op


async def test_R35_it_tells_what_how_much_and_why(desk, till):
    assert till.refused.count == 0
    op = await refused(desk, till)

    [refusal] = await till.refused.all()
    assert (refusal.what, refusal.amount, refusal.why) == (f"Sale {op.receipt_no}", 19900, WHY)
    assert (till.refused.count, refusal.at_office) == (1, False)


async def test_R35_what_is_sent_again_and_taken_prints(desk, till):
    op = await refused(desk, till)
    assert not desk.paper.out

    said = await till.refused.retry(op.op_id)
    await till.engine.drain()
    await until(lambda: not till.papers.due)

    assert said == f"Sale {op.receipt_no} is sent again."
    assert desk.store.op(op.op_id).state is OpState.APPLIED
    assert (desk.paper.receipts, till.refused.count) == ([op.receipt_no], 0)


async def test_R35_nothing_is_handed_over_that_the_server_does_not_have(desk, till):
    op = await refused(desk, till)

    with pytest.raises(PlayParkError, match="export it"):
        await till.refused.hand_over(op.op_id)
    assert till.refused.count == 1


async def test_R37_the_export_is_made_while_the_till_works_and_opens_with_its_passphrase(
    desk, till
):
    first = await refused(desk, till)
    desk.park.down = True
    till.add("child")
    second = await till.pay_exact_cash()

    said = await till.refused.export(PHRASE)

    [file] = desk.path.parent.glob("*.bundle")
    assert f"2 operations are saved as {file}" in said
    made = unseal(file.read_bytes(), PHRASE)
    assert [each.envelope["op_id"] for each in made.ops] == [first.op_id, second.op_id]
    assert till.store.queued_count() == 1
    with pytest.raises(PlayParkError):
        await till.refused.export("short")


async def test_R37_a_till_whose_export_was_made_at_the_screen_can_be_unpaired(desk, till):
    await refused(desk, till)
    await till.refused.export(PHRASE)
    desk.store.close()

    aside = put_away(desk.path, desk.clock)

    assert aside.exists()
    desk.store = DeviceStore.open(desk.path, desk.clock)
    assert desk.store.identity is None


async def test_R28_a_close_that_is_taken_at_last_closes_the_shift_here_too(desk, till):
    desk.park.refusals["shift_close"] = WHY
    await till.close_shift(200000)
    assert till.shift is not None  # it was not closed: it goes on
    [close] = await till.refused.all()
    desk.park.refusals.clear()

    await till.refused.retry(close.op_id)
    await till.engine.drain()

    assert till.shift is None
    await till.open_shift(0)
    assert till.shift is not None


async def test_R35_the_bar_the_key_and_the_screen(desk):
    async with running(desk) as pilot:
        till = till_of(pilot)
        await pilot.press("ctrl+k")
        await pilot.pause()
        assert isinstance(pilot.app.screen, RegisterScreen)
        op = await refused(desk, till)
        await pilot.pause(0.6)
        assert "1 REFUSED" in screen_text(pilot)
        assert isinstance(pilot.app.screen, RegisterScreen)  # no dialog stands in the way
        assert "^K refused" in text(pilot, "#keys")

        await pilot.press("ctrl+k")
        await settled(pilot, lambda: isinstance(pilot.app.screen, QuarantineDialog))
        shown = screen_text(pilot)
        assert f"Sale {op.receipt_no}" in shown
        assert "1, 199.00 baht" in shown
        assert WHY in shown
        await pilot.press("enter", "h")
        await settled(pilot, lambda: "export it" in text(pilot, "#error"))
        await pilot.press("x")
        await settled(pilot, lambda: isinstance(pilot.app.screen, Ask))
        await pilot.press(*PHRASE.replace(" ", "-"), "enter")
        await settled(pilot, lambda: isinstance(pilot.app.screen, QuarantineDialog))
        assert list(desk.path.parent.glob("*.bundle"))
        await pilot.press("r")
        await settled(pilot, lambda: desk.paper.receipts)
        await settled(pilot, lambda: isinstance(pilot.app.screen, RegisterScreen))
        await pilot.pause(0.6)
        assert "REFUSED" not in screen_text(pilot)


async def test_R35_in_a_basket_the_same_key_is_qr(desk):
    async with running(desk) as pilot:
        await refused(desk, till_of(pilot))
        await pilot.press("f1", "ctrl+k")
        await pilot.pause()
        assert not isinstance(pilot.app.screen, QuarantineDialog)


async def test_R28_a_sale_that_is_taken_after_its_shift_was_closed_prints_and_no_second_z(
    desk, till
):
    op = await refused(desk, till)
    await till.close_shift(200000)
    await until(lambda: "z" in desk.paper.names)
    await till.open_shift(0)

    await till.refused.retry(op.op_id)
    await till.engine.drain()
    await until(lambda: not till.papers.due)

    assert (desk.paper.receipts, desk.paper.names.count("z")) == ([op.receipt_no], 1)
    assert till.drawer.unsettled is None
