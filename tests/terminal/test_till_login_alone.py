"""Logging in while the server is away, and what it wants when it is back (R37, R39, R41)."""

from functools import partial

import pytest

import terminal.till
from playpark.device import RecentEmployee
from playpark.device.offline_login import Cost, OfflinePeople
from playpark.device.safe import SECRET_VARIABLE
from playpark.device.store import RECENT_EMPLOYEES
from playpark.errors import ErrorCode, PlayParkError
from playpark.tui import Choose, LoginScreen
from terminal.counter import PIN_FIRST, TillState
from terminal.screens.open_shift import OpenShiftScreen
from terminal.screens.pin import PinDialog
from terminal.screens.register import RegisterScreen
from tests.terminal.alone import FULL, IDS, SECRET, certify
from tests.terminal.test_register_screen import screen_text, settled, text

NOK = ("cashier@demo.playpark", "1111")


@pytest.fixture(autouse=True)
def cheap(monkeypatch):
    """PIN hashes that cost nothing."""
    monkeypatch.setenv(SECRET_VARIABLE, SECRET)
    monkeypatch.setattr(terminal.till, "OfflinePeople", partial(OfflinePeople, cost=Cost(64, 1)))


@pytest.fixture
async def known(desk):
    """A till on which Nok has logged in before, whose line is gone now."""
    till = desk.till()
    await till.log_in(*NOK)
    await till.log_out()
    desk.park.down = True
    yield till
    await till.close()


async def test_R39_who_was_here_logs_in_without_the_server_and_works(desk, known):
    await known.log_in(*NOK)

    assert known.state is TillState.NO_SHIFT
    assert (known.employee.name, known.counter.needs_pin) == ("Nok", True)
    await known.open_shift(100)
    assert known.shift.employee_id == "e1"
    await known.log_out()
    assert known.state is TillState.LOGGED_OUT


@pytest.mark.parametrize("who", [("cashier@demo.playpark", "2222"), ("som@demo.playpark", "1111")])
async def test_R41_a_wrong_pin_and_a_stranger_get_the_same_answer(known, who):
    with pytest.raises(PlayParkError, match="do not belong together here") as refused:
        await known.log_in(*who)
    assert refused.value.code is ErrorCode.UNAUTHENTICATED
    assert known.employee is None


async def test_R41_the_server_s_no_is_not_asked_about_again_at_the_till(desk, known):
    desk.park.down = False
    with pytest.raises(PlayParkError, match="Wrong email or PIN"):
        await known.log_in("cashier@demo.playpark", "2222")


async def test_R39_the_server_wants_the_pin_once_and_acts_in_their_name_then(desk, known):
    await known.log_in(*NOK)
    desk.park.down = False
    with pytest.raises(PlayParkError) as asked:
        await known.counter.ask(lambda server: server.me())
    assert asked.value.message == PIN_FIRST

    with pytest.raises(PlayParkError, match="Wrong email or PIN"):
        await known.prove("2222")
    await known.prove("1111")

    assert not known.counter.needs_pin
    assert await known.parking.parked() == []


async def test_R39_a_session_that_ran_out_meanwhile_asks_for_the_pin_and_logs_nobody_out(
    desk, known, monkeypatch
):
    desk.park.down = False
    await known.log_in(*NOK)
    desk.park.expired = True
    over = {"error": {"code": "E_UNAUTHENTICATED", "message": "Log in again."}}
    monkeypatch.setattr(desk.park, "_auth_refresh", lambda _request: dict(over))

    with pytest.raises(PlayParkError) as asked:
        await known.parking.parked()

    assert asked.value.message == PIN_FIRST
    assert (known.employee.name, known.counter.needs_pin) == ("Nok", True)


@pytest.mark.parametrize("code", ["E_EMPLOYEE_SUSPENDED", "E_DEVICE_REVOKED", "E_DEVICE_SUSPENDED"])
async def test_R38_who_was_suspended_does_not_log_in_without_the_server_any_more(
    desk, known, monkeypatch, code
):
    desk.park.down = False
    told = {"error": {"code": code, "message": "Suspended."}}
    monkeypatch.setattr(desk.park, "_employees_login", lambda _request: dict(told))
    with pytest.raises(PlayParkError, match="Suspended"):
        await known.log_in(*NOK)
    desk.park.down = True

    with pytest.raises(PlayParkError):
        await known.log_in(*NOK)
    assert known.employee is None


