"""The frame of every answer, and what belongs to the request at hand (API.md)."""

import math
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Any, TypeVar

from starlette.responses import Response

from playpark.clock import SystemClock
from playpark.contracts.base import Envelope, ErrorBody
from playpark.errors import ErrorCode
from playpark.ids import new_ulid


@dataclass(frozen=True, slots=True)
class Client:
    """Where a request comes from: the address behind configured proxies, and a fingerprint of
    what the program says of itself (R41)."""

    ip: str = ""
    fingerprint: str = ""

    @property
    def network(self) -> str:
        """What limits and budgets take for one address: of IPv6 whoever has one has its /64."""
        if ":" not in self.ip:
            return self.ip
        address = ip_address(self.ip)
        if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
            return str(address.ipv4_mapped)
        return str(ip_network((address, 64), strict=False))


request_id: ContextVar[str] = ContextVar("request_id", default="")
NOWHERE = Client()
client: ContextVar[Client] = ContextVar("client", default=NOWHERE)
_clock = SystemClock()
T = TypeVar("T")


def ok(data: T) -> Envelope[T]:
    """`data` in its envelope."""
    return Envelope(server_time=_clock.now(), request_id=request_id.get(), data=data)


def error_response(
    code: ErrorCode,
    message: str,
    *,
    details: Mapping[str, Any] | None = None,
    retry_after: float | None = None,
    status: int | None = None,
) -> Response:
    """An error in its envelope with the status of the table; 401 and 429 get their headers."""
    envelope: Envelope[None] = Envelope(
        server_time=_clock.now(),
        request_id=request_id.get() or new_ulid(),
        error=ErrorBody(code=code, message=message, details=dict(details) if details else None),
    )
    headers = {}
    status = status or code.status
    if retry_after is not None:
        headers["Retry-After"] = str(max(1, math.ceil(retry_after)))
    elif status in {429, 503}:
        headers["Retry-After"] = "1"
    if status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return Response(
        envelope.model_dump_json(), status, headers=headers, media_type="application/json"
    )
