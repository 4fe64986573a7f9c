"""Stands before the whole app, Gradio's routes and ours: who may come in, how much at once, what goes out.

Of our routes it knows what they cost, by COMPUTING, COSTLY, PICTURE and ARCHIVE, where a new one may have to
be named. Each route that changes something asks for itself whether this studio is for looking only; here only
an upload is refused before its body is read.
"""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.requests import HTTPConnection, Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from vae_core.archives import MOST_ZIP_BYTES
from vae_core.errors import ReadOnlyError, RequestError, in_short
from vae_core.ui.gate.bodies import Bodies, BodyError
from vae_core.ui.gate.calls import DIRECT, check_call
from vae_core.ui.gate.outgoing import Answer, busy, refused
from vae_core.ui.gate.uploads import MOST_UPLOAD_BYTES, check_upload

CLOSED = re.compile(
    r"/gradio_api/(proxy=|call/v2|file[=/]\s*https?:|component_server|custom_component|process_recording|stream/|token"
    r"|vibe|undo-vibe|dev/|deep_link|run-history|runs|profiling)|/monitoring",
    re.IGNORECASE,
)
"""Routes of Gradio's that the app has no use for. Two of them make the server fetch from other hosts."""
OPEN_TO_ALL = re.compile(
    r"/gradio_api/(login_check|user|app_id|startup-events|theme\.css)/?|/studio/(static/.*|plotly\.min\.js)"
)
"""Of Gradio's routes under its prefix those the log-in page needs, of ours the scripts."""
UPLOAD = re.compile(r"/gradio_api/upload/?")
COMPUTING = re.compile(
    r"/studio/(runs/|ink\.png|parity|archive)|/gradio_api/(run/|api/|queue/join|call/[^/]*/?$)"
)
"""What Gradio queues is picked up elsewhere: whoever was let into the queue gets an answer."""
COSTLY = re.compile(
    r"/studio/(archive|parity|runs/[^/]*/(walk|morph|manifold|traversal|generated/|archive|errors|map|curve))"
)
MOST_COMPUTING = 80
"""Requests that compute, at once: more than this machine's visitors can wait for."""
MOST_COSTLY = 12
"""Of those, the ones that take more than a few hundredths of a second: they leave room for the sliders."""
MOST_WAITING = 200
"""Costly ones that wait for their turn, as when a class opens the page at once; none with a body to hold."""
COSTLY_BODY_BYTES = 2**20
"""A larger body is costly wherever it goes."""
PICTURE = re.compile(r"/gradio_api/upload/?|/studio/(ink\.png|runs/[^/]*/sketch)")
ARCHIVE = re.compile(r"/studio/archive")
MOST_BODY_BYTES = 4 * 2**20
MOST_FORM_BYTES = 2**16
"""What a form adds to the picture in it."""
LOOPBACK = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True)
class Access:
    """Who may do what.

    Attributes:
        host: the address the app listens on.
        read_only: nothing can be changed by anyone.
        auth_file: the file of those who may log in; None lets everyone in.
        allow_embedding: other sites may show the app in a frame.
    """

    host: str = "127.0.0.1"
    read_only: bool = False
    auth_file: Path | None = None
    allow_embedding: bool = False

    @property
    def is_local(self) -> bool:
        """Only this machine reaches the app."""
        return self.host in LOOPBACK

    @property
    def warning(self) -> str | None:
        """What is to be said at the start, if anything is."""
        if self.auth_file is not None and os.environ.get("GRADIO_MCP_SERVER", "").lower() == "true":
            return "WARNING: assistants get in by MCP only without --auth-file: they cannot log in."
        if self.is_local or self.read_only or self.auth_file is not None:
            return None
        return (
            f"WARNING: whoever reaches {self.host} can start, stop and delete trainings. "
            "Give --auth-file FILE to let in only those with a password, or --read-only."
        )


