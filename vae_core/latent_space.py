"""Ways through the latent space: traversals, great arcs, a map of it in two dimensions, its classes.

NumPy only; decoding what lies there is `inference.decode_latents`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vae_core.errors import in_short

LARGEST_LATENT = 100.0
"""Beyond this no model has learned anything; refused so that sums stay finite."""
NUMBERS_AT_ONCE = 2**22
"""Offsets from the classes held together: for many classes of many latents all would be gigabytes."""
ADDED_VARIANCE = 1e-3
"""Added to each class's variances: unused latents have next to none, and a class may have few images."""


def slerp(start: np.ndarray, end: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Spherical interpolation between two latent vectors (Shoemake 1985; White 2016 for latents).

    A straight line between two vectors of N(0, I) passes nearer to the middle than samples lie; the
    arc does not. Where there is no arc (a vector is zero, or the two point the same or opposite ways)
    the line is taken.

    Args:
        start, end: float (K,).
        at: float (T,), 0 is `start` and 1 is `end`.

    Returns:
        float64 (T, K).

    Raises:
        ValueError: one of them is of another shape.
    """
    start, end = _vector("start", start), _vector("end", end)
    if len(start) != len(end):
        raise ValueError(f"expected two vectors of one length, not of {len(start)} and {len(end)} numbers")
    at = _vector("at", at)[:, None]
    lengths = np.linalg.norm(start) * np.linalg.norm(end)
    cosine = start @ end / lengths if lengths > 0 else 1.0
    if abs(cosine) > 0.9995:
        return (1 - at) * start + at * end
    angle = np.arccos(cosine)
    return (np.sin((1 - at) * angle) * start + np.sin(at * angle) * end) / np.sin(angle)


def _vector(name: str, values: np.ndarray) -> np.ndarray:
    """float64 (N,)."""
    vector = np.asarray(values, np.float64)
    if vector.ndim != 1:
        raise ValueError(f"{name} must be a list of numbers, of shape (N,), not {vector.shape}")
    return vector


def traversals(z: np.ndarray, latents: list[int], values: np.ndarray) -> np.ndarray:
    """Copies of a vector in which one latent after the other takes each of the values.

    Args:
        z: float (K,).
        latents: which of them to move, counted from 0.
        values: float (V,).

    Returns:
        float32 (len(latents) * V, K), all values of the first latent before those of the next.

    Raises:
        ValueError: z or the values are no list of numbers, or a latent is none of the vector's.
    """
    z, values = _vector("z", z), _vector("values", values)
    if np.ndim(latents) != 1 or not all(0 <= latent < len(z) for latent in latents):
        raise ValueError(f"latents must be a list of numbers from 0 to {len(z) - 1}, not {in_short(latents)}")
    moved = np.tile(z.astype(np.float32), (len(latents), len(values), 1))
    for row, latent in enumerate(latents):
        moved[row, :, latent] = values
    return moved.reshape(-1, len(z))


def closed_walk(stops: np.ndarray, frames: int) -> np.ndarray:
    """A way from stop to stop along great arcs and back to the first, each leg in so many frames.

    Args:
        stops: float (S, K).

    Returns:
        float32 (S * frames, K).
    """
    at = np.arange(frames) / frames
    legs = [slerp(stop, after, at) for stop, after in zip(stops, np.roll(stops, -1, axis=0), strict=True)]
    return np.concatenate(legs).astype(np.float32)


@dataclass(frozen=True)
class LatentMap:
    """A plane through the latent space, on which every latent vector has a place.

    Attributes:
        centre: float64 (K,), the vector at the plane's origin.
        axes: float64 (2, K), orthonormal; the second is zero for a model of one latent.
        shares: how much of the variance of the means lies along each axis, 0 to 1.
    """

    centre: np.ndarray
    axes: np.ndarray
    shares: tuple[float, float]

    @classmethod
    def fit(cls, means: np.ndarray) -> LatentMap:
        """The first two principal components (Pearson 1901); with two latents the latent plane itself.

        Args:
            means: float (N, K), posterior means.
        """
        means = np.asarray(means, np.float64)
        latent_dim = means.shape[1]
        variances = means.var(axis=0)
        if latent_dim <= 2:
            axes, centre, along = np.eye(2, latent_dim), np.zeros(latent_dim), np.resize(variances, 2)
        else:
            centre = means.mean(axis=0)
            values, vectors = np.linalg.eigh(np.cov(means.T, bias=True))
            axes, along = vectors[:, :-3:-1].T, values[:-3:-1]
            # An axis has no direction of its own: its largest part is made positive, so that maps agree.
            axes = axes * np.sign(axes[np.arange(2), np.abs(axes).argmax(axis=1)])[:, None]
        total = max(float(variances.sum()), 1e-12)
        shares = tuple(float(share) for share in np.clip(along / total, 0, 1))
        return cls(centre, axes, (shares[0], shares[1] if latent_dim > 1 else 0.0))

    def to_plane(self, z: np.ndarray) -> np.ndarray:
        """Latent vectors, float (N, K), to their places: float64 (N, 2)."""
        return (np.asarray(z, np.float64) - self.centre) @ self.axes.T

    def from_plane(self, places: np.ndarray) -> np.ndarray:
        """Places, float (N, 2), to the vectors that lie on the plane there: float64 (N, K)."""
        return self.centre + np.asarray(places, np.float64) @ self.axes


@dataclass(frozen=True)
class ClassGaussians:
    """Each class of images as one normal distribution in latent space.

    Attributes:
        labels: the classes there are images of, in order.
        means: float64 (C, K).
        covariances: float64 (C, K, K).
        shares: float64 (C,), each class's share of the images.
    """

    labels: tuple[int, ...]
    means: np.ndarray
    covariances: np.ndarray
    shares: np.ndarray

    @classmethod
    def fit(cls, means: np.ndarray, labels: np.ndarray) -> ClassGaussians:
        """The mean and covariance of each class's posterior means.

        Args:
            means: float (N, K).
            labels: uint8 (N,).
        """
        means = np.asarray(means, np.float64)
        latent_dim = means.shape[1]
        present = [int(label) for label in np.unique(labels)]
        groups = [means[labels == label] for label in present]
        floor = ADDED_VARIANCE * np.eye(latent_dim)
        covariances = [np.atleast_2d(np.cov(group.T, bias=True)) + floor for group in groups]
        return cls(
            tuple(present),
            np.stack([group.mean(axis=0) for group in groups]),
            np.stack(covariances),
            np.array([len(group) / len(means) for group in groups]),
        )

    def distances(self, z: np.ndarray) -> np.ndarray:
        """How far each vector is from each class's mean, in the class's own deviations: float (N, K) to
        float64 (N, C), squares of Mahalanobis's distance."""
        vectors = np.asarray(z, np.float64)
        distances = np.empty((len(vectors), len(self.labels)))
        rows = max(1, NUMBERS_AT_ONCE // self.means.size)
        for start in range(0, len(vectors), rows):
            offsets = vectors[start : start + rows, None] - self.means  # (N, C, K)
            solved = np.linalg.solve(self.covariances, offsets.transpose(1, 2, 0)).transpose(2, 0, 1)
            distances[start : start + rows] = (offsets * solved).sum(axis=2)
        return distances

    def distance_of_likeliest(self, z: np.ndarray, fitted_as: np.ndarray | None = None) -> np.ndarray:
        """The distance of each vector from its most probable class: float (N, K) to float64 (N,).

        Args:
            fitted_as: uint8 (N,), for the very vectors that the classes were fitted to: their labels. Each is
                then measured by what its class would be without it, as a vector is that was not among them: a
                small class reaches as far as its own members do. Very far, or infinite, where the others do
                not span the space.
        """
        distances = self.distances(z)
        likeliest = self._log_densities(distances).argmax(axis=1)
        own = distances[np.arange(len(z)), likeliest]
        if fitted_as is None:
            return own
        counts = np.round(self.shares * len(z))[likeliest]
        # By Sherman and Morrison's formula; the small variance that is added to each class is left aside.
        with np.errstate(divide="ignore", invalid="ignore"):
            left_out = np.where(own < counts - 1, counts * own / (counts - 1 - own), np.inf)
        return np.where(np.array(self.labels)[likeliest] == fitted_as, left_out, own)

    def probabilities(self, z: np.ndarray) -> np.ndarray:
        """How probable each class is for each vector, by Bayes' rule: float (N, K) to float64 (N, C)."""
        logs = self._log_densities(self.distances(z))
        weights = np.exp(logs - logs.max(axis=1, keepdims=True))
        return weights / weights.sum(axis=1, keepdims=True)

    def _log_densities(self, distances: np.ndarray) -> np.ndarray:
        """Of each class there, its density times its share, but for a factor: both float64 (N, C)."""
        return np.log(self.shares) - 0.5 * (distances + np.linalg.slogdet(self.covariances).logabsdet)

    def likeliest(self, z: np.ndarray) -> np.ndarray:
        """The most probable class of each vector: float (N, K) to int (N,)."""
        return np.array(self.labels)[self.probabilities(z).argmax(axis=1)]

    def transform(self, noise: np.ndarray, label: int) -> np.ndarray:
        """Noise of N(0, I), float (N, K), to vectors of one class: float64 (N, K).

        Raises:
            KeyError: there is no such class.
        """
        if label not in self.labels:
            raise KeyError(label)
        row = self.labels.index(label)
        return self.means[row] + noise @ np.linalg.cholesky(self.covariances[row]).T
