"""Outages by key: only where the till was started for it, never without a banner."""

from playpark.contracts.qa import QaSwitches
from playpark.device.faults import FaultyTransport, Switches
from playpark.tui import PairingDetails
from terminal.app import PosApp
from terminal.qa_keys import QaKeys
from terminal.screens.register import RegisterScreen
from tests.terminal.test_register_screen import screen_text, settled


def titles(app: PosApp) -> list[str]:
    return [each.title for each in app.get_system_commands(app.screen)]


async def test_without_the_flag_there_is_no_key_and_no_banner(desk):
    async with desk.app().run_test() as pilot:
        await pilot.pause(0.6)
        assert not any("QA" in title for title in titles(pilot.app))
        assert "QA" not in screen_text(pilot)


async def test_a_key_takes_the_line_away_and_gives_it_back(desk):
    switches = Switches()
    keys = QaKeys(switches, enabled=True)

    def make(_url: str):
        till = desk.till()
        till.counter.client._http._transport = FaultyTransport(
            switches, till.counter.client._http._transport
        )
        return till

    app = PosApp(make, desk.clock, PairingDetails("http://park", "", "Till"), keys)
    async with app.run_test() as pilot:
        await app.till.log_in("cashier@demo.playpark", "1111")
        await app.till.open_shift(0)
        await settled(pilot, lambda: isinstance(app.screen, RegisterScreen))
        commands = {each.title: each.callback for each in app.get_system_commands(app.screen)}
        commands["QA: offline"]()
        await app.till.engine.drain()
        await app.till.engine._knock()
        await pilot.pause(0.6)
        assert not app.till.engine.reachable
        assert "QA offline" in screen_text(pilot)

        commands["QA: offline"]()
        await app.till.engine._knock()
        assert app.till.engine.reachable


def test_a_key_pressed_twice_is_off_and_leaves_the_others_on():
    switches = Switches()
    keys = QaKeys(switches, enabled=True)
    offline, slow, lost, off = keys.keys
    keys.press(slow)
    keys.press(lost)
    keys.press(offline)
    keys.press(offline)
    assert switches.now == QaSwitches(delay_ms=3000, lost_answers=50)
    assert keys.banner == "QA answers 3000 ms late, 50 % of answers lost"
    keys.press(off)
    assert (switches.now.quiet, keys.banner) == (True, "QA")
