"""The step by the GPU's kernels: the same loss, gradients and weights as autograd's and PyTorch's Adam."""

from __future__ import annotations

import importlib.util
import json
import math
import os
import subprocess
import sys
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from support.fused_step import Differences, differences
from vae_core import training
from vae_core.data import Dataset
from vae_core.engine import fused_step as module
from vae_core.engine.fused_step import SWITCH, fused_step
from vae_core.engine.training_state import new_state
from vae_core.errors import SlowerWarning
from vae_core.settings import Settings
from vae_core.training import train

needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device on this machine")
CASES = [
    ("gaussian", "adam", 2, 1.0, 16), ("bernoulli", "adam", 1, 0.3, 5), ("calibrated", "soap", 2, 4.0, 1)
]  # fmt: skip
LARGE_CASES = [("gaussian", "adam", 128, 1.0, 16), ("calibrated", "soap", 1000, 1.0, 32)]
TINY = Settings(epochs=4, batch_size=100, limit=700, device="cuda")


needs_triton = pytest.mark.skipif(
    importlib.util.find_spec("triton") is None, reason="no Triton in this PyTorch"
)


@pytest.fixture(scope="module")
def interpreted() -> dict[str, Any]:
    """What `support/fused_step.py` prints, in a process of its own: Triton chooses when it is imported."""
    environment = os.environ | {"TRITON_INTERPRET": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-m", "support.fused_step", json.dumps(CASES)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    is_new_numpy = np.lib.NumpyVersion(np.__version__) >= "2.5.0"
    if is_new_numpy and "only 0-dimensional arrays can be converted" in done.stderr:
        pytest.skip("the interpreter of this Triton needs NumPy below 2.5")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@needs_triton
@pytest.mark.parametrize("case", CASES)
def test_the_kernels_say_what_autograd_says(interpreted: dict[str, Any], case: tuple) -> None:
    found = Differences(**interpreted["differences"][CASES.index(case)])
    assert max(found.losses) < 1e-5  # of a small KL, a difference of large numbers
    assert found.posterior < 1e-6
    assert len(found.gradients) == 14
    assert max(found.gradients.values()) < 1e-5
    assert found.weights < 1e-7


@needs_triton
def test_what_is_not_a_number_comes_through_the_relus(interpreted: dict[str, Any]) -> None:
    assert math.isnan(interpreted["loss_with_nan"])


@needs_gpu
@pytest.mark.parametrize("case", [*CASES, *LARGE_CASES])
def test_the_gpu_says_nearly_the_same(case: tuple) -> None:
    """TF32 has ten bits: ReLUs near zero open or close, and the gradients move by their share."""
    found = differences(*case, torch.device("cuda"))
    assert max(found.losses) < 1e-2
    assert found.posterior < 1e-2
    assert max(found.gradients.values()) < 0.1
    assert found.weights < 1e-6


@needs_gpu
@pytest.mark.parametrize(
    ("likelihood", "optimizer"), [("gaussian", "adam"), ("bernoulli", "soap"), ("calibrated", "adam")]
)
def test_a_training_goes_as_it_does_by_cudnn(
    dataset: Dataset, monkeypatch: pytest.MonkeyPatch, likelihood: str, optimizer: str
) -> None:
    monkeypatch.setattr(training, "REPORT_SECONDS", 0.0)
    settings = replace(TINY, likelihood=likelihood, optimizer=optimizer, schedule="one-cycle")
    fused = [report.total for report in train(settings, dataset.train)]
    monkeypatch.setenv(SWITCH, "0")
    plain = [report.total for report in train(settings, dataset.train)]
    assert len(fused) == 28
    assert fused == pytest.approx(plain, rel=1e-2)
    assert fused != plain


def test_a_triton_that_cannot_compile_is_done_without(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> None:
        raise RuntimeError("Failed to find C compiler.\nSet CC")

    monkeypatch.setattr(module, "_is_for", lambda device: True)
    monkeypatch.setattr(module, "_kernels", broken)
    settings, images = Settings(batch_size=8), torch.zeros(8, 28, 28, dtype=torch.uint8)
    state = new_state(settings, images.device)
    with pytest.warns(SlowerWarning, match=r"Triton cannot be used here \(Failed to find C compiler\.\)"):
        assert fused_step(state, settings, images) is None


@pytest.mark.parametrize(
    ("device", "changed", "is_for"),
    [
        ("cuda", {}, True), ("cpu", {}, False), ("cuda", {"capability": (7, 5)}, False),
        ("cuda", {"hip": "7.0"}, False), ("cuda", {"triton": None}, False), ("cuda", {"switch": "0"}, False),
    ],
)  # fmt: skip
def test_the_kernels_are_for_gpus_of_nvidia_from_ampere_on(
    monkeypatch: pytest.MonkeyPatch, device: str, changed: dict[str, Any], is_for: bool
) -> None:
    its = {"capability": (8, 0), "hip": None, "triton": "a place", "switch": "1"} | changed
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: its["capability"])
    monkeypatch.setattr(torch.version, "hip", its["hip"])
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: its["triton"])
    monkeypatch.setenv(SWITCH, its["switch"])
    assert module._is_for(torch.device(device)) is is_for


def test_the_precision_of_products_is_the_callers_again() -> None:
    def settings() -> list[str]:
        newer = torch.backends.cuda.matmul, torch.backends.mkldnn.matmul
        return [torch.get_float32_matmul_precision(), *(each.fp32_precision for each in newer)]

    before = settings()
    with module._tf32():
        assert settings() == ["high", "tf32", "tf32"]
    assert settings() == before
    torch.backends.fp32_precision = "tf32"  # by the newer names, beside which the older cannot be read
    try:
        with module._tf32():
            assert torch.backends.cuda.matmul.fp32_precision == "tf32"
        assert torch.backends.fp32_precision == "tf32"
    finally:
        torch.backends.fp32_precision = "none"
    assert settings() == before
