"""The step by the GPU's kernels: the same loss, gradients and weights as autograd's and PyTorch's Adam."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import warnings
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from support.fused_step import Differences, differences
from vae_core import fused_step, training
from vae_core.data import Dataset
from vae_core.fused_step import SWITCH, can_fuse_steps
from vae_core.settings import Settings
from vae_core.training import train

needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device on this machine")
CASES = [("gaussian", 2, 1.0, 16), ("bernoulli", 1, 0.3, 5), ("calibrated", 1, 4.0, 1)]
TINY = Settings(epochs=4, batch_size=100, limit=700, device="cuda")


@pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="this PyTorch has no Triton")
@pytest.mark.parametrize("case", CASES)
def test_the_kernels_say_what_autograd_says(case: tuple) -> None:
    found = Differences(**json.loads(interpreted(case)))
    assert max(found.losses) < 1e-5  # of a small KL, a difference of large numbers
    assert found.posterior < 1e-6
    assert len(found.gradients) == 14
    assert max(found.gradients.values()) < 1e-5
    assert found.weights < 1e-7


def interpreted(case: tuple) -> str:
    """What `support/fused_step.py` prints, in a process of its own: Triton chooses when it is imported."""
    environment = os.environ | {"TRITON_INTERPRET": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-m", "support.fused_step", *map(str, case)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if "only 0-dimensional arrays can be converted" in done.stderr:
        pytest.skip("the interpreter of this Triton (3.6 and older) needs NumPy below 2.5")
    assert done.returncode == 0, done.stderr
    return done.stdout


@needs_gpu
@pytest.mark.parametrize("case", [*CASES, ("gaussian", 128, 1.0, 16), ("calibrated", 1000, 1.0, 32)])
def test_the_gpu_says_nearly_the_same(case: tuple) -> None:
    """TF32 has ten bits: ReLUs near zero open or close, and the gradients move by their share."""
    found = differences(*case, torch.device("cuda"))
    assert max(found.losses) < 1e-2
    assert found.posterior < 1e-2
    assert max(found.gradients.values()) < 0.1
    assert found.weights < 1e-6


@needs_gpu
@pytest.mark.parametrize("likelihood", ["gaussian", "bernoulli", "calibrated"])
def test_a_training_goes_as_it_does_by_cudnn(
    dataset: Dataset, monkeypatch: pytest.MonkeyPatch, likelihood: str
) -> None:
    monkeypatch.setattr(training, "REPORT_SECONDS", 0.0)
    settings = replace(TINY, likelihood=likelihood, schedule="one-cycle")
    assert can_fuse_steps(torch.device("cuda"))
    fused = [report.total for report in train(settings, dataset.train)]
    monkeypatch.setenv(SWITCH, "0")
    assert not can_fuse_steps(torch.device("cuda"))
    plain = [report.total for report in train(settings, dataset.train)]
    assert len(fused) == 28
    assert fused == pytest.approx(plain, rel=1e-2)
    assert fused != plain


@needs_gpu
def test_a_triton_that_cannot_compile_is_done_without(
    dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> None:
        raise RuntimeError("Failed to find C compiler.\nSet CC")

    monkeypatch.setattr(fused_step, "_kernels", broken)
    with pytest.warns(RuntimeWarning, match=r"cannot compile for it \(Failed to find C compiler\.\)"):
        *_, last = train(replace(TINY, epochs=1), dataset.train)
    assert last.iteration == 7


def test_no_gpu_and_an_old_one_go_without(monkeypatch: pytest.MonkeyPatch) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert not can_fuse_steps(torch.device("cpu"))
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (7, 5))
        assert not can_fuse_steps(torch.device("cuda"))


def test_the_package_does_not_import_triton_by_itself() -> None:
    code = "import sys, vae_core.training; assert 'vae_core.kernels' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(training.__file__).parent.parent)
