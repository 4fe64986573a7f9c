from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

from vae_core.loss import elbo_loss, kl_per_dimension, reconstruction_loss


@pytest.fixture
def batch() -> tuple[torch.Tensor, ...]:
    random = torch.Generator().manual_seed(1)
    made = torch.rand(5, 1, 28, 28, generator=random) * 0.98 + 0.01
    images = torch.rand(5, 1, 28, 28, generator=random)
    return made, images, torch.randn(5, 3, generator=random), torch.randn(5, 3, generator=random)


def test_elbo_is_half_the_squared_error_per_image_plus_kl(batch: tuple[torch.Tensor, ...]) -> None:
    loss = elbo_loss(*batch)
    y, x, m, v = (part.double().numpy() for part in batch)
    assert loss.reconstruction.item() == pytest.approx(((y - x) ** 2).sum() / (2 * 5), rel=1e-5)
    assert loss.kl.item() == pytest.approx((-0.5 * (1 + v - m**2 - np.exp(v))).sum() / 5, rel=1e-5)
    assert loss.total.item() == pytest.approx(loss.reconstruction.item() + loss.kl.item(), rel=1e-6)
    assert elbo_loss(*batch, beta=3.0).total.item() == pytest.approx(
        loss.reconstruction.item() + 3 * loss.kl.item(), rel=1e-6
    )


def test_the_reference_loss_is_392_times_the_mean_over_pixels(batch: tuple[torch.Tensor, ...]) -> None:
    made, images, *_ = batch
    over_pixels = torch.nn.functional.mse_loss(made, images).item()
    assert reconstruction_loss(made, images).item() == pytest.approx(392 * over_pixels, rel=1e-5)


def test_kl_of_the_prior_is_zero_and_of_known_gaussians_as_in_the_textbook() -> None:
    assert kl_per_dimension(torch.zeros(4, 2), torch.zeros(4, 2)).tolist() == [0.0, 0.0]
    mean, deviation = 1.5, 0.5
    expected = math.log(1 / deviation) + (deviation**2 + mean**2) / 2 - 0.5
    got = kl_per_dimension(torch.full((1, 1), mean), torch.full((1, 1), 2 * math.log(deviation)))
    assert got.item() == pytest.approx(expected, rel=1e-6)


def test_bernoulli_is_the_cross_entropy_summed_over_pixels(batch: tuple[torch.Tensor, ...]) -> None:
    made, images, *_ = batch
    y, x = made.double().numpy(), images.double().numpy()
    expected = -(x * np.log(y) + (1 - x) * np.log(1 - y)).sum() / 5
    assert reconstruction_loss(made, images, "bernoulli").item() == pytest.approx(expected, rel=1e-5)


def test_calibrated_is_the_gaussian_likelihood_at_its_best_variance(batch: tuple[torch.Tensor, ...]) -> None:
    made, images, *_ = batch
    squared = (made - images).square().double().sum().item()

    def likelihood_at(variance: float) -> float:
        return 0.5 * (squared / variance + 5 * 784 * math.log(2 * math.pi * variance)) / 5

    best = squared / (5 * 784)
    got = reconstruction_loss(made, images, "calibrated").item()
    assert got == pytest.approx(likelihood_at(best), rel=1e-5)
    assert got < min(likelihood_at(0.9 * best), likelihood_at(1.1 * best))


def test_calibrated_takes_a_variance_of_a_millionth_where_there_is_no_error() -> None:
    images = torch.zeros(2, 1, 28, 28, requires_grad=True)
    loss = reconstruction_loss(images, images.detach(), "calibrated")
    loss.backward()
    assert loss.item() == pytest.approx(392 * (math.log(2 * math.pi * 1e-6) + 1), rel=1e-5)
    assert torch.isfinite(images.grad).all()


