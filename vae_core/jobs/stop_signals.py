"""SIGTERM and SIGINT as a wish to stop, which a training comes to at the end of its step."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from typing import Any

from vae_core.engine.distributed import Group


class StopSignals:
    """While active, SIGTERM and SIGINT are remembered instead of ending the process in mid-step.

    `received` tells of this process alone, `heeded` of what the whole group agreed on: torchrun sends SIGTERM
    also to say that another process is lost, and such a training has failed, not stopped.

    Args:
        group: the processes that share the training.
        hear: called at the first wish to stop, which may be heeded much later; must not raise.
    """

    def __init__(self, group: Group, hear: Callable[[], None] | None = None) -> None:
        self.received = self.heeded = False
        self._group = group
        self._hear = hear
        self._before: dict[int, Any] = {}

    def agree(self) -> None:
        """Hears whether one of the group was asked to stop; raises a RuntimeError if one of them is lost.

        It is asked twice: a lost process may have given its first answer before, and then torchrun's SIGTERM,
        which tells of the loss, would pass for a wish.
        """
        self.heeded = self._group.any(self.received) and self._group.any(True)

    def __enter__(self) -> StopSignals:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGINT):
                self._before[number] = signal.signal(number, self._remember)
        return self

    def __exit__(self, kind: type[BaseException] | None, *exception: object) -> None:
        if kind is not None and self._group.count > 1:
            return  # the process is about to end, and must not be ended before it has said why
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _remember(self, number: int, frame: object) -> None:
        is_first, self.received = not self.received, True
        is_wish = number == signal.SIGINT or self._group.count == 1
        if self._hear is not None and is_first and is_wish:
            self._hear()
