"""`benchmark`: how fast training is, beside the plain PyTorch loop."""

from __future__ import annotations

import json
from typing import Annotated

import typer
from rich.progress import Progress, TimeElapsedColumn
from rich.table import Table

from vae_core.cli.options import AsJson, DataDir, Device
from vae_core.cli.output import err, load, out, say_to_log


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

    dataset = load(data_dir, quiet=as_json)
    what = f"{rounds} rounds of engine and plain loop"
    say_to_log(f"measuring: {what}")
    is_hidden = as_json and not err.is_terminal
    with Progress(
        *Progress.get_default_columns(), TimeElapsedColumn(), console=err, disable=is_hidden
    ) as bar:
        task = bar.add_task(what, total=2 * rounds)

        def progress(done: int, count: int, step: str = "", /) -> None:
            bar.update(task, completed=done)
            if done % 2 == 0:
                say_to_log(f"{done // 2} of {rounds} done")

        measured = run_benchmark(dataset, device, rounds, iterations, progress)
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
