"""R41, R44: operators log in by email, password and code; nobody else comes in by their door."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pyotp
import pytest

from api.audit.repository import AuditRepository
from api.identity.totp import STEP
from api.platform.jwt import Claims, TokenType
from api.provider import operators
from api.provider.models import AREA
from api.provider.repository import OperatorRepository
from playpark.contracts.provider import OperatorStatus
from playpark.errors import ErrorCode, PlayParkError
from playpark.ids import new_ulid
from tests.api.inside import Inside, inside
from tests.api.operating import (
    EMAIL,
    LOGIN,
    NEW_PARK,
    PASSWORD,
    begin_again,
    operator,
    refusal,
)
from tests.outside import Outsider

FRESH = "another-long-password"
PATHS = [
    ("GET", "/v1/provider/tenants", None),
    ("POST", "/v1/provider/tenants", NEW_PARK),
    ("GET", "/v1/provider/tenants/x", None),
    ("PATCH", "/v1/provider/tenants/x", {"status": "suspended"}),
    ("GET", "/v1/provider/devices", None),
    ("GET", "/v1/provider/alerts", None),
    ("POST", "/v1/provider/alerts/x/ack", None),
    ("GET", "/v1/provider/audits", None),
    ("GET", "/v1/provider/usage", None),
    ("GET", "/v1/provider/billing/usage", None),
    ("POST", "/v1/provider/password", {"password": PASSWORD, "new_password": FRESH}),
    ("POST", "/v1/provider/totp", {"password": PASSWORD}),
    ("POST", "/v1/provider/totp/confirm", {"code": "123456"}),
    ("POST", "/v1/provider/logout", None),
]
"""Every route that only an operator may use."""


@pytest.fixture(scope="module")
async def house(mongo_uri: str, database: str) -> AsyncIterator[Inside]:
    async with inside(mongo_uri, f"{database}_operators") as made:
        yield made


@pytest.fixture
async def park(house: Inside) -> Inside:
    await begin_again(house)
    return house


def codes_of(park: Inside, secret: str, *, later: int = 0) -> str:
    """The code that the app shows, so many steps later."""
    now = int(park.clock.now().timestamp())
    return pyotp.TOTP(secret).at(now, counter_offset=later)


async def enrolled(park: Inside, client: Outsider) -> str:
    """The secret of an authenticator app that has been confirmed."""
    app = await client.data("POST", "/v1/provider/totp", {"password": PASSWORD})
    body = {"code": codes_of(park, app["secret"])}
    assert (await client.data("POST", "/v1/provider/totp/confirm", body))["totp"]
    park.clock.advance(STEP)
    return str(app["secret"])


async def trail(park: Inside) -> list[tuple[str, str]]:
    """(event, entity) of the operators' rows, the oldest first."""
    rows, _ = await AuditRepository(park.platform.uow.reading(), *AREA).newest(200, None, {})
    return [(row["event_type"], row["entity_id"]) for row in reversed(rows)]


# --- who comes in -------------------------------------------------------------------------


async def test_the_list_of_operator_routes_is_whole(park: Inside) -> None:
    schema = (await park.http.get("/openapi.json")).json()
    public = {("POST", "/v1/provider/login"), ("POST", "/v1/provider/heartbeats")}
    documented = {
        (method.upper(), path.replace("{tenant_id}", "x").replace("{alert_id}", "x"))
        for path, methods in schema["paths"].items()
        for method in methods
        if path.startswith("/v1/provider/")
    }
    assert {(method, path) for method, path, _ in PATHS} == documented - public


async def test_R44_a_login_opens_the_operators_routes(park: Inside) -> None:
    stranger = Outsider(park.http)
    session = await stranger.data("POST", "/v1/provider/login", LOGIN)
    assert session["expires_in"] == 3600
    assert session["operator"]["email"] == EMAIL
    assert session["operator"]["totp"] is False
    stranger.token = session["access_token"]
    names = {each["name"] for each in (await stranger.data("GET", "/v1/provider/tenants"))["items"]}
    assert names == {"Bangkok Play Park", "Other Park"}


