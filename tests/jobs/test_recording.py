from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from filelock import FileLock
from safetensors.torch import save_file

from support.runs import change_record, change_settings, same_weights
from support.warm_start import warm_python
from vae_core import load_run, scratch
from vae_core.data import Dataset
from vae_core.errors import BusyError, RunError, TrainingError, VAEStudioError
from vae_core.evaluation import Baselines, baselines
from vae_core.jobs import job, machine_slot, recording
from vae_core.jobs.advice import NOTHING_LEARNED
from vae_core.jobs.failures import OUT_OF_MEMORY, in_words
from vae_core.jobs.job import prepare, prepare_resume
from vae_core.jobs.recording import perform
from vae_core.run_folder import Run
from vae_core.runs import list_runs
from vae_core.settings import Settings
from vae_core.training import train

SHORT = Settings(epochs=4, batch_size=50, limit=300)
CONTRACT = {"epoch", "iteration", "total", "reconstruction", "kl", "images_per_second", "elapsed_seconds"}


def do(
    settings: Settings, runs_dir: Path, dataset: Dataset, name: str = "run", stop_at: int | None = None
) -> Run:
    for report in perform(prepare(settings, runs_dir, name), dataset):
        if report.iteration == stop_at:
            Run(runs_dir / name).request_stop()
    return Run(runs_dir / name)


