"""The ELBO loss and its two terms, in nats per image.

Formulas: Kingma and Welling, "Auto-Encoding Variational Bayes" (2013), appendix B for the KL term;
Rybkin, Daniilidis and Levine, "Simple and Effective VAE Training with Calibrated Decoders" (2021).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from numbers import Real
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

LOG_TWO_PI = math.log(2 * math.pi)
SMALLEST_VARIANCE = 1e-6
"""Keeps the calibrated likelihood finite should a batch be reconstructed without any error."""


class ElboLoss(NamedTuple):
    """The loss and its parts: scalars, nats per image, averaged over the batch."""

    total: Tensor
    reconstruction: Tensor
    kl: Tensor


def elbo_loss(
    reconstruction: Tensor,
    images: Tensor,
    mean: Tensor,
    log_variance: Tensor,
    beta: float = 1.0,
    likelihood: str = "gaussian",
    average: Callable[[Tensor], Tensor] | None = None,
) -> ElboLoss:
    """The negative evidence lower bound: reconstruction + beta * KL.

    Args:
        reconstruction: float (N, 1, 28, 28) in [0, 1], the decoder's pictures.
        images: float (N, 1, 28, 28) in [0, 1], what they should be.
        mean, log_variance: float (N, K), the posterior.
        beta: weight of the KL term in the total; `kl` itself is returned unweighted.
        likelihood, average: how errors are counted, see `reconstruction_loss`.

    Returns:
        total, reconstruction and kl.

    Raises:
        TypeError: one of the four is no tensor, or beta no number.
        ValueError: there is no such likelihood, the reconstruction is not of the images' shape, or the
            posterior is not theirs.
    """
    four = {"reconstruction": reconstruction, "images": images, "mean": mean, "log_variance": log_variance}
    for name, given in four.items():
        if not isinstance(given, Tensor):
            raise TypeError(f"{name} must be a tensor, not {type(given).__name__}")
    if not isinstance(beta, (Real, Tensor)):
        raise TypeError(f"beta must be a number, not {type(beta).__name__}")
    if mean.shape != log_variance.shape or len(mean) != len(images):
        raise ValueError(
            f"mean and log_variance of shapes {tuple(mean.shape)} and {tuple(log_variance.shape)}; expected "
            f"({len(images)}, K) both, as there are {len(images)} images"
        )
    error = reconstruction_loss(reconstruction, images, likelihood, average)
    kl = kl_per_dimension(mean, log_variance).sum()
    return ElboLoss(error + beta * kl, error, kl)


def reconstruction_loss(
    reconstruction: Tensor,
    images: Tensor,
    likelihood: str = "gaussian",
    average: Callable[[Tensor], Tensor] | None = None,
) -> Tensor:
    """The negative log-likelihood of the images, a scalar in nats per image.

    - "gaussian": unit variance without its constant, MATLAB's `mse`: the half squared error,
      sum((y - x)^2) / (2 N), summed over pixels. `F.mse_loss` averages over pixels as well and is
      392 times smaller; with it the KL term wins and the posterior collapses.
    - "bernoulli": binary cross-entropy, summed over pixels.
    - "calibrated": a Gaussian whose one variance is the batch's own mean squared error, the optimum
      in closed form (Rybkin et al. 2021, eq. 7), with its constant.

    Args:
        reconstruction, images: float (N, 1, 28, 28) in [0, 1].
        likelihood: one of the three.
        average: where several processes share the batch, gives the mean of their scalar errors for
            "calibrated"; the gradient is by this process's own.

    Raises:
        ValueError: there is no such likelihood, or the reconstruction is not of the images' shape.
    """
    check_likelihood(likelihood)
    if reconstruction.shape != images.shape:
        raise ValueError(
            f"a reconstruction of shape {tuple(reconstruction.shape)}; expected that of the images, "
            f"{tuple(images.shape)}"
        )
    if likelihood == "gaussian":
        return 0.5 * F.mse_loss(reconstruction, images, reduction="sum") / len(images)
    if likelihood == "bernoulli":
        return cross_entropy(reconstruction, images).sum() / len(images)
    pixels = images[0].numel()
    error = F.mse_loss(reconstruction, images)
    if average is not None:
        error = error + (average(error) - error).detach()
    variance = error.clamp_min(SMALLEST_VARIANCE)
    return 0.5 * pixels * (torch.log(variance) + LOG_TWO_PI + 1.0)


def cross_entropy(reconstruction: Tensor, images: Tensor) -> Tensor:
    """The binary cross-entropy of each pixel, nats; NaN where the reconstruction is.

    PyTorch's own takes NaN, which a training that diverges comes to, for a mistake, and ends a GPU's process.

    Args:
        reconstruction, images: float in [0, 1], of one shape, which is the result's too.
    """
    in_range = reconstruction.nan_to_num(0.5)
    return F.binary_cross_entropy(in_range, images, reduction="none") + (reconstruction - in_range).detach()


def check_likelihood(likelihood: object) -> None:
    """Raises ValueError unless it is one of the three."""
    if likelihood not in ("gaussian", "bernoulli", "calibrated"):
        raise ValueError(f"likelihood must be gaussian, bernoulli or calibrated, not {likelihood!r}")


def kl_per_dimension(mean: Tensor, log_variance: Tensor) -> Tensor:
    """The `kl_terms` averaged over the batch: float (K,), nats."""
    return kl_terms(mean, log_variance).mean(dim=0)


def kl_terms(mean: Tensor, log_variance: Tensor) -> Tensor:
    """KL(N(mean, variance) || N(0, 1)) of each latent of each image: float (N, K), nats.

    -1/2 (1 + log_variance - mean^2 - exp(log_variance)), Kingma and Welling 2013, appendix B; never negative.

    Args:
        mean, log_variance: float (N, K).
    """
    return -0.5 * (1 + log_variance - mean.square() - log_variance.exp())
