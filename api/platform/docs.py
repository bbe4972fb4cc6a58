"""The API pages with their assets from the package: no request leaves for another host."""

import base64
import hashlib
import re
from pathlib import Path

import fastapi_offline
from fastapi import FastAPI
from fastapi.openapi.docs import get_redoc_html, get_swagger_ui_html
from fastapi.staticfiles import StaticFiles
from starlette.responses import HTMLResponse

ASSETS = Path(fastapi_offline.__file__).parent / "static"
MOUNT = "/docs-assets"
_INLINE = re.compile(r"<script>(.*?)</script>", re.DOTALL)


def install_docs(app: FastAPI) -> None:
    """Serve /docs and /redoc over the app's /openapi.json."""
    app.mount(MOUNT, StaticFiles(directory=ASSETS), name="docs-assets")
    explorer = get_swagger_ui_html(
        openapi_url="/openapi.json",
        title=f"{app.title} · routes",
        swagger_js_url=f"{MOUNT}/swagger-ui-bundle.js",
        swagger_css_url=f"{MOUNT}/swagger-ui.css",
        swagger_favicon_url=f"{MOUNT}/favicon.png",
    )
    reference = get_redoc_html(
        openapi_url="/openapi.json",
        title=f"{app.title} · reference",
        redoc_js_url=f"{MOUNT}/redoc.standalone.js",
        redoc_favicon_url=f"{MOUNT}/favicon.png",
        with_google_fonts=False,
    )
    for page in (explorer, reference):
        page.headers["Content-Security-Policy"] = _policy(bytes(page.body).decode())

    @app.get("/docs", include_in_schema=False)
    async def swagger() -> HTMLResponse:
        return explorer

    @app.get("/redoc", include_in_schema=False)
    async def redoc() -> HTMLResponse:
        return reference


def _policy(page: str) -> str:
    """Only our own files, and the page's own script as it stands there."""
    digests = (hashlib.sha256(text.encode()).digest() for text in _INLINE.findall(page))
    scripts = " ".join(f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests)
    return (
        f"default-src 'self'; script-src 'self' {scripts}; style-src 'self' 'unsafe-inline'; "
        "img-src 'self' data:; worker-src 'self' blob:; object-src 'none'; base-uri 'none'; "
        "frame-ancestors 'none'"
    )