@pytest.fixture(scope="module")
def undisturbed(dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return do(SHORT, tmp_path_factory.mktemp("undisturbed"), dataset)


def test_a_run_folder_holds_what_the_contract_says(undisturbed: Run) -> None:
    names = {path.name for path in undisturbed.folder.iterdir()}
    assert names - {"run.lock"} == {
        "run.json", "metrics.jsonl", "model.safetensors", "training_state.safetensors",
        "evaluation.npz", "previews",
    }  # fmt: skip
    lines = [json.loads(line) for line in (undisturbed.folder / "metrics.jsonl").read_text().splitlines()]
    assert all(set(line) >= CONTRACT for line in lines)
    ends = [line for line in lines if "test_total" in line]
    assert [line["epoch"] for line in ends] == [1, 2, 3, 4]
    assert all({"test_total", "test_reconstruction", "test_kl", "test_mse"} <= set(line) for line in ends)
    info = undisturbed.info()
    assert (info.state, info.epoch, info.error) == ("finished", 4, None)
    assert set(info.baselines) == {"mean_image", "pca"}
    assert undisturbed.previews()[0] == 1
    assert undisturbed.previews()[-1] == 24
    import safetensors

    with safetensors.safe_open(undisturbed.folder / "model.safetensors", "pt") as file:
        assert json.loads(file.metadata()["settings"]) == SHORT.to_dict()


def test_a_stop_in_the_first_epoch_leaves_a_model_and_its_figures(dataset: Dataset, tmp_path: Path) -> None:
    run = do(SHORT, tmp_path, dataset, stop_at=1)
    assert run.info().state == "stopped"
    assert run.info().epoch == 0
    assert load_run(run.folder).evaluation is not None
    assert not (run.folder / "stop").exists()
    assert run.info().results
    again = perform(prepare_resume("run", tmp_path), dataset)
    next(again)
    assert run.info().results == {}  # those were of a model that has been given up
    again.close()


@pytest.mark.parametrize("likelihood", ["gaussian", "calibrated"])
def test_a_run_stopped_as_it_diverges_in_its_first_epoch_is_failed_and_stays_readable(
    dataset: Dataset, tmp_path: Path, likelihood: str
) -> None:
    with pytest.raises(TrainingError, match="in iteration 1: the training diverged"):
        do(replace(SHORT, learning_rate=1e6, likelihood=likelihood), tmp_path, dataset, stop_at=1)
    (info,) = [info for info in list_runs(tmp_path) if not info.is_shipped]
    assert (info.state, info.results, info.has_model) == ("failed", {}, False)
    assert "smaller learning rate" in (info.error or "")


def test_a_stopped_run_resumes_to_the_same_weights(
    dataset: Dataset, tmp_path: Path, undisturbed: Run
) -> None:
    run = do(SHORT, tmp_path, dataset, stop_at=6)
    assert run.info().state == "stopped"
    for _ in perform(prepare_resume("run", tmp_path), dataset):
        pass
    assert run.info().state == "finished"
    assert same_weights(run, undisturbed)
    iterations = [row["iteration"] for row in run.metrics()[0]]
    assert iterations == sorted(set(iterations))


def test_a_finished_run_goes_on_to_more_epochs(dataset: Dataset, tmp_path: Path, undisturbed: Run) -> None:
    run = do(replace(SHORT, epochs=2), tmp_path, dataset)
    with pytest.raises(RunError, match="has finished its 2 epochs"):
        prepare_resume("run", tmp_path)
    for _ in perform(prepare_resume("run", tmp_path, epochs=4), dataset):
        pass
    assert same_weights(run, undisturbed)


def test_a_run_is_not_resumed_on_other_images(dataset: Dataset, tmp_path: Path) -> None:
    run = do(SHORT, tmp_path, dataset, stop_at=6)
    turned = {
        name: replace(part, images=part.images[:, ::-1])
        for name, part in vars(dataset).items()
        if name in ("train", "test")
    }
    for part, images in turned.items():
        other = replace(dataset, **{part: images})
        with pytest.raises(RunError, match=r"here is .*, which are others: name the run's own data set"):
            next(perform(prepare_resume("run", tmp_path), other))
        assert run.info().state == "stopped"
        assert not run.is_alive()
    called_otherwise = replace(dataset, train=replace(dataset.train, name="a folder that was renamed"))
    assert next(perform(prepare_resume("run", tmp_path), called_otherwise))


def test_a_run_of_a_version_that_kept_no_digests_is_resumed_by_name_and_number(
    dataset: Dataset, tmp_path: Path
) -> None:
    run = do(SHORT, tmp_path, dataset, stop_at=6)
    kept = {name: value for name, value in run.info().data.items() if not name.endswith("_digest")}
    change_record(run.folder, data=kept)
    other = replace(dataset, train=replace(dataset.train, name="other"))
    with pytest.raises(RunError, match="here is other"):
        next(perform(prepare_resume("run", tmp_path), other))
    change_record(run.folder, data=kept | {"is_sample": True})  # whose images came in another order then
    with pytest.raises(RunError, match="the sample is used only where no MNIST is found, so start a new run"):
        next(perform(prepare_resume("run", tmp_path), dataset))
    change_record(run.folder, data=kept)
    assert next(perform(prepare_resume("run", tmp_path), dataset))


def test_a_shipped_run_cannot_be_resumed(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="keeps no training state"):
        prepare_resume("reference", tmp_path, epochs=40)


def test_a_diverged_run_is_failed_with_what_to_do_and_its_epochs_stay(
    dataset: Dataset, tmp_path: Path
) -> None:
    before = do(replace(SHORT, epochs=1), tmp_path, dataset).model().state_dict()
    run = Run(tmp_path / "run")
    change_settings(run.folder, learning_rate=1e6)
    with pytest.raises(TrainingError, match="smaller learning rate"):
        list(perform(prepare_resume("run", tmp_path, epochs=200), dataset))
    assert run.info().state == "failed"
    assert "smaller learning rate" in (run.info().error or "")
    assert run.info().epoch == 1
    assert all(torch.equal(value, before[name]) for name, value in run.model().state_dict().items())


def test_a_run_broken_by_its_last_step_is_failed_and_keeps_the_model_before(
    dataset: Dataset, tmp_path: Path
) -> None:
    before = do(replace(SHORT, epochs=1, batch_size=300), tmp_path, dataset).model().state_dict()
    run = Run(tmp_path / "run")
    change_settings(run.folder, learning_rate=1e6)
    with pytest.raises(TrainingError, match="in iteration 2: the training diverged"):
        list(perform(prepare_resume("run", tmp_path, epochs=2), dataset))
    assert (run.info().state, run.info().epoch) == ("failed", 1)
    after = load_run(run.folder)
    assert all(torch.equal(after.model.state_dict()[name], before[name]) for name in before)
    assert after.evaluation is not None


@pytest.mark.parametrize(
    "damage",
    [
        *[lambda tensors, name=name: tensors.pop(name)
          for name in ("noise", "counters", "model.decoder.0.bias", "optimizer.0.exp_avg")],
        lambda tensors: tensors["counters"][0].zero_(),  # as if no epoch were finished
    ],
    ids=["noise", "counters", "weight", "moment", "epoch"],
)  # fmt: skip
def test_a_run_whose_training_state_is_not_whole_is_not_resumed_and_loses_nothing(
    undisturbed: Run, dataset: Dataset, tmp_path: Path, damage: Callable[[dict[str, torch.Tensor]], Any]
) -> None:
    run = Run(Path(shutil.copytree(undisturbed.folder, tmp_path / "run")))
    tensors = run.training_state()
    damage(tensors)
    save_file(tensors, run.folder / "training_state.safetensors")
    with pytest.raises(VAEStudioError, match="incomplete"):
        list(perform(prepare_resume("run", tmp_path, epochs=5), dataset))
    assert not run.is_alive()
    assert same_weights(run, undisturbed)
    assert run.info() == replace(undisturbed.info(), name="run", folder=run.folder)
    assert run.all_metrics() == undisturbed.all_metrics()
    assert run.previews() == undisturbed.previews()


def test_the_baselines_of_a_run_know_only_the_images_it_learned_from(
    undisturbed: Run, dataset: Dataset
) -> None:
    learned = dataset.train.images[: SHORT.limit]
    assert len(learned) < len(dataset.train)
    expected = baselines(learned, dataset.test.images, SHORT.latent_dim)._asdict()
    assert undisturbed.info().baselines == pytest.approx(expected)


def test_what_is_done_is_the_very_training(undisturbed: Run, dataset: Dataset) -> None:
    *_, last = train(SHORT, dataset.train)
    weights = undisturbed.model().state_dict()
    assert all(torch.equal(value, weights[name]) for name, value in last.state.model.state_dict().items())


def test_a_run_says_what_it_was_made_of(undisturbed: Run, dataset: Dataset) -> None:
    info = undisturbed.info()
    assert info.settings == SHORT
    assert info.data == {
        "name": dataset.train.name, "source": dataset.train.source, "training_images": 300,
        "test_images": 205, "is_sample": False, "test_digest": dataset.test.digest,
        "training_digest": dataset.train.first(300).digest,
    }  # fmt: skip
    assert set(info.versions) >= {"python", "torch", "vae_core"}
    assert info.results["total"] == pytest.approx(undisturbed.metrics()[0][-1]["test_total"], rel=1e-5)


def test_memory_that_is_not_there_is_said_in_words() -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**50)
    assert in_words(caught.value) == in_words(MemoryError()) == OUT_OF_MEMORY
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2) @ torch.empty(3)
    assert in_words(caught.value) is None


