"""Muon: steps along orthogonal matrices."""

from __future__ import annotations

import pytest
import torch

from vae_core.muon import Muon, orthogonalised


@pytest.mark.parametrize("shape", [(5, 5), (4, 30), (30, 4)])
def test_the_singular_vectors_stay_and_the_singular_values_come_near_one(shape: tuple[int, int]) -> None:
    torch.manual_seed(0)
    matrix = torch.randn(shape) * 1e-3
    near = orthogonalised(matrix)
    assert near.shape == shape
    left, values, right = torch.linalg.svd(matrix, full_matrices=False)
    inside = left.T @ near @ right.T  # in the singular vectors' own directions
    assert (inside - inside.diagonal().diag()).abs().max() < 1e-4
    large = values > 0.05 * values.max()
    assert large.sum() > 1
    assert (inside.diagonal()[large] > 0.6).all()
    assert (inside.diagonal()[large] < 1.25).all()


def test_an_orthogonal_matrixs_values_are_the_polynomials() -> None:
    # All four singular values of a rotation are 1: divided by the norm 2, each follows the polynomial alone.
    rotation = torch.linalg.qr(torch.randn(4, 4, generator=torch.Generator().manual_seed(1)))[0]
    value = 0.5
    for _ in range(5):
        value = 3.4445 * value - 4.7750 * value**3 + 2.0315 * value**5
    assert orthogonalised(rotation) == pytest.approx(value * rotation, abs=1e-5)


def test_nothing_is_nothing() -> None:
    assert torch.equal(orthogonalised(torch.zeros(3, 5)), torch.zeros(3, 5))


@pytest.mark.parametrize(
    ("shape", "largest"), [((64, 32, 3, 3), 0.05), ((32, 500), 0.05), ((900, 4), 0.05 * 15)], ids=str
)
def test_a_steps_largest_singular_value_follows_from_the_shape(
    shape: tuple[int, ...], largest: float
) -> None:
    torch.manual_seed(0)
    weight = torch.zeros(shape, requires_grad=True)
    weight.grad = torch.randn(shape)
    Muon([weight], learning_rate=0.01).step()
    step = weight.detach().flatten(1)
    assert torch.linalg.matrix_norm(step, ord=2).item() == pytest.approx(largest, rel=0.25)
    assert (step * weight.grad.flatten(1)).sum() < 0  # downhill


def test_the_step_follows_nesterovs_momentum() -> None:
    torch.manual_seed(0)
    weight = torch.zeros(3, 4, requires_grad=True)
    optimizer = Muon([weight], learning_rate=1.0)
    gradients = torch.randn(2, 3, 4)
    momentum, expected = torch.zeros(3, 4), torch.zeros(3, 4)
    for gradient in gradients:
        weight.grad = gradient.clone()
        optimizer.step()
        momentum = 0.95 * momentum + 0.05 * gradient
        expected -= 5 * orthogonalised(0.05 * gradient + 0.95 * momentum)
    assert weight.detach() == pytest.approx(expected, abs=1e-5)


def test_memory_order_does_not_show_in_the_step() -> None:
    torch.manual_seed(0)
    plain = torch.randn(8, 4, 3, 3)
    last = plain.clone().to(memory_format=torch.channels_last)
    gradient = torch.randn(8, 4, 3, 3)
    for weight, order in ((plain, torch.contiguous_format), (last, torch.channels_last)):
        weight.grad = gradient.to(memory_format=order)
        Muon([weight], learning_rate=0.1).step()
    assert torch.equal(plain, last)
