"""SOAP, an optimiser for weight matrices: Adam in the directions in which the gradients vary.

N. Vyas and others, "SOAP: Improving and Stabilizing Shampoo using Adam", 2024, algorithm 3. Adam scales each
weight's step by how much its gradient varies; that fits badly where gradients vary along mixtures of weights.
Here the matrix is first turned so that they vary along its axes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

import torch
from torch import Tensor

from vae_core.engine.adam import gradient_of, shapes

MOMENTUM = 0.9
SECOND_MOMENT = 0.999
COVARIANCE = 0.95
"""Decays of the running averages: of the gradient, of its square, and of its covariances."""
EPSILON = 1e-8
EVERY = 10
"""Steps between two turns of the axes; they are turned after each of the first twenty, too."""
LARGEST_SIDE = 1024
"""A longer side of a matrix keeps its own axes: finding others would cost more than they give."""


class Soap:
    """Adam along the eigenvectors of the gradients' covariances. The first step only finds them.

    After each `step` comes a `turn`. They are two as a CUDA graph does the same each time: all steps but the
    first can be captured in one, and `turn_axes`, which is not always due, in another.

    Args:
        parameters: weights of two dimensions or more; of a kernel (A, B, height, width) the matrix is
            (A, B * height * width).
        learning_rate: as Adam's; it may be changed between steps. For captured steps a scalar on their
            device.

    Attributes:
        state: of each parameter what the steps go by; nothing before the first.
    """

    def __init__(self, parameters: Iterable[Tensor], learning_rate: float | Tensor) -> None:
        self.learning_rate = learning_rate
        self.state: dict[Tensor, dict[str, Tensor]] = {parameter: {} for parameter in parameters}
        self._steps: int | None = None  # as in the state, which cannot be read without waiting for a GPU
        self._streams = [torch.cuda.Stream(weight.device) for weight in self.state if weight.is_cuda]

    @torch.no_grad()
    def step(self) -> None:
        """One step along the gradients, which every parameter must have."""
        if not any(self.state.values()):
            for parameter, state in self.state.items():
                state |= _first_state(_matrix_of(parameter))
            return
        self._of_each(self._move)

    def turn(self, turn_axes: Callable[[], None] | None = None) -> None:
        """Turns the axes if that is due after the step just made.

        Args:
            turn_axes: what does it, the method of this name captured, say; without it the method itself.
        """
        if self._steps is None:
            self._steps = int(next(iter(self.state.values()))["steps"])
        else:
            self._steps += 1
        if self._steps % EVERY == 0 or self._steps <= 2 * EVERY:
            (turn_axes or self.turn_axes)()

    @torch.no_grad()
    def turn_axes(self) -> None:
        """Turns the axes after the gradients' covariances."""
        self._of_each(_turn)

    def _of_each(self, work: Callable[[Tensor, dict[str, Tensor]], None]) -> None:
        """Does it for each weight and its state; on a GPU side by side, as one does not fill it."""
        if not self._streams:
            for parameter, state in self.state.items():
                work(parameter, state)
            return
        here = torch.cuda.current_stream(self._streams[0].device)
        for stream, (parameter, state) in zip(self._streams, self.state.items(), strict=True):
            stream.wait_stream(here)
            with torch.cuda.stream(stream):
                work(parameter, state)
        for stream in self._streams:
            here.wait_stream(stream)

    def _move(self, parameter: Tensor, state: dict[str, Tensor]) -> None:
        gradient = _matrix_of(parameter)
        step = _adam_step(state, gradient)
        parameter.sub_(step.mul_(self.learning_rate).view_as(parameter))
        for side in _turned_sides(state):
            state[side].lerp_(_covariance(gradient, side), 1 - COVARIANCE)

    def go_on_from(self, states: Iterable[dict[str, Tensor]]) -> None:
        """Goes on from copies of what `state` was, in the order of the parameters.

        Raises:
            ValueError: one does not fit its parameter, or cannot be gone on from.
        """
        for (parameter, state), other in zip(self.state.items(), states, strict=True):
            _check(parameter, other)
            state.update({name: value.to(parameter, copy=True) for name, value in other.items()})
        self._steps = None


