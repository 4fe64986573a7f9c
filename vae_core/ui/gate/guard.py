"""Stands before the whole app, Gradio's routes and ours: who may come in, how much at once, what goes out.

It knows nothing of what the routes do. Read-only is hardly its business: who changes something asks there.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import HTTPConnection, Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from vae_core.archives import MOST_ZIP_BYTES
from vae_core.errors import ReadOnlyError, RequestError, in_short
from vae_core.ui.gate.bodies import Bodies, BodyError
from vae_core.ui.gate.calls import DIRECT, check_call
from vae_core.ui.gate.headers import security_headers
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
    r"/studio/(archive|parity|runs/[^/]*/(walk|morph|manifold|traversal|generated/|archive|errors|map))"
)
MOST_COMPUTING = 80
"""Requests that compute, at once: more than this machine's visitors can wait for."""
MOST_COSTLY = 12
"""Of those, the ones that take more than a few hundredths of a second: they leave room for the sliders."""
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

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":  # the app has none
            await send({"type": "websocket.close", "code": 1008})
            return
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        path = scope["path"]
        answer = _Answer(send, self._access.allow_embedding, bool(DIRECT.match(path)))
        refusal, body = self._refusal(HTTPConnection(scope), path), b""
        if refusal is None and scope["method"] not in ("GET", "HEAD", "OPTIONS"):
            try:
                body = await self._bodies.whole(receive, _most_bytes(path))
            except BodyError as error:
                refusal = _busy() if error.status == 503 else _refused(error.status, str(error))
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
        if (computing and self._computing >= MOST_COMPUTING) or (costly and self._costly >= MOST_COSTLY):
            await _busy()(scope, receive, answer)
            return
        self._computing += computing
        self._costly += costly
        try:
            await self._app(scope, receive, answer)
        finally:
            self._computing -= computing
            self._costly -= costly

    def _refusal(self, request: HTTPConnection, path: str) -> JSONResponse | None:
        if problem := self._wrong_host(request.headers):
            return _refused(421, problem)
        if request.scope["method"] not in ("GET", "HEAD", "OPTIONS") and _from_elsewhere(request.headers):
            return _refused(403, "this request comes from another site's page")
        if CLOSED.match(path):
            return _refused(404, "there is nothing here")
        needs_login = path.startswith(("/gradio_api", "/studio")) and not OPEN_TO_ALL.fullmatch(path)
        if self._visitor is not None and needs_login and self._visitor(request) is None:
            return _refused(401, "log in first")
        if self._access.read_only and request.scope["method"] == "POST" and ARCHIVE.fullmatch(path):
            return _refused(403, str(ReadOnlyError()))  # before a large body is read in vain
        return None

    async def _problem_of_body(self, scope: Scope, path: str, body: bytes) -> JSONResponse | None:
        gradio = self._gradio()
        try:
            check_call(path, body, gradio.get_blocks().fns, Path(gradio.uploaded_file_dir))
        except RequestError as error:
            return _refused(400, str(error))
        try:
            if UPLOAD.fullmatch(path):
                await check_upload(Request(scope, _again(body, _never)), Path(gradio.uploaded_file_dir))
        except RequestError as error:
            return _refused(415, str(error))
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


class _Answer:
    """Passes an answer on, with the security headers.

    Four kinds are held back until they are whole: pages, for their inline scripts; what Gradio answers to
    a direct call with status 500, which is 400 where it tells of a caller's mistake; that its queue is full,
    which is said in our words; and what does not fit its forms, where a line of words is added to its list.
    """

    def __init__(self, send: Send, allow_embedding: bool, is_direct_call: bool) -> None:
        self._send = send
        self._allow_embedding = allow_embedding
        self._is_direct_call = is_direct_call
        self._start: Message | None = None
        self._body = bytearray()

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = Headers(raw=message["headers"])
            is_queue_full = message["status"] == 503 and "retry-after" not in headers
            is_page = headers.get("content-type", "").startswith("text/html")
            is_failed_call = self._is_direct_call and message["status"] == 500
            if (
                is_queue_full
                or message["status"] == 422
                or ((is_page or is_failed_call) and "content-encoding" not in headers)
            ):
                self._start = message
                return
            self._add_headers(message)
        elif message["type"] == "http.response.body" and self._start is not None:
            self._body += message.get("body", b"")
            if message.get("more_body"):
                return
            start, self._start = self._start, None
            if start["status"] in (422, 503):
                said = _busy() if start["status"] == 503 else _in_words(self._body)
                start["headers"], self._body = said.raw_headers, bytearray(said.body)
            if start["status"] == 500 and _tells_a_mistake(self._body):
                start["status"] = 400
            self._add_headers(start, bytes(self._body))
            await self._send(start)
            await self._send({"type": "http.response.body", "body": bytes(self._body)})
            return
        await self._send(message)

    def _add_headers(self, message: Message, page: bytes = b"") -> None:
        headers = MutableHeaders(raw=list(message["headers"]))
        for name, value in security_headers(self._allow_embedding, page).items():
            headers[name] = value
        message["headers"] = headers.raw


def _refused(status: int, words: str, headers: dict[str, str] | None = None) -> JSONResponse:
    # Our pages read "error", Gradio's "detail".
    return JSONResponse({"error": words, "detail": words}, status, headers)


def _busy() -> JSONResponse:
    return _refused(503, "many visitors ask at once; try again in a moment", {"Retry-After": "1"})


def _in_words(body: bytes | bytearray) -> JSONResponse:
    """Gradio's list of what does not fit its forms, with its first entry as a line."""
    words, detail = "this request does not fit", None
    try:
        detail = json.loads(body)["detail"]
        words = f"{detail[0]['loc'][-1]}: {detail[0]['msg']}"
    except (ValueError, LookupError, TypeError):
        pass
    return JSONResponse({"error": words, "detail": detail or words}, 422)


def _most_bytes(path: str) -> int:
    """Of a body sent there."""
    if ARCHIVE.fullmatch(path):
        return MOST_ZIP_BYTES
    return MOST_UPLOAD_BYTES + MOST_FORM_BYTES if PICTURE.fullmatch(path) else MOST_BODY_BYTES


def _tells_a_mistake(body: bytes | bytearray) -> bool:
    """Whether an answer of Gradio's has words for the caller; for an error of the app's own it has none."""
    try:
        return isinstance(json.loads(body), dict) and bool(json.loads(body).get("error"))
    except ValueError:
        return False


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
