"""What all contracts share: strict requests, tolerant answers, envelope, pages (API.md, R57)."""

from typing import Annotated, Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from playpark.clock import UtcDatetime

T = TypeVar("T")


class Request(BaseModel):
    """A body that a client sends: unknown fields are refused (422)."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class View(BaseModel):
    """A part of an answer: fields that a newer server adds are ignored (R57)."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class ErrorBody(View):
    code: str
    message: str
    details: dict[str, Any] | None = None


class Envelope(View, Generic[T]):
    """The frame of every JSON answer; `data` is null exactly when `error` is not."""

    server_time: UtcDatetime
    request_id: str
    data: T | None = None
    error: ErrorBody | None = None


class ServerTime(View):
    """The server's time, from which devices reckon their offset (R36)."""

    now: UtcDatetime


class Page(View, Generic[T]):
    """One page of a list; `next_cursor` is opaque, null on the last page."""

    items: list[T]
    next_cursor: str | None = None


Name = Annotated[str, StringConstraints(min_length=1, max_length=120, strip_whitespace=True)]
ShortText = Annotated[str, StringConstraints(max_length=200)]
IdStr = Annotated[str, StringConstraints(pattern=r"^[0-9A-Za-z_-]{1,40}$")]
"""An id of ours: never an operator, a dotted path or a control character."""
Secret = Annotated[str, StringConstraints(min_length=1, max_length=200), Field(repr=False)]
