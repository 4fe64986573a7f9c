"""What one does with a trained model: decode a vector, reconstruct a picture, generate new ones.

NumPy in, NumPy out, for the app, the command line and notebooks alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from vae_core.errors import LatentError, PictureError, check_type, in_short
from vae_core.images import IMAGE_SIZE
from vae_core.latent_space import LARGEST_LATENT, ClassGaussians
from vae_core.loss import kl_terms
from vae_core.mixture import LatentMixture
from vae_core.model import VAE

CHUNK = 5000
"""Images compared at a time, to keep the memory small."""


@dataclass(frozen=True)
class Reconstruction:
    """A picture through the model.

    Attributes:
        image: float32 (28, 28) in [0, 1], decoded from `z`.
        mean, log_variance: float32 (K,), the posterior.
        z: float32 (K,), the posterior's mean, or a sample of it.
        error: mean squared error over the 784 pixels.
        kl: float32 (K,), each latent's KL to the prior, nats.
    """

    image: np.ndarray
    mean: np.ndarray
    log_variance: np.ndarray
    z: np.ndarray
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
    """Latent vectors, float (N, K), to images, float32 (N, 28, 28) in [0, 1].

    Raises:
        TypeError: the model is no module, but a run, say.
        ValueError: the vectors have another shape, or hold what is not a finite number.
    """
    check_type("model", model, nn.Module)
    vectors = np.asarray(z, dtype=np.float32)
    if not np.isfinite(vectors).all():
        raise ValueError("expected latent vectors of finite numbers, not of NaN or infinity")
    return model.decode(torch.from_numpy(vectors)).squeeze(1).numpy()


@torch.inference_mode()
def reconstruct_image(model: VAE, image: np.ndarray, seed: int | None = None) -> Reconstruction:
    """float32 (28, 28) in [0, 1], in MNIST's form, through encoder and decoder.

    Args:
        model: a trained model, on the CPU.
        image: as said.
        seed: decode a sample of the posterior, drawn with this seed; by default its mean.

    Raises:
        PictureError: its values are not all numbers from 0 to 1, or it is not 28x28.
        TypeError: the model is no module, but a run, say.
    """
    check_type("model", model, nn.Module)
    expected = f"expected an image of {IMAGE_SIZE}x{IMAGE_SIZE} numbers from 0 to 1"
    try:
        values = np.array(image, dtype=np.float32)
    except (TypeError, ValueError) as error:
        raise PictureError(f"{expected}, not {in_short(image)}") from error
    if values.shape != (IMAGE_SIZE, IMAGE_SIZE):
        raise PictureError(f"{expected}, not of shape {values.shape}")
    if not ((values >= 0) & (values <= 1)).all():  # nor is NaN
        raise PictureError(f"{expected}, not from {values.min():g} to {values.max():g}")
    batch = torch.from_numpy(values)[None, None]  # (1, 1, 28, 28)
    mean, log_variance = model.encode(batch)  # (1, K) each
    z = mean if seed is None else model.sample(mean, log_variance, torch.Generator().manual_seed(seed))
    decoded = model.decode(z)
    return Reconstruction(
        image=decoded[0, 0].numpy(),
        mean=mean[0].numpy(),
        log_variance=log_variance[0].numpy(),
        z=z[0].numpy(),
        error=float((decoded - batch).square().mean()),
        kl=kl_terms(mean, log_variance)[0].numpy(),
    )


@torch.inference_mode()
def posterior_samples(model: VAE, result: Reconstruction, count: int, seed: int) -> np.ndarray:
    """Latent vectors drawn from a picture's posterior: float32 (count, K)."""
    noise = torch.Generator().manual_seed(seed)
    mean, log_variance = (
        torch.from_numpy(part).expand(count, -1) for part in (result.mean, result.log_variance)
    )
    return model.sample(mean, log_variance, noise).numpy()


def sample_latents(
    latent_dim: int,
    count: int,
    seed: int,
    temperature: float = 1.0,
    classes: ClassGaussians | None = None,
    label: int | None = None,
    mixture: LatentMixture | None = None,
) -> np.ndarray:
    """Latent vectors to generate images from: float32 (count, K).

    Args:
        count: how many.
        seed: the same seed and count give the same vectors.
        temperature: of the noise; 1 is N(0, I) itself, less stays nearer to the middle.
        classes, label: draw from this class's mean and covariance instead.
        mixture: draw from this mixture instead of N(0, I).

    Raises:
        LatentError: the model knows no such class, a class and a mixture are both asked for, or the
            mixture is of another model.
    """
    if mixture is not None:
        if label is not None:
            raise LatentError("a class is drawn from its own distribution; choose a class or the mixture")
        if mixture.latent_dim != latent_dim:
            raise LatentError(f"a mixture of {mixture.latent_dim} latents; expected {latent_dim}")
        return mixture.sample(count, seed, temperature)
    noise = torch.Generator().manual_seed(seed)
    eps = temperature * torch.randn(count, latent_dim, generator=noise)
    if label is None:
        return eps.numpy()
    if classes is None or label not in classes.labels:
        known = "none" if classes is None else ", ".join(map(str, classes.labels))
        raise LatentError(f"the model knows no class {label}; it knows {known}")
    return classes.transform(eps.numpy(), label).astype(np.float32)


@dataclass(frozen=True)
class Neighbour:
    """The image of a set that is most like another, by the mean squared error over the 784 pixels."""

    index: int
    error: float


def nearest_image(image: np.ndarray, images: np.ndarray) -> Neighbour:
    """The nearest image by squared distance: memory, or invention?

    Args:
        image: float32 (28, 28) in [0, 1].
        images: uint8 (N, 28, 28).
    """
    target = torch.from_numpy(np.array(image, dtype=np.float32)).reshape(-1)
    distances = []
    for start in range(0, len(images), CHUNK):
        chunk = torch.from_numpy(np.array(images[start : start + CHUNK])).reshape(-1, len(target)).float()
        distances.append((chunk.div_(255) - target).square_().mean(dim=1))
    errors = torch.cat(distances)
    index = int(errors.argmin())
    return Neighbour(index, float(errors[index]))


def nearest_errors(images: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Of each image the mean squared error to the nearest of others: float32 (M,).

    By matrix products: for many images ten times as fast as the differences of `nearest_image`, and a little
    less exact.

    Args:
        images: float32 (M, 28, 28) in [0, 1].
        others: uint8 (N, 28, 28).
    """
    targets = torch.from_numpy(np.array(images, dtype=np.float32)).flatten(1)
    nearest = torch.full((len(targets),), torch.inf)
    for start in range(0, len(others), CHUNK):
        chunk = torch.from_numpy(np.array(others[start : start + CHUNK])).flatten(1).float().div_(255)
        nearest = torch.minimum(nearest, torch.cdist(targets, chunk).amin(dim=1))
    return nearest.square().div(targets.shape[1]).numpy()
