"""`reconstruct`: what a run makes of a picture."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vae_core.cli.options import RunArgument, RunsDir
from vae_core.cli.output import check_png
from vae_core.errors import PictureError
from vae_core.run_record import RUNS_DIR

if TYPE_CHECKING:
    from vae_core.class_words import ClassWords
    from vae_core.quality.placement import Placement


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
    centre: Annotated[
        bool | None,
        typer.Option(
            help="Whether what is on the picture is fitted into 20x20 pixels and centred, as MNIST's digits "
            "are, or lies as it is. By default what the run's own images are.",
            show_default=False,
        ),
    ] = None,
    runs_dir: RunsDir = RUNS_DIR,
) -> None:
    """Bring a picture to the form of the run's images, encode it, decode the posterior's mean, and say how
    usual it is."""
    from vae_core.class_words import class_words
    from vae_core.inference import reconstruct_image
    from vae_core.latent_space import ClassGaussians
    from vae_core.pictures import png_bytes, to_grey
    from vae_core.quality.placement import place
    from vae_core.runs import find_run
    from vae_core.sketch import read_picture, to_mnist_form

    check_png(out_file)
    found = find_run(run, runs_dir)
    if centre is None:
        centre = class_words(found.info().trained_on.name).are_centred
    try:
        sketch = to_mnist_form(read_picture(image.read_bytes()), centre)
    except PictureError as error:
        raise PictureError(f"{image}: {error}") from error
    model, evaluation = found.model(), found.evaluation_or_none()
    reconstruction = reconstruct_image(model, sketch.image)
    out_file.write_bytes(png_bytes(to_grey(reconstruction.image)))
    print(f"per-pixel error {reconstruction.error:.4f}: {out_file}")
    if evaluation is not None:
        classes = ClassGaussians.fit(evaluation.means, evaluation.labels)
        distances = classes.distance_of_likeliest(evaluation.means, evaluation.labels)
        placed = place(model, reconstruction, evaluation, classes, distances)
        print(_in_words(placed, class_words(evaluation.name)))


def _in_words(placed: Placement, words: ClassWords) -> str:
    label, probability = placed.likeliest[0]
    lines = [
        f"its error is higher than that of {placed.error_rank:.0%} of the test images",
        f"most like {words.called(label)} ({probability:.0%}), and farther from that class than "
        f"{placed.distance_rank:.0%} of the test images are from theirs",
        f"farther out in the latent space than {placed.outward_rank:.0%} of the test images",
        f"the reconstruction is read as {words.called(placed.read_as)}",
    ]
    if placed.is_unusual:
        lines.append("the model has not seen many like this")
    return "\n".join(lines)
