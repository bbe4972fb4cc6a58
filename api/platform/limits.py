"""Throughput limits: no device, person or address takes the server for itself (API.md: Limits).

The library `limits` counts, in memory or in Redis. Where Redis is away everybody passes, and a
metric tells (decision 0016). What guards secrets is counted in MongoDB, in `identity.budgets`.
"""

import math
import time
from typing import Any

import limits
import structlog
from limits.aio.storage import MemoryStorage, RedisStorage, Storage
from limits.aio.strategies import (
    FixedWindowRateLimiter,
    RateLimiter,
    SlidingWindowCounterRateLimiter,
)
from limits.errors import ConfigurationError, StorageError
from prometheus_client import Counter

from api.platform.envelope import client
from api.platform.jwt import Claims
from api.platform.scope import Scope
from api.platform.settings import Settings
from playpark.contracts.sync import OpKind
from playpark.contracts.tenancy import DeviceType
from playpark.errors import ErrorCode, PlayParkError

MAX_COUNTERS = 200_000
"""About 40 MB. More addresses than that at once are an attack."""
SWEEP_SECONDS = 60
AWAY_SECONDS = 1.0
"""How long nobody asks a Redis that did not answer."""
REDIS_TIMEOUT = 0.25
GIVING_BACK = {
    *("POST /refunds", "POST /tickets/refund", "POST /sales/{sale_id}/void"),
    *("POST /reprints", "POST /tickets/reprint"),
    *("POST /tickets/exchange", "POST /tickets/cancel"),
}
GIVING_BACK_OPS = {
    *(OpKind.REFUND, OpKind.VOID, OpKind.REPRINT, OpKind.EXCHANGE, OpKind.TICKET_CANCEL),
}
"""The same in a batch."""
PREVIEW = {"POST /pricing/preview"}
log = structlog.get_logger("playpark.limits")


class Counters(MemoryStorage):
    """The library's memory without its sweep, which reads every counter at every hit: expired
    ones go once a minute, and beyond `MAX_COUNTERS` the oldest."""

    def __init__(self) -> None:
        super().__init__()
        self._sweep_at = time.time() + SWEEP_SECONDS

    def __len__(self) -> int:
        return len(self.expirations)

    async def incr(self, key: str, expiry: float, amount: int = 1) -> int:
        """Count `amount` more; no lock, because nothing in here waits."""
        now = time.time()
        if self.expirations.get(key, 0) <= now:
            self._forget(key)
            self.expirations[key] = now + expiry
        self.storage[key] += amount
        if now >= self._sweep_at or len(self) > MAX_COUNTERS:
            self._make_room(now)
        return self.storage[key]

    def _make_room(self, now: float) -> None:
        if now >= self._sweep_at:
            self._sweep_at = now + SWEEP_SECONDS
            for key in [key for key, until in self.expirations.items() if until <= now]:
                self._forget(key)
        while len(self) > MAX_COUNTERS:
            self._forget(next(iter(self.expirations)))

    def _forget(self, key: str) -> None:
        self.expirations.pop(key, None)
        self.storage.pop(key, None)


class Limits:
    """What each may ask. Every method raises E_RATE_LIMITED with the seconds to wait."""

    def __init__(self, settings: Settings) -> None:
        storage = _storage(settings)
        self._window = FixedWindowRateLimiter(storage)
        self._sliding = SlidingWindowCounterRateLimiter(storage)
        self._device = limits.parse(settings.limit_device)
        self._device_burst = limits.parse(settings.limit_device_burst)
        self._employee = limits.parse(settings.limit_employee)
        self._giving_back = limits.parse(settings.limit_giving_back)
        self._preview = limits.parse(settings.limit_preview)
        self._device_login = limits.parse(settings.limit_device_login)
        self._address_login = limits.parse(settings.limit_address_login)
        self._asked_again_at = 0.0
        self.refused = Counter(
            "playpark_rate_limited", "Requests over a limit.", ("limit",), registry=None
        )
        self.uncounted = Counter(
            "playpark_rate_limits_away",
            "Requests that passed because the limits' storage did not answer.",
            registry=None,
        )

    async def device(self, claims: Claims) -> None:
        """One request of a device, whoever acts on it; counted by its token alone."""
        who = ("device", claims.tenant_id, claims.device_id)
        if await self._hit(self._window, self._device, *who):
            return
        if not await self._hit(self._sliding, self._device_burst, "burst", *who):
            raise await self._refusal(self._window, self._device, *who)

    async def employee(self, scope: Scope, route: str) -> None:
        """One request of a person on an ADMIN device; `route` is `METHOD /path` as declared."""
        if (who := _of_office(scope)) is None:
            return
        if route in GIVING_BACK:
            await self._spend(self._giving_back, "giving_back", *who)
        elif route in PREVIEW:
            await self._spend(self._preview, "preview", *who)
        await self._spend(self._employee, "employee", *who)

    async def operation(self, scope: Scope, kind: OpKind) -> None:
        """One operation of a batch by a person on an ADMIN device."""
        if kind in GIVING_BACK_OPS and (who := _of_office(scope)) is not None:
            await self._spend(self._giving_back, "giving_back", *who)

    async def login_from_address(self) -> None:
        """One login, refresh or enrolment from the client's address."""
        await self._spend(self._address_login, "address", client.get().network)

    async def login_of_device(self, tenant_id: str, device_id: str) -> None:
        """One login or refresh with this device's right token."""
        await self._spend(self._device_login, "login", tenant_id, device_id)

    async def _spend(self, item: limits.RateLimitItem, *who: str) -> None:
        if not await self._hit(self._sliding, item, *who):
            raise await self._refusal(self._sliding, item, *who)

    async def _hit(self, strategy: RateLimiter, item: limits.RateLimitItem, *who: str) -> bool:
        now = time.monotonic()
        if now >= self._asked_again_at:
            try:
                return await strategy.hit(item, *who)
            except (StorageError, OSError) as away:
                self._asked_again_at = now + AWAY_SECONDS
                log.warning("limits not counted", error=type(away.__cause__ or away).__name__)
        self.uncounted.inc()
        return True

    async def _refusal(
        self, strategy: RateLimiter, item: limits.RateLimitItem, *who: str
    ) -> PlayParkError:
        self.refused.labels(who[0]).inc()
        try:
            wait = (await strategy.get_window_stats(item, *who)).reset_time - time.time()
        except (StorageError, OSError):
            wait = 0.0
        if strategy is self._sliding:
            wait += 0.001  # at the very moment there is nothing free yet
        seconds = max(1, math.ceil(wait))
        message = f"That was too much at once: try again in {seconds} s."
        return PlayParkError(ErrorCode.RATE_LIMITED, message, retry_after=seconds)


def _of_office(scope: Scope) -> tuple[str, str] | None:
    """(tenant, person) on an ADMIN device; None for everybody else."""
    if scope.device.type is not DeviceType.ADMIN or scope.actor_id is None:
        return None
    return scope.tenant_id, scope.actor_id


def _storage(settings: Settings) -> Storage:
    if settings.redis_uri is None:
        return Counters()
    options: dict[str, Any] = {
        "socket_timeout": REDIS_TIMEOUT,
        "socket_connect_timeout": REDIS_TIMEOUT,
    }
    try:
        return RedisStorage(
            settings.redis_uri.get_secret_value(),
            wrap_exceptions=True,
            implementation="redispy",
            key_prefix="playpark",
            **options,
        )
    except (ConfigurationError, ValueError) as unusable:
        message = "REDIS_URI is not usable: write it like redis://host:6379/0."
        raise PlayParkError(ErrorCode.VALIDATION, message) from unusable
