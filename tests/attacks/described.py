"""The API as OpenAPI describes it: what the walks of this folder go over, so that a route that is
added tomorrow is walked too."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from playpark.ids import new_ulid


@dataclass(frozen=True, repr=False)
class Route:
    """One method of one path. `operation` is OpenAPI's, `schemas` are all of the API's."""

    method: str
    path: str
    operation: dict[str, Any]
    schemas: dict[str, Any]

    def __str__(self) -> str:
        return f"{self.method} {self.path}"

    __repr__ = __str__

    @property
    def rights(self) -> dict[str, Any] | None:
        """Its `x-permissions`."""
        found: dict[str, Any] | None = self.operation.get("x-permissions")
        return found

    @property
    def private(self) -> bool:
        """Whether it takes the token of a device or an employee."""
        security = self.operation["security"]
        return bool(security) and {} not in security and not (self.rights or {}).get("provider")

    @property
    def is_operation(self) -> bool:
        """Whether it changes money or tickets: its rights are judged after its body (R42)."""
        return any(each["name"] == "Idempotency-Key" for each in self._parameters())

    @property
    def ids(self) -> list[str]:
        """The names of the ids in its path."""
        return re.findall(r"\{(\w+)\}", self.path)

    @property
    def queries(self) -> dict[str, dict[str, Any]]:
        """Its query parameters by name."""
        return {each["name"]: each for each in self._parameters() if each["in"] == "query"}

    @property
    def has_csv(self) -> bool:
        return "text/csv" in self.operation["responses"]["200"]["content"]

    @property
    def body(self) -> dict[str, Any] | None:
        """The schema of its body; None without one."""
        if "requestBody" not in self.operation:
            return None
        schema = self.operation["requestBody"]["content"]["application/json"]["schema"]
        found: dict[str, Any] = self.resolved(schema)
        return found

    @property
    def example(self) -> Any:
        """A body that was once a good one; its ids are of another park."""
        return self.operation["requestBody"]["content"]["application/json"]["example"]

    def resolved(self, schema: dict[str, Any]) -> Any:
        """A schema, or the one that it refers to."""
        if "$ref" in schema:
            return self.schemas[schema["$ref"].rsplit("/", 1)[1]]
        return schema

    def url(self, ids: Mapping[str, str] | None = None) -> str:
        """The path with these ids in it; what is not named is an id that nobody has."""
        known = ids or {}
        return re.sub(r"\{(\w+)\}", lambda found: known.get(found[1], new_ulid()), self.path)

    def _parameters(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.operation.get("parameters", [])
        return found


def routes(api_url: str) -> list[Route]:
    """Every route below /v1."""
    schema = httpx.get(f"{api_url}/openapi.json", timeout=60).json()
    return [
        Route(method.upper(), path, operation, schema["components"]["schemas"])
        for path, methods in schema["paths"].items()
        for method, operation in methods.items()
        if path.startswith("/v1")
    ]
