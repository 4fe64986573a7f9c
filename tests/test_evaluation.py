from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from vae_core import load_run
from vae_core.data import Dataset, ImageSet
from vae_core.evaluation import baselines, evaluate, importance_weighted_bound
from vae_core.model import VAE


@pytest.fixture(scope="module")
def model(tiny_run: Path) -> VAE:
    return load_run(tiny_run).model


def test_errors_agree_with_a_few_independent_lines(model: VAE, dataset: Dataset) -> None:
    evaluation = evaluate(model, dataset.test)
    x = torch.tensor(np.array(dataset.test.images)).float()[:, None] / 255
    with torch.no_grad():
        mean, log_variance = model.encode(x)
        y = model.decode(mean)
    expected = ((y - x) ** 2).flatten(1).mean(1).numpy()
    assert len(evaluation.errors_mean) == 205
    assert np.abs(evaluation.errors_mean - expected).max() < 1e-5
    assert evaluation.total_mean - evaluation.kl == pytest.approx(392 * expected.mean(), rel=1e-4)
    kl = -0.5 * (1 + log_variance - mean**2 - log_variance.exp())
    assert evaluation.kl == pytest.approx(kl.sum(1).mean().item(), rel=1e-4)
    assert evaluation.kl_per_dimension == pytest.approx(kl.mean(0).numpy(), rel=1e-3, abs=1e-5)
    assert evaluation.total == pytest.approx(392 * evaluation.errors.mean() + evaluation.kl, rel=1e-5)
    third = mean[torch.tensor(dataset.test.labels == 3)].mean(0).numpy()
    assert evaluation.class_means[3] == pytest.approx(third, abs=1e-4)
    assert evaluation.active_units == int((mean.var(0, correction=0) > 0.01).sum())


def test_the_noise_is_seeded(model: VAE, dataset: Dataset) -> None:
    first, again, other = (evaluate(model, dataset.test, seed=seed).errors for seed in (0, 0, 1))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize("likelihood", ["bernoulli", "calibrated"])
def test_the_loss_is_under_the_models_own_likelihood(model: VAE, dataset: Dataset, likelihood: str) -> None:
    from vae_core.loss import reconstruction_loss

    evaluation = evaluate(model, dataset.test, likelihood)
    x = torch.tensor(np.array(dataset.test.images)).float()[:, None] / 255
    with torch.no_grad():
        y = model.decode(model.encode(x)[0])
    assert evaluation.reconstruction_mean == pytest.approx(
        reconstruction_loss(y, x, likelihood).item(), rel=1e-4
    )


def test_a_class_without_images_has_no_mean(model: VAE, dataset: Dataset) -> None:
    kept = dataset.test.labels != 4
    images = replace(dataset.test, images=dataset.test.images[kept], labels=dataset.test.labels[kept])
    means = evaluate(model, images).class_means
    assert np.isnan(means[4]).all()
    assert np.isfinite(means[[0, 1, 2, 3, 5, 6, 7, 8, 9]]).all()


def test_the_bound_is_the_likelihood_where_that_can_be_integrated(dataset: Dataset) -> None:
    torch.manual_seed(3)
    model = VAE(latent_dim=1).eval()
    image = replace(dataset.test, images=dataset.test.images[:1], labels=dataset.test.labels[:1])
    x = torch.tensor(np.array(image.images)).float()[:, None] / 255
    grid = torch.linspace(-8, 8, 4001)[:, None]
    with torch.no_grad():
        squared = (model.decode(grid) - x).square().sum((1, 2, 3)).double()
    log_joint = -0.5 * squared - 0.5 * grid[:, 0].double() ** 2 - 0.5 * math.log(2 * math.pi)
    exact = -(torch.logsumexp(log_joint, 0) + math.log(16 / 4000)).item()
    bound = importance_weighted_bound(model, image, samples=5000)
    assert bound == pytest.approx(exact, abs=0.01)


def test_the_bound_is_tighter_than_the_elbo(model: VAE, dataset: Dataset) -> None:
    few = ImageSet(dataset.test.images[:20], dataset.test.labels[:20], "few", "few")
    elbo = np.mean([evaluate(model, few, seed=seed).total for seed in range(20)])
    bounds = [importance_weighted_bound(model, few, samples=samples) for samples in (1, 20, 500)]
    assert bounds[2] < bounds[1] < elbo
    assert bounds[0] == pytest.approx(elbo, rel=0.05)


def test_the_baselines_are_the_mean_image_and_pca(dataset: Dataset) -> None:
    train = dataset.train.images.reshape(700, -1) / 255
    test = dataset.test.images.reshape(205, -1) / 255
    mean_image, pca = baselines(dataset.train, dataset.test, components=5)
    assert mean_image == pytest.approx(((test - train.mean(0)) ** 2).mean(), rel=1e-4)
    _, _, rows = np.linalg.svd(train - train.mean(0), full_matrices=False)
    centred = test - train.mean(0)
    assert pca == pytest.approx(((centred - centred @ rows[:5].T @ rows[:5]) ** 2).mean(), rel=1e-3)


def test_the_shipped_reference_is_as_good_as_its_record(real_mnist: Path) -> None:
    from vae_core import load_mnist

    loaded = load_run("reference")
    assert loaded.evaluation is not None
    again = evaluate(loaded.model, load_mnist("test", real_mnist))
    assert again.total == pytest.approx(loaded.evaluation.total, abs=1e-3)
    assert again.total <= 18.62
    assert again.errors_mean == pytest.approx(loaded.evaluation.errors_mean, abs=1e-4)
