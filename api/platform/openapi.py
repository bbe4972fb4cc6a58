"""The OpenAPI description: errors in their envelope, who needs a token, one example a body."""

import asyncio
import json
from collections.abc import Sequence
from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute
from starlette.responses import Response

from api.platform.permissions import declared
from api.platform.strict_json import ProviderRoute
from playpark.errors import ErrorCode
from playpark.resources import config_path

PUBLIC = {
    ("get", "/health"),
    ("get", "/healthz"),
    ("get", "/readyz"),
    ("get", "/v1/time"),
    ("post", "/v1/auth/device/register"),
    ("post", "/v1/auth/device/login"),
    ("post", "/v1/auth/refresh"),
    ("post", "/v1/provider/login"),
    ("post", "/v1/employees/login"),
}
"""Every route that answers without a bearer token."""
EITHER = {("post", "/v1/employees/login")}
"""Those of them that take one, and then do something else."""

_ERROR = {
    "type": "object",
    "required": ["server_time", "request_id", "data", "error"],
    "properties": {
        "server_time": {"type": "string", "format": "date-time"},
        "request_id": {"type": "string"},
        "data": {"type": "null"},
        "error": {
            "type": "object",
            "required": ["code", "message"],
            "properties": {
                "code": {"type": "string", "enum": [str(code) for code in ErrorCode]},
                "message": {"type": "string"},
                "details": {"type": ["object", "null"]},
            },
        },
    },
}


def describe(app: FastAPI, routers: Sequence[APIRouter]) -> None:
    """Serve /openapi.json: what really leaves the server. `routers` are those below /v1."""
    building = asyncio.Lock()
    built: list[bytes] = []

    @app.get("/openapi.json", include_in_schema=False)
    async def description() -> Response:
        async with building:
            if not built:
                # It takes a second or two of work, and no till waits for that.
                built.append(await asyncio.to_thread(_build, app, routers))
        return Response(built[0], media_type="application/json")


def _build(app: FastAPI, routers: Sequence[APIRouter]) -> bytes:
    found = get_openapi(title=app.title, version=app.version, routes=app.routes)
    components = found["components"]
    components["schemas"]["Error"] = _ERROR
    components["schemas"].pop("HTTPValidationError", None)
    components["schemas"].pop("ValidationError", None)
    components["securitySchemes"] = {
        "bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}
    }
    examples = json.loads(config_path("openapi-examples.json").read_text(encoding="utf-8"))
    for path, methods in found["paths"].items():
        for method, operation in methods.items():
            operation["responses"].pop("422", None)
            operation["responses"]["default"] = {
                "description": "A refusal, in the envelope",
                "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}},
            }
            _add_example(operation, examples.get(f"{method.upper()} {path}", {"response": None}))
            operation["security"] = _security(method, path)
    for router in routers:
        for route in router.routes:
            if isinstance(route, APIRoute):
                _add_permissions(found["paths"][f"/v1{route.path}"], route)
    return json.dumps(found, ensure_ascii=False).encode()


def _security(method: str, path: str) -> list[dict[str, list[str]]]:
    bearer: list[dict[str, list[str]]] = [{"bearer": []}]
    if (method, path) not in PUBLIC:
        return bearer
    return [*bearer, {}] if (method, path) in EITHER else []


def _add_permissions(path: dict[str, Any], route: APIRoute) -> None:
    """What the route declares, for programs and in words (decision 0017)."""
    rights = declared(route)
    for method in route.methods or ():
        operation = path[method.lower()]
        if isinstance(route, ProviderRoute):
            operation["x-permissions"] = {"provider": True}
        elif rights is not None:
            operation["x-permissions"] = rights.schema()
            said = operation.get("description", "")
            operation["description"] = f"{said}\n\n{rights.sentence()}"


def _add_example(operation: dict[str, Any], example: dict[str, Any]) -> None:
    operation["responses"]["200"]["content"]["application/json"]["example"] = example["response"]
    if "request" in example:
        operation["requestBody"]["content"]["application/json"]["example"] = example["request"]