def _check(parameter: Tensor, state: dict[str, Tensor]) -> None:
    expected = _first_state(torch.zeros_like(parameter).flatten(1))
    if shapes(state) != shapes(expected):
        raise ValueError("SOAP's state is of another model")
    if not all(torch.isfinite(value).all() for value in state.values()):
        raise ValueError("SOAP's state is not made of finite numbers")
    if state["steps"] < 0 or (state["second_moment"] < 0).any():
        raise ValueError("SOAP's state has a negative count or square")


def _matrix_of(parameter: Tensor) -> Tensor:
    """The gradient of a weight, as a matrix (A, B)."""
    return gradient_of(parameter).flatten(1)


def _first_state(gradient: Tensor) -> dict[str, Tensor]:
    """Averages that begin at nothing, and the first gradient's own axes, that of most variance first.

    All of it lies in memory row by row, as it will when it is read from a file: so the same bits come out.
    """
    state = {
        "steps": torch.zeros((), device=gradient.device),
        "momentum": torch.zeros_like(gradient),
        "second_moment": torch.zeros_like(gradient),
    }
    for side, size in zip(("left", "right"), gradient.shape, strict=True):
        if size <= LARGEST_SIDE:
            state[side] = _covariance(gradient, side)
            state[f"{side}_axes"] = torch.linalg.eigh(state[side])[1].flip(1).contiguous()
    return state


def _adam_step(state: dict[str, Tensor], gradient: Tensor) -> Tensor:
    """Adam's step (Kingma and Ba, 2015), its second moment taken along the axes: (A, B)."""
    steps = state["steps"].add_(1)
    momentum = state["momentum"].lerp_(gradient, 1 - MOMENTUM)
    second_moment = state["second_moment"].lerp_(_turned(state, gradient).square(), 1 - SECOND_MOMENT)
    scale = (second_moment / _bias_correction(SECOND_MOMENT, steps)).sqrt_().add_(EPSILON)
    return _turned_back(state, _turned(state, momentum).div_(scale)) / _bias_correction(MOMENTUM, steps)


def _bias_correction(decay: float, steps: Tensor) -> Tensor:
    """The factor by which an average that began at nothing is too small: 1 - decay**steps, also near 0."""
    return -torch.expm1(steps * math.log(decay))


def _turned(state: dict[str, Tensor], matrix: Tensor) -> Tensor:
    """A matrix, (A, B), as it looks along the axes; a new one."""
    matrix = state["left_axes"].T @ matrix if "left" in state else matrix.clone()
    return matrix @ state["right_axes"] if "right" in state else matrix


def _turned_back(state: dict[str, Tensor], matrix: Tensor) -> Tensor:
    matrix = state["left_axes"] @ matrix if "left" in state else matrix
    return matrix @ state["right_axes"].T if "right" in state else matrix


def _turned_sides(state: dict[str, Tensor]) -> list[str]:
    return [side for side in ("left", "right") if side in state]


def _covariance(gradient: Tensor, side: str) -> Tensor:
    return gradient @ gradient.T if side == "left" else gradient.T @ gradient


def _turn(parameter: Tensor, state: dict[str, Tensor]) -> None:
    """One step of the power iteration for the eigenvectors, in the order of their eigenvalues.

    As all of the state, they are changed where they are: a graph knows only the places.
    """
    for side in _turned_sides(state):
        axes, second_moment = state[f"{side}_axes"], state["second_moment"]
        moved = state[side] @ axes
        order = (axes * moved).sum(dim=0).argsort(descending=True, stable=True)
        second_moment.copy_(second_moment.index_select(0 if side == "left" else 1, order))
        axes.copy_(torch.linalg.qr(moved[:, order])[0])
