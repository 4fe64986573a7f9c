"""What a model makes of one picture, in numbers and pictures for the page."""

from __future__ import annotations

import dataclasses
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
    return _encoded(result) | {
        "run": loaded.info.name,
        "difference": data_uri(np.abs(result.image - image)),
        "z": result.z.round(4).tolist(),
        "kl": result.kl.round(4).tolist(),
        "error": result.error,
        "samples": {
            "picture": data_uri(tile(to_grey(decode_latents(loaded.model, samples)), SAMPLES)),
            "z": samples.round(4).tolist(),
        },
        "placement": _placement(loaded, result, sampled),
        "unmeasured": loaded.unmeasured,
    }


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


def _placement(loaded: Loaded, result: Reconstruction, sampled: bool) -> dict[str, Any] | None:
    """Where it stands among the test images; None where the model was not measured on any."""
    from vae_core.quality.placement import place

    if loaded.evaluation is None:
        return None
    classes, distances = loaded.classes, loaded.distances_of_tested
    placed = place(loaded.model, result, loaded.evaluation, classes, distances, sampled)
    return dataclasses.asdict(placed) | {"is_remote": placed.is_remote, "is_unusual": placed.is_unusual}
