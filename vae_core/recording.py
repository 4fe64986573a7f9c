"""A training recorded in its run folder as it goes: what the training process does, whoever started it.

Whoever wants to see it reads the run folder; whoever wants to stop it leaves a request there.
"""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from filelock import FileLock, Timeout

from vae_core.advice import Adviser
from vae_core.data import Dataset, ImageSet, cache_folder, load_dataset
from vae_core.errors import DataError, RunError, TrainingError, VAEStudioError
from vae_core.run_folder import Run, RunWriter
from vae_core.run_record import METRIC_NAMES
from vae_core.runs import check_name, create_run, find_run, new_name
from vae_core.settings import Settings

if TYPE_CHECKING:
    from torch import Tensor

    from vae_core.distributed import Group
    from vae_core.training import Report

FIRST_PREVIEWS = (1, 5, 10, 20, 40, 70, 100, 150, 200, 300, 400)
"""Iterations of the first epoch after which previews are drawn, to see digits condense out of noise."""
PREVIEW_SAMPLES = 16
LATENTS_SECONDS = 1.0
"""How often the KL of each latent is written beside the losses."""
AFTER_GPU_FAILURE = "resume the run when it is back, or train on the CPU (device cpu)"
OUT_OF_MEMORY = "out of memory: try a smaller batch size or close other programs"


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
    """
    if name is not None:
        check_name(name)
        if (runs_dir / name).exists():
            raise RunError(f"there is already a run named {name} in {runs_dir}; choose another name")
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
) -> Job:
    """A job that goes on with a run from its last finished epoch, or to more epochs.

    Raises:
        RunError: the run is running, is a shipped one, or has all its epochs already.
    """
    found = find_run(run, runs_dir)
    info = found.info()
    if info.state == "running":
        raise RunError(f"run {info.name} is still running")
    if not (found.folder / "training_state.safetensors").is_file() and info.epoch > 0:
        raise RunError(f"run {info.name} keeps no training state (shipped runs do not); it cannot be resumed")
    settings = info.settings
    if epochs is not None:
        settings = Settings.from_dict(settings.to_dict() | {"epochs": epochs})
    if settings.epochs <= info.epoch:
        raise RunError(
            f"run {info.name} has finished its {info.epoch} epochs; ask for more with --epochs "
            f"{info.epoch + 10}, say"
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


def perform(job: Job, dataset: Dataset | None = None, group: Group | None = None) -> Iterator[Report]:
    """Trains and records in this process, passing on each report once it is written.

    Ends early, in state "stopped", when the run folder or a signal (SIGTERM, SIGINT) asks for it.

    Args:
        job: what to do.
        dataset: the images, where they are loaded already.
        group: the processes that this one leads; the others `follow`.

    Raises:
        VAEStudioError: as the data, the settings or the training say. A run that had begun is marked
            "failed", with the reason; its earlier epochs stay intact.
    """
    from vae_core.distributed import ALONE
    from vae_core.training import choose_device, device_in_words

    group = group or ALONE
    if job.tensorboard and find_spec("tensorboard") is None:
        raise TrainingError("TensorBoard is not installed; install it with: pip install '.[tensorboard]'")
    settings = Settings.from_dict(job.settings)
    try:
        device = choose_device(settings.device)
    except RuntimeError as error:
        if (message := _in_words(error)) is None:
            raise
        raise TrainingError(message) from error
    group.check(settings, device)
    computes = device_in_words(device) + (f", {group.count} processes" if group.count > 1 else "")
    dataset = dataset or load_dataset(job.data_dir)
    with _machine_slot(job):
        yield from _perform(job, settings, dataset, computes, group)


def follow(group: Group, data_dir: str | None = None) -> None:
    """Trains in this process what the leader of its group trains, and leaves the recording to it.

    Raises:
        VAEStudioError: as the data or the settings say here, or another process has ended.
    """
    import safetensors.torch

    from vae_core.training import choose_device, train

    with _StopSignals(group) as signals:
        try:
            told = json.loads(group.receive())
            resume_from = safetensors.torch.load(group.receive())
            settings = Settings.from_dict(told["settings"])
            group.check(settings, choose_device(settings.device))
            dataset = load_dataset(data_dir)  # the leader has it already: a download is in the cache
            if told["data"] != _facts(dataset, settings):
                raise DataError(
                    f"process {group.rank} has another data set than the first one: {dataset.train.source}"
                )
            for _ in train(settings, dataset.train, resume_from=resume_from or None, group=group):
                group.anyones(signals.received)
                if not group.leaders(True):
                    return
        except (MemoryError, RuntimeError) as error:
            message = _in_words(error)
            if message is None:
                raise
            raise TrainingError(message) from error


def _perform(job: Job, settings: Settings, dataset: Dataset, device: str, group: Group) -> Iterator[Report]:
    runs_dir = Path(job.runs_dir)
    resume_from = None
    if job.resume:
        run = RunWriter(runs_dir / job.name)
        try:
            resume_from, epoch = _where_it_stood(run, dataset, settings)
            run.forget_after(epoch)
            run.update(
                state="running", settings=settings.to_dict(), device=device, error=None, warning=None,
                epoch=epoch, process=os.getpid(),
            )  # fmt: skip
        except OSError as error:
            run.close()
            raise RunError(_cannot_write(error)) from error
        except VAEStudioError:
            run.close()
            raise
    else:
        run = create_run(runs_dir, job.name, settings, _describe(dataset, settings), device)
    with (
        _StopSignals(group) as signals,
        closing(_lead(group, settings, dataset, resume_from, signals)) as reports,
    ):
        try:
            recorded = _record(run, settings, dataset, reports, signals)
            yield from _to_tensorboard(recorded, run) if job.tensorboard else recorded
        except GeneratorExit:  # the consumer asks for no more
            run.update(state="stopped")
            raise
        except VAEStudioError as error:
            _mark_failed(run, str(error))
            raise
        except (MemoryError, RuntimeError) as error:
            message = _in_words(error)
            _mark_failed(run, message or str(error))
            if message is None:
                raise
            raise TrainingError(message) from error
        except OSError as error:
            _mark_failed(run, _cannot_write(error))
            raise TrainingError(_cannot_write(error)) from error
        except BaseException as error:
            _mark_failed(run, f"{type(error).__name__}: {error}")
            raise
        finally:
            run.close()


def _cannot_write(error: OSError) -> str:
    return f"cannot write the run: {error.strerror or error}; free some space or choose another folder"


def _where_it_stood(
    run: RunWriter, dataset: Dataset, settings: Settings
) -> tuple[dict[str, Tensor] | None, int]:
    """The training state of the last finished epoch, and that epoch; None and 0 if none was finished.

    Raises:
        RunError: the images at hand are not those the run was trained on.
    """
    before, now = run.info().data, _facts(dataset, settings)
    for fact in now:
        if before.get(fact) != now[fact]:
            trained_on = f"{before.get('name')}, {before.get('training_images')} images"
            raise RunError(
                f"run {run.name} was trained on {trained_on}; here is {now['name']}, "
                f"{now['training_images']} images: name the run's own data set"
            )
    if not (run.folder / "training_state.safetensors").is_file():
        return None, 0
    tensors = run.training_state()
    try:
        epoch = int(tensors["counters"][0])
        if not 0 <= epoch <= settings.epochs:
            raise ValueError(f"epoch {epoch}")
        return tensors, epoch
    except (KeyError, IndexError, ValueError, OverflowError) as error:
        raise RunError(f"run {run.name}: training_state.safetensors is incomplete ({error})") from error


@contextmanager
def _machine_slot(job: Job) -> Iterator[None]:
    """Held while a training runs, one for each user of the machine, by a lock that ends with the process.

    Raises:
        TrainingError: another training holds it; names it.
    """
    if not job.alone:
        yield
        return
    who = cache_folder() / "training.json"
    lock = FileLock(who.with_suffix(".lock"))
    try:
        who.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=0)
        who.write_text(json.dumps({"run": job.name, "runs_dir": str(Path(job.runs_dir).resolve())}))
    except Timeout as error:
        raise TrainingError(_who_trains(who)) from error
    except OSError:
        yield  # no place for a lock on this machine: train all the same
        return
    try:
        yield
    finally:
        lock.release()


def _who_trains(who: Path) -> str:
    try:
        record = json.loads(who.read_text())
        run = f"{record['run']} in {record['runs_dir']}"
        if Run(Path(record["runs_dir"]) / record["run"]).info().state != "running":
            return f"{run} is still writing its last results; try again in a few seconds"
    except (OSError, ValueError, KeyError, TypeError, RunError):
        run = "another run"
    return f"{run} is being trained on this machine; watch or stop it first"


def _lead(
    group: Group,
    settings: Settings,
    dataset: Dataset,
    resume_from: dict[str, Tensor] | None,
    signals: _StopSignals,
) -> Generator[Report, None, None]:
    """The reports of a training that goes on in all processes of the group.

    With each one this process hears whether one of them was asked to stop, and after it the others hear
    whether there is to be another.
    """
    import safetensors.torch

    from vae_core.training import train

    if group.count > 1:
        told = {"settings": settings.to_dict(), "data": _facts(dataset, settings)}
        group.send(json.dumps(told).encode())
        group.send(safetensors.torch.save(resume_from or {}))
    for report in train(settings, dataset.train, dataset.test, resume_from, group):
        signals.heeded = group.anyones(signals.received)
        try:
            yield report
        except GeneratorExit:
            with suppress(RuntimeError):  # who has ended already need not be told
                group.leaders(False)
            raise
        group.leaders(True)


def _record(
    run: RunWriter,
    settings: Settings,
    dataset: Dataset,
    reports: Iterator[Report],
    signals: _StopSignals,
) -> Iterator[Report]:
    from vae_core.evaluation import baselines
    from vae_core.training import EpochReport

    previews = _Previews(dataset.test, settings)
    moments = list(FIRST_PREVIEWS)
    adviser, warning = Adviser(), None
    latents_written = 0.0
    for report in reports:
        row: dict[str, Any] = {name: getattr(report, name) for name in METRIC_NAMES}
        if time.monotonic() - latents_written >= LATENTS_SECONDS:
            row["kl_per_dimension"] = report.kl_per_dimension
            latents_written = time.monotonic()
        if isinstance(report, EpochReport):
            evaluation = report.evaluation
            assert evaluation is not None  # a job always has a test set
            row |= {
                "kl_per_dimension": evaluation.kl_per_dimension.tolist(),
                "test_total": evaluation.total,
                "test_reconstruction": evaluation.reconstruction,
                "test_kl": evaluation.kl,
                "test_mse": evaluation.summary()["mse_mean"],
            }
            previews.save(run, report)
            run.save_model(report.state.model, settings)
            run.save_evaluation(evaluation)
            run.append_metrics(row)
            # From here on the epoch is finished, whatever happens: a resumed run goes on after it.
            run.save_training_state(report.state.tensors())
            run.update(epoch=report.epoch, elapsed_seconds=report.elapsed_seconds)
            if not run.info().baselines:
                measured = baselines(dataset.train, dataset.test, settings.latent_dim)
                run.update(baselines=measured._asdict())
        else:
            if report.epoch == 1 and moments and report.iteration >= moments[0]:
                moments = [moment for moment in moments if moment > report.iteration]
                previews.save(run, report)
            run.append_metrics(row)
        advice = adviser.advice(report.iteration, report.total, report.kl)
        if advice != warning:
            warning = advice
            run.update(warning=warning)
        yield report
        if signals.heeded or run.stop_requested():
            in_epoch = not isinstance(report, EpochReport)
            if in_epoch and report.epoch == 1:
                run.save_model(report.state.model, settings)
            if in_epoch or report.epoch < settings.epochs:
                run.update(state="stopped", elapsed_seconds=report.elapsed_seconds)
                if in_epoch and report.epoch == 1:
                    _evaluate_unfinished(run, settings, dataset, report)
                return
    run.update(state="finished")


def _to_tensorboard(reports: Iterator[Report], run: RunWriter) -> Iterator[Report]:
    """Passes the reports on, and writes them as TensorBoard's event files too."""
    from torch.utils.tensorboard import SummaryWriter

    with SummaryWriter(str(run.folder / "tensorboard")) as events:
        for report in reports:
            for name in ("total", "reconstruction", "kl", "images_per_second"):
                events.add_scalar(f"training/{name}", getattr(report, name), report.iteration)
            if evaluation := getattr(report, "evaluation", None):
                for name in ("total", "reconstruction", "kl", "mse_mean"):
                    events.add_scalar(f"test/{name}", evaluation.summary()[name], report.iteration)
            yield report


