"""The latent vectors that images are generated from, as visitors and programs ask for them."""

from __future__ import annotations

import numpy as np

from vae_core.errors import NotYetError
from vae_core.generation import Sampler
from vae_core.mixture import LatentMixture
from vae_core.ui.studio import Loaded, Studio

PATIENCE_SECONDS = 2.0
"""A small set's mixture is fitted by then; a larger one is asked for again by the page."""


def draw_latents(
    studio: Studio, loaded: Loaded, count: int, seed: int, temperature: float = 1.0,
    label: int | None = None, sampler: Sampler = "prior",
) -> np.ndarray:  # fmt: skip
    """Latent vectors to generate from, float32 (count, K): of a class, from N(0, I) or from the mixture.

    Raises:
        RunError: the model has no classes yet, or no mixture.
        NotYetError: the mixture is still being fitted.
        RequestError: a class is asked for too.
    """
    from vae_core.inference import sample_latents

    classes = None if label is None else loaded.classes
    mixture = _mixture(studio, loaded) if sampler == "mixture" else None
    return sample_latents(loaded.model.latent_dim, count, seed, temperature, classes, label, mixture)


def _mixture(studio: Studio, loaded: Loaded) -> LatentMixture:
    try:
        return studio.mixture(loaded).result.result(PATIENCE_SECONDS)
    except TimeoutError as error:
        raise NotYetError(
            f"the mixture of run {loaded.info.name} is still being fitted; ask again in a few seconds"
        ) from error
