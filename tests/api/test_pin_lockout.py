"""How many wrong PINs are too many, and that nobody can tell one failure from another (R41)."""

import asyncio
import os
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import httpx
import pytest
from pymongo import monitoring

from api.app import create_app
from api.platform import pins
from api.platform.pins import PinHasher
from playpark.errors import ErrorCode, PlayParkError
from tests.api.approving import asking, put_back
from tests.api.drawers import SUPERVISOR
from tests.api.inside import Inside, inside
from tests.api.own_park import OWNER
from tests.outside import CASHIER, Outsider

CASHIER2 = {"email": "cashier2@demo.playpark", "pin": "2222"}
Answer = tuple[int, dict[str, Any]]


class Wire(monitoring.CommandListener):
    """The names of the commands that leave for the database, and of their collections."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, str]] = []

    def started(self, event: monitoring.CommandStartedEvent) -> None:
        name = event.command_name
        self.heard.append((name, str(event.command.get(name, ""))))

    def succeeded(self, event: monitoring.CommandSucceededEvent) -> None: ...
    def failed(self, event: monitoring.CommandFailedEvent) -> None: ...


@pytest.fixture(scope="module")
def wire() -> Iterator[Wire]:
    listener = Wire()
    monitoring.register(listener)  # only clients made from now on
    yield listener
    monitoring._LISTENERS.command_listeners.remove(listener)


@pytest.fixture(scope="module")
async def own_park(mongo_uri: str, database: str, wire: Wire) -> AsyncIterator[Inside]:
    async with inside(mongo_uri, f"{database}_lockout") as found:
        found.platform.pins.close()
        found.platform.pins = PinHasher()  # as dear as in a park: see tests/conftest.py
        people = found.platform.mongo.db["employees"]
        for who in (CASHIER, CASHIER2, SUPERVISOR):
            dear = await found.platform.pins.hash(who["pin"])
            await people.update_one({"email": who["email"]}, {"$set": {"pin_hash": dear}})
        yield found


@pytest.fixture
async def park(own_park: Inside) -> AsyncIterator[Inside]:
    """A park where nobody has been wrong yet."""
    async with put_back(own_park) as found:
        for name in ("pin_attempts", "budgets"):
            await found.platform.mongo.db[name].delete_many({})
        found.platform.settings.pin_failures_per_ip = 60
        yield found


async def login(who: Outsider, **body: str) -> Answer:
    response = await who.call("POST", "/v1/employees/login", body)
    return response.status_code, response.json()["error"]


async def wrong(who: Outsider, email: str = CASHIER2["email"], pin: str = "0000") -> str:
    """The code of a login that fails."""
    _, error = await login(who, email=email, pin=pin)
    return str(error["code"])


async def spray(who: Outsider, count: int) -> list[str]:
    """One PIN at many doors: people who exist and people who do not."""
    return [await wrong(who, f"guest{number}@demo.playpark", "1111") for number in range(count)]


@asynccontextmanager
async def at(park: Inside, ip: str) -> AsyncIterator[httpx.AsyncClient]:
    """The park as it is reached from an address."""
    transport = httpx.ASGITransport(app=create_app(park.platform), client=(ip, 4711))
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as http:
        yield http


async def used(park: Inside) -> set[int]:
    """What is counted against the device and against the address."""
    budgets = park.platform.mongo.db["budgets"]
    return {row["used"] async for row in budgets.find() if ":pins:" in row["_id"]}


# --- a person on a device ---------------------------------------------------------------


async def test_attack_8_five_wrong_pins_lock_a_person_on_this_device_only(park: Inside) -> None:
    till, other = await park.device(), await park.device()
    assert [await wrong(till) for _ in range(6)] == ["E_UNAUTHENTICATED"] * 5 + ["E_PIN_LOCKED"]
    assert (await login(till, **CASHIER))[0] == 200  # a colleague at the same till
    assert (await login(other, **CASHIER2))[0] == 200  # the same person at another one


async def test_attack_8_while_locked_the_right_pin_gets_the_same_answer(park: Inside) -> None:
    till = await park.device()
    for _ in range(5):
        await wrong(till)
    answers = [await login(till, **CASHIER2), await login(till, **{**CASHIER2, "pin": "0000"})]
    assert answers[0] == answers[1]
    assert answers[0][0] == 429


async def test_R41_the_delay_grows_and_the_right_pin_ends_it(park: Inside) -> None:
    till = await park.device()
    for _ in range(5):
        await wrong(till)
    waits = []
    for _ in range(3):
        locked = await till.call("POST", "/v1/employees/login", CASHIER2)
        waits.append(int(locked.headers["Retry-After"]))
        park.clock.advance(timedelta(seconds=waits[-1]))
        assert await wrong(till) == "E_UNAUTHENTICATED"
    assert waits == [30, 60, 120]
    park.clock.advance(timedelta(seconds=240))
    assert (await login(till, **CASHIER2))[0] == 200
    assert [await wrong(till) for _ in range(6)] == ["E_UNAUTHENTICATED"] * 5 + ["E_PIN_LOCKED"]


async def test_attack_10_fifty_parallel_guesses_are_five_tries_and_five_hashes(
    park: Inside, monkeypatch: pytest.MonkeyPatch
) -> None:
    till = await park.device()
    hashed = _count_hashes(park, monkeypatch)
    codes = await asyncio.gather(*(wrong(till) for _ in range(50)))
    assert (codes.count("E_UNAUTHENTICATED"), codes.count("E_PIN_LOCKED")) == (5, 45)
    assert len(hashed) == 5


async def test_R41_first_tries_that_arrive_together_are_all_judged(park: Inside) -> None:
    for _ in range(5):
        till = await park.device()
        codes = await asyncio.gather(*(wrong(till) for _ in range(4)))
        assert set(codes) == {"E_UNAUTHENTICATED"}


async def test_R41_a_new_pin_opens_what_wrong_ones_have_locked(park: Inside) -> None:
    till, office = await park.device(), await park.device("ADMIN")
    for _ in range(5):
        await wrong(till)
    await office.staff(**OWNER)
    people = (await office.data("GET", "/v1/employees"))["items"]
    who = next(each["employee_id"] for each in people if each["email"] == CASHIER2["email"])
    await office.data("POST", f"/v1/employees/{who}/reset_pin", {"pin": "482915"})
    assert (await login(till, email=CASHIER2["email"], pin="482915"))[0] == 200
    employees = park.platform.mongo.db["employees"]
    old = await park.platform.pins.hash(CASHIER2["pin"])
    await employees.update_one({"_id": who}, {"$set": {"pin_hash": old}})


# --- a device ---------------------------------------------------------------------------


async def test_attack_9_one_pin_at_many_doors_locks_the_device(park: Inside) -> None:
    till, other = await park.device(), await park.device()
    assert await spray(till, 21) == ["E_UNAUTHENTICATED"] * 20 + ["E_PIN_LOCKED"]
    assert (await login(till, **CASHIER))[0] == 429
    assert (await till.call("POST", "/v1/approvals/verify_pin", asking())).status_code == 429
    assert (await login(other, **CASHIER))[0] == 200
    park.clock.advance(timedelta(minutes=59, seconds=59))
    locked = await till.call("POST", "/v1/employees/login", CASHIER)
    assert int(locked.headers["Retry-After"]) == 1
    park.clock.advance(timedelta(seconds=1))
    assert (await login(till, **CASHIER))[0] == 200


async def test_R41_fifty_parallel_doors_are_twenty_tries(park: Inside) -> None:
    till = await park.device()
    doors = (wrong(till, f"guest{number}@demo.playpark") for number in range(50))
    codes = await asyncio.gather(*doors)
    assert (codes.count("E_UNAUTHENTICATED"), codes.count("E_PIN_LOCKED")) == (20, 30)


async def test_R41_right_pins_are_not_counted_and_do_not_wipe_out_wrong_ones(park: Inside) -> None:
    till = await park.device()
    await spray(till, 19)
    for _ in range(5):
        assert (await login(till, **CASHIER))[0] == 200
        assert (await till.call("POST", "/v1/approvals/verify_pin", asking())).status_code == 200
    assert await spray(till, 2) == ["E_UNAUTHENTICATED", "E_PIN_LOCKED"]


async def test_R41_a_locked_person_does_not_use_up_what_others_have(park: Inside) -> None:
    till = await park.device()
    for _ in range(80):
        await wrong(till)
    assert await used(park) == {5}
    assert (await login(till, **CASHIER))[0] == 200


# --- an address -------------------------------------------------------------------------


async def test_attack_8_many_devices_at_one_address_share_its_budget(park: Inside) -> None:
    park.platform.settings.pin_failures_per_ip = 30
    async with at(park, "203.0.113.7") as here, at(park, "203.0.113.8") as there:
        first, second = await Outsider(here).pair("POS"), await Outsider(here).pair("POS")
        assert await spray(first, 20) == ["E_UNAUTHENTICATED"] * 20
        assert await spray(second, 11) == ["E_UNAUTHENTICATED"] * 10 + ["E_PIN_LOCKED"]
        third = await Outsider(here).pair("POS")
        assert (await login(third, **CASHIER))[0] == 429
        third.http = there
        assert (await login(third, **CASHIER))[0] == 200
        third.http = here
        park.clock.advance(timedelta(hours=1))
        assert (await login(third, **CASHIER))[0] == 200


async def test_attack_37_wrong_pins_in_one_park_close_no_till_of_another(park: Inside) -> None:
    park.platform.settings.pin_failures_per_ip = 3
    async with at(park, "203.0.113.9") as here:
        assert await spray(await Outsider(here).pair("POS"), 4) == [
            *["E_UNAUTHENTICATED"] * 3,
            "E_PIN_LOCKED",
        ]
        other = await Outsider(here).pair("POS", site_key="DEMO-OTHER-PARK")
        who = {"email": "cashier@other.playpark", "pin": "1111"}
        assert (await login(other, **who))[0] == 200


async def test_R41_a_header_does_not_make_another_address(park: Inside) -> None:
    park.platform.settings.pin_failures_per_ip = 3
    async with at(park, "203.0.113.9") as here:
        till = await Outsider(here).pair("POS")
        await spray(till, 3)
        here.headers["X-Forwarded-For"] = "198.51.100.1"
        assert (await login(till, **CASHIER))[0] == 429


async def test_R41_an_ipv6_address_counts_with_its_whole_network(park: Inside) -> None:
    park.platform.settings.pin_failures_per_ip = 3
    for ip, codes in (
        ("2001:db8::1", ["E_UNAUTHENTICATED"] * 3),
        ("2001:db8::ffff:1", ["E_PIN_LOCKED"]),
        ("2001:db8:0:1::1", ["E_UNAUTHENTICATED"]),
    ):
        async with at(park, ip) as here:
            assert await spray(await Outsider(here).pair("POS"), len(codes)) == codes


# --- what a failure looks like ----------------------------------------------------------


async def test_attack_39_all_failures_look_the_same_and_take_the_same(
    park: Inside, wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same answer after the same commands to the database and one hash."""
    memberships = park.platform.mongo.db["memberships"]
    here = await park.platform.mongo.db["employees"].find_one({"email": CASHIER2["email"]})
    till = await park.device()
    await wrong(till)  # the device's chain and budget are there
    hashed = _count_hashes(park, monkeypatch)
    seen = []
    for email, pin in (
        (CASHIER["email"], "0000"),
        ("nobody@demo.playpark", "0000"),
        ("cashier@other.playpark", "1111"),
        (CASHIER2["email"], CASHIER2["pin"]),
    ):
        if email == CASHIER2["email"]:
            await memberships.update_many({"employee_id": here["_id"]}, {"$set": {"active": False}})
        wire.heard.clear()
        hashed.clear()
        answer = await login(till, email=email, pin=pin)
        seen.append((answer, list(wire.heard), len(hashed)))
    await memberships.update_many({"employee_id": here["_id"]}, {"$set": {"active": True}})
    assert seen[0][0][0] == 401
    assert seen[0][2] == 1
    for each in seen[1:]:
        assert each == seen[0]