def _evaluate_unfinished(run: RunWriter, settings: Settings, dataset: Dataset, report: Report) -> None:
    """The figures of a model stopped in its first epoch, to have something to look at.

    They come after the run is marked as stopped, which nobody should have to wait for. A later stop
    leaves the model of the last finished epoch: the one that was evaluated and that resuming goes on from.
    """
    from vae_core.evaluation import evaluate

    model = report.state.model
    run.save_evaluation(evaluate(model, dataset.test, settings.likelihood, settings.beta, settings.seed))


def _facts(dataset: Dataset, settings: Settings) -> dict[str, Any]:
    """By which a data set is known again, wherever it lies."""
    return {
        "name": dataset.train.name,
        "training_images": len(dataset.train.images[: settings.limit]),
        "test_images": len(dataset.test),
    }


def _describe(dataset: Dataset, settings: Settings) -> dict[str, Any]:
    """The data set as run.json tells it."""
    origin = {"source": dataset.train.source, "is_sample": dataset.train.is_sample}
    return _facts(dataset, settings) | origin


def _in_words(error: MemoryError | RuntimeError) -> str | None:
    """What a user should hear of an error that Python or PyTorch raised; None if it should not have come."""
    import torch

    from vae_core.distributed import LOST_PROCESS, is_lost_process

    if isinstance(error, (MemoryError, torch.OutOfMemoryError)) or "allocate memory" in str(error):
        return OUT_OF_MEMORY
    if is_lost_process(error):
        return LOST_PROCESS
    text = str(error)
    if isinstance(error, torch.distributed.DistError):
        return f"the processes cannot reach each other ({text.splitlines()[0]})"
    if isinstance(error, torch.AcceleratorError) or "CUDA" in text or "cuDNN" in text:  # gone, or broken
        return f"the GPU failed ({text.splitlines()[0]}); {AFTER_GPU_FAILURE}"
    return None


