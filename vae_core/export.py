"""A trained model for programs without PyTorch: encoder and decoder as ONNX files, checked before they count.

They are two files because an ONNX program computes all of its outputs from all of its inputs, and whoever
generates pictures has no image to put in. What lies between them, z = mean + exp(log_variance / 2) * eps, is
the caller's.
"""

from __future__ import annotations

import json
from contextlib import redirect_stdout
from dataclasses import dataclass
from importlib.util import find_spec
from io import StringIO
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from vae_core.errors import ExportError, SettingsError, reason_of
from vae_core.images import IMAGE_SIZE
from vae_core.model import VAE
from vae_core.scratch import scratch_folder, sweep
from vae_core.settings import Settings
from vae_core.version import __version__

NEEDED = ("onnx", "onnxscript", "onnxruntime")
UNCHECKED = ".export-"
BATCHES = (1, 2, 7, 64)
"""How many images each file is checked with at a time."""
TOLERANCE = 1e-4
"""The largest difference from PyTorch that rounding explains, beside numbers of the order of 1."""


@dataclass(frozen=True)
class Exported:
    """The two files, and the largest difference from PyTorch that was found in them."""

    decoder: Path
    encoder: Path
    difference: float


def check_target(decoder: Path) -> None:
    """Whether an export to this file can be tried at all.

    Raises:
        SettingsError: its name does not end with `.onnx`.
        ExportError: the optional extra is not installed.
    """
    if decoder.suffix != ".onnx":
        raise SettingsError("out", f"--out must name a file that ends with .onnx, not {decoder.name!r}")
    if missing := [name for name in NEEDED if find_spec(name) is None]:
        raise ExportError(
            f"{', '.join(missing)} {'is' if len(missing) == 1 else 'are'} not installed; "
            f"install what an export needs with: pip install {' '.join(missing)}"
        )


def encoder_beside(decoder: Path) -> Path:
    """The encoder's file: encoder.onnx beside decoder.onnx, digits-encoder.onnx beside digits.onnx."""
    if "decoder" in decoder.stem:
        return decoder.with_stem(decoder.stem.replace("decoder", "encoder"))
    return decoder.with_stem(f"{decoder.stem}-encoder")


def export_onnx(model: VAE, decoder: Path, run_name: str, settings: Settings) -> Exported:
    """Writes both files, for any number N of images at a time, once they agree with PyTorch.

    - the decoder: `z`, float32 (N, K), to `images`, float32 (N, 1, 28, 28) in [0, 1];
    - the encoder: `images` to `mean` and `log_variance`, float32 (N, K) each.

    Args:
        model: on the CPU.
        decoder: its file; for the other see `encoder_beside`.
        run_name, settings: kept in both files as metadata.

    Raises:
        SettingsError, ExportError: as `check_target`; or ONNX Runtime computes something else than PyTorch,
            and what was there before is left as it was; or the files cannot be written.
    """
    check_target(decoder)
    encoder = encoder_beside(decoder)
    metadata = {"run": run_name, "settings": json.dumps(settings.to_dict()), "vae_core": __version__}
    noise = torch.Generator().manual_seed(0)
    z = torch.randn(max(BATCHES), model.latent_dim, generator=noise)
    images = torch.rand(max(BATCHES), 1, IMAGE_SIZE, IMAGE_SIZE, generator=noise)
    parts = {
        decoder: (model.decoder, "z", z, ["images"]),
        encoder: (_Encoder(model), "images", images, ["mean", "log_variance"]),
    }
    differences = []
    try:
        decoder.parent.mkdir(parents=True, exist_ok=True)
        sweep(decoder.parent, UNCHECKED)
        with scratch_folder(decoder.parent, UNCHECKED) as unchecked:
            for path, (part, input_name, values, output_names) in parts.items():
                file = unchecked / path.name
                file.write_bytes(_onnx_program(part, input_name, values, output_names, metadata))
                differences.append(_difference(file, part, values))
            for path in parts:
                (unchecked / path.name).replace(path)
    except OSError as error:
        raise ExportError(f"cannot write {decoder} and {encoder}: {reason_of(error)}") from error
    return Exported(decoder, encoder, max(differences))


class _Encoder(nn.Module):
    """`VAE.encode` as a module's forward, which is what is exported."""

    def __init__(self, model: VAE) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        return self.model.encode(images)


def _onnx_program(
    part: nn.Module, input_name: str, values: Tensor, output_names: list[str], metadata: dict[str, str]
) -> bytes:
    """A part of the model as an ONNX file's content, its weights inside."""
    with redirect_stdout(StringIO()):  # the exporter tells its progress
        program = torch.onnx.export(
            part.eval(), (values,), input_names=[input_name], output_names=output_names,
            dynamic_shapes=({0: torch.export.Dim("N")},), dynamo=True, verbose=False,
        )  # fmt: skip
    assert program is not None  # with dynamo there is one
    program.model.metadata_props.update(metadata)
    return program.model_proto.SerializeToString()


@torch.inference_mode()
def _difference(file: Path, part: nn.Module, values: Tensor) -> float:
    """The largest difference between ONNX Runtime's results and PyTorch's, absolute or, beyond 1, relative.

    Raises:
        ExportError: it is more than rounding explains.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors; its warnings are about machines without a GPU
    session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    difference = 0.0
    for count in BATCHES:
        batch = values[:count]
        expected = part(batch)
        expected = [expected] if isinstance(expected, Tensor) else expected
        found = session.run(None, {session.get_inputs()[0].name: batch.numpy()})
        for ours, theirs in zip(found, expected, strict=True):
            scale = theirs.abs().clamp_min(1).numpy()
            difference = max(difference, float(np.max(np.abs(ours - theirs.numpy()) / scale)))
    if not difference <= TOLERANCE:  # NaN is not
        raise ExportError(
            f"ONNX Runtime's results differ from PyTorch's by {difference:.2g}; expected at most "
            f"{TOLERANCE:g}: nothing was written"
        )
    return difference
