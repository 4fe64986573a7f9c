from __future__ import annotations

import io
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path

import pytest

from support.runs import change_record, change_settings, train_here
from support.waiting import wait_for
from support.warm_start import warm_python
from vae_core.data import Dataset, read_idx_folder
from vae_core.errors import BusyError, DataError, RunError, SettingsError, TrainingError, VAEStudioError
from vae_core.jobs import worker
from vae_core.jobs.answers import STARTED, check, refusal
from vae_core.jobs.desk import TrainingDesk
from vae_core.jobs.job import Job, prepare
from vae_core.run_folder import Run
from vae_core.runs import create_run
from vae_core.settings import Settings


@pytest.fixture
def warm_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    """The desk's processes have PyTorch as they begin: for tests of what they do later."""
    monkeypatch.setattr(sys, "executable", warm_python())


def wait_until_it_ends(run: Run) -> str:
    wait_for(lambda: run.info().state != "running")
    return run.info().state


def test_of_two_trainings_the_one_that_is_named_is_stopped(tmp_path: Path, dataset: Dataset) -> None:
    """As with `train --parallel` into the app's folder."""
    desk = TrainingDesk(tmp_path)
    writers = [
        create_run(tmp_path, name, Settings(), dataset.facts(None), "CPU") for name in ("mine", "another")
    ]
    assert desk.stop("mine") == "mine"
    assert [run.stop_requested() for run in writers] == [True, False]
    for run in writers:
        run.close()
    assert desk.stop("another") is None


@pytest.mark.usefixtures("warm_starts")
def test_the_desk_starts_stops_and_resumes(small_mnist: Path, tmp_path: Path) -> None:
    desk = TrainingDesk(tmp_path, str(small_mnist))
    desk.warm_up()
    name = desk.start(Settings(epochs=100, batch_size=20))
    run = Run(tmp_path / name)
    assert run.info().state == "running"
    with pytest.raises(TrainingError, match=f"{name} is being trained now"):
        desk.start(Settings())
    assert desk.stop() == name
    assert wait_until_it_ends(run) == "stopped"
    assert desk.stop() is None
    wait_for(lambda: not run.is_alive())  # it still measures the unfinished model
    assert desk.resume(name) == name
    assert desk.stop() == name
    assert wait_until_it_ends(run) == "stopped"


@pytest.mark.usefixtures("warm_starts")
def test_a_resume_that_finds_nothing_left_to_train_has_begun(small_mnist: Path, tmp_path: Path) -> None:
    dataset = read_idx_folder(small_mnist)
    train_here(Settings(epochs=1, batch_size=50, limit=100), tmp_path, dataset)
    change_record(tmp_path / "run", state="stopped", epoch=0)  # as when it was killed at its end
    desk = TrainingDesk(tmp_path, str(small_mnist))
    assert desk.resume("run") == "run"
    assert wait_until_it_ends(Run(tmp_path / "run")) == "finished"


def test_one_that_is_still_stopping_is_not_called_another(tmp_path: Path) -> None:
    desk = TrainingDesk(tmp_path)
    writer = create_run(tmp_path, "mine", Settings(), {"name": "a set"}, "CPU")
    try:
        with pytest.raises(BusyError, match=r"^run mine is being trained now; watch it"):
            desk.resume("mine")
        assert desk.stop() == "mine"
        with pytest.raises(BusyError, match=r"^run mine is still stopping; try again when it has stopped$"):
            desk.resume("mine")
    finally:
        writer.close()


def test_a_training_can_be_stopped_while_it_starts(small_mnist: Path, tmp_path: Path) -> None:
    """Which takes some seconds here, as PyTorch is imported."""
    desk = TrainingDesk(tmp_path, str(small_mnist))
    with ThreadPoolExecutor(1) as visitor:
        started = visitor.submit(desk.start, Settings(epochs=100, batch_size=20), "mine")
        wait_for(desk._lock.locked)
        assert desk.running() is None
        desk.warm_up()  # as whoever opens Train asks, and does not wait
        assert desk._lock.locked()
        assert desk.stop() == "mine"
        assert started.result() == "mine"
    assert wait_until_it_ends(Run(tmp_path / "mine")) == "stopped"


