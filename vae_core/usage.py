"""What one does with a trained model: decode a vector, reconstruct a picture, generate new ones.

NumPy in, NumPy out, for the app, the command line and notebooks alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from vae_core.errors import LatentError
from vae_core.model import VAE

LARGEST_LATENT = 100.0
"""Beyond this no model has learned anything; refused so that sums stay finite."""


@dataclass(frozen=True)
class Reconstruction:
    """A picture through the model.

    Attributes:
        image: float32 (28, 28) in [0, 1], decoded from the posterior's mean.
        mean, log_variance: float32 (K,), the posterior.
        error: mean squared error over the 784 pixels.
        kl: float32 (K,), each latent's KL to the prior, nats.
    """

    image: np.ndarray
    mean: np.ndarray
    log_variance: np.ndarray
    error: float
    kl: np.ndarray


def check_latents(values: Sequence[float | str], latent_dim: int) -> np.ndarray:
    """A latent vector from outside: float32 (K,).

    Raises:
        LatentError: not K finite numbers from -100 to 100.
    """
    expected = f"expected {latent_dim} numbers from {-LARGEST_LATENT:g} to {LARGEST_LATENT:g}"
    try:
        vector = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise LatentError(f"this is not a latent vector; {expected}") from error
    if vector.shape != (latent_dim,):
        raise LatentError(f"a latent vector of shape {vector.shape}; {expected}")
    if not (np.abs(vector) <= LARGEST_LATENT).all():  # NaN is not
        raise LatentError(f"a latent is not a number or too large; {expected}")
    return vector.astype(np.float32)


@torch.inference_mode()
def decode_latents(model: VAE, z: np.ndarray) -> np.ndarray:
    """float32 (N, K) to images, float32 (N, 28, 28) in [0, 1]."""
    return model.decode(torch.from_numpy(z)).squeeze(1).numpy()


@torch.inference_mode()
def reconstruct_image(model: VAE, image: np.ndarray) -> Reconstruction:
    """float32 (28, 28) in [0, 1], in MNIST's form, through encoder and decoder, by the mean."""
    batch = torch.from_numpy(np.array(image, dtype=np.float32))[None, None]  # (1, 1, 28, 28)
    mean, log_variance = model.encode(batch)  # (1, K) each
    decoded = model.decode(mean)
    kl = -0.5 * (1 + log_variance - mean.square() - log_variance.exp())
    return Reconstruction(
        image=decoded[0, 0].numpy(),
        mean=mean[0].numpy(),
        log_variance=log_variance[0].numpy(),
        error=float((decoded - batch).square().mean()),
        kl=kl[0].numpy(),
    )


def generate_images(model: VAE, count: int, seed: int) -> np.ndarray:
    """Images decoded from latents drawn from N(0, I): float32 (count, 28, 28) in [0, 1]."""
    noise = torch.Generator().manual_seed(seed)
    z = torch.randn(count, model.latent_dim, generator=noise)
    return decode_latents(model, z.numpy())
