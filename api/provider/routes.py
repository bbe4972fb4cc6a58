"""HTTP of the operator of many tenants."""

from api.platform.http import private_router, provider_router, public_router

public = public_router("provider")
private = private_router("provider")
provider = provider_router("provider")
