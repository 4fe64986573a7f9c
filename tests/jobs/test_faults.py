"""What goes wrong around a training: full and read-only disks, two apps, a broken GPU, a wrong clock."""

from __future__ import annotations

import errno
import io
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from scripts.faults import temporary_files, unreadable
from support.browser import REPOSITORY
from support.runs import go_on, same_weights, train_here
from support.studio_client import OURS, call, studio_client, until_ready
from support.waiting import wait_for
from support.warm_start import warm_python
from vae_core import scratch, training
from vae_core.data import Dataset
from vae_core.errors import RunError, TrainingError, VAEStudioError
from vae_core.evaluation import Baselines
from vae_core.jobs import recording
from vae_core.jobs.desk import TrainingDesk
from vae_core.quality import assessment
from vae_core.run_folder import Run
from vae_core.runs import list_runs
from vae_core.settings import Settings

SHORT = Settings(epochs=2, batch_size=30, limit=60, latent_dim=2, device="cpu")


@pytest.fixture(scope="module")
def few(dataset: Dataset) -> Dataset:
    """The small data set with 60 training and 40 test images only."""
    train, test = dataset.train, dataset.test
    return Dataset(
        replace(train, images=train.images[:60], labels=train.labels[:60]),
        replace(test, images=test.images[:40], labels=test.labels[:40]),
    )


@pytest.fixture(scope="module", autouse=True)
def known_baselines() -> Iterator[None]:
    """To compute them takes most of so short a training."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recording, "baselines", lambda *_: Baselines(mean_image=0.07, pca=0.03))
        yield


@pytest.fixture
def warm_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    """The desks' processes have PyTorch as they begin: for tests of what they do later."""
    monkeypatch.setattr(sys, "executable", warm_python())