@pytest.mark.usefixtures("warm_starts")
def test_the_desk_passes_on_why_a_training_did_not_start(small_mnist: Path, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="more than the 700 training images") as refused:
        TrainingDesk(tmp_path, str(small_mnist)).start(Settings(batch_size=1000))
    assert refused.value.field == "batch_size"
    assert list(tmp_path.iterdir()) == []  # and no failed run is left
    with pytest.raises(DataError, match=r"^the folder that --data-dir names is not there"):
        TrainingDesk(tmp_path, str(tmp_path / "nowhere")).start(Settings())


def test_a_training_imports_nothing_from_the_folder_one_stands_in(
    small_mnist: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "random.py").write_text("raise RuntimeError('my own dice')")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", [path for path in sys.path if path])
    desk = TrainingDesk(tmp_path / "runs", str(small_mnist))
    desk.start(Settings(epochs=1, limit=640), "own")
    assert wait_until_it_ends(Run(tmp_path / "runs" / "own")) == "finished"


def test_why_a_training_did_not_start_is_told_whatever_the_terminals_encoding(
    run: Run, small_mnist: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    other = {"name": "28x28 IDX set “ß” (not the original MNIST)", "training_digest": ""}
    change_record(run.folder, data=run.info().data | other)
    with pytest.raises(RunError, match="“ß”"):
        TrainingDesk(run.folder.parent, str(small_mnist)).resume(run.name, 3)


def test_a_waiting_process_that_has_ended_costs_no_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def process(program: str) -> subprocess.Popen[str]:
        return subprocess.Popen([sys.executable, "-c", program], stdin=-1, stdout=-1, text=True)

    desk = TrainingDesk(tmp_path)
    with process("import os, time; os.close(0); print(flush=True); time.sleep(60)") as ending:
        assert ending.stdout is not None
        ending.stdout.readline()  # nobody reads its input, and it is not known to have ended
        desk._warm = ending
        with process("input(); print('worker: null')") as next_one:
            monkeypatch.setattr(desk, "_spawn", lambda: next_one)
            assert desk.start(Settings(), "mine") == "mine"
        ending.kill()


def test_a_process_gets_ready_with_fewer_images_than_the_recipes_batch(
    small_mnist: Path, tmp_path: Path, write_idx: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    few = read_idx_folder(small_mnist).train
    for prefix in ("train", "t10k"):
        write_idx(tmp_path, prefix, few.images[:100], few.labels[:100])
    monkeypatch.setattr("sys.argv", ["worker", "--data-dir", str(tmp_path)])
    monkeypatch.setattr("sys.stdin", io.StringIO(""))  # no job comes
    monkeypatch.delattr("os.nice")  # as on Windows
    assert worker.main() == 0


def test_a_folder_that_is_mended_before_the_start_is_read_then(
    small_mnist: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, trained = tmp_path / "data", []
    job = prepare(Settings(), tmp_path / "runs", "mine", str(small_mnist))

    class Visitor:
        """Mends the folder and starts a training."""

        def readline(self) -> str:
            shutil.copytree(small_mnist, data)
            return json.dumps(asdict(job))

    def perform(job: Job, dataset: Dataset) -> list[None]:
        trained.append((job, len(dataset.train)))
        return []

    monkeypatch.setattr("sys.argv", ["worker", "--data-dir", str(data)])
    monkeypatch.setattr("sys.stdin", Visitor())
    monkeypatch.setattr("os.nice", lambda by: None)
    monkeypatch.setattr("vae_core.jobs.recording.perform", perform)
    said: list[str] = []
    monkeypatch.setattr(worker, "_say", said.append)
    assert (worker.main(), said) == (0, [STARTED])
    assert trained == [(job, 700)]


def test_images_that_change_before_the_start_are_read_again(
    small_mnist: Path, tmp_path: Path, dataset: Dataset, write_idx: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    data, trained = Path(shutil.copytree(small_mnist, tmp_path / "data")), []
    job = prepare(Settings(), tmp_path / "runs", "mine", str(data))

    class Visitor:
        """Puts other pictures into the folder and starts a training."""

        def readline(self) -> str:
            write_idx(data, "train", dataset.train.images[:300], dataset.train.labels[:300])
            return json.dumps(asdict(job))

    monkeypatch.setattr("sys.argv", ["worker", "--data-dir", str(data)])
    monkeypatch.setattr("sys.stdin", Visitor())
    monkeypatch.setattr("os.nice", lambda by: None)
    monkeypatch.setattr(
        "vae_core.jobs.recording.perform", lambda job, dataset: trained.append(len(dataset.train)) or []
    )
    monkeypatch.setattr(worker, "_say", lambda answer: None)
    assert worker.main() == 0
    assert trained == [300]


@pytest.mark.parametrize("wanted", ["auto", "cpu"])
def test_what_leaves_the_device_open_is_trained_where_the_app_trains(
    run: Run, wanted: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    change_settings(run.folder, device="cuda")  # as a run that was brought in from another machine
    desk = TrainingDesk(run.folder.parent, device=wanted)
    monkeypatch.setattr(desk, "_launch", lambda make_job: make_job().settings["device"])
    assert desk.start(Settings()) == wanted
    assert desk.start(Settings(device="cuda:1")) == "cuda:1"
    assert desk.resume(run.name, 10) == ("cuda" if wanted == "auto" else "cpu")


@pytest.mark.parametrize(
    "error",
    [SettingsError("epochs", "epochs must be few"), BusyError("another trains"), DataError("no “ß” here")],
)
def test_what_a_training_process_refuses_is_the_same_error_here(error: VAEStudioError) -> None:
    with pytest.raises(type(error), match=str(error)) as told:
        check(refusal(error))
    assert vars(told.value) == vars(error)
    check(STARTED)
    with pytest.raises(TrainingError, match="Killed"):
        check("Killed")


def test_the_desk_refuses_names_and_runs_before_it_starts_anything(
    small_mnist: Path, tmp_path: Path, tiny_run: Path
) -> None:
    desk = TrainingDesk(tmp_path, str(small_mnist))
    for name in ("reference", "../x"):
        with pytest.raises(RunError):
            desk.start(Settings(), name)
    with pytest.raises(RunError, match="no run named"):
        desk.resume("nope")
    with pytest.raises(RunError, match="no run named"):
        desk.resume(str(tiny_run))  # a path is for the command line
    beside = TrainingDesk(tiny_run.parent, str(small_mnist))
    with pytest.raises(RunError, match="has finished its 2 epochs"):
        beside.resume("tiny")
    with pytest.raises(SettingsError, match="epochs must be"):
        beside.resume("tiny", epochs=0)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("warm_starts")
def test_a_training_outlives_the_app_that_started_it_and_a_warm_process_does_not(
    small_mnist: Path, tmp_path: Path
) -> None:
    app = (
        "import sys; from pathlib import Path; from vae_core.jobs.desk import TrainingDesk;"
        "from vae_core.settings import Settings;"
        "desk = TrainingDesk(Path(sys.argv[1]), sys.argv[2]);"
        "print(desk.start(Settings(epochs=500, batch_size=20), 'run'), flush=True);"
        "desk.warm_up(); print(desk._warm.pid, flush=True); input()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", app, str(tmp_path), str(small_mnist)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        assert process.stdout.readline() == "run\n"
        warm = int(process.stdout.readline())
        process.kill()
    run = Run(tmp_path / "run")
    try:
        iteration = run.metrics()[0][-1]["iteration"] if run.metrics()[0] else 0
        wait_for(lambda: not is_there(warm))
        wait_for(lambda: last_iteration(run) > iteration)
        assert run.info().state == "running"
        another_app = TrainingDesk(tmp_path, str(small_mnist))
        running = another_app.running()
        assert running is not None
        assert running.name == "run"
    finally:
        run.request_stop()
    assert wait_until_it_ends(run) == "stopped"


def last_iteration(run: Run) -> int:
    rows, _ = run.metrics()
    return rows[-1]["iteration"] if rows else 0


def is_there(process_id: int) -> bool:
    """Whether the process runs still; one that has ended but has not been waited for does not."""
    try:
        return " Z " not in Path(f"/proc/{process_id}/stat").read_text()
    except OSError:
        return False
