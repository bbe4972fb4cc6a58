"""Queries, settings and addresses as the HTTP surface takes them."""

import os
from pathlib import Path

import httpx
import pytest
from pydantic import SecretStr

from api.platform.envelope import Client, error_response
from api.platform.settings import Settings, load_settings
from playpark.client import ApiClient
from playpark.errors import ErrorCode, PlayParkError
from playpark.resources import config_path
from tests.api.own_park import OWNER
from tests.outside import Outsider

SECRETS = ("SECRET_KEY", "ENCRYPTION_KEY", "HMAC_KEY_V1")


# --- queries ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"limits": 5}, "query.limits"),
        ({"Limit": 5}, "query.Limit"),
        ({"limit[]": 5}, "query.limit[]"),
        ({"limit": [5, 6]}, "query.limit"),
        ({"from": ["2026-11-01", "2026-11-21"]}, "query.from"),
        ({"\x1b[2J": 1}, "query.?"),
        ({"x" * 5000: 1}, "query.?"),
    ],
    ids=lambda value: str(value)[:20],
)
async def test_a_parameter_that_a_route_does_not_know_is_named(
    till: Outsider, query: dict[str, object], field: str
) -> None:
    """A misspelt filter would answer the whole list."""
    await till.staff(**OWNER)
    response = await till.call("GET", "/v1/sales", **query)
    assert response.status_code == 422
    (problem,) = response.json()["error"]["details"]["errors"]
    assert problem["field"] == field
    assert problem["problem"] in {
        "There is no such parameter here: leave it out.",
        "Send this parameter once.",
    }


async def test_declared_parameters_of_dependencies_are_known(till: Outsider) -> None:
    await till.staff(**OWNER)
    for query in ({"format": "csv"}, {"from": "2026-11-01", "to": "2026-11-21"}, {"limit": 200}):
        assert (await till.call("GET", "/v1/sales", **query)).status_code == 200


async def test_public_routes_take_no_parameters_either(outside: Outsider) -> None:
    assert (await outside.call("GET", "/v1/time", at="now")).status_code == 422


# --- addresses --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ip", "network"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("2001:db8::1", "2001:db8::/64"),
        ("2001:db8:0:0:ffff::1", "2001:db8::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("", ""),
    ],
)
def test_an_ipv6_address_counts_by_its_network(ip: str, network: str) -> None:
    assert Client(ip=ip).network == network


@pytest.mark.parametrize(("wait", "told"), [(0.01, "1"), (1.0, "1"), (1.2, "2"), (59.01, "60")])
def test_retry_after_is_never_too_early(wait: float, told: str) -> None:
    response = error_response(ErrorCode.RATE_LIMITED, "Wait.", retry_after=wait)
    assert response.headers["Retry-After"] == told


# --- our client -------------------------------------------------------------------------


async def test_R37_our_client_reads_429_as_a_pause_and_not_as_a_refusal() -> None:
    def limited(request: httpx.Request) -> httpx.Response:
        response = error_response(ErrorCode.RATE_LIMITED, "Wait.", retry_after=7)
        return httpx.Response(429, content=response.body, headers=dict(response.headers))

    async with ApiClient("http://park", transport=httpx.MockTransport(limited)) as client:
        with pytest.raises(PlayParkError) as refused:
            await client.time()
    assert refused.value.code is ErrorCode.RATE_LIMITED
    assert refused.value.retry_after == 7


# --- settings ---------------------------------------------------------------------------


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No .env and no setting in the environment."""
    monkeypatch.chdir(tmp_path)
    for name in (*SECRETS, "ENVIRONMENT"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


@pytest.mark.parametrize("lacking", SECRETS)
@pytest.mark.parametrize("value", [None, "", "short", "development-only-secret-do-not-deploy"])
def test_production_needs_every_secret(
    bare: Path, monkeypatch: pytest.MonkeyPatch, lacking: str, value: str | None
) -> None:
    monkeypatch.setenv("ENVIRONMENT", "production")
    monkeypatch.delenv("PIN_MEMORY_KIB")
    for name in SECRETS:
        monkeypatch.setenv(name, name * 4)
    load_settings()
    if value is None:
        monkeypatch.delenv(lacking)
    else:
        monkeypatch.setenv(lacking, value)
    with pytest.raises(PlayParkError, match=f"{lacking} must be a secret of your own") as refused:
        load_settings()
    assert not value or value not in refused.value.message


def test_every_secret_may_stand_in_a_file(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    secret = {
        name: info
        for name, info in Settings.model_fields.items()
        if info.annotation in {SecretStr, SecretStr | None}
    }
    assert {"secret_key", "encryption_key", "metrics_token", "redis_uri"} <= set(secret)
    for name, info in secret.items():
        path = bare / name
        path.write_text(f"value-of-{name}-in-its-file\n")
        alias = info.validation_alias
        variable = str(getattr(alias, "choices", [alias or name.upper()])[0])
        monkeypatch.setenv(f"{variable}_FILE", str(path))
    found = load_settings()
    for name in secret:
        assert getattr(found, name).get_secret_value() == f"value-of-{name}-in-its-file"
        assert "value-of" not in repr(found)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("TRUSTED_PROXIES", "*"),
        ("TRUSTED_PROXIES", "proxy.example"),
        ("TRUSTED_PROXIES", "10.0.0.1/8"),
        ("CORS_ORIGINS", "*"),
        ("CORS_ORIGINS", "https://office.example/"),
        ("METRICS_TOKEN", "short"),
        ("LIMIT_DEVICE", "many"),
        ("LIMIT_DEVICE", "0/second"),
        ("LIMIT_EMPLOYEE", "5/hour;9/day"),
        ("HEADER_SECONDS", "0"),
        ("MAX_CONNECTIONS", "-1"),
    ],
)
def test_a_wrong_bound_is_named_and_not_taken(
    bare: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(PlayParkError, match=name.lower()):
        load_settings()


def test_an_empty_variable_is_none(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("METRICS_TOKEN", "REDIS_URI", "TRUSTED_PROXIES", "LIMIT_DEVICE", "DOCS"):
        monkeypatch.setenv(name, "")
    found = load_settings()
    assert (found.metrics_token, found.redis_uri, found.proxies) == (None, None, [])
    assert found.limit_device == "20/second"


def test_the_example_environment_starts_as_it_stands(
    bare: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in os.environ if name.startswith("LIMIT_")]:
        monkeypatch.delenv(name)
    (bare / ".env").write_text(config_path(".env.example").read_text())
    assert load_settings().model_dump() == Settings(_env_file=None).model_dump()  # type: ignore[call-arg]
