"""A Gaussian mixture in latent space: fitted, sampled, kept."""

from __future__ import annotations

import io
import subprocess
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vae_core.errors import RunError
from vae_core.mixture import LatentMixture

TWO = LatentMixture(
    weights=np.array([0.25, 0.75], np.float32),
    means=np.array([[-10, 0], [10, 2]], np.float32),
    factors=np.array([[[1, 0], [0, 1]], [[2, 0], [1, 0.5]]], np.float32),
)
CONTENT = TWO.to_bytes()


def with_arrays(**changes: np.ndarray | None) -> bytes:
    arrays = {"weights": TWO.weights, "means": TWO.means, "factors": TWO.factors} | changes
    buffer = io.BytesIO()
    np.savez(buffer, **{name: array for name, array in arrays.items() if array is not None})
    return buffer.getvalue()


def test_samples_have_each_components_share_mean_and_covariance() -> None:
    z = TWO.sample(200_000, seed=1)
    assert z.shape == (200_000, 2)
    assert z.dtype == np.float32
    # The components lie twenty apart: nearly every vector is nearer to its own.
    second = np.linalg.norm(z - TWO.means[1], axis=1) < np.linalg.norm(z - TWO.means[0], axis=1)
    assert second.mean() == pytest.approx(0.75, abs=0.005)
    assert z[~second].mean(axis=0) == pytest.approx([-10, 0], abs=0.05)
    assert z.mean(axis=0) == pytest.approx([5, 1.5], abs=0.1)
    # Total covariance: within, 0.25 I + 0.75 L L', and between, 0.25 * 0.75 d d' with d = (20, 2).
    within = 0.25 * np.eye(2) + 0.75 * np.array([[4, 2], [2, 1.25]])
    between = 0.1875 * np.outer([20, 2], [20, 2])
    assert np.cov(z, rowvar=False) == pytest.approx(within + between, abs=0.5)


def test_samples_follow_from_the_seed_and_temperature_shrinks_them_to_the_means() -> None:
    assert np.array_equal(TWO.sample(50, 3), TWO.sample(50, 3))
    assert not np.array_equal(TWO.sample(50, 3), TWO.sample(50, 4))
    still = TWO.sample(50, 3, temperature=0.0)
    assert {tuple(row) for row in still.tolist()} == {(-10.0, 0.0), (10.0, 2.0)}


def test_a_fit_finds_the_mixture_its_data_came_from() -> None:
    fitted = LatentMixture.fit(TWO.sample(10_000, seed=5), components=2)
    order = np.argsort(fitted.means[:, 0])
    assert fitted.weights[order] == pytest.approx([0.25, 0.75], abs=0.02)
    assert fitted.means[order] == pytest.approx(TWO.means, abs=0.1)
    covariances = fitted.factors @ fitted.factors.transpose(0, 2, 1)
    assert covariances[order][1] == pytest.approx(np.array([[4, 2], [2, 1.25]]), abs=0.2)


def test_one_component_is_the_mean_and_covariance_of_the_data() -> None:
    data = np.random.default_rng(0).normal(size=(500, 3)) @ np.diag([1.0, 2.0, 0.1]) + 4
    fitted = LatentMixture.fit(data, components=1)
    assert fitted.means[0] == pytest.approx(data.mean(axis=0), abs=1e-4)
    covariance = fitted.factors[0] @ fitted.factors[0].T
    assert covariance == pytest.approx(np.cov(data, rowvar=False, bias=True), abs=1e-4)


@pytest.mark.parametrize(("encodings", "components"), [(2, 1), (39, 1), (40, 2), (400, 20), (5000, 50)])
def test_few_encodings_make_few_components(encodings: int, components: int) -> None:
    data = np.random.default_rng(0).normal(size=(encodings, 2))
    fitted = LatentMixture.fit(data)
    assert len(fitted.weights) == components
    assert fitted.weights.sum() == pytest.approx(1, abs=1e-5)


def test_encodings_that_lie_far_apart_have_a_mixture_too() -> None:
    random = np.random.default_rng(0)
    far = 1e6 * random.standard_normal((200, 3)) * [1, 1, 1e-9]  # as of a model without a KL term
    samples = LatentMixture.fit(far).sample(1000, 0)
    assert samples.std(axis=0) == pytest.approx(far.std(axis=0), rel=0.2)


def test_a_wide_latent_does_not_widen_the_others() -> None:
    uneven = np.random.default_rng(0).standard_normal((2000, 2)) * [3000, 1]
    samples = LatentMixture.fit(uneven).sample(5000, 0)
    assert samples.std(axis=0) == pytest.approx(uneven.std(axis=0), rel=0.05)


def test_many_samples_take_little_memory() -> None:
    latent_dim = 64
    wide = LatentMixture(
        np.ones(1, np.float32),
        np.zeros((1, latent_dim), np.float32),
        np.eye(latent_dim, dtype=np.float32)[None],
    )
    tracemalloc.start()
    wide.sample(1000, 0)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 8 * 1000 * latent_dim * 8  # a few arrays of a vector each, not of a matrix


def test_what_is_written_is_read() -> None:
    again = LatentMixture.from_bytes(CONTENT)
    assert np.array_equal(again.sample(9, 0), TWO.sample(9, 0))
    assert again.latent_dim == 2


@pytest.mark.parametrize(
    "changes",
    [
        {"weights": None},
        {"means": None},
        {"weights": np.array([0.5, 0.6], np.float32)},
        {"weights": np.array([-0.5, 1.5], np.float32)},
        {"weights": np.array([np.nan, 1], np.float32)},
        {"weights": np.ones(1, np.float32)},
        {"means": np.zeros((2, 3), np.float32)},
        {"means": np.zeros((0, 2), np.float32), "weights": np.zeros(0, np.float32)},
        {"means": np.full((2, 2), np.inf, np.float32)},
        {"means": np.array([["a", "b"], ["c", "d"]])},
        {"factors": np.zeros((2, 2), np.float32)},
        {"factors": np.zeros((2, 2, 2), np.float64)},
        {"weights": np.array([{}, {}], dtype=object)},
    ],
    ids=str,
)
def test_a_file_of_another_form_is_refused(changes: dict[str, np.ndarray | None]) -> None:
    with pytest.raises(RunError, match=r"mixture\.npz"):
        LatentMixture.from_bytes(with_arrays(**changes))


@given(st.integers(0, len(CONTENT) - 1), st.integers(1, 255))
def test_a_changed_byte_is_harmless_or_one_clear_error(position: int, change: int) -> None:
    damaged = bytearray(CONTENT)
    damaged[position] ^= change
    try:
        again = LatentMixture.from_bytes(bytes(damaged))
    except RunError:
        return
    assert np.array_equal(again.sample(5, 0), TWO.sample(5, 0))


def test_a_file_that_unpacks_to_gigabytes_is_refused() -> None:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, weights=np.zeros(2**25, np.float32), means=TWO.means, factors=TWO.factors)
    with pytest.raises(RunError, match="more than 64 MiB"):
        LatentMixture.from_bytes(buffer.getvalue())


def test_sampling_needs_no_scikit_learn() -> None:
    code = (
        "import sys; sys.modules['sklearn'] = None;"
        "from vae_core.mixture import LatentMixture;"
        f"print(LatentMixture.from_bytes({CONTENT!r}).sample(4, 0).shape)"
    )
    result = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parent.parent,
    )
    assert result.stdout.strip() == "(4, 2)"
