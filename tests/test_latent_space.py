"""Ways through the latent space, against closed cases and independent formulas."""

from __future__ import annotations

import numpy as np
import pytest

from vae_core import latent_space
from vae_core.latent_space import ClassGaussians, LatentMap, closed_walk, slerp, traversals

RANDOM = np.random.default_rng(0)


def test_slerp_turns_evenly_on_the_circle() -> None:
    arc = slerp(np.array([2.0, 0]), np.array([0, 2.0]), np.array([0, 1 / 3, 0.5, 1]))
    angles = np.array([0, np.pi / 6, np.pi / 4, np.pi / 2])
    np.testing.assert_allclose(arc, 2 * np.stack([np.cos(angles), np.sin(angles)], axis=1), atol=1e-12)


def test_slerp_turns_evenly_through_half_a_right_angle() -> None:
    arc = slerp(np.array([2.0, 0]), np.array([2, 2]) / np.sqrt(2), np.array([0.5]))
    np.testing.assert_allclose(arc, [[2 * np.cos(np.pi / 8), 2 * np.sin(np.pi / 8)]], atol=1e-12)


def test_what_comes_in_half_precision_is_computed_in_double() -> None:
    half = RANDOM.normal(size=(200, 3)).astype(np.float16)
    labels = np.repeat([0, 1], 100).astype(np.uint8)
    double = half.astype(np.float64)
    at = np.array([0.3])
    np.testing.assert_array_equal(slerp(half[0], half[1], at), slerp(double[0], double[1], at))
    for fitted, expected in (
        (LatentMap.fit(half), LatentMap.fit(double)),
        (ClassGaussians.fit(half, labels), ClassGaussians.fit(double, labels)),
    ):
        for name, value in vars(expected).items():
            np.testing.assert_array_equal(getattr(fitted, name), value)


def test_slerp_keeps_the_length_that_a_line_loses() -> None:
    a, b = RANDOM.normal(size=(2, 16))
    a, b = a / np.linalg.norm(a), b / np.linalg.norm(b)
    np.testing.assert_allclose(np.linalg.norm(slerp(a, b, np.linspace(0, 1, 9)), axis=1), 1)
    assert np.linalg.norm((a + b) / 2) < 0.95


@pytest.mark.parametrize("end", [[0.0, 0, 0], [2, 4, 6], [-1, -2, -3], [1, 2, 3]])
def test_slerp_is_the_line_where_there_is_no_arc(end: list[float]) -> None:
    start, end_vector = np.array([1.0, 2, 3]), np.array(end)
    middle = slerp(start, end_vector, np.array([0.0, 0.25, 1]))
    np.testing.assert_allclose(middle, [start, 0.75 * start + 0.25 * end_vector, end_vector])


def test_traversals_move_one_latent_at_a_time() -> None:
    moved = traversals(np.array([1.0, 2, 3]), [2, 0], np.array([-3.0, 3]))
    assert moved.tolist() == [[1, 2, -3], [1, 2, 3], [-3, 2, 3], [3, 2, 3]]
    assert moved.dtype == np.float32


def test_a_walk_passes_its_stops_and_closes() -> None:
    stops = RANDOM.normal(size=(3, 5))
    walk = closed_walk(stops, 4)
    assert walk.shape == (12, 5)
    np.testing.assert_allclose(walk[::4], stops, rtol=1e-6)
    assert walk.dtype == np.float32
    np.testing.assert_allclose(walk[11], slerp(stops[2], stops[0], np.array([0.75]))[0], rtol=1e-6)


def test_the_map_is_the_plane_of_most_variance() -> None:
    rotation = np.linalg.qr(RANDOM.normal(size=(6, 6)))[0]
    spread = np.array([3, 2, 1, 0.5, 0.1, 0.1])
    means = RANDOM.normal(size=(4000, 6)) * spread @ rotation + np.arange(6)
    plane = LatentMap.fit(means)
    np.testing.assert_allclose(plane.centre, means.mean(axis=0))
    assert abs(plane.axes[0] @ rotation[0]) > 0.99
    assert abs(plane.axes[1] @ rotation[1]) > 0.99
    np.testing.assert_allclose(plane.axes @ plane.axes.T, np.eye(2), atol=1e-12)
    singular = np.linalg.svd(means - means.mean(axis=0), compute_uv=False) ** 2  # an independent way
    np.testing.assert_allclose(plane.shares, singular[:2] / singular.sum())