async def test_the_email_s_case_does_not_matter(park: Inside) -> None:
    await operator(park.http, email=EMAIL.upper())


async def test_R44_no_token_of_a_tenant_reaches_the_operators_routes(park: Inside) -> None:
    device = await park.device("ADMIN")
    owner = Outsider(park.http, device.device, device.token)
    await owner.staff(email="owner@demo.playpark", pin="8888")
    for who in (Outsider(park.http), device, owner):
        for method, path, body in PATHS:
            told = await refusal(who, method, path, body)
            assert told == (401, "E_UNAUTHENTICATED"), (method, path)


async def test_R44_an_operator_reaches_no_route_of_a_tenant(park: Inside) -> None:
    serving = await operator(park.http)
    schema = (await park.http.get("/openapi.json")).json()
    seen = 0
    for path, methods in schema["paths"].items():
        own = path.startswith("/v1/provider/") and path != "/v1/provider/heartbeats"
        if own or not path.startswith("/v1/"):
            continue
        for method, operation in methods.items():
            if operation["security"]:
                address = path.replace("{", "").replace("}", "")
                told = await refusal(serving, method.upper(), address, {})
                assert told == (401, "E_UNAUTHENTICATED"), (method, path)
                seen += 1
    assert seen > 60


async def test_R44_a_tenant_s_signed_token_cannot_name_an_operator(park: Inside) -> None:
    """Whatever stands in a device token: its kind alone keeps it out."""
    known = await OperatorRepository(park.platform.uow.reading()).find_one(email=EMAIL)
    assert known is not None
    for kind in (TokenType.DEVICE, TokenType.ACCESS, TokenType.REFRESH):
        claims = Claims(kind, *AREA, known.id, known.id, str(known.ver), new_ulid())
        token = park.platform.jwt.issue(claims, park.clock.now())
        told = await refusal(Outsider(park.http, token=token), "GET", "/v1/provider/tenants")
        assert told == (401, "E_UNAUTHENTICATED")


# --- proving ------------------------------------------------------------------------------


async def test_R41_wrong_and_unknown_look_the_same(park: Inside) -> None:
    stranger = Outsider(park.http)
    wrong = await stranger.call("POST", "/v1/provider/login", {**LOGIN, "password": "x" * 20})
    unknown = {"email": "nobody@demo.playpark", "password": PASSWORD}
    other = await stranger.call("POST", "/v1/provider/login", unknown)
    assert wrong.status_code == other.status_code == 401
    assert wrong.json()["error"] == other.json()["error"]
    events = [event for event, _ in await trail(park)]
    assert events[-2:] == ["operator.login_failed"] * 2


