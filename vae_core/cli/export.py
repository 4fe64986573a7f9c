"""`export`: a run's model as ONNX."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vae_core.cli.options import RunArgument, RunsDir
from vae_core.cli.output import check_folder
from vae_core.run_record import RUNS_DIR


def export(
    run: RunArgument,
    out_file: Annotated[
        Path,
        typer.Option("--out", help="The decoder's file, .onnx; the encoder's goes beside it."),
    ] = Path("decoder.onnx"),
    runs_dir: RunsDir = RUNS_DIR,
) -> None:
    """Write decoder and encoder as ONNX, for programs without PyTorch, and compare both with PyTorch.

    Needs the optional extra: pip install ".\\[onnx]".
    """
    from vae_core.export import check_target, export_onnx
    from vae_core.runs import find_run

    check_folder(out_file)
    check_target(out_file)
    found = find_run(run, runs_dir)
    info = found.info()
    exported = export_onnx(found.model(), out_file, info.name, info.settings)
    latents = info.settings.latent_dim
    print(f"decoder, z (N, {latents}) to images (N, 1, 28, 28): {exported.decoder}")
    print(f"encoder, images (N, 1, 28, 28) to mean and log_variance (N, {latents}): {exported.encoder}")
    print(f"ONNX Runtime and PyTorch agree within {exported.difference:.1g}")
