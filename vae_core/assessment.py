"""All that is measured of a trained model beyond its errors: bounds, a mixture to sample from, its samples.

evaluation.py measures the errors, in seconds, after each epoch of a training. What is here takes a minute,
for the command `evaluate` and for whoever asks for it in the app.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import NamedTuple

from vae_core.data import Dataset
from vae_core.evaluation import importance_weighted_bound
from vae_core.mixture import LatentMixture
from vae_core.model import VAE
from vae_core.records import Evaluation
from vae_core.runs import Run
from vae_core.sample_quality import measure_samples, mixture_of

BOUND_SAMPLES = 1000
BOUND_IMAGES = 100

Progress = Callable[[str, int, int], None]
"""Told what is being done, and the numbers of images done and to do."""


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
    progress: Progress = lambda step, done, count: None,
) -> Assessment:
    """Completes an evaluation.

    Args:
        run: whose settings, and stored mixture if there is one, count.
        model: the run's own, on the CPU.
        evaluation: of the model on `dataset.test`.
        dataset: the images at hand.
        progress: told how far it is.

    Raises:
        RunError: the run's stored mixture is damaged.
    """
    settings = run.info().settings
    variance = float(evaluation.errors.mean())
    bounds = {}
    for likelihood in sorted({settings.likelihood, "gaussian"}):
        step = f"importance-weighted bound, {likelihood}"
        bounds[likelihood] = importance_weighted_bound(
            model, dataset.test, likelihood, variance, BOUND_SAMPLES, BOUND_IMAGES, settings.seed,
            progress=_step(progress, step),
        )  # fmt: skip
    mixture = mixture_of(run, model, dataset.train, _step(progress, "mixture of the encodings"))
    samples = measure_samples(model, dataset.test, mixture, progress=_step(progress, "generated images"))
    complete = dataclasses.replace(
        evaluation, iwae=bounds[settings.likelihood], iwae_unit_variance=bounds["gaussian"], **samples
    )
    return Assessment(complete, mixture)


def _step(progress: Progress, step: str) -> Callable[[int, int], None]:
    progress(step, 0, 1)
    return lambda done, count: progress(step, done, count)
