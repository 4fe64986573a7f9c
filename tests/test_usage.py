from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from vae_core import load_run
from vae_core.errors import LatentError
from vae_core.model import VAE
from vae_core.pictures import png_bytes, square_tiles, tile, to_grey
from vae_core.usage import check_latents, generate_images, reconstruct_image


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


def test_generated_images_follow_from_the_seed(model: VAE) -> None:
    first, again, other = (generate_images(model, 7, seed) for seed in (1, 1, 2))
    assert first.shape == (7, 28, 28)
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    z = torch.randn(7, 16, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        assert np.allclose(first, model.decode(z)[:, 0].numpy())


def test_a_reconstruction_reports_its_own_error(model: VAE) -> None:
    image = np.random.default_rng(0).random((28, 28)).astype(np.float32)
    result = reconstruct_image(model, image)
    assert result.error == pytest.approx(float(((result.image - image) ** 2).mean()), rel=1e-4)
    kl = 0.5 * (np.exp(result.log_variance) + result.mean**2 - 1 - result.log_variance)
    assert result.kl == pytest.approx(kl, abs=1e-5)


def test_tiles_stand_in_rows() -> None:
    images = np.arange(1, 6, dtype=np.uint8)[:, None, None] * np.ones((1, 2, 2), np.uint8)
    picture = tile(images, columns=3, gap=1)
    assert picture.shape == (5, 8)
    assert picture[0, [0, 3, 6]].tolist() == [1, 2, 3]
    assert picture[3, [0, 3, 6]].tolist() == [4, 5, 0]
    assert picture[2].any() == picture[:, 2].any() == False  # noqa: E712


@pytest.mark.parametrize(
    ("count", "shape"), [(1, (28, 28)), (2, (28, 58)), (64, (238, 238)), (400, (598, 598))]
)
def test_generated_pictures_are_about_square(count: int, shape: tuple[int, int]) -> None:
    assert square_tiles(np.zeros((count, 28, 28))).shape == shape


def test_png_files_hold_the_very_pixels() -> None:
    grey = to_grey(np.linspace(-0.2, 1.2, 28 * 28).reshape(28, 28))
    assert grey.min() == 0
    assert grey.max() == 255
    for scale in (1, 3):
        read = np.asarray(Image.open(io.BytesIO(png_bytes(grey, scale))))
        assert np.array_equal(read[::scale, ::scale], grey)
        assert read.shape == (28 * scale, 28 * scale)
