"""All that is measured of a trained model beyond its errors: bounds, a mixture to sample from, its samples.

evaluation.py measures the errors, in seconds, after each epoch of a training. What is here takes a minute,
for the command `evaluate` and for whoever asks for it in the app.
"""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

import numpy as np
import torch

from vae_core.data import Dataset, ImageSet, spread
from vae_core.evaluated import Evaluation
from vae_core.evaluation import importance_weighted_bound
from vae_core.mixture import LEAST_FITTED, MOST_FITTED, LatentMixture
from vae_core.model import VAE, as_batch
from vae_core.progress import Progress, untold
from vae_core.quality.samples import measure_samples
from vae_core.run_folder import Run
from vae_core.run_record import RunInfo

BOUND_SAMPLES = 1000
BOUND_IMAGES = 100
CHUNK = 1000
"""Images encoded at a time."""


class Assessment(NamedTuple):
    """What `assess` finds."""

    evaluation: Evaluation
    """With every figure that can be computed for it."""
    mixture: LatentMixture | None
    """Of the training images' encodings; None if those images are not at hand."""


def assess(
    run: Run,
    model: VAE,
    evaluation: Evaluation,
    dataset: Dataset,
    progress: Progress = untold,
) -> Assessment:
    """Completes an evaluation.

    Args:
        run: whose settings count, and whose stored mixture if it has a sound one.
        model: the run's own, on the CPU.
        evaluation: of the model on `dataset.test`.
        dataset: the images at hand.
        progress: told how far it is, step by step.
    """
    info = run.info()
    settings = info.settings
    variance = float(evaluation.errors.mean())
    bounds = {}
    for likelihood in sorted({settings.likelihood, "gaussian"}):
        step = f"importance-weighted bound, {likelihood}"
        bounds[likelihood] = importance_weighted_bound(
            model, dataset.test, likelihood, variance, BOUND_SAMPLES, BOUND_IMAGES, settings.seed,
            progress=_of_step(progress, step),
        )  # fmt: skip
    mixture = run.mixture_or_none()
    if mixture is None:
        mixture = fitted_mixture(info, model, dataset.train, _of_step(progress, "mixture of the encodings"))
    samples = measure_samples(model, dataset.test, mixture, progress=_of_step(progress, "generated images"))
    complete = dataclasses.replace(
        evaluation, iwae=bounds[settings.likelihood], iwae_unit_variance=bounds["gaussian"], **samples
    )
    return Assessment(complete, mixture)


def fitted_mixture(
    info: RunInfo,
    model: VAE,
    training_set: ImageSet,
    progress: Progress = untold,
) -> LatentMixture | None:
    """A mixture of a run's training images' encodings; None if they are not at hand, or fewer than two.

    Args:
        info: of the run, which says what it was trained on.
        model: the run's own, on the CPU.
        training_set: the images at hand, as `load_dataset` gives them.
        progress: told the numbers of images encoded and to encode.
    """
    seen = training_set.first(info.settings.limit)
    if not seen.identity.is_same_as(info.trained_on) or len(seen) < LEAST_FITTED:
        return None
    fitted = seen.images[spread(len(seen), MOST_FITTED)]
    return LatentMixture.fit(encode_images(model, fitted, progress=progress))


@torch.inference_mode()
def encode_images(
    model: VAE,
    images: np.ndarray,
    seed: int = 0,
    progress: Progress = untold,
) -> np.ndarray:
    """A sample of each image's posterior, for a mixture to be fitted to: float32 (N, K).

    Samples rather than means: together they are spread as the vectors that the decoder was trained on.

    Args:
        images: uint8 (N, 28, 28).
        seed: of the noise.
        progress: told the numbers of images done and to do.
    """
    noise = torch.Generator().manual_seed(seed)
    encodings = []
    for start in range(0, len(images), CHUNK):
        batch = as_batch(torch.from_numpy(np.array(images[start : start + CHUNK])))  # (N, 1, 28, 28)
        encodings.append(model.sample(*model.encode(batch), noise))
        progress(start + len(batch), len(images))
    return torch.cat(encodings).numpy()


def _of_step(progress: Progress, step: str) -> Progress:
    """What tells the progress of one of several steps, which begins now."""
    progress(0, 1, step)
    return lambda done, count, _="", /: progress(done, count, step)