class Guard:
    """An ASGI middleware; see the module.

    Args:
        app: what is guarded.
        access: who may do what.
        visitor: the name of the one who asks, None if not logged in; None where nobody needs to.
        gradio: gives the app of Gradio's.
    """

    def __init__(
        self, app: ASGIApp, access: Access, visitor: Callable[[HTTPConnection], str | None] | None,
        gradio: Callable[[], Any],
    ) -> None:  # fmt: skip
        self._app = app
        self._access = access
        self._visitor = visitor
        self._gradio = gradio
        self._bodies = Bodies()
        self._computing = self._costly = 0
        self._turns = asyncio.Semaphore(MOST_COSTLY)

    @property
    def held(self) -> tuple[int, int, int]:
        """Requests that compute, costly ones even if they wait, bodies that arrive; 0 while nobody asks."""
        return self._computing, self._costly, len(self._bodies)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":  # the app has none
            await send({"type": "websocket.close", "code": 1008})
            return
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        path = scope["path"]
        answer = Answer(send, self._access.allow_embedding, bool(DIRECT.match(path)))
        refusal, body = self._refusal(HTTPConnection(scope), path), b""
        if refusal is None and scope["method"] not in ("GET", "HEAD", "OPTIONS"):
            try:
                body = await self._bodies.whole(receive, _most_bytes(path))
            except BodyError as error:
                refusal = busy() if error.status == 503 else refused(error.status, str(error))
                refusal.headers["Connection"] = "close"  # there may be more of it
            else:
                receive = _again(body, receive)
                refusal = await self._problem_of_body(scope, path, body)
        if refusal is not None:
            await refusal(scope, receive, answer)
            return
        if path in ("", "/"):  # it is read to learn its inline scripts
            scope = {**scope, "headers": [pair for pair in scope["headers"] if pair[0] != b"accept-encoding"]}
        if path.startswith("/gradio_api/mcp"):
            scope = _addressed_to_us(scope)
        # A place is taken only now that the body is there: who sends slowly keeps it from nobody.
        costly = bool(COSTLY.match(path)) or len(body) > COSTLY_BODY_BYTES
        computing = costly or bool(COMPUTING.match(path))
        room = MOST_COSTLY + (MOST_WAITING if scope["method"] == "GET" else 0)
        if (computing and self._computing >= MOST_COMPUTING) or (costly and self._costly >= room):
            await busy()(scope, receive, answer)
            return
        waits = costly and self._turns.locked()
        self._costly += costly
        try:
            async with self._turns if costly else nullcontext():
                if waits and await Request(scope, receive).is_disconnected():
                    return
                self._computing += computing
                try:
                    await self._app(scope, receive, answer)
                finally:
                    self._computing -= computing
        finally:
            self._costly -= costly

    def _refusal(self, request: HTTPConnection, path: str) -> JSONResponse | None:
        if problem := self._wrong_host(request.headers):
            return refused(421, problem)
        if request.scope["method"] not in ("GET", "HEAD", "OPTIONS") and _from_elsewhere(request.headers):
            return refused(403, "this request comes from another site's page")
        if CLOSED.match(path):
            return refused(404, "there is nothing here")
        needs_login = path.startswith(("/gradio_api", "/studio")) and not OPEN_TO_ALL.fullmatch(path)
        if self._visitor is not None and needs_login and self._visitor(request) is None:
            return refused(401, "log in first")
        if self._access.read_only and request.scope["method"] == "POST" and ARCHIVE.fullmatch(path):
            return refused(403, str(ReadOnlyError()))  # before a large body is read in vain
        return None

    async def _problem_of_body(self, scope: Scope, path: str, body: bytes) -> JSONResponse | None:
        gradio = self._gradio()
        try:
            check_call(path, body, gradio.get_blocks().fns, Path(gradio.uploaded_file_dir))
        except RequestError as error:
            return refused(400, str(error))
        try:
            if UPLOAD.fullmatch(path):
                await check_upload(Request(scope, _again(body, _never)), Path(gradio.uploaded_file_dir))
        except RequestError as error:
            return refused(415, str(error))
        return None

    def _wrong_host(self, headers: Headers) -> str | None:
        """A name that leads a visitor's own browser to this machine is how another site would reach an app
        that has no log-in (DNS rebinding)."""
        if not self._access.is_local or self._access.read_only or self._visitor is not None:
            return None
        name = _host_name(headers.get("host", ""))
        if name in LOOPBACK:
            return None
        return (
            f"this studio answers on this machine only, as 127.0.0.1 or localhost, not as {in_short(name)}; "
            "to host it for others start it with --auth-file or --read-only"
        )


def _most_bytes(path: str) -> int:
    """How large a body that is sent there may be."""
    if ARCHIVE.fullmatch(path):
        return MOST_ZIP_BYTES
    return MOST_UPLOAD_BYTES + MOST_FORM_BYTES if PICTURE.fullmatch(path) else MOST_BODY_BYTES


async def _never() -> Message:
    return {"type": "http.disconnect"}


def _again(body: bytes, receive: Receive) -> Receive:
    """A body that was read, to be received once more."""
    was_given = False

    async def receive_again() -> Message:
        nonlocal was_given
        if was_given:
            return await receive()
        was_given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return receive_again


def _addressed_to_us(scope: Scope) -> Scope:
    """The same request, without what its sender says of the app's address: Gradio's tools for assistants call
    the app there, and would call any other host."""
    host, port = scope["server"]
    told = (b"host", b"x-forwarded-host", b"x-forwarded-proto", b"x-gradio-server")
    kept = [pair for pair in scope["headers"] if pair[0] not in told]
    address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    return {**scope, "headers": [*kept, (b"host", address.encode())]}


def _from_elsewhere(headers: Headers) -> bool:
    """Whether another site's page sent a request, with a visitor's cookies or from a visitor's machine."""
    if site := headers.get("sec-fetch-site"):
        return site not in ("same-origin", "none")
    origin = headers.get("origin")
    if origin is None:  # a program's
        return False
    hosts = (headers.get("host", ""), headers.get("x-forwarded-host", ""))
    try:
        return urlsplit(origin).netloc.lower() not in [host.lower() for host in hosts if host]
    except ValueError:  # no address at all, such as "http://["
        return True


def _host_name(host: str) -> str:
    """Of a Host header, without the port."""
    try:
        return (urlsplit(f"//{host}").hostname or "").lower()
    except ValueError:
        return ""
