"""A training recorded in its run folder as it goes: what the training process does, whoever started it.

Whoever wants to see it reads the run folder; whoever wants to stop it leaves a request there.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vae_core.data import Dataset, load_dataset
from vae_core.engine.devices import choose_device, device_in_words
from vae_core.engine.distributed import ALONE, Group
from vae_core.engine.training_state import check_state
from vae_core.errors import RunError, TrainingError, VAEStudioError
from vae_core.evaluation import baselines, evaluate
from vae_core.jobs.advice import Adviser, advice_at_end
from vae_core.jobs.failures import in_words
from vae_core.jobs.following import lead
from vae_core.jobs.job import Job
from vae_core.jobs.machine_slot import machine_slot
from vae_core.jobs.previews import Previews
from vae_core.jobs.stop_signals import StopSignals
from vae_core.run_folder import RunWriter, cannot_write
from vae_core.run_record import METRIC_NAMES
from vae_core.runs import create_run
from vae_core.settings import Settings
from vae_core.training import EpochReport, Report, diverged, full_batches

if TYPE_CHECKING:
    from torch import Tensor

FIRST_PREVIEWS = (1, 5, 10, 20, 40, 70, 100, 150, 200, 300, 400)
"""Iterations of the first epoch after which previews are drawn, to see digits condense out of noise."""
LATENTS_SECONDS = 1.0
"""How often the KL of each latent is written beside the losses."""


def perform(
    job: Job,
    dataset: Dataset | None = None,
    group: Group | None = None,
    hear_stop: Callable[[], None] | None = None,
) -> Iterator[Report]:
    """Trains and records in this process, passing on each report once it is written.

    Ends early, in state "stopped", when the run folder or a signal (SIGTERM, SIGINT) asks for it.

    Args:
        job: what to do.
        dataset: the images, where they are loaded already.
        group: the processes that this one leads; the others `follow`.
        hear_stop: called as soon as a signal asks for the end, which may take a while.

    Raises:
        VAEStudioError: as the data, the settings or the training say. A run that had begun is marked
            "failed", with the reason; its earlier epochs stay intact.
    """
    group = group or ALONE
    settings = Settings.from_dict(job.settings)
    try:
        device = choose_device(settings.device)
    except RuntimeError as error:
        if (message := in_words(error)) is None:
            raise
        raise TrainingError(message) from error
    group.check(settings, device)
    computes = device_in_words(device) + (f", {group.count} processes" if group.count > 1 else "")
    dataset = dataset or load_dataset(job.data_dir)
    with machine_slot(job):
        yield from _perform(job, settings, dataset, computes, group, hear_stop)


def _perform(
    job: Job, settings: Settings, dataset: Dataset, device: str, group: Group,
    hear_stop: Callable[[], None] | None,
) -> Iterator[Report]:  # fmt: skip
    runs_dir = Path(job.runs_dir)
    resume_from = None
    if job.resume:
        run = RunWriter(runs_dir / job.name)
        try:
            resume_from, epoch, elapsed = _where_it_stood(run, dataset, settings)
            run.forget_after(epoch)
            run.update(
                state="running", settings=settings.to_dict(), device=device, error=None, warning=None,
                epoch=epoch, elapsed_seconds=elapsed, process=os.getpid(),
                **({} if epoch else {"results": {}}),  # else those of a model that is given up
            )  # fmt: skip
        except OSError as error:
            run.close()
            raise cannot_write(run.folder, error) from error
        except VAEStudioError:
            run.close()
            raise
    else:
        full_batches(settings, len(dataset.train.images[: settings.limit]))  # before there is a folder
        run = create_run(runs_dir, job.name, settings, _describe(dataset, settings), device)
    with (
        StopSignals(group, hear_stop) as signals,
        closing(lead(group, settings, dataset, resume_from, signals)) as reports,
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
            message = in_words(error)
            _mark_failed(run, message or str(error))
            if message is None:
                raise
            raise TrainingError(message) from error
        except OSError as error:
            refusal = cannot_write(run.folder, error)
            _mark_failed(run, str(refusal))
            raise TrainingError(str(refusal), refusal.where) from error
        except BaseException as error:
            _mark_failed(run, f"{type(error).__name__}: {error}")
            raise
        finally:
            run.close()


def _where_it_stood(
    run: RunWriter, dataset: Dataset, settings: Settings
) -> tuple[dict[str, Tensor] | None, int, float]:
    """The training state of the last finished epoch, that epoch and the seconds until then; None and zeros if
    none was finished.

    Raises:
        RunError: the images at hand are not those the run was trained on, or the state is damaged.
        TrainingError: no training can go on from the state.
    """
    info, seen = run.info(), dataset.train.first(settings.limit)
    compared = {
        "trained": (info.trained_on, seen.identity), "tested": (info.tested_on, dataset.test.identity)
    }  # fmt: skip
    for what, (before, now) in compared.items():
        if not now.is_same_as(before):
            raise RunError(
                f"run {run.name} was {what} on {before}; here is {now.beside(before)}: "
                + (
                    "the sample is used only where no MNIST is found, so start a new run instead"
                    if info.data.get("is_sample")
                    else "name the run's own data set"
                )
            )
    if not run.has_training_state:
        return None, 0, 0.0
    tensors = run.training_state()
    try:
        epoch, elapsed = int(tensors["counters"][0]), float(tensors["counters"][2])
        if not 0 <= epoch <= settings.epochs:
            raise ValueError(f"epoch {epoch}")
    except (KeyError, IndexError, ValueError, OverflowError) as error:
        raise RunError(f"run {run.name}: training_state.safetensors is incomplete ({error})") from error
    check_state(tensors, settings, len(seen))  # before what came after it is forgotten
    return tensors, epoch, elapsed


def _record(
    run: RunWriter,
    settings: Settings,
    dataset: Dataset,
    reports: Iterator[Report],
    signals: StopSignals,
) -> Iterator[Report]:
    previews = Previews(dataset.test, settings)
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
            run.save_model(report.state.model, settings, evaluation)
            run.append_metrics(row)
            # From here on the epoch is finished, whatever happens: a resumed run goes on after it.
            run.save_training_state(report.state.tensors())
            run.update(epoch=report.epoch, elapsed_seconds=report.elapsed_seconds)
            _keep_baselines(run, settings, dataset)
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
    _keep_baselines(run, settings, dataset)  # a run that was killed may have come to its end without
    ended = run.info()
    lacks = advice_at_end(
        ended.results.get("mse_mean", 0.0), ended.baselines.get("mean_image", math.inf),
        ended.results.get("kl", math.inf), settings.beta,
    )  # fmt: skip
    run.update(state="finished", warning=warning or lacks)


def _keep_baselines(run: RunWriter, settings: Settings, dataset: Dataset) -> None:
    if not run.info().baselines:
        learned = dataset.train.images[: settings.limit]
        run.update(baselines=baselines(learned, dataset.test.images, settings.latent_dim)._asdict())


def _to_tensorboard(reports: Iterator[Report], run: RunWriter) -> Iterator[Report]:
    """Passes the reports on, and writes them as TensorBoard's event files too."""
    from torch.utils.tensorboard import SummaryWriter

    kept = run.latest_metrics()
    begin = kept[-1]["iteration"] + 1 if kept else 1  # what was written of later steps is trained again
    with SummaryWriter(str(run.folder / "tensorboard"), purge_step=begin) as events:
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

    Raises:
        TrainingError: its loss is no number; the model is deleted.
    """
    model = report.state.model
    evaluation = evaluate(model, dataset.test, settings.likelihood, settings.beta, settings.seed)
    if not math.isfinite(evaluation.total):  # the last step may be the one that broke the model
        run.delete_model()
        raise diverged(evaluation.total, report.iteration)
    run.save_evaluation(evaluation)


def _describe(dataset: Dataset, settings: Settings) -> dict[str, Any]:
    """The data set as run.json tells it."""
    origin = {"source": dataset.train.source, "is_sample": dataset.train.is_sample}
    return dataset.facts(settings.limit) | origin


def _mark_failed(run: RunWriter, message: str) -> None:
    # There may be no space even for that: without its lock the run is shown as interrupted.
    with suppress(OSError, RunError):
        run.update(state="failed", error=message)