def test_a_disk_that_is_full_when_an_epoch_is_kept_leaves_a_model_with_its_own_evaluation(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reports = perform(prepare(SHORT, tmp_path, "run"), dataset)
    while next(reports).epoch < 2:
        pass
    files = [tmp_path / "run" / name for name in ("model.safetensors", "evaluation.npz")]
    before = [path.read_bytes() for path in files]
    real_open = open

    def opened(path: Path, *more: Any, **options: Any) -> Any:
        if "evaluation.npz" in str(path):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real_open(path, *more, **options)

    monkeypatch.setattr(scratch, "open", opened, raising=False)
    with pytest.raises(TrainingError, match="No space left on device; free some space"):
        list(reports)
    assert [path.read_bytes() for path in files] == before
    assert Run(tmp_path / "run").info().epoch == 1


def test_a_run_killed_after_its_last_epoch_was_kept_is_resumed_to_its_end(
    dataset: Dataset, tmp_path: Path, undisturbed: Run
) -> None:
    run = Run(Path(shutil.copytree(undisturbed.folder, tmp_path / "run")))
    change_record(run.folder, state="stopped", epoch=3, elapsed_seconds=0.0, baselines={})
    assert list(perform(prepare_resume("run", tmp_path), dataset)) == []
    info = run.info()
    whole = undisturbed.info()
    assert (info.state, info.epoch, info.baselines) == ("finished", 4, whole.baselines)
    assert info.elapsed_seconds == pytest.approx(whole.elapsed_seconds, abs=0.01)


def test_a_folder_that_cannot_be_written_is_said(dataset: Dataset, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="cannot write to"):
        do(SHORT, tmp_path / "file", dataset)


def arguments_of(small_mnist: Path, runs_dir: Path, *options: str) -> list[str]:
    return ["train", "--data-dir", str(small_mnist), "--runs-dir", str(runs_dir), *options]


def training(small_mnist: Path, runs_dir: Path, *options: str) -> subprocess.Popen[bytes]:
    """In a process of its own."""
    return subprocess.Popen([warm_python(), "-m", "vae_core", *arguments_of(small_mnist, runs_dir, *options)])


def finished_epochs(run: Run) -> int:
    return sum("test_total" in row for row in run.metrics()[0])


@pytest.mark.parametrize("epochs", [0, 2])
def test_a_killed_run_is_interrupted_and_resumes_bit_for_bit(
    small_mnist: Path, tmp_path: Path, undisturbed: Run, epochs: int
) -> None:
    options = ["--epochs", "4", "--batch-size", "50", "--limit", "300"]
    process = training(small_mnist, tmp_path, "--name", "run", *options)
    run = Run(tmp_path / "run")
    while not run.metrics()[0] or finished_epochs(run) < epochs:
        assert process.poll() is None
        time.sleep(0.01)
    assert run.info().state == "running"
    os.kill(json.loads((run.folder / "run.json").read_text())["process"], signal.SIGKILL)
    process.wait()
    assert run.info().state == "interrupted"
    assert training(small_mnist, tmp_path, "--resume", "run").wait() == 0
    assert run.info().state == "finished"
    assert finished_epochs(run) == 4
    assert same_weights(run, undisturbed)


def test_a_run_that_has_learned_next_to_nothing_says_so_when_it_has_ended(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hasty = do(replace(SHORT, epochs=1, learning_rate=1e-6), tmp_path, dataset).info()
    assert hasty.results["mse_mean"] > hasty.baselines["mean_image"]
    assert (hasty.state, hasty.warning) == ("finished", NOTHING_LEARNED)
    monkeypatch.setattr(recording, "baselines", lambda *_: Baselines(mean_image=1.0, pca=1.0))
    better = do(replace(SHORT, epochs=1), tmp_path, dataset, "better").info()
    assert better.results["mse_mean"] < better.baselines["mean_image"]
    assert better.warning is None


def begun(
    small_mnist: Path, runs_dir: Path, under: tuple[str, ...] = ()
) -> tuple[subprocess.Popen[str], Run]:
    """A training that would take long, of the run "run", once it has written its first report.

    Args:
        under: the command that becomes it, and starts Python itself.
    """
    options = ["--name", "run", "--epochs", "500", "--batch-size", "20"]
    python = [*under, sys.executable] if under else [warm_python()]
    process = subprocess.Popen(
        [*python, "-m", "vae_core", *arguments_of(small_mnist, runs_dir, *options)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    run = Run(runs_dir / "run")
    while not run.metrics()[0]:
        assert process.poll() is None
        time.sleep(0.01)
    return process, run


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_a_training_cleanly(small_mnist: Path, tmp_path: Path, number: signal.Signals) -> None:
    process, run = begun(small_mnist, tmp_path)
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0
    assert "run is stopped" in out
    assert sum(line.startswith("stopping") for line in err.splitlines()) == 1
    assert "Traceback" not in out + err
    assert run.info().state == "stopped"
    assert load_run(run.folder).evaluation is not None


def test_who_reads_a_training_may_end_before_it(small_mnist: Path, tmp_path: Path) -> None:
    """As tee does, which gets the terminal's Ctrl-C too."""
    process, run = begun(small_mnist, tmp_path)
    assert process.stderr is not None
    process.stderr.close()
    process.send_signal(signal.SIGINT)
    process.wait(60)
    assert run.info().state == "stopped"
    assert load_run(run.folder).evaluation is not None


@pytest.mark.skipif(shutil.which("bash") is None, reason="no shell to close a stream with")
def test_a_training_that_has_nowhere_to_say_it_is_stopped_all_the_same(
    small_mnist: Path, tmp_path: Path
) -> None:
    process, run = begun(small_mnist, tmp_path, under=("bash", "-c", 'exec "$0" "$@" 2>&-'))
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=60)
    assert (process.returncode, run.info().state) == (0, "stopped")
    assert "run is stopped" in out


def test_a_second_training_on_the_machine_is_refused_by_name(dataset: Dataset, tmp_path: Path) -> None:
    first = perform(prepare(SHORT, tmp_path, "first"), dataset)
    next(first)
    with pytest.raises(
        BusyError, match=r"^run first is being trained on this machine; .* as --runs-dir,"
    ) as refused:
        next(perform(prepare(SHORT, tmp_path / "elsewhere", "second"), dataset))
    assert refused.value.where == tmp_path  # which only the command line tells
    assert not (tmp_path / "elsewhere" / "second").exists()
    parallel = perform(prepare(SHORT, tmp_path, "second", alone=False), dataset)
    next(parallel)
    parallel.close()
    first.close()
    assert Run(tmp_path / "first").info().state == "stopped"


def test_a_run_that_has_ended_is_waited_for_while_it_writes_its_last_results(
    dataset: Dataset, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    who, lock = machine_slot.slot_files()
    who.parent.mkdir(parents=True, exist_ok=True)
    who.write_text(json.dumps({"run": run.name, "runs_dir": str(run.folder.parent)}))
    held = FileLock(lock, thread_local=False)
    with held.acquire(timeout=60):
        monkeypatch.setattr(machine_slot, "LAST_RESULTS_SECONDS", 0.1)
        with pytest.raises(BusyError, match=r"^run copied is still writing its last results; try again"):
            next(perform(prepare(SHORT, tmp_path / "next", "next"), dataset))
        monkeypatch.setattr(machine_slot, "LAST_RESULTS_SECONDS", 60)
        threading.Timer(0.5, held.release).start()
        following = perform(prepare(SHORT, tmp_path / "next", "next"), dataset)
        assert next(following)
    following.close()


def test_without_tensorboard_a_run_that_wants_it_is_refused_before_it_begins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job, "find_spec", lambda name: None)
    with pytest.raises(TrainingError, match=r"pip install tensorboard$"):
        prepare(SHORT, tmp_path, "run", tensorboard=True)
    assert prepare(SHORT, tmp_path, "run").name == "run"


def test_tensorboard_files_lie_beside_the_metrics(dataset: Dataset, tmp_path: Path) -> None:
    pytest.importorskip("tensorboard", reason="the optional extra tensorboard is not installed")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    reports = perform(prepare(replace(SHORT, epochs=2), tmp_path, "run", tensorboard=True), dataset)
    for report in reports:
        if report.iteration > 8:  # in the second epoch, which will be trained again
            break
    reports.close()
    for _ in perform(prepare_resume(tmp_path / "run", tmp_path, tensorboard=True), dataset):
        pass
    events = EventAccumulator(str(tmp_path / "run" / "tensorboard"))
    events.Reload()
    written = events.Scalars("training/total")
    told = Run(tmp_path / "run").all_metrics()
    assert [scalar.step for scalar in written] == [row["iteration"] for row in told]
    assert [scalar.value for scalar in written] == pytest.approx([row["total"] for row in told], rel=1e-4)
    assert len(events.Scalars("test/total")) == 2
