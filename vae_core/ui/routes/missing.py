"""What is answered where there is nothing: a page with the way back for a browser, one line for a program."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from html import escape
from string import Template

from fastapi.exception_handlers import http_exception_handler
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from vae_core.ui.parts import markup


def nothing_here(root_path: str | None) -> Callable[[Request, Exception], Awaitable[Response]]:
    """A handler of errors 404.

    Args:
        root_path: where a proxy serves the app; None at a site's root.
    """
    page = Template(markup("missing")).substitute(home=escape(f"{root_path or ''}/"))

    async def answer(request: Request, error: Exception) -> Response:
        if "text/html" in request.headers.get("accept", ""):
            return HTMLResponse(page, 404)
        assert isinstance(error, HTTPException)  # no other has this status
        return await http_exception_handler(request, error)

    return answer
