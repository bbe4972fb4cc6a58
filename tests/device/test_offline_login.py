"""Logging in without the server: who was here within seven days, and no guessing (R39, R41)."""

import threading
from datetime import timedelta

import pytest

from playpark.contracts.employees import EmployeeView, Permission
from playpark.device import DeviceStore
from playpark.device import offline_login as module
from playpark.device.offline_login import Cost, OfflinePeople
from playpark.device.people import FIRST_LOCK, MAX_NAMES
from playpark.device.safe import GivenSecret
from playpark.errors import ErrorCode, PlayParkError
from tests.device.conftest import NOW

SAFE = GivenSecret("a secret of this till's environment")
CHEAP = Cost(memory_kib=8, passes=1)
NOK = EmployeeView(employee_id="e1", name="Nok", roles=["cashier"], permissions=[Permission.SELL])
EMAIL, PIN = "nok@park.example", "2580"
DAY = timedelta(days=1)
SECOND = timedelta(seconds=1)


@pytest.fixture
def people(store: DeviceStore) -> OfflinePeople:
    found = OfflinePeople(store, SAFE, CHEAP)
    found.remember(NOK, EMAIL, PIN, NOW)
    return found


def refusal(people: OfflinePeople, email: str = EMAIL, pin: str = "0000", now=NOW) -> PlayParkError:
    with pytest.raises(PlayParkError) as refused:
        people.log_in(email, pin, now)
    return refused.value


def test_R39_who_logged_in_here_may_log_in_without_the_server_as_they_were(people):
    assert people.log_in(f" {EMAIL.upper()}", PIN, NOW + 7 * DAY) == NOK


def test_R39_it_holds_after_a_restart(people, store, path, clock):
    store._database.rows("PRAGMA wal_checkpoint")

    again = OfflinePeople(store, GivenSecret(SAFE.value), CHEAP)

    assert again.log_in(EMAIL, PIN, NOW) == NOK


def test_R39_the_last_login_with_the_server_says_what_one_may(people):
    promoted = NOK.model_copy(update={"permissions": [Permission.SELL, Permission.REFUND]})
    people.remember(promoted, EMAIL, "9631", NOW + DAY)

    assert refusal(people, pin=PIN, now=NOW + DAY).code is ErrorCode.UNAUTHENTICATED
    assert people.log_in(EMAIL, "9631", NOW + 8 * DAY) == promoted


def test_R39_after_seven_days_only_the_server_knows_one(people):
    late = refusal(people, pin=PIN, now=NOW + 7 * DAY + SECOND)

    assert late.code is ErrorCode.UNAUTHENTICATED
    assert late.message == refusal(people).message


def test_R39_a_clock_that_is_set_back_makes_nobody_younger(people):
    other = NOK.model_copy(update={"employee_id": "e2"})
    people.remember(other, "ploy@park.example", "1379", NOW + 8 * DAY)

    assert refusal(people, pin=PIN, now=NOW).code is ErrorCode.UNAUTHENTICATED
    assert people.log_in("ploy@park.example", "1379", NOW) == other


def test_R41_an_unknown_person_looks_like_a_wrong_pin_and_costs_as_much(people, monkeypatch):
    hashed = []
    real = module.hash_secret_raw

    def counting(secret: bytes, salt: bytes, **cost: int) -> bytes:
        hashed.append((len(secret), len(salt), *cost.items()))
        return real(secret, salt, **cost)

    monkeypatch.setattr(module, "hash_secret_raw", counting)

    wrong = [refusal(people) for _ in range(6)]
    unknown = [refusal(people, email="nobody@park.example") for _ in range(6)]
    late = refusal(people, email=EMAIL, pin=PIN, now=NOW + 9 * DAY)

    told = [(e.code, e.message, e.retry_after) for e in wrong]
    assert [(e.code, e.message, e.retry_after) for e in unknown] == told
    assert told[0] == (late.code, late.message, late.retry_after)
    assert len(hashed) == 11
    assert len(set(hashed)) == 1


def test_R41_five_wrong_pins_lock_and_each_lock_is_longer(people):
    for _ in range(5):
        assert refusal(people).code is ErrorCode.UNAUTHENTICATED
    now = NOW
    for delay in (30, 60, 120, 240, 480, 960, 1920, 1920):
        locked = refusal(people, pin=PIN, now=now)
        assert (locked.code, locked.retry_after) == (ErrorCode.PIN_LOCKED, delay)
        now += timedelta(seconds=delay)
        assert refusal(people, now=now).code is ErrorCode.UNAUTHENTICATED


def test_R41_a_right_pin_starts_the_count_again(people):
    for _ in range(4):
        refusal(people)
    assert people.log_in(EMAIL, PIN, NOW) == NOK

    for _ in range(5):
        assert refusal(people).code is ErrorCode.UNAUTHENTICATED
    assert refusal(people).code is ErrorCode.PIN_LOCKED
    assert people.log_in(EMAIL, PIN, NOW + FIRST_LOCK) == NOK


def test_R41_logging_in_with_the_server_opens_the_lock(people):
    for _ in range(5):
        refusal(people)

    people.remember(NOK, EMAIL, PIN, NOW)

    assert people.log_in(EMAIL, PIN, NOW) == NOK


