"""Decoding, reconstructing and generating with a trained model."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from vae_core import load_run
from vae_core.errors import LatentError, PictureError
from vae_core.inference import (
    check_latents,
    decode_latents,
    nearest_errors,
    nearest_image,
    posterior_samples,
    reconstruct_image,
    sample_latents,
)
from vae_core.latent_space import ClassGaussians
from vae_core.mixture import LatentMixture
from vae_core.model import VAE


@pytest.fixture(scope="module")
def model(tiny_run: Path) -> VAE:
    return load_run(tiny_run).model


@given(
    st.lists(
        st.floats() | st.integers() | st.text(max_size=3) | st.none() | st.lists(st.floats()), max_size=4
    )
)
def test_only_k_finite_numbers_are_a_latent_vector(values: list[Any]) -> None:
    try:
        vector = check_latents(values, 3)
    except LatentError:
        return
    assert vector.shape == (3,)
    assert np.isfinite(vector).all()


@pytest.mark.parametrize(
    "values",
    [
        [0.0, 0.0],
        [0.0] * 4,
        [[0.0] * 3],
        [0, 0, 100.1],
        [0, 0, float("nan")],
        [0, 0, 10**400],
        [0, 0, "x"],
        7,
    ],
    ids=str,
)
def test_a_wrong_latent_vector_is_refused_with_what_was_expected(values: Any) -> None:
    with pytest.raises(LatentError, match="expected 3 numbers from -100 to 100"):
        check_latents(values, 3)


def test_the_largest_latents_are_taken_as_they_are() -> None:
    assert check_latents([-100, "2.5", 100.0], 3).tolist() == [-100.0, 2.5, 100.0]


def test_what_is_generated_follows_from_the_seed(model: VAE) -> None:
    first, again, other = (sample_latents(16, 7, seed) for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    z = torch.randn(7, 16, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        assert np.allclose(decode_latents(model, first), model.decode(z)[:, 0].numpy())


def test_a_reconstruction_reports_its_own_error(model: VAE) -> None:
    image = np.random.default_rng(0).random((28, 28)).astype(np.float32)
    result = reconstruct_image(model, image)
    assert result.error == pytest.approx(float(((result.image - image) ** 2).mean()), rel=1e-4)
    kl = 0.5 * (np.exp(result.log_variance) + result.mean**2 - 1 - result.log_variance)
    assert result.kl == pytest.approx(kl, abs=1e-5)


def test_samples_of_the_posterior_have_its_mean_and_spread(model: VAE) -> None:
    result = reconstruct_image(model, np.random.default_rng(1).random((28, 28)).astype(np.float32))
    z = posterior_samples(model, result, 20_000, seed=3)
    spread = np.exp(0.5 * result.log_variance)
    assert np.abs((z.mean(axis=0) - result.mean) / spread).max() < 0.05
    assert z.std(axis=0) == pytest.approx(spread, rel=0.05)
    assert np.array_equal(z, posterior_samples(model, result, 20_000, seed=3))


@pytest.mark.parametrize(
    ("image", "told"),
    [
        (np.full((28, 28), 255, np.uint8), "from 255 to 255"),
        (np.full((28, 28), np.nan), "from nan to nan"),
        (np.full((28, 28), -0.01), "from -0.01 to -0.01"),
        (np.zeros((20, 28)), "of shape (20, 28)"),
        (np.zeros((1, 28, 28)), "of shape (1, 28, 28)"),
    ],
)
def test_what_is_no_image_from_0_to_1_is_not_reconstructed(model: VAE, image: np.ndarray, told: str) -> None:
    with pytest.raises(
        PictureError, match=rf"^expected an image of 28x28 numbers from 0 to 1, not {re.escape(told)}$"
    ):
        reconstruct_image(model, image)


def test_temperature_scales_the_noise() -> None:
    warm, cool = sample_latents(16, 5, 0), sample_latents(16, 5, 0, temperature=0.5)
    assert cool == pytest.approx(0.5 * warm)


def test_vectors_of_a_mixture() -> None:
    mixture = LatentMixture.fit(np.random.default_rng(0).normal(2, 0.5, (200, 16)), components=2)
    z = sample_latents(16, 6, 3, temperature=0.5, mixture=mixture)
    assert np.array_equal(z, mixture.sample(6, 3, 0.5))
    with pytest.raises(LatentError, match="a mixture of 16 latents; expected 2"):
        sample_latents(2, 6, 3, mixture=mixture)
    with pytest.raises(LatentError, match="a class or the mixture"):
        sample_latents(16, 6, 3, label=1, mixture=mixture)


def test_vectors_of_a_class_are_likeliest_in_it() -> None:
    random = np.random.default_rng(0)
    means = np.concatenate([random.normal(-4, 1, (50, 3)), random.normal(4, 1, (50, 3))])
    classes = ClassGaussians.fit(means, np.repeat([1, 8], 50).astype(np.uint8))
    z = sample_latents(3, 100, 0, classes=classes, label=8)
    assert (classes.likeliest(z) == 8).all()
    assert sample_latents(3, 4, 0, 0.0, classes, 8) == pytest.approx(np.tile(classes.means[1], (4, 1)))
    with pytest.raises(LatentError, match="knows no class 2; it knows 1, 8"):
        sample_latents(3, 1, 0, classes=classes, label=2)


def test_vectors_of_numpys_own_kind_are_decoded(model: VAE) -> None:
    z = np.random.default_rng(0).normal(size=(2, 16))
    assert z.dtype == np.float64
    assert np.array_equal(decode_latents(model, z), decode_latents(model, z.astype(np.float32)))
    with pytest.raises(
        ValueError, match=r"expected latent vectors as float \(N, 16\), not torch\.float32 \(2, 15\)"
    ):
        decode_latents(model, z[:, :15])
    for value in (np.nan, np.inf):
        with pytest.raises(ValueError, match="expected latent vectors of finite numbers"):
            decode_latents(model, np.full((2, 16), value))


def test_a_run_is_not_taken_for_its_model(tiny_run: Path) -> None:
    run = load_run(tiny_run)
    for use, values in ((decode_latents, np.zeros((1, 16))), (reconstruct_image, np.zeros((28, 28)))):
        with pytest.raises(TypeError, match=r"model must be of type Module, not LoadedRun; use its \.model"):
            use(run, values)


def test_what_is_no_picture_is_refused(model: VAE) -> None:
    with pytest.raises(
        PictureError, match=r"expected an image of 28x28 numbers from 0 to 1, not 'digit\.png'"
    ):
        reconstruct_image(model, "digit.png")  # type: ignore[arg-type]


def test_the_nearest_image_is_the_one_of_least_squared_distance() -> None:
    images = np.random.default_rng(0).integers(0, 256, (6001, 28, 28), dtype=np.uint8)
    target = images[6000] / 255 * 0.9
    errors = ((images / 255 - target) ** 2).mean(axis=(1, 2))
    found = nearest_image(target, images)
    assert found.index == errors.argmin() == 6000
    assert found.error == pytest.approx(errors[6000], rel=1e-5)


def test_each_image_has_its_own_nearest() -> None:
    random = np.random.default_rng(0)
    others = random.integers(0, 256, (6001, 28, 28), dtype=np.uint8)
    images = random.random((30, 28, 28), dtype=np.float32)
    images[3] = others[6000] / np.float32(255) * 0.99
    expected = [nearest_image(image, others).error for image in images]
    assert nearest_errors(images, others) == pytest.approx(expected, rel=5e-3)


def test_a_reconstruction_is_decoded_from_the_mean_or_from_a_sample(model: VAE) -> None:
    image = np.random.default_rng(0).random((28, 28)).astype(np.float32)
    by_mean, by_sample = reconstruct_image(model, image), reconstruct_image(model, image, seed=5)
    assert np.array_equal(by_mean.z, by_mean.mean)
    assert np.array_equal(by_sample.mean, by_mean.mean)
    assert not np.array_equal(by_sample.z, by_mean.z)
    assert by_sample.image == pytest.approx(decode_latents(model, by_sample.z[None])[0], abs=1e-6)
