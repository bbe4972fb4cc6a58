"""HTTP of stores, site keys and devices."""

from api.platform.http import private_router

private = private_router("tenancy")
