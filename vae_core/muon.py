"""Muon, an optimiser for weight matrices: each step is the momentum made orthogonal.

K. Jordan and others, "Muon: An optimizer for hidden layers in neural networks", 2024. `torch.optim.Muon`
takes matrices alone; here a convolution's kernel is one too.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

MOMENTUM = 0.95
ITERATIONS = 5
COEFFICIENTS = (3.4445, -4.7750, 2.0315)
"""Of Jordan's polynomial: it brings singular values to between 0.7 and 1.2, and small ones up fastest."""
STEP = 5.0
"""A step in Adam's learning rates: Jordan's 0.02 where Adam has 0.004, so that one rate serves both."""


class Muon(torch.optim.Optimizer):
    """Nesterov momentum, its matrix made orthogonal, as a step.

    Args:
        parameters: weights of two dimensions or more; of a kernel (A, B, height, width) the matrix is
            (A, B * height * width).
        learning_rate: Adam's, of which Muon's is five times; `param_groups[0]["lr"]` may be changed
            between steps.
    """

    def __init__(self, parameters: Iterable[Tensor], learning_rate: float) -> None:
        super().__init__(list(parameters), {"lr": learning_rate})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """One step along the gradients, which every parameter must have."""
        for group in self.param_groups:
            for parameter in group["params"]:
                gradient = parameter.grad
                momentum = self.momentum_of(parameter).lerp_(gradient, 1 - MOMENTUM)
                ahead = gradient.lerp(momentum, MOMENTUM).flatten(1)  # (rows, columns)
                rows, columns = ahead.shape
                size = STEP * max(1.0, rows / columns) ** 0.5  # outputs move alike in tall and wide layers
                parameter.add_(orthogonalised(ahead).view_as(parameter), alpha=-group["lr"] * size)

    def momentum_of(self, parameter: Tensor) -> Tensor:
        """The running average of a parameter's gradients, zero at first, in its memory layout."""
        state: dict[str, Any] = self.state[parameter]
        if "momentum" not in state:
            state["momentum"] = torch.zeros_like(parameter)
        return state["momentum"]


def orthogonalised(matrix: Tensor) -> Tensor:
    """Nearly the closest matrix with orthonormal rows or columns, by five steps of Newton and Schulz.

    The singular vectors stay, the singular values come to between 0.7 and 1.2: float (A, B) to (A, B).
    """
    a, b, c = COEFFICIENTS
    x = matrix / (matrix.norm() + 1e-7)
    tall = x.shape[0] > x.shape[1]
    if tall:
        x = x.T
    for _ in range(ITERATIONS):
        square = x @ x.T
        x = a * x + (b * square + c * square @ square) @ x
    return x.T if tall else x
