"""The captured step, on a GPU: what is replayed is what would have been done."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from vae_core import training
from vae_core.data import Dataset
from vae_core.engine import fused_step
from vae_core.engine.cuda_graph import SWITCH, WARM_UP, CapturedStep
from vae_core.engine.gradients import StepLoss
from vae_core.errors import TrainingError
from vae_core.settings import Settings
from vae_core.training import EpochReport, train

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device on this machine")

TINY = Settings(epochs=4, batch_size=100, limit=700, device="cuda")


@pytest.fixture(params=["1", "0"], ids=["fused", "cudnn"], autouse=True)
def kernels(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ours or cuDNN's."""
    monkeypatch.setenv(fused_step.SWITCH, request.param)


def zeros() -> list[torch.Tensor]:
    return [torch.zeros((), device="cuda") for _ in range(3)]


@pytest.mark.parametrize("schedule", ["constant", "one-cycle"])
@pytest.mark.parametrize("likelihood", ["gaussian", "calibrated"])
@pytest.mark.parametrize("optimizer", ["adam", "soap"])
def test_replayed_steps_give_the_losses_of_eager_ones(
    dataset: Dataset, monkeypatch: pytest.MonkeyPatch, schedule: str, likelihood: str, optimizer: str
) -> None:
    monkeypatch.setattr(training, "REPORT_SECONDS", 0.0)
    settings = replace(TINY, schedule=schedule, likelihood=likelihood, optimizer=optimizer)
    captured = [report.total for report in train(settings, dataset.train)]
    monkeypatch.setenv(SWITCH, "0")
    eager = [report.total for report in train(settings, dataset.train)]
    assert len(captured) == 28 > 5 * WARM_UP
    assert captured == eager


def test_each_replay_draws_the_noise_that_comes_next() -> None:
    def draws(capture: bool) -> list[list[float]]:
        noise = torch.Generator("cuda").manual_seed(3)

        def step(indices: torch.Tensor) -> StepLoss:
            eps = torch.empty(len(indices), device="cuda").normal_(generator=noise)
            return StepLoss(*zeros(), eps + indices, eps)

        make = CapturedStep(step, noise) if capture else step
        steps = (make(torch.full((5,), number, device="cuda")) for number in range(1, 11))
        drawn = [(loss.mean.tolist(), loss.log_variance.tolist()) for loss in steps]
        return [values for pair in drawn for values in pair] + [noise.get_state().tolist()]

    assert draws(capture=True) == draws(capture=False)
    assert len({tuple(values) for values in draws(capture=True)}) == 21


@pytest.mark.parametrize("optimizer", ["adam", "soap"])
def test_a_resumed_training_follows_the_undisturbed_one(dataset: Dataset, optimizer: str) -> None:
    settings = replace(TINY, optimizer=optimizer)
    undisturbed, state = [], None
    for report in train(settings, dataset.train):
        undisturbed.append(report)
        if isinstance(report, EpochReport) and report.epoch == 2:
            state = report.state.tensors()
    assert state is not None
    assert all(tensor.device.type == "cpu" for tensor in state.values())
    *_, resumed = train(settings, dataset.train, resume_from=state)
    assert resumed.total == undisturbed[-1].total
    weights = [last.state.model.state_dict().values() for last in (resumed, undisturbed[-1])]
    assert all(torch.equal(ours, theirs) for ours, theirs in zip(*weights, strict=True))
    assert torch.equal(resumed.state.noise.get_state(), undisturbed[-1].state.noise.get_state())


@pytest.mark.parametrize(("begins", "ends"), [("cpu", "cuda"), ("cuda", "cpu")])
@pytest.mark.parametrize("optimizer", ["adam", "soap"])
def test_a_run_moves_between_cpu_and_gpu(dataset: Dataset, begins: str, ends: str, optimizer: str) -> None:
    settings = replace(TINY, optimizer=optimizer)
    *_, half = train(replace(settings, epochs=2, device=begins), dataset.train)
    *_, moved = train(replace(settings, device=ends), dataset.train, resume_from=half.state.tensors())
    assert moved.epoch == 4
    assert moved.total < half.total


def test_a_step_that_cannot_be_captured_says_how_to_do_without() -> None:
    def step(indices: torch.Tensor) -> StepLoss:
        indices.sum().item()  # waits for the device, which a graph cannot
        return StepLoss(*zeros(), *zeros()[:2])

    make = CapturedStep(step, torch.Generator("cuda"))
    indices = torch.arange(4, device="cuda")
    for _ in range(WARM_UP):
        make(indices)
    with pytest.raises(TrainingError, match=f"cannot be captured.*{SWITCH}=0"):
        make(indices)