async def test_R41_wrong_and_unknown_are_hashed_and_read_alike(
    park: Inside, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[bool] = []
    verify = park.platform.pins.verify

    async def noted(known: str | None, password: str) -> bool:
        seen.append(known is not None)
        return await verify(known, password)

    monkeypatch.setattr(type(park.platform.pins), "verify", lambda _self, *told, **_: noted(*told))
    stranger = Outsider(park.http)
    for email in (EMAIL, "nobody@demo.playpark"):
        body = {"email": email, "password": "x" * 20}
        await stranger.call("POST", "/v1/provider/login", body)
    assert seen == [True, False]


async def test_R41_five_wrong_ones_close_the_door_for_longer_and_longer(park: Inside) -> None:
    stranger = Outsider(park.http)
    wrong = {**LOGIN, "password": "x" * 20}
    for _ in range(5):
        assert (await stranger.call("POST", "/v1/provider/login", wrong)).status_code == 401
    await stranger.call("POST", "/v1/provider/login", wrong)
    waits = []
    for _ in range(3):
        shut = await stranger.call("POST", "/v1/provider/login", LOGIN)
        assert (shut.status_code, shut.json()["error"]["code"]) == (429, "E_PIN_LOCKED")
        waits.append(int(shut.headers["Retry-After"]))
        park.clock.advance(timedelta(seconds=waits[-1] + 1))
        await stranger.call("POST", "/v1/provider/login", wrong)
    assert waits == sorted(waits)
    assert waits[0] < waits[-1]
    park.clock.advance(timedelta(hours=1))
    await operator(park.http)


async def test_R41_of_fifty_wrong_ones_at_once_few_are_judged(
    park: Inside, monkeypatch: pytest.MonkeyPatch
) -> None:
    judged = 0
    verify = type(park.platform.pins).verify

    async def counted(self: Any, *told: Any, **more: Any) -> bool:
        nonlocal judged
        judged += 1
        return await verify(self, *told, **more)

    monkeypatch.setattr(type(park.platform.pins), "verify", counted)
    stranger = Outsider(park.http)
    wrong = {**LOGIN, "password": "x" * 20}
    answers = await asyncio.gather(
        *(stranger.call("POST", "/v1/provider/login", wrong) for _ in range(50))
    )
    statuses = [answer.status_code for answer in answers]
    assert set(statuses) == {401, 429}
    assert judged <= 6
    assert statuses.count(401) == judged


async def test_R41_an_address_has_twenty_wrong_ones_an_hour_whoever_s(park: Inside) -> None:
    stranger = Outsider(park.http)
    for number in range(20):
        body = {"email": f"guess{number}@demo.playpark", "password": "x" * 20}
        assert (await stranger.call("POST", "/v1/provider/login", body)).status_code == 401
    assert await refusal(stranger, "POST", "/v1/provider/login", LOGIN) == (429, "E_PIN_LOCKED")
    park.clock.advance(timedelta(hours=1, seconds=1))
    await operator(park.http)


async def test_right_logins_do_not_use_up_what_wrong_ones_may(park: Inside) -> None:
    for _ in range(25):
        await operator(park.http)


# --- the authenticator app ----------------------------------------------------------------


async def test_R41_with_an_app_a_login_needs_its_code(park: Inside) -> None:
    secret = await enrolled(park, await operator(park.http))
    stranger = Outsider(park.http)
    missing = await stranger.call("POST", "/v1/provider/login", LOGIN)
    assert missing.status_code == 401
    assert missing.json()["error"]["details"] == {"totp": "required"}
    wrong = await stranger.call("POST", "/v1/provider/login", {**LOGIN, "totp": "000000"})
    assert wrong.status_code == 401
    assert wrong.json()["error"]["details"] is None
    session = await stranger.data(
        "POST", "/v1/provider/login", {**LOGIN, "totp": codes_of(park, secret)}
    )
    assert session["operator"]["totp"] is True


async def test_R41_a_wrong_password_hides_whether_there_is_an_app(park: Inside) -> None:
    await enrolled(park, await operator(park.http))
    stranger = Outsider(park.http)
    wrong = await stranger.call("POST", "/v1/provider/login", {**LOGIN, "password": "x" * 20})
    body = {"email": "nobody@demo.playpark", "password": "x" * 20}
    unknown = await stranger.call("POST", "/v1/provider/login", body)
    assert wrong.json()["error"] == unknown.json()["error"]


async def test_R41_each_code_works_once_even_of_fifty_at_the_same_time(park: Inside) -> None:
    secret = await enrolled(park, await operator(park.http))
    body = {**LOGIN, "totp": codes_of(park, secret)}
    stranger = Outsider(park.http)
    answers = await asyncio.gather(
        *(stranger.call("POST", "/v1/provider/login", body) for _ in range(50))
    )
    assert [answer.status_code for answer in answers].count(200) == 1
    assert {answer.status_code for answer in answers} <= {200, 401, 429, 503}


async def test_an_app_counts_only_when_it_has_been_confirmed(park: Inside) -> None:
    client = await operator(park.http)
    app = await client.data("POST", "/v1/provider/totp", {"password": PASSWORD})
    await operator(park.http)
    wrong = {"code": "000000"}
    told = await refusal(client, "POST", "/v1/provider/totp/confirm", wrong)
    assert told == (401, "E_UNAUTHENTICATED")
    right = {"code": codes_of(park, app["secret"])}
    await client.data("POST", "/v1/provider/totp/confirm", right)
    told = await refusal(client, "POST", "/v1/provider/totp/confirm", right)
    assert told == (409, "E_CONFLICT")


async def test_wrong_confirmations_count_as_wrong_logins(park: Inside) -> None:
    client = await operator(park.http)
    await client.data("POST", "/v1/provider/totp", {"password": PASSWORD})
    told = [
        await refusal(client, "POST", "/v1/provider/totp/confirm", {"code": f"00000{n}"})
        for n in range(8)
    ]
    assert told[-1] == (429, "E_PIN_LOCKED")


async def test_another_app_needs_the_password_and_a_code_of_the_first(park: Inside) -> None:
    client = await operator(park.http)
    secret = await enrolled(park, client)
    for body in ({"password": PASSWORD}, {"password": "x" * 20, "totp": codes_of(park, secret)}):
        assert (await refusal(client, "POST", "/v1/provider/totp", body))[0] == 401
    both = {"password": PASSWORD, "totp": codes_of(park, secret)}
    second = await client.data("POST", "/v1/provider/totp", both)
    assert second["secret"] != secret
    assert second["otpauth_uri"].startswith("otpauth://totp/")


async def test_R41_the_first_app_counts_until_a_code_has_confirmed_the_second(park: Inside) -> None:
    client = await operator(park.http)
    first = await enrolled(park, client)
    both = {"password": PASSWORD, "totp": codes_of(park, first)}
    second = (await client.data("POST", "/v1/provider/totp", both))["secret"]
    park.clock.advance(STEP)
    assert await refusal(client, "POST", "/v1/provider/login", LOGIN) == (401, "E_UNAUTHENTICATED")
    wrong = {**LOGIN, "totp": codes_of(park, second)}
    assert await refusal(client, "POST", "/v1/provider/login", wrong) == (401, "E_UNAUTHENTICATED")
    await operator(park.http, totp=codes_of(park, first))
    park.clock.advance(STEP)
    spent = codes_of(park, second)
    await client.data("POST", "/v1/provider/totp/confirm", {"code": spent})
    for code in (spent, codes_of(park, first)):
        told = await refusal(client, "POST", "/v1/provider/login", {**LOGIN, "totp": code})
        assert told == (401, "E_UNAUTHENTICATED")
    park.clock.advance(STEP)
    await operator(park.http, totp=codes_of(park, second))
    assert await park.platform.mongo.db["authenticators"].count_documents({}) == 1


async def test_R41_an_app_that_was_begun_does_not_outlive_a_reset(park: Inside) -> None:
    client = await operator(park.http)
    app = await client.data("POST", "/v1/provider/totp", {"password": PASSWORD})
    await operators.reset(park.platform, EMAIL, PASSWORD)
    client = await operator(park.http)
    code = {"code": codes_of(park, app["secret"])}
    told = await refusal(client, "POST", "/v1/provider/totp/confirm", code)
    assert told == (409, "E_CONFLICT")


async def test_the_app_s_secret_is_stored_sealed(park: Inside) -> None:
    secret = await enrolled(park, await operator(park.http))
    stored = [document async for document in park.platform.mongo.db["authenticators"].find()]
    assert len(stored) == 1
    assert secret not in str(stored)
    assert stored[0]["tenant_id"] == "provider"


# --- what ends a login --------------------------------------------------------------------


async def test_R43_logging_out_ends_every_login_with_the_next_request(park: Inside) -> None:
    here, there = await operator(park.http), await operator(park.http)
    await here.data("POST", "/v1/provider/logout")
    for client in (here, there):
        told = await refusal(client, "GET", "/v1/provider/tenants")
        assert told == (401, "E_TOKEN_EXPIRED")


async def test_R43_a_new_password_ends_all_logins_but_the_one_in_its_answer(park: Inside) -> None:
    here, there = await operator(park.http), await operator(park.http)
    body = {"password": PASSWORD, "new_password": FRESH}
    session = await here.data("POST", "/v1/provider/password", body)
    for client in (here, there):
        assert (await refusal(client, "GET", "/v1/provider/tenants"))[1] == "E_TOKEN_EXPIRED"
    here.token = session["access_token"]
    await here.data("GET", "/v1/provider/tenants")
    stranger = Outsider(park.http)
    assert (await refusal(stranger, "POST", "/v1/provider/login", LOGIN))[0] == 401
    await operator(park.http, password=FRESH)


async def test_a_new_password_needs_the_old_one(park: Inside) -> None:
    client = await operator(park.http)
    body = {"password": "x" * 20, "new_password": FRESH}
    told = await refusal(client, "POST", "/v1/provider/password", body)
    assert told == (401, "E_UNAUTHENTICATED")
    await operator(park.http)


async def test_of_two_new_passwords_at_once_one_stands(park: Inside) -> None:
    client = await operator(park.http)
    wanted = [f"fresh-password-{n}" for n in range(2)]
    answers = await asyncio.gather(
        *(
            client.call(
                "POST", "/v1/provider/password", {"password": PASSWORD, "new_password": each}
            )
            for each in wanted
        )
    )
    assert sorted(answer.status_code for answer in answers) == [200, 401]
    stood = next(i for i, answer in enumerate(answers) if answer.status_code == 200)
    await operator(park.http, password=wanted[stood])


async def test_R43_a_suspension_bites_on_the_next_request(park: Inside) -> None:
    client = await operator(park.http)
    await operators.set_status(park.platform, EMAIL, OperatorStatus.SUSPENDED)
    for _ in range(3):
        told = await refusal(client, "GET", "/v1/provider/tenants")
        assert told == (403, "E_EMPLOYEE_SUSPENDED")
    assert [event for event, _ in await trail(park)].count("request.refused") == 1
    told = await refusal(Outsider(park.http), "POST", "/v1/provider/login", LOGIN)
    assert told == (403, "E_EMPLOYEE_SUSPENDED")
    await operators.set_status(park.platform, EMAIL, OperatorStatus.ACTIVE)
    assert (await refusal(client, "GET", "/v1/provider/tenants"))[1] == "E_TOKEN_EXPIRED"
    await operator(park.http)


async def test_a_provider_token_ends_after_an_hour(park: Inside) -> None:
    known = await OperatorRepository(park.platform.uow.reading()).find_one(email=EMAIL)
    assert known is not None
    claims = Claims(TokenType.PROVIDER, *AREA, known.id, known.id, str(known.ver), new_ulid())
    for minutes, code in ((59, None), (61, "E_TOKEN_EXPIRED")):
        issued = park.clock.now() - timedelta(minutes=minutes)
        client = Outsider(park.http, token=park.platform.jwt.issue(claims, issued))
        answer = (await client.call("GET", "/v1/provider/tenants")).json()
        assert (answer["error"] or {}).get("code") == code


# --- on the server's machine --------------------------------------------------------------


async def test_a_reset_opens_the_door_to_who_is_locked_out(park: Inside) -> None:
    await enrolled(park, await operator(park.http))
    stranger = Outsider(park.http)
    for _ in range(7):
        await stranger.call("POST", "/v1/provider/login", {**LOGIN, "password": "x" * 20})
    assert (await refusal(stranger, "POST", "/v1/provider/login", LOGIN))[0] == 429
    await operators.reset(park.platform, EMAIL, FRESH)
    await operator(park.http, password=FRESH)


@pytest.mark.parametrize("change", ["reset", "suspend"])
async def test_what_is_done_to_an_unknown_operator_is_refused(park: Inside, change: str) -> None:
    platform, email = park.platform, "nobody@demo.playpark"
    doing = {
        "reset": lambda: operators.reset(platform, email, FRESH),
        "suspend": lambda: operators.set_status(platform, email, OperatorStatus.SUSPENDED),
    }
    with pytest.raises(PlayParkError) as refused:
        await doing[change]()
    assert refused.value.code is ErrorCode.NOT_FOUND


async def test_of_fifty_first_operators_at_once_one_stands(park: Inside) -> None:
    await park.platform.mongo.db["operators"].delete_many({})
    made = await asyncio.gather(
        *(
            operators.create(park.platform, f"first{n}@demo.playpark", FRESH, first=True)
            for n in range(30)
        ),
        return_exceptions=True,
    )
    codes = [each.code for each in made if isinstance(each, PlayParkError)]
    assert sum(isinstance(each, str) for each in made) == 1, made
    assert set(codes) <= {ErrorCode.CONFLICT, ErrorCode.UNAVAILABLE}
    assert await park.platform.mongo.db["operators"].count_documents({}) == 1


# --- what is refused ----------------------------------------------------------------------

ODD = [
    {},
    {"email": EMAIL},
    {"email": EMAIL, "password": ""},
    {"email": {"$ne": ""}, "password": PASSWORD},
    {"email": EMAIL, "password": {"$ne": ""}},
    {"email": EMAIL, "password": PASSWORD, "totp": {"$gt": ""}},
    {"email": EMAIL, "password": PASSWORD, "totp": "12345"},
    {"email": EMAIL, "password": PASSWORD, "totp": "12345\n"},
    {"email": EMAIL, "password": PASSWORD, "totp": "१२३४५६"},
    {"email": EMAIL, "password": PASSWORD, "totp": 123456},
    {"email": EMAIL, "password": "x" * 201},
    {"email": EMAIL, "password": PASSWORD, "status": "active"},
    {"email": f"{EMAIL}\n", "password": PASSWORD},
    {"email": "$where@x", "password": PASSWORD},
    {"email": None, "password": None},
    [LOGIN],
]


@pytest.mark.parametrize("body", ODD, ids=lambda body: str(len(str(body))))
async def test_odd_logins_are_422_without_an_echo(park: Inside, body: Any) -> None:
    answer = await Outsider(park.http).call("POST", "/v1/provider/login", body)
    assert answer.status_code == 422
    assert PASSWORD not in answer.text


async def test_every_body_of_an_operator_forbids_unknown_fields(park: Inside) -> None:
    serving, seen = await operator(park.http), 0
    for method, path, body in PATHS:
        if body is not None:
            answer = await serving.call(method, path, {**body, "canary_4711": "x"})
            assert answer.status_code == 422, path
            problems = answer.json()["error"]["details"]["errors"]
            assert any(each["field"] == "body.canary_4711" for each in problems), path
            seen += 1
    assert seen == 5


@pytest.mark.parametrize("password", ["short", "11 letters.", "x" * 201, "", None, 12345678901234])
async def test_a_new_password_has_twelve_characters_or_more(park: Inside, password: Any) -> None:
    client = await operator(park.http)
    body = {"password": PASSWORD, "new_password": password}
    told = await refusal(client, "POST", "/v1/provider/password", body)
    assert told == (422, "E_VALIDATION")


async def test_R45_what_operators_do_stands_in_their_trail(park: Inside) -> None:
    client = await operator(park.http)
    await client.data("POST", "/v1/provider/logout")
    events = [event for event, _ in await trail(park)]
    assert events == ["operator.created", "operator.login", "operator.logout"]
