"""HTTP of the audit trail."""

from api.platform.http import private_router

private = private_router("audit")
