"""`train`: trains a run, and shows how it goes."""

from __future__ import annotations

import itertools
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from vae_core.cli.options import DataDir, RunsDir, option_of
from vae_core.cli.output import err, load, out
from vae_core.errors import SettingsError
from vae_core.run_record import RUNS_DIR
from vae_core.settings import PRESETS, Settings

if TYPE_CHECKING:
    from vae_core.engine.distributed import Group
    from vae_core.jobs.job import Job


def train(
    epochs: Annotated[int | None, option_of("epochs")] = None,
    batch_size: Annotated[int | None, option_of("batch_size")] = None,
    learning_rate: Annotated[float | None, option_of("learning_rate", "--lr")] = None,
    latent_dim: Annotated[int | None, option_of("latent_dim")] = None,
    beta: Annotated[float | None, option_of("beta")] = None,
    likelihood: Annotated[str | None, option_of("likelihood")] = None,
    schedule: Annotated[str | None, option_of("schedule")] = None,
    optimizer: Annotated[str | None, option_of("optimizer")] = None,
    seed: Annotated[int | None, option_of("seed")] = None,
    limit: Annotated[int | None, option_of("limit")] = None,
    device: Annotated[str | None, option_of("device")] = None,
    data_dir: DataDir = None,
    runs_dir: RunsDir = RUNS_DIR,
    name: Annotated[
        str | None, typer.Option(help="Name of the new run; made up from the time if absent.")
    ] = None,
    preset: Annotated[
        str | None,
        typer.Option(
            help=f"Settings to start from: {', '.join(PRESETS)}; other options override it.",
            show_default="reference",
        ),
    ] = None,
    resume: Annotated[
        str | None, typer.Option(metavar="RUN", help="Go on with a run, to more --epochs if given.")
    ] = None,
    parallel: Annotated[
        bool, typer.Option("--parallel", help="Train even while another training runs on this machine.")
    ] = False,
    tensorboard: Annotated[
        bool, typer.Option("--tensorboard", help="Also write TensorBoard event files into the run's folder.")
    ] = False,
) -> None:
    """Train a run. Ctrl-C stops it cleanly; --resume goes on exactly where it stood.

    Several processes share each mini-batch: torchrun --nproc-per-node 2 -m vae_core train.
    """
    if preset is not None and preset not in PRESETS:
        raise SettingsError("preset", f"--preset must be one of {', '.join(PRESETS)}, not {preset!r}")
    chosen = {
        "epochs": epochs, "batch_size": batch_size, "learning_rate": learning_rate,
        "latent_dim": latent_dim, "beta": beta, "likelihood": likelihood, "schedule": schedule,
        "optimizer": optimizer, "seed": seed, "limit": limit, "device": device,
    }  # fmt: skip
    chosen = {option: value for option, value in chosen.items() if value is not None}
    settings = Settings.from_dict(PRESETS[preset or "reference"].to_dict() | chosen)

    from vae_core.engine.distributed import joined
    from vae_core.jobs.following import follow
    from vae_core.jobs.job import prepare, prepare_resume

    with joined() as group:
        if group.leads:
            if resume is None:
                job = prepare(settings, runs_dir, name, data_dir, not parallel, tensorboard)
            else:
                given = chosen | ({"name": name} if name else {}) | ({"preset": preset} if preset else {})
                if others := sorted(set(given) - {"epochs", "device"}):
                    raise SettingsError(
                        others[0],
                        "--resume keeps the run's own settings and name; only --epochs and --device can "
                        f"change, not {', '.join(others)}",
                    )
                job = prepare_resume(resume, runs_dir, epochs, data_dir, not parallel, tensorboard, device)
            _train_in_sight(job, group)
        else:
            follow(group, data_dir)
    if group.count > 1:
        _end_at_once()


def _end_at_once() -> None:
    """Ends the process, done with its work, without Python's own tidying up: a thread of PyTorch's that comes
    there with the last message between processes still in its hands aborts it (exit code -6)."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


def _train_in_sight(job: Job, group: Group) -> None:
    """Performs a job with a progress bar and a line for each epoch."""
    from vae_core.jobs.recording import perform
    from vae_core.run_folder import Run

    settings = Settings.from_dict(job.settings)
    dataset = load(job.data_dir)
    count = len(dataset.train.images[: settings.limit])
    columns = (
        TextColumn("epoch {task.fields[epoch]}"), BarColumn(), MofNCompleteColumn(),
        TextColumn("loss {task.fields[loss]}  {task.fields[speed]} images/s"),
        TimeElapsedColumn(), TextColumn("ETA"), TimeRemainingColumn(), TextColumn("{task.fields[note]}"),
    )  # fmt: skip
    bar = Progress(*columns, console=err)
    note, epoch = "", 1 + (Run(Path(job.runs_dir) / job.name).info().epoch if job.resume else 0)

    def hear_stop() -> None:
        nonlocal note
        note = "stopping" if epoch > 1 else "stopping, once the test images are measured"
        for task in bar.task_ids:
            bar.update(task, note=note)
        if sys.stderr is not None and not err.is_terminal:
            with suppress(OSError):  # whoever read it may have been ended by the same key
                os.write(sys.stderr.fileno(), f"{note}\n".encode())

    reports = perform(job, dataset, group, hear_stop)
    with err.status("starting"):  # what is refused is told in one line and nothing else
        first = [*itertools.islice(reports, 1)]
    out.print(f"{escape(dataset.train.source)}: {count:,} images to train on, {len(dataset.test):,} to test")
    iterations = settings.iterations_per_epoch(count) * settings.epochs
    with bar:
        task = bar.add_task("train", total=iterations, epoch="1", loss="-", speed="-", note=note)
        for report in itertools.chain(first, reports):
            epoch = report.epoch
            bar.update(
                task,
                completed=report.iteration,
                epoch=f"{report.epoch}/{settings.epochs}",
                loss=f"{report.total:.2f}",
                speed=f"{report.images_per_second:,.0f}",
            )
            if evaluation := getattr(report, "evaluation", None):
                out.print(
                    f"epoch {report.epoch}: test loss {evaluation.total:.2f} nats "
                    f"(reconstruction {evaluation.reconstruction:.2f}, KL {evaluation.kl:.2f}), "
                    f"per-pixel error {evaluation.errors.mean():.4f}"
                )

    run = Run(Path(job.runs_dir) / job.name).info()
    if run.warning:
        out.print(f"note: {escape(run.warning)}")
    out.print(f"run {escape(run.name)} is {run.state}: {escape(str(run.folder))}", soft_wrap=True)
