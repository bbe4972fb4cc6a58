"""HTTP of timecards."""

from api.platform.http import private_router

private = private_router("timecards")
