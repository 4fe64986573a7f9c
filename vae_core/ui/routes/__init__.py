"""The direct routes beside Gradio: pictures and numbers fast enough to follow a finger.

Each GET answers from its address alone, so that it can be cached, shared and called by anyone. A mistake
is answered with status 400 or 404 and `{"error": "what was expected"}`; 401 is for visitors who
have not logged in, 403 for what is not done in a studio for looking only, 408 and 413 for bodies that do not
come or are too large, 409 for a run that is held by its training, 503 for too much at once and for what is
still being computed.
"""

from __future__ import annotations

import gzip
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from fastapi import Depends, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse, Response
from fastapi.staticfiles import StaticFiles

from vae_core.errors import (
    HeldRunError,
    NotYetError,
    ReadOnlyError,
    RequestError,
    RunError,
    VAEStudioError,
    in_short,
)
from vae_core.ui.parts import STATIC
from vae_core.ui.routes import draw, errors, explore, generate, models, parity, runs, training
from vae_core.ui.studio import Studio

PREFIX = "/studio"
STATUS = {RunError: 404, HeldRunError: 409, ReadOnlyError: 403, NotYetError: 503}
"""Of the kinds of mistakes; of all others 400."""
VERSION = "v"
"""A parameter that every route takes: the page names by it the model's version, for the browser's cache."""


def add_routes(app: FastAPI, studio: Studio) -> None:
    """Adds the routes and the way mistakes are answered to the app. Who may ask is the gate's business."""
    for part in (models, explore, draw, training, parity, runs, errors, generate):
        app.include_router(part.router(studio), prefix=PREFIX, dependencies=[Depends(is_understood)])
    app.mount(f"{PREFIX}/static", _Scripts(directory=STATIC))

    @app.get(f"{PREFIX}/plotly.min.js")
    def plotly_script(request: Request) -> Response:
        headers = {"Cache-Control": "max-age=86400", "Vary": "Accept-Encoding"}
        if "gzip" not in request.headers.get("accept-encoding", ""):
            return FileResponse(_plotly(), headers=headers)
        return Response(_packed_plotly(), 200, headers | {"Content-Encoding": "gzip"}, "text/javascript")

    @app.exception_handler(VAEStudioError)
    def explain(request: Request, error: Exception) -> JSONResponse:
        headers = {"Retry-After": "2"} if isinstance(error, NotYetError) else None
        return JSONResponse({"error": str(error)}, STATUS.get(type(error), 400), headers)

    @app.exception_handler(RequestValidationError)
    def explain_parameter(request: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        return JSONResponse({"error": f"{first['loc'][-1]}: {first['msg']}"}, 400)


class _Scripts(StaticFiles):
    """Files of which a browser asks each time whether they are still the same: after an upgrade old and new
    scripts would not fit each other."""

    def file_response(self, *args: Any, **options: Any) -> Response:
        response = super().file_response(*args, **options)
        response.headers["Cache-Control"] = "no-cache"
        return response


def is_understood(request: Request) -> None:
    """For all routes: a parameter that is misspelt would be left out without a word.

    Raises:
        RequestError: the address has a parameter that its route does not know.
    """
    known = [parameter.alias for parameter in request.scope["route"].dependant.query_params]
    if unknown := [name for name in request.query_params if name not in (*known, VERSION)]:
        raise RequestError(
            f"there is no parameter {in_short(unknown[0])}; expected {', '.join(known) or 'none'}"
        )


def _plotly() -> Path:
    return Path(str(files("plotly") / "package_data" / "plotly.min.js"))


@cache
def _packed_plotly() -> bytes:
    """As gzip a third of its five megabytes, which are most of what a page may load."""
    return gzip.compress(_plotly().read_bytes(), compresslevel=3)
