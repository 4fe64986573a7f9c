"""Which images a model's figures are of, and by whose classes they are read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from vae_core.data import read_idx_folder
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


def test_images_of_one_label_are_known_by_their_sets_name(
    run: Run, tmp_path: Path, write_idx: Callable[..., None]
) -> None:
    cells, faces = (own_set(tmp_path / name, write_idx, [0] * 20, seed) for seed, name in enumerate("ab"))
    evaluated_on(run, cells)
    for folder, is_missing in ((cells, False), (faces, True)):
        view = view_of(Studio(run.folder.parent, str(folder), "cpu"), "copied", "evaluated", "sampled")
        assert (view.images is None) == is_missing
        assert ("20 other test images" in (view.missing or "")) == is_missing


def test_images_of_several_labels_are_known_by_them_also_in_a_folder_of_another_name(
    run: Run, tmp_path: Path, write_idx: Callable[..., None]
) -> None:
    labels = [0, 1, 2, 1] * 5
    evaluated_on(run, own_set(tmp_path / "before", write_idx, labels, 0))
    same = own_set(tmp_path / "after", write_idx, labels, 0)
    assert view_of(Studio(run.folder.parent, str(same), "cpu"), "copied", "evaluated", "mean").missing is None


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
