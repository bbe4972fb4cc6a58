"""Pairing and login of devices, refresh of tokens, proving again who one is (R41, R43)."""

from typing import Annotated

from pydantic import Field, StringConstraints

from playpark.clock import UtcDatetime
from playpark.contracts.base import IdStr, Name, Request, Secret, View
from playpark.contracts.employees import Pin, TotpCode
from playpark.contracts.tenancy import DeviceStatus, DeviceType, DeviceView, StoreView

SiteKey = Annotated[str, StringConstraints(pattern=r"^[0-9A-Za-z-]{4,64}$"), Field(repr=False)]
PublicKey = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=$")
]  # fmt: skip
"""32 bytes in Base64, in the one way of writing them."""


class DeviceRegisterIn(Request):
    """`store_id` chooses the store where the key is good for several."""

    site_key: SiteKey
    type: DeviceType
    name: Name
    store_id: IdStr | None = None
    public_key: PublicKey | None = Field(
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


class StepUpIn(Request):
    """The PIN of who is logged in, and the code of their authenticator app if they have one."""

    pin: Pin
    totp: TotpCode | None = Field(default=None, repr=False)


class SteppedUp(View):
    """Until then secrets, exports and revocations are open to this login."""

    fresh_until: UtcDatetime


class TotpEnrolment(View):
    """What the authenticator app needs. Shown this once."""

    secret: str = Field(repr=False)
    otpauth_uri: str = Field(repr=False, description="what a QR code for the app holds")


class TotpConfirmIn(Request):
    code: TotpCode = Field(repr=False)


class TotpState(View):
    """Whether logins and step-ups of this person need a code."""

    employee_id: str
    enrolled: bool
