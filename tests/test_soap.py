"""SOAP: Adam's steps along the directions in which the gradients vary."""

from __future__ import annotations

import pytest
import torch

from vae_core.soap import LARGEST_SIDE, Soap


def rotation(size: int, seed: int) -> torch.Tensor:
    noise = torch.randn(size, size, generator=torch.Generator().manual_seed(seed))
    return torch.linalg.qr(noise)[0]


def steps_along(gradients: torch.Tensor, learning_rate: float = 0.1) -> torch.Tensor:
    """Where a weight of zeros gets to along these gradients, float (T, A, B)."""
    weight = torch.zeros_like(gradients[0], requires_grad=True)
    optimizer = Soap([weight], learning_rate)
    for gradient in gradients:
        weight.grad = gradient.clone()
        optimizer.step()
    return weight.detach()


def gradients_of(count: int = 40, shape: tuple[int, int] = (6, 4)) -> torch.Tensor:
    noise = torch.Generator().manual_seed(0)
    scale = torch.linspace(0.1, 3, shape[0] * shape[1]).reshape(shape)
    return scale * torch.randn(count, *shape, generator=noise) + 0.3


def test_the_first_step_only_finds_the_axes() -> None:
    assert torch.equal(steps_along(gradients_of(1)), torch.zeros(6, 4))


def test_a_turned_problem_gets_the_turned_step() -> None:
    """What Adam lacks: it does not matter in which coordinates the weights are written."""
    gradients = gradients_of(40, (4, 4)).double()
    left, right = rotation(4, 1).double(), rotation(4, 2).double()
    plain = steps_along(gradients)
    assert steps_along(left @ gradients @ right) == pytest.approx(left @ plain @ right, abs=1e-4)
    assert plain.abs().max() > 0.1


def test_a_constant_gradient_of_rank_one_is_followed_at_the_learning_rate() -> None:
    direction = torch.outer(rotation(5, 3)[0], rotation(3, 4)[0])
    reached = steps_along(1e-3 * direction.expand(11, 5, 3), learning_rate=0.1)
    assert reached == pytest.approx(-10 * 0.1 * direction, abs=0.02)


def test_a_long_side_keeps_its_own_axes() -> None:
    weight = torch.zeros(LARGEST_SIDE + 1, 3, requires_grad=True)
    weight.grad = torch.randn(weight.shape)
    optimizer = Soap([weight], 0.1)
    optimizer.step()
    assert set(optimizer.state[weight]) == {"steps", "momentum", "second_moment", "right", "right_axes"}


def test_memory_order_does_not_show_in_the_step() -> None:
    torch.manual_seed(0)
    plain = torch.randn(8, 4, 3, 3)
    last = plain.clone().to(memory_format=torch.channels_last)
    gradients = torch.randn(5, 8, 4, 3, 3)
    for weight, order in ((plain, torch.contiguous_format), (last, torch.channels_last)):
        optimizer = Soap([weight], learning_rate=0.1)
        for gradient in gradients:
            weight.grad = gradient.to(memory_format=order)
            optimizer.step()
    assert torch.equal(plain, last)


def test_a_state_of_another_model_is_refused() -> None:
    small, large = (torch.zeros(size, 3, requires_grad=True) for size in (2, 5))
    for weight in (small, large):
        weight.grad = torch.ones_like(weight)
    first, other = Soap([small], 0.1), Soap([large], 0.1)
    for optimizer in (first, other):
        optimizer.step()
    groups = other.state_dict()["param_groups"]
    other.load_state_dict({"state": first.state_dict()["state"], "param_groups": groups})
    with pytest.raises(ValueError, match="another model"):
        other.check()


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("steps", torch.tensor(float("nan")), "finite numbers"),
        ("left_axes", torch.full((2, 2), float("inf")), "finite numbers"),
        ("steps", torch.tensor(-1.0), "negative"),
        ("second_moment", torch.full((2, 3), -1.0), "negative"),
        ("steps", torch.ones(1), "another model"),
    ],
)
def test_a_state_that_cannot_be_gone_on_from_is_refused(name: str, value: torch.Tensor, words: str) -> None:
    weight = torch.zeros(2, 3, requires_grad=True)
    weight.grad = torch.ones_like(weight)
    optimizer = Soap([weight], 0.1)
    optimizer.step()
    optimizer.check()
    optimizer.state[weight][name] = value
    with pytest.raises(ValueError, match=words):
        optimizer.check()
