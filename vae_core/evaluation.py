"""What a trained model does on test images: errors, ELBO terms, latent statistics, a tighter bound."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from vae_core.data import ImageSet, spread
from vae_core.errors import check_type
from vae_core.evaluated import Evaluation
from vae_core.images import PIXELS
from vae_core.loss import LOG_TWO_PI, SMALLEST_VARIANCE, check_likelihood, cross_entropy, kl_per_dimension
from vae_core.model import VAE, as_batch, reparameterize
from vae_core.progress import Progress, untold

BATCH = 500


@torch.inference_mode()
def evaluate(
    model: VAE,
    images: ImageSet,
    likelihood: str = "gaussian",
    beta: float = 1.0,
    seed: int = 0,
    progress: Progress = untold,
) -> Evaluation:
    """Reconstructs every image (the last, partial batch too) and gathers the figures.

    Args:
        model: a trained model, on any device.
        images: the test set.
        likelihood, beta: the model's own, for `total` and `reconstruction`; as in `Settings`.
        seed: of the noise in the sampled latents.
        progress: told the numbers of images done and to do.

    Raises:
        TypeError: the model is no module (but a run, say), or the images are not an ImageSet.
        ValueError: there is no such likelihood.
    """
    check_type("model", model, nn.Module)
    check_type("images", images, ImageSet)
    check_likelihood(likelihood)
    device = next(model.parameters()).device
    noise = torch.Generator(device).manual_seed(seed)
    means, log_variances = [], []
    sampled: list[tuple[Tensor, Tensor]] = []  # what the reconstruction term averages, and each image's error
    from_mean: list[tuple[Tensor, Tensor]] = []
    for start in range(0, len(images), BATCH):
        chunk = np.array(images.images[start : start + BATCH])
        batch = as_batch(torch.from_numpy(chunk).to(device))  # (N, 1, 28, 28) in [0, 1]
        mean, log_variance = model.encode(batch)  # (N, K) each
        z = model.sample(mean, log_variance, noise)
        for latents, gathered in ((z, sampled), (mean, from_mean)):
            reconstruction = model.decode(latents)
            error = per_image_error(reconstruction, batch)
            averaged = _cross_entropy(reconstruction, batch) if likelihood == "bernoulli" else error
            gathered.append((averaged, error))
        means.append(mean)
        log_variances.append(log_variance)
        progress(start + len(batch), len(images))

    mean, log_variance = torch.cat(means).double(), torch.cat(log_variances).double()
    kl_of_each = kl_per_dimension(mean, log_variance)
    kl = kl_of_each.sum().item()
    averaged, errors = (torch.cat(column) for column in zip(*sampled, strict=True))
    averaged_mean, errors_mean = (torch.cat(column) for column in zip(*from_mean, strict=True))
    reconstruction_term = _reconstruction_term(averaged, likelihood)
    reconstruction_mean = _reconstruction_term(averaged_mean, likelihood)
    return Evaluation(
        total=reconstruction_term + beta * kl,
        reconstruction=reconstruction_term,
        kl=kl,
        total_mean=reconstruction_mean + beta * kl,
        reconstruction_mean=reconstruction_mean,
        errors=_float32(errors),
        errors_mean=_float32(errors_mean),
        labels=np.array(images.labels),
        kl_per_dimension=_float32(kl_of_each),
        variance_of_mean=_float32(mean.var(dim=0, correction=0)),
        class_means=_class_means(mean.cpu().numpy(), images.labels),
        means=_packed(mean).cpu().numpy(),
        name=images.name,
        source=images.source,
        digest=images.digest,
    )


def _packed(mean: Tensor) -> Tensor:
    """In half the space, unless one is too large for that, as without a KL term it may be."""
    packed = mean.half()
    return packed if packed.isfinite().all() else mean.float()


def per_image_error(reconstruction: Tensor, images: Tensor) -> Tensor:
    """Mean squared error over the 784 pixels of each image: float (N,), 0 to 1."""
    return (reconstruction - images).square().mean(dim=(1, 2, 3))


@torch.inference_mode()
def importance_weighted_bound(
    model: VAE,
    images: ImageSet,
    likelihood: str = "gaussian",
    variance: float = 1.0,
    samples: int = 1000,
    count: int = 100,
    seed: int = 0,
    progress: Progress = untold,
) -> float:
    """A tighter bound than the ELBO on the negative log-likelihood, in nats per image, lower is better.

    -log(1/S sum_s p(x | z_s) p(z_s) / q(z_s | x)), z_s ~ q(z | x): Burda, Grosse and Salakhutdinov,
    "Importance Weighted Autoencoders" (2016), eq. 8. In the unit of `Evaluation.total` at beta 1.

    Args:
        model: of which the bound is, on any device.
        images: of which `count` are taken.
        likelihood: as in `Settings.likelihood`.
        variance: of a pixel under the "calibrated" likelihood, its mean squared error on the test set.
        samples: S for each image.
        count: how many images, spread evenly over the set.
        seed: of the samples.
        progress: told the numbers of images done and to do.

    Raises:
        ValueError: there is no such likelihood.
    """
    check_likelihood(likelihood)
    device = next(model.parameters()).device
    noise = torch.Generator(device).manual_seed(seed)
    chosen = spread(len(images), count)
    bounds = []
    for done, index in enumerate(chosen, start=1):
        image = as_batch(torch.from_numpy(np.array(images.images[index : index + 1])).to(device))
        mean, log_variance = model.encode(image)  # (1, K) each
        eps = torch.empty(samples, mean.shape[1], device=device).normal_(generator=noise)
        z = reparameterize(mean, log_variance, eps)  # (S, K)
        log_prior_ratio = 0.5 * (eps.square() - z.square() + log_variance).sum(dim=1)  # log p(z)/q(z|x)
        log_likelihood = torch.cat(
            [_log_likelihood(model.decode(part), image, likelihood, variance) for part in z.split(BATCH)]
        )
        log_weights = (log_likelihood + log_prior_ratio).double()
        bounds.append(math.log(samples) - torch.logsumexp(log_weights, dim=0).item())
        progress(done, len(chosen))
    return float(np.mean(bounds))


class Baselines(NamedTuple):
    """Per-pixel errors on the test set that a model should beat."""

    mean_image: float
    """Answering every image with the training set's mean image: what a collapsed posterior gives."""
    pca: float
    """Principal components, as many as the model has latents."""


