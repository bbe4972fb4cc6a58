"""Access and refresh tokens: what is no token of ours, keys that change, tokens that come again
(R41, R43)."""

import asyncio
import base64
import hashlib
import hmac
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from api.platform.jwt import ALGORITHM, AUDIENCE, ISSUER, LIFETIME, Claims, Jwt, TokenType
from playpark.errors import ErrorCode, PlayParkError
from playpark.ids import new_ulid
from tests.api.approving import let_everybody, put_back
from tests.api.drawers import SUPERVISOR
from tests.api.inside import Inside, inside
from tests.api.own_park import OWNER
from tests.outside import CASHIER, Outsider

SECRET = "the-secret-that-signs-tokens-here-now"
CLAIMS = Claims(
    type=TokenType.ACCESS,
    tenant_id="TENANT",
    store_id="STORE",
    device_id="DEVICE",
    employee_id="EMPLOYEE",
    ver="1.1.SID",
    jti="LOGIN.1",
)


@pytest.fixture(scope="module")
async def own_park(mongo_uri: str, database: str) -> AsyncIterator[Inside]:
    async with inside(mongo_uri, f"{database}_tokens") as found:
        yield found


@pytest.fixture
async def park(own_park: Inside) -> AsyncIterator[Inside]:
    async with put_back(own_park) as found:
        yield found


