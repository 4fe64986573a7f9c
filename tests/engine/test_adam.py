"""Adam without PyTorch's class: its steps to the bit, what it goes on from, what it refuses."""

from __future__ import annotations

import pytest
import torch

from vae_core.engine.adam import MOMENTS, Adam


def weights() -> list[torch.Tensor]:
    """A kernel that lies in memory as the model's do, and a bias."""
    noise = torch.Generator().manual_seed(0)
    kernel = torch.randn(8, 4, 3, 3, generator=noise).to(memory_format=torch.channels_last)
    return [kernel.requires_grad_(), torch.randn(8, generator=noise).requires_grad_()]


def make_steps(optimizer: Adam | torch.optim.Adam, moved: list[torch.Tensor], seed: int) -> None:
    noise = torch.Generator().manual_seed(seed)
    for _ in range(5):
        for weight in moved:
            weight.grad = torch.empty_like(weight).normal_(generator=noise)
        optimizer.step()


def test_its_steps_are_those_of_pytorchs_class() -> None:
    ours, theirs = weights(), weights()
    first = Adam(ours, 0.01)
    second = torch.optim.Adam(theirs, lr=0.01, betas=(0.9, 0.999), eps=1e-8, fused=True)
    for learning_rate in (0.01, 0.003):
        first.learning_rate = learning_rate
        second.param_groups[0]["lr"] = learning_rate
        make_steps(first, ours, seed=1)
        make_steps(second, theirs, seed=1)
    for mine, other, begun in zip(ours, theirs, weights(), strict=True):
        assert torch.equal(mine, other)
        assert not torch.equal(mine, begun)
        for name in (*MOMENTS, "step"):
            assert torch.equal(first.state[mine][name], second.state[other][name])


def test_moments_lie_in_memory_as_their_weights_do() -> None:
    kernel, bias = weights()
    optimizer = Adam([kernel, bias], 0.01)
    taken_up = Adam([kernel, bias], 0.01)
    taken_up.go_on_from(
        [{name: value.contiguous() for name, value in state.items()} for state in optimizer.state.values()]
    )
    for one in (optimizer, taken_up):
        assert all(one.state[kernel][name].stride() == kernel.stride() for name in MOMENTS)


def test_it_goes_on_from_a_copy_of_its_state() -> None:
    undisturbed, taken_up = weights(), weights()
    first, second = Adam(undisturbed, 0.01), Adam(taken_up, 0.01)
    make_steps(first, undisturbed, seed=1)
    second.go_on_from([*first.state.values()])
    for weight, other in zip(taken_up, undisturbed, strict=True):
        weight.data.copy_(other.data)
    make_steps(first, undisturbed, seed=2)
    make_steps(second, taken_up, seed=2)
    assert all(map(torch.equal, taken_up, undisturbed))


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("exp_avg", torch.zeros(7), "another model"),
        ("step", torch.ones(1), "another model"),
        ("other", torch.zeros(8), "another model"),
        ("step", torch.tensor(-1.0), "negative"),
        ("exp_avg_sq", torch.full((8,), -1.0), "negative"),
        ("step", torch.tensor(3.0), "counted its steps differently"),
        ("step", torch.tensor(7.0), "counted its steps differently"),
    ],
)
def test_a_state_that_cannot_be_gone_on_from_is_refused(name: str, value: torch.Tensor, words: str) -> None:
    moved = weights()
    optimizer = Adam(moved, 0.01)
    make_steps(optimizer, moved, seed=1)
    of_kernel, of_bias = optimizer.state.values()
    optimizer.go_on_from([of_kernel, of_bias])
    with pytest.raises(ValueError, match="shorter"):
        optimizer.go_on_from([of_kernel])
    with pytest.raises(ValueError, match=words):
        optimizer.go_on_from([of_kernel, of_bias | {name: value}])