def baselines(training_images: np.ndarray, test_images: np.ndarray, components: int) -> Baselines:
    """The errors per pixel of the mean image and of PCA, fitted to the training images, on the test images.

    Args:
        training_images: uint8 (N, 28, 28), those that the model learns from.
        test_images: uint8 (M, 28, 28).
        components: of PCA; no more are used than the training images have, one fewer than there are of them.
    """
    train_pixels = torch.from_numpy(np.array(training_images)).reshape(len(training_images), -1)
    count, pixels = train_pixels.shape
    total = torch.zeros(pixels, dtype=torch.float64)
    products = torch.zeros(pixels, pixels, dtype=torch.float64)
    for chunk in train_pixels.split(10_000):
        part = chunk.float() / 255
        total += part.sum(dim=0)
        products += part.T @ part
    mean = total / count
    covariance = products / count - torch.outer(mean, mean)
    used = min(components, count - 1)  # what is beyond them has no direction of its own
    basis = torch.linalg.eigh(covariance).eigenvectors[:, pixels - used :].float()  # (784, used)
    test_pixels = torch.from_numpy(np.array(test_images)).reshape(len(test_images), -1)
    centred = test_pixels.float() / 255 - mean.float()
    residual = centred - (centred @ basis) @ basis.T
    return Baselines(centred.square().mean().item(), residual.square().mean().item())


def _log_likelihood(decoded: Tensor, image: Tensor, likelihood: str, variance: float) -> Tensor:
    """log p(x | z) of one image (1, 1, 28, 28) for each decoded picture (S, 1, 28, 28): float (S,)."""
    if likelihood == "bernoulli":
        return -_cross_entropy(decoded, image.expand_as(decoded))
    squared = (decoded - image).square().sum((1, 2, 3))
    if likelihood == "gaussian":
        return -0.5 * squared
    variance = max(variance, SMALLEST_VARIANCE)
    return -0.5 * (squared / variance + image[0].numel() * (math.log(variance) + LOG_TWO_PI))


def _cross_entropy(decoded: Tensor, images: Tensor) -> Tensor:
    """Binary cross-entropy of each image, summed over pixels: float (N,), nats."""
    return cross_entropy(decoded, images).sum((1, 2, 3))


def _reconstruction_term(values: Tensor, likelihood: str) -> float:
    """The set's reconstruction loss from each image's cross-entropy or mean squared error."""
    average = values.double().mean().item()
    if likelihood == "bernoulli":
        return average
    if likelihood == "gaussian":
        return 0.5 * PIXELS * average
    return 0.5 * PIXELS * (math.log(max(average, SMALLEST_VARIANCE)) + LOG_TWO_PI + 1.0)


def _class_means(means: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """float32 (C, K) with C one more than the largest label; a class without images is NaN."""
    classes = int(labels.max()) + 1
    rows = [
        means[labels == c].mean(axis=0) if (labels == c).any() else np.full(means.shape[1], np.nan)
        for c in range(classes)
    ]
    return np.stack(rows).astype(np.float32)


def _float32(values: Tensor) -> np.ndarray:
    return values.float().cpu().numpy()
