"""How whoever waits is told how far a computation is."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Called with how much is done and of how much, in the computation's own unit, and what is being done
    where there is more than one thing to do."""

    def __call__(self, done: int, count: int, step: str = "", /) -> None: ...


def untold(done: int, count: int, step: str = "", /) -> None:
    """For those who do not ask."""
