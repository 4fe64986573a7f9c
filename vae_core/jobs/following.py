"""A training that several processes share: one leads, and says what is to be done; the others follow it."""

from __future__ import annotations

import json
from collections.abc import Generator
from contextlib import suppress
from typing import TYPE_CHECKING

import safetensors.torch

from vae_core.data import Dataset, load_dataset
from vae_core.engine.devices import choose_device
from vae_core.engine.distributed import Group
from vae_core.errors import DataError, TrainingError
from vae_core.jobs.failures import in_words
from vae_core.jobs.stop_signals import StopSignals
from vae_core.settings import Settings
from vae_core.training import Report, train

if TYPE_CHECKING:
    from torch import Tensor


def lead(
    group: Group,
    settings: Settings,
    dataset: Dataset,
    resume_from: dict[str, Tensor] | None,
    signals: StopSignals,
) -> Generator[Report, None, None]:
    """The reports of a training that goes on in all processes of the group.

    With each one this process hears whether one of them was asked to stop, and after it the others hear
    whether there is to be another.
    """
    if group.count > 1:
        told = {"settings": settings.to_dict(), "data": dataset.facts(settings.limit)}
        group.send(json.dumps(told).encode())
        group.send(safetensors.torch.save(resume_from or {}))
    for report in train(settings, dataset.train, dataset.test, resume_from, group):
        signals.agree()
        try:
            yield report
        except GeneratorExit:
            with suppress(RuntimeError):  # who has ended already need not be told
                group.broadcast(False)
            raise
        group.broadcast(True)


def follow(group: Group, data_dir: str | None = None) -> None:
    """Trains in this process what the leader of its group trains, and leaves the recording to it.

    Raises:
        VAEStudioError: as the data or the settings say here, or another process has ended.
    """
    with StopSignals(group) as signals:
        try:
            told = json.loads(group.receive())
            resume_from = safetensors.torch.load(group.receive())
            settings = Settings.from_dict(told["settings"])
            group.check(settings, choose_device(settings.device))
            dataset = load_dataset(data_dir)  # the leader has it already: a download is in the cache
            if told["data"] != dataset.facts(settings.limit):
                raise DataError(
                    f"process {group.rank} has another data set than the first one: {dataset.train.source}"
                )
            for _ in train(settings, dataset.train, resume_from=resume_from or None, group=group):
                signals.agree()
                if not group.broadcast(True):
                    return
        except (MemoryError, RuntimeError) as error:
            message = in_words(error)
            if message is None:
                raise
            raise TrainingError(message) from error
