"""How a device gets its identity and keeps it fresh (API.md: device auth; R12, R43).

Registration, login, identity and catalogue are steps, each kept as it comes: after a cut it goes on
where it stopped.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from playpark.client import ApiClient, NoAnswerError
from playpark.contracts.auth import DeviceRegisterIn, DeviceSession
from playpark.contracts.tenancy import DeviceType
from playpark.device.records import Identity
from playpark.device.store import DeviceStore
from playpark.errors import ErrorCode, PlayParkError

SELLING = {DeviceType.POS, DeviceType.KIOSK}
AGAIN_AFTER_LOGIN = {ErrorCode.UNAUTHENTICATED, ErrorCode.TOKEN_EXPIRED}
T = TypeVar("T")


async def pair(
    store: DeviceStore,
    client: ApiClient,
    site_key: str,
    device_type: DeviceType,
    name: str,
    *,
    public_key: str | None = None,
) -> DeviceSession:
    """Register with the store's site key, keep the identity, log in. `public_key` is what a till
    signs tickets with while it is offline (R22).

    Raises PlayParkError: wrong site key, server not reachable, E_CONFLICT where the device is
    paired already; E_DEVICE_PENDING where a supervisor has to approve it first (the identity is
    kept: `login` goes on from there).
    """
    if store.identity is not None:
        message = "This device is paired already: log it in, or choose another --data folder."
        raise PlayParkError(ErrorCode.CONFLICT, message)
    body = _registration(site_key, device_type, name, public_key)
    registered = await client.register_device(body)
    identity = Identity(
        api_url=client.base_url,
        device_id=registered.device_id,
        device_token=registered.device_token,
        device_code=registered.device_code,
    )
    # Before anything else: the server shows this token only once.
    await asyncio.to_thread(store.save_identity, identity)
    return await login(store, client)


async def logged_in(ask: Callable[[], Awaitable[T]], relogin: Callable[[], Awaitable[object]]) -> T:
    """What `ask` gets; where the device's token has run out, it logs in and asks once more (R37).
    Raises what both raise."""
    try:
        return await ask()
    except PlayParkError as refused:
        if refused.code not in AGAIN_AFTER_LOGIN:
            raise
    await relogin()
    return await ask()


async def login(store: DeviceStore, client: ApiClient) -> DeviceSession:
    """Log the device in; refresh its identity and, where it sells, its catalogue. A revoked one
    may hand its queue over for a review, and has no use for prices (R38).

    Raises PlayParkError: not paired, pending, suspended, revoked, server not reachable.
    """
    identity = store.identity
    if identity is None:
        message = "This device is not paired: pair it with the store's site key first."
        raise PlayParkError(ErrorCode.CONFLICT, message)
    session = await client.login_device(identity.device_id, identity.device_token)
    fresh = identity.model_copy(
        update={
            "api_url": client.base_url,
            "device_code": session.device.device_code,
            "device": session.device,
            "store": session.store,
            "short_code_key": session.short_code_key,
        }
    )
    await asyncio.to_thread(store.save_identity, fresh)
    await complete(store, client, renew=True)
    return session


async def complete(store: DeviceStore, client: ApiClient, *, renew: bool = False) -> None:
    """Load what a device that sells needs and has not: a login may have been cut before its
    catalogue came. `renew`: a newer one, too; where the line breaks, the one at hand stays good.

    Raises PlayParkError where it has none and gets none.
    """
    device = store.identity.device if store.identity else None
    if device is None or device.type not in SELLING or client.review:
        return
    known = await asyncio.to_thread(store.catalog)
    if known is not None and not renew:
        return
    try:
        fresh = await client.catalog(known)
    except NoAnswerError:
        if known is None:
            raise
        return
    if fresh is not known:
        await asyncio.to_thread(store.save_catalog, fresh)


def _registration(
    site_key: str, device_type: DeviceType, name: str, public_key: str | None
) -> DeviceRegisterIn:
    told = {"public_key": public_key} if public_key else {}
    try:
        return DeviceRegisterIn(site_key=site_key.strip(), type=device_type, name=name, **told)
    except ValueError as wrong:
        message = (
            "Type the site key as the supervisor gave it (letters, digits, hyphens) "
            "and a name of 1 to 120 letters."
        )
        raise PlayParkError(ErrorCode.VALIDATION, message) from wrong
