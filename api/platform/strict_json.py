"""Routes that read strictly: tokens and limits first, then query and body, where nothing stands
that the contract does not know (R1, R15, R44).

JSON has no duplicate keys, fractions or huge numbers. A tenant or store in it is dropped if it is
the one acted in, before it is validated or hashed.
"""

import json
from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from fastapi.dependencies.utils import get_flat_params
from fastapi.exceptions import RequestValidationError
from fastapi.params import Query
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from api.platform.jwt import Claims, TokenType
from api.platform.services import get_platform, read_claims
from playpark.canonical import StrictJsonError, loads_strict

LOGINS = ("/auth/", "/provider/login")
"""Where strangers prove who they are: limited by their address."""
_OWN = {
    "tenant_id": "This is the tenant of your token: leave it out, or send the same.",
    "store_id": "This is the store you act in: leave it out, or send the same. Employees on an "
    "ADMIN device choose another of theirs with the query parameter store_id.",
}


class StrictRequest(Request):
    """A request whose `json()` is the strict reader, parsed once."""

    async def json(self) -> Any:
        if not hasattr(self, "_strict"):
            body = await self.body()
            try:
                self._strict = loads_strict(body)
            except StrictJsonError as refused:
                # FastAPI turns this exception, and no other, into a validation error.
                raise json.JSONDecodeError(str(refused), "", 0) from None
        return self._strict


@dataclass(frozen=True, slots=True)
class Declared:
    """What a route takes: names of its query parameters, which of them may stand twice, names of
    its body's fields (None without a body)."""

    query: frozenset[str]
    many: frozenset[str]
    body: frozenset[str] | None

    @classmethod
    def by(cls, route: APIRoute) -> "Declared":
        fields = [
            each for each in get_flat_params(route.dependant) if isinstance(each.field_info, Query)
        ]
        body = route.body_field
        model = body.field_info.annotation if body else None
        own = frozenset(getattr(model, "model_fields", {}))
        return cls(
            query=frozenset(each.alias for each in fields),
            many=frozenset(each.alias for each in fields if _is_list(each.field_info.annotation)),
            body=own if body else None,
        )


class PublicRoute(APIRoute):
    """A route without a token."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()
        declared = Declared.by(self)

        async def strictly(request: Request) -> Response:
            await self.admit(request)
            _refuse_unknown(request, declared)
            strict = StrictRequest(request.scope, request.receive)
            if declared.body is not None and _has_body(request):
                _refuse_other_media(request)
                await _read(strict, declared.body)
            return await handle(strict)

        return strictly

    async def admit(self, request: Request) -> None:
        """Who may come in; before the body is read. Raises E_RATE_LIMITED."""
        if self.path.startswith(LOGINS):
            await get_platform(request).limits.login_from_address()


class PrivateRoute(PublicRoute):
    """A route with a token, which is verified before the body is read: a stranger cannot make
    the server parse megabytes."""

    tokens: ClassVar[tuple[TokenType, ...]] = (TokenType.DEVICE, TokenType.ACCESS)

    async def admit(self, request: Request) -> None:
        """Raises the 401s and E_RATE_LIMITED."""
        request.state.claims = claims = read_claims(request, *self.tokens)
        await get_platform(request).limits.device(claims)


class EitherRoute(PrivateRoute):
    """A route that works with a token and without one; a token that is sent has to be good."""

    async def admit(self, request: Request) -> None:
        """Raises as `PrivateRoute` does; without a token the address is counted as at a login."""
        if "authorization" in request.headers:
            await super().admit(request)
        else:
            request.state.claims = None
            await get_platform(request).limits.login_from_address()


class ProviderRoute(PrivateRoute):
    """A route for the operator of many tenants (R44)."""

    tokens = (TokenType.PROVIDER,)


def _is_list(annotation: Any) -> bool:
    return getattr(annotation, "__origin__", annotation) in {list, tuple, set, frozenset, Sequence}


def _refuse_unknown(request: Request, declared: Declared) -> None:
    """A misspelt filter must not answer the whole list. Raises RequestValidationError."""
    if not request.scope["query_string"]:
        return
    sent = Counter(name for name, _ in request.query_params.multi_items())
    problems = [
        _problem("query", name, _OWN.get(name, "There is no such parameter here: leave it out."))
        if name not in declared.query
        else _problem("query", name, "Send this parameter once.")
        for name, times in sent.items()
        if name not in declared.query or (times > 1 and name not in declared.many)
    ]
    if problems:
        raise RequestValidationError(problems)


def _has_body(request: Request) -> bool:
    headers = request.headers
    return headers.get("content-length", "0") != "0" or "transfer-encoding" in headers


def _refuse_other_media(request: Request) -> None:
    """Nothing is unpacked: a small body could become a large one. Raises HTTPException 415."""
    media = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    packed = request.headers.get("content-encoding", "identity").strip().lower()
    if media != "application/json" or packed != "identity":
        raise HTTPException(415)


async def _read(request: StrictRequest, declared: frozenset[str]) -> None:
    """Read the body, and take tenant and store out of it where they are the caller's own (R44).

    Raises RequestValidationError where they are not, HTTPException 408 and 413.
    """
    try:
        body = await request.json()
    except json.JSONDecodeError:
        return  # FastAPI reads it again, and says what is wrong
    except ClientDisconnect:
        raise HTTPException(408) from None
    claims: Claims | None = getattr(request.state, "claims", None)
    if not isinstance(body, dict) or claims is None:
        return
    acting = {
        "tenant_id": claims.tenant_id,
        "store_id": request.query_params.get("store_id", claims.store_id),
    }
    for name, own in acting.items():
        if name in declared or name not in body:
            continue
        if body[name] != own:
            raise RequestValidationError([_problem("body", name, _OWN[name])])
        del body[name]


def _problem(where: str, name: str, words: str) -> dict[str, Any]:
    return {"type": "extra_forbidden", "loc": (where, name), "msg": words}
