"""The written-out step: the same loss and the same gradients as autograd's through the plain model."""

from __future__ import annotations

import pytest
import torch

from vae_core.engine.gradients import MOST_IMAGES, TrainingLoss, _Weights
from vae_core.loss import elbo_loss
from vae_core.model import VAE, as_batch
from vae_core.settings import Settings


def mini_batch(count: int, latent_dim: int = 16) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(count)
    images = torch.randint(0, 256, (count, 28, 28), dtype=torch.uint8, generator=generator)
    return images, torch.randn(count, latent_dim, dtype=torch.float64, generator=generator)


def model_of(latent_dim: int = 16) -> VAE:
    torch.manual_seed(0)
    model = VAE(latent_dim).double().to(memory_format=torch.channels_last)
    for name, parameter in model.named_parameters():  # zeros would hide a bias that is left out
        if name.endswith("bias"):
            torch.nn.init.normal_(parameter, std=0.1)
    return model


def plain(model: VAE, images: torch.Tensor, eps: torch.Tensor, settings: Settings) -> tuple:
    """Loss and gradients as the textbook has them."""
    batch = as_batch(images).double()
    mean, log_variance = model.encode(batch)
    reconstruction = model.decode(mean + torch.exp(0.5 * log_variance) * eps)
    loss = elbo_loss(reconstruction, batch, mean, log_variance, settings.beta, settings.likelihood)
    gradients = torch.autograd.grad(loss.total, list(model.parameters()))
    return loss, mean, log_variance, gradients


@pytest.mark.parametrize("likelihood", ["gaussian", "bernoulli", "calibrated"])
@pytest.mark.parametrize(
    ("count", "beta", "latent_dim"), [(1, 1.0, 16), (7, 0.3, 2), (2 * MOST_IMAGES + 9, 4.0, 16)]
)
def test_loss_and_gradients_are_autograds(likelihood: str, count: int, beta: float, latent_dim: int) -> None:
    settings = Settings(likelihood=likelihood, beta=beta, latent_dim=latent_dim)
    model, (images, eps) = model_of(latent_dim), mini_batch(count, latent_dim)
    expected, mean, log_variance, gradients = plain(model, images, eps, settings)
    loss = TrainingLoss(model, settings)(images, eps)
    loss.total.backward()
    for ours, theirs in zip(loss[:3], expected, strict=True):
        assert ours.item() == pytest.approx(theirs.item(), rel=1e-10)
    assert torch.allclose(loss.mean, mean)
    assert torch.allclose(loss.log_variance, log_variance)
    for (name, parameter), gradient in zip(model.named_parameters(), gradients, strict=True):
        assert parameter.grad is not None
        torch.testing.assert_close(
            parameter.grad, gradient, rtol=1e-8, atol=1e-10, msg=lambda text, name=name: f"{name}: {text}"
        )
        assert parameter.grad.stride() == parameter.stride()  # which the fused Adam relies on


def test_a_batch_reconstructed_without_error_has_no_slope_under_the_calibrated_likelihood() -> None:
    model = model_of()
    with torch.no_grad():  # black pictures, whatever comes in
        model.get_parameter("decoder.6.weight").zero_()
        model.get_parameter("decoder.6.bias").fill_(-40.0)
    settings = Settings(likelihood="calibrated", beta=0.0)
    images, eps = torch.zeros(5, 28, 28, dtype=torch.uint8), mini_batch(5)[1]
    loss = TrainingLoss(model, settings)(images, eps)
    loss.total.backward()
    assert loss.total.item() == pytest.approx(plain(model, images, eps, settings)[0].total.item())
    assert all(not parameter.grad.any() for parameter in model.parameters() if parameter.grad is not None)


def test_gradients_add_up_over_two_batches_as_autograds_do() -> None:
    model, settings = model_of(), Settings()
    loss = TrainingLoss(model, settings)
    batches = [mini_batch(3), mini_batch(5)]
    for batch in batches:
        (0.5 * loss(*batch).total).backward()
    expected = [plain(model, *batch, settings)[3] for batch in batches]
    for parameter, *gradients in zip(model.parameters(), *expected, strict=True):
        torch.testing.assert_close(parameter.grad, 0.5 * sum(gradients))


def test_the_weights_are_named_in_the_models_order() -> None:
    weights = _Weights(*VAE().parameters())
    shapes = [tuple(weights.conv2.shape), tuple(weights.posterior.shape), tuple(weights.project.shape)]
    assert shapes == [(64, 32, 3, 3), (32, 3136), (3136, 16)]
    assert tuple(weights.tconv3.shape) == (32, 1, 3, 3)


@pytest.mark.parametrize("threads", [1, 3, 8])
def test_the_number_of_threads_is_left_as_it_was(threads: int) -> None:
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(threads)
        model = model_of()
        images, eps = mini_batch(9)
        loss = TrainingLoss(model, Settings())(images, eps)
        assert torch.get_num_threads() == threads
        assert loss.total.item() == pytest.approx(plain(model, images, eps, Settings())[0].total.item())
    finally:
        torch.set_num_threads(before)
