"""A picture among the test images of a model: how usual it is, and what its reconstruction is read as."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vae_core.evaluated import Evaluation
from vae_core.inference import Reconstruction
from vae_core.latent_space import ClassGaussians
from vae_core.model import VAE
from vae_core.quality.inspection import read_again

UNUSUAL_ERROR = 0.95
"""An error that is higher than those of this share of the test images is unusual."""
REMOTE = 0.99
"""Farther from its class than this share of the test images from theirs, or farther out, a picture is hardly
one of it. A class of few images that lie far apart reaches far: a dot may be near it, but it lies far out."""


@dataclass(frozen=True)
class Placement:
    """Where a picture stands among the test images.

    Attributes:
        error_rank: the share of the test images that have a lower error, 0 to 1.
        distance_rank: the share of them that lie nearer to the class they are most like, 0 to 1.
        outward_rank: the share of them that lie nearer to the middle of N(0, I), 0 to 1.
        likeliest: the two most probable classes and their probabilities, the likelier first; of a data set of
            one class only that one.
        read_as: the most probable class of its reconstruction, encoded again.
    """

    error_rank: float
    distance_rank: float
    outward_rank: float
    likeliest: tuple[tuple[int, float], ...]
    read_as: int

    @property
    def is_remote(self) -> bool:
        """Whether hardly a test image lies as far from the class it is most like, or as far out."""
        return max(self.distance_rank, self.outward_rank) >= REMOTE

    @property
    def is_unusual(self) -> bool:
        """Whether the model has hardly seen anything like it, by its error or by its place."""
        return self.error_rank >= UNUSUAL_ERROR or self.is_remote


def place(
    model: VAE,
    result: Reconstruction,
    evaluation: Evaluation,
    classes: ClassGaussians,
    distances: np.ndarray,
    sampled: bool = False,
) -> Placement:
    """Places what `reconstruct_image` made of a picture among the model's test images.

    Args:
        evaluation: of the model.
        classes: fitted to the evaluation's means and labels.
        distances: float64 (N,), `classes.distance_of_likeliest` of the evaluation's means and labels.
        sampled: the latents were sampled, so the error is compared with those of sampled latents.
    """
    mean = result.mean[None]  # (1, K)
    errors = evaluation.errors if sampled else evaluation.errors_mean
    probabilities = classes.probabilities(mean)[0]
    return Placement(
        error_rank=float((errors < result.error).mean()),
        distance_rank=float((distances < classes.distance_of_likeliest(mean)[0]).mean()),
        outward_rank=float((evaluation.norms < np.linalg.norm(mean)).mean()),
        likeliest=tuple(
            (classes.labels[row], float(probabilities[row])) for row in np.argsort(-probabilities)[:2]
        ),
        read_as=int(classes.likeliest(read_again(model, result.image[None]))[0]),
    )
