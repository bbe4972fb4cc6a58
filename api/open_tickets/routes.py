"""HTTP of parked carts."""

from api.platform.http import private_router

private = private_router("parked carts")
