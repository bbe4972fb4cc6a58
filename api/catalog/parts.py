"""The lists that make up a catalogue: how each is read, shown and checked (API.md: catalog).

A document holds the fields of its contract under the same names, so that one way of creating and
changing serves all of them (`editing.py`).
"""

from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from pydantic import BaseModel

from api.catalog.models import (
    Discount,
    Package,
    PaymentType,
    PriceList,
    PricingRule,
    ReceiptTemplate,
    Tax,
    Zone,
)
from api.catalog.repository import (
    DiscountRepository,
    PackageRepository,
    PaymentTypeRepository,
    PriceListRepository,
    PriceListsInForce,
    ReceiptTemplateRepository,
    RuleRepository,
    RulesInForce,
    TaxRepository,
    TenantPackages,
    ZoneRepository,
)
from api.identity.repository import DeviceRepository
from api.identity.stores import CatalogTurn
from api.platform.repository import Repository
from api.platform.uow import Work
from playpark.contracts.catalog import (
    PackageIn,
    PackageKind,
    PackageView,
    TaxIn,
    TaxView,
    ZoneIn,
    ZoneView,
)
from playpark.contracts.receipts import ReceiptTemplateIn, ReceiptTemplateView
from playpark.contracts.rules import (
    DiscountIn,
    DiscountView,
    Level,
    PaymentTypeIn,
    PaymentTypeView,
    PriceListIn,
    PriceListView,
    RuleIn,
    RuleView,
)
from playpark.errors import ErrorCode, PlayParkError
from playpark.pricing import find_conflict

V = TypeVar("V", bound=BaseModel)
NO_LIMIT = 10_000


@dataclass(frozen=True, slots=True)
class Edit:
    """A change under way: where it belongs (`store_id` None for all of the tenant's), and the
    stores whose turn it has."""

    work: Work
    tenant_id: str
    store_id: str | None
    turns: Sequence[CatalogTurn]


Check = Callable[[Edit, str, Any, Any], Awaitable[Any]]
"""(edit, id, the whole as it is to be, as it was or None): what is to be stored.
Raises E_VALIDATION and E_RULE_CONFLICT."""


@dataclass(frozen=True, slots=True)
class Part(Generic[V]):
    """One list. `whole` is the contract of a complete entry, `view` how it is shown."""

    name: str
    model: type[Any]
    repository: type[Repository[Any]]
    in_force: type[Repository[Any]]
    """What a store sees: for lists with a level, its tenant's entries too."""
    whole: type[BaseModel]
    view: type[V]
    check: Check

    @property
    def has_level(self) -> bool:
        return "scope" in self.whole.model_fields

    def show(self, document: Any) -> V:
        """An entry as the API shows it."""
        shown = {f"{self.name}_id": document.id, **self.values(document)}
        return self.view.model_validate(shown)

    def values(self, document: Any) -> dict[str, Any]:
        """The fields of the contract."""
        names = set(self.whole.model_fields) - {"scope"}
        values = {name: getattr(document, name) for name in names}
        if self.has_level:
            values["scope"] = Level.TENANT if document.store_id is None else Level.STORE
        return values

    def document(
        self, document_id: str, tenant_id: str, store_id: str | None, entry: BaseModel
    ) -> Any:
        """An entry as it is stored."""
        values = entry.model_dump(mode="json", exclude={"scope"})
        return self.model(id=document_id, tenant_id=tenant_id, store_id=store_id, **values)


def _wrong(field: str, message: str) -> PlayParkError:
    return PlayParkError(ErrorCode.VALIDATION, message, details={"field": field})


async def _need(
    repository: Repository[Any], ids: Collection[str], field: str, message: str
) -> list[Any]:
    """The documents of these ids. Raises E_VALIDATION with `message` where one is missing."""
    if not ids:
        return []
    found = await repository.find(limit=NO_LIMIT, _id={"$in": sorted(set(ids))})
    if len(found) < len(set(ids)):
        raise _wrong(field, message)
    return found


async def _need_packages(edit: Edit, ids: Collection[str], field: str) -> None:
    """A store's entries name its own packages, a tenant's those of any of its stores."""
    message = f"`{field}` names a package that is not there: take ids from the packages."
    if edit.store_id is None:
        await _need(TenantPackages(edit.work, edit.tenant_id, None), ids, field, message)
    else:
        own = PackageRepository(edit.work, edit.tenant_id, edit.store_id)
        await _need(own, ids, field, message)


async def _check_package(edit: Edit, _id: str, entry: PackageIn, _was: PackageIn | None) -> Any:
    place = (edit.work, edit.tenant_id, edit.store_id)
    taxes = TaxRepository(*place)
    if entry.tax_id is None:
        first = await taxes.find(limit=1)
        if not first:
            raise _wrong("tax_id", "This store has no tax yet: make one first.")
        entry = entry.model_copy(update={"tax_id": first[0].id})
    else:
        message = "There is no such tax in this store: see GET /catalog/taxes."
        await _need(taxes, [entry.tax_id], "tax_id", message)
    message = "One of the zones is not in this store: see GET /catalog/zones."
    await _need(ZoneRepository(*place), entry.zones, "zones", message)
    message = "One of the devices is not in this store: see GET /devices."
    devices = DeviceRepository(*place)
    await _need(devices, entry.allowed_devices, "allowed_devices", message)
    parts = [part.package_id for part in entry.components]
    message = "One of the components is not a package of this store."
    components = await _need(PackageRepository(*place), parts, "components", message)
    _check_kind(entry, [component.kind for component in components])
    return entry


