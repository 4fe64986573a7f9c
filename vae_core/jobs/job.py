"""What a training process is told: to train a new run, or to go on with one."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from vae_core.errors import RunError, TrainingError
from vae_core.runs import check_new_name, find_run, new_name
from vae_core.settings import Settings


@dataclass(frozen=True)
class Job:
    """What a training process is told: paths as text, so that it travels as JSON.

    `alone` says to train only if no other training of this user's runs on this machine.
    """

    settings: dict[str, Any]
    runs_dir: str
    name: str
    data_dir: str | None = None
    resume: bool = False
    alone: bool = True
    tensorboard: bool = False


def prepare(
    settings: Settings,
    runs_dir: Path,
    name: str | None = None,
    data_dir: str | None = None,
    alone: bool = True,
    tensorboard: bool = False,
) -> Job:
    """A job for a new run, its name checked or made up.

    Raises:
        RunError: the name cannot be used.
        TrainingError: TensorBoard is wanted and not installed.
    """
    _check_tensorboard(tensorboard)
    if name is not None:
        check_new_name(name, runs_dir)
    return Job(
        settings.to_dict(),
        str(runs_dir),
        name or new_name(runs_dir),
        data_dir,
        alone=alone,
        tensorboard=tensorboard,
    )


def prepare_resume(
    run: str | os.PathLike[str],
    runs_dir: Path,
    epochs: int | None = None,
    data_dir: str | None = None,
    alone: bool = True,
    tensorboard: bool = False,
    device: str | None = None,
) -> Job:
    """A job that goes on with a run from its last finished epoch, or to more epochs, or on another device.

    Raises:
        RunError: the run is running, is a shipped one, or has all its epochs already.
        SettingsError: epochs is no whole number in its range, or device names none.
        TrainingError: TensorBoard is wanted and not installed.
    """
    _check_tensorboard(tensorboard)
    found = find_run(run, runs_dir)
    info = found.info()
    if info.state == "running":
        raise RunError(f"run {info.name} is still running")
    if not found.has_training_state and info.epoch > 0:
        raise RunError(f"run {info.name} keeps no training state (shipped runs do not); it cannot be resumed")
    settings = info.settings
    if epochs is not None:
        settings = replace(settings, epochs=epochs)
    if device is not None:
        settings = replace(settings, device=device)
    if settings.epochs <= info.epoch:
        raise RunError(
            f"run {info.name} has finished its {info.epoch} epoch{'s' * (info.epoch != 1)}; ask for more "
            f"with --epochs {info.epoch + 10}, say"
        )
    return Job(
        settings.to_dict(),
        str(found.folder.parent),
        info.name,
        data_dir,
        resume=True,
        alone=alone,
        tensorboard=tensorboard,
    )


def _check_tensorboard(is_wanted: bool) -> None:
    if is_wanted and find_spec("tensorboard") is None:
        raise TrainingError("TensorBoard is not installed; install it with: pip install tensorboard")