@pytest.mark.parametrize("latent_dim", [3, 16])
def test_the_largest_part_of_an_axis_is_positive_so_that_maps_agree(latent_dim: int) -> None:
    means = RANDOM.normal(size=(500, latent_dim)) * np.linspace(1, 2, latent_dim)
    plane, mirrored = LatentMap.fit(means), LatentMap.fit(-means)
    assert (plane.axes.max(axis=1) == np.abs(plane.axes).max(axis=1)).all()
    np.testing.assert_allclose(mirrored.axes, plane.axes, atol=1e-9)
    singular = np.linalg.svd(means - means.mean(axis=0), compute_uv=False) ** 2
    np.testing.assert_allclose(plane.shares, singular[:2] / singular.sum())


def test_means_that_do_not_vary_have_a_map_of_no_share() -> None:
    assert LatentMap.fit(np.ones((5, 2))).shares == (0, 0)


def test_places_on_the_map_come_back() -> None:
    plane = LatentMap.fit(RANDOM.normal(size=(100, 16)))
    places = RANDOM.normal(size=(7, 2))
    np.testing.assert_allclose(plane.to_plane(plane.from_plane(places)), places, atol=1e-12)


def test_with_two_latents_the_map_is_the_latent_plane() -> None:
    means = RANDOM.normal(size=(50, 2)) @ np.array([[2.0, 1], [0, 1]])
    plane = LatentMap.fit(means)
    np.testing.assert_array_equal(plane.to_plane(means), means)
    assert sum(plane.shares) == pytest.approx(1)


def test_with_one_latent_the_map_is_a_line() -> None:
    means = RANDOM.normal(size=(50, 1))
    plane = LatentMap.fit(means)
    np.testing.assert_array_equal(plane.to_plane(means), np.hstack([means, 0 * means]))
    np.testing.assert_array_equal(plane.from_plane(plane.to_plane(means)), means)
    assert plane.shares == pytest.approx((1, 0))


def classes() -> tuple[ClassGaussians, np.ndarray, np.ndarray]:
    labels = np.repeat([2, 7], [300, 900]).astype(np.uint8)
    wide, narrow = RANDOM.normal(size=(300, 3)) * 2, RANDOM.normal(size=(900, 3)) * 0.5 + 1
    means = np.concatenate([wide, narrow])
    return ClassGaussians.fit(means, labels), means, labels


def test_class_probabilities_are_bayes_rule() -> None:
    gaussians, means, labels = classes()
    assert gaussians.labels == (2, 7)
    point = np.array([0.5, 1.0, 1.5])
    densities, distances = [], []
    for label in (2, 7):
        group = means[labels == label]
        covariance = np.cov(group.T, bias=True) + 1e-3 * np.eye(3)
        offset = point - group.mean(axis=0)
        exponent = -0.5 * offset @ np.linalg.inv(covariance) @ offset
        distances.append(-2 * exponent)
        densities.append(len(group) * np.exp(exponent) / np.sqrt(np.linalg.det(covariance)))
    expected = np.array(densities) / sum(densities)
    np.testing.assert_allclose(gaussians.probabilities(point[None])[0], expected, rtol=1e-9)
    np.testing.assert_allclose(gaussians.distances(point[None])[0], distances, rtol=1e-9)
    likeliest = gaussians.distance_of_likeliest(np.stack([point, means[0]]))
    np.testing.assert_allclose(likeliest[0], distances[1], rtol=1e-9)
    assert distances[0] < distances[1]  # the most probable class, 7, is not the one that is nearest
    assert gaussians.likeliest(np.array([point, [6, -6, 6], point])).tolist() == [7, 2, 7]
    assert gaussians.shares.tolist() == [0.25, 0.75]
    assert [type(label) for label in gaussians.labels] == [int, int]


def test_the_classes_of_a_vector_do_not_depend_on_its_company() -> None:
    gaussians, _, _ = classes()
    vectors = np.array([[0.5, 1, 1.5], [6, -6, 6], [300, 300, 300]])  # the last where every density is 0
    together = gaussians.probabilities(vectors)
    np.testing.assert_allclose(together, np.concatenate([gaussians.probabilities(z[None]) for z in vectors]))
    np.testing.assert_allclose(together.sum(axis=1), 1)


