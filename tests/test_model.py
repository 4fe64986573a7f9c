from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn

from vae_core.images import IMAGE_SIZE
from vae_core.model import VAE, as_batch, count_parameters


def test_the_reference_has_228193_parameters() -> None:
    model = VAE()
    assert count_parameters(model.encoder) == 119_200
    assert count_parameters(model.decoder) == 108_993
    assert count_parameters(model) == 228_193


@pytest.mark.parametrize("latent_dim", [1, 2, 16, 40])
def test_shapes_and_range(latent_dim: int) -> None:
    model = VAE(latent_dim)
    assert model.latent_dim == latent_dim
    images = torch.rand(3, 1, IMAGE_SIZE, IMAGE_SIZE)
    mean, log_variance = model.encode(images)
    assert mean.shape == log_variance.shape == (3, latent_dim)
    reconstruction, mean_again, _ = model(images)
    assert reconstruction.shape == images.shape
    assert torch.equal(mean, mean_again)
    decoded = model.decode(100 * torch.randn(5, latent_dim))
    assert decoded.min() >= 0
    assert decoded.max() <= 1


def test_other_shapes_and_types_are_refused_in_one_sentence() -> None:
    model = VAE()
    for images in (
        torch.zeros(5, 28, 28),
        torch.zeros(5, 1, 28, 28, 1),
        torch.zeros(5, 1, 28, 27),
        torch.zeros(5, 1, 28, 28, dtype=torch.uint8),
    ):
        with pytest.raises(ValueError, match=r"expected images as float \(N, 1, 28, 28\) in \[0, 1\], not"):
            model.encode(images)
    whole = torch.zeros(3, 16, dtype=torch.int64)
    for z in (torch.zeros(16), torch.zeros(3, 2), torch.zeros(3, 20), torch.zeros(3, 16, 1), whole):
        with pytest.raises(ValueError, match=r"expected latent vectors as float \(N, 16\), not torch\."):
            model.decode(z)
    for no_tensor in ([0.0] * 16, np.zeros((1, 16), np.float32), None):
        name = type(no_tensor).__name__
        for taken, what in ((model.encode, "images"), (model.decode, "latent vectors")):
            with pytest.raises(TypeError, match=f"^{what} must be of type Tensor, not {name}$"):
                taken(no_tensor)  # type: ignore[arg-type]


def test_other_precisions_are_brought_to_that_of_the_weights() -> None:
    model = VAE()
    images = torch.rand(2, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    mean, log_variance = model.encode(images)
    assert all(map(torch.equal, model.encode(images.double()), (mean, log_variance)))
    assert torch.equal(model.decode(mean.double()), model.decode(mean))


def test_a_number_of_latents_may_be_numpys() -> None:
    assert VAE(np.int64(3)).decode(torch.zeros(1, 3)).shape == (1, 1, 28, 28)  # type: ignore[arg-type]


@pytest.mark.parametrize("latent_dim", [0, -1, 2.0, "16", None, True])
def test_a_number_of_latents_that_is_none_is_refused(latent_dim: object) -> None:
    with pytest.raises(ValueError, match="latent_dim must be a whole number from 1, not"):
        VAE(latent_dim)  # type: ignore[arg-type]


def test_bytes_become_a_batch_from_0_to_1() -> None:
    images = torch.tensor([0, 51, 255], dtype=torch.uint8).reshape(3, 1, 1)
    assert as_batch(images).flatten().tolist() == pytest.approx([0, 0.2, 1])
    assert as_batch(images).shape == (3, 1, 1, 1)


def test_weights_are_glorot_uniform_and_biases_zero() -> None:
    torch.manual_seed(0)
    for layer in VAE().modules():
        if isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)):
            rest = layer.weight[0, 0].numel() if layer.weight.dim() == 4 else 1
            bound = math.sqrt(6 / (rest * (layer.weight.shape[0] + layer.weight.shape[1])))
            assert layer.weight.abs().max() <= bound
            assert layer.weight.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.1)
            assert not layer.bias.any()


def test_samples_have_the_posteriors_mean_and_spread() -> None:
    model = VAE(2)
    mean = torch.tensor([[1.0, -2.0]]).expand(40_000, 2)
    log_variance = torch.tensor([[0.0, 2 * math.log(0.3)]]).expand(40_000, 2)
    z = model.sample(mean, log_variance, torch.Generator().manual_seed(0))
    assert z.mean(0).tolist() == pytest.approx([1.0, -2.0], abs=0.02)
    assert z.std(0).tolist() == pytest.approx([1.0, 0.3], rel=0.02)


def test_a_sample_is_the_mean_moved_by_the_global_generators_noise() -> None:
    model = VAE(3)
    mean, log_variance = torch.randn(2, 4, 3)
    torch.manual_seed(3)
    eps = torch.randn(4, 3)
    torch.manual_seed(3)
    z = model.sample(mean, log_variance)
    assert torch.allclose(z, mean + (log_variance / 2).exp() * eps)


def test_the_same_generator_gives_the_same_sample_in_prediction_too() -> None:
    model = VAE().eval()
    images = torch.rand(2, 1, 28, 28)
    first, again, other = (model(images, torch.Generator().manual_seed(seed))[0] for seed in (5, 5, 6))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_the_network_is_the_plain_one_that_everyone_would_write() -> None:
    model = VAE(16)
    w = dict(model.named_parameters())
    images = torch.rand(2, 1, 28, 28)
    f = torch.nn.functional
    x = f.relu(f.conv2d(images, w["encoder.0.weight"], w["encoder.0.bias"], stride=2, padding=1))
    x = f.relu(f.conv2d(x, w["encoder.2.weight"], w["encoder.2.bias"], stride=2, padding=1))
    mean, log_variance = f.linear(x.flatten(1), w["encoder.5.weight"], w["encoder.5.bias"]).split(16, dim=1)
    assert torch.allclose(mean, model.encode(images)[0], atol=1e-6)
    assert torch.allclose(log_variance, model.encode(images)[1], atol=1e-6)
    y = f.linear(mean, w["decoder.0.weight"], w["decoder.0.bias"]).reshape(-1, 64, 7, 7)
    same = {"stride": 2, "padding": 1, "output_padding": 1}
    y = f.relu(f.conv_transpose2d(y, w["decoder.2.weight"], w["decoder.2.bias"], **same))
    y = f.relu(f.conv_transpose2d(y, w["decoder.4.weight"], w["decoder.4.bias"], **same))
    y = torch.sigmoid(f.conv_transpose2d(y, w["decoder.6.weight"], w["decoder.6.bias"], padding=1))
    assert torch.allclose(y, model.decode(mean), atol=1e-6)


def test_any_kind_of_whole_number_is_a_number_of_latents() -> None:
    assert VAE(np.uint8(200)).encode(torch.zeros(1, 1, 28, 28))[0].shape == (1, 200)  # type: ignore[arg-type]
