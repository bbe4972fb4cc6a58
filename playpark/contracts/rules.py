"""What changes a price: rules, price lists, discounts, payment types (API.md: catalog; R7–R10)."""

from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated, Self

from pydantic import Field, StrictBool, model_validator

from playpark.clock import UtcDatetime
from playpark.contracts.base import IdStr, Name, Request, View
from playpark.contracts.catalog import (
    ActiveWindow,
    ActiveWindowIn,
    Channels,
    Component,
    ComponentIn,
    SalesChannel,
    Sort,
)
from playpark.contracts.pricing import PaymentMethod, PromoCode
from playpark.money import BasisPoints, Satang

MAX_RULES = 200
"""Active rules in one store: so many, each with its trace entry, stay far below 64 KiB (R11)."""

Share = Annotated[int, Field(strict=True, ge=1, le=10_000)]
"""A part of a price in basis points: 1000 is 10 %, never more than the whole."""
Priority = Annotated[int, Field(strict=True, ge=0, le=1_000)]
"""Lower goes first (R8)."""


class Level(StrEnum):
    """Whose setting: the whole tenant's, or one store's (R9, R46)."""

    TENANT = "tenant"
    STORE = "store"


class RuleKind(StrEnum):
    """In the order of their stages (R8)."""

    TIME_OF_DAY = "time_of_day"
    BUNDLE = "bundle"
    LINE_AMOUNT = "line_amount"
    LINE_PERCENT = "line_percent"
    PROMO_CODE = "promo_code"
    CART_PERCENT = "cart_percent"
    CART_AMOUNT = "cart_amount"


class RuleParams(View):
    """What a rule does; each kind has its own fields.

    time_of_day: `price` (the unit price instead of the list's) or `percent` off it.
    bundle: the `components` together for `price`. line_amount: `amount` off each unit.
    line_percent: `percent`. promo_code: `code` with `percent` or `amount` off the cart.
    cart_percent: `percent`. cart_amount: `amount`. The last three may ask for `min_subtotal`,
    reckoned on the targeted lines as they enter the stage. Money in satang.
    """

    percent: Share | None = None
    amount: Satang | None = None
    price: Satang | None = None
    code: PromoCode | None = None
    components: Sequence[Component] | None = None
    min_subtotal: Satang | None = None


class RuleParamsIn(RuleParams, Request):
    components: Annotated[Sequence[ComponentIn], Field(min_length=1, max_length=20)] | None = None


class Targets(View):
    """Whom and what a rule is for; an empty list means all. A customer's group is such as
    `member`: member prices are rules that target it."""

    package_ids: list[IdStr] = []
    channels: list[SalesChannel] = []
    customer_groups: list[IdStr] = []


class TargetsIn(Targets, Request):
    package_ids: Annotated[list[IdStr], Field(max_length=200)] = []
    channels: Channels = []
    customer_groups: Annotated[list[IdStr], Field(max_length=20)] = []


class RuleView(View):
    rule_id: str
    scope: Level
    name: str
    name_th: str
    kind: RuleKind
    params: RuleParams
    targets: Targets = Targets()
    priority: int = 100
    stackable: bool = True
    """False: no other rule of its stage works on the same line, or cart, with it."""
    exclusive_group: str | None = None
    window: ActiveWindow | None = None
    max_uses: int | None = None
    active: bool = True


_NEEDS: dict[RuleKind, tuple[frozenset[str], frozenset[str]]] = {
    RuleKind.TIME_OF_DAY: (frozenset(), frozenset({"price", "percent"})),
    RuleKind.BUNDLE: (frozenset({"components", "price"}), frozenset()),
    RuleKind.LINE_AMOUNT: (frozenset({"amount"}), frozenset()),
    RuleKind.LINE_PERCENT: (frozenset({"percent"}), frozenset()),
    RuleKind.PROMO_CODE: (frozenset({"code"}), frozenset({"percent", "amount"})),
    RuleKind.CART_PERCENT: (frozenset({"percent"}), frozenset()),
    RuleKind.CART_AMOUNT: (frozenset({"amount"}), frozenset()),
}
"""(all of these, exactly one of those) by kind."""
_WITH_MINIMUM = {RuleKind.PROMO_CODE, RuleKind.CART_PERCENT, RuleKind.CART_AMOUNT}


def params_problem(kind: RuleKind, params: RuleParams) -> str | None:
    """Why these params do not make a rule of this kind; None where they do."""
    given = {name for name in RuleParams.model_fields if getattr(params, name) is not None}
    needed, one_of = _NEEDS[kind]
    optional = {"min_subtotal"} if kind in _WITH_MINIMUM else set()
    if not needed <= given or given - needed - one_of - optional:
        wanted = sorted(needed) + (["one of " + " and ".join(sorted(one_of))] if one_of else [])
        return f"params of a {kind.value} rule are {', '.join(wanted)}"
    if one_of and len(given & one_of) != 1:
        return f"params of a {kind.value} rule need one of {' and '.join(sorted(one_of))}"
    return None


class RuleIn(Request):
    name: Name
    name_th: Name
    scope: Level = Level.STORE
    kind: RuleKind
    params: RuleParamsIn
    targets: TargetsIn = TargetsIn()
    priority: Priority = 100
    stackable: StrictBool = True
    exclusive_group: IdStr | None = None
    window: ActiveWindowIn | None = None
    max_uses: Annotated[int, Field(strict=True, ge=1, le=10**9)] | None = None
    active: StrictBool = True

    @model_validator(mode="after")
    def _params_of_kind(self) -> Self:
        if problem := params_problem(self.kind, self.params):
            raise ValueError(problem)
        return self


