"""What is answered where there is nothing: a page with the way back for a browser, one line for a program."""

from __future__ import annotations

from collections.abc import Callable
from html import escape
from string import Template

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response

from vae_core.ui.parts import markup


def nothing_here(root_path: str | None) -> Callable[[Request, Exception], Response]:
    """A handler of errors 404.

    Args:
        root_path: where a proxy serves the app; None at a site's root.
    """
    page = Template(markup("missing")).substitute(home=escape(f"{root_path or ''}/"))

    def answer(request: Request, error: Exception) -> Response:
        if "text/html" in request.headers.get("accept", ""):
            return HTMLResponse(page, 404)
        return JSONResponse({"detail": error.detail if isinstance(error, HTTPException) else str(error)}, 404)

    return answer
