"""The Fréchet distance, the classifier it sees with, and the figures of generated images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from vae_core import load_run
from vae_core.data import Dataset, ImageSet, _packaged_sample
from vae_core.mixture import LatentMixture
from vae_core.model import VAE
from vae_core.quality import samples
from vae_core.quality.assessment import encode_images
from vae_core.quality.classifier import read_digits, shipped_classifier
from vae_core.quality.samples import frechet_distance, judge, measure_samples
from vae_core.run_folder import Run


def with_moments(mean: np.ndarray, covariance: np.ndarray, count: int = 400, seed: int = 0) -> np.ndarray:
    """float64 (count, D) whose mean and covariance are exactly these."""
    raw = np.random.default_rng(seed).normal(size=(count, len(mean)))
    white = raw - raw.mean(axis=0)
    white = white @ np.linalg.inv(np.linalg.cholesky(np.cov(white, rowvar=False))).T
    return mean + white @ np.linalg.cholesky(covariance).T


def test_the_distance_of_diagonal_normals_is_known() -> None:
    # Independent dimensions: |m1 - m2|^2 and (s1 - s2)^2 of each dimension.
    first = with_moments(np.array([0.0, 1.0, 2.0]), np.diag([1.0, 4.0, 9.0]))
    second = with_moments(np.array([3.0, 1.0, 2.0]), np.diag([4.0, 4.0, 0.25]), seed=1)
    assert frechet_distance(first, second) == pytest.approx(9 + 1 + 0 + 2.5**2, rel=1e-9)


def test_the_distance_of_any_normals_agrees_with_scipys_matrix_root() -> None:
    from scipy.linalg import sqrtm

    random = np.random.default_rng(2)
    parts = [random.normal(size=(6, 6)) for _ in range(2)]
    covariances = [part @ part.T + 0.1 * np.eye(6) for part in parts]
    means = random.normal(size=(2, 6))
    expected = ((means[0] - means[1]) ** 2).sum() + np.trace(
        covariances[0] + covariances[1] - 2 * sqrtm(covariances[0] @ covariances[1]).real
    )
    first, second = (with_moments(means[i], covariances[i], seed=i) for i in range(2))
    assert frechet_distance(first, second) == pytest.approx(expected, rel=1e-6)
    assert frechet_distance(second, first) == pytest.approx(expected, rel=1e-6)


def test_the_distance_to_itself_is_nothing_even_where_a_feature_never_moves() -> None:
    features = np.random.default_rng(0).normal(size=(50, 4))
    features[:, 2] = 1.5
    assert frechet_distance(features, features) == pytest.approx(0, abs=1e-9)
    assert frechet_distance(features, features + np.array([0, 0, 2, 0])) == pytest.approx(4)


def test_real_digits_are_nearer_to_real_digits_than_noise_is() -> None:
    sample = _packaged_sample()
    real = read_digits(shipped_classifier(), sample.test.images)[0]
    again = judge(real, sample.train.images.astype(np.float32) / 255)
    noise = np.random.default_rng(0).random((500, 28, 28), dtype=np.float32)
    nonsense = judge(real, noise)
    assert again.frechet < 0.2 * nonsense.frechet
    assert again.confident > 0.95
    same = judge(real, sample.test.images.astype(np.float32) / 255)
    assert same.frechet == pytest.approx(0, abs=1e-4)


@pytest.fixture(scope="module")
def model(tiny_run: Path) -> VAE:
    return load_run(tiny_run).model


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fewer generated images, for speed."""
    monkeypatch.setattr(samples, "GENERATED", 300)
    monkeypatch.setattr(samples, "CHUNK", 128)


@pytest.mark.usefixtures("few")
def test_the_figures_are_those_of_images_from_each_sampler(model: VAE) -> None:
    sample = _packaged_sample()
    mixture = LatentMixture.fit(encode_images(model, sample.train.images[:400]), components=3)
    told: list[tuple[int, int]] = []
    figures = measure_samples(model, sample.test, mixture, seed=4, progress=lambda *at: told.append(at))
    real = read_digits(shipped_classifier(), sample.test.images)[0]
    noise = torch.randn(300, 16, generator=torch.Generator().manual_seed(4))
    for name, z in (("prior", noise), ("mixture", torch.from_numpy(mixture.sample(300, 4)))):
        with torch.inference_mode():
            expected = judge(real, model.decode(z)[:, 0].numpy())
        assert figures[f"frechet_{name}"] == pytest.approx(expected.frechet, rel=1e-4)
        assert figures[f"confident_{name}"] == pytest.approx(expected.confident, abs=1 / 300)
    assert figures["frechet_prior"] != figures["frechet_mixture"]
    assert told == sorted(told)
    assert told[-1] == (600, 600)


@pytest.mark.usefixtures("few")
def test_few_test_images_and_a_missing_mixture_are_said(model: VAE) -> None:
    figures = measure_samples(model, _packaged_sample().test)
    assert "500 test images only" in str(figures["samples_note"])
    assert "no mixture" in str(figures["samples_note"])
    assert figures["frechet_mixture"] is figures["confident_mixture"] is None
    assert isinstance(figures["frechet_prior"], float)


def test_other_images_than_mnists_get_no_figures(model: VAE, dataset: Dataset) -> None:
    figures = measure_samples(
        model, dataset.test, LatentMixture.fit(np.random.default_rng(0).normal(size=(99, 16)))
    )
    assert dataset.test.name in str(figures.pop("samples_note"))
    assert set(figures.values()) == {None}


def test_the_shipped_runs_samples_are_as_recorded(real_test_set: ImageSet) -> None:
    loaded = load_run("reference")
    assert loaded.evaluation is not None
    run = Run(loaded.info.folder)
    again = measure_samples(loaded.model, real_test_set, run.required_mixture())
    assert again["frechet_prior"] == pytest.approx(loaded.evaluation.frechet_prior, rel=0.01)
    assert again["frechet_mixture"] == pytest.approx(loaded.evaluation.frechet_mixture, rel=0.01)