def test_R41_attempts_are_on_the_disk_before_the_pin_is_looked_at(people, store, monkeypatch):
    """Pulling the plug while it is hashed gives no guess back."""

    def dies(*_: object, **__: object) -> bytes:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(module, "hash_secret_raw", dies)
        for _ in range(5):
            with pytest.raises(KeyboardInterrupt):
                people.log_in(EMAIL, PIN, NOW)

    again = OfflinePeople(store, SAFE, CHEAP)
    assert refusal(again, pin=PIN).code is ErrorCode.PIN_LOCKED


def test_R41_guesses_at_once_do_not_outrun_the_lock(people):
    codes = []

    def guess() -> None:
        codes.append(refusal(people).code)

    threads = [threading.Thread(target=guess) for _ in range(30)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert codes.count(ErrorCode.UNAUTHENTICATED) == 5
    assert codes.count(ErrorCode.PIN_LOCKED) == 25


def test_R41_a_clock_that_is_put_right_locks_nobody_out_for_years(people):
    for _ in range(5):
        refusal(people, now=NOW + 3000 * DAY)

    assert refusal(people, pin=PIN).retry_after == 30
    assert people.log_in(EMAIL, PIN, NOW + FIRST_LOCK) == NOK


def test_R41_a_guesser_does_not_fill_the_disk(people, store):
    for number in range(MAX_NAMES + 20):
        store.people.reserve(f"nobody{number}@park.example", NOW + number * SECOND)
    store.people.reserve(EMAIL, NOW)
    store.people.reserve("another@park.example", NOW + 2 * MAX_NAMES * SECOND)

    rows = store._database.rows("SELECT email FROM login_attempts")
    assert len(rows) == MAX_NAMES + 1
    assert EMAIL in {row["email"] for row in rows}


def test_R39_the_disk_alone_has_nothing_to_try_pins_on(people, store, path):
    """The verifier and the device's secret are sealed; without the safe neither opens."""
    [row] = store._database.rows("SELECT * FROM people")
    assert set(row.keys()) == {"employee_id", "email", "employee", "sealed", "seen_at"}
    assert store.people.secret.sealed.startswith("gAAAA")
    assert row["sealed"].startswith("gAAAA")
    for part in path.parent.iterdir():
        assert b"memory_kib" not in part.read_bytes()

    thief = OfflinePeople(store, GivenSecret("another secret of another environment"), CHEAP)
    assert refusal(thief, pin=PIN).code is ErrorCode.UNAVAILABLE


def test_R39_one_device_says_nothing_about_a_pin_on_another(people, store, tmp_path, clock):
    """The same PIN, person and environment; the device's own secret differs."""
    with DeviceStore.open(tmp_path / "other.db", clock) as other:
        there = OfflinePeople(other, SAFE, CHEAP)
        there.remember(NOK, EMAIL, PIN, NOW)
        other.people.keep(store.people.find(EMAIL))

        assert refusal(there, pin=PIN).code is ErrorCode.UNAUTHENTICATED


def test_R39_without_a_safe_nobody_logs_in_and_nothing_is_kept(store):
    people = OfflinePeople(store, None, CHEAP)

    people.remember(NOK, EMAIL, PIN, NOW)

    refused = refusal(people, pin=PIN)
    assert refused.code is ErrorCode.UNAVAILABLE
    assert "PLAYPARK_DEVICE_KEY" in refused.message
    assert store.people.count() == 0


def test_R39_before_the_first_login_with_the_server_it_says_so(store):
    refused = refusal(OfflinePeople(store, SAFE, CHEAP), pin=PIN)

    assert refused.code is ErrorCode.UNAVAILABLE
    assert "log in with the server" in refused.message


def test_R34_a_secret_that_was_lost_is_made_anew_at_the_next_login(people, store):
    fresh = OfflinePeople(store, GivenSecret("the new secret of this till's environment"), CHEAP)

    fresh.remember(NOK, EMAIL, PIN, NOW)

    assert fresh.log_in(EMAIL, PIN, NOW) == NOK


def test_R39_somebody_can_be_forgotten_and_everybody(people, store):
    other = NOK.model_copy(update={"employee_id": "e2"})
    people.remember(other, "ploy@park.example", "1379", NOW)

    people.forget(EMAIL)
    assert refusal(people, pin=PIN).code is ErrorCode.UNAUTHENTICATED
    assert people.log_in("ploy@park.example", "1379", NOW) == other

    people.forget_all()
    assert (store.people.count(), store.people.secret) == (0, None)
    assert refusal(people, email="ploy@park.example", pin="1379").code is ErrorCode.UNAVAILABLE


def test_R39_an_address_belongs_to_one_person_at_a_time(people):
    other = NOK.model_copy(update={"employee_id": "e2"})

    people.remember(other, EMAIL, "1379", NOW)

    assert refusal(people, pin=PIN).code is ErrorCode.UNAUTHENTICATED
    assert people.log_in(EMAIL, "1379", NOW) == other


def test_R39_a_guess_is_dear_by_default():
    assert (Cost().memory_kib, Cost().passes) == (64 * 1024, 3)
