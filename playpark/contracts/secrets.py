"""Secrets of a tenant as people see them: names, versions, times; never values (R21, 001 §11)."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from playpark.clock import UtcDatetime
from playpark.contracts.base import Request, View

MAX_GRACE_HOURS = 72


class SecretSource(StrEnum):
    """Where a version comes from: the operator's environment, or a rotation by the tenant."""

    ENVIRONMENT = "environment"
    TENANT = "tenant"


class SecretStatus(StrEnum):
    """current: issues and verifies. retiring: may still issue until its `not_after`. retired: only
    verifies what was issued before."""

    CURRENT = "current"
    RETIRING = "retiring"
    RETIRED = "retired"


class SecretVersion(View):
    """`version` is the kid on tokens. `created_at` is null for keys of the environment."""

    version: str
    status: SecretStatus
    source: SecretSource
    created_at: UtcDatetime | None
    not_after: UtcDatetime | None


class SecretView(View):
    """A secret and its versions, the newest first."""

    name: str
    current: str
    versions: list[SecretVersion]


class RotateIn(Request):
    """How long the former version may go on issuing, hours; it verifies for ever."""

    grace_hours: Annotated[int, Field(strict=True, ge=0, le=MAX_GRACE_HOURS)] = 0
