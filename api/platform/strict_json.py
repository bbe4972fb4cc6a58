"""Routes that read JSON strictly: no duplicate keys, fractions or huge numbers (R1, R15)."""

import json
from collections.abc import Callable, Coroutine
from typing import Any, ClassVar

from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import Response

from api.platform.jwt import TokenType
from api.platform.services import read_claims
from playpark.canonical import StrictJsonError, loads_strict


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


class PublicRoute(APIRoute):
    """A route without a token. Reads JSON strictly."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def strictly(request: Request) -> Response:
            return await handle(StrictRequest(request.scope, request.receive))

        return strictly


class PrivateRoute(PublicRoute):
    """A route with a token, which is verified before the body is read: a stranger cannot make
    the server parse megabytes."""

    tokens: ClassVar[tuple[TokenType, ...]] = (TokenType.DEVICE, TokenType.ACCESS)

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def known(request: Request) -> Response:
            request.state.claims = read_claims(request, *self.tokens)
            return await handle(request)

        return known


class ProviderRoute(PrivateRoute):
    """A route for the operator of many tenants (R44)."""

    tokens = (TokenType.PROVIDER,)
