from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from vae_core import evaluation, load_run
from vae_core.data import Dataset
from vae_core.evaluation import evaluate
from vae_core.model import VAE
from vae_core.quality.inspection import (
    choose,
    confusion,
    encode_again,
    errors_by_class,
    evaluation_noise,
    inspect,
    read_again,
)

ERRORS = np.array([0.4, 0.1, 0.3, 0.2, 0.9])
LABELS = np.array([0, 1, 0, 1, 1], np.uint8)


@pytest.fixture(scope="module")
def model(tiny_run: Path) -> VAE:
    return load_run(tiny_run).model


def test_images_are_chosen_by_error_and_class_in_their_order() -> None:
    assert choose(ERRORS).tolist() == [1, 3, 2, 0, 4]
    assert choose(ERRORS, order="falling").tolist() == [4, 0, 2, 3, 1]
    assert choose(ERRORS, order="typical").tolist()[0] == 2  # the median itself
    assert choose(ERRORS, low=0.2, high=0.4).tolist() == [3, 2, 0]
    assert choose(ERRORS, groups=((LABELS, 1),)).tolist() == [1, 3, 4]
    assert choose(ERRORS, low=0.15, groups=((LABELS, None), (LABELS, 0))).tolist() == [2, 0]
    assert choose(ERRORS, low=0.5, high=0.8).tolist() == []


def test_images_are_chosen_by_what_another_model_gains() -> None:
    others = ERRORS + np.array([0.1, -0.05, 0, 0.3, -0.4])
    assert choose(ERRORS, order="better", others=others).tolist() == [4, 1]
    assert choose(ERRORS, order="worse", others=others).tolist() == [3, 0]
    assert choose(ERRORS, order="worse", others=others, groups=((LABELS, 1),)).tolist() == [3]
    assert choose(ERRORS, order="better", others=ERRORS).tolist() == []
    with pytest.raises(ValueError, match="compares two models: expected the errors of both"):
        choose(ERRORS, order="worse")


@given(st.lists(st.integers(0, 2**20), min_size=1, max_size=60), st.integers(1, 20))
def test_neighbouring_bins_share_out_all_images(values: list[int], bins: int) -> None:
    errors = np.array(values) / 2**20
    counts, edges = np.histogram(errors, bins)
    chosen = [choose(errors, low, high) for low, high in itertools.pairwise(edges)]
    assert set(np.concatenate(chosen)) == set(range(len(errors)))
    on_an_edge = np.isin(errors, edges[1:-1]).sum()
    assert sum(map(len, chosen)) == counts.sum() + on_an_edge


def test_the_noise_is_that_of_the_evaluation(
    model: VAE, dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evaluation, "BATCH", 40)  # the last batch is a partial one of five images
    measured = evaluate(model, dataset.test, seed=5)
    noise = evaluation_noise(len(dataset.test), model.latent_dim, seed=5)
    chosen = np.array([3, 150, 204])
    seen = inspect(model, dataset.test.images[chosen], noise[chosen])
    assert seen.errors == pytest.approx(measured.errors[chosen], abs=1e-6)
    assert np.abs(seen.z - seen.means).max() > 0.01


def test_an_image_is_inspected_as_the_model_sees_it(model: VAE, dataset: Dataset) -> None:
    seen = inspect(model, dataset.test.images[:7])
    x = torch.tensor(np.array(dataset.test.images[:7])).float()[:, None] / 255
    with torch.no_grad():
        mean, log_variance = model.encode(x)
        y = model.decode(mean)
    assert np.array_equal(seen.images, x[:, 0].numpy())
    assert seen.reconstructions == pytest.approx(y[:, 0].numpy(), abs=1e-6)
    assert seen.errors == pytest.approx(((y - x) ** 2).flatten(1).mean(1).numpy(), rel=1e-5)
    assert seen.means == pytest.approx(seen.z)
    assert seen.deviations == pytest.approx(log_variance.exp().sqrt().numpy(), rel=1e-5)


@pytest.mark.parametrize("sampled", [False, True])
def test_reconstructions_are_encoded_again_in_the_order_of_the_images(
    model: VAE, dataset: Dataset, monkeypatch: pytest.MonkeyPatch, sampled: bool
) -> None:
    noise = evaluation_noise(205, model.latent_dim, 0) if sampled else None
    whole = inspect(model, dataset.test.images, noise)
    monkeypatch.setattr(evaluation, "BATCH", 60)
    told: list[tuple[int, int]] = []
    again = encode_again(model, dataset.test, noise, lambda done, count: told.append((done, count)))
    assert again == pytest.approx(read_again(model, whole.reconstructions), abs=1e-5)
    assert told == [(60, 205), (120, 205), (180, 205), (205, 205)]


def test_a_model_that_changes_nothing_confuses_as_it_read_before(dataset: Dataset) -> None:
    class Copying(VAE):
        """Its latents are pixels, its decoder gives them back."""

        def __init__(self) -> None:
            super().__init__(784)

        def encode(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            return images.flatten(1), torch.zeros(len(images), 784)

        def decode(self, z: torch.Tensor) -> torch.Tensor:
            return z.reshape(-1, 1, 28, 28)

    few = replace(dataset.test, images=dataset.test.images[:9], labels=dataset.test.labels[:9])
    assert np.array_equal(encode_again(Copying(), few), few.images.reshape(9, -1) / np.float32(255))
    assert inspect(Copying(), few.images).errors.max() == 0


def test_each_class_has_its_own_errors() -> None:
    rows = errors_by_class(ERRORS, LABELS)
    assert [(row.label, row.images) for row in rows] == [(0, 2), (1, 3)]
    assert rows[0].mean == pytest.approx(0.35)
    assert (rows[1].q1, rows[1].median, rows[1].q3) == pytest.approx((0.15, 0.2, 0.55))
    assert rows[1].p5 == pytest.approx(0.11)
    assert rows[1].p95 == pytest.approx(0.83)


def test_the_table_counts_what_is_read_as_what() -> None:
    table = confusion(LABELS, np.array([0, 1, 2, 2, 2], np.uint8), 3)
    assert table.tolist() == [[1, 0, 1], [0, 1, 2], [0, 0, 0]]
