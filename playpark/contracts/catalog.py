"""Packages, zones and taxes: what a park sells, and where it admits (API.md: catalog; R18)."""

from enum import StrEnum
from typing import Annotated, Self

from pydantic import Field, StrictBool, StringConstraints, model_validator

from playpark.clock import UtcDatetime
from playpark.contracts.base import IdStr, Name, Request, View
from playpark.money import BasisPoints, Satang

MAX_QUOTA = 10**9
Count = Annotated[int, Field(strict=True, ge=0, le=MAX_QUOTA)]
Sort = Annotated[int, Field(strict=True, ge=0, le=10_000)]
TimeOfDay = Annotated[str, StringConstraints(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$")]
"""Park time on a 24 hour clock, `17:30`."""
Weekday = Annotated[int, Field(strict=True, ge=0, le=6)]
"""0 is Monday."""


class PackageKind(StrEnum):
    SINGLE = "single"
    MULTI = "multi"
    TIMEPASS = "timepass"
    CREDIT = "credit"
    BUNDLE = "bundle"


class SalesChannel(StrEnum):
    POS = "POS"
    KIOSK = "KIOSK"


Channels = Annotated[list[SalesChannel], Field(max_length=len(SalesChannel))]


class TaxMode(StrEnum):
    """Zero-rated and exempt sales carry no VAT and are reported apart (R4)."""

    INCLUSIVE = "inclusive"
    EXCLUSIVE = "exclusive"
    ZERO = "zero"
    EXEMPT = "exempt"


class ActiveWindow(View):
    """When something applies, in the store's time zone; every limit is optional (R9).

    `starts_at` and `ends_at` are moments, half-open. `from_time` and `to_time` are times of day,
    half-open; a window such as 22:00-02:00 wraps midnight and belongs to the weekday on which it
    began. `weekdays` empty means every day.
    """

    starts_at: UtcDatetime | None = None
    ends_at: UtcDatetime | None = None
    from_time: TimeOfDay | None = None
    to_time: TimeOfDay | None = None
    weekdays: list[Weekday] = []


class ActiveWindowIn(ActiveWindow, Request):
    """An active window as it is sent: both times of day or none, a beginning before its end."""

    weekdays: Annotated[list[Weekday], Field(max_length=7)] = []

    @model_validator(mode="after")
    def _sensible(self) -> Self:
        if (self.from_time is None) != (self.to_time is None):
            msg = "send both from_time and to_time, or none"
            raise ValueError(msg)
        if self.from_time is not None and self.from_time == self.to_time:
            msg = "from_time and to_time are the same: leave both out for the whole day"
            raise ValueError(msg)
        if self.starts_at and self.ends_at and self.starts_at >= self.ends_at:
            msg = "ends_at must lie after starts_at"
            raise ValueError(msg)
        return self


class TaxView(View):
    tax_id: str
    name: str
    rate: BasisPoints
    mode: TaxMode


class PendingPolicy(StrEnum):
    """What a zone does with an offline till's ticket whose sale has not arrived yet (R22)."""

    ADMIT = "admit"
    REFUSE = "refuse"


class SlipPolicy(StrEnum):
    """Whether a gate prints an admission slip after a PASS (R54)."""

    ALWAYS = "always"
    ON_KEY = "on_key"
    NEVER = "never"


class ZoneView(View):
    """`reentry_needs_exit`: a guest who is inside has to be scanned out before the ticket lets
    anybody in again (R51)."""

    zone_id: str
    name: str
    name_th: str
    credit_price: Satang | None = None
    """What an entry costs a `credit` ticket, satang; null where credit is not taken."""
    capacity: int | None = None
    """How many guests fit in; null where nobody counts."""
    reentry_needs_exit: bool = False
    pending: PendingPolicy = PendingPolicy.ADMIT
    slip: SlipPolicy = SlipPolicy.NEVER
    offline_credit_limit: Satang = 0
    """What a gate without the server may take from one credit ticket, satang (R33)."""
    active: bool = True


class Component(View):
    package_id: IdStr
    qty: Annotated[int, Field(strict=True, ge=1, le=100)]


class ComponentIn(Component, Request):
    """A component as it is sent: unknown fields are refused."""


class PackageView(View):
    """`quota_or_minutes`: uses of a multi, minutes of a timepass, satang of a credit.

    `price` is the price where no price list has another. `zones` empty means every zone.
    `valid_days` 1 ends with the business day of the sale.
    """

    package_id: str
    name: str
    name_th: str
    kind: PackageKind
    price: Satang
    tax_id: str
    quota_or_minutes: int
    valid_days: int
    zones: list[str]
    allowed_devices: list[str] = []
    visible_on: list[SalesChannel]
    window: ActiveWindow | None = None
    active: bool
    components: list[Component] = []
    sort: int = 0


class PackageIn(Request):
    """A package to be sold in this store. Its tax defaults to the store's first one."""

    name: Name
    name_th: Name
    kind: PackageKind
    price: Satang
    tax_id: IdStr | None = None
    quota_or_minutes: Count = 1
    valid_days: Annotated[int, Field(strict=True, ge=1, le=3_660)] = 1
    zones: Annotated[list[IdStr], Field(max_length=100)] = []
    allowed_devices: Annotated[list[IdStr], Field(max_length=100)] = []
    visible_on: Channels = [SalesChannel.POS, SalesChannel.KIOSK]
    window: ActiveWindowIn | None = None
    active: StrictBool = True
    components: Annotated[list[ComponentIn], Field(max_length=50)] = []
    sort: Sort = 0


class PackagePatch(Request):
    """What is to change; the kind of a package never does."""

    name: Name | None = None
    name_th: Name | None = None
    price: Satang | None = None
    tax_id: IdStr | None = None
    quota_or_minutes: Count | None = None
    valid_days: Annotated[int, Field(strict=True, ge=1, le=3_660)] | None = None
    zones: Annotated[list[IdStr], Field(max_length=100)] | None = None
    allowed_devices: Annotated[list[IdStr], Field(max_length=100)] | None = None
    visible_on: Channels | None = None
    window: ActiveWindowIn | None = None
    active: StrictBool | None = None
    components: Annotated[list[ComponentIn], Field(max_length=50)] | None = None
    sort: Sort | None = None


Capacity = Annotated[int, Field(strict=True, ge=1, le=1_000_000)]


class ZoneIn(Request):
    name: Name
    name_th: Name
    credit_price: Satang | None = None
    capacity: Capacity | None = None
    reentry_needs_exit: StrictBool = False
    pending: PendingPolicy = PendingPolicy.ADMIT
    slip: SlipPolicy = SlipPolicy.NEVER
    offline_credit_limit: Satang = 0
    active: StrictBool = True


class ZonePatch(Request):
    """What is to change; null takes a capacity or a credit price away."""

    name: Name | None = None
    name_th: Name | None = None
    credit_price: Satang | None = None
    capacity: Capacity | None = None
    reentry_needs_exit: StrictBool | None = None
    pending: PendingPolicy | None = None
    slip: SlipPolicy | None = None
    offline_credit_limit: Satang | None = None
    active: StrictBool | None = None


class TaxIn(Request):
    """Zero and exempt have rate 0, the others a rate of their own."""

    name: Name
    rate: BasisPoints
    mode: TaxMode

    @model_validator(mode="after")
    def _rate_of_mode(self) -> Self:
        if self.mode in {TaxMode.ZERO, TaxMode.EXEMPT} and self.rate:
            msg = "a zero-rated or exempt tax has rate 0"
            raise ValueError(msg)
        return self


class TaxPatch(Request):
    """A tax keeps its mode: make another one instead."""

    name: Name | None = None
    rate: BasisPoints | None = None
