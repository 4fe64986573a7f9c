"""The evaluation of a model as plain numbers and arrays, and its form on disk. Needs no torch."""

from __future__ import annotations

import io
import math
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import Any, Literal

import numpy as np

from vae_core.errors import RunError
from vae_core.images import PIXELS, Identity
from vae_core.npz import read_arrays

ACTIVE_VARIANCE = 0.01
"""A latent is in use if its mean varies by more than this over the data (Burda et al. 2016)."""

SCALARS = ("total", "reconstruction", "kl", "total_mean", "reconstruction_mean")
LATER_SCALARS = (
    "iwae", "iwae_unit_variance", "frechet_prior", "frechet_mixture", "confident_prior", "confident_mixture",
)  # fmt: skip
"""Figures that only `evaluate` computes: None until then."""
ADDED = {*LATER_SCALARS, "samples_note", "digest"} - {"iwae"}
"""Fields that older files do not have."""
DTYPES = {"labels": (np.uint8,), "means": (np.float16, np.float32)}
"""Of the arrays that are not float32."""
Latents = Literal["sampled", "mean"]
"""What an image is decoded from: a sample of its posterior, or the mean of it."""
Order = Literal["rising", "falling", "typical", "better", "worse"]
"""Of images: by their error, from the largest down, the nearest to the median first, or those that another
model reconstructs better, or worse, by how much."""
MOST_UNPACKED_BYTES = 256 * 2**20
MOST_CLASSES = 256
MOST_CHARACTERS = 10_000


