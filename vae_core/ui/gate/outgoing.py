"""What goes out: refusals in one line, and the app's answers with the security headers."""

from __future__ import annotations

import json

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import Message, Send

from vae_core.ui.gate.headers import security_headers
from vae_core.ui.gate.pages import with_our_head


class Answer:
    """Passes an answer on, with the security headers.

    Four kinds are held back until they are whole: pages, for their head and their inline scripts; what
    Gradio answers to a direct call with status 500, which is 400 where it tells of a caller's mistake; that
    its queue is full, which is said in our words; and what does not fit its forms, where a line of words is
    added to its list.
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
            is_failed_call = self._is_direct_call and message["status"] == 500
            if (
                is_queue_full
                or message["status"] == 422
                or ((_is_page(message) or is_failed_call) and "content-encoding" not in headers)
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
                said = busy() if start["status"] == 503 else _in_words(self._body)
                start["headers"], self._body = said.raw_headers, bytearray(said.body)
            if start["status"] == 500 and _tells_a_mistake(self._body):
                start["status"] = 400
            body = with_our_head(bytes(self._body)) if _is_page(start) else bytes(self._body)
            if len(body) != len(self._body):
                headers = MutableHeaders(raw=start["headers"])
                headers["content-length"] = str(len(body))
            self._add_headers(start, body)
            await self._send(start)
            await self._send({"type": "http.response.body", "body": body})
            return
        await self._send(message)

    def _add_headers(self, message: Message, page: bytes = b"") -> None:
        headers = MutableHeaders(raw=list(message["headers"]))
        for name, value in security_headers(self._allow_embedding, page).items():
            headers[name] = value
        message["headers"] = headers.raw


def _is_page(start: Message) -> bool:
    return Headers(raw=start["headers"]).get("content-type", "").startswith("text/html")


def refused(status: int, words: str, headers: dict[str, str] | None = None) -> JSONResponse:
    """What is answered instead of what was asked for, with the reason."""
    # Our pages read "error", Gradio's "detail".
    return JSONResponse({"error": words, "detail": words}, status, headers)


def busy() -> JSONResponse:
    """The refusal that says to ask again."""
    return refused(503, "many visitors ask at once; try again in a moment", {"Retry-After": "1"})


def _in_words(body: bytes | bytearray) -> JSONResponse:
    """Gradio's list of what does not fit its forms, with its first entry as a line."""
    words, detail = "this request does not fit", None
    try:
        detail = json.loads(body)["detail"]
        words = f"{detail[0]['loc'][-1]}: {detail[0]['msg']}"
    except (ValueError, LookupError, TypeError):
        pass
    return JSONResponse({"error": words, "detail": detail or words}, 422)


def _tells_a_mistake(body: bytes | bytearray) -> bool:
    """Whether an answer of Gradio's has words for the caller; for an error of the app's own it has none."""
    try:
        told = json.loads(body)
    except ValueError:
        return False
    return isinstance(told, dict) and bool(told.get("error"))
