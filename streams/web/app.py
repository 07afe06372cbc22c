"""The web application: routes, errors, headers, the page's files."""

from __future__ import annotations

import gzip
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.openapi.utils import get_openapi
from fastapi.responses import FileResponse, HTMLResponse
from fastapi.staticfiles import StaticFiles
from starlette.middleware.trustedhost import TrustedHostMiddleware

from streams import __version__
from streams.web import changes, demo_review, product, products
from streams.web.access import Parts, Who, parts_of
from streams.web.headers import SecurityHeaders
from streams.web.models import ChangeEvent, Problem, Session, ViewerInfo
from streams.web.problems import add_handlers, documented

API = "/api/v1"
STATIC = Path(__file__).parent / "static"

# Whoever looks at a demo has no token: a page of another origin must not reach it under a name of its own.
_LOOPBACK_NAMES = ["localhost", "127.0.0.1", "[::1]"]

_ABOUT = """\
What a seller sees of flagged products: which are at risk or impacted and why, what it takes to recover, and how
visibility comes back. Every answer is bounded to the seller that the bearer token names; an operator sees all.
Errors are RFC 9457 problems. The files of the page itself need no token, for they hold no data.
"""

session_router = APIRouter(tags=["session"])


@session_router.get("/session", responses=documented(401, 403, 429))
def get_session(request: Request, viewer: Who) -> Session:
    """Who is looking, and at what."""
    parts = parts_of(request)
    return Session(
        viewer=ViewerInfo(seller_id=viewer.seller_id, operator=viewer.operator),
        demo=parts.authenticator is None,
        languages=languages(),
        sign_in_url=parts.settings.sign_in_url,
    )


def make_web_app(parts: Parts | None) -> FastAPI:
    """The application; without parts, only to be described."""
    app = FastAPI(
        title="Flagged Products",
        version=__version__,
        description=_ABOUT,
        openapi_url=f"{API}/openapi.json",
        docs_url=None,  # its files come from a CDN
        redoc_url=None,
        generate_unique_id_function=lambda route: route.name,
    )
    app.state.parts = parts
    for router in (session_router, products.router, product.router, changes.router):
        app.include_router(router, prefix=API)
    app.openapi = lambda: _openapi(app)  # type: ignore[method-assign]
    add_handlers(app)
    app.add_api_route("/", _index, include_in_schema=False)
    app.add_api_route("/static/vendor/plotly.min.js", _plotly, include_in_schema=False)
    app.mount("/static", StaticFiles(directory=STATIC), name="static")
    if parts is not None:
        if parts.authenticator is None:
            app.include_router(demo_review.router)
            app.add_middleware(TrustedHostMiddleware, allowed_hosts=_LOOPBACK_NAMES)
        # The last one added sees every answer of those before.
        app.add_middleware(SecurityHeaders, frame_ancestors=parts.settings.frame_ancestors, api=API)
    return app


@cache
def languages() -> list[str]:
    """The languages that the page has texts in."""
    return sorted(path.stem for path in (STATIC / "texts").glob("*.json"))


@cache
def _openapi(app: FastAPI) -> dict[str, Any]:
    document = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
    schemas = document["components"]["schemas"]
    for model in (Problem, ChangeEvent):
        schemas[model.__name__] = model.model_json_schema(ref_template="#/components/schemas/{model}")
    for name in ("HTTPValidationError", "ValidationError"):  # ours are problems
        schemas.pop(name, None)
    return document


def _index() -> HTMLResponse:
    return HTMLResponse((STATIC / "index.html").read_bytes())


def _plotly(request: Request) -> Response:
    headers = {"Cache-Control": "public, max-age=86400", "Vary": "Accept-Encoding"}
    if "gzip" in request.headers.get("Accept-Encoding", ""):
        headers["Content-Encoding"] = "gzip"
        return Response(_zipped_plotly(), media_type="text/javascript", headers=headers)
    return FileResponse(_plotly_path(), media_type="text/javascript", headers=headers)


def _plotly_path() -> Path:
    return Path(str(files("plotly") / "package_data" / "plotly.min.js"))


@cache
def _zipped_plotly() -> bytes:
    return gzip.compress(_plotly_path().read_bytes(), compresslevel=6, mtime=0)
