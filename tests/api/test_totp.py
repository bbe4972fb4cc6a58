"""Codes of an authenticator app: enrolling, logging in with them, losing the app (R41)."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pyotp
import pytest
from pymongo import MongoClient

from tests.api.approving import asking, put_back
from tests.api.drawers import SUPERVISOR
from tests.api.inside import Inside, inside
from tests.api.own_park import OWNER
from tests.outside import CASHIER, Outsider

CASHIER2 = {"email": "cashier2@demo.playpark", "pin": "2222"}
TOTP = "/v1/employees/me/totp"
STEP = timedelta(seconds=30)


@pytest.fixture(scope="module")
async def own_park(mongo_uri: str, database: str) -> AsyncIterator[Inside]:
    async with inside(mongo_uri, f"{database}_totp") as found:
        yield found


@pytest.fixture
async def park(own_park: Inside) -> AsyncIterator[Inside]:
    """A park where nobody has an app or was wrong yet."""
    async with put_back(own_park) as found:
        for name in ("authenticators", "pin_attempts", "budgets"):
            await found.platform.mongo.db[name].delete_many({})
        yield found


class App:
    """A person's authenticator app. Its clock is the park's."""

    def __init__(self, park: Inside, secret: str) -> None:
        self._park, self._totp = park, pyotp.TOTP(secret)

    def code(self, steps: int = 0) -> str:
        return self._totp.at(self._park.clock.now() + steps * STEP)

    def wrong(self) -> str:
        """Six digits that are no code anywhere near now."""
        near = {self.code(steps) for steps in range(-3, 4)}
        return next(code for code in ("000000", "111111", "222222", "333333") if code not in near)

    def next(self) -> str:
        """The code of the next step: the last one was used."""
        self._park.clock.advance(STEP)
        return self.code()


async def enrol(park: Inside, who: Outsider) -> App:
    """Enrol the person who is logged in, and confirm it."""
    app = App(park, (await who.data("POST", TOTP))["secret"])
    assert await who.data("POST", f"{TOTP}/confirm", {"code": app.code()})
    return app


async def enrolled(park: Inside, **who: str) -> tuple[Outsider, App]:
    """A till where somebody with an app is logged in."""
    till = await park.device()
    await till.staff(**(who or SUPERVISOR))
    return till, await enrol(park, till)


async def login(who: Outsider, **body: Any) -> tuple[int, dict[str, Any] | None]:
    response = await who.call("POST", "/v1/employees/login", {**SUPERVISOR, **body})
    return response.status_code, response.json()["error"]


async def test_R41_the_secret_is_shown_once_as_an_address_for_the_app(park: Inside) -> None:
    till = await park.device()
    await till.staff(**SUPERVISOR)
    told = await till.data("POST", TOTP)
    assert len(told["secret"]) == 32  # 160 bits
    address = urlsplit(told["otpauth_uri"])
    assert (address.scheme, address.netloc) == ("otpauth", "totp")
    assert parse_qs(address.query)["secret"] == [told["secret"]]
    assert parse_qs(address.query)["issuer"] == ["Bangkok Play Park"]
    confirmed = await till.data(
        "POST", f"{TOTP}/confirm", {"code": App(park, told["secret"]).code()}
    )
    assert confirmed["enrolled"] is True
    assert told["secret"] not in str(confirmed)
    again = await till.call("POST", TOTP)
    assert (again.status_code, again.json()["error"]["code"]) == (409, "E_CONFLICT")


async def test_R41_the_secret_is_stored_sealed_and_stands_in_no_audit_row(
    park: Inside, mongo_uri: str, database: str
) -> None:
    till = await park.device()
    await till.staff(**SUPERVISOR)
    secret = (await till.data("POST", TOTP))["secret"]
    code = App(park, secret).code()
    await till.data("POST", f"{TOTP}/confirm", {"code": code})
    with MongoClient(mongo_uri) as mongo:
        stored = mongo[f"{database}_totp"]
        everything = str([list(stored[name].find()) for name in stored.list_collection_names()])
        app = stored["authenticators"].find_one()
    assert secret not in everything
    assert f"'{code}'" not in everything
    assert app is not None
    assert park.platform.vault.open(app["sealed"]) == secret


async def test_R41_an_app_that_is_not_confirmed_asks_nobody_for_a_code(park: Inside) -> None:
    till = await park.device()
    await till.staff(**SUPERVISOR)
    first, second = [App(park, (await till.data("POST", TOTP))["secret"]) for _ in range(2)]
    assert (await login(till))[0] == 200
    await till.staff(**SUPERVISOR)
    stale = await till.call("POST", f"{TOTP}/confirm", {"code": first.code()})
    assert stale.status_code == 401
    await till.data("POST", f"{TOTP}/confirm", {"code": second.code()})


async def test_R41_enrolling_takes_a_person_and_a_fresh_pin(park: Inside) -> None:
    till = await park.device()
    assert (await till.call("POST", TOTP)).status_code == 401
    await till.staff(**SUPERVISOR)
    park.clock.advance(timedelta(minutes=16))
    for method, path, body in (
        ("POST", TOTP, None),
        ("POST", f"{TOTP}/confirm", {"code": "123456"}),
        ("DELETE", TOTP, None),
    ):
        response = await till.call(method, path, body)
        assert response.json()["error"]["details"] == {"reason": "step_up"}


async def test_there_is_nothing_to_confirm_without_an_enrolment(park: Inside) -> None:
    till = await park.device()
    await till.staff(**SUPERVISOR)
    response = await till.call("POST", f"{TOTP}/confirm", {"code": "123456"})
    assert (response.status_code, response.json()["error"]["code"]) == (409, "E_CONFLICT")


# --- logging in -------------------------------------------------------------------------


async def test_R41_after_the_right_pin_the_code_is_asked_for(park: Inside) -> None:
    till, app = await enrolled(park)
    status, error = await login(till)
    assert (status, error and error["code"]) == (401, "E_UNAUTHENTICATED")
    assert error is not None
    assert error["details"] == {"totp": "required"}
    assert (await login(till, totp=app.next()))[0] == 200


async def test_R41_before_the_right_pin_nothing_tells_that_there_is_an_app(park: Inside) -> None:
    till, app = await enrolled(park)
    plain = await login(till, pin="0000")
    assert plain[1] is not None
    assert plain[1]["details"] is None
    assert await login(till, pin="0000", totp=app.next()) == plain
    assert await login(till, email="nobody@demo.playpark") == plain
    assert await login(till, totp=app.wrong()) == plain  # a wrong code looks like a wrong PIN


async def test_R41_a_code_of_somebody_without_an_app_is_not_looked_at(park: Inside) -> None:
    till = await park.device()
    assert (await login(till, totp="000000"))[0] == 200


async def test_R41_each_code_works_once(park: Inside) -> None:
    till, app = await enrolled(park)
    code = app.next()
    assert (await login(till, totp=code))[0] == 200
    assert (await login(till, totp=code))[0] == 401
    other = await park.device()
    assert (await login(other, totp=code))[0] == 401


async def test_R41_of_fifty_parallel_uses_of_a_code_one_stands(park: Inside) -> None:
    _, app = await enrolled(park)
    code = app.next()
    devices = [await park.device() for _ in range(10)]
    answers = await asyncio.gather(*(login(each, totp=code) for each in devices for _ in range(5)))
    assert [status for status, _ in answers].count(200) == 1


async def test_R41_the_code_that_confirmed_does_not_log_in(park: Inside) -> None:
    till, app = await enrolled(park)
    assert (await login(till, totp=app.code()))[0] == 401


@pytest.mark.parametrize(
    ("steps", "good"), [(-2, False), (-1, True), (0, True), (1, True), (2, False)]
)
async def test_R41_a_clock_may_be_one_step_apart(park: Inside, steps: int, good: bool) -> None:
    till, app = await enrolled(park)
    park.clock.advance(10 * STEP)
    assert (await login(till, totp=app.code(steps)))[0] == (200 if good else 401)


async def test_R41_after_a_newer_code_an_older_one_is_over(park: Inside) -> None:
    till, app = await enrolled(park)
    park.clock.advance(10 * STEP)
    ahead, now = app.code(1), app.code()
    assert (await login(till, totp=ahead))[0] == 200
    assert (await login(till, totp=now))[0] == 401


async def test_R41_wrong_codes_count_like_wrong_pins(park: Inside) -> None:
    till, app = await enrolled(park)
    code = app.next()
    for _ in range(3):
        assert (await login(till, totp=app.wrong()))[0] == 401
    for _ in range(2):
        assert (await login(till, pin="0000"))[0] == 401
    assert (await login(till, totp=code))[0] == 429
    park.clock.advance(timedelta(seconds=30))
    assert (await login(till, totp=code))[0] == 200


async def test_R41_the_right_pin_alone_does_not_wipe_out_wrong_codes(park: Inside) -> None:
    """Else codes could be guessed four at a time, between right PINs."""
    till, app = await enrolled(park)
    cashier = await park.device()
    cashier.device, cashier.token = till.device, till.token
    await cashier.staff(**CASHIER)
    code = app.next()
    for _ in range(2):
        for _ in range(2):
            assert (await login(till, totp=app.wrong()))[0] == 401
        assert (await login(till))[1] is not None
        assert (await cashier.call("POST", "/v1/approvals/verify_pin", asking())).status_code == 200
    assert (await login(till, totp=app.wrong()))[0] == 401
    assert (await login(till, totp=code))[0] == 429


async def test_R41_a_missing_code_is_no_guess(park: Inside) -> None:
    till, app = await enrolled(park)
    for _ in range(30):
        _, error = await login(till)
        assert error is not None
        assert error["details"] == {"totp": "required"}
    assert (await login(till, totp=app.next()))[0] == 200


async def test_R41_wrong_codes_are_audited_without_the_code(park: Inside) -> None:
    till, app = await enrolled(park)
    await login(till)
    await login(till, totp=app.wrong())
    rows = park.platform.mongo.db["audits"]
    mine = {"device_id": till.device["device_id"], "event_type": "employee.login_failed"}
    found = await rows.find(mine).sort("seq", 1).to_list(None)
    assert [row["payload"] for row in found] == [{"totp": "missing"}, {"totp": "wrong"}]


async def test_R42_an_approval_at_the_counter_takes_the_pin_alone(park: Inside) -> None:
    till, _ = await enrolled(park)
    await till.staff(**CASHIER)
    assert (await till.call("POST", "/v1/approvals/verify_pin", asking())).status_code == 200


async def test_R41_wrong_codes_at_the_confirmation_count_too(park: Inside) -> None:
    till = await park.device()
    await till.staff(**SUPERVISOR)
    app = App(park, (await till.data("POST", TOTP))["secret"])
    for _ in range(5):
        response = await till.call("POST", f"{TOTP}/confirm", {"code": app.wrong()})
        assert response.status_code == 401
    locked = await till.call("POST", f"{TOTP}/confirm", {"code": app.code()})
    assert (locked.status_code, locked.json()["error"]["code"]) == (429, "E_PIN_LOCKED")


# --- taking the app away ----------------------------------------------------------------


async def test_R41_who_takes_their_app_away_needs_the_pin_alone_again(park: Inside) -> None:
    till, _ = await enrolled(park)
    assert (await till.data("DELETE", TOTP))["enrolled"] is False
    assert (await login(till))[0] == 200


async def person(park: Inside, email: str) -> str:
    found = await park.platform.mongo.db["employees"].find_one({"email": email})
    return str(found["_id"])


async def test_R41_a_manager_takes_a_lost_app_away_and_it_is_audited(park: Inside) -> None:
    till, _ = await enrolled(park)
    office = await park.device("ADMIN")
    await office.staff(**OWNER)
    lost = await person(park, SUPERVISOR["email"])
    for _ in range(2):  # the second time there is nothing to take away, and no second row
        told = await office.data("POST", f"/v1/employees/{lost}/reset_totp")
        assert told == {"employee_id": lost, "enrolled": False}
    assert (await login(till))[0] == 200
    rows = park.platform.mongo.db["audits"]
    (row,) = await rows.find({"event_type": "employee.totp_reset"}).to_list(None)
    assert (row["entity_id"], row["actor_id"]) == (lost, await person(park, OWNER["email"]))


async def test_R41_a_new_pin_does_not_take_the_app_away(park: Inside) -> None:
    till, app = await enrolled(park, **CASHIER2)
    office = await park.device("ADMIN")
    await office.staff(**OWNER)
    who = await person(park, CASHIER2["email"])
    employees = park.platform.mongo.db["employees"]
    before = await employees.find_one({"_id": who})
    await office.data("POST", f"/v1/employees/{who}/reset_pin", {"pin": "482915"})
    new = {"email": CASHIER2["email"], "pin": "482915"}
    till.token = (await park.device()).token
    _, error = await login(till, **new)
    assert error is not None
    assert error["details"] == {"totp": "required"}
    assert (await login(till, **new, totp=app.next()))[0] == 200
    await employees.update_one({"_id": who}, {"$set": {"pin_hash": before["pin_hash"]}})


async def test_R40_who_may_do_less_takes_no_app_away(park: Inside) -> None:
    _, app = await enrolled(park, **OWNER)
    office = await park.device("ADMIN")
    await office.staff(**SUPERVISOR)
    roles = park.platform.mongo.db["roles"]
    more = {"$addToSet": {"permissions": "employee_manage"}}
    owner = await person(park, OWNER["email"])
    refused = await office.call("POST", f"/v1/employees/{owner}/reset_totp")
    assert refused.json()["error"]["details"]["reason"] == "permission"
    await roles.update_one({"name": "supervisor"}, more)
    await office.staff(**SUPERVISOR)
    refused = await office.call("POST", f"/v1/employees/{owner}/reset_totp")
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "E_PERMISSION")
    assert (await login(await park.device(), **OWNER, totp=app.next()))[0] == 200


async def test_R44_another_parks_person_is_an_unknown_one(park: Inside) -> None:
    office = await park.device("ADMIN")
    await office.staff(**OWNER)
    theirs = await person(park, "cashier@other.playpark")
    answers = [
        await office.call("POST", f"/v1/employees/{who}/reset_totp")
        for who in (theirs, "01HZZZZZZZZZZZZZZZZZZZZZZZ")
    ]
    assert {answer.status_code for answer in answers} == {404}
    assert answers[0].json()["error"] == answers[1].json()["error"]


async def test_R41_taking_an_app_away_takes_a_fresh_pin(park: Inside) -> None:
    office = await park.device("ADMIN")
    await office.staff(**OWNER)
    park.clock.advance(timedelta(minutes=16))
    path = f"/v1/employees/{await person(park, SUPERVISOR['email'])}/reset_totp"
    refused = await office.call("POST", path)
    assert refused.json()["error"]["details"] == {"reason": "step_up"}


@pytest.mark.parametrize(
    "code", ["12345", "1234567", "abcdef", "１２３４５６", {"$ne": ""}, 123456, None]
)
async def test_what_is_no_code_is_refused_in_words(park: Inside, code: Any) -> None:
    till = await park.device()
    await till.staff(**SUPERVISOR)
    assert (await till.call("POST", f"{TOTP}/confirm", {"code": code})).status_code == 422
    if code is not None:
        assert (await login(till, totp=code))[0] == 422
