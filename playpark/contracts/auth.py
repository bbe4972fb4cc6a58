"""Pairing and login of devices, refresh of tokens (API.md: device auth; R41, R43)."""

from typing import Annotated

from pydantic import Field, StringConstraints

from playpark.contracts.base import IdStr, Name, Request, Secret, View
from playpark.contracts.tenancy import DeviceStatus, DeviceType, DeviceView, StoreView

SiteKey = Annotated[str, StringConstraints(pattern=r"^[0-9A-Za-z-]{4,64}$")]


class DeviceRegisterIn(Request):
    site_key: SiteKey
    type: DeviceType
    name: Name
    public_key: Annotated[str, StringConstraints(max_length=200)] | None = Field(
        default=None, description="Ed25519 key of a till that signs tickets offline (R22), Base64"
    )


class DeviceRegistered(View):
    """`device_token` is shown this once; the server keeps its hash only (R43)."""

    device_id: str
    device_token: str
    device_code: str
    status: DeviceStatus


class DeviceLoginIn(Request):
    device_id: IdStr
    device_token: Secret


class DeviceSession(View):
    access_token: str
    expires_in: int
    device: DeviceView
    store: StoreView
    short_code_key: str | None = Field(
        default=None, description="key of the store's short codes, hex; for devices that sell (R24)"
    )


class RefreshIn(Request):
    refresh_token: Annotated[str, StringConstraints(min_length=1, max_length=4096)]


class LoggedOut(View):
    logged_out: bool
