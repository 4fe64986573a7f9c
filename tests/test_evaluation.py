from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file

from vae_core import evaluation, load_run
from vae_core.data import Dataset, ImageSet
from vae_core.evaluation import baselines, evaluate, importance_weighted_bound
from vae_core.model import VAE
from vae_core.run_record import SHIPPED_RUNS


@pytest.fixture(scope="module")
def model(tiny_run: Path) -> VAE:
    return load_run(tiny_run).model


def test_errors_agree_with_a_few_independent_lines(model: VAE, dataset: Dataset) -> None:
    measured = evaluate(model, dataset.test)
    x = torch.tensor(np.array(dataset.test.images)).float()[:, None] / 255
    with torch.no_grad():
        mean, log_variance = model.encode(x)
        y = model.decode(mean)
    expected = ((y - x) ** 2).flatten(1).mean(1).numpy()
    assert len(measured.errors_mean) == 205
    assert np.abs(measured.errors_mean - expected).max() < 1e-5
    assert measured.total_mean - measured.kl == pytest.approx(392 * expected.mean(), rel=1e-4)
    kl = -0.5 * (1 + log_variance - mean**2 - log_variance.exp())
    assert measured.kl == pytest.approx(kl.sum(1).mean().item(), rel=1e-4)
    assert measured.kl_per_dimension == pytest.approx(kl.mean(0).numpy(), rel=1e-3, abs=1e-5)
    assert measured.total == pytest.approx(392 * measured.errors.mean() + measured.kl, rel=1e-5)
    third = mean[torch.tensor(dataset.test.labels == 3)].mean(0).numpy()
    assert measured.class_means[3] == pytest.approx(third, abs=1e-4)
    assert measured.variance_of_mean == pytest.approx(mean.var(0, correction=0).numpy(), rel=1e-3)
    assert measured.active_units == int((mean.var(0, correction=0) > 0.01).sum())


