"""HTTP of reports."""

from api.platform.http import private_router

private = private_router("reports")
