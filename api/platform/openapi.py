"""The OpenAPI description: errors in their envelope, who needs a token, one example a body."""

import json
from collections.abc import Sequence
from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute

from api.platform.permissions import declared
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
}
"""Every route that answers without a bearer token."""

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
    """Replace the app's schema by one that says what really leaves the server. `routers` are
    those below /v1."""

    def schema() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _build(app, routers)
        return app.openapi_schema

    app.openapi = schema  # type: ignore[method-assign]


def _build(app: FastAPI, routers: Sequence[APIRouter]) -> dict[str, Any]:
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
            operation["security"] = [] if (method, path) in PUBLIC else [{"bearer": []}]
    for router in routers:
        for route in router.routes:
            if isinstance(route, APIRoute):
                _add_permissions(found["paths"][f"/v1{route.path}"], route)
    return found


def _add_permissions(path: dict[str, Any], route: APIRoute) -> None:
    if (needs := declared(route)) is None:
        return
    for method in route.methods or ():
        operation = path[method.lower()]
        operation["x-permissions"] = {
            "any_of": [permission.value for permission in needs.any_of],
            "fresh_pin": needs.fresh,
        }


def _add_example(operation: dict[str, Any], example: dict[str, Any]) -> None:
    operation["responses"]["200"]["content"]["application/json"]["example"] = example["response"]
    if "request" in example:
        operation["requestBody"]["content"]["application/json"]["example"] = example["request"]
