"""The examples of the API pages are what the server really answers.

The story below runs on the demo park; its requests and answers are the examples. With
PLAYPARK_RECORD=1 it writes them, otherwise it compares their shapes.
"""

import json
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from playpark.ids import is_ulid
from playpark.resources import config_path
from tests.api.story import tell_all
from tests.conftest import running_api
from tests.outside import Outsider

FILE = "openapi-examples.json"


def shape(value: Any) -> Any:
    """Keys and kinds of a JSON value; the length of lists and what is null do not count."""
    if isinstance(value, dict):
        return {"id" if is_ulid(key) else key: shape(item) for key, item in sorted(value.items())}
    if isinstance(value, list):
        return [shape(value[0])] if value else []
    return "text" if isinstance(value, str) else type(value).__name__


@pytest.fixture
async def outside(mongo_uri: str, database: str) -> AsyncIterator[Outsider]:
    """Somebody in a park where nothing has happened yet: lists hold what the story made."""
    with running_api(mongo_uri, f"{database}_examples") as url:
        async with httpx.AsyncClient(base_url=url, timeout=60) as http:
            yield Outsider(http)


async def test_every_route_has_an_example_that_the_server_still_answers(
    outside: Outsider,
) -> None:
    told = await tell_all(outside)
    schema = (await outside.http.get("/openapi.json")).json()
    documented = {
        f"{method.upper()} {path}"
        for path, methods in schema["paths"].items()
        for method in methods
    }
    assert set(told) == documented
    if os.environ.get("PLAYPARK_RECORD"):
        text = json.dumps(told, indent=1, ensure_ascii=False, sort_keys=True)
        Path(f"config/{FILE}").write_text(text + "\n")
    examples = json.loads(config_path(FILE).read_text())
    assert set(examples) == documented
    for name, example in told.items():
        assert shape(example.get("request")) == shape(examples[name].get("request")), name
        assert shape(example["response"]) == shape(examples[name]["response"]), name
    for path, methods in schema["paths"].items():
        for method, operation in methods.items():
            example = examples[f"{method.upper()} {path}"]
            answer = operation["responses"]["200"]["content"]["application/json"]
            assert answer["example"] == example["response"]
            if "requestBody" in operation:
                asked = operation["requestBody"]["content"]["application/json"]
                assert asked["example"] == example["request"]
