"""Looking at single test images: which have an error in a range, what is made of them, what it is read as."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from vae_core import evaluation
from vae_core.data import ImageSet
from vae_core.evaluated import Order
from vae_core.evaluation import per_image_error
from vae_core.model import VAE, as_batch, reparameterize
from vae_core.progress import Progress, untold


def choose(
    errors: np.ndarray,
    low: float | None = None,
    high: float | None = None,
    groups: tuple[tuple[np.ndarray, int | None], ...] = (),
    order: Order = "rising",
    others: np.ndarray | None = None,
) -> np.ndarray:
    """The images that are asked for, in the order of their errors: int (M,), their numbers.

    Args:
        errors: float (N,), of each image.
        low, high: the range of the error, both ends belong to it; None is no limit.
        groups: classes of each image, uint8 (N,), with the one that is wanted; None is any.
        order: by the error, by the error from the largest down, by its distance from the median of
            all N errors, or only those whose error by the other model is smaller ("better") or larger
            ("worse"), by how much it is.
        others: float (N,), another model's error of each image; only the last two orders need it.

    Raises:
        ValueError: an order that compares two models, without the other's errors.
    """
    wanted = np.ones(len(errors), bool)
    if low is not None:
        wanted &= errors >= low
    if high is not None:
        wanted &= errors <= high
    for classes, label in groups:
        if label is not None:
            wanted &= classes == label
    keys = {"rising": errors, "falling": -errors, "typical": np.abs(errors - np.median(errors))}
    if others is not None:
        keys |= {"better": others - errors, "worse": errors - others}
    if order not in keys:
        raise ValueError(f"the order {order} compares two models: expected the errors of both")
    if order in ("better", "worse"):
        wanted &= keys[order] < 0
    chosen = np.flatnonzero(wanted)
    return chosen[np.argsort(keys[order][chosen], kind="stable")]


def evaluation_noise(count: int, latent_dim: int, seed: int) -> np.ndarray:
    """The noise with which `evaluate` sampled on a CPU, from the same seed: float32 (N, K).

    An evaluation made on another device drew another noise, with errors that differ a little.
    """
    generator = torch.Generator().manual_seed(seed)
    sizes = [min(evaluation.BATCH, count - start) for start in range(0, count, evaluation.BATCH)]
    return torch.cat([torch.empty(size, latent_dim).normal_(generator=generator) for size in sizes]).numpy()


@dataclass(frozen=True)
class Inspected:
    """Some images through the model.

    Attributes:
        images, reconstructions: float32 (M, 28, 28) in [0, 1].
        errors: float32 (M,), mean squared error over the 784 pixels.
        means, deviations: float32 (M, K), the posteriors.
        z: float32 (M, K), what the reconstructions are decoded from.
    """

    images: np.ndarray
    reconstructions: np.ndarray
    errors: np.ndarray
    means: np.ndarray
    deviations: np.ndarray
    z: np.ndarray


@torch.inference_mode()
def inspect(model: VAE, images: np.ndarray, noise: np.ndarray | None = None) -> Inspected:
    """Reconstructs images.

    Args:
        images: uint8 (M, 28, 28).
        noise: float32 (M, K), with which the latents are sampled; without it the mean is decoded.
    """
    batch = as_batch(torch.from_numpy(np.array(images)))  # (M, 1, 28, 28)
    mean, log_variance = model.encode(batch)  # (M, K) each
    deviation = torch.exp(0.5 * log_variance)
    z = mean if noise is None else reparameterize(mean, log_variance, torch.from_numpy(noise))
    reconstruction = model.decode(z)
    return Inspected(
        batch.squeeze(1).numpy(),
        reconstruction.squeeze(1).numpy(),
        per_image_error(reconstruction, batch).numpy(),
        mean.numpy(),
        deviation.numpy(),
        z.numpy(),
    )


@torch.inference_mode()
def read_again(model: VAE, reconstructions: np.ndarray) -> np.ndarray:
    """What the encoder makes of pictures, float32 (M, 28, 28) in [0, 1]: float32 (M, K), posterior means."""
    return model.encode(torch.from_numpy(reconstructions).unsqueeze(1))[0].numpy()


def encode_again(
    model: VAE,
    images: ImageSet,
    noise: np.ndarray | None = None,
    progress: Progress = untold,
) -> np.ndarray:
    """What the encoder makes of each image's reconstruction: float32 (N, K), posterior means.

    Args:
        noise: float32 (N, K), with which the latents are sampled; without it the mean is decoded.
        progress: told the numbers of images done and to do.
    """
    again = []
    for start in range(0, len(images), evaluation.BATCH):
        part = slice(start, start + evaluation.BATCH)
        seen = inspect(model, images.images[part], None if noise is None else noise[part])
        again.append(read_again(model, seen.reconstructions))
        progress(start + len(seen.images), len(images))
    return np.concatenate(again)


@dataclass(frozen=True)
class ClassErrors:
    """The errors of one class's images: their number, mean and percentiles."""

    label: int
    images: int
    mean: float
    p5: float
    q1: float
    median: float
    q3: float
    p95: float


def errors_by_class(errors: np.ndarray, labels: np.ndarray) -> list[ClassErrors]:
    """The errors, float (N,), of each class there are images of, in the order of the labels, uint8 (N,)."""
    return [
        ClassErrors(
            int(label),
            int((labels == label).sum()),
            float(errors[labels == label].mean(dtype=np.float64)),
            *(float(value) for value in np.percentile(errors[labels == label], (5, 25, 50, 75, 95))),
        )
        for label in np.unique(labels)
    ]


def confusion(labels: np.ndarray, read_as: np.ndarray, classes: int) -> np.ndarray:
    """How many images of each class (row) are read as each class (column): int (classes, classes)."""
    table = np.zeros((classes, classes), int)
    np.add.at(table, (labels, read_as), 1)
    return table
