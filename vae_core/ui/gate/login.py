"""Who is let in with `--auth-file`: Gradio's log-in asks the doorman, and our own routes ask who is in."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from fastapi import HTTPException
from starlette.concurrency import run_in_threadpool
from starlette.requests import HTTPConnection

from vae_core.passwords import NAME_PATTERN, Passwords

FREE_FAILURES = 3
"""So many wrong passwords for a name cost nothing; each further one doubles the wait."""
FREE_FAILURES_OF_ALL = 30
"""The same for all names together, against one who tries a common password with every name."""
FIRST_WAIT_SECONDS, LONGEST_WAIT_SECONDS = 1.0, 20.0
FORGOTTEN_SECONDS = 900.0
MOST_WAITING = 32
MOST_NAMES = 1000
EVERYONE = ""
"""The key under which the failures of all names are counted; no user has it for a name."""


class Doorman:
    """Checks names and passwords, and slows those who guess.

    No name is ever locked: after some wrong passwords for it its next check only waits, up to twenty seconds,
    and after many for all names together every check does. At most 32 wait at once, and the others are asked
    to try again: whoever keeps so many guesses going keeps everyone waiting outside, but no longer than that.
    Where guesses come from does not matter, so no address can be hidden behind.
    """

    def __init__(
        self, passwords: Passwords, clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Any] = asyncio.sleep,
    ) -> None:  # fmt: skip
        self._passwords = passwords
        self._clock, self._sleep = clock, sleep
        self._failures: OrderedDict[str, tuple[int, float]] = OrderedDict()
        self._waiting = 0

    async def lets_in(self, name: str, password: str) -> bool:
        """Whether this visitor may come in; to be given to Gradio as `auth`.

        A method and not `__call__`: Gradio awaits only what it can see to be a coroutine function, and
        takes the coroutine of any other, which is true, for a right password.

        Raises:
            HTTPException: 429, too many others are waiting to be checked.
        """
        if not NAME_PATTERN.fullmatch(name):  # nobody's, and perhaps too long to be kept
            return False
        if self._waiting >= MOST_WAITING:
            raise HTTPException(429, "too many log-ins at once; try again in a minute", {"Retry-After": "60"})
        self._waiting += 1
        try:
            wait = max(
                self.wait_seconds(name, FREE_FAILURES), self.wait_seconds(EVERYONE, FREE_FAILURES_OF_ALL)
            )
            # Counted before it is known, so that many guesses sent at once are not all free.
            self._count(name)
            self._count(EVERYONE)
            if wait:
                await self._sleep(wait)
            is_right = await run_in_threadpool(self._passwords.check, name, password)
        finally:
            self._waiting -= 1
        if is_right:
            self._failures.pop(name, None)
            failures, at = self._failures.get(EVERYONE, (1, 0.0))
            self._failures[EVERYONE] = failures - 1, at
        return is_right

    def wait_seconds(self, name: str, free: int) -> float:
        """How long the next check of a name waits."""
        failures, at = self._failures.get(name, (0, 0.0))
        if failures < free or self._clock() - at > FORGOTTEN_SECONDS:
            return 0.0
        return min(FIRST_WAIT_SECONDS * 2.0 ** min(failures - free, 10), LONGEST_WAIT_SECONDS)

    def _count(self, name: str) -> None:
        failures, at = self._failures.pop(name, (0, 0.0))
        now = self._clock()
        self._failures[name] = (1 if now - at > FORGOTTEN_SECONDS else failures + 1), now
        if len(self._failures) > MOST_NAMES:
            self._failures.popitem(last=False)


def visitor(request: HTTPConnection, gradio_app: Any) -> str | None:
    """The name under which a visitor has logged in to the Gradio app, by the cookies that it has set."""
    for kind in ("access-token", "access-token-unsecure"):
        token = request.cookies.get(f"{kind}-{gradio_app.cookie_id}")
        if token and (name := gradio_app.tokens.get(token)):
            return name
    return None
