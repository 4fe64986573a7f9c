"""A model on a set of test images: those it was evaluated on, or those that the app has, measured here.

What takes long is computed in the background, once for each version of the model's files.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np

from vae_core.class_words import IMAGES, ClassWords, class_words
from vae_core.data import HOW_TO_GET_ALL, Dataset, ImageSet
from vae_core.errors import DataError, RequestError, RunError
from vae_core.evaluated import Evaluation, Latents
from vae_core.latent_space import ClassGaussians
from vae_core.progress import Progress
from vae_core.run_results import store_evaluation
from vae_core.ui.background import Task
from vae_core.ui.studio import Loaded, Studio

On = Literal["evaluated", "here"]
FEW_TO_JUDGE_BY = 2000
"""Fewer than this, and a Gaussian for each class fits them better than it would fit others."""


@dataclass(frozen=True)
class Tested:
    """A model's errors on one set of images, decoded from sampled latents or from their mean."""

    studio: Studio
    loaded: Loaded
    evaluation: Evaluation
    on: On
    latents: Latents

    @property
    def name(self) -> str:
        """The model's."""
        return self.loaded.info.name

    @property
    def errors(self) -> np.ndarray:
        """float64 (N,): of each image, exact as the evaluation holds them."""
        sampled = self.latents == "sampled"
        return (self.evaluation.errors if sampled else self.evaluation.errors_mean).astype(np.float64)

    @property
    def words(self) -> ClassWords:
        """What the images are called."""
        return class_words(self.evaluation.name)

    @cached_property
    def images(self) -> ImageSet | None:
        """The images that were measured, if the app has them; None where it has others, or cannot read its
        own."""
        here, measured = self.here, self.evaluation
        if isinstance(here, DataError) or not np.array_equal(here.labels, measured.labels):
            return None
        if measured.digest:
            return here if here.digest == measured.digest else None
        # Of versions that kept no digest: many labels in a row are hardly another set's.
        is_telling = len(np.unique(measured.labels)) > 1
        return here if is_telling or here.name == measured.name else None

    @cached_property
    def dataset(self) -> Dataset | DataError:
        """The app's images, or why it has none: the same as long as this is looked at."""
        try:
            return self.studio.dataset()
        except DataError as error:
            return error

    @property
    def here(self) -> ImageSet | DataError:
        """The app's test images, or why it has none."""
        return self.dataset if isinstance(self.dataset, DataError) else self.dataset.test

    @property
    def missing(self) -> str | None:
        """Why the images cannot be shown, in words; None if they can."""
        if self.images is not None:
            return None
        here, measured = self.here, self.evaluation
        if isinstance(here, DataError):
            return f"The images of this evaluation cannot be shown: {here}."
        why = (
            f"The {len(measured.errors):,} images of this evaluation ({measured.name}) are not here, so they "
            f"cannot be shown: this app has {len(here):,} other test images ({here.name})."
        )
        return f"{why} {HOW_TO_GET_ALL}" if here.is_sample else why

    @cached_property
    def reader(self) -> ClassGaussians:
        """Reads a class off a latent vector: the model's own classes if they are of the same kind."""
        own, measured = self.loaded.evaluation, self.evaluation
        # Sets of which nothing is known are called alike, whatever their classes are.
        is_alike = self.words == self.loaded.words
        if own is not None and is_alike and (self.words != IMAGES or own.name == measured.name):
            return self.loaded.classes
        return ClassGaussians.fit(measured.means, measured.labels)

    @property
    def is_flattered(self) -> bool:
        """Whether `reader` has its classes from these very images, and those are so few that it shows: with
        500 a model of two epochs reads them better than one of thirty that has its classes from 10,000."""
        is_of_these = self.on == "evaluated" or self.reader is not self.loaded.classes
        return is_of_these and len(self.evaluation.errors) < FEW_TO_JUDGE_BY

    def required_images(self) -> ImageSet:
        """The images that were measured.

        Raises:
            RequestError: the app has others, or cannot read its own.
        """
        if (why := self.missing) is not None:
            raise RequestError(why)
        assert self.images is not None
        return self.images

    def classes_read(self) -> Task:
        """What each image's reconstruction is read as by the model's own encoder: uint8 (N,).

        Raises:
            RequestError: the app has other images, or cannot read its own.
        """
        images = self.required_images()

        def read(progress: Progress) -> np.ndarray:
            from vae_core.quality.inspection import encode_again

            noise = noise_of(self.loaded, len(images), self.latents)
            again = encode_again(self.loaded.model, images, noise, progress)
            return self.reader.likeliest(again).astype(np.uint8)

        return self.studio.background.task(self._key("reading", self.latents), read)

    def assessment(self) -> Task | None:
        """All other figures being measured, if they are."""
        return self.studio.background.known(self._key("assessment"))

    def begin_assessment(self) -> Task:
        """Measures all other figures: an Evaluation. Keeps them with the run if they belong there.

        Raises:
            RequestError: the app has other images, or cannot read its own.
        """
        self.required_images()
        info, dataset = self.loaded.info, self.dataset
        assert not isinstance(dataset, DataError)

        def measure(progress: Progress) -> Evaluation:
            from vae_core.quality.assessment import assess

            evaluation, mixture = assess(
                self.studio.run(info.name), self.loaded.model, self.evaluation, dataset, progress,
            )  # fmt: skip
            if self.on == "evaluated" and not self.studio.read_only:
                with suppress(RunError):  # such as of a shipped run; whoever has asked sees the figures
                    store_evaluation(info, self.loaded.version, evaluation, mixture)
            return evaluation

        return self.studio.background.task(self._key("assessment"), measure)

    def _key(self, what: str, *more: str) -> tuple[object, ...]:
        return what, self.loaded.info.name, self.loaded.version, self.on, self.evaluation.digest, *more


def noise_of(loaded: Loaded, count: int, latents: Latents) -> np.ndarray | None:
    """The noise of a model's sampled latents of N images, float32 (N, K); None where the mean is decoded."""
    from vae_core.quality.inspection import evaluation_noise

    if latents == "mean":
        return None
    return evaluation_noise(count, loaded.model.latent_dim, loaded.info.settings.seed)


def tested(studio: Studio, run: str, on: On, latents: Latents) -> Tested:
    """A model on the images it was evaluated on, or, as soon as it is measured, on those of the app.

    Raises:
        RunError: there is no such model, or it has not been evaluated yet.
        DataError: the folder named for the app's images holds no data set.
    """
    loaded = studio.load(run)
    measured = (
        loaded.required_evaluation() if on == "evaluated" else measuring(studio, loaded).result.result()
    )
    return Tested(studio, loaded, measured, on, latents)


def measuring(studio: Studio, loaded: Loaded) -> Task:
    """The model's evaluation on the images of the app."""
    test, settings = studio.dataset().test, loaded.info.settings

    def measure(progress: Progress) -> Evaluation:
        from vae_core.evaluation import evaluate

        return evaluate(
            loaded.model, test, settings.likelihood, settings.beta, settings.seed, progress,
        )  # fmt: skip

    return studio.background.task(_measured_key(loaded, test), measure)


def measured_here(studio: Studio, loaded: Loaded, latents: Latents) -> Tested | None:
    """The model on the images of the app, if it has been measured on them already."""
    task = studio.background.known(_measured_key(loaded, studio.dataset().test))
    if task is None or not task.result.done():
        return None
    return Tested(studio, loaded, task.result.result(), "here", latents)


def _measured_key(loaded: Loaded, images: ImageSet) -> tuple[object, ...]:
    return "measure", loaded.info.name, loaded.version, images.digest
