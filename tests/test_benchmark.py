"""The benchmark: both loops are run and counted, and the ratio is theirs."""

from __future__ import annotations

import statistics

import numpy as np
import pytest
import torch

from vae_core import benchmark, training
from vae_core.benchmark import MnistLike, engine_images_per_second, plain_images_per_second, run_benchmark
from vae_core.data import Dataset
from vae_core.errors import SettingsError
from vae_core.settings import Settings


def test_the_ratio_is_the_median_of_the_rounds_own_ratios(
    dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine, plain = iter([300.0, 100.0, 800.0]), iter([100.0, 50.0, 100.0])
    monkeypatch.setattr(benchmark, "engine_images_per_second", lambda *arguments: next(engine))
    monkeypatch.setattr(benchmark, "plain_images_per_second", lambda *arguments: next(plain))
    loops_done: list[int] = []
    measured = run_benchmark(
        dataset, "cpu", rounds=3, iterations=2, progress=lambda done, count, step="": loops_done.append(done)
    )
    assert (measured.engine_images_per_second, measured.plain_images_per_second) == (300, 100)
    assert measured.ratio == statistics.median([3, 2, 8])
    assert loops_done == [1, 2, 3, 4, 5, 6]
    assert measured.evaluation_images == len(dataset.test)
    assert 0 < measured.decode_milliseconds <= measured.decode_milliseconds_p95
    assert measured.device.startswith("CPU")


def test_both_loops_count_the_images_of_the_measured_iterations(
    dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter([10.0, 12.0, 10.0, 12.0])  # each loop reads it after its first step and at its end
    monkeypatch.setattr(benchmark.time, "perf_counter", lambda: next(clock))
    monkeypatch.setattr(
        training, "REPORT_SECONDS", 0.0
    )  # each step is reported: none is counted with another
    settings = Settings(batch_size=100, epochs=1, device="cpu")  # seven batches an epoch, of 700 images
    assert engine_images_per_second(dataset.train, settings, 12) == 12 * 100 / 2
    assert plain_images_per_second(dataset.train, torch.device("cpu"), 100, 12) == 12 * 100 / 2


def test_the_plain_loops_images_are_the_data_sets(dataset: Dataset) -> None:
    served = MnistLike(dataset.train)
    assert len(served) == len(dataset.train)
    image, label = served[3]
    assert image.shape == (1, 28, 28)
    assert np.array_equal((image[0] * 255).round().numpy(), dataset.train.images[3])
    assert label == dataset.train.labels[3]


def test_too_few_images_are_refused(dataset: Dataset) -> None:
    few = Dataset(
        type(dataset.train)(dataset.train.images[:9], dataset.train.labels[:9], "few", "few"), dataset.test
    )
    with pytest.raises(SettingsError, match="a mini-batch of 128 is more than the 9 training images"):
        run_benchmark(few, "cpu")