def test_processes_that_share_a_batch_get_its_calibrated_loss_and_on_average_its_gradient(
    batch: tuple[torch.Tensor, ...],
) -> None:
    made, images, mean, log_variance = (part[:2] for part in batch)
    whole = made.clone().requires_grad_()
    expected = elbo_loss(whole, images, mean, log_variance, likelihood="calibrated")
    expected.total.backward()
    each = made.clone().requires_grad_()
    halves = (slice(0, 1), slice(1, 2))
    for mine, other in (halves, halves[::-1]):
        error_of_other = torch.nn.functional.mse_loss(made[other], images[other])
        loss = elbo_loss(
            each[mine], images[mine], mean[mine], log_variance[mine], likelihood="calibrated",
            average=lambda error, of_other=error_of_other: (error + of_other) / 2,
        )  # fmt: skip
        assert loss.reconstruction.item() == pytest.approx(expected.reconstruction.item(), rel=1e-6)
        (loss.total / 2).backward()
    assert whole.grad is not None
    torch.testing.assert_close(each.grad, whole.grad)


@pytest.mark.parametrize("likelihood", ["gaussian", "bernoulli", "calibrated"])
def test_elbo_counts_errors_by_the_likelihood_asked_for(
    batch: tuple[torch.Tensor, ...], likelihood: str
) -> None:
    loss = elbo_loss(*batch, likelihood=likelihood)
    assert loss.reconstruction == reconstruction_loss(batch[0], batch[1], likelihood)
    assert loss.total.item() == pytest.approx(loss.reconstruction.item() + loss.kl.item(), rel=1e-6)


def test_the_calibrated_gradient_is_the_gaussians_divided_by_the_error(
    batch: tuple[torch.Tensor, ...],
) -> None:
    images = batch[1]
    gradients = []
    for likelihood in ("gaussian", "calibrated"):
        made = batch[0].clone().requires_grad_()
        reconstruction_loss(made, images, likelihood).backward()
        assert made.grad is not None
        gradients.append(made.grad)
    variance = torch.nn.functional.mse_loss(batch[0], images)
    assert torch.allclose(gradients[1], gradients[0] / variance, rtol=1e-4)


def test_kl_is_never_negative() -> None:
    random = torch.Generator().manual_seed(2)
    mean, log_variance = (0.01 * torch.randn(64, 8, generator=random) for _ in range(2))
    assert (kl_per_dimension(mean.double(), log_variance.double()) > 0).all()


def test_a_reconstruction_of_other_images_is_refused() -> None:
    for likelihood in ("gaussian", "bernoulli", "calibrated"):  # of one image it would be spread over all
        with pytest.raises(ValueError, match=r"shape \(1, 1, 28, 28\); expected .* images, \(3, 1, 28, 28\)"):
            reconstruction_loss(torch.zeros(1, 1, 28, 28), torch.zeros(3, 1, 28, 28), likelihood)


def test_a_posterior_of_other_images_is_refused() -> None:
    images = torch.zeros(3, 1, 28, 28)
    for mean, log_variance in ((3, 2), (2, 3), (1, 1)):  # of one image it would be spread over all
        with pytest.raises(ValueError, match=r"expected \(3, K\) both, as there are 3 images"):
            elbo_loss(images, images, torch.zeros(mean, 4), torch.zeros(log_variance, 4))


def test_an_unknown_likelihood_is_refused() -> None:
    with pytest.raises(ValueError, match="poisson"):
        reconstruction_loss(torch.zeros(1, 1, 28, 28), torch.zeros(1, 1, 28, 28), "poisson")


@pytest.mark.parametrize("at", range(4))
def test_what_is_no_tensor_is_named(at: int) -> None:
    given: list[Any] = [torch.zeros(2, 1, 28, 28)] * 2 + [torch.zeros(2, 3)] * 2
    with pytest.raises(TypeError, match=r"^beta must be a number, not str$"):
        elbo_loss(*given, beta="2")
    given[at] = given[at].numpy()
    name = ("reconstruction", "images", "mean", "log_variance")[at]
    with pytest.raises(TypeError, match=rf"^{name} must be a tensor, not ndarray$"):
        elbo_loss(*given)
