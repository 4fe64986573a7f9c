"""The table beside the MathWorks example: it agrees where it should, and every line can disagree."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from typer.testing import CliRunner

import vae_core.engine.training_state
import vae_core.evaluation
import vae_core.loss
import vae_core.parity
import vae_core.training
from support.studio_client import studio_client
from vae_core.__main__ import app
from vae_core.data import Dataset, read_idx_folder
from vae_core.engine.adam import Adam
from vae_core.model import VAE
from vae_core.parity import parity
from vae_core.pictures import tile, to_grey
from vae_core.settings import PRESETS, Settings

MIRRORED = {"encoder: padding", "decoder: cropping"}
OF_THE_DATA = {"data: name", "data: training images", "data: test images"}
Change = Callable[[pytest.MonkeyPatch], None]


def differing(dataset: Dataset) -> set[str]:
    return {f"{line.part}: {line.what}" for line in parity(dataset) if not line.agrees}


def test_only_the_mirror_and_other_data_differ(dataset: Dataset) -> None:
    assert differing(dataset) == MIRRORED | OF_THE_DATA


def test_with_the_real_mnist_only_the_mirror_differs(real_mnist: Path) -> None:
    lines = parity(read_idx_folder(real_mnist))
    assert {f"{line.part}: {line.what}" for line in lines if not line.agrees} == MIRRORED
    assert all("mirror" in line.note for line in lines if not line.agrees)


def settings(**changes: Any) -> Change:
    """The reference with other settings."""
    return lambda patch: patch.setitem(PRESETS, "reference", Settings(**changes))


def network(patch: pytest.MonkeyPatch) -> None:
    """Other activations, weights and biases in every new model."""

    def changed(latent_dim: int) -> VAE:
        model = VAE(latent_dim)
        model.decoder[3], model.decoder[7] = nn.Tanh(), nn.Identity()
        model.decoder[2].get_parameter("weight").data.mul_(0.5)
        nn.init.constant_(model.encoder[0].get_parameter("bias"), 0.1)
        return model

    patch.setattr(vae_core.engine.training_state, "VAE", changed)


def optimiser(**constants: Any) -> Change:
    """Other constants in every new optimiser."""

    def patched(patch: pytest.MonkeyPatch) -> None:
        whole = vae_core.engine.training_state.new_state

        def new_state(chosen: Settings, device: torch.device) -> vae_core.engine.training_state.TrainingState:
            state = whole(chosen, device)
            for name, value in constants.items():
                assert hasattr(state.optimizer, name)
                setattr(state.optimizer, name, value)
            return state

        patch.setattr(vae_core.parity, "new_state", new_state)

    return patched


def other(module: Any, name: str, new: object) -> Change:
    """Something else under a name of the code."""
    return lambda patch: patch.setattr(module, name, new)


def straight_down(adam: Adam) -> None:
    for weight in adam.state:
        weight.data.sub_(adam.learning_rate * weight.grad)


def batches_in_order(count: int, chosen: Settings, epoch: int, device: torch.device) -> Iterator[Tensor]:
    yield from torch.arange(count).split(chosen.batch_size)  # the partial one too


def averaged_over_pixels(y: Tensor, x: Tensor, *_: object) -> Tensor:
    return nn.functional.mse_loss(y, x)


def doubled_kl(mean: Tensor, log_variance: Tensor) -> Tensor:
    return -(1 + log_variance - mean.square() - log_variance.exp()).mean(dim=0)


def without_half(self: VAE, mean: Tensor, log_variance: Tensor, generator: Any = None) -> Tensor:
    return mean + torch.exp(log_variance) * torch.empty_like(mean).normal_(generator=generator)


def of_the_upper_half(reconstruction: Tensor, images: Tensor) -> Tensor:
    return (reconstruction - images)[:, :, :14].square().mean(dim=(1, 2, 3))


def narrow(latent_dim: int, count: int, seed: int) -> np.ndarray:
    return np.full((count, latent_dim), 0.1, np.float32)


CHANGES: dict[str, tuple[list[Change], set[str]]] = {
    "another network": ([network], {"decoder: layer 4", "decoder: layer 8", "size: before training"}),
    "another size, loss and pace": (
        [settings(latent_dim=15, likelihood="bernoulli", learning_rate=2e-3, batch_size=256, epochs=29)],
        {
            "encoder: layer 5", "encoder: split", "decoder: layer 1", "size: learnable parameters",
            "loss: sum((y − x)²) / (2 N)", "loss: in a training step", "loss: times PyTorch's mse_loss",
            "training: learning rate", "training: mini-batches", "training: epochs",
            "training: iterations an epoch, of 60,000 images",
        },
    ),
    "another schedule, optimiser and weight of the KL term": (
        [settings(schedule="one-cycle", optimizer="soap", beta=2)],
        {
            "training: learning rate", "training: parameters it trains", "loss: ELBO loss",
            "loss: in a training step",
        },
    ),
    "pixels averaged, a doubled KL, another epsilon": (
        [
            other(vae_core.loss, "reconstruction_loss", averaged_over_pixels),
            other(vae_core.loss, "kl_per_dimension", doubled_kl),
            optimiser(eps=1e-7),
        ],
        {"loss: sum((y − x)²) / (2 N)", "loss: KL = −½ Σ (1 + log σ² − μ² − σ²)", "training: optimiser"},
    ),
    "no half in the sampling, half of the pixels, a narrow prior, nothing shuffled or dropped": (
        [
            other(VAE, "sample", without_half),
            other(vae_core.evaluation, "per_image_error", of_the_upper_half),
            other(vae_core.parity, "sample_latents", narrow),
            other(vae_core.parity, "GENERATED_IMAGES", 63),
            other(vae_core.parity, "shuffled_batches", batches_in_order),
        ],
        {
            "sampling: formula", "test: error of an image: squared, mean of 784 pixels", "generation: figure",
            "generation: latent vectors", "training: order", "training: mini-batches",
            "training: iterations an epoch, of 60,000 images",
        },
    ),
    "steps straight down the gradient": (
        [other(Adam, "step", straight_down)],
        {"training: optimiser"},
    ),
    "no sampling, another decay, a wide figure": (
        [
            other(VAE, "sample", lambda self, mean, *_: mean),
            optimiser(betas=(0.9, 0.99)),
            other(vae_core.parity, "square_tiles", lambda images: tile(to_grey(images), columns=16)),
        ],
        {"sampling: in prediction", "training: optimiser", "generation: figure"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_of_the_code_shows(dataset: Dataset, monkeypatch: pytest.MonkeyPatch, change: str) -> None:
    changes, expected = CHANGES[change]
    for make in changes:
        make(monkeypatch)
    assert expected <= differing(dataset)


def test_the_page_asks_for_it_with_the_histogram(tmp_path: Path, small_mnist: Path) -> None:
    with studio_client(tmp_path / "runs", small_mnist) as client:
        lines = client.get("/studio/parity").json()["lines"]
    histogram = next(line for line in lines if line["what"] == "histogram")
    assert histogram["agrees"]
    assert len(lines) == 42


def test_the_command_prints_it(small_mnist: Path) -> None:
    options = ["parity", "--data-dir", str(small_mnist)]
    assert "36 of 41 lines agree" in CliRunner().invoke(app, options).stdout
    lines = json.loads(CliRunner().invoke(app, [*options, "--json"]).stdout)["lines"]
    assert {line["agrees"] for line in lines} == {True, False}
    assert set(lines[0]) == {"part", "what", "mathworks", "here", "agrees", "note"}
