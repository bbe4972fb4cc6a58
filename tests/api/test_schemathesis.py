"""The API as its OpenAPI page has it, tried with data made from the page: good, bad, and in chains
(API.md). Nothing answers 5xx, every answer has the shape that is told, bad data is refused.

The same cases every time in `make test`, many more and fresh ones with PLAYPARK_FULL=1.
"""

import contextlib
import os
import re
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.errors import FlakyStrategyDefinition
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
from tests.api.own_park import own_park
from tests.attacks.worlds import fill, open_world

FULL = bool(os.environ.get("PLAYPARK_FULL"))
CASES, CHAINS = (200, 500) if FULL else (2, 10)
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    negative_data_rejection,
]
AT_A_TILL = {"sell", "redeem", "shift_open", "shift_close", "cash_movement"}
ENDS_SESSIONS = "/logout$|/v1/provider/password$"
ENDS_WHAT_IS_THERE = "/(suspend|revoke|rotate)$|/v1/(employees|roles|stores|provider)"
"""With ids that are there these would end the chains of this test, and not find a fault."""
GENERATED = settings(
    max_examples=CASES,
    derandomize=not FULL,
    deadline=None,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)


CHAINED = settings(GENERATED, max_examples=2, derandomize=False, stateful_step_count=12)


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
async def visitor(mongo_uri: str, database: str) -> AsyncIterator[Visitor]:
    """A park in which there is one of everything."""
    with own_park(mongo_uri, f"{database}_schemathesis") as park, requests.Session() as session:
        store_id = park.mongo.stores.find_one({"name": "Main Gate"})["_id"]
        async with open_world(park, "CHAIN", store_id, "DEMO-MAIN-GATE") as world:
            await fill(world)
            operator = (await world.office.data("POST", "/v1/provider/login", LOGIN))[
                "access_token"
            ]
            tokens = {"till": world.till.token, "office": world.office.token, "operator": operator}
            yield Visitor(park.url, session, tokens)


@pytest.fixture(scope="module")
def schema(visitor: Visitor) -> BaseSchema:
    page = httpx.get(f"{visitor.url}/openapi.json", timeout=60).json()
    _link(page)
    found = schemathesis.openapi.from_dict(page)
    found.config.update(base_url=visitor.url)
    return found.exclude(path_regex=ENDS_SESSIONS)


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
    visitor.seen.clear()
    operations = [result.ok() for result in schema.get_all_operations()]
    assert len(operations) > 100
    for operation in operations:
        if mode is GenerationMode.POSITIVE or _takes_something(operation):
            _try(operation, visitor, mode)
    told, total = visitor.seen, visitor.seen.total()
    assert total > len(operations)
    if mode is GenerationMode.POSITIVE:
        assert told[200] > total / 10
        assert told[401] < total / 20, "the sessions of this test have ended"


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

    lasting = schema.exclude(path_regex=ENDS_WHAT_IS_THERE)

    class Chain(lasting.as_state_machine()):  # type: ignore[misc]
        def get_call_kwargs(self, case: Any) -> dict[str, Any]:
            return visitor.how(case.operation)

        def validate_response(self, response: Any, case: Any, **_: Any) -> None:
            seen[f"{case.operation.label} {response.status_code}"] += 1
            case.validate_response(response, checks=CHECKS)

    # What the park holds changes from chain to chain: each is a run of its own, or Hypothesis
    # would expect the second one to begin like the first.
    for number in range(CHAINS):
        with contextlib.suppress(FlakyStrategyDefinition):
            seed(number)(Chain).run(settings=CHAINED)
    with_ids = [label for label in seen if "{" in label and label.endswith("200")]
    assert with_ids, seen