def _check_kind(entry: PackageIn, components: list[PackageKind]) -> None:
    if entry.kind is PackageKind.BUNDLE:
        if not components:
            raise _wrong("components", "A bundle needs components: the tickets it is made of.")
        if PackageKind.BUNDLE in components:
            message = "A bundle cannot contain a bundle: name the tickets themselves."
            raise _wrong("components", message)
    elif components:
        raise _wrong("components", "Only a bundle has components: leave them out.")
    elif entry.quota_or_minutes < 1:
        raise _wrong("quota_or_minutes", "A ticket has to be good for something: at least 1.")
    elif entry.kind is PackageKind.SINGLE and entry.quota_or_minutes != 1:
        message = "A single ticket is good for one entry: use the kind `multi` for more."
        raise _wrong("quota_or_minutes", message)


async def _check_nothing(_edit: Edit, _id: str, entry: Any, _was: Any) -> Any:
    return entry


async def _check_price_list(
    edit: Edit, _id: str, entry: PriceListIn, _was: PriceListIn | None
) -> Any:
    await _need_packages(edit, entry.prices.keys(), "prices")
    return entry


async def _check_discount(edit: Edit, _id: str, entry: DiscountIn, was: DiscountIn | None) -> Any:
    if was is not None and (was.percent is None) != (entry.percent is None):
        message = "A discount stays a percentage or an amount: make another one instead."
        raise _wrong("percent", message)
    await _need_packages(edit, entry.package_ids, "package_ids")
    return entry


async def _check_rule(edit: Edit, rule_id: str, entry: RuleIn, _was: RuleIn | None) -> Any:
    await _need_packages(edit, entry.targets.package_ids, "targets.package_ids")
    parts = [part.package_id for part in entry.params.components or ()]
    await _need_packages(edit, parts, "params.components")
    if entry.active:
        rule = RuleView.model_validate({"rule_id": rule_id, **entry.model_dump()})
        for turn in edit.turns:
            await _check_conflicts(edit, turn, rule)
    return entry


async def _check_conflicts(edit: Edit, turn: CatalogTurn, rule: RuleView) -> None:
    """No other active rule of the store may leave open which of the two goes first (R10)."""
    place = (edit.work, edit.tenant_id, turn.store_id)
    rules = await RulesInForce(*place).find(limit=NO_LIMIT, active=True, _id={"$ne": rule.rule_id})
    others = [RULES.show(each) for each in rules]
    packages = await PackageRepository(*place).find(limit=NO_LIMIT)
    on_sale = [PACKAGES.show(each) for each in packages if each.active]
    conflict = find_conflict(rule, others, on_sale, turn.tz)
    if conflict is None and len(on_sale) < len(packages):
        # A package may come back on sale without any rule being saved.
        known = [PACKAGES.show(each).model_copy(update={"active": True}) for each in packages]
        conflict = find_conflict(rule, others, known, turn.tz)
    if conflict is None:
        return
    message = (
        "Another rule works on the same cart with the same priority, and neither may be combined: "
        "change the priority, the window or the targets, or let them stack."
    )
    details = {
        "rule_id": conflict.other_id,
        "cart": conflict.cart.model_dump(mode="json", exclude_none=True),
        "at": conflict.at.isoformat(),
        "channel": conflict.channel.value,
        "customer_group": conflict.customer_group,
        "why": conflict.why,
    }
    raise PlayParkError(ErrorCode.RULE_CONFLICT, message, details=details)


PACKAGES = Part(
    "package",
    Package,
    PackageRepository,
    PackageRepository,
    PackageIn,
    PackageView,
    _check_package,
)
ZONES = Part("zone", Zone, ZoneRepository, ZoneRepository, ZoneIn, ZoneView, _check_nothing)
TAXES = Part("tax", Tax, TaxRepository, TaxRepository, TaxIn, TaxView, _check_nothing)
PRICE_LISTS = Part(
    "price_list",
    PriceList,
    PriceListRepository,
    PriceListsInForce,
    PriceListIn,
    PriceListView,
    _check_price_list,
)
RULES = Part(
    "rule", PricingRule, RuleRepository, RulesInForce, RuleIn, RuleView, _check_rule
)  # fmt: skip
DISCOUNTS = Part(
    "discount",
    Discount,
    DiscountRepository,
    DiscountRepository,
    DiscountIn,
    DiscountView,
    _check_discount,
)
PAYMENT_TYPES = Part(
    "payment_type",
    PaymentType,
    PaymentTypeRepository,
    PaymentTypeRepository,
    PaymentTypeIn,
    PaymentTypeView,
    _check_nothing,
)
RECEIPT_TEMPLATES = Part(
    "receipt_template",
    ReceiptTemplate,
    ReceiptTemplateRepository,
    ReceiptTemplateRepository,
    ReceiptTemplateIn,
    ReceiptTemplateView,
    _check_nothing,
)
