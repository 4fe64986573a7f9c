"""SOAP: Adam's steps along the directions in which the gradients vary."""

from __future__ import annotations

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from vae_core.engine.soap import LARGEST_SIDE, Soap


def rotation(size: int, seed: int) -> torch.Tensor:
    noise = torch.randn(size, size, generator=torch.Generator().manual_seed(seed))
    return torch.linalg.qr(noise)[0]


def steps_along(gradients: torch.Tensor, learning_rate: float | torch.Tensor = 0.1) -> torch.Tensor:
    """Where a weight of zeros gets to along these gradients, float (T, A, B)."""
    weight = torch.zeros_like(gradients[0], requires_grad=True)
    optimizer = Soap([weight], learning_rate)
    for gradient in gradients:
        weight.grad = gradient.clone()
        optimizer.step()
        optimizer.turn()
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


def test_the_axes_become_those_along_which_the_gradients_vary() -> None:
    """The eigenvectors of their covariance, that of most variance first, whatever the first gradient was."""
    left = rotation(6, 5)
    varied = left @ (torch.tensor([8.0, 4, 2, 1, 0.5, 0.25])[:, None] * gradients_of(400, (6, 50)))
    weight = torch.zeros(6, 50, requires_grad=True)
    optimizer = Soap([weight], 0.1)
    for gradient in [torch.randn(6, 50, generator=torch.Generator().manual_seed(6)), *varied]:
        weight.grad = gradient
        optimizer.step()
        optimizer.turn()
    state = optimizer.state[weight]
    values, vectors = torch.linalg.eigh(state["left"])
    cosines = (state["left_axes"] * vectors.flip(1)).sum(dim=0).abs()
    assert cosines == pytest.approx(torch.ones(6), abs=0.01)
    assert values.diff().min() > 0.1


def test_the_axes_turn_in_each_of_the_first_steps_and_then_in_every_tenth() -> None:
    weight = torch.zeros(6, 4, requires_grad=True)
    optimizer = Soap([weight], 0.1)
    turned, before = [], torch.zeros(6, 6)
    for number, gradient in enumerate(gradients_of(45)):
        weight.grad = gradient
        optimizer.step()
        optimizer.turn()
        axes = optimizer.state[weight]["left_axes"]
        if not torch.equal(axes, before):
            turned.append(number)
        before = axes.clone()
        if number == 24:  # taken up again by one that has made steps of its own
            kept, optimizer = optimizer.state.values(), Soap([weight], 0.1)
            optimizer.step()
            optimizer.turn()
            optimizer.go_on_from(kept)
    assert turned == [*range(21), 30, 40]


def test_the_second_moments_go_with_their_axes() -> None:
    """Where what varied less comes to vary more, the two axes change places."""
    weight = torch.zeros(2, 2, requires_grad=True)
    optimizer = Soap([weight], 0.1)
    strong, weak = torch.tensor([[1.2, 0], [0, 0]]), torch.tensor([[0.0, 0], [0, 1]])
    swaps = 0
    for number in range(24):
        weight.grad = strong + weak if number < 10 else weak
        optimizer.step()
        state = optimizer.state[weight]
        axes, before = state["left_axes"].clone(), state["second_moment"].clone()
        optimizer.turn()
        if (axes[:, 0] * state["left_axes"][:, 0]).sum().abs() < 0.5:
            swaps += 1
            assert torch.equal(state["second_moment"], before.flip(0, 1))
            assert not torch.equal(state["second_moment"], before)
    assert swaps == 1


def test_a_step_can_be_captured() -> None:
    """It reads no number from the device, and all that it changes stays where it is, turned or not."""

    class Reads(TorchDispatchMode):
        count = 0

        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            self.count += func is torch.ops.aten._local_scalar_dense.default
            return func(*args, **(kwargs or {}))

    weight = torch.zeros(6, 4, requires_grad=True)
    optimizer = Soap([weight], torch.tensor(0.1))
    places = []
    for gradient in gradients_of(25):
        weight.grad = gradient
        with Reads() as reads:
            optimizer.step()
        optimizer.turn()
        changed = {"weight": weight, **optimizer.state[weight]}
        places.append({name: tensor.data_ptr() for name, tensor in changed.items()})
        assert reads.count == 0
    assert len(places[0]) == 8
    assert all(place == places[0] for place in places)


def test_a_learning_rate_on_the_device_is_as_good_as_a_number() -> None:
    gradients = gradients_of(5)
    number, tensor = (steps_along(gradients, rate) for rate in (0.5, torch.tensor(0.5)))
    assert torch.equal(number, tensor)


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
            optimizer.turn()
    assert torch.equal(plain, last)


def test_a_state_of_another_model_is_refused() -> None:
    small, large = (torch.zeros(size, 3, requires_grad=True) for size in (2, 5))
    for weight in (small, large):
        weight.grad = torch.ones_like(weight)
    first, other = Soap([small], 0.1), Soap([large], 0.1)
    for optimizer in (first, other):
        optimizer.step()
    with pytest.raises(ValueError, match="another model"):
        other.go_on_from(first.state.values())


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
    kept = optimizer.state[weight]
    optimizer.go_on_from([kept])
    with pytest.raises(ValueError, match=words):
        optimizer.go_on_from([kept | {name: value}])
