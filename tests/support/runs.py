"""What several tests do, and no fixture can."""

from __future__ import annotations

import numpy as np

from vae_core.mixture import LatentMixture


def one_component(latent_dim: int) -> LatentMixture:
    factors = np.eye(latent_dim, dtype=np.float32)[None]
    return LatentMixture(np.ones(1, np.float32), np.full((1, latent_dim), 0.5, np.float32), factors)
