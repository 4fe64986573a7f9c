"""What the app holds for all its visitors: the folders, the loaded models, the training desk.

Nothing of one visitor is kept here.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from vae_core.class_words import ClassWords, class_words
from vae_core.data import (
    HOW_TO_GET_ALL,
    Dataset,
    ImageSet,
    find_idx_files,
    load_dataset,
    named_folder,
    spread,
    without_folder,
)
from vae_core.errors import DataError, RunError
from vae_core.evaluated import Evaluation
from vae_core.jobs.desk import TrainingDesk
from vae_core.latent_space import ClassGaussians, LatentMap
from vae_core.mixture import LatentMixture
from vae_core.progress import Progress
from vae_core.run_folder import Run
from vae_core.run_record import RunInfo
from vae_core.run_results import store_mixture
from vae_core.runs import NAME_PATTERN, check_runs_dir, list_runs, run_named
from vae_core.settings import Settings
from vae_core.ui.background import Background, Task

if TYPE_CHECKING:
    from vae_core.model import VAE

_log = logging.getLogger(__name__)

MOST_MODELS = 8
"""Models kept in memory; the one used longest ago goes first."""
UNSEEN_IMAGES = 200
"""Test images with which a generated one is compared; for MNIST half a second's work."""
LEAST_UNSEEN = 100
"""Of fewer of one class too little can be told: then they are of all classes."""
FEW_TO_TRAIN_ON = 20_000
"""From which on the recipes' epochs are steps enough."""
ASK_AGAIN_SECONDS = 10.0
"""Before a data set that could not be read is tried again for a note about it."""


class Unseen(NamedTuple):
    """What a model makes of images that it never saw.

    Attributes:
        label: their class; None if they are of all.
        errors: of each the error to the nearest training image, float32 (N,).
    """

    label: int | None
    errors: np.ndarray


@dataclass(frozen=True)
class Loaded:
    """A run's model and evaluation as they were when their files had these versions."""

    info: RunInfo
    model: VAE
    evaluation: Evaluation | None
    unmeasured: str
    """Why there is no evaluation, in words; "" where there is one."""
    version: int
    evaluation_version: int
    _unseen: dict[tuple[int | None, str, str], Unseen] = field(
        default_factory=dict, repr=False, compare=False
    )

    @property
    def words(self) -> ClassWords:
        """What the images it was made for are called."""
        measured = self.evaluation
        return class_words(self.info.trained_on.name if measured is None else measured.name)

    def required_evaluation(self) -> Evaluation:
        """The evaluation, for what cannot do without.

        Raises:
            RunError: there is none, and why.
        """
        if self.evaluation is None:
            raise RunError(self.unmeasured)
        return self.evaluation

    @cached_property
    def latent_map(self) -> LatentMap:
        """The plane of the map. Raises as `required_evaluation`."""
        return LatentMap.fit(self.required_evaluation().means)

    @cached_property
    def classes(self) -> ClassGaussians:
        """The classes in latent space. Raises as `required_evaluation`."""
        evaluation = self.required_evaluation()
        return ClassGaussians.fit(evaluation.means, evaluation.labels)

    @cached_property
    def distances_of_tested(self) -> np.ndarray:
        """Of each test image from the class it is most like without it: float64 (N,). Raises as
        `required_evaluation`."""
        evaluation = self.required_evaluation()
        return self.classes.distance_of_likeliest(evaluation.means, evaluation.labels)

    def unseen_like(self, label: int, test: ImageSet, training: ImageSet) -> Unseen:
        """Test images of a class, to compare a generated one with that is nearest to a training image of it.

        Of one class, as those of one may lie nearer to each other than those of another. Compared is what the
        model makes of them: its blurred images are nearer to any other than the test images as they are.
        """
        from vae_core.inference import nearest_errors
        from vae_core.quality.inspection import inspect

        rows = np.flatnonzero(test.labels == label)
        is_telling = len(rows) >= LEAST_UNSEEN
        key = label if is_telling else None, test.digest, training.digest
        if key not in self._unseen:
            rows = rows if is_telling else np.arange(len(test))
            decoded = inspect(self.model, test.images[rows[spread(len(rows), UNSEEN_IMAGES)]]).reconstructions
            self._unseen[key] = Unseen(key[0], nearest_errors(decoded, training.images))
        return self._unseen[key]


