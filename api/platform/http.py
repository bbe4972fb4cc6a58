"""What the routers share: strict routes, the operation door, error handlers (API.md, R14, R15)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

import structlog
from fastapi import APIRouter, Depends, FastAPI, Header, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel
from pymongo.errors import PyMongoError
from starlette.exceptions import HTTPException

from api.platform.envelope import error_response, ok
from api.platform.operations import Kind, Operation, clamp, perform
from api.platform.repository import MAX_PAGE
from api.platform.scope import Scope
from api.platform.services import App, Caller, Platform
from api.platform.strict_json import EitherRoute, PrivateRoute, ProviderRoute, PublicRoute
from api.platform.uow import is_outage
from playpark.contracts.base import Envelope
from playpark.errors import ErrorCode, PlayParkError
from playpark.ids import is_ulid, new_ulid

B = TypeVar("B", bound=BaseModel)
R = TypeVar("R")
log = structlog.get_logger("playpark.errors")
IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        description="ULID of this operation: send the same one when you try again (R15).",
    ),
]
Approval = Annotated[
    str | None,
    Header(
        alias="X-Approval",
        max_length=200,
        description="The token of an approval, where one is needed (R42).",
    ),
]
_HTTP_CODES = {
    400: (ErrorCode.VALIDATION, "The request cannot be read: send JSON as the contract has it."),
    404: (ErrorCode.NOT_FOUND, "There is nothing at this address: see /docs for the routes."),
    405: (ErrorCode.NOT_FOUND, "This address does not take this method: see /docs."),
    408: (ErrorCode.UNAVAILABLE, "The body did not come: check the network and send it again."),
    413: (ErrorCode.BODY_TOO_LARGE, "The body is too large: send it in parts."),
    415: (ErrorCode.VALIDATION, "Send the body as application/json, in UTF-8, not compressed."),
}


Limit = Annotated[int, Query(ge=1, le=MAX_PAGE, description="Rows a page (R56).")]
Cursor = Annotated[
    str | None, Query(max_length=200, pattern=r"^[A-Za-z0-9_-]+$", description="next_cursor")
]


def private_router(tag: str) -> APIRouter:
    """A router of one domain whose routes need a token; strict JSON."""
    return APIRouter(route_class=PrivateRoute, tags=[tag])


def public_router(tag: str) -> APIRouter:
    """A router of routes that answer without a token; strict JSON."""
    return APIRouter(route_class=PublicRoute, tags=[tag])


def either_router(tag: str) -> APIRouter:
    """A router of routes that answer with a token and without one; strict JSON."""
    return APIRouter(route_class=EitherRoute, tags=[tag])


def provider_router(tag: str) -> APIRouter:
    """A router of routes for the operator of many tenants; strict JSON."""
    return APIRouter(route_class=ProviderRoute, tags=[tag])


@dataclass(frozen=True, slots=True)
class OperationDoor:
    """The direct routes' door to `perform`: Idempotency-Key as op_id, X-Approval as approval,
    uncommitted (R14)."""

    request: Request
    response: Response
    platform: Platform
    scope: Scope
    key: str | None
    approval: str | None = None

    async def perform(
        self, how: Kind[B, R], body: BaseModel, *, key_required: bool = True, **path: str
    ) -> Envelope[R]:
        """`path` are the ids of the address: they belong to the operation's body.

        Raises E_IDEMPOTENCY_KEY_REQUIRED, E_VALIDATION for a key that is no ULID, and what
        the operation raises.
        """
        told = getattr(body, "occurred_at", None)
        occurred_at, flags = clamp(told, self.platform.clock.now())
        op = Operation(
            op_id=_op_id(self.key, required=key_required),
            kind=how.name,
            raw={**await self.request.json(), **path},
            body=_whole(how.model, body, path),
            occurred_at=occurred_at,
            approval=self.approval,
            flags=flags,
        )
        try:
            outcome = await perform(self.platform, self.scope, op, how)
        except PlayParkError as refusal:
            if refusal.code.status == 404:  # somebody tries ids, or is looking for another park's
                await self._note(refusal.code)
            raise
        if outcome.replayed:
            self.response.headers["Idempotent-Replayed"] = "true"
        return ok(outcome.answer)

    async def _note(self, code: ErrorCode) -> None:
        route = f"{self.request.method} {self.request.scope['route'].path}"
        await self.platform.note_refusal(self.platform.uow, self.scope, code, route)


async def _door(
    request: Request,
    response: Response,
    platform: App,
    scope: Caller,
    key: IdempotencyKey = None,
    approval: Approval = None,
) -> OperationDoor:
    scope.require_paired()
    return OperationDoor(request, response, platform, scope, key, approval)


def _whole(model: type[B], body: BaseModel, path: dict[str, str]) -> B:
    """The operation's body: what was sent, and the ids of the address."""
    if isinstance(body, model):
        return body
    sent = {name: getattr(body, name) for name in body.model_fields_set}
    return model.model_validate({**sent, **path})


Door = Annotated[OperationDoor, Depends(_door)]


def _op_id(key: str | None, *, required: bool) -> str:
    if key is None:
        if required:
            message = "Send an Idempotency-Key header: a fresh ULID for each operation."
            raise PlayParkError(ErrorCode.IDEMPOTENCY_KEY_REQUIRED, message)
        return new_ulid()
    if not is_ulid(key):
        message = "The Idempotency-Key must be a ULID of 26 upper-case characters."
        raise PlayParkError(ErrorCode.VALIDATION, message)
    return key


def safe_errors(errors: Sequence[Any]) -> list[dict[str, str]]:
    """Validation errors as {field, problem}, never with a value that the client sent."""
    return [
        {"field": ".".join(_safe(part) for part in error["loc"]), "problem": _problem(error)}
        for error in errors[:20]
    ]


def _safe(part: object) -> str:
    text = str(part)
    return text if text.isascii() and text.isprintable() and len(text) <= 40 else "?"


def _problem(error: Any) -> str:
    if error["type"] == "json_invalid":
        return str(error.get("ctx", {}).get("error", "invalid JSON"))
    # Messages of patterns and enums name what is expected, never what came.
    return str(error["msg"])


def install_error_handlers(app: FastAPI) -> None:
    """Every error leaves in the envelope; faults of ours too (`middleware.RequestContext`)."""

    @app.exception_handler(PlayParkError)
    async def refused(request: Request, error: PlayParkError) -> Response:
        _note(request, error.code)
        return error_response(
            error.code, error.message, details=error.details, retry_after=error.retry_after
        )

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> Response:
        _note(request, ErrorCode.VALIDATION)
        message = "The request is not as the contract has it: see details."
        details = {"errors": safe_errors(error.errors())}
        return error_response(ErrorCode.VALIDATION, message, details=details)

    @app.exception_handler(HTTPException)
    async def http(request: Request, error: HTTPException) -> Response:
        code, message = _HTTP_CODES.get(error.status_code, _HTTP_CODES[400])
        _note(request, code)
        response = error_response(code, message, status=error.status_code)
        response.headers.update(error.headers or {})
        return response

    @app.exception_handler(PyMongoError)
    async def database(request: Request, error: PyMongoError) -> Response:
        if not is_outage(error):
            raise error
        log.warning("database unavailable", error=type(error).__name__)
        _note(request, ErrorCode.UNAVAILABLE)
        message = "The server is without its database: send the same request again."
        return error_response(ErrorCode.UNAVAILABLE, message, retry_after=2)


def _note(request: Request, code: ErrorCode) -> None:
    known = getattr(request.state, "log", {})
    request.state.log = {**known, "error_code": str(code)}
