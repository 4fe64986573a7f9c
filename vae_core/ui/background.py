"""Long computations in the background: each is done once, and how far it is can be asked at any time."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from vae_core.progress import Progress

MOST_KEPT = 24
"""Finished computations whose results are kept; the one asked for longest ago goes first."""


@dataclass
class Task:
    """One computation.

    Attributes:
        done, count: how far it is, in its own unit; count is 0 before it begins.
        step: what is being done, where there is more than one thing to do.
        result: what comes of it, or the error that ended it.
    """

    done: int = 0
    count: int = 0
    step: str = ""
    result: Future[Any] = field(default_factory=Future)

    @classmethod
    def done_already(cls, result: Any) -> Task:
        """One that need not be computed."""
        task = cls()
        task.result.set_result(result)
        return task

    def progress(self, done: int, count: int, step: str = "", /) -> None:
        """How far it is now."""
        self.done, self.count, self.step = done, count, step

    def answer(self) -> dict[str, Any]:
        """How far it is, for the page. Raises what ended it."""
        if is_ready := self.result.done():
            self.result.result()
        return {"ready": is_ready, "done": self.done, "count": self.count, "step": self.step}


class Background:
    """The computations of the app, one at a time, so that the page stays quick meanwhile."""

    def __init__(self) -> None:
        self._tasks: OrderedDict[Hashable, Task] = OrderedDict()
        self._lock = threading.Lock()
        self._turn = threading.Lock()

    def task(self, key: Hashable, compute: Callable[[Progress], Any]) -> Task:
        """The computation of this name; begins it if it has not begun.

        One that failed is given out once, to say so, and begins anew when it is asked for again.

        Args:
            compute: given a function to tell how far it is.
        """
        with self._lock:
            if (kept := self._given_out(key)) is not None:
                return kept
            task = self._tasks[key] = Task()
            for old in [name for name, other in self._tasks.items() if other.result.done()]:
                if len(self._tasks) > MOST_KEPT:
                    del self._tasks[old]
        threading.Thread(target=self._perform, args=(task, compute), daemon=True).start()
        return task

    def known(self, key: Hashable) -> Task | None:
        """The computation of this name if it has begun, or else None; a failed one once, as `task`."""
        with self._lock:
            return self._given_out(key)

    def _given_out(self, key: Hashable) -> Task | None:
        kept = self._tasks.get(key)
        if kept is not None:
            self._tasks.move_to_end(key)
            if _failed(kept):
                del self._tasks[key]
        return kept

    def _perform(self, task: Task, compute: Callable[[Progress], Any]) -> None:
        with self._turn:
            try:
                task.result.set_result(compute(task.progress))
            except BaseException as error:
                task.result.set_exception(error)


def _failed(task: Task) -> bool:
    return task.result.done() and task.result.exception() is not None
