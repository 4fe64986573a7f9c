"""A training step captured as a CUDA graph: its kernels, dozens of them, are launched as one.

On a fast GPU a fused step takes the device less time than Python takes to launch its kernels one by one.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable

import torch
from torch import Tensor

from vae_core.errors import TrainingError
from vae_core.gradients import StepLoss

SWITCH = "VAE_STUDIO_CUDA_GRAPH"
"""In the environment; 0 makes every step without a graph."""
WARM_UP = 3
"""Steps made as ever before one is captured: libraries get ready in them, and the moments begin."""
AHEAD = 8
"""Steps launched before the device has done them: it need not wait for Python, and a report is of now."""


def is_switched_off() -> bool:
    """Whether the user wants every step made as ever."""
    return os.environ.get(SWITCH) == "0"


class CapturedStep:
    """Makes the steps of the function it is given: calls it a few times, then replays its kernels.

    Args:
        step: what a step does with the indices of its mini-batch, int64 (N,) on the device, as many each
            time. Whatever else it reads or changes must stay where it is in memory.
        noise: where its random numbers come from; each replay moves it on as the step itself would.
    """

    def __init__(self, step: Callable[[Tensor], StepLoss], noise: torch.Generator) -> None:
        self._step = step
        self._noise = noise
        self._stream = torch.cuda.Stream(noise.device)
        self._warmed_up = 0
        self._graph: torch.cuda.CUDAGraph | None = None
        self._launched: deque[torch.cuda.Event] = deque()

    def __call__(self, indices: Tensor) -> StepLoss:
        """One step. The loss it gives is overwritten by the next.

        Raises:
            TrainingError: the step cannot be captured; says how to do without.
        """
        with torch.cuda.device(self._noise.device):
            if self._warmed_up < WARM_UP:
                self._warmed_up += 1
                return self._beside(indices)
            if self._graph is None:
                self._graph = self._captured(indices)
            self._indices.copy_(indices)
            self._graph.replay()
            self._keep_pace()
            return self._loss

    def _beside(self, indices: Tensor) -> StepLoss:
        """A step on the stream that will be captured, which cannot be the usual one."""
        usual = torch.cuda.current_stream()
        self._stream.wait_stream(usual)
        with torch.cuda.stream(self._stream):
            loss = self._step(indices)
        usual.wait_stream(self._stream)
        return loss

    def _captured(self, indices: Tensor) -> torch.cuda.CUDAGraph:
        """The kernels of a step, recorded without making it, and where they read and write."""
        graph = torch.cuda.CUDAGraph()
        graph.register_generator_state(self._noise)
        self._indices = indices.clone()
        try:
            with torch.cuda.graph(graph, stream=self._stream):
                loss = self._step(self._indices)
        except RuntimeError as error:
            cause = error.__context__ or error  # the end of a failed capture fails too, and says less
            if isinstance(cause, torch.OutOfMemoryError):
                raise cause from None
            reason = str(cause).partition("\n")[0]
            raise TrainingError(
                f"the training step cannot be captured as a CUDA graph ({reason}); "
                f"with {SWITCH}=0 in the environment it is made without one"
            ) from error
        self._loss = StepLoss(*(part.detach() for part in loss))
        return graph

    def _keep_pace(self) -> None:
        """Waits until the device is at most `AHEAD` steps behind."""
        done = torch.cuda.Event(blocking=True)
        done.record()
        self._launched.append(done)
        if len(self._launched) > AHEAD:
            self._launched.popleft().synchronize()