async def test_R38_also_where_many_others_were_here_since(desk, known, monkeypatch):
    for number in range(RECENT_EMPLOYEES):
        other = RecentEmployee(employee_id=f"o{number}", name="Other", seen_at=desk.clock.now())
        desk.store.remember_employee(other)
    desk.park.down = False
    told = {"error": {"code": "E_EMPLOYEE_SUSPENDED", "message": "Suspended."}}
    monkeypatch.setattr(desk.park, "_employees_login", lambda _request: dict(told))
    with pytest.raises(PlayParkError, match="Suspended"):
        await known.log_in(*NOK)

    assert desk.store.people.count() == 0


async def test_R39_a_pin_that_the_server_has_ceased_to_take_is_none_without_it_either(
    desk, known, monkeypatch
):
    desk.park.down = False
    told = {"error": {"code": "E_UNAUTHENTICATED", "message": "Wrong email or PIN."}}
    with monkeypatch.context() as changed:
        changed.setattr(desk.park, "_employees_login", lambda _request: dict(told))
        with pytest.raises(PlayParkError, match="Wrong email or PIN"):
            await known.log_in(NOK[0], "2222")
        assert desk.store.people.count() == 1
        with pytest.raises(PlayParkError, match="Wrong email or PIN"):
            await known.log_in(*NOK)
    desk.park.down = True

    with pytest.raises(PlayParkError, match="do not belong together here"):
        await known.log_in(*NOK)


@pytest.mark.parametrize(("code", "details"), [(None, {"totp": "required"}), ("123456", None)])
async def test_R41_a_code_that_is_missing_or_wrong_says_nothing_of_the_pin(
    desk, known, monkeypatch, code, details
):
    desk.park.down = False
    told = {"error": {"code": "E_UNAUTHENTICATED", "message": "Code.", "details": details}}
    monkeypatch.setattr(desk.park, "_employees_login", lambda _request: dict(told))
    with pytest.raises(PlayParkError, match="Code"):
        await known.log_in(*NOK, code)

    assert desk.store.people.count() == 1


async def test_R39_at_the_screen_the_pin_is_asked_for_at_the_key_and_the_key_goes_on(
    desk, monkeypatch
):
    desk.sells(FULL)
    certify(desk, monkeypatch)
    app = desk.app()
    async with app.run_test() as pilot:
        await app.till.log_in(*NOK)
        await app.till.log_out()
        desk.park.down = True
        await settled(pilot, lambda: isinstance(app.screen, LoginScreen))
        await app.till.engine.drain()
        await app._log_in(*NOK, None)
        await settled(pilot, lambda: isinstance(app.screen, OpenShiftScreen))
        await pilot.press("1", "enter")
        await settled(pilot, lambda: isinstance(app.screen, RegisterScreen))
        await pilot.pause(0.6)
        assert "Nok (offline)" in screen_text(pilot)
        await pilot.press("f1", "f1", "enter")
        await settled(pilot, lambda: len(desk.paper.tickets) == 2)

        desk.park.down = False
        app.till.engine.wake()
        await settled(pilot, lambda: app.till.engine.reachable and not app.till.engine.queued)
        assert desk.paper.tickets[0].package_id == IDS["adult"]
        await pilot.press("ctrl+f")
        await settled(pilot, lambda: isinstance(app.screen, PinDialog))
        assert "Nok logged in while the server was away" in screen_text(pilot)
        await pilot.press(*"2222", "enter")
        await settled(pilot, lambda: "Wrong email or PIN" in text(pilot, "#error"))
        await pilot.press(*"1111", "enter")
        await settled(pilot, lambda: isinstance(app.screen, Choose))
        assert not app.till.counter.needs_pin


async def test_R38_a_till_that_was_suspended_while_it_worked_forgets_its_people(
    desk, known, monkeypatch
):
    desk.park.down = False
    told = {"error": {"code": "E_DEVICE_SUSPENDED", "message": "This till is suspended."}}
    monkeypatch.setattr(desk.park, "_auth_device_login", lambda _request: dict(told))
    assert desk.store.people.count() == 1

    with pytest.raises(PlayParkError, match="suspended"):
        await known.counter.log_in_device()

    assert desk.store.people.count() == 0
