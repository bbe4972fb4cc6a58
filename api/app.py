"""The whole composition of the API on one page."""

from fastapi import APIRouter, FastAPI
from starlette.middleware.cors import CORSMiddleware
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from api.approvals import routes as approvals
from api.approvals.models import Approval, ReasonCode
from api.audit import models as audit_models
from api.audit import refusals
from api.audit import routes as audit
from api.catalog import routes as catalog
from api.catalog import service as catalog_service
from api.catalog.models import (
    Discount,
    Package,
    PaymentType,
    PriceList,
    PricingRule,
    ReceiptTemplate,
    RuleUses,
    StoredSnapshot,
    Tax,
    Zone,
)
from api.certificates import models as certificates_models
from api.certificates import routes as certificates
from api.customers import routes as customers
from api.customers.models import Customer, PointsEntry
from api.demo_park import load_demo_park
from api.events.models import Event
from api.gate import routes as gate
from api.identity import people_routes as people
from api.identity import routes as identity
from api.identity.models import (
    Authenticator,
    AuthorityRow,
    AuthorityTurn,
    Budget,
    Device,
    Employee,
    Membership,
    PinAttempts,
    Role,
    SiteKey,
    Store,
    Tenant,
)
from api.open_tickets import routes as open_tickets
from api.open_tickets.models import OpenTicket
from api.platform.authority import DeviceAuthority
from api.platform.background import JobLease
from api.platform.docs import install_docs
from api.platform.documents import Model
from api.platform.health import Measure, Metrics, health_routes, time_route
from api.platform.http import install_error_handlers, public_router
from api.platform.middleware import CROSS_ORIGIN, BodyLimit, RequestContext
from api.platform.mongo import Mongo
from api.platform.openapi import describe
from api.platform.operations import OpRecord
from api.platform.services import Platform
from api.platform.settings import Settings
from api.provider import models as provider_models
from api.provider import routes as provider
from api.receipts.models import Counter, LedgerEntry
from api.refunds import routes as refunds
from api.refunds.models import Refund, Reprint, VoidedSale
from api.reports import routes as reports
from api.reports.models import StoredReconciliation
from api.sales import routes as sales
from api.sales.models import Payment, Sale, TrainingSale
from api.secrets import models as secrets_models
from api.secrets import routes as secrets
from api.settings import routes as settings
from api.settings.models import Overrides
from api.shifts import routes as shifts
from api.shifts.models import CashMovement, Shift, ZCounter, ZLink
from api.sync import models as sync_models
from api.sync import routes as sync
from api.tenancy import routes as tenancy
from api.tickets import routes as tickets
from api.tickets.models import Annulment, Cancellation, Occupancy, Redemption, Ticket
from api.timecards import routes as timecards
from api.timecards.models import Timecard
from playpark import __version__
from playpark.clock import Clock, SystemClock

DOCUMENTS: tuple[type[Model], ...] = (
    *(Tenant, Store, SiteKey, Device, DeviceAuthority, Employee, Role, Membership),
    *(PinAttempts, Budget, Authenticator, AuthorityRow, AuthorityTurn),
    *(Approval, ReasonCode, Customer, PointsEntry, Timecard),
    *(Zone, Tax, Package, PriceList, PricingRule, RuleUses, Discount, PaymentType),
    *(ReceiptTemplate, StoredSnapshot, Overrides),
    *(CashMovement, ZLink),
    *(Shift, ZCounter, Sale, Payment, LedgerEntry, Counter, Ticket, Redemption),
    *(OpenTicket, TrainingSale),
    *(Refund, VoidedSale, Reprint),
    *(Annulment, Cancellation, Occupancy),
    *(OpRecord, Event),
    *audit_models.DOCUMENTS,
    *(StoredReconciliation, JobLease),
    *secrets_models.DOCUMENTS,
    *certificates_models.DOCUMENTS,
    *sync_models.DOCUMENTS,
    *provider_models.DOCUMENTS,
)
ROUTERS = (
    # Routes are tried one after the other: those that a queue waits for come first.
    tickets.private,
    sync.private,
    identity.public,
    identity.either,
    identity.private,
    people.private,
    tenancy.private,
    certificates.private,
    catalog.private,
    shifts.private,
    sales.private,
    settings.private,
    secrets.private,
    approvals.private,
    customers.private,
    timecards.private,
    open_tickets.private,
    refunds.private,
    reports.private,
    audit.private,
    gate.private,
    provider.public,
    provider.private,
    provider.provider,
)


async def prepare(
    settings: Settings, mongo: Mongo, *, demo: bool = False, clock: Clock | None = None
) -> Platform:
    """Make the database ready: indexes and, with `demo`, the demo park where it is missing.

    Raises PlayParkError E_UNAVAILABLE where there is no usable replica set.
    """
    await mongo.ping()
    await mongo.create_indexes(DOCUMENTS)
    await provider_models.create_view(mongo)
    platform = Platform.build(
        settings,
        mongo,
        clock or SystemClock(),
        publish=catalog_service.publish,
        note_refusal=refusals.note,
    )
    if demo:
        await load_demo_park(platform)
    return platform


def create_app(platform: Platform) -> FastAPI:
    """The API on a prepared platform."""
    settings = platform.settings

    app = FastAPI(
        title="PlayPark API",
        version=__version__,
        docs_url=None,
        redirect_slashes=False,
        redoc_url=None,
        openapi_url=None,
    )
    app.state.platform = platform
    app.state.routers = ROUTERS
    versioned = APIRouter()
    for part in (time_route(public_router("health")), *ROUTERS):
        versioned.include_router(part)
    app.state.metrics = metrics = Metrics(platform.limits)
    app.include_router(health_routes(metrics))
    app.include_router(versioned, prefix="/v1")
    app.include_router(versioned, prefix="/api/v1", include_in_schema=False)
    install_error_handlers(app)
    if settings.docs_enabled:
        describe(app, ROUTERS)
        install_docs(app)
    # The last one added is the outermost.
    app.add_middleware(BodyLimit)
    if settings.origins:
        app.add_middleware(CORSMiddleware, allow_origins=settings.origins, **CROSS_ORIGIN)
    app.add_middleware(Measure, metrics=metrics)
    app.add_middleware(RequestContext)
    if settings.proxies:
        app.add_middleware(ProxyHeadersMiddleware, trusted_hosts=settings.proxies)
    return app