@dataclass(frozen=True)
class Evaluation:
    """The figures of one model on one set of images. Losses in nats per image, errors per pixel.

    Attributes:
        total, reconstruction, kl: the ELBO loss and its terms under the model's own likelihood, with
            sampled latents, as in training.
        total_mean, reconstruction_mean: the same, decoded from the posterior's mean.
        errors: float32 (N,), each image's mean squared error over its 784 pixels, latents sampled.
        errors_mean: float32 (N,), the same, decoded from the posterior's mean.
        labels: uint8 (N,).
        kl_per_dimension: float32 (K,), nats.
        variance_of_mean: float32 (K,), how much each latent's mean moves over the images.
        class_means: float32 (C, K), the average mean of each class, by class number.
        means: float16 (N, K), the posterior means, for the map; float32 where one is beyond float16.
        name: the data set's name.
        source: the data set in words.
        iwae: the importance-weighted bound in the unit of `total`; None until it is computed.
        iwae_unit_variance: the same bound with every pixel's variance taken as 1, whatever the model's
            own likelihood: the one by which models of different likelihoods can be compared.
        frechet_prior, frechet_mixture: the Fréchet distance between the test images and generated ones,
            drawn from N(0, I) or from the run's mixture; None where it was not or cannot be computed.
        confident_prior, confident_mixture: the share of those generated images that the digit classifier
            reads with confidence, 0 to 1.
        samples_note: why the four are missing or to be read with care; empty where there is no reason to.
        digest: of the images, as `ImageSet.digest`; empty in files of versions that kept none.
    """

    total: float
    reconstruction: float
    kl: float
    total_mean: float
    reconstruction_mean: float
    errors: np.ndarray = field(repr=False)
    errors_mean: np.ndarray = field(repr=False)
    labels: np.ndarray = field(repr=False)
    kl_per_dimension: np.ndarray = field(repr=False)
    variance_of_mean: np.ndarray = field(repr=False)
    class_means: np.ndarray = field(repr=False)
    means: np.ndarray = field(repr=False)
    name: str
    source: str
    iwae: float | None = None
    iwae_unit_variance: float | None = None
    frechet_prior: float | None = None
    frechet_mixture: float | None = None
    confident_prior: float | None = None
    confident_mixture: float | None = None
    samples_note: str = ""
    digest: str = ""

    @property
    def identity(self) -> Identity:
        """Which images these are."""
        return Identity(self.name, len(self.errors), self.digest)

    @cached_property
    def norms(self) -> np.ndarray:
        """How far out in the latent space each mean lies: float (N,). A drawing asks with each stroke."""
        return np.linalg.norm(self.means.astype(np.float64), axis=1)  # squares may be beyond float16

    def total_unit_variance(self, sampled: bool = True) -> float:
        """The ELBO loss with every pixel's variance taken as 1 and the KL unweighted, nats per image.

        The reference's own loss: half the squared error summed over the pixels, plus the KL. Losses under
        different likelihoods are different quantities; this one can be compared.
        """
        errors = self.errors if sampled else self.errors_mean
        return 0.5 * PIXELS * float(errors.mean(dtype=np.float64)) + self.kl

    @property
    def is_complete(self) -> bool:
        """Whether all figures are there that can be: those of samples, or a note that says why not."""
        bounds = self.iwae is not None and self.iwae_unit_variance is not None
        return bounds and (self.frechet_prior is not None or bool(self.samples_note))

    @property
    def active_units(self) -> int:
        """Latents in use: variance of the mean above 0.01 (Burda, Grosse and Salakhutdinov 2016)."""
        return int((self.variance_of_mean > ACTIVE_VARIANCE).sum())

    def summary(self, sampled: bool = True) -> dict[str, float | int | str | None]:
        """The figures of `evaluate --json`, decoded from sampled latents or from the mean."""
        errors = self.errors if sampled else self.errors_mean
        return {
            "total": self.total if sampled else self.total_mean,
            "reconstruction": self.reconstruction if sampled else self.reconstruction_mean,
            "kl": self.kl,
            "mse_mean": float(errors.mean(dtype=np.float64)),
            "mse_median": float(np.median(errors)),
            "mse_p95": float(np.percentile(errors, 95)),
            "active_units": self.active_units,
            "iwae": self.iwae,
            "images": len(errors),
            "source": self.source,
            "total_unit_variance": self.total_unit_variance(sampled),
            "iwae_unit_variance": self.iwae_unit_variance,
            "frechet_prior": self.frechet_prior,
            "frechet_mixture": self.frechet_mixture,
            "confident_prior": self.confident_prior,
            "confident_mixture": self.confident_mixture,
            "samples_note": self.samples_note,
        }

    def to_bytes(self) -> bytes:
        """The content of evaluation.npz."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        for name in LATER_SCALARS:
            values[name] = math.nan if values[name] is None else values[name]
        buffer = io.BytesIO()
        np.savez_compressed(buffer, **values)
        return buffer.getvalue()

    @classmethod
    def from_bytes(cls, content: bytes) -> Evaluation:
        """Reads what `to_bytes` gave, never a pickle.

        Raises:
            RunError: the content is not such a file, or unpacks to more than 256 MiB.
        """
        names = [field.name for field in fields(cls)]
        values: dict[str, Any] = dict(read_arrays(content, names, MOST_UNPACKED_BYTES, "evaluation.npz"))
        if missing := sorted(set(names) - set(values) - ADDED):
            raise RunError(f"evaluation.npz is damaged or incomplete: it has no {', '.join(missing)}")
        for name in ("name", "source", "samples_note", "digest"):
            values[name] = _text(values.get(name, ""))
        for name in (*SCALARS, *LATER_SCALARS):
            if name not in values:
                continue
            if values[name].shape != () or values[name].dtype.kind != "f":
                raise RunError(f"evaluation.npz: {name} must be one number")
            values[name] = values[name].item()
            if math.isinf(values[name]) or (name in SCALARS and math.isnan(values[name])):
                raise RunError(f"evaluation.npz: {name} must be a finite number")
            if name in LATER_SCALARS and math.isnan(values[name]):
                values[name] = None
        evaluation = cls(**values)
        evaluation._check_shapes()
        return evaluation

    def _check_shapes(self) -> None:
        count, latent_dim = len(np.atleast_1d(self.labels)), len(np.atleast_1d(self.kl_per_dimension))
        expected = {
            "errors": (count,),
            "errors_mean": (count,),
            "labels": (count,),
            "kl_per_dimension": (latent_dim,),
            "variance_of_mean": (latent_dim,),
            "means": (count, latent_dim),
            "class_means": (len(np.atleast_1d(self.class_means)), latent_dim),
        }
        for name, shape in expected.items():
            array = getattr(self, name)
            if array.shape != shape:
                raise RunError(f"evaluation.npz: {name} has shape {array.shape}; expected {shape}")
            if array.dtype not in DTYPES.get(name, (np.float32,)):
                raise RunError(f"evaluation.npz: {name} is of {array.dtype}, which it never is")
        for name in ("errors", "errors_mean", "kl_per_dimension", "variance_of_mean", "means"):
            if not np.isfinite(getattr(self, name)).all():
                raise RunError(f"evaluation.npz: {name} must be finite numbers")
        if count == 0 or latent_dim == 0:
            raise RunError("evaluation.npz: expected at least one image and one latent")
        if len(self.class_means) > MOST_CLASSES or len(self.class_means) <= int(self.labels.max()):
            raise RunError(f"evaluation.npz: {len(self.class_means)} class means; expected one of each class")
        if not np.isfinite(self.class_means[np.unique(self.labels)]).all():
            raise RunError("evaluation.npz: class_means must be finite numbers of each class that is there")


def _text(array: Any) -> str:
    text = str(array)
    if len(text) > MOST_CHARACTERS:
        raise RunError(f"evaluation.npz: a text in it is longer than {MOST_CHARACTERS:,} characters")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise RunError("evaluation.npz: a text in it is not one") from error
    return text