class RulePatch(Request):
    """What is to change; a rule keeps its kind and its scope."""

    name: Name | None = None
    name_th: Name | None = None
    params: RuleParamsIn | None = None
    targets: TargetsIn | None = None
    priority: Priority | None = None
    stackable: StrictBool | None = None
    exclusive_group: IdStr | None = None
    window: ActiveWindowIn | None = None
    max_uses: Annotated[int, Field(strict=True, ge=1, le=10**9)] | None = None
    active: StrictBool | None = None


# --- price lists ------------------------------------------------------------------------


class PriceListView(View):
    """Other prices than the packages' own, satang by package. Of the lists that apply, one of
    the store beats the tenant's, one for the channel beats one for all, the later beginning
    beats the earlier, then the lower priority, then the id (R8)."""

    price_list_id: str
    scope: Level
    name: str
    channel: SalesChannel | None = None
    starts_at: UtcDatetime | None = None
    ends_at: UtcDatetime | None = None
    prices: dict[str, Satang]
    priority: int = 100
    active: bool = True


class PriceListIn(Request):
    name: Name
    scope: Level = Level.STORE
    channel: SalesChannel | None = None
    starts_at: UtcDatetime | None = None
    ends_at: UtcDatetime | None = None
    prices: Annotated[dict[IdStr, Satang], Field(min_length=1, max_length=500)]
    priority: Priority = 100
    active: StrictBool = True

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.starts_at and self.ends_at and self.starts_at >= self.ends_at:
            msg = "ends_at must lie after starts_at"
            raise ValueError(msg)
        return self


class PriceListPatch(Request):
    name: Name | None = None
    channel: SalesChannel | None = None
    starts_at: UtcDatetime | None = None
    ends_at: UtcDatetime | None = None
    prices: Annotated[dict[IdStr, Satang], Field(min_length=1, max_length=500)] | None = None
    priority: Priority | None = None
    active: StrictBool | None = None


# --- discounts --------------------------------------------------------------------------


class DiscountLevel(StrEnum):
    LINE = "line"
    CART = "cart"


class DiscountView(View):
    """A discount that the cashier chooses: `percent` or `amount` (a line's is off the line)."""

    discount_id: str
    name: str
    name_th: str
    level: DiscountLevel
    percent: Share | None = None
    amount: Satang | None = None
    package_ids: list[str] = []
    needs_approval: bool = False
    active: bool = True


class DiscountIn(Request):
    name: Name
    name_th: Name
    level: DiscountLevel
    percent: Share | None = None
    amount: Satang | None = None
    package_ids: Annotated[list[IdStr], Field(max_length=200)] = []
    needs_approval: StrictBool = False
    active: StrictBool = True

    @model_validator(mode="after")
    def _one_value(self) -> Self:
        if (self.percent is None) == (self.amount is None):
            msg = "send either percent or amount"
            raise ValueError(msg)
        return self


class DiscountPatch(Request):
    """A discount keeps its level, and stays a percentage or an amount."""

    name: Name | None = None
    name_th: Name | None = None
    percent: Share | None = None
    amount: Satang | None = None
    package_ids: Annotated[list[IdStr], Field(max_length=200)] | None = None
    needs_approval: StrictBool | None = None
    active: StrictBool | None = None


# --- payment types ----------------------------------------------------------------------


class PaymentTypeView(View):
    """A way to pay. A surcharge is `surcharge_percent` of what is paid that way plus
    `surcharge_amount`; it contains VAT at `surcharge_tax` and is its own line (R7).
    `points`: the guest pays with loyalty points."""

    payment_type_id: str
    name: str
    name_th: str
    method: PaymentMethod
    surcharge_percent: BasisPoints = 0
    surcharge_amount: Satang = 0
    surcharge_tax: BasisPoints = 0
    needs_reference: bool = False
    points: bool = False
    active: bool = True
    sort: int = 0


class PaymentTypeIn(Request):
    name: Name
    name_th: Name
    method: PaymentMethod
    surcharge_percent: Annotated[int, Field(strict=True, ge=0, le=10_000)] = 0
    surcharge_amount: Satang = 0
    surcharge_tax: Annotated[int, Field(strict=True, ge=0, le=10_000)] = 0
    needs_reference: StrictBool = False
    points: StrictBool = False
    active: StrictBool = True
    sort: Sort = 0

    @model_validator(mode="after")
    def _sensible(self) -> Self:
        surcharge = self.surcharge_percent or self.surcharge_amount
        if self.method is PaymentMethod.CASH and surcharge:
            msg = "cash has no surcharge"
            raise ValueError(msg)
        if self.points and (self.method is not PaymentMethod.OTHER or surcharge):
            msg = "points are paid by the method `other`, without a surcharge"
            raise ValueError(msg)
        return self


class PaymentTypePatch(Request):
    """A payment type keeps its method."""

    name: Name | None = None
    name_th: Name | None = None
    surcharge_percent: Annotated[int, Field(strict=True, ge=0, le=10_000)] | None = None
    surcharge_amount: Satang | None = None
    surcharge_tax: Annotated[int, Field(strict=True, ge=0, le=10_000)] | None = None
    needs_reference: StrictBool | None = None
    active: StrictBool | None = None
    sort: Sort | None = None
