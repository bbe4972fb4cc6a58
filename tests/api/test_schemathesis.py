"""The API as its OpenAPI page has it, tried with data made from the page: good, bad, and in chains
(API.md). Nothing answers 5xx, every answer has the shape that is told, bad data is refused.

The same cases every time in `make test`, many more and fresh ones with PLAYPARK_FULL=1.
"""

import os
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.schemas import APIOperation, BaseSchema
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from playpark.ids import new_ulid
from tests.api.operating import LOGIN
from tests.api.own_park import OWNER, own_park

FULL = bool(os.environ.get("PLAYPARK_FULL"))
CASES, CHAINS = (200, 500) if FULL else (8, 30)
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    negative_data_rejection,
]
AT_A_TILL = {"sell", "redeem", "shift_open", "shift_close", "cash_movement"}
ENDS_THE_SESSION = "/logout$|/v1/provider/password$"
GENERATED = settings(
    max_examples=CASES,
    derandomize=not FULL,
    deadline=None,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)


@dataclass
class Visitor:
    """Everybody who may do something: the owner in the office and at a till, the operator."""

    url: str
    session: requests.Session
    tokens: dict[str, str]
    seen: Counter[int] = field(default_factory=Counter)

    def call(self, case: Any) -> Any:
        response = case.call(**self.how(case.operation))
        if case.operation.definition.raw["security"] == [{"bearer": []}]:
            self.seen[response.status_code] += 1
        return response

    def how(self, operation: Any) -> dict[str, Any]:
        """The headers of who may use an operation, and a key of its own."""
        rights = operation.definition.raw.get("x-permissions", {})
        asked = {*rights.get("any_of", ())}
        who = "till" if asked & AT_A_TILL else "office"
        token = self.tokens["operator" if rights.get("provider") else who]
        headers = {"Authorization": f"Bearer {token}", "Idempotency-Key": new_ulid()}
        return {"headers": headers, "session": self.session}


@pytest.fixture(scope="module")
def visitor(mongo_uri: str, database: str) -> Iterator[Visitor]:
    with own_park(mongo_uri, f"{database}_schemathesis") as park, requests.Session() as session:
        tokens = {"till": _log_in(park.url, "POS"), "office": _log_in(park.url, "ADMIN")}
        tokens["operator"] = _post(park.url, "/provider/login", LOGIN)["access_token"]
        _post(park.url, "/shifts/open", {"cash_open": 0}, tokens["till"])
        yield Visitor(park.url, session, tokens)


def _log_in(url: str, kind: str) -> str:
    """The owner's token on a new device."""
    body = {"site_key": "DEMO-MAIN-GATE", "type": kind, "name": kind}
    device = _post(url, "/auth/device/register", body)
    known = {name: device[name] for name in ("device_id", "device_token")}
    token = _post(url, "/auth/device/login", known)["access_token"]
    return str(_post(url, "/employees/login", OWNER, token)["access_token"])


def _post(url: str, path: str, body: Any, token: str | None = None) -> Any:
    headers = {"Idempotency-Key": new_ulid()}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    response = httpx.post(f"{url}/v1{path}", json=body, headers=headers, timeout=30)
    assert response.status_code == 200, response.text
    return response.json()["data"]


@pytest.fixture(scope="module")
def schema(visitor: Visitor) -> BaseSchema:
    page = httpx.get(f"{visitor.url}/openapi.json").json()
    _link(page)
    found = schemathesis.openapi.from_dict(page)
    found.config.update(base_url=visitor.url)
    return found.exclude(path_regex=ENDS_THE_SESSION)


# --- chains -----------------------------------------------------------------------------


def _link(page: dict[str, Any]) -> None:
    """Say which answers hold the id that a path asks for."""
    schemas = page["components"]["schemas"]
    asking: dict[str, list[str]] = {}
    for path, methods in page["paths"].items():
        for name in re.findall(r"{(\w+)}", path):
            asking.setdefault(name, []).extend(each["operationId"] for each in methods.values())
    for methods in page["paths"].values():
        for operation in methods.values():
            answer = operation["responses"]["200"]
            shape = answer["content"]["application/json"]["schema"]
            answer["links"] = {
                f"{name} of {target}": {
                    "operationId": target,
                    "parameters": {name: f"$response.body#{pointer}"},
                }
                for name, pointer in dict(_ids(schemas, shape, "")).items()
                for target in asking.get(name, ())
            }


def _ids(
    schemas: dict[str, Any], shape: dict[str, Any], at: str, depth: int = 5
) -> Iterator[tuple[str, str]]:
    """Names and JSON pointers of the ids of an answer; of a list those of its first row."""
    if "$ref" in shape:
        shape = schemas[shape["$ref"].rsplit("/", 1)[1]]
    for either in shape.get("anyOf", ()) if depth else ():
        yield from _ids(schemas, either, at, depth - 1)
    if "items" in shape and depth:
        yield from _ids(schemas, shape["items"], f"{at}/0", depth - 1)
    for name, inside in shape.get("properties", {}).items():
        if name.endswith("_id"):
            yield name, f"{at}/{name}"
        elif depth:
            yield from _ids(schemas, inside, f"{at}/{name}", depth - 1)


@pytest.mark.timeout(3_600 if FULL else 600)
@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
def test_every_route_keeps_to_its_description(
    schema: BaseSchema, visitor: Visitor, mode: GenerationMode
) -> None:
    operations = [result.ok() for result in schema.get_all_operations()]
    assert len(operations) > 100
    for operation in operations:
        if mode is GenerationMode.POSITIVE or _takes_something(operation):
            _try(operation, visitor, mode)
    told = visitor.seen
    assert told[200] > 100
    assert told[401] < told.total() / 50, "the sessions of this test have ended"


def _takes_something(operation: APIOperation) -> bool:
    return bool(operation.query or operation.path_parameters or operation.body)


def _try(operation: APIOperation, visitor: Visitor, mode: GenerationMode) -> None:
    @GENERATED
    @given(case=operation.as_strategy(generation_mode=mode))
    def keeps_to_it(case: Any) -> None:
        response = visitor.call(case)
        case.validate_response(response, checks=CHECKS)

    keeps_to_it()


@pytest.mark.timeout(3_600 if FULL else 600)
def test_chains_of_calls_keep_to_the_description(schema: BaseSchema, visitor: Visitor) -> None:
    """What one route answers is what the next one asks for: ids that are there."""
    seen: Counter[str] = Counter()

    class Chain(schema.as_state_machine()):  # type: ignore[misc]
        def get_call_kwargs(self, case: Any) -> dict[str, Any]:
            return visitor.how(case.operation)

        def validate_response(self, response: Any, case: Any, **_: Any) -> None:
            seen[f"{case.operation.label} {response.status_code}"] += 1
            case.validate_response(response, checks=CHECKS)

    Chain.run(settings=settings(GENERATED, max_examples=CHAINS, stateful_step_count=12))
    with_ids = [label for label in seen if "{" in label and label.endswith("200")]
    assert len(with_ids) > 5, seen
