"""HTTP of secrets: names and versions only."""

from datetime import timedelta
from typing import Annotated

from fastapi import Path

from api.platform.envelope import ok
from api.platform.http import private_router
from api.platform.permissions import needs
from api.platform.services import App, Caller
from api.secrets import service
from playpark.contracts.base import Envelope, IdStr, Page
from playpark.contracts.employees import Permission
from playpark.contracts.secrets import RotateIn, SecretView

private = private_router("secrets")


@private.get("/secrets", dependencies=needs(Permission.SETTINGS_WRITE, fresh=True))
async def list_secrets(platform: App, scope: Caller) -> Envelope[Page[SecretView]]:
    """The park's secrets by name, and their versions; never a value. It takes the permission in
    every store."""
    return ok(Page(items=await service.listed(platform, scope)))


@private.post("/secrets/{name}/rotate", dependencies=needs(Permission.SETTINGS_WRITE, fresh=True))
async def rotate_secret(
    platform: App, scope: Caller, name: Annotated[IdStr, Path()], body: RotateIn
) -> Envelope[SecretView]:
    """Make the next version of a secret. It is used from the next request of every device on; what
    was issued with an earlier one stays valid. It takes the permission in every store."""
    return ok(await service.rotate(platform, scope, name, timedelta(hours=body.grace_hours)))
