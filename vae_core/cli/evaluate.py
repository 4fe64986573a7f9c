"""`evaluate`: measures a run on the test set."""

from __future__ import annotations

import json
from typing import Annotated

import typer
from rich.markup import escape
from rich.progress import Progress
from rich.table import Table

from vae_core.cli.options import AsJson, DataDir, Device, RunArgument, RunsDir
from vae_core.cli.output import err, load, out, say_to_log
from vae_core.run_record import RUNS_DIR


def evaluate(
    run: RunArgument,
    as_json: AsJson = False,
    sampled: Annotated[
        bool,
        typer.Option("--sampled/--mean", help="Decode sampled latents, as the reference does, or the mean."),
    ] = True,
    data_dir: DataDir = None,
    runs_dir: RunsDir = RUNS_DIR,
    device: Device = "auto",
) -> None:
    """Measure a run on the test set: loss, errors, active units, bounds, and how good its samples are.

    What is measured on the run's own test set is stored in its folder, and so is a Gaussian mixture of
    its encodings, to generate from; the runs that came with the package stay as they are.
    """
    from vae_core.engine.devices import choose_device
    from vae_core.errors import RunError
    from vae_core.evaluation import evaluate as measure
    from vae_core.quality.assessment import assess
    from vae_core.run_results import check_own_test_set, store_evaluation
    from vae_core.runs import find_run

    found = find_run(run, runs_dir)
    info, weights = found.info(), found.weights_version()
    model = found.model().to(choose_device(device))
    dataset = load(data_dir, quiet=as_json)
    settings, images = info.settings, dataset.test
    is_stored = not info.is_shipped
    try:
        check_own_test_set(info, images.identity)
    except RunError as error:  # said before the minutes that it takes
        is_stored = False
        err.print(escape(f"note: {error}. Measured here, not stored: {images.identity}"))
    with Progress(console=err, disable=as_json and not err.is_terminal, transient=True) as bar:
        tasks = {}

        def tell(done: int, count: int, step: str = "test images", /) -> None:
            if step not in tasks:
                tasks[step] = bar.add_task(step)
                say_to_log(f"measuring: {step}")
            bar.update(tasks[step], completed=done, total=count)

        evaluation = measure(
            model, images, settings.likelihood, settings.beta, settings.seed, tell,
        )  # fmt: skip
        evaluation, mixture = assess(found, model.cpu(), evaluation, dataset, tell)
    if is_stored:
        try:
            store_evaluation(info, weights, evaluation, mixture)
        except RunError as error:
            err.print(f"note: these figures are not stored: {escape(str(error))}")
    summary = evaluation.summary(sampled)
    if as_json:
        print(json.dumps(summary))
        return
    table = Table(title=f"{info.name}, {'sampled latents' if sampled else 'posterior mean'}")
    table.add_column("figure")
    table.add_column("value", justify="right")
    table.add_column("unit")
    nats = ("total", "reconstruction", "kl", "iwae", "total_unit_variance", "iwae_unit_variance")
    units = dict.fromkeys(nats, "nats") | {
        "frechet_prior": "to the test images", "frechet_mixture": "to the test images",
        "confident_prior": "of the samples", "confident_mixture": "of the samples",
    }  # fmt: skip
    note = summary.pop("samples_note")
    for figure, value in summary.items():
        text = f"{value:.4f}" if isinstance(value, float) else "-" if value is None else str(value)
        table.add_row(figure, text, units.get(figure, "per pixel" if figure.startswith("mse") else ""))
    out.print(table)
    if not sampled:
        out.print("note: from the mean, total is no bound: without noise it is lower than the negative ELBO")
    if note:
        out.print(f"note: {escape(str(note))}")
