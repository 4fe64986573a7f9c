"""What a model makes of one picture, in numbers and pictures for the page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from vae_core.pictures import data_uri, tile, to_grey
from vae_core.ui.studio import Loaded

if TYPE_CHECKING:
    from vae_core.inference import Reconstruction

SAMPLES = 6


def reading(loaded: Loaded, image: np.ndarray, seed: int, sampled: bool) -> dict[str, Any]:
    """A picture through the model.

    Args:
        image: float32 (28, 28) in [0, 1], in MNIST's form.
        seed: of the samples of its posterior.
        sampled: decode the first of them instead of the posterior's mean.
    """
    from vae_core.inference import decode_latents, posterior_samples, reconstruct_image

    result = reconstruct_image(loaded.model, image, seed if sampled else None)
    samples = posterior_samples(loaded.model, result, SAMPLES, seed)
    answer = _encoded(result) | {
        "run": loaded.info.name,
        "difference": data_uri(np.abs(result.image - image)),
        "z": result.z.round(4).tolist(),
        "kl": result.kl.round(4).tolist(),
        "error": result.error,
        "samples": {
            "picture": data_uri(tile(to_grey(decode_latents(loaded.model, samples)), SAMPLES)),
            "z": samples.round(4).tolist(),
        },
        "rank": None,
        "distance_rank": None,
        "nearest": [],
    }
    evaluation = loaded.evaluation
    if evaluation is not None:
        errors = evaluation.errors if sampled else evaluation.errors_mean
        answer["rank"] = float((errors < result.error).mean())
        distance = loaded.classes.distance_of_likeliest(result.mean[None])[0]
        answer["distance_rank"] = float((loaded.distances_of_tested < distance).mean())
        answer["nearest"] = _nearest_classes(loaded, result.mean)
    return answer


def encoding(loaded: Loaded, image: np.ndarray) -> dict[str, Any]:
    """Of `reading` only the posterior and what is decoded from its mean."""
    from vae_core.inference import reconstruct_image

    return _encoded(reconstruct_image(loaded.model, image))


def _encoded(result: Reconstruction) -> dict[str, Any]:
    return {
        "mean": result.mean.round(4).tolist(),
        "deviation": in_digits(np.exp(0.5 * result.log_variance)),
        "reconstruction": data_uri(result.image),
    }


def in_digits(deviations: np.ndarray) -> list[float]:
    """Deviations for the page, of four digits each: rounded to four places one might be 0, and the loss takes
    its logarithm."""
    return [float(f"{deviation:.4g}") for deviation in deviations]


def _nearest_classes(loaded: Loaded, mean: np.ndarray) -> list[dict[str, Any]]:
    """The two most probable classes, the likelier first."""
    probabilities = loaded.classes.probabilities(mean[None])[0]
    order = np.argsort(-probabilities)[:2]
    return [
        {"label": loaded.classes.labels[row], "probability": round(float(probabilities[row]), 4)}
        for row in order
    ]