def test_vectors_of_a_class_have_its_mean_and_covariance() -> None:
    gaussians, _, _ = classes()
    z = gaussians.transform(RANDOM.normal(size=(200_000, 3)), 2)
    np.testing.assert_allclose(z.mean(axis=0), gaussians.means[0], atol=0.03)
    np.testing.assert_allclose(np.cov(z.T), gaussians.covariances[0], atol=0.06)
    factor = gaussians.transform(np.eye(3), 2) - gaussians.means[0]
    np.testing.assert_allclose(factor, np.linalg.cholesky(gaussians.covariances[0]).T)
    with pytest.raises(KeyError):
        gaussians.transform(np.zeros((1, 3)), 5)


def test_classes_of_a_single_image_and_of_one_latent_work() -> None:
    gaussians = ClassGaussians.fit(np.array([[0.0], [1.0], [1.2]]), np.array([0, 1, 1], np.uint8))
    assert gaussians.likeliest(np.array([[0.1], [1.1]])).tolist() == [0, 1]


def test_distances_of_many_vectors_are_those_of_each(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(0)
    classes = ClassGaussians.fit(random.standard_normal((40, 3)), np.repeat([0, 1], 20).astype(np.uint8))
    z = random.standard_normal((7, 3))
    whole = classes.distances(z)
    monkeypatch.setattr(latent_space, "NUMBERS_AT_ONCE", 20)
    assert np.allclose(classes.distances(z), whole)
    assert classes.distances(z[:0]).shape == (0, 2)


def test_what_is_no_vector_is_told_in_words() -> None:
    one, two = np.ones(3), np.ones(4)
    for call, said in (
        (
            lambda: slerp(one, one, np.float64(0.5)),
            r"^at must be a list .* \(N,\), not \(\)$",
        ),
        (lambda: slerp(one, two, np.zeros(1)), "two vectors of one length, not of 3 and 4 numbers"),
        (lambda: traversals(one[None], [1], np.zeros(2)), r"^z must be a list .* not \(1, 3\)$"),
        (lambda: traversals(one, 1, np.zeros(2)), "^latents must be a list of numbers from 0 to 2, not 1$"),  # type: ignore[arg-type]
        (lambda: traversals(one, [3], np.zeros(2)), "^latents must be"),
    ):
        with pytest.raises(ValueError, match=said):
            call()


@pytest.mark.parametrize("count", [8, 60])
def test_what_classes_were_fitted_to_is_measured_without_itself(count: int) -> None:
    random = np.random.default_rng(0)
    labels = np.repeat([0, 1], count).astype(np.uint8)
    means = random.normal(size=(2 * count, 3)) * 4 + 30 * labels[:, None]
    measured = ClassGaussians.fit(means, labels).distance_of_likeliest(means, labels)
    for index in range(0, 2 * count, 5):
        others = np.arange(2 * count) != index
        without = ClassGaussians.fit(means[others], labels[others])
        expected = without.distance_of_likeliest(means[index : index + 1])[0]
        assert measured[index] == pytest.approx(expected, rel=1e-2)


def test_fresh_vectors_of_a_small_class_lie_among_its_own_distances() -> None:
    random = np.random.default_rng(0)
    labels = np.repeat(np.arange(10), 50).astype(np.uint8)
    means = random.normal(size=(500, 16)) + 20 * np.eye(16)[labels]
    gaussians = ClassGaussians.fit(means, labels)
    fresh = gaussians.distance_of_likeliest(random.normal(size=(500, 16)) + 20 * np.eye(16)[labels])
    limit = np.quantile(gaussians.distance_of_likeliest(means, labels), 0.99)
    assert (fresh > limit).mean() < 0.03
    assert (fresh > np.quantile(gaussians.distance_of_likeliest(means), 0.99)).mean() > 0.1


def test_a_class_that_does_not_span_the_space_without_one_reaches_anywhere() -> None:
    labels = np.zeros(3, np.uint8)
    means = np.random.default_rng(0).normal(size=(3, 16))
    gaussians = ClassGaussians.fit(means, labels)
    assert gaussians.distance_of_likeliest(means).max() < 2
    assert gaussians.distance_of_likeliest(means, labels).min() > 1000
