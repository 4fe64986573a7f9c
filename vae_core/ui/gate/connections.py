"""Serves the app, and hangs up on whoever does not come to the end of a request's headers.

uvicorn waits for those without end, and where its number of connections is limited it counts such a one too:
whoever held enough of them would keep everybody else out.
"""

from __future__ import annotations

import asyncio
from typing import Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

HEADER_SECONDS = 15.0
"""A visitor who asks for nothing is given up by uvicorn itself, after each answer, in five seconds."""
BUSY = object()


def serve(app: Any, host: str, port: int) -> None:
    """Serves the app until the process is asked to end."""
    uvicorn.run(
        app, host=host, port=port, http=PunctualProtocol, log_level="warning", server_header=False,
        timeout_graceful_shutdown=2,
    )  # fmt: skip


class PunctualProtocol(H11Protocol):
    """A connection that is closed where no request begins, or none goes on to the end of its headers."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.loop.call_later(HEADER_SECONDS, self._look_again, None)

    def _look_again(self, before: object) -> None:
        """Looks whether headers have been waited for since the last look; what is being answered may last."""
        if self.transport.is_closing():
            return
        now = self.cycle if self.cycle is None or self.cycle.response_complete else BUSY
        if now is before and now is not BUSY:
            self.transport.close()
        else:
            self.loop.call_later(HEADER_SECONDS, self._look_again, now)
