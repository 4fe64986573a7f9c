"""Adam (Kingma and Ba, 2015) by PyTorch's own kernels, without the class that PyTorch puts around them.

Every torch.optim.Optimizer imports torch._dynamo before its first step, and that takes longer than all the
rest of PyTorch: on one core 3.7 seconds beside 2.8, with which each training would begin.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor
from torch.optim.adam import adam

MOMENTS = ("exp_avg", "exp_avg_sq")
"""The averages of each weight's gradient and of its square."""


class Adam:
    """What torch.optim.Adam(fused=True) does, to the bit.

    Args:
        parameters: the weights, all on one device.
        learning_rate: of each step; where steps are captured in a CUDA graph a scalar on their device.

    Attributes:
        betas, eps, weight_decay: the constants of the reference recipe.
        state: of each parameter its `MOMENTS`, which lie in memory as it does (the kernels walk through them
            side by side), and the count "step", float ().
    """

    betas = (0.9, 0.999)
    eps = 1e-8
    weight_decay = 0.0

    def __init__(self, parameters: Iterable[Tensor], learning_rate: float | Tensor) -> None:
        self.learning_rate = learning_rate
        self.state = {parameter: _first_state(parameter) for parameter in parameters}

    @torch.no_grad()
    def step(self) -> None:
        """One step along the gradients, which every parameter must have."""
        states = self.state.values()
        averages, squares = ([state[name] for state in states] for name in MOMENTS)
        beta1, beta2 = self.betas
        adam(
            [*self.state], [*map(gradient_of, self.state)],
            averages, squares, [], [state["step"] for state in states],
            lr=self.learning_rate, beta1=beta1, beta2=beta2, eps=self.eps, weight_decay=self.weight_decay,
            amsgrad=False, maximize=False, fused=True, capturable=isinstance(self.learning_rate, Tensor),
        )  # fmt: skip

    def go_on_from(self, states: Sequence[Mapping[str, Tensor]]) -> None:
        """Goes on from copies of what `state` was, in the order of the parameters.

        Raises:
            ValueError: one does not fit its parameter, or cannot be gone on from.
        """
        for state, other in zip(self.state.values(), states, strict=True):
            if shapes(other) != shapes(state):
                raise ValueError("Adam's state is of another model")
            if other["step"] < 0 or (other["exp_avg_sq"] < 0).any():
                raise ValueError("Adam's state has a negative count or square")
            if other["step"] != states[0]["step"]:
                raise ValueError("Adam has counted its steps differently for its weights")
            for name, value in state.items():
                value.copy_(other[name])


def gradient_of(parameter: Tensor) -> Tensor:
    """Returns what a parameter's last backward pass has left."""
    assert parameter.grad is not None
    return parameter.grad


def shapes(state: Mapping[str, Tensor]) -> dict[str, torch.Size]:
    """Returns a state's shapes, by which one of another model is known."""
    return {name: value.shape for name, value in state.items()}


def _first_state(parameter: Tensor) -> dict[str, Tensor]:
    return {
        "step": torch.zeros((), device=parameter.device),
        **{name: torch.zeros_like(parameter) for name in MOMENTS},
    }
