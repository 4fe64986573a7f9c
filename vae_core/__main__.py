"""The command line: `python -m vae_core COMMAND`, also installed as `vae-studio`.

As thin as the app: it reads options, calls one function of the package and shows what came of it.
Slow imports wait until the command that needs them.
"""

from __future__ import annotations

import dataclasses
import json
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from vae_core import __version__
from vae_core.errors import SettingsError, VAEStudioError
from vae_core.settings import GENERATED_IMAGES, PRESETS, Settings

if TYPE_CHECKING:
    from vae_core.data import Dataset
    from vae_core.distributed import Group
    from vae_core.recording import Job

FAILED, WRONG_USAGE = 1, 2
SAMPLERS = ("prior", "mixture")

out = Console(highlight=False)
err = Console(stderr=True, highlight=False)
app = typer.Typer(
    help="VAE Studio on the command line: train, evaluate and use variational autoencoders.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)


def _option_of(field_name: str, default: Any = None) -> Any:
    """A command-line option for a field of Settings, with the field's own sentence as its help."""
    field = next(field for field in dataclasses.fields(Settings) if field.name == field_name)
    choices = field.metadata.get("choices")
    about = field.metadata["about"] + (f" [{'|'.join(choices)}]" if choices else "")
    flag = "--" + field_name.replace("_", "-")
    reference = "all" if field.default is None else field.default
    return typer.Option(flag, help=f"{escape(about)} Reference: {reference}.", show_default=False)


RunArgument = Annotated[str, typer.Argument(help="A run's name, or the path of its folder.", metavar="RUN")]
DataDir = Annotated[
    str | None, typer.Option(help="Folder with the four IDX files; else $MNIST_DIR, the cache, a download.")
]
RunsDir = Annotated[Path, typer.Option(help="Folder of the runs, read beside the shipped ones.")]
Device = Annotated[str, _option_of("device")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")]


def main() -> None:
    """Runs the command line; every mistake ends as one line on standard error and an exit code."""
    if not sys.warnoptions:  # a library's warnings are not that line; python -W shows them
        warnings.simplefilter("ignore")
    try:
        app()
    except SettingsError as error:
        _complain(error)
        sys.exit(WRONG_USAGE)
    except VAEStudioError as error:
        _complain(error)
        sys.exit(FAILED)
    except (BrokenPipeError, KeyboardInterrupt):
        sys.exit(130)
    except OSError as error:
        _complain(f"{error.filename or 'file'}: {error.strerror or error}")
        sys.exit(FAILED)


def _complain(problem: object) -> None:
    line = " ".join(str(problem).split())
    print(f"error: {line}", file=sys.stderr)


@app.callback(invoke_without_command=True)
def _version(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and end.", is_eager=True)
    ] = False,
) -> None:
    if version:
        print(__version__)
        raise typer.Exit


@app.command(
    "app",
    add_help_option=False,
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
)
def serve(context: typer.Context) -> None:
    """Start the app, as python app.py does; its options: vae-studio app --help."""
    from vae_core.ui.server import main as serve_app

    raise typer.Exit(serve_app(context.args, program="vae-studio app"))


@app.command()
def data(data_dir: DataDir = None) -> None:
    """Find or fetch the data set, verify it, and say what it is."""
    from vae_core.class_words import class_words

    dataset = _load(data_dir)
    words = class_words(dataset.train.name)
    classes = [words.name(label) for label in sorted({*dataset.train.labels.tolist()})]
    print(f"{dataset.train.source}")
    if dataset.train.folder is not None:
        print(f"folder: {dataset.train.folder}")
    print(f"training images: {len(dataset.train):,}")
    print(f"test images: {len(dataset.test):,}")
    print(f"classes: {len(classes)} ({', '.join(classes)})")
    print("size: 28x28 pixels, grey, scaled to [0, 1] for training")


@app.command()
def train(
    epochs: Annotated[int | None, _option_of("epochs")] = None,
    batch_size: Annotated[int | None, _option_of("batch_size")] = None,
    learning_rate: Annotated[float | None, _option_of("learning_rate")] = None,
    latent_dim: Annotated[int | None, _option_of("latent_dim")] = None,
    beta: Annotated[float | None, _option_of("beta")] = None,
    likelihood: Annotated[str | None, _option_of("likelihood")] = None,
    schedule: Annotated[str | None, _option_of("schedule")] = None,
    optimizer: Annotated[str | None, _option_of("optimizer")] = None,
    seed: Annotated[int | None, _option_of("seed")] = None,
    limit: Annotated[int | None, _option_of("limit")] = None,
    device: Annotated[str | None, _option_of("device")] = None,
    data_dir: DataDir = None,
    runs_dir: RunsDir = Path("checkpoints"),
    name: Annotated[
        str | None, typer.Option(help="Name of the new run; made up from the time if absent.")
    ] = None,
    preset: Annotated[
        str, typer.Option(help=f"Settings to start from: {', '.join(PRESETS)}; other options override it.")
    ] = "reference",
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
    if preset not in PRESETS:
        raise SettingsError("preset", f"--preset must be one of {', '.join(PRESETS)}, not {preset!r}")
    chosen = {
        "epochs": epochs, "batch_size": batch_size, "learning_rate": learning_rate,
        "latent_dim": latent_dim, "beta": beta, "likelihood": likelihood, "schedule": schedule,
        "optimizer": optimizer, "seed": seed, "limit": limit, "device": device,
    }  # fmt: skip
    chosen = {option: value for option, value in chosen.items() if value is not None}
    settings = Settings.from_dict(PRESETS[preset].to_dict() | chosen)

    from vae_core.distributed import joined
    from vae_core.recording import follow, prepare, prepare_resume

    with joined() as group:
        if not group.leads:
            follow(group, data_dir)
            return
        if resume is None:
            job = prepare(settings, runs_dir, name, data_dir, not parallel, tensorboard)
        else:
            if others := sorted(set(chosen) - {"epochs"}):
                raise SettingsError(
                    others[0],
                    "--resume keeps the run's own settings; only --epochs can change, not "
                    + ", ".join(others),
                )
            job = prepare_resume(resume, runs_dir, epochs, data_dir, not parallel, tensorboard)
        _train_in_sight(job, group)


def _train_in_sight(job: Job, group: Group) -> None:
    """Performs a job with a progress bar and a line for each epoch."""
    from vae_core.recording import perform
    from vae_core.runs import Run

    settings = Settings.from_dict(job.settings)
    dataset = _load(job.data_dir)
    count = len(dataset.train.images[: settings.limit])
    out.print(f"{escape(dataset.train.source)}: {count:,} images to train on, {len(dataset.test):,} to test")
    iterations = count // settings.batch_size * settings.epochs
    columns = (
        TextColumn("epoch {task.fields[epoch]}"), BarColumn(), MofNCompleteColumn(),
        TextColumn("loss {task.fields[loss]}  {task.fields[speed]} images/s"),
        TimeElapsedColumn(), TextColumn("ETA"), TimeRemainingColumn(),
    )  # fmt: skip
    with Progress(*columns, console=err) as bar:
        task = bar.add_task("train", total=iterations, epoch="1", loss="-", speed="-")
        for report in perform(job, dataset, group):
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


@app.command()
def evaluate(
    run: RunArgument,
    as_json: AsJson = False,
    sampled: Annotated[
        bool,
        typer.Option("--sampled/--mean", help="Decode sampled latents, as the reference does, or the mean."),
    ] = True,
    data_dir: DataDir = None,
    runs_dir: RunsDir = Path("checkpoints"),
    device: Device = "auto",
) -> None:
    """Measure a run on the test set: loss, errors, active units, bounds, and how good its samples are.

    What is measured on the run's own test set is stored in its folder, and so is a Gaussian mixture of
    its encodings, to generate from; the runs that came with the package stay as they are.
    """
    from vae_core.assessment import assess
    from vae_core.evaluation import evaluate as measure
    from vae_core.runs import find_run, store_evaluation
    from vae_core.training import choose_device

    found = find_run(run, runs_dir)
    info, model = found.info(), found.model().to(choose_device(device))
    dataset = _load(data_dir, quiet=as_json)
    settings = info.settings
    with Progress(console=err, disable=as_json, transient=True) as bar:
        tasks = {}

        def tell(step: str, done: int, count: int) -> None:
            if step not in tasks:
                tasks[step] = bar.add_task(step)
            bar.update(tasks[step], completed=done, total=count)

        evaluation = measure(
            model, dataset.test, settings.likelihood, settings.beta, settings.seed,
            progress=lambda done: tell("test images", done, len(dataset.test)),
        )  # fmt: skip
        evaluation, mixture = assess(found, model.cpu(), evaluation, dataset, tell)
    store_evaluation(info, evaluation, mixture)
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
    if note:
        out.print(f"note: {escape(str(note))}")


@app.command()
def generate(
    run: RunArgument,
    out_file: Annotated[Path, typer.Option("--out", help="The picture to write.")] = Path("generated.png"),
    count: Annotated[int, typer.Option(help="How many images, 1 to 400.", min=1, max=400)] = GENERATED_IMAGES,
    seed: Annotated[int, typer.Option(help="Start of the random numbers.", min=0, max=2**63 - 1)] = 0,
    scale: Annotated[
        int, typer.Option(help="Pixels of the file for each pixel of an image.", min=1, max=8)
    ] = 2,
    sampler: Annotated[
        str,
        typer.Option(
            help="Where latent vectors come from: prior (N(0, I), the reference) or mixture (a Gaussian "
            "mixture of the training images' encodings, made by evaluate)."
        ),
    ] = "prior",
    runs_dir: RunsDir = Path("checkpoints"),
) -> None:
    """Decode latent vectors drawn from N(0, I), or from the run's mixture, into one tiled picture."""
    if sampler not in SAMPLERS:
        raise SettingsError("sampler", f"--sampler must be one of {', '.join(SAMPLERS)}, not {sampler!r}")

    from vae_core.pictures import png_bytes, square_tiles
    from vae_core.runs import find_run
    from vae_core.usage import generate_images

    _check_png(out_file)
    found = find_run(run, runs_dir)
    mixture = found.required_mixture() if sampler == "mixture" else None
    images = generate_images(found.model(), count, seed, mixture)
    _write_picture(out_file, png_bytes(square_tiles(images), scale))
    print(f"{count} generated images: {out_file}")


@app.command()
def reconstruct(
    run: RunArgument,
    image: Annotated[
        Path,
        typer.Argument(
            help="A picture of one digit, or what else the run has learned, dark on light or the other way."
        ),
    ],
    out_file: Annotated[Path, typer.Option("--out", help="The 28x28 PNG to write.")] = Path(
        "reconstruction.png"
    ),
    runs_dir: RunsDir = Path("checkpoints"),
) -> None:
    """Bring a picture to MNIST's form, encode it, and decode the posterior's mean."""
    from vae_core.pictures import png_bytes, to_grey
    from vae_core.runs import load_run
    from vae_core.sketch import read_picture, to_mnist_form
    from vae_core.usage import reconstruct_image

    _check_png(out_file)
    sketch = to_mnist_form(read_picture(image.read_bytes()))
    reconstruction = reconstruct_image(load_run(run, runs_dir).model, sketch.image)
    _write_picture(out_file, png_bytes(to_grey(reconstruction.image)))
    print(f"per-pixel error {reconstruction.error:.4f}: {out_file}")


@app.command()
def export(
    run: RunArgument,
    out_file: Annotated[
        Path,
        typer.Option("--out", help="The decoder's file, .onnx; the encoder's, encoder.onnx, goes beside it."),
    ] = Path("decoder.onnx"),
    runs_dir: RunsDir = Path("checkpoints"),
) -> None:
    """Write decoder and encoder as ONNX, for programs without PyTorch, and compare both with PyTorch.

    Needs the optional extra: pip install ".\\[onnx]".
    """
    from vae_core.export import check_target, export_onnx
    from vae_core.runs import find_run

    check_target(out_file)
    found = find_run(run, runs_dir)
    info = found.info()
    exported = export_onnx(found.model(), out_file, info.name, info.settings)
    latents = info.settings.latent_dim
    print(f"decoder, z (N, {latents}) to images (N, 1, 28, 28): {exported.decoder}")
    print(f"encoder, images (N, 1, 28, 28) to mean and log_variance (N, {latents}): {exported.encoder}")
    print(f"ONNX Runtime and PyTorch agree within {exported.difference:.1g}")


@app.command()
def runs(runs_dir: RunsDir = Path("checkpoints"), as_json: AsJson = False) -> None:
    """List the runs: state, settings, test loss."""
    from vae_core.runs import list_runs

    found = list_runs(runs_dir)
    if as_json:
        rows = [
            {"name": run.name, "state": run.state, "epoch": run.epoch, "test_total": run.results.get("total"),
             "settings": run.settings.to_dict(), "data": run.data, "created": run.created, "error": run.error}
            for run in found
        ]  # fmt: skip
        print(json.dumps({"runs": rows}))
        return
    table = Table("run", "state", "epochs", "test loss", "settings that differ", "data", "made")
    for run in found:
        loss = run.results.get("total")
        table.add_row(
            escape(run.name),
            run.state,
            f"{run.epoch}/{run.settings.epochs}",
            f"{loss:.2f}" if isinstance(loss, float) else "-",
            escape(", ".join(f"{key}={value}" for key, value in run.settings.changes().items()) or "-"),
            escape(str(run.data.get("name", "-"))),
            escape(run.created[:10]),
        )
    out.print(table)


@app.command()
def password(
    file: Annotated[Path, typer.Argument(help="The auth file; made if it is not there.")],
    name: Annotated[str, typer.Argument(help="The user to add, or to give another password.")],
) -> None:
    """Add a user to a file for `app.py --auth-file`. Asks for the password, or reads it from a pipe."""
    from vae_core.passwords import set_password

    if sys.stdin.isatty():
        secret = typer.prompt("Password", hide_input=True, confirmation_prompt=True)
    else:
        secret = sys.stdin.readline().rstrip("\r\n")
    is_new = set_password(file, name, secret)
    print(f"{name} {'was added to' if is_new else 'has another password in'} {file}")


@app.command()
def benchmark(
    as_json: AsJson = False,
    rounds: Annotated[int, typer.Option(help="How often each loop runs, in turns.", min=1, max=100)] = 5,
    iterations: Annotated[
        int, typer.Option(help="Measured mini-batches of 128 in each round.", min=1, max=10_000)
    ] = 60,
    device: Device = "auto",
    data_dir: DataDir = None,
) -> None:
    """Measure training beside the plain PyTorch loop, in turns; and evaluation and decoding."""
    from vae_core.benchmark import run_benchmark

    dataset = _load(data_dir, quiet=as_json)
    with Progress(*Progress.get_default_columns(), TimeElapsedColumn(), console=err, disable=as_json) as bar:
        task = bar.add_task(f"{rounds} rounds of engine and plain loop", total=2 * rounds)
        measured = run_benchmark(
            dataset, device, rounds, iterations, progress=lambda done: bar.update(task, completed=done)
        )
    if as_json:
        print(json.dumps(measured.to_dict()))
        return

    def spread(figures: list[float]) -> str:
        return f"{min(figures):,.0f} to {max(figures):,.0f}"

    table = Table("what", "median", f"{rounds} rounds", title=f"{measured.device}; {measured.source}")
    speed = "training, images/s"
    table.add_row(
        f"engine, {speed}", f"{measured.engine_images_per_second:,.0f}", spread(measured.engine_rounds)
    )
    table.add_row(
        f"plain loop, {speed}", f"{measured.plain_images_per_second:,.0f}", spread(measured.plain_rounds)
    )
    table.add_row("engine / plain loop", f"{measured.ratio:.2f}", "")
    table.add_row(
        f"evaluation of {measured.evaluation_images:,} images, s", f"{measured.evaluation_seconds:.2f}", ""
    )
    table.add_row(
        "latent vector to PNG, ms", f"{measured.decode_milliseconds:.1f}",
        f"95% within {measured.decode_milliseconds_p95:.1f}",
    )  # fmt: skip
    out.print(table)


@app.command()
def parity(as_json: AsJson = False, data_dir: DataDir = None) -> None:
    """Compare the reference recipe with the MathWorks example, line by line, as this code really does it."""
    from vae_core.parity import parity as compare

    lines = compare(_load(data_dir, quiet=as_json))
    if as_json:
        print(json.dumps({"lines": [dataclasses.asdict(line) for line in lines]}))
        return
    agreeing = sum(line.agrees for line in lines)
    table = Table("", "MathWorks example", "here", "", title=f"{agreeing} of {len(lines)} lines agree")
    for line in lines:
        here = line.here if line.agrees or not line.note else f"{line.here}\n{line.note}"
        table.add_row(
            escape(f"{line.part}: {line.what}"), escape(line.mathworks), escape(here),
            "agrees" if line.agrees else "differs",
        )  # fmt: skip
    out.print(table)


def _load(data_dir: str | None, quiet: bool = False) -> Dataset:
    from vae_core.data import HOW_TO_GET_ALL, load_dataset

    dataset = load_dataset(data_dir)
    if dataset.train.is_sample and not quiet:
        print(f"Using {dataset.train.source}. {HOW_TO_GET_ALL}", file=sys.stderr)
    return dataset


def _check_png(path: Path) -> None:
    if path.suffix.lower() != ".png":
        raise SettingsError("out", f"--out: expected a file name that ends in .png, not {path.name!r}")


def _write_picture(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


if __name__ == "__main__":
    main()
