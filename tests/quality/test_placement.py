from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from vae_core import load_run
from vae_core.data import Dataset
from vae_core.evaluated import Evaluation
from vae_core.inference import Reconstruction, reconstruct_image
from vae_core.latent_space import ClassGaussians
from vae_core.model import VAE
from vae_core.quality.inspection import read_again
from vae_core.quality.placement import Placement, place
from vae_core.run_folder import Run
from vae_core.sketch import to_mnist_form


@pytest.fixture(scope="module")
def model(tiny_run: Path) -> VAE:
    return load_run(tiny_run).model


@pytest.fixture(scope="module")
def measured(tiny_run: Path) -> Evaluation:
    return Run(tiny_run).evaluation()


@pytest.fixture(scope="module")
def seen(model: VAE, dataset: Dataset) -> Reconstruction:
    """Test image 7 through the model."""
    return reconstruct_image(model, dataset.test.images[7] / np.float32(255))


def placed(model: VAE, result: Reconstruction, measured: Evaluation, sampled: bool = False) -> Placement:
    classes = ClassGaussians.fit(measured.means, measured.labels)
    distances = classes.distance_of_likeliest(measured.means)
    return place(model, result, measured, classes, distances, sampled)


def test_a_test_image_stands_where_it_was_measured(
    model: VAE, seen: Reconstruction, measured: Evaluation
) -> None:
    placement = placed(model, seen, measured)
    assert placement.error_rank == pytest.approx(
        (measured.errors_mean < measured.errors_mean[7]).mean(), abs=0.01
    )
    classes = ClassGaussians.fit(measured.means, measured.labels)
    distances = classes.distance_of_likeliest(measured.means)
    assert placement.distance_rank == pytest.approx((distances < distances[7]).mean(), abs=0.01)
    norms = np.linalg.norm(measured.means, axis=1)
    assert placement.outward_rank == pytest.approx((norms < norms[7]).mean(), abs=0.01)
    order = np.argsort(-classes.probabilities(seen.mean[None])[0])
    assert [label for label, _ in placement.likeliest] == [classes.labels[row] for row in order[:2]]
    assert placement.likeliest[0][1] >= placement.likeliest[1][1] > 0
    assert placement.read_as == classes.likeliest(read_again(model, seen.image[None]))[0]


def test_an_error_is_compared_with_those_that_were_measured_in_the_same_way(
    model: VAE, seen: Reconstruction, measured: Evaluation
) -> None:
    apart = replace(measured, errors=measured.errors_mean + 1)
    assert placed(model, seen, apart).error_rank > 0
    classes = ClassGaussians.fit(apart.means, apart.labels)
    by_default = place(model, seen, apart, classes, classes.distance_of_likeliest(apart.means))
    assert by_default == placed(model, seen, apart)
    assert placed(model, seen, apart, sampled=True).error_rank == 0


def test_what_lies_far_out_is_remote_and_what_was_tested_is_not(
    model: VAE, seen: Reconstruction, measured: Evaluation
) -> None:
    assert not placed(model, seen, measured).is_remote
    outside = placed(model, replace(seen, mean=seen.mean + 60), measured)
    assert outside.is_remote
    assert outside.distance_rank == 1


def test_a_dot_is_farther_out_than_nearly_any_digit() -> None:
    """Though its error is small, and though the 8s' own spread may reach as far."""
    run = load_run("reference")
    rows, columns = np.mgrid[:280, :280]
    for radius, row, column in ((8, 60, 200), (14, 140, 140), (20, 220, 90)):
        ink = np.hypot(rows - row, columns - column) <= radius
        result = reconstruct_image(run.model, to_mnist_form(ink).image)
        placement = placed(run.model, result, run.evaluation)
        assert placement.error_rank < 0.95
        assert placement.outward_rank > 0.999
        assert placement.is_remote


def test_a_picture_is_unusual_by_its_error_or_by_its_place(
    model: VAE, seen: Reconstruction, measured: Evaluation
) -> None:
    usual = placed(model, replace(seen, error=float(np.median(measured.errors_mean))), measured)
    badly_made = placed(model, replace(seen, error=1.0), measured)
    outside = placed(model, replace(seen, error=0.0, mean=seen.mean + 60), measured)
    assert (usual.is_unusual, badly_made.is_unusual, outside.is_unusual) == (False, True, True)
    assert not badly_made.is_remote


def test_it_is_its_reconstruction_that_is_read(
    model: VAE, seen: Reconstruction, measured: Evaluation, dataset: Dataset
) -> None:
    """Whatever the picture itself is most like."""
    classes = ClassGaussians.fit(measured.means, measured.labels)
    images = dataset.test.images[:50] / np.float32(255)
    of_each = classes.likeliest(read_again(model, images))
    other = images[np.flatnonzero(of_each != placed(model, seen, measured).read_as)[0]]
    swapped = placed(model, replace(seen, image=other), measured)
    assert swapped.read_as == classes.likeliest(read_again(model, other[None]))[0]
    assert swapped.likeliest == placed(model, seen, measured).likeliest


def test_a_data_set_of_one_class_has_no_second(
    model: VAE, seen: Reconstruction, measured: Evaluation
) -> None:
    one = replace(measured, labels=np.full_like(measured.labels, 4))
    assert placed(model, seen, one).likeliest == ((4, 1.0),)
