"""Keeps with a run what was measured of its model later: an evaluation, a mixture."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing, contextmanager

from vae_core.errors import RunError
from vae_core.evaluated import Evaluation
from vae_core.images import Identity
from vae_core.mixture import LatentMixture
from vae_core.run_folder import RunWriter, cannot_write
from vae_core.run_record import RunInfo


def check_own_test_set(info: RunInfo, measured: Identity) -> None:
    """Raises RunError unless these are the test images of a run."""
    own = info.tested_on
    if not measured.is_same_as(own):
        raise RunError(f"run {info.name} has another test set: {own.beside(measured)}")


def store_evaluation(
    info: RunInfo, weights_version: int, evaluation: Evaluation, mixture: LatentMixture | None = None
) -> None:
    """Keeps an evaluation with its run, and the mixture it was made with.

    Args:
        info: of the run.
        weights_version: the `Run.weights_version` that was measured.
        evaluation: on the run's own test set.
        mixture: of the same weights.

    Raises:
        RunError: nothing was kept, and why: the run came with the package, was measured on other images,
            has other weights by now, is being trained, or cannot be written.
    """
    check_own_test_set(info, evaluation.identity)
    with _held_run(info, weights_version) as run:
        if mixture is not None:
            run.save_mixture(mixture)
        run.save_evaluation(evaluation)  # last: whoever watches it finds the mixture there


def store_mixture(info: RunInfo, weights_version: int, mixture: LatentMixture) -> None:
    """Keeps a mixture with its run. Takes and raises what `store_evaluation` does."""
    with _held_run(info, weights_version) as run:
        run.save_mixture(mixture)


@contextmanager
def _held_run(info: RunInfo, weights_version: int) -> Iterator[RunWriter]:
    """A run to keep something of its weights with, if it still has those that were measured.

    Raises:
        RunError: as `store_evaluation`.
    """
    if info.is_shipped:
        raise RunError(f"run {info.name} came with the package and stays as it is")
    if not os.access(info.folder, os.W_OK):
        raise RunError(f"run {info.name} cannot be written", info.folder)
    with closing(RunWriter(info.folder)) as run:
        if run.weights_version() != weights_version:
            raise RunError(f"run {info.name} has been trained on, or made anew, since its weights were read")
        try:
            yield run
        except OSError as error:
            raise cannot_write(info.folder, error) from error
