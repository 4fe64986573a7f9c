"""How good generated digits are, as numbers: their Fréchet distance to real ones, and how many can be read.

What a digit looks like is judged by the small classifier of classifier.py, so both figures are of MNIST's
digits alone and compare only with figures made by the same classifier.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from vae_core.data import ImageSet
from vae_core.generation import SAMPLERS
from vae_core.inference import decode_latents, sample_latents
from vae_core.mixture import LatentMixture
from vae_core.model import VAE
from vae_core.progress import Progress, untold
from vae_core.quality.classifier import read_digits, shipped_classifier

GENERATED = 10_000
CONFIDENT = 0.9
"""A digit is read with confidence if the classifier gives it at least this probability."""
FULL_TEST_SET = 10_000
KNOWN_SETS = ("MNIST", "MNIST sample")
CHUNK = 1000


class SampleFigures(NamedTuple):
    """What is said of one set of generated images."""

    frechet: float
    """Fréchet distance to the real images in the classifier's features; 0 is no difference."""
    confident: float
    """Share of the images that the classifier reads with confidence, 0 to 1."""


def frechet_distance(first: np.ndarray, second: np.ndarray) -> float:
    """The squared Fréchet (Wasserstein-2) distance of the normal distributions fitted to two feature sets.

    |m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2)): Dowson and Landau, 1982; used on the features of a
    classifier, and named FID, by Heusel, Ramsauer, Unterthiner, Nessler and Hochreiter, 2017.

    Args:
        first, second: float (N, D) and (M, D), at least two rows each.
    """
    mean_1, covariance_1 = _moments(first)
    mean_2, covariance_2 = _moments(second)
    # (C1 C2)^(1/2) has the trace of (R C2 R)^(1/2) with R = C1^(1/2), which is symmetric.
    values, vectors = np.linalg.eigh(covariance_1)
    root = (vectors * np.sqrt(values.clip(min=0))) @ vectors.T
    shared = np.sqrt(np.linalg.eigvalsh(root @ covariance_2 @ root).clip(min=0)).sum()
    offset = mean_1 - mean_2
    distance = offset @ offset + np.trace(covariance_1) + np.trace(covariance_2) - 2 * shared
    return max(float(distance), 0.0)


def _moments(features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    features = np.asarray(features, np.float64)
    return features.mean(axis=0), np.atleast_2d(np.cov(features.T))


def judge(real_features: np.ndarray, generated: np.ndarray) -> SampleFigures:
    """The figures of generated images beside real ones.

    Args:
        real_features: float (N, 64), of MNIST's digits, see `classifier.read_digits`.
        generated: float32 (M, 28, 28) in [0, 1].
    """
    features, probabilities = read_digits(shipped_classifier(), generated)
    return SampleFigures(
        frechet_distance(features, real_features),
        float((probabilities.max(axis=1) >= CONFIDENT).mean()),
    )


def measure_samples(
    model: VAE,
    test_set: ImageSet,
    mixture: LatentMixture | None = None,
    seed: int = 0,
    progress: Progress = untold,
) -> dict[str, float | str | None]:
    """The figures of 10,000 images drawn from the prior and of as many from the mixture.

    Args:
        model: a trained model, on the CPU.
        test_set: the real images. Of MNIST; for another set there are no figures, and a note says so.
        mixture: the run's own, if it has one.
        seed: of the latent vectors.
        progress: told the numbers of images done and to do.

    Returns:
        frechet_prior, frechet_mixture, confident_prior, confident_mixture and samples_note, as
        `Evaluation` has them.
    """
    figures: dict[str, float | str | None] = {"samples_note": samples_note(test_set, mixture)}
    for name in SAMPLERS:
        figures |= {f"frechet_{name}": None, f"confident_{name}": None}
    if test_set.name not in KNOWN_SETS:
        return figures
    samplers: dict[str, LatentMixture | None] = {"prior": None}
    if mixture is not None:
        samplers["mixture"] = mixture
    real_features, _ = read_digits(shipped_classifier(), test_set.images)
    done = 0
    for name, sampler in samplers.items():
        z = sample_latents(model.latent_dim, GENERATED, seed, mixture=sampler)
        images = []
        for part in np.split(z, range(CHUNK, GENERATED, CHUNK)):
            images.append(decode_latents(model, part))
            done += len(part)
            progress(done, GENERATED * len(samplers))
        measured = judge(real_features, np.concatenate(images))
        figures |= {f"frechet_{name}": measured.frechet, f"confident_{name}": measured.confident}
    return figures


def samples_note(test_set: ImageSet, mixture: LatentMixture | None) -> str:
    """Why figures are missing or to be read with care; empty where there is no reason to."""
    if test_set.name not in KNOWN_SETS:
        return (
            f"no figures of samples: the classifier knows MNIST's digits alone, and this is {test_set.name}"
        )
    notes = []
    if len(test_set) < FULL_TEST_SET:
        notes.append(
            f"compared with {len(test_set):,} test images only: the distance is larger than to all "
            f"{FULL_TEST_SET:,}, and the classifier may have been trained on some of them"
        )
    if mixture is None:
        notes.append(
            "no mixture: the run was trained on other images than those at hand, or on fewer than two"
        )
    return "; ".join(notes)
