"""`generate`: a picture of images that nobody wrote."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vae_core.cli.options import RunArgument, RunsDir
from vae_core.cli.output import check_png
from vae_core.errors import SettingsError
from vae_core.generation import GENERATED_IMAGES, MOST_GENERATED_IMAGES, MOST_TEMPERATURE, SAMPLERS
from vae_core.run_record import RUNS_DIR
from vae_core.settings import MOST_SEED


def generate(
    run: RunArgument,
    out_file: Annotated[Path, typer.Option("--out", help="The picture to write.")] = Path("generated.png"),
    count: Annotated[
        int,
        typer.Option(
            help=f"How many images, 1 to {MOST_GENERATED_IMAGES}.", min=1, max=MOST_GENERATED_IMAGES
        ),
    ] = GENERATED_IMAGES,
    seed: Annotated[int, typer.Option(help="Start of the random numbers.", min=0, max=MOST_SEED)] = 0,
    temperature: Annotated[
        float,
        typer.Option(
            help=f"Of the noise, 0 to {MOST_TEMPERATURE}: 1 is the distribution itself, less stays nearer to "
            "its middle.",
            min=0,
            max=MOST_TEMPERATURE,
        ),
    ] = 1.0,
    label: Annotated[
        int | None,
        typer.Option(
            help="Only this class, from its mean and covariance in latent space.", show_default="all"
        ),
    ] = None,
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
    runs_dir: RunsDir = RUNS_DIR,
) -> None:
    """Decode latent vectors, drawn from N(0, I), the run's mixture or one class, into one tiled picture."""
    if sampler not in SAMPLERS:
        raise SettingsError("sampler", f"--sampler must be one of {', '.join(SAMPLERS)}, not {sampler!r}")

    from vae_core.inference import decode_latents, sample_latents
    from vae_core.latent_space import ClassGaussians
    from vae_core.pictures import png_bytes, square_tiles
    from vae_core.runs import find_run

    check_png(out_file)
    found = find_run(run, runs_dir)
    mixture = found.required_mixture() if sampler == "mixture" else None
    classes = None
    if label is not None:
        measured = found.required_evaluation()
        classes = ClassGaussians.fit(measured.means, measured.labels)
    model = found.model()
    z = sample_latents(model.latent_dim, count, seed, temperature, classes, label, mixture)
    out_file.write_bytes(png_bytes(square_tiles(decode_latents(model, z)), scale))
    print(f"{count} generated images: {out_file}")
