"""What a training does each time anew, captured as a CUDA graph: its kernels, dozens, are launched as one.

On a fast GPU a fused step takes the device less time than Python takes to launch its kernels one by one.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

import torch
from torch import Tensor

from vae_core.engine.gradients import StepLoss
from vae_core.errors import TrainingError

SWITCH = "VAE_STUDIO_CUDA_GRAPH"
"""In the environment; 0 makes every step without a graph."""
WARM_UP = 3
"""Calls made without a graph before one is captured: libraries get ready in them, and the moments begin."""
AHEAD = 8
"""So many steps may wait for the device: enough that it never waits for Python, and so few that a report is
of the present."""

Result = TypeVar("Result")


def is_switched_off() -> bool:
    """Whether the user wants every step made without a graph."""
    return os.environ.get(SWITCH) == "0"


class Captured(Generic[Result]):
    """A function without arguments: it is called a few times, then its kernels are replayed.

    Args:
        function: whatever it reads or changes must stay where it is in memory.
        noise: where its random numbers come from, on its device; each replay moves it on as a call would.
    """

    def __init__(self, function: Callable[[], Result], noise: torch.Generator) -> None:
        self._function = function
        self._noise = noise
        self._stream = torch.cuda.Stream(noise.device)
        self._warmed_up = 0
        self._graph: torch.cuda.CUDAGraph | None = None

    def __call__(self) -> Result:
        """One call. What it gives is overwritten by the next.

        Raises:
            TrainingError: the function cannot be captured; says how to do without.
        """
        with torch.cuda.device(self._noise.device):
            if self._warmed_up < WARM_UP:
                self._warmed_up += 1
                return self._beside()
            if self._graph is None:
                self._graph, self._result = self._captured()
            self._graph.replay()
            return self._result

    def _beside(self) -> Result:
        """A call on the stream that will be captured, which cannot be the usual one."""
        usual = torch.cuda.current_stream()
        self._stream.wait_stream(usual)
        with torch.cuda.stream(self._stream):
            result = self._function()
        usual.wait_stream(self._stream)
        return result

    def _captured(self) -> tuple[torch.cuda.CUDAGraph, Result]:
        """The kernels of a call, recorded without making it, and where they will leave its result."""
        graph = torch.cuda.CUDAGraph()
        graph.register_generator_state(self._noise)
        try:
            with torch.cuda.graph(graph, stream=self._stream):
                return graph, self._function()
        except RuntimeError as error:
            cause = error.__context__ or error  # the end of a failed capture fails too, and says less
            if isinstance(cause, torch.OutOfMemoryError):
                raise cause from None
            reason = str(cause).partition("\n")[0]
            raise TrainingError(
                f"the training step cannot be captured as a CUDA graph ({reason}); "
                f"with {SWITCH}=0 in the environment it is made without one"
            ) from error


class CapturedStep:
    """Makes the steps of the function it is given, as `Captured` does.

    Args:
        step: what a step does with the indices of its mini-batch, int64 (N,) on the device, as many each
            time. Whatever else it reads or changes must stay where it is in memory.
        noise: where its random numbers come from.
    """

    def __init__(self, step: Callable[[Tensor], StepLoss], noise: torch.Generator) -> None:
        self._step = step
        self._device = noise.device
        self._make = Captured(self._loss, noise)
        self._indices: Tensor | None = None
        self._launched: deque[torch.cuda.Event] = deque()

    def __call__(self, indices: Tensor) -> StepLoss:
        """One step. The loss it gives is overwritten by the next.

        Raises:
            TrainingError: as `Captured`.
        """
        if self._indices is None:
            self._indices = torch.empty_like(indices)
        self._indices.copy_(indices)
        loss = self._make()
        with torch.cuda.device(self._device):
            self._keep_pace()
        return loss

    def _loss(self) -> StepLoss:
        assert self._indices is not None
        return StepLoss(*(part.detach() for part in self._step(self._indices)))

    def _keep_pace(self) -> None:
        """Waits until the device is at most `AHEAD` steps behind."""
        done = torch.cuda.Event(blocking=True)
        done.record()
        self._launched.append(done)
        if len(self._launched) > AHEAD:
            self._launched.popleft().synchronize()