@pytest.fixture(scope="module")
def undisturbed(few: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return train_here(SHORT, tmp_path_factory.mktemp("undisturbed"), few)


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

    def opened(path: Path, mode: str = "r", *more: Any, **options: Any) -> Any:
        nonlocal written
        if mode[0] == "r" or not path.is_relative_to(folder):
            return open(path, mode, *more, **options)
        written += 1
        is_full = written >= at if stays else written == at
        return TornFile(io.FileIO(path, mode[0])) if is_full else open(path, mode, *more, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "open", opened)
        patch.setattr(scratch, "open", opened, raising=False)
        yield


@pytest.mark.parametrize("stays", [True, False], ids=["for good", "for a moment"])
def test_a_disk_that_is_full_at_any_write_ends_the_run_and_keeps_its_epochs(
    few: Dataset, tmp_path: Path, undisturbed: Run, stays: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "REPORT_SECONDS", 0.0)  # as many writes on every machine
    kept_epochs = set()
    for at in count(1):
        folder = tmp_path / str(at)
        try:
            with full_disk(folder, at, stays):
                train_here(SHORT, folder, few)
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
            assert run.info().state == "finished"  # not stopped by a signal that was for the tests
            assert same_weights(run, undisturbed)
    assert at > 20
    assert kept_epochs == {0, 1, 2}


def test_a_disk_that_is_full_when_a_run_is_resumed_leaves_it_as_it_was(few: Dataset, tmp_path: Path) -> None:
    run = train_here(replace(SHORT, epochs=1), tmp_path, few)
    for at in (1, 2):
        with (
            full_disk(tmp_path, at),
            pytest.raises(RunError, match="No space left on device; free some space"),
        ):
            go_on(run, few, epochs=2)
        assert (run.info().state, run.info().epoch) == ("finished", 1)
        assert not run.is_alive()
        assert unreadable(run) == []


@contextmanager
def small_disk(folder: Path, *options: str) -> Iterator[None]:
    """A disk in memory."""
    folder.mkdir(exist_ok=True)
    command = ["mount", "-t", "tmpfs", *options, "tmpfs", str(folder)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("this user may not mount a disk to try")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def test_real_disks_of_all_sizes_fill_up_cleanly(few: Dataset, tmp_path: Path) -> None:
    ends = set()
    for kilobytes in (16, 300, 600, 1200, 2400, 4800):
        with small_disk(tmp_path / "disk", "-o", f"size={kilobytes}k"):
            with pytest.raises(VAEStudioError, match="No space left on device; free"):
                train_here(replace(SHORT, epochs=50, latent_dim=16), tmp_path / "disk" / "runs", few)
            for info in list_runs(tmp_path / "disk" / "runs"):
                if not info.is_shipped:
                    assert unreadable(Run(info.folder)) == []
                    ends.add(info.state)
            assert temporary_files(tmp_path / "disk") == []
    assert ends <= {"failed", "interrupted"}
    assert ends


@pytest.mark.usefixtures("warm_starts")
def test_an_app_on_a_read_only_folder_shows_its_runs_and_says_why_it_trains_none(
    dataset: Dataset, small_mnist: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(assessment, "BOUND_SAMPLES", 20)  # for speed
    disk = tmp_path / "disk"
    with small_disk(disk):
        train_here(replace(SHORT, epochs=1), disk / "runs", dataset)
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        with studio_client(disk / "runs", small_mnist) as client:
            for path in ("runs/run/card", "runs/run/map.json", "runs/run/errors", "runs/run/archive.zip"):
                assert client.get(f"/studio/{path}").status_code == 200, path
            answer = client.get("/studio/runs/run/decode.png?z=0,0")
            assert answer.headers["content-type"] == "image/png"
            assert client.get("/studio/training").json()["state"] == "finished"
            for name, route in (("POST", "again"), ("POST", "name?to=other"), ("DELETE", "")):
                answer = client.request(name, f"/studio/runs/run/{route}".rstrip("/"), headers=OURS)
                assert answer.status_code == 404 or answer.status_code == 400, route
                assert "Read-only file system" in answer.json()["error"]
                assert len(answer.json()["error"].splitlines()) == 1
            kind, answer = call(client, "start_training", {"epochs": 1, "limit": 128}, "mine")
            assert kind == "error"
            assert "cannot write to" in answer["error"]
            archive = client.get("/studio/runs/run/archive.zip").content
            answer = client.post("/studio/archive", content=archive, headers=OURS)
            assert "Read-only file system" in answer.json()["error"]
            figures = "/studio/runs/run/errors/figures"
            assert client.post(figures, headers=OURS).status_code == 200
            assert until_ready(client, figures)["complete"]  # shown, though they cannot be kept
        with pytest.raises(RunError, match="Read-only file system"):
            TrainingDesk(disk / "runs", str(small_mnist)).resume("run", epochs=2)
        run = Run(disk / "runs" / "run")
        with pytest.raises(RunError, match="cannot be asked to stop"):
            run.request_stop()


@pytest.mark.usefixtures("warm_starts")
def test_two_apps_on_one_folder_share_its_one_training(small_mnist: Path, tmp_path: Path) -> None:
    first, second = (TrainingDesk(tmp_path, str(small_mnist)) for _ in range(2))
    results: list[str | TrainingError] = []

    def start(desk: TrainingDesk) -> None:
        try:
            results.append(desk.start(Settings(epochs=500, batch_size=20)))
        except TrainingError as error:
            results.append(error)

    threads = [threading.Thread(target=start, args=(desk,)) for desk in (first, second)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    names = [result for result in results if isinstance(result, str)]
    refusals = [str(result) for result in results if not isinstance(result, str)]
    assert len(names) == len(refusals) == 1
    assert "is being trained" in refusals[0]
    assert [info.name for info in list_runs(tmp_path) if not info.is_shipped] == names
    run = Run(tmp_path / names[0])
    assert [desk.running().name for desk in (first, second)] == [names[0]] * 2  # type: ignore[union-attr]
    # Whoever did not start it stops it.
    (second if first._last is None or first._last.poll() is None else first).stop()
    wait_for(lambda: not run.is_alive())
    assert run.info().state == "stopped"
    assert first.running() is second.running() is None


BROKEN_GPU = """
import sys
import torch
pytorchs = sys.modules["torch.optim.adam"]
step, steps = pytorchs.adam, 0
def broken(*arguments, **options):
    global steps
    steps += 1
    if steps > {after}:
        raise torch.AcceleratorError("CUDA error: unspecified launch failure\\nCUDA kernel\\n")
    return step(*arguments, **options)
pytorchs.adam = broken
"""
"""Beside the worker's path, where Python looks for it at its start: a GPU that fails after some steps."""


@pytest.mark.parametrize("after", [0, 50])
def test_a_gpu_that_fails_ends_the_run_and_the_app_goes_on(
    small_mnist: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    (tmp_path / "sitecustomize.py").write_text(BROKEN_GPU.format(after=after))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    desk = TrainingDesk(tmp_path / "runs", str(small_mnist))
    run = Run(tmp_path / "runs" / "run")
    if after:
        desk.start(Settings(epochs=500, batch_size=20), "run")
    else:
        with pytest.raises(TrainingError, match=r"the GPU failed \(CUDA error.*train on the CPU"):
            desk.start(Settings(epochs=500, batch_size=20), "run")
    wait_for(lambda: not run.is_alive())
    info = run.info()
    assert (info.state, info.epoch) == ("failed", after // 35)
    assert "train on the CPU" in (info.error or "")
    assert len((info.error or "").splitlines()) == 1
    assert unreadable(run) == []
    if not after:
        return
    monkeypatch.delenv("PYTHONPATH")
    monkeypatch.setattr(sys, "executable", warm_python())
    desk.warm_up()  # a new process, on a GPU or processor that works
    assert desk.resume("run") == "run"
    desk.stop()
    wait_for(lambda: not run.is_alive())
    assert run.info().state == "stopped"
    assert run.info().error is None


def test_a_clock_that_runs_backwards_changes_no_duration(
    few: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = time.time()

    def backwards() -> float:
        nonlocal now
        now -= 1000
        return now

    monkeypatch.setattr(time, "time", backwards)
    started = time.monotonic()
    run = train_here(SHORT, tmp_path, few)
    elapsed = [row["elapsed_seconds"] for row in run.metrics()[0]]
    assert elapsed[0] > 0
    assert elapsed == sorted(elapsed)
    assert elapsed[-1] < time.monotonic() - started
    assert run.info().state == "finished"


def test_killed_trainings_lose_only_the_epoch_in_progress() -> None:
    """A short part of what scripts/faults.py does a hundred times, started as by hand."""
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY)}
    del environment["OMP_NUM_THREADS"]
    ended = subprocess.run(
        [sys.executable, REPOSITORY / "tests/scripts/faults.py", "--trainings", "6", "--apps", "0"],
        capture_output=True, text=True, check=False, env=environment, timeout=600,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "nothing was lost" in ended.stdout
    assert "training killed: interrupted" in ended.stdout  # not all of them were at their end
