"""`reconstruct`: what a run makes of a picture."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vae_core.cli.options import RunArgument, RunsDir
from vae_core.cli.output import check_png
from vae_core.errors import PictureError
from vae_core.run_record import RUNS_DIR


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
    runs_dir: RunsDir = RUNS_DIR,
) -> None:
    """Bring a picture to MNIST's form, encode it, and decode the posterior's mean."""
    from vae_core.inference import reconstruct_image
    from vae_core.pictures import png_bytes, to_grey
    from vae_core.runs import find_run
    from vae_core.sketch import read_picture, to_mnist_form

    check_png(out_file)
    try:
        sketch = to_mnist_form(read_picture(image.read_bytes()))
    except PictureError as error:
        raise PictureError(f"{image}: {error}") from error
    reconstruction = reconstruct_image(find_run(run, runs_dir).model(), sketch.image)
    out_file.write_bytes(png_bytes(to_grey(reconstruction.image)))
    print(f"per-pixel error {reconstruction.error:.4f}: {out_file}")
