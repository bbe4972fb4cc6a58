"""The API pages with their assets from the package: no request leaves for another host."""

from pathlib import Path

import fastapi_offline
from fastapi import FastAPI
from fastapi.openapi.docs import get_redoc_html, get_swagger_ui_html
from fastapi.staticfiles import StaticFiles
from starlette.responses import HTMLResponse

ASSETS = Path(fastapi_offline.__file__).parent / "static"
MOUNT = "/docs-assets"


def install_docs(app: FastAPI) -> None:
    """Serve /docs and /redoc over the app's /openapi.json."""
    app.mount(MOUNT, StaticFiles(directory=ASSETS), name="docs-assets")

    @app.get("/docs", include_in_schema=False)
    async def swagger() -> HTMLResponse:
        return get_swagger_ui_html(
            openapi_url="/openapi.json",
            title=f"{app.title} · routes",
            swagger_js_url=f"{MOUNT}/swagger-ui-bundle.js",
            swagger_css_url=f"{MOUNT}/swagger-ui.css",
            swagger_favicon_url=f"{MOUNT}/favicon.png",
        )

    @app.get("/redoc", include_in_schema=False)
    async def redoc() -> HTMLResponse:
        return get_redoc_html(
            openapi_url="/openapi.json",
            title=f"{app.title} · reference",
            redoc_js_url=f"{MOUNT}/redoc.standalone.js",
            redoc_favicon_url=f"{MOUNT}/favicon.png",
            with_google_fonts=False,
        )
