"""What goes wrong around a training: full and read-only disks, two apps, a broken GPU, a wrong clock."""

from __future__ import annotations

import errno
import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import torch
from browser_support import REPOSITORY
from faults import temporary_files, unreadable

from vae_core.data import Dataset
from vae_core.errors import RunError, VAEStudioError
from vae_core.recording import perform, prepare, prepare_resume
from vae_core.runs import Run
from vae_core.settings import Settings

SHORT = Settings(epochs=2, batch_size=30, limit=60, latent_dim=2, device="cpu")
OURS = {"X-VAE-Studio": "1"}


@pytest.fixture(scope="module")
def few(dataset: Dataset) -> Dataset:
    """The small data set with 60 training and 40 test images only."""
    train, test = dataset.train, dataset.test
    return Dataset(
        replace(train, images=train.images[:60], labels=train.labels[:60]),
        replace(test, images=test.images[:40], labels=test.labels[:40]),
    )


def do(runs_dir: Path, few: Dataset, name: str = "run", settings: Settings = SHORT) -> Run:
    for _ in perform(prepare(settings, runs_dir, name, alone=False), few):
        pass
    return Run(runs_dir / name)


def go_on(run: Run, few: Dataset) -> None:
    for _ in perform(prepare_resume(run.name, run.folder.parent, alone=False), few):
        pass


def same_weights(first: Run, second: Run) -> bool:
    a, b = first.model().state_dict(), second.model().state_dict()
    return all(torch.equal(a[name], b[name]) for name in a)


@pytest.fixture(scope="module")
def undisturbed(few: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return do(tmp_path_factory.mktemp("undisturbed"), few)


class TornFile(io.BufferedWriter):
    """Takes half of what is written, then the disk is full."""

    def write(self, content: Any) -> int:
        super().write(content[: len(content) // 2])
        self.flush()
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@contextmanager
def full_disk(folder: Path, at: int, stays: bool = True) -> Iterator[None]:
    """The files that are written in a folder from this one on, or this one alone, find no space."""
    written = 0
    real_open = Path.open

    def opened(path: Path, mode: str = "r", *more: Any, **options: Any) -> Any:
        nonlocal written
        if mode[0] == "r" or not path.is_relative_to(folder):
            return real_open(path, mode, *more, **options)
        written += 1
        is_full = written >= at if stays else written == at
        return TornFile(io.FileIO(path, mode[0])) if is_full else real_open(path, mode, *more, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "open", opened)
        yield


@pytest.mark.parametrize("stays", [True, False], ids=["for good", "for a moment"])
def test_a_disk_that_is_full_at_any_write_ends_the_run_and_keeps_its_epochs(
    few: Dataset, tmp_path: Path, undisturbed: Run, stays: bool
) -> None:
    kept_epochs = set()
    for at in count(1):  # how many writes there are depends on how fast the machine is
        folder = tmp_path / str(at)
        try:
            with full_disk(folder, at, stays):
                do(folder, few)
        except VAEStudioError as error:
            said = str(error)
        else:
            break
        assert "No space left on device; free some space" in said
        assert temporary_files(folder) == []
        run = Run(folder / "run")
        if at == 1:
            assert not run.folder.exists()
            continue
        info = run.info()
        if stays:  # there was no space to write "failed" either
            assert info.state in ("interrupted", "finished")
        else:
            assert info.state == "failed"
            assert "free some space" in (info.error or "")
        assert unreadable(run) == []
        kept_epochs.add(info.epoch)
        if info.epoch < SHORT.epochs and at % 3 == 0:
            go_on(run, few)
            assert same_weights(run, undisturbed)
    assert at > 20
    assert kept_epochs == {0, 1, 2}


def test_a_disk_that_is_full_when_a_run_is_resumed_leaves_it_as_it_was(few: Dataset, tmp_path: Path) -> None:
    run = do(tmp_path, few, settings=replace(SHORT, epochs=1))
    for at in (1, 2):
        with (
            full_disk(tmp_path, at),
            pytest.raises(RunError, match="No space left on device; free some space"),
        ):
            for _ in perform(prepare_resume("run", tmp_path, epochs=2, alone=False), few):
                pass
        assert (run.info().state, run.info().epoch) == ("finished", 1)
        assert not run.is_alive()
        assert unreadable(run) == []


def test_killed_trainings_lose_only_the_epoch_in_progress() -> None:
    """A short part of what tests/faults.py does a hundred times."""
    ended = subprocess.run(
        [sys.executable, str(REPOSITORY / "tests" / "faults.py"), "--trainings", "6", "--apps", "0"],
        capture_output=True, text=True, check=False, env=os.environ | {"PYTHONPATH": str(REPOSITORY)},
    )  # fmt: skip
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "nothing was lost" in ended.stdout
    assert json.dumps(ended.stdout).count("training killed") >= 1
