"""HTTP of refunds."""

from api.platform.http import private_router

private = private_router("refunds")