class Studio:
    """The app's state.

    Raises:
        RunError, DataError, SettingsError: the folder of runs, that of `data_dir` or the device cannot be
            what was named. A wrong `$MNIST_DIR` is only told: models can be explored without it.
    """

    def __init__(self, runs_dir: Path, data_dir: str | None, device: str, read_only: bool = False) -> None:
        check_runs_dir(runs_dir)
        if (named := named_folder(data_dir)) is not None:
            try:
                find_idx_files(*named)
            except DataError as error:
                if data_dir is not None:
                    raise
                _log.warning("%s. Models can be explored; nothing can be trained or measured.", error)
        if Settings(device=device).device.startswith("cuda"):
            from vae_core.engine.devices import choose_device

            choose_device(device)
        self.runs_dir = runs_dir.resolve()
        self.data_dir = data_dir
        self.read_only = read_only
        self.desk = TrainingDesk(self.runs_dir, data_dir, read_only, device)
        self.background = Background()
        self._loaded: OrderedDict[str, Loaded] = OrderedDict()
        self._lock = threading.Lock()
        self._loading = threading.Lock()
        self._dataset: Dataset | None = None
        self._data_problem: str | None = None
        self._data_asked_at = 0.0
        self._dataset_lock = threading.Lock()

    def run(self, name: str) -> Run:
        """A run by its name; unlike on the command line, never by a path.

        Raises:
            RunError: there is none of this name.
        """
        if not isinstance(name, str) or not NAME_PATTERN.fullmatch(name):
            raise RunError("a model is chosen by its run's name")
        return run_named(name, self.runs_dir)

    def load(self, name: str) -> Loaded:
        """A run with its model, read anew when its weights or its evaluation have changed.

        Raises:
            RunError: there is none of this name, or it has no weights yet.
        """
        run = self.run(name)
        versions = run.weights_version(), run.evaluation_version()
        if (kept := self._kept(run.name, versions)) is not None:
            return kept
        with self._loading:  # each is read once; who looks at another that is kept does not wait for it
            if (kept := self._kept(run.name, versions)) is not None:
                return kept
            evaluation, why = _evaluation_of(run)
            loaded = Loaded(run.info(), run.model(), evaluation, why, *versions)
            with self._lock:
                self._loaded[run.name] = loaded
                self._loaded.move_to_end(run.name)
                if len(self._loaded) > MOST_MODELS:
                    self._loaded.popitem(last=False)
            return loaded

    def _kept(self, name: str, versions: tuple[int, int]) -> Loaded | None:
        with self._lock:
            kept = self._loaded.get(name)
            if kept is None or (kept.version, kept.evaluation_version) != versions:
                return None
            self._loaded.move_to_end(name)
            return kept

    def dataset(self) -> Dataset:
        """The images that the app shows and compares with, read when they are first needed, and again when
        their files have changed; until those can be read, the last ones.

        Raises:
            DataError: the folder that was named holds no data set.
        """
        with self._dataset_lock:
            held, now = self._dataset, time.monotonic()
            may_ask = self._data_problem is None or now - self._data_asked_at > ASK_AGAIN_SECONDS
            if held is None or (may_ask and not held.is_current):
                self._data_asked_at = now
                try:
                    self._dataset = load_dataset(self.data_dir)
                except DataError as error:
                    self._data_problem = without_folder(str(error), self.data_dir)
                    if held is None:
                        raise DataError(self._data_problem) from error
                    return held  # its files may just be written
                self._data_problem = None
                if self._dataset.train.is_sample:
                    _log.warning("Using %s. %s", self._dataset.train.source, HOW_TO_GET_ALL)
            assert self._dataset is not None
            return self._dataset

    def data_note(self) -> str | None:
        """What whoever trains here should know of the images, as far as that is known by now: that there are
        none, or only a sample, and how to get the rest, or that they are not MNIST's."""
        if self._data_problem is not None and time.monotonic() - self._data_asked_at > ASK_AGAIN_SECONDS:
            with suppress(DataError):  # it may have been mended
                self.dataset()
        if self._data_problem is not None:
            return f"Nothing can be trained or measured here: {self._data_problem}."
        if self.read_only or self._dataset is None or self._dataset.train.name == "MNIST":
            return None
        train = self._dataset.train
        if train.is_sample:
            return (
                f"What you train here learns from {train.source}. {HOW_TO_GET_ALL} The times and results "
                "told of the recipes are for all 60,000 images: on the sample Minute takes seconds, and "
                "learns little."
            )
        few = ""
        if len(train) < FEW_TO_TRAIN_ON:
            few = " With so few an epoch has few steps: take more epochs, under Advanced."
        return (
            f"What you train here learns from {train.source}: {len(train):,} images. The times and results "
            f"told of the recipes are for the 60,000 of MNIST.{few}"
        )

    def mixture(self, loaded: Loaded) -> Task:
        """The model's Gaussian mixture, a LatentMixture: at once as its run keeps it, or fitted in the
        background.

        The result raises RunError where the app has other images than the model was trained on.
        """
        run = self.run(loaded.info.name)
        if (stored := _stored_mixture(run.folder, run.mixture_version())) is not None:
            return Task.done_already(stored)

        def fit(progress: Progress) -> LatentMixture:
            from vae_core.quality.assessment import fitted_mixture

            mixture = fitted_mixture(loaded.info, loaded.model, self.dataset().train, progress)
            if mixture is None:
                raise RunError(
                    f"run {run.name} has no mixture: it is fitted to the run's training images, which are "
                    "not here; the prior needs none"
                )
            if not self.read_only:
                with suppress(RunError):  # it is fitted again when it is wanted again
                    store_mixture(loaded.info, loaded.version, mixture)
            return mixture

        return self.background.task(("mixture", run.name, loaded.version), fit)

    def models(self) -> list[RunInfo]:
        """The runs that have a model to look at."""
        return [info for info in list_runs(self.runs_dir) if info.has_model]

    def first_model(self) -> str | None:
        """The model the page opens with: the shipped reference, or whatever there is."""
        return next((info.name for info in self.models()), None)

    def watched(self, name: str = "", seen: str = "") -> RunInfo | None:
        """The run the Train tab shows: the one named, else the one running, else the one seen last, else the
        visitors' newest, else the reference."""
        if name:
            return self.run(name).info()
        last = None
        with suppress(RunError):  # none was, or it is gone
            last = self.run(seen).info()
        if last is not None and last.state == "running":  # as for most who ask: no other need be looked for
            return last
        if (other := self.desk.running() or last) is not None:
            return other
        runs = list_runs(self.runs_dir)
        own = [info for info in runs if not info.is_shipped]  # the newest first
        return next(iter(own or runs), None)


@lru_cache(MOST_MODELS)
def _stored_mixture(folder: Path, version: int) -> LatentMixture | None:
    """The mixture that a run's folder has, of this `Run.mixture_version`; a damaged one is none."""
    return Run(folder).mixture_or_none() if version else None


def _evaluation_of(run: Run) -> tuple[Evaluation | None, str]:
    """A run's evaluation, and in words why there is none: a damaged one keeps no model from being used."""
    try:
        evaluation = run.evaluation()
    except RunError as error:
        return None, str(error)
    return evaluation, "" if evaluation is not None else f"run {run.name} has not been tested yet"
