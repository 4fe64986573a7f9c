"""Exported models, read again by ONNX Runtime."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch

from support.browser import REPOSITORY
from support.warm_start import warm_python
from vae_core import export, load_run
from vae_core.errors import ExportError, SettingsError
from vae_core.export import check_target, encoder_beside, export_onnx
from vae_core.model import VAE
from vae_core.settings import Settings


@pytest.fixture
def onnxruntime() -> object:
    for needed in export.NEEDED:
        pytest.importorskip(needed, reason="the optional extra onnx is not installed")
    import onnxruntime

    return onnxruntime


def test_both_files_compute_what_the_model_does_and_the_command_tells_nothing_else(
    onnxruntime, tiny_run: Path, tmp_path: Path
) -> None:
    command = [warm_python(), "-m", "vae_core", "export", str(tiny_run), "--out", "digits.onnx"]
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY)}
    exported = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=tmp_path, env=environment
    )
    assert exported.returncode == 0, exported.stdout
    lines = exported.stdout.splitlines()
    assert len(lines) == 3
    assert lines[0].endswith(": digits.onnx")
    assert lines[1].endswith(": digits-encoder.onnx")
    assert {path.name for path in tmp_path.iterdir()} == {"digits.onnx", "digits-encoder.onnx"}
    run = load_run(tiny_run)
    encoder, decoder = (
        onnxruntime.InferenceSession(tmp_path / name) for name in ("digits-encoder.onnx", "digits.onnx")
    )
    generator = torch.Generator().manual_seed(1)
    for count in (1, 3, 300):
        images = torch.rand(count, 1, 28, 28, generator=generator)
        mean, log_variance = encoder.run(["mean", "log_variance"], {"images": images.numpy()})
        (decoded,) = decoder.run(["images"], {"z": mean})
        with torch.inference_mode():
            expected = run.model.encode(images)
            reconstruction = run.model.decode(expected[0])
        for ours, theirs in zip((mean, log_variance, decoded), (*expected, reconstruction), strict=True):
            assert ours.shape == tuple(theirs.shape)
            np.testing.assert_allclose(ours, theirs.numpy(), atol=1e-5)
    for session in (encoder, decoder):
        metadata = session.get_modelmeta().custom_metadata_map
        assert metadata["run"] == "tiny"
        assert Settings.from_dict(json.loads(metadata["settings"])) == run.settings


def test_a_file_that_computes_something_else_is_not_kept(
    onnxruntime, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "decoder.onnx").write_text("of before")
    monkeypatch.setattr(export, "TOLERANCE", 1e-12)  # which rounding alone is beyond
    with pytest.raises(ExportError, match=r"differ from PyTorch's by .*: nothing was written"):
        export_onnx(VAE(3), tmp_path / "decoder.onnx", "any", Settings(latent_dim=3))
    assert [path.name for path in tmp_path.iterdir()] == ["decoder.onnx"]
    with pytest.raises(ExportError, match="nothing was written"):
        export_onnx(VAE(3), tmp_path / "new" / "decoder.onnx", "any", Settings(latent_dim=3))
    assert list((tmp_path / "new").iterdir()) == []  # a folder is made where there is none
    assert (tmp_path / "decoder.onnx").read_text() == "of before"


def test_a_folder_that_cannot_be_written_is_said(onnxruntime, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ExportError, match=r"cannot write .*decoder\.onnx"):
        export_onnx(VAE(), tmp_path / "file" / "decoder.onnx", "any", Settings())
    (tmp_path / "encoder.onnx").mkdir()
    with pytest.raises(ExportError, match=r"cannot write .*encoder\.onnx"):
        export_onnx(VAE(), tmp_path / "decoder.onnx", "any", Settings())


@pytest.mark.parametrize("name", ["decoder.pt2", "decoder", "onnx", ".onnx"])
def test_another_suffix_is_refused(name: str) -> None:
    with pytest.raises(SettingsError, match=r"ends with \.onnx"):
        check_target(Path(name))


def test_a_missing_extra_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export, "NEEDED", ("json", "no_such_package"))
    with pytest.raises(ExportError, match=r"no_such_package is not installed.*pip install no_such_package$"):
        check_target(Path("decoder.onnx"))


@pytest.mark.parametrize(
    ("decoder", "encoder"),
    [
        ("decoder.onnx", "encoder.onnx"),
        ("models/digits-decoder.onnx", "models/digits-encoder.onnx"),
        ("model.onnx", "model-encoder.onnx"),
        ("decoder/model.onnx", "decoder/model-encoder.onnx"),
    ],
)
def test_the_encoder_lies_beside_the_decoder(decoder: str, encoder: str) -> None:
    assert encoder_beside(Path(decoder)) == Path(encoder)
