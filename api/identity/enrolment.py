"""Pairing from outside: site keys cannot be guessed (API.md: Limits; R41, R43)."""

from datetime import timedelta

import limits

from api.identity import budgets, devices
from api.identity.budgets import NOBODY
from api.platform.services import Platform
from playpark.contracts.auth import DeviceRegistered, DeviceRegisterIn
from playpark.errors import ErrorCode, PlayParkError


async def enrol(platform: Platform, body: DeviceRegisterIn) -> DeviceRegistered:
    """Pair a device with a site key; the try is counted before the key is looked at, and taken
    back unless the key was wrong.

    Raises E_RATE_LIMITED after too many wrong keys from the address, and what `register` raises.
    """
    work = platform.uow.reading()
    rate = limits.parse(platform.settings.limit_enrolment)
    window = timedelta(seconds=rate.get_expiry())
    address = (NOBODY, NOBODY, budgets.address_key("enrolment"))
    if not await budgets.reserve(work, *address, limit=rate.amount, window=window):
        message = "Too many wrong site keys came from here: wait, then ask for a new one."
        wait = await budgets.opens_in(work, *address)
        raise PlayParkError(ErrorCode.RATE_LIMITED, message, retry_after=wait)
    try:
        registered = await devices.register(platform, body)
    except PlayParkError as refused:
        if refused.code is not ErrorCode.UNAUTHENTICATED:
            await budgets.give_back(work, *address)
        raise
    await budgets.give_back(work, *address)
    return registered
