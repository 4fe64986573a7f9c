"""Two processes that train together, under torchrun or as it would start them, on the CPU, beside one."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from support.browser import free_port
from support.warm_start import warm_python
from vae_core.data import Dataset
from vae_core.engine.distributed import LOST_PROCESS, Group
from vae_core.engine.gradients import TrainingLoss
from vae_core.errors import SettingsError
from vae_core.jobs.job import prepare, prepare_resume
from vae_core.jobs.recording import perform
from vae_core.jobs.stop_signals import StopSignals
from vae_core.model import VAE
from vae_core.run_folder import Run
from vae_core.settings import Settings

SETTINGS = Settings(epochs=2, batch_size=50, limit=300)
ENDLESS = ("--name", "endless", "--epochs", 10_000, "--batch-size", 50, "--limit", 300)
SECONDS = 240
"""Until a test gives up: these machines are shared."""

Start = Callable[..., subprocess.Popen[str]]
Pair = tuple[subprocess.Popen[str], subprocess.Popen[str], Run]


def started(
    python: str, arguments: list[object], environment: dict[str, str] | None = None
) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [python, "-m", *map(str, arguments)], env=os.environ | (environment or {}),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


@pytest.fixture
def torchrun(small_mnist: Path, tmp_path: Path) -> Iterator[Start]:
    """Starts a training in two processes; whatever is left of them ends with the test."""
    repository = Path(__file__).parent.parent.parent
    all_of_them = []

    def start(*arguments: object, python: str | None = None) -> subprocess.Popen[str]:
        python = python or warm_python()
        process = started(
            python,
            ["torch.distributed.run", "--standalone", "--nproc-per-node", 2, "-m", "vae_core", "train",
             "--data-dir", small_mnist, "--runs-dir", tmp_path, "--parallel", *arguments],
            {"PYTHONPATH": str(repository), "OMP_NUM_THREADS": "1", "PYTHON_EXEC": python},
        )  # fmt: skip
        all_of_them.append(process)
        return process

    yield start
    for process in all_of_them:
        process.kill()


@pytest.fixture
def pair(small_mnist: Path, tmp_path: Path) -> Iterator[Callable[..., list[subprocess.Popen[str]]]]:
    """Starts the two processes of a training, the leader first, where it is not about what torchrun does."""
    all_of_them: list[subprocess.Popen[str]] = []

    def start(*arguments: object) -> list[subprocess.Popen[str]]:
        common = {
            "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "TORCHELASTIC_RUN_ID": "pair",
            "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port()),
        }  # fmt: skip
        both = [
            started(
                warm_python(),
                ["vae_core", "train", "--data-dir", small_mnist, "--runs-dir", tmp_path, "--parallel",
                 *arguments],
                common | {"RANK": rank, "LOCAL_RANK": rank},
            )
            for rank in "01"
        ]  # fmt: skip
        all_of_them.extend(both)
        return both

    yield start
    for process in all_of_them:
        process.kill()


def options_of(settings: Settings) -> list[object]:
    """The command-line options of what differs from the reference."""
    return [
        part for name, value in settings.changes().items() for part in ("--" + name.replace("_", "-"), value)
    ]


def alone(settings: Settings, runs_dir: Path, dataset: Dataset, name: str) -> Run:
    for _ in perform(prepare(settings, runs_dir, name, alone=False), dataset):
        pass
    return Run(runs_dir / name)


def epoch_ends(run: Run) -> list[dict]:
    return [row for row in run.metrics()[0] if "test_total" in row]


def assert_same_course(run: Run, other: Run) -> None:
    """Sums in another order round differently, and no more than that."""
    ours, theirs = epoch_ends(run), epoch_ends(other)
    assert [row["iteration"] for row in ours] == [row["iteration"] for row in theirs]
    for ours_row, theirs_row in zip(ours, theirs, strict=True):
        for figure in ("test_total", "test_kl", "test_mse"):
            assert ours_row[figure] == pytest.approx(theirs_row[figure], rel=1e-3, abs=1e-3)


def assert_same_first_step(run: Run, other: Run) -> None:
    ours, theirs = run.metrics()[0][0], other.metrics()[0][0]
    assert ours["iteration"] == 1
    assert ours["total"] == pytest.approx(theirs["total"], rel=1e-5)
    assert ours["kl_per_dimension"] == pytest.approx(theirs["kl_per_dimension"], abs=1e-4)


def test_two_processes_train_what_one_does(torchrun: Start, tmp_path: Path, dataset: Dataset) -> None:
    settings = replace(SETTINGS, likelihood="calibrated", optimizer="soap", schedule="one-cycle")
    out, err = torchrun("--name", "two", *options_of(settings)).communicate(timeout=SECONDS)
    assert "run two is finished" in out, err
    assert out.count("300 images to train on") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["two"]
    run = Run(tmp_path / "two")
    assert run.info().state == "finished"
    assert run.info().device.endswith("2 processes")
    one = alone(settings, tmp_path, dataset, "one")
    assert_same_course(run, one)
    assert_same_first_step(run, one)


def test_a_run_goes_on_with_another_number_of_processes(
    pair: Callable[..., list[subprocess.Popen[str]]], tmp_path: Path, dataset: Dataset
) -> None:
    half = Settings.from_dict(SETTINGS.to_dict() | {"epochs": 1})
    begun_by_two = pair("--name", "two-one", *options_of(half))
    alone(half, tmp_path, dataset, "one-two")
    assert [process.wait(SECONDS) for process in begun_by_two] == [0, 0]
    assert_same_course(Run(tmp_path / "two-one"), Run(tmp_path / "one-two"))
    assert_same_first_step(Run(tmp_path / "two-one"), Run(tmp_path / "one-two"))
    assert [process.wait(SECONDS) for process in pair("--resume", "one-two", "--epochs", 2)] == [0, 0]
    for _ in perform(prepare_resume("two-one", tmp_path, epochs=2, alone=False), dataset):
        pass
    undisturbed = alone(SETTINGS, tmp_path, dataset, "undisturbed")
    for name in ("two-one", "one-two"):
        assert_same_course(Run(tmp_path / name), undisturbed)


def is_training(run: Run) -> bool:
    return (run.folder / "metrics.jsonl").exists() and len(run.metrics()[0]) > 1


def leader_of(run: Run) -> int:
    """The process that records."""
    return json.loads((run.folder / "run.json").read_text())["process"]


def follower_of(torchrun_process: subprocess.Popen[str], run: Run) -> int:
    try:
        children = Path(f"/proc/{torchrun_process.pid}/task/{torchrun_process.pid}/children").read_text()
    except FileNotFoundError:
        pytest.skip("this system does not tell a process's children")
    (follower,) = {int(child) for child in children.split()} - {leader_of(run)}
    return follower


def begun(process: subprocess.Popen[str], run: Run) -> Run:
    """The run, once its training has begun."""
    deadline = time.monotonic() + SECONDS
    while not is_training(run):
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline
        time.sleep(0.1)
    return run


@pytest.fixture
def endless(torchrun: Start, tmp_path: Path) -> tuple[subprocess.Popen[str], Run]:
    """A training in two processes that has begun and goes on until something ends it."""
    process = torchrun(*ENDLESS, python=sys.executable)  # whose own children the two are
    return process, begun(process, Run(tmp_path / "endless"))


@pytest.fixture
def endless_pair(pair: Callable[..., list[subprocess.Popen[str]]], tmp_path: Path) -> Pair:
    """The same without torchrun."""
    leader, follower = pair(*ENDLESS)
    return leader, follower, begun(leader, Run(tmp_path / "endless"))


@pytest.mark.parametrize("asked", ["folder", "follower"])
def test_a_stop_reaches_both(endless_pair: Pair, tmp_path: Path, asked: str) -> None:
    leader, follower, run = endless_pair
    if asked == "folder":
        run.request_stop()
    else:
        follower.terminate()
    out, err = leader.communicate(timeout=SECONDS)
    assert (leader.returncode, follower.wait(SECONDS)) == (0, 0), err
    assert "run endless is stopped" in out
    assert run.info().state == "stopped"
    assert not run.is_alive()


def test_a_signal_to_torchrun_stops_both(endless: tuple[subprocess.Popen[str], Run]) -> None:
    process, run = endless
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=SECONDS)
    assert "run endless is stopped" in out, err
    assert run.info().state == "stopped"
    assert not run.is_alive()


def is_told_to_end(process: int) -> bool:
    """Whether SIGTERM waits for a process that stands still."""
    (waiting,) = re.findall(r"ShdPnd:\s*(\w+)", Path(f"/proc/{process}/status").read_text())
    return bool(int(waiting, 16) & 1 << signal.SIGTERM - 1)


def test_a_lost_process_ends_the_training_as_failed(endless_pair: Pair, tmp_path: Path) -> None:
    leader, follower, run = endless_pair
    follower.kill()
    deadline = time.monotonic() + SECONDS
    while leader.poll() is None and time.monotonic() < deadline:
        leader.terminate()  # as torchrun does, before and after it has noticed itself
        time.sleep(0.01)
    _, err = leader.communicate(timeout=1)
    assert leader.returncode == 1
    assert f"error: {LOST_PROCESS}" in err
    assert run.info().state == "failed"
    assert run.info().error == LOST_PROCESS


def test_a_lost_process_is_told_also_where_torchruns_sigterm_comes_first(
    endless: tuple[subprocess.Popen[str], Run],
) -> None:
    process, run = endless
    leader, follower = leader_of(run), follower_of(process, run)
    os.kill(leader, signal.SIGSTOP)
    os.kill(follower, signal.SIGKILL)
    deadline = time.monotonic() + SECONDS
    while not is_told_to_end(leader):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    os.kill(leader, signal.SIGCONT)
    _, err = process.communicate(timeout=SECONDS)
    assert process.returncode == 1
    assert f"error: {LOST_PROCESS}" in err
    assert run.info().state == "failed"
    assert run.info().error == LOST_PROCESS


def test_torchruns_sigterm_is_no_wish_to_stop_where_the_other_had_answered_before_it_was_lost() -> None:
    answered = []

    class Losing(Group):
        def any(self, word: bool) -> bool:
            if answered:
                raise RuntimeError("gloo: connection closed by peer")
            answered.append(word)
            return word

    signals = StopSignals(Losing(0, 2))
    signals.received = True
    with pytest.raises(RuntimeError, match="closed by peer"):
        signals.agree()
    assert answered == [True]
    assert not signals.heeded


def test_a_mistake_is_said_once_and_ends_both(torchrun: Start, tmp_path: Path) -> None:
    (tmp_path / "taken").mkdir()
    process = torchrun("--name", "taken")
    _, err = process.communicate(timeout=SECONDS)
    assert process.returncode == 1
    assert err.count("there is already a run named taken") == 1


def test_a_mini_batch_without_equal_shares_is_refused() -> None:
    with pytest.raises(SettingsError, match="batch_size 128 has no equal shares for 3 processes"):
        Group(0, 3).check(Settings(), torch.device("cpu"))
    Group(0, 4).check(Settings(), torch.device("cpu"))


def test_processes_do_not_share_one_gpu() -> None:
    with pytest.raises(SettingsError, match="2 processes cannot share cuda:1; expected --device cuda"):
        Group(0, 2).check(Settings(device="cuda:1"), torch.device("cuda:1"))


@pytest.mark.parametrize("written_out", [True, False], ids=["written-out", "autograd"])
@pytest.mark.parametrize("likelihood", ["gaussian", "bernoulli", "calibrated"])
def test_the_shares_gradients_average_to_the_whole_batchs(likelihood: str, written_out: bool) -> None:
    generator = torch.Generator().manual_seed(5)
    images = torch.randint(0, 256, (10, 28, 28), dtype=torch.uint8, generator=generator)
    eps = torch.randn(10, 16, generator=generator)
    torch.manual_seed(0)
    model = VAE().to(memory_format=torch.channels_last)
    settings = Settings(likelihood=likelihood)

    def loss_and_gradients(loss: TrainingLoss, batch: slice) -> tuple[float, list[torch.Tensor]]:
        if not written_out:
            loss._shares = None  # as on a GPU
        model.zero_grad()
        total = loss(images[batch], eps[batch]).total
        total.backward()
        return total.item(), [weight.grad.clone() for weight in model.parameters() if weight.grad is not None]

    errors: list[torch.Tensor] = []

    def note(error: torch.Tensor) -> torch.Tensor:
        errors.append(error.detach())
        return error

    whole, expected = loss_and_gradients(TrainingLoss(model, settings, note), slice(0, 10))
    common = errors[0] if errors else None  # what an average over two processes would give each of them
    sharing = TrainingLoss(model, settings, lambda own: own if common is None else common)
    parts = [loss_and_gradients(sharing, batch) for batch in (slice(0, 5), slice(5, 10))]
    assert sum(total for total, _ in parts) / 2 == pytest.approx(whole, rel=1e-5)
    for gradient, *shares in zip(expected, *(gradients for _, gradients in parts), strict=True):
        torch.testing.assert_close(sum(shares) / 2, gradient, rtol=1e-3, atol=1e-4)