def part(value: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


def signed(payload: dict[str, Any], header: dict[str, Any], secret: str = SECRET) -> str:
    """A token made by hand: libraries refuse to make the odd ones."""
    text = f"{part(header)}.{part(payload)}"
    mac = hmac.digest(secret.encode(), text.encode(), hashlib.sha256)
    return f"{text}.{base64.urlsafe_b64encode(mac).decode().rstrip('=')}"


def good(secret: str = SECRET) -> tuple[dict[str, Any], dict[str, Any]]:
    """Header and payload of a token that is good."""
    token = Jwt(secret).issue(CLAIMS, datetime.now(UTC))
    return jwt.get_unverified_header(token), jwt.decode(token, options={"verify_signature": False})


def refused(token: str, reader: Jwt | None = None) -> ErrorCode:
    with pytest.raises(PlayParkError) as found:
        (reader or Jwt(SECRET)).read(token, TokenType.ACCESS)
    assert found.value.code.status == 401
    return found.value.code


def test_R43_what_was_issued_is_read_again() -> None:
    header, payload = good()
    assert Jwt(SECRET).read(signed(payload, header), TokenType.ACCESS) == CLAIMS


@pytest.mark.parametrize(
    "change",
    [
        {"iss": "somebody"},
        {"iss": None},
        {"aud": "another-api"},
        {"aud": ["another-api"]},
        {"aud": None},
        {"exp": "never"},
        {"exp": None},
        {"iat": None},
        {"sub": None},
        {"type": None},
        {"type": "refresh"},
        {"type": "device"},
        {"type": "provider"},
        {"type": "anything"},
        {"type": {"$ne": ""}},
        {"tenant_id": {"$ne": ""}},
        {"device_id": ["x"]},
        {"employee_id": {"$gt": ""}},
        {"ver": 1},
        {"jti": 1},
        {"ver": None},
        {"jti": None},
        {"tenant_id": None},
        {"store_id": None},
        {"device_id": None},
    ],
    ids=str,
)
def test_attack_13_a_token_with_a_wrong_or_missing_claim_is_refused(change: dict[str, Any]) -> None:
    header, payload = good()
    wrong = {name: value for name, value in (payload | change).items() if value is not None}
    assert refused(signed(wrong, header)) is ErrorCode.UNAUTHENTICATED


def test_R43_a_token_that_has_run_out_says_so() -> None:
    header, payload = good()
    over = payload | {"exp": int(datetime.now(UTC).timestamp()) - 1}
    assert refused(signed(over, header)) is ErrorCode.TOKEN_EXPIRED


@pytest.mark.parametrize(
    "change",
    [
        {"alg": "none"},
        {"alg": "None"},
        {"alg": ""},
        {"alg": "HS512"},
        {"alg": "RS256"},
        {"alg": None},
        {"kid": "00000000"},
        {"kid": ""},
        {"kid": None},
        {"kid": "../../../../dev/null"},
        {"kid": "' OR '1'='1"},
        {"kid": {"$ne": ""}},
        {"kid": ["x"]},
        {"kid": 1},
        {"typ": None},
        {"jku": "https://keys.example/jwks.json"},
        {"x5u": "https://keys.example/key.pem"},
        {"jwk": {"kty": "oct", "k": "QUFBQQ"}},
        {"x5c": ["MIIB"]},
        {"crit": ["exp"]},
        {"b64": False},
    ],
    ids=str,
)
def test_attack_13_a_token_with_another_header_is_refused(change: dict[str, Any]) -> None:
    header, payload = good()
    odd = {name: value for name, value in (header | change).items() if value is not None}
    assert refused(signed(payload, odd)) is ErrorCode.UNAUTHENTICATED


def test_attack_13_a_token_without_a_signature_is_refused() -> None:
    header, payload = good()
    text = f"{part(header | {'alg': 'none'})}.{part(payload)}."
    assert refused(text) is ErrorCode.UNAUTHENTICATED
    assert refused(f"{part(header)}.{part(payload)}.") is ErrorCode.UNAUTHENTICATED


def test_attack_13_a_token_signed_with_another_key_is_refused() -> None:
    header, payload = good()
    other = "another-secret-of-somebody-elses-server"
    assert refused(signed(payload, header, other)) is ErrorCode.UNAUTHENTICATED
    theirs, _ = good(other)
    assert refused(signed(payload, theirs, other)) is ErrorCode.UNAUTHENTICATED


def test_attack_13_a_public_key_is_no_secret() -> None:
    """The confusion of HS256 with RS256: there is no public key here, and one does not sign."""
    private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    form = (serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    public = private.public_key().public_bytes(*form).decode()
    header, payload = good()
    assert refused(signed(payload, header, public)) is ErrorCode.UNAUTHENTICATED
    asymmetric = jwt.encode(payload, private, "RS256", headers={"kid": header["kid"]})
    assert refused(asymmetric) is ErrorCode.UNAUTHENTICATED


def test_R43_every_changed_letter_of_a_token_is_noticed() -> None:
    token = Jwt(SECRET).issue(CLAIMS, datetime.now(UTC))
    for at, letter in enumerate(token):
        # The last letter of a part has bits that nobody reads.
        if letter != "." and token[at + 1 : at + 2] not in {"", "."}:
            other = "A" if letter != "A" else "B"
            assert refused(token[:at] + other + token[at + 1 :]) is ErrorCode.UNAUTHENTICATED


def test_R43_tokens_of_an_earlier_secret_are_read_while_it_is_configured() -> None:
    earlier, now = "the-secret-of-last-month-is-this-one", datetime.now(UTC)
    before = Jwt(earlier).issue(CLAIMS, now)
    during = Jwt(SECRET, [earlier])
    assert during.read(before, TokenType.ACCESS) == CLAIMS
    fresh = during.issue(CLAIMS, now)
    assert Jwt(SECRET).read(fresh, TokenType.ACCESS) == CLAIMS  # the new one signs
    assert refused(before) is ErrorCode.UNAUTHENTICATED
    assert refused(fresh, Jwt(earlier)) is ErrorCode.UNAUTHENTICATED


def test_R43_a_token_that_was_read_before_is_judged_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process remembers what it has verified, and that it runs out."""
    now, reader = datetime.now(UTC), Jwt(SECRET)
    token = reader.issue(CLAIMS, now)
    for _ in range(2):
        assert reader.read(token, TokenType.ACCESS) == CLAIMS
    with pytest.raises(PlayParkError) as found:
        reader.read(token, TokenType.REFRESH)
    assert found.value.code is ErrorCode.UNAUTHENTICATED
    assert refused(token + "A", reader) is ErrorCode.UNAUTHENTICATED
    later = (now + LIFETIME[TokenType.ACCESS]).timestamp()
    monkeypatch.setattr("api.platform.jwt.time.time", lambda: later)
    assert refused(token, reader) is ErrorCode.TOKEN_EXPIRED


def test_R43_a_token_of_a_server_whose_clock_is_ahead_is_good() -> None:
    ahead = Jwt(SECRET).issue(CLAIMS, datetime.now(UTC) + timedelta(seconds=5))
    assert Jwt(SECRET).read(ahead, TokenType.ACCESS) == CLAIMS


def test_R43_the_kid_of_one_key_does_not_let_another_one_verify() -> None:
    earlier = "the-secret-of-last-month-is-this-one"
    (header, _), (_, payload) = good(), good(earlier)
    mixed = signed(payload, header, earlier)
    assert refused(mixed, Jwt(SECRET, [earlier])) is ErrorCode.UNAUTHENTICATED


# --- over HTTP --------------------------------------------------------------------------


async def test_R43_a_refresh_token_opens_nothing_but_a_refresh(park: Inside) -> None:
    till = await park.device()
    session = await till.data("POST", "/v1/employees/login", CASHIER)
    till.token = session["refresh_token"]
    assert (await till.call("GET", "/v1/employees/me")).status_code == 401
    body = {"refresh_token": session["access_token"]}
    assert (await till.call("POST", "/v1/auth/refresh", body)).status_code == 401


async def test_R43_a_token_of_one_login_does_not_serve_another_device(park: Inside) -> None:
    """Device, tenant and version stand inside the signature; the rest is looked up by them."""
    till = await park.device()
    await till.staff()
    secret = park.platform.settings.secret_keys[0]
    payload = jwt.decode(till.token, options={"verify_signature": False})
    header = jwt.get_unverified_header(till.token)
    other = await park.device()
    for stolen in (
        {"device_id": other.device["device_id"]},
        {"tenant_id": new_ulid()},
        {"store_id": new_ulid()},
        {"employee_id": new_ulid()},
        {"tenant_id": {"$ne": ""}},
        {"device_id": {"$ne": ""}},
        {"ver": "1.1.x"},
    ):
        till.token = signed(payload | stolen, header, secret)
        assert (await till.call("GET", "/v1/employees/me")).status_code == 401, stolen
    till.token = signed(payload, header, secret)
    assert (await till.call("GET", "/v1/employees/me")).status_code == 200


async def login(park: Inside, **who: str) -> tuple[Outsider, str]:
    """A till and the refresh token of who is logged in on it."""
    till = await park.device()
    session = await till.data("POST", "/v1/employees/login", who or CASHIER)
    till.token = session["access_token"]
    return till, session["refresh_token"]


async def rotate(till: Outsider, token: str) -> str:
    session = await till.data("POST", "/v1/auth/refresh", {"refresh_token": token})
    till.token = session["access_token"]
    return str(session["refresh_token"])


async def status(till: Outsider, token: str) -> int:
    return (await till.call("POST", "/v1/auth/refresh", {"refresh_token": token})).status_code


async def events(park: Inside, till: Outsider) -> list[str]:
    rows = park.platform.mongo.db["audits"]
    found = await rows.find({"device_id": till.device["device_id"]}).sort("seq", 1).to_list(None)
    return [row["event_type"] for row in found]


async def test_R43_a_spent_refresh_token_that_comes_again_ends_the_session(park: Inside) -> None:
    till, first = await login(park)
    second = await rotate(till, first)
    park.clock.advance(timedelta(seconds=11))
    assert (await till.call("GET", "/v1/employees/me")).status_code == 200
    assert await status(till, first) == 401  # the thief, or whom they stole it from
    assert (await till.call("GET", "/v1/employees/me")).status_code == 401
    assert await status(till, second) == 401
    assert (await events(park, till))[-1] == "employee.refresh_reused"


async def test_R43_a_refresh_token_from_further_back_ends_the_session_at_once(park: Inside) -> None:
    till, first = await login(park)
    third = await rotate(till, await rotate(till, first))
    assert await status(till, first) == 401
    assert await status(till, third) == 401
    assert (await till.call("GET", "/v1/employees/me")).status_code == 401


async def test_R43_a_lost_answer_costs_a_login_and_nothing_else(park: Inside) -> None:
    till, first = await login(park)
    second = await rotate(till, first)
    park.clock.advance(timedelta(seconds=10))
    assert await status(till, first) == 401
    assert (await till.call("GET", "/v1/employees/me")).status_code == 200
    await rotate(till, second)
    assert "employee.refresh_reused" not in await events(park, till)


async def test_R43_fifty_parallel_refreshes_are_one_and_end_nothing(park: Inside) -> None:
    till, first = await login(park)
    answers = await asyncio.gather(*(status(till, first) for _ in range(50)))
    assert sorted(answers) == [200] + [401] * 49
    assert (await till.call("GET", "/v1/employees/me")).status_code == 200


async def test_R43_fifty_parallel_uses_of_a_stolen_token_end_the_session_once(park: Inside) -> None:
    till, first = await login(park)
    await rotate(till, first)
    park.clock.advance(timedelta(minutes=1))
    assert set(await asyncio.gather(*(status(till, first) for _ in range(50)))) == {401}
    assert (await events(park, till)).count("employee.refresh_reused") == 1


async def test_R43_a_token_of_an_earlier_login_is_dead_and_harms_nobody(park: Inside) -> None:
    till, first = await login(park)
    await rotate(till, first)
    session = await till.data("POST", "/v1/employees/login", CASHIER)
    park.clock.advance(timedelta(minutes=1))
    assert await status(till, first) == 401
    assert await status(till, session["refresh_token"]) == 200


async def test_R43_a_colleagues_session_on_the_device_goes_on(park: Inside) -> None:
    till, first = await login(park)
    nok = till.token
    supervisor = await till.data("POST", "/v1/employees/login", SUPERVISOR)
    till.token = nok
    await rotate(till, first)
    park.clock.advance(timedelta(minutes=1))
    assert await status(till, first) == 401
    till.token = supervisor["access_token"]
    assert (await till.data("GET", "/v1/employees/me"))["name"] == "Somchai"


async def test_R43_refreshing_keeps_the_proof_and_does_not_renew_it(park: Inside) -> None:
    till, first = await login(park)
    proved = (await park.scope(till)).person.proved_at
    park.clock.advance(timedelta(minutes=5))
    await rotate(till, first)
    assert (await park.scope(till)).person.proved_at == proved
    assert proved is not None


async def test_R43_a_refresh_brings_what_the_person_may_do_by_now(park: Inside) -> None:
    till, first = await login(park)
    await let_everybody(park, ["sell"])
    session = await till.data("POST", "/v1/auth/refresh", {"refresh_token": first})
    assert session["employee"]["permissions"] == ["sell"]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"device_status": "suspended"}, "E_DEVICE_SUSPENDED"),
        ({"device_status": "revoked"}, "E_DEVICE_REVOKED"),
        ({"tenant_status": "suspended"}, "E_TENANT_SUSPENDED"),
        ({"device_ver": 2}, "E_TOKEN_EXPIRED"),
    ],
)
async def test_R43_who_is_suspended_gets_no_new_token(
    park: Inside, change: dict[str, Any], code: str
) -> None:
    till, first = await login(park)
    mine = {"_id": till.device["device_id"]}
    await park.platform.mongo.db["sessions"].update_one(mine, {"$set": change})
    for _ in range(2):
        refusal = await till.call("POST", "/v1/auth/refresh", {"refresh_token": first})
        assert refusal.json()["error"]["code"] == code
    assert (await till.call("GET", "/v1/employees/me")).json()["error"]["code"] == code


async def test_R43_a_suspended_person_gets_no_new_token(park: Inside) -> None:
    till, first = await login(park)
    who = jwt.decode(till.token, options={"verify_signature": False})["employee_id"]
    mine = {"_id": till.device["device_id"]}
    change = {"$set": {f"employees.{who}.status": "suspended"}}
    await park.platform.mongo.db["sessions"].update_one(mine, change)
    refusal = await till.call("POST", "/v1/auth/refresh", {"refresh_token": first})
    assert refusal.json()["error"]["code"] == "E_EMPLOYEE_SUSPENDED"


@pytest.mark.parametrize("token", ["", "x", "a.b.c", "é", "🎟", "x" * 4097])
async def test_what_is_no_refresh_token_is_refused_in_words(park: Inside, token: str) -> None:
    till = await park.device()
    assert await status(till, token) in {401, 422}


async def test_R44_people_on_admin_devices_carry_all_their_stores(park: Inside) -> None:
    office = await park.device("ADMIN")
    session = await office.data("POST", "/v1/employees/login", OWNER)
    claims = jwt.decode(session["access_token"], options={"verify_signature": False})
    office.token = session["access_token"]
    scope = await park.scope(office)
    assert claims["stores"] == sorted(scope.person.stores) == [scope.store_id]
    assert scope.person.stores[scope.store_id] == scope.person.permissions
    till, _ = await login(park, **OWNER)
    assert not (await park.scope(till)).person.stores
    assert "stores" not in jwt.decode(till.token, options={"verify_signature": False})


def test_R43_tokens_name_one_algorithm_audience_and_issuer() -> None:
    header, payload = good()
    assert (header["alg"], payload["aud"], payload["iss"]) == (ALGORITHM, AUDIENCE, ISSUER)