async def test_R41_failures_are_audited_with_whom_and_where(park: Inside) -> None:
    till = await park.device()
    await wrong(till)
    await wrong(till, "nobody@demo.playpark")
    rows = park.platform.mongo.db["audits"]
    mine = {"device_id": till.device["device_id"], "event_type": "employee.login_failed"}
    known, unknown = await rows.find(mine).sort("seq", 1).to_list(None)
    person = await park.platform.mongo.db["employees"].find_one({"email": CASHIER2["email"]})
    assert (known["entity_id"], unknown["entity_id"]) == (person["_id"], "nobody@demo.playpark")
    assert known["actor_id"] is None
    assert "0000" not in str([known["payload"], unknown["payload"]])
    assert (known["ip"], len(known["fingerprint"])) == ("127.0.0.1", 16)


# --- hashing ----------------------------------------------------------------------------


def _count_hashes(park: Inside, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    hashed: list[str] = []
    verify = park.platform.pins._verify

    def counted(pin_hash: str | None, pin: str) -> bool:
        hashed.append(pin)
        return verify(pin_hash, pin)

    monkeypatch.setattr(park.platform.pins, "_verify", counted)
    return hashed


async def test_R41_hashing_waits_in_a_short_queue_and_then_nobody_is_judged() -> None:
    hasher = PinHasher(parallel=1, under_way=3)
    known = await hasher.hash("4711")
    tries = [hasher.verify(each, "4711") for each in (known, None, known, known, None)]
    answers = await asyncio.gather(*tries, return_exceptions=True)
    refusals = [each for each in answers if isinstance(each, PlayParkError)]
    assert answers[:3] == [True, False, True]
    assert [each.code for each in refusals] == [ErrorCode.UNAVAILABLE] * 2
    assert refusals[0].message == refusals[1].message
    assert all(each.retry_after for each in refusals)
    assert await hasher.verify(known, "4711")  # the queue is free again
    hasher.close()


async def test_R41_somebody_unknown_costs_a_hash_too(monkeypatch: pytest.MonkeyPatch) -> None:
    hasher, compared = PinHasher(), []

    class Counting:
        def verify(self, pin_hash: str, pin: str) -> bool:
            compared.append((pin_hash[:30], pin))
            return True

    known = await hasher.hash("4711")
    monkeypatch.setattr(hasher, "_argon2", Counting())
    assert await hasher.verify(known, "4711")
    assert not await hasher.verify(None, "4711")
    assert compared[0] == compared[1]  # the same parameters
    hasher.close()


async def test_R41_a_try_that_was_not_judged_is_not_counted(
    park: Inside, monkeypatch: pytest.MonkeyPatch
) -> None:
    till = await park.device()
    monkeypatch.setattr(park.platform.pins, "_most", 0)
    for email in (CASHIER2["email"], "nobody@demo.playpark"):
        busy = await till.call("POST", "/v1/employees/login", {"email": email, "pin": "0000"})
        assert (busy.status_code, busy.json()["error"]["code"]) == (503, "E_UNAVAILABLE")
        assert int(busy.headers["Retry-After"]) > 0
    monkeypatch.undo()
    assert await used(park) == {0}
    attempts = park.platform.mongo.db["pin_attempts"]
    assert {row["failed"] async for row in attempts.find()} == {0}


async def test_R41_hashing_stands_back_behind_everything_else() -> None:
    """The threads have the lowest priority, and the loop goes on meanwhile."""
    hasher = PinHasher()
    main = threading.main_thread().native_id
    here: list[tuple[int | None, int]] = []

    def look() -> None:
        native = threading.get_native_id()
        here.append((native, _niceness(native)))

    await hasher._run(look)
    assert here == [(here[0][0], pins.LOWEST)]
    assert main is not None
    assert _niceness(main) < pins.LOWEST
    hasher.close()


def _niceness(thread: int) -> int:
    return os.getpriority(os.PRIO_PROCESS, thread)


async def test_R41_a_storm_does_not_hold_up_the_loop(park: Inside) -> None:
    """Other work gets its turn between any two hashes."""
    turns = 0
    storm = asyncio.gather(*(park.platform.pins.verify(None, "0000") for _ in range(20)))
    while not storm.done():
        await asyncio.sleep(0)
        turns += 1
    assert turns > 1_000
    assert not any(await storm)


async def test_R41_what_the_supervisor_gets_wrong_counts_for_the_supervisor(park: Inside) -> None:
    till = await park.device()
    await till.staff()
    for _ in range(5):
        await till.call("POST", "/v1/approvals/verify_pin", {**asking(), "pin": "0000"})
    assert (await login(till, **SUPERVISOR))[0] == 429
    assert (await login(till, **CASHIER))[0] == 200
