"""HTTP of what gates keep."""

import asyncio
import zlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated

from fastapi import Depends, Header, Query, Response
from starlette.responses import StreamingResponse

from api.gate import service
from api.gate.resuming import Span, span
from api.platform.http import private_router
from api.platform.permissions import needs
from api.platform.services import App, Caller
from playpark.contracts.base import Envelope
from playpark.contracts.employees import Permission
from playpark.contracts.gate import GateBootstrap

private = private_router("gate")
LONGEST_WINDOW = 7 * 24 * 60
_PLAIN = '-plain"'
"""Ends the tag of an answer that is sent unpacked: those are other bytes."""


@dataclass(frozen=True, slots=True)
class Conditions:
    """What the caller has of the list already, and what it can read."""

    if_none_match: Annotated[str | None, Header(max_length=1_000)] = None
    if_range: Annotated[str | None, Header(max_length=200)] = None
    wanted: Annotated[str | None, Header(alias="Range", max_length=200)] = None
    accept_encoding: Annotated[str, Header(max_length=1_000, include_in_schema=False)] = ""

    @property
    def packed(self) -> bool:
        return _takes_gzip(self.accept_encoding)

    @property
    def known(self) -> list[str]:
        """The tags of If-None-Match."""
        tags = (each.strip() for each in (self.if_none_match or "").split(","))
        return [each for each in tags if each]

    @property
    def goes_on(self) -> str | None:
        """The tag of the answer that a cut download goes on with; None for a new one."""
        tag = self.if_range
        if self.wanted is None or tag is None or self.known:
            return None
        if self.packed:
            return tag
        return f'{tag.removesuffix(_PLAIN)}"' if tag.endswith(_PLAIN) else None


@private.get(
    "/gate/bootstrap",
    dependencies=needs(Permission.REDEEM, device=True),
    response_model=Envelope[GateBootstrap],
    responses={
        206: {"description": "The rest of an answer that was begun (Range, If-Range)."},
        304: {"description": "The list named in If-None-Match is the present one."},
        416: {"description": "That answer has no such bytes."},
    },
)
async def bootstrap(
    platform: App,
    scope: Caller,
    sent: Annotated[Conditions, Depends()],
    window: Annotated[
        int,
        Query(ge=0, le=LONGEST_WINDOW, description="minutes ahead in which a validity may begin"),
    ] = 0,
    since: Annotated[
        int | None,
        Query(ge=0, le=2**53 - 1, description="`version` of the list at hand, of the same window"),
    ] = None,
) -> Response:
    """The tickets that may admit, by the hashes of their tokens, and all else that a gate needs to
    decide by itself; with `since` what has changed. The ETag leaves `version` and `server_time`
    out of account up to its dot, and behind it names the very bytes: a download that was cut goes
    on with Range and If-Range for five minutes, and begins anew where they are not at hand."""
    asked = service.Asked(timedelta(minutes=window), since)
    begun = service.begun(platform, scope, asked, sent.goes_on) if sent.goes_on else None
    answer = begun or await service.bootstrap(platform, scope, asked)
    tag = answer.etag if sent.packed else f"{answer.etag[:-1]}{_PLAIN}"
    headers = {"ETag": tag, "Vary": "Accept-Encoding", "Accept-Ranges": "bytes"}
    for known in sent.known:
        if answer.same_list(known):
            headers |= {"ETag": known} if known != "*" else {}
            return Response(status_code=304, headers=headers)
    pieces = answer.pieces
    if sent.packed:
        headers["Content-Encoding"] = "gzip"
    else:
        pieces = [await asyncio.to_thread(_unpacked, pieces)]
    whole = sum(map(len, pieces))
    part = span(sent.wanted or "", whole) if begun else None
    if part is not None:
        headers["Content-Range"] = part.content_range
        if part.first >= part.end:
            return Response(status_code=416, headers=headers)
    status, part = (206, part) if part else (200, Span(0, whole, whole))
    headers["Content-Length"] = str(part.end - part.first)
    body = _sent(service.in_pieces(part.of(pieces)))
    return StreamingResponse(body, status, headers, media_type="application/json")


def _takes_gzip(accept_encoding: str) -> bool:
    for each in accept_encoding.lower().split(","):
        name, _, quality = each.partition(";")
        if name.strip() in {"gzip", "*"}:
            return quality.replace(" ", "") not in {"q=0", "q=0.0", "q=0.00", "q=0.000"}
    return False


def _unpacked(pieces: Sequence[bytes]) -> bytes:
    return zlib.decompress(b"".join(pieces), wbits=16 + zlib.MAX_WBITS)


async def _sent(pieces: Sequence[bytes]) -> AsyncIterator[bytes]:
    for each in pieces:
        yield each
