"""All that a training needs to go on: model, optimisers, noise and counters; begun, kept, taken up again."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from vae_core.engine.adam import Adam
from vae_core.engine.soap import Soap
from vae_core.errors import TrainingError
from vae_core.model import VAE
from vae_core.settings import Settings

NOISE_STATE_BYTES = {5056, 16}
"""Of a generator on the CPU and on CUDA. They are of different kinds: a training that moves from one to the
other goes on with other noise, drawn from its seed and epoch."""


@dataclass
class TrainingState:
    """All that a training needs to go on exactly where it stood."""

    model: VAE
    optimizer: Adam
    noise: torch.Generator
    soap: Soap | None = None
    """Of all weight matrices, where the settings ask for it; Adam then has the biases."""
    epoch: int = 0
    iteration: int = 0
    elapsed_seconds: float = 0.0

    def optimizers(self) -> list[Adam | Soap]:
        """Returns all that make a step."""
        return [*self._named_optimizers().values()]

    def _named_optimizers(self) -> dict[str, Adam | Soap]:
        """By the names that their tensors begin with."""
        soap = {} if self.soap is None else {"soap": self.soap}
        return {"optimizer": self.optimizer, **soap}

    def set_learning_rate(self, learning_rate: float) -> None:
        """Sets it for the next step, of all optimisers."""
        for optimizer in self.optimizers():
            if isinstance(optimizer.learning_rate, Tensor):
                optimizer.learning_rate.fill_(learning_rate)
            else:
                optimizer.learning_rate = learning_rate

    def tensors(self) -> dict[str, Tensor]:
        """Weights, optimiser moments, random state and counters, for safetensors."""
        tensors = {f"model.{name}": value for name, value in self.model.state_dict().items()}
        for kind, optimizer in self._named_optimizers().items():
            for index, state in enumerate(optimizer.state.values()):
                tensors |= {f"{kind}.{index}.{name}": value for name, value in state.items()}
        tensors["noise"] = self.noise.get_state()
        tensors["counters"] = torch.tensor(
            [self.epoch, self.iteration, self.elapsed_seconds], dtype=torch.float64
        )
        return {name: value.detach().cpu().contiguous() for name, value in tensors.items()}

    def load(self, tensors: dict[str, Tensor], iterations_per_epoch: int) -> None:
        """Takes over what `tensors` gave at an epoch's end.

        Raises:
            TrainingError: a part of it is missing, damaged, or of another model or data set.
        """
        try:
            self._load(tensors, iterations_per_epoch)
        except (KeyError, TypeError, ValueError, OverflowError, RuntimeError) as error:
            raise TrainingError(f"the training state is incomplete or damaged ({error})") from error

    def _load(self, tensors: dict[str, Tensor], iterations_per_epoch: int) -> None:
        for name, value in tensors.items():
            if not torch.isfinite(value).all():
                raise ValueError(f"{name} is not made of finite numbers")
        self.model.load_state_dict(_under(tensors, "model."))
        for kind, optimizer in self._named_optimizers().items():
            optimizer.go_on_from(
                [_under(tensors, f"{kind}.{index}.") for index in range(len(optimizer.state))]
            )
        epoch, iteration, elapsed_seconds = tensors["counters"].tolist()
        if (
            min(epoch, elapsed_seconds) < 0
            or epoch != int(epoch)
            or iteration != epoch * iterations_per_epoch
        ):
            raise ValueError(f"epoch {epoch:g} does not end with iteration {iteration:g}")
        self.epoch, self.iteration, self.elapsed_seconds = int(epoch), int(iteration), elapsed_seconds
        if tensors["noise"].dtype != torch.uint8:
            raise ValueError("noise is not a generator's state")
        if len(tensors["noise"]) in NOISE_STATE_BYTES.difference([len(self.noise.get_state())]):
            self.noise.manual_seed(self.noise.initial_seed() + self.epoch)
        else:
            self.noise.set_state(tensors["noise"])


def new_state(settings: Settings, device: torch.device) -> TrainingState:
    """A model with seeded initial weights, its optimiser and its source of noise."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        model = VAE(settings.latent_dim)
    model = model.to(device).to(memory_format=torch.channels_last)
    is_soap = settings.optimizer == "soap"
    matrices = [parameter for parameter in model.parameters() if is_soap and parameter.dim() > 1]
    others = [parameter for parameter in model.parameters() if not (is_soap and parameter.dim() > 1)]
    on_gpu = device.type == "cuda"

    def learning_rate() -> float | Tensor:
        """In memory of the GPU, where a captured step finds it."""
        return torch.tensor(settings.learning_rate, device=device) if on_gpu else settings.learning_rate

    optimizer = Adam(others, learning_rate())
    soap = Soap(matrices, learning_rate()) if matrices else None
    return TrainingState(model, optimizer, torch.Generator(device).manual_seed(settings.seed), soap)


def check_state(tensors: dict[str, Tensor], settings: Settings, training_images: int) -> None:
    """Raises TrainingError unless a training of so many images can go on from here."""
    state = new_state(settings, torch.device("cpu"))
    state.load(tensors, settings.iterations_per_epoch(training_images))


def _under(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
