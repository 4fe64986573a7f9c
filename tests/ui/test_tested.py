"""Which images a model's figures are of, and by whose classes they are read."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vae_core.data import Dataset, read_idx_folder
from vae_core.evaluated import Evaluation
from vae_core.evaluation import evaluate
from vae_core.run_folder import Run, RunWriter
from vae_core.ui.studio import Studio
from vae_core.ui.tested import tested as view_of


def own_set(folder: Path, write_idx: Callable[..., None], labels: list[int], seed: int) -> Path:
    folder.mkdir()
    images = np.random.default_rng(seed).integers(0, 256, (len(labels), 28, 28)).astype(np.uint8)
    for prefix in ("train", "t10k"):
        write_idx(folder, prefix, images, np.array(labels, np.uint8))
    return folder


def evaluated_on(run: Run, folder: Path) -> None:
    writer = RunWriter(run.folder)
    writer.save_evaluation(evaluate(run.model(), read_idx_folder(folder).test))
    writer.close()


def test_images_are_known_by_their_pixels_whatever_their_folder_is_called(
    run: Run, tmp_path: Path, write_idx: Callable[..., None]
) -> None:
    """Two sets of as many pictures a class have the same labels, and so have all of one label."""
    for case, labels in enumerate(([0] * 20, [0, 1, 2, 1] * 5)):
        (tmp_path / str(case)).mkdir()
        for name, seed in (("mine", 0), ("renamed", 0), ("others", 1)):
            own_set(tmp_path / str(case) / name, write_idx, labels, seed)
        evaluated_on(run, tmp_path / str(case) / "mine")
        for name in ("mine", "renamed", "others"):
            studio = Studio(run.folder.parent, str(tmp_path / str(case) / name), "cpu")
            view = view_of(studio, "copied", "evaluated", "sampled")
            assert (view.images is None) == (name == "others")
            assert ("20 other test images" in (view.missing or "")) == (name == "others")


def test_images_of_an_evaluation_without_a_digest_are_known_by_their_labels_or_name(
    run: Run, tmp_path: Path, write_idx: Callable[..., None]
) -> None:
    for case, (labels, others) in enumerate((([0, 1, 2, 1] * 5, [2, 1, 0, 1] * 5), ([0] * 20, [0] * 20))):
        is_of_one = len(set(labels)) == 1
        (tmp_path / str(case)).mkdir()
        mine, renamed, another = (
            own_set(tmp_path / str(case) / name, write_idx, of_it, seed)
            for name, of_it, seed in (("mine", labels, 0), ("renamed", labels, 0), ("another", others, 1))
        )
        writer = RunWriter(run.folder)
        writer.save_evaluation(replace(evaluate(run.model(), read_idx_folder(mine).test), digest=""))
        writer.close()
        for folder, is_missing in ((mine, False), (renamed, is_of_one), (another, True)):
            view = view_of(Studio(run.folder.parent, str(folder), "cpu"), "copied", "evaluated", "mean")
            assert (view.images is None) == is_missing


def test_what_is_measured_is_of_the_images_that_were_there_when_it_was_asked_for(
    run: Run, tmp_path: Path, write_idx: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = own_set(tmp_path / "mine", write_idx, [0, 1] * 10, 0)
    evaluated_on(run, folder)
    studio = Studio(run.folder.parent, str(folder), "cpu")
    view = view_of(studio, "copied", "evaluated", "mean")
    may_end, measured = threading.Event(), []

    def assess(run: Run, model: object, evaluation: Evaluation, dataset: Dataset, progress: object) -> Any:
        measured.append(dataset.test.digest)
        return evaluation, None

    monkeypatch.setattr("vae_core.quality.assessment.assess", assess)
    studio.background.task("what takes long", lambda progress: may_end.wait(60))
    task = view.begin_assessment()
    images = np.zeros((20, 28, 28), np.uint8)
    write_idx(folder, "t10k", images, np.array([0, 1] * 10, np.uint8))
    may_end.set()
    task.result.result(60)
    assert measured == [view.evaluation.digest] != [studio.dataset().test.digest]


def test_a_set_is_not_read_by_the_classes_of_another_of_which_nothing_is_known_either(
    run: Run, tmp_path: Path, write_idx: Callable[..., None]
) -> None:
    letters = own_set(tmp_path / "letters", write_idx, [1, 2] * 10, 0)
    balanced = own_set(tmp_path / "balanced", write_idx, [0, 1, 2, 3] * 5, 1)
    evaluated_on(run, letters)
    for folder, known in ((letters, (1, 2)), (balanced, (0, 1, 2, 3))):
        view = view_of(Studio(run.folder.parent, str(folder), "cpu"), "copied", "here", "sampled")
        assert view.reader.labels == known
        assert (view.reader is view.loaded.classes) == (folder is letters)