def _mark_failed(run: RunWriter, message: str) -> None:
    with suppress(OSError):  # no space even for that: without its lock the run is shown as interrupted
        run.update(state="failed", error=message)


class _Previews:
    """Ten fixed test images, one per class, and sixteen fixed latents, decoded as training goes."""

    def __init__(self, test_set: ImageSet, settings: Settings) -> None:
        import torch

        from vae_core.model import as_batch

        _, first = np.unique(test_set.labels, return_index=True)
        self._images = as_batch(torch.from_numpy(np.array(test_set.images[first[:10]])))
        fixed = torch.Generator().manual_seed(0)
        self._latents = torch.randn(PREVIEW_SAMPLES, settings.latent_dim, generator=fixed)

    def save(self, run: RunWriter, report: Report) -> None:
        import torch

        from vae_core.pictures import png_bytes, tile, to_grey

        model = report.state.model
        device = next(model.parameters()).device
        with torch.inference_mode():
            images = self._images.to(device)
            reconstructions = model.decode(model.encode(images)[0])
            samples = model.decode(self._latents.to(device))
        pairs = torch.cat([images, reconstructions]).squeeze(1).cpu().numpy()
        run.save_preview(report.iteration, "reconstructions", png_bytes(tile(to_grey(pairs), len(images))))
        samples = samples.squeeze(1).cpu().numpy()
        run.save_preview(report.iteration, "samples", png_bytes(tile(to_grey(samples), 8)))


class _StopSignals:
    """While active, SIGTERM and SIGINT are remembered instead of ending the process in mid-step.

    `received` tells of this process alone, `heeded` of what the whole group agreed on: torchrun sends SIGTERM
    also to say that another process is lost, and such a training has failed, not stopped.
    """

    def __init__(self, group: Group) -> None:
        self.received = self.heeded = False
        self._group = group
        self._before: dict[int, Any] = {}

    def __enter__(self) -> _StopSignals:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGINT):
                self._before[number] = signal.signal(number, self._remember)
        return self

    def __exit__(self, kind: type[BaseException] | None, *exception: object) -> None:
        if kind is not None and self._group.count > 1:
            return  # the process is about to end, and must not be ended before it has said why
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _remember(self, number: int, frame: object) -> None:
        self.received = True
