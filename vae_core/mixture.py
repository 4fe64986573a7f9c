"""A Gaussian mixture in latent space: where a model's training images lie, to sample from there.

A model that spends many nats per image leaves holes in its prior: N(0, I) has places that no training image
is encoded to, and what is decoded there is no digit. A density fitted to the encodings afterwards avoids
them (Ghosh, Sajjadi, Vergari, Black and Schölkopf, "From Variational to Deterministic Autoencoders", 2020).
Fitting needs scikit-learn, sampling and reading only NumPy.
"""

from __future__ import annotations

import io
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from vae_core.errors import RunError
from vae_core.npz import read_arrays

if TYPE_CHECKING:
    from sklearn.mixture import GaussianMixture

COMPONENTS = 50
ENCODINGS_PER_COMPONENT = 20
"""Of fewer encodings than this per component, fewer components are made."""
LEAST_FITTED = 2
"""One encoding alone has no spread."""
MOST_FITTED = 20_000
"""More encodings hardly change the mixture and take longer."""
MOST_ITERATIONS = 60
MOST_UNPACKED_BYTES = 64 * 2**20


@dataclass(frozen=True)
class LatentMixture:
    """A mixture of M normal distributions of K dimensions.

    Attributes:
        weights: float32 (M,), each component's share, together 1.
        means: float32 (M, K).
        factors: float32 (M, K, K), the lower Cholesky factor of each covariance.
    """

    weights: np.ndarray
    means: np.ndarray
    factors: np.ndarray

    @classmethod
    def fit(cls, encodings: np.ndarray, components: int = COMPONENTS) -> LatentMixture:
        """The mixture of greatest likelihood found by expectation-maximisation, full covariances.

        Args:
            encodings: float (N, K), N at least 2; at most the first 20,000 are used.
            components: M, at most; fewer where there are fewer than 20 encodings for each.
        """
        encodings = np.asarray(encodings[:MOST_FITTED], np.float64)
        components = max(1, min(components, len(encodings) // ENCODINGS_PER_COMPONENT))
        try:
            scale, fitted = np.ones(encodings.shape[1]), _fitted(encodings, components)
        except ValueError:
            # Without a KL term a model may spread its encodings over thousands: in the unit of each latent's
            # own deviation no covariance is singular.
            scale = np.maximum(encodings.std(axis=0), np.finfo(np.float32).tiny)
            fitted = _fitted(encodings / scale, components)
        weights, means, covariances = (
            np.asarray(part, np.float64) for part in (fitted.weights_, fitted.means_, fitted.covariances_)
        )
        factors = scale[:, None] * np.linalg.cholesky(covariances)
        return cls(*(part.astype(np.float32) for part in (weights, scale * means, factors)))

    @property
    def latent_dim(self) -> int:
        """K."""
        return self.means.shape[1]

    def sample(self, count: int, seed: int, temperature: float = 1.0) -> np.ndarray:
        """Latent vectors: float32 (count, K).

        Args:
            count: how many.
            seed: the same seed and count give the same vectors.
            temperature: of the noise around each component's mean; 1 is the mixture itself.
        """
        random = np.random.default_rng(seed)
        shares = self.weights.astype(np.float64)
        chosen = random.choice(len(shares), size=count, p=shares / shares.sum())
        eps = temperature * random.standard_normal((count, self.latent_dim))
        vectors = np.empty((count, self.latent_dim), np.float32)
        for component in np.unique(chosen):  # at once, each vector would bring a matrix along
            of_it = chosen == component
            vectors[of_it] = self.means[component] + eps[of_it] @ self.factors[component].astype(np.float64).T
        return vectors

    def to_bytes(self) -> bytes:
        """The content of mixture.npz."""
        buffer = io.BytesIO()
        np.savez_compressed(buffer, weights=self.weights, means=self.means, factors=self.factors)
        return buffer.getvalue()

    @classmethod
    def from_bytes(cls, content: bytes) -> LatentMixture:
        """Reads what `to_bytes` gave, never a pickle.

        Raises:
            RunError: the content is not such a file, or unpacks to more than 64 MiB.
        """
        names = ("weights", "means", "factors")
        arrays = read_arrays(content, names, MOST_UNPACKED_BYTES, "mixture.npz")
        if len(arrays) < len(names):
            raise RunError("mixture.npz is damaged or incomplete: expected weights, means and factors")
        parts = [arrays[name] for name in names]
        weights, means, factors = parts
        components, latent_dim = means.shape if means.ndim == 2 else (0, 0)
        if (
            components == 0
            or latent_dim == 0
            or weights.shape != (components,)
            or factors.shape != (components, latent_dim, latent_dim)
            or any(part.dtype != np.float32 for part in parts)
        ):
            raise RunError("mixture.npz: expected float32 weights (M,), means (M, K) and factors (M, K, K)")
        if not all(np.isfinite(part).all() for part in parts) or not (
            (weights >= 0).all() and abs(float(weights.sum()) - 1) < 1e-3
        ):
            raise RunError("mixture.npz: expected finite numbers, and weights that together make 1")
        return cls(weights, means, factors)


def _fitted(encodings: np.ndarray, components: int) -> GaussianMixture:
    """Raises ValueError: a component has no spread, to the accuracy of the numbers."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.mixture import GaussianMixture
    from threadpoolctl import threadpool_limits

    mixture = GaussianMixture(components, covariance_type="full", max_iter=MOST_ITERATIONS, random_state=0)
    # Its many small products wait for each other's threads: on a busy machine one is ten times faster.
    with warnings.catch_warnings(), threadpool_limits(1):
        warnings.simplefilter("ignore", ConvergenceWarning)  # the last of the climb is worth little
        return mixture.fit(encodings)
