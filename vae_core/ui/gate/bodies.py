"""The bodies of requests, read whole before anything else is done with them.

A slow body costs its sender time and nobody else anything: it takes no place among the requests that compute,
its time is limited, and where too many arrive at once those that have taken longest give way.
"""

from __future__ import annotations

import asyncio

from starlette.types import Receive

from vae_core.errors import RequestError

BODY_SECONDS = 20.0
SLOWEST_BYTES_PER_SECOND = 64 * 2**10
"""What has come prolongs a body's time by this measure."""
MOST_ARRIVING = 256
MOST_ARRIVING_BYTES = 256 * 2**20
"""Of all together; one body alone is always less."""


class BodyError(RequestError):
    """A request's body is too large or does not come; `status` is what it is answered with."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Bodies:
    """Reads bodies, and knows all that are arriving."""

    def __init__(self) -> None:
        self._arriving: dict[_Arrival, None] = {}  # the oldest first

    def __len__(self) -> int:
        return len(self._arriving)

    async def whole(self, receive: Receive, most_bytes: int) -> bytes:
        """A request's body.

        Raises:
            BodyError: it is too large, too slow or broken off, or had to give way to others.
        """
        arrival = _Arrival()
        try:
            async with arrival.limit:
                self._arriving[arrival] = None
                self._make_room()
                while True:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise BodyError(400, "the request was not finished")
                    arrival.add(message.get("body", b""))
                    if len(arrival.content) > most_bytes:
                        raise BodyError(413, f"this is larger than {most_bytes // 2**20} MiB; expected less")
                    if not message.get("more_body"):
                        return bytes(arrival.content)
                    self._make_room()
        except TimeoutError as error:
            if arrival.gives_way:
                raise BodyError(503, "many requests arrive at once; try again in a moment") from error
            raise BodyError(408, "the request did not come to its end in time") from error
        finally:
            self._arriving.pop(arrival, None)

    def _make_room(self) -> None:
        total = sum(len(arrival.content) for arrival in self._arriving)
        while len(self._arriving) > MOST_ARRIVING or total > MOST_ARRIVING_BYTES:
            oldest = next(iter(self._arriving))
            del self._arriving[oldest]
            total -= len(oldest.content)
            oldest.give_way()


class _Arrival:
    """A body as far as it has come, and the time it has left. To be made in an event loop."""

    def __init__(self) -> None:
        self._end = asyncio.get_running_loop().time() + BODY_SECONDS
        self.limit = asyncio.timeout_at(self._end)
        self.content = bytearray()
        self.gives_way = False

    def add(self, piece: bytes) -> None:
        self.content += piece
        if not self.gives_way:
            self.limit.reschedule(self._end + len(self.content) / SLOWEST_BYTES_PER_SECOND)

    def give_way(self) -> None:
        self.gives_way = True
        if not self.limit.expired():
            self.limit.reschedule(0)