def errors_from_the_weights(weights: dict[str, torch.Tensor], images: np.ndarray) -> np.ndarray:
    """The per-image error, decoded from the mean, by the reference's recipe and nothing of ours."""
    w = {name: tensor.contiguous() for name, tensor in weights.items()}
    x = torch.tensor(np.array(images)).float().unsqueeze(1) / 255
    h = torch.relu(F.conv2d(x, w["encoder.0.weight"], w["encoder.0.bias"], stride=2, padding=1))
    h = torch.relu(F.conv2d(h, w["encoder.2.weight"], w["encoder.2.bias"], stride=2, padding=1))
    h = h.flatten(1) @ w["encoder.5.weight"].T + w["encoder.5.bias"]
    h = h[:, : h.shape[1] // 2] @ w["decoder.0.weight"].T + w["decoder.0.bias"]
    h = h.reshape(-1, 64, 7, 7)
    for layer, stride in (("decoder.2", 2), ("decoder.4", 2), ("decoder.6", 1)):
        h = F.conv_transpose2d(h, w[f"{layer}.weight"], w[f"{layer}.bias"], stride, 1, stride - 1)
        h = torch.sigmoid(h) if layer == "decoder.6" else torch.relu(h)
    return ((h - x) ** 2).mean((1, 2, 3)).numpy()


def test_stored_errors_agree_with_the_weights(tiny_run: Path, dataset: Dataset) -> None:
    stored = load_run(tiny_run).evaluation
    assert stored is not None
    errors = errors_from_the_weights(load_file(tiny_run / "model.safetensors"), dataset.test.images)
    assert np.abs(stored.errors_mean - errors).max() < 1e-3
    assert np.abs(np.sort(stored.errors_mean) - np.sort(errors)).max() < 1e-5


@pytest.mark.parametrize("run", SHIPPED_RUNS)
def test_the_shipped_errors_agree_with_the_shipped_weights(real_test_set: ImageSet, run: str) -> None:
    from vae_core.runs import find_run

    found, images = find_run(run, "checkpoints"), real_test_set.images[::20]
    stored = found.evaluation()
    assert stored is not None
    errors = errors_from_the_weights(load_file(found.folder / "model.safetensors"), images)
    assert np.abs(stored.errors_mean[::20] - errors).max() < 1e-3


def test_a_latent_is_active_if_its_mean_varies_by_more_than_a_hundredth(dataset: Dataset) -> None:
    class OneLevel(VAE):
        """Each latent's mean is the image's first pixel, 0 or 1, times a number of its own."""

        def encode(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            mean = images[:, :, 0, 0] * torch.tensor([0.1, 0.19, 0.21, 2.0])
            return mean, torch.zeros_like(mean)

    images = np.zeros((10, 28, 28), np.uint8)
    images[::2, 0, 0] = 255  # a variance of a quarter
    measured = evaluate(OneLevel(4).eval(), ImageSet(images, np.zeros(10, np.uint8), "half", "half"))
    assert measured.variance_of_mean == pytest.approx(np.array([0.01, 0.0361, 0.0441, 4.0]) / 4, rel=1e-5)
    assert measured.active_units == 2
    assert measured.kl == pytest.approx(0.25 * (0.01 + 0.0361 + 0.0441 + 4.0), rel=1e-5)  # m²/2, half of them


def test_the_noise_is_seeded(model: VAE, dataset: Dataset) -> None:
    first, again, other = (evaluate(model, dataset.test, seed=seed).errors for seed in (0, 0, 1))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize("likelihood", ["bernoulli", "calibrated"])
def test_the_loss_is_under_the_models_own_likelihood(model: VAE, dataset: Dataset, likelihood: str) -> None:
    from vae_core.loss import reconstruction_loss

    measured = evaluate(model, dataset.test, likelihood)
    x = torch.tensor(np.array(dataset.test.images)).float()[:, None] / 255
    with torch.no_grad():
        y = model.decode(model.encode(x)[0])
    assert measured.reconstruction_mean == pytest.approx(
        reconstruction_loss(y, x, likelihood).item(), rel=1e-4
    )


def test_a_class_without_images_has_no_mean(model: VAE, dataset: Dataset) -> None:
    kept = dataset.test.labels != 4
    images = replace(dataset.test, images=dataset.test.images[kept], labels=dataset.test.labels[kept])
    means = evaluate(model, images).class_means
    assert np.isnan(means[4]).all()
    assert np.isfinite(means[[0, 1, 2, 3, 5, 6, 7, 8, 9]]).all()


def test_batches_do_not_show_in_the_figures(
    model: VAE, dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = evaluate(model, dataset.test)
    monkeypatch.setattr(evaluation, "BATCH", 40)  # five, and a partial one of five images
    told: list[int] = []
    parts = evaluate(model, dataset.test, progress=lambda done, count, step="": told.append(done))
    assert told == [40, 80, 120, 160, 200, 205]
    assert len(parts.errors) == 205
    assert np.abs(parts.errors_mean - whole.errors_mean).max() < 1e-6
    assert parts.kl == pytest.approx(whole.kl, rel=1e-6)
    assert parts.total == pytest.approx(whole.total, rel=0.02)  # the noise falls otherwise


def test_beta_weighs_the_total_alone(model: VAE, dataset: Dataset) -> None:
    one, four = evaluate(model, dataset.test), evaluate(model, dataset.test, beta=4.0)
    assert (four.reconstruction, four.kl) == (one.reconstruction, one.kl)
    assert four.total == pytest.approx(one.reconstruction + 4 * one.kl)
    assert four.total_mean == pytest.approx(one.reconstruction_mean + 4 * one.kl)


@pytest.mark.parametrize("likelihood", ["gaussian", "bernoulli", "calibrated"])
def test_the_bound_is_the_likelihood_where_that_can_be_integrated(dataset: Dataset, likelihood: str) -> None:
    torch.manual_seed(3)
    model = VAE(latent_dim=1).eval()
    image = replace(dataset.test, images=dataset.test.images[:1], labels=dataset.test.labels[:1])
    x = torch.tensor(np.array(image.images)).float()[:, None] / 255
    grid = torch.linspace(-8, 8, 801)[:, None]
    with torch.no_grad():
        y = model.decode(grid).double()
    squared = (y - x).square().sum((1, 2, 3))
    log_likelihood = {
        "gaussian": -0.5 * squared,
        "bernoulli": (x * y.log() + (1 - x) * (1 - y).log()).sum((1, 2, 3)),
        "calibrated": -0.5 * squared / 0.25 - 392 * math.log(2 * math.pi * 0.25),
    }[likelihood]
    log_joint = log_likelihood - 0.5 * grid[:, 0].double() ** 2 - 0.5 * math.log(2 * math.pi)
    exact = -(torch.logsumexp(log_joint, 0) + math.log(16 / 800)).item()
    bound = importance_weighted_bound(model, image, likelihood, variance=0.25, samples=1000)
    assert bound == pytest.approx(exact, abs=0.02)


def test_the_bound_is_tighter_than_the_elbo(model: VAE, dataset: Dataset) -> None:
    few = ImageSet(dataset.test.images[:20], dataset.test.labels[:20], "few", "few")
    elbo = np.mean([evaluate(model, few, seed=seed).total for seed in range(20)])
    bounds = [importance_weighted_bound(model, few, samples=samples) for samples in (1, 20, 100)]
    assert bounds[2] < bounds[1] < elbo
    assert bounds[0] == pytest.approx(elbo, rel=0.05)


def test_the_baselines_are_the_mean_image_and_pca(dataset: Dataset) -> None:
    train = dataset.train.images.reshape(700, -1) / 255
    test = dataset.test.images.reshape(205, -1) / 255
    mean_image, pca = baselines(dataset.train.images, dataset.test.images, components=5)
    assert mean_image == pytest.approx(((test - train.mean(0)) ** 2).mean(), rel=1e-4)
    _, _, rows = np.linalg.svd(train - train.mean(0), full_matrices=False)
    centred = test - train.mean(0)
    assert pca == pytest.approx(((centred - centred @ rows[:5].T @ rows[:5]) ** 2).mean(), rel=1e-3)


@pytest.mark.parametrize("count", [1, 6])
def test_of_few_images_pca_has_no_more_components_than_there_are(dataset: Dataset, count: int) -> None:
    few, test = dataset.train.images[:count], dataset.test.images.reshape(205, -1) / 255
    pixels = few.reshape(count, -1) / 255
    _, _, rows = np.linalg.svd(pixels - pixels.mean(0), full_matrices=False)
    centred = test - pixels.mean(0)
    expected = ((centred - centred @ rows[: count - 1].T @ rows[: count - 1]) ** 2).mean()
    assert baselines(few, dataset.test.images, components=16).pca == pytest.approx(expected, rel=1e-3)


def test_the_shipped_reference_is_as_good_as_its_record(real_test_set: ImageSet) -> None:
    loaded = load_run("reference")
    assert loaded.evaluation is not None
    again = evaluate(loaded.model, real_test_set)
    assert again.total == pytest.approx(loaded.evaluation.total, abs=1e-3)
    assert again.total <= 18.62
    assert np.abs(again.errors_mean - loaded.evaluation.errors_mean).max() <= 1e-4


def test_what_is_no_model_or_images_is_refused_by_its_type(dataset: Dataset) -> None:
    with pytest.raises(TypeError, match="images must be of type ImageSet, not ndarray"):
        evaluate(VAE(), dataset.test.images)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"model must be of type Module, not LoadedRun; use its \.model"):
        evaluate(load_run("reference"), dataset.test)  # type: ignore[arg-type]


def test_a_likelihood_that_is_none_is_refused_and_not_taken_for_another(dataset: Dataset) -> None:
    for measure in (evaluate, importance_weighted_bound):
        with pytest.raises(ValueError, match="must be gaussian, bernoulli or calibrated, not 'gauss'"):
            measure(VAE(), dataset.test, likelihood="gauss")
