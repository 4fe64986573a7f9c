"""The training loop: settings and images in, a stream of reports out. No files, no screen.

Whoever consumes the stream decides what to keep, what to show and when to stop (by not asking on).
"""

from __future__ import annotations

import math
import time
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vae_core.cuda_graph import CapturedStep, is_switched_off
from vae_core.data import ImageSet
from vae_core.distributed import ALONE, Group
from vae_core.errors import SettingsError, TrainingError
from vae_core.evaluated import Evaluation
from vae_core.evaluation import evaluate
from vae_core.gradients import StepLoss, TrainingLoss
from vae_core.loss import kl_per_dimension
from vae_core.model import VAE
from vae_core.settings import Settings
from vae_core.soap import Soap

REPORT_SECONDS = 0.05
"""The shortest time between two reports: twenty a second at most."""
WARM_UP_SHARE = 0.3
"""The one-cycle schedule climbs for this share of the iterations (Smith and Topin, 2019)."""

MOMENTS = ("exp_avg", "exp_avg_sq")
"""Adam's averages of each weight's gradient and of its square."""
NOISE_STATE_BYTES = {5056, 16}
"""Of a generator on the CPU and on CUDA. They are of different kinds: a training that moves from one to the
other goes on with other noise, drawn from its seed and epoch."""


@dataclass
class TrainingState:
    """All that a training needs to go on exactly where it stood."""

    model: VAE
    optimizer: torch.optim.Adam
    noise: torch.Generator
    soap: Soap | None = None
    """Of all weight matrices, where the settings ask for it; Adam then has the biases."""
    epoch: int = 0
    iteration: int = 0
    elapsed_seconds: float = 0.0

    def optimizers(self) -> list[torch.optim.Optimizer]:
        """All that make a step."""
        return [self.optimizer] if self.soap is None else [self.optimizer, self.soap]

    def set_learning_rate(self, learning_rate: float) -> None:
        """Of the next step."""
        for optimizer in self.optimizers():
            group = optimizer.param_groups[0]
            if isinstance(group["lr"], Tensor):
                group["lr"].fill_(learning_rate)
            else:
                group["lr"] = learning_rate

    def tensors(self) -> dict[str, Tensor]:
        """Weights, optimiser moments, random state and counters, for safetensors."""
        tensors = {f"model.{name}": value for name, value in self.model.state_dict().items()}
        for kind, optimizer in (("optimizer", self.optimizer), ("soap", self.soap)):
            states = {} if optimizer is None else optimizer.state_dict()["state"]
            for index, state in states.items():
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
        try:  # with copies: an optimiser changes in place what it was given
            self._load({name: value.clone() for name, value in tensors.items()}, iterations_per_epoch)
        except (KeyError, TypeError, ValueError, OverflowError, RuntimeError) as error:
            raise TrainingError(f"the training state is incomplete or damaged ({error})") from error

    def _load(self, tensors: dict[str, Tensor], iterations_per_epoch: int) -> None:
        for name, value in tensors.items():
            if not torch.isfinite(value).all():
                raise ValueError(f"{name} is not made of finite numbers")
        self.model.load_state_dict(_under(tensors, "model."))
        moments: dict[int, dict[str, Tensor]] = {}
        for index, parameter in enumerate(self.optimizer.param_groups[0]["params"]):
            state = _under(tensors, f"optimizer.{index}.")
            expected = {"step": (), **dict.fromkeys(MOMENTS, parameter.shape)}
            if {name: tuple(value.shape) for name, value in state.items()} != expected:
                raise ValueError("Adam's state is of another model")
            if state["step"] < 0 or (state["exp_avg_sq"] < 0).any():
                raise ValueError("Adam's state has a negative count or square")
            # The fused Adam walks through memory: moments must lie in it as their weights do.
            moments[index] = {name: torch.empty_like(parameter).copy_(state[name]) for name in MOMENTS}
            moments[index]["step"] = state["step"]
        groups = self.optimizer.state_dict()["param_groups"]
        self.optimizer.load_state_dict({"state": moments, "param_groups": groups})
        if self.soap is not None:
            groups = self.soap.state_dict()["param_groups"]
            states = {index: _under(tensors, f"soap.{index}.") for index in groups[0]["params"]}
            self.soap.load_state_dict({"state": states, "param_groups": groups})
            self.soap.check()
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


@dataclass(frozen=True)
class Report:
    """How a training stands. Losses are nats per image, means over the iterations since the last report."""

    epoch: int
    iteration: int
    total: float
    reconstruction: float
    kl: float
    images_per_second: float
    elapsed_seconds: float
    kl_per_dimension: list[float]
    """KL of each latent in the last mini-batch, nats: which latents are in use."""
    state: TrainingState = field(repr=False, compare=False)
    """The live model and optimiser: read it before asking for the next report."""


@dataclass(frozen=True)
class EpochReport(Report):
    """The report that ends an epoch; with the test set's figures if there is a test set."""

    evaluation: Evaluation | None = None


def train(
    settings: Settings,
    training_set: ImageSet,
    test_set: ImageSet | None = None,
    resume_from: dict[str, Tensor] | None = None,
    group: Group = ALONE,
) -> Generator[Report, None, None]:
    """Trains a VAE and reports on the way, at most twenty times a second.

    Args:
        settings: what to do.
        training_set: its first `settings.limit` images are trained on.
        test_set: evaluated at each epoch's end, with the same noise each time.
        resume_from: what `TrainingState.tensors` gave at an epoch's end; the training goes on from
            there exactly as if it had never stopped (bit for bit on the CPU).
        group: the processes that train together, each in this same loop; their reports come at the same
            iterations.

    Yields:
        `Report`s, and an `EpochReport` at each epoch's end.

    Raises:
        SettingsError: the device is not there, there are fewer images than in one mini-batch, or the group
            cannot share one.
        TrainingError: the loss is no longer finite.
    """
    device = choose_device(settings.device)
    group.check(settings, device)
    images = torch.from_numpy(np.array(training_set.images[: settings.limit])).to(device)
    iterations_per_epoch = len(images) // settings.batch_size
    if iterations_per_epoch == 0:
        raise SettingsError(
            "batch_size",
            f"batch_size {settings.batch_size} is more than the {len(images)} training images; "
            "expected at least one full mini-batch",
        )
    state = new_state(settings, device)
    if resume_from is not None:
        state.load(resume_from, iterations_per_epoch)
    model = state.model
    loss_of = group.averaging(TrainingLoss(model, settings, group.mean))
    meter = _Meter(state, settings.batch_size, device, group)

    def make_step(indices: Tensor) -> StepLoss:
        """Of a mini-batch; the learning rate is set already."""
        eps = torch.empty(len(indices), settings.latent_dim, device=device).normal_(generator=state.noise)
        loss = loss_of(images[group.share(indices)], group.share(eps))
        model.zero_grad(set_to_none=True)
        loss.total.backward()
        for optimizer in state.optimizers():
            optimizer.step()
        return loss

    # SOAP reads its counters in Python, and what DistributedDataParallel would need is more than a step.
    capturable = device.type == "cuda" and state.soap is None and group.count == 1
    if capturable and not is_switched_off():
        make_step = CapturedStep(make_step, state.noise)

    while state.epoch < settings.epochs:
        model.train()
        for indices in shuffled_batches(len(images), settings, state.epoch, device):
            state.set_learning_rate(learning_rate_at(settings, state.iteration, iterations_per_epoch))
            meter.add(make_step(indices))
            state.iteration += 1
            ends_epoch = state.iteration % iterations_per_epoch == 0
            if not ends_epoch and (group.broadcast(meter.is_due()) or state.iteration == 1):
                yield Report(epoch=state.epoch + 1, **meter.read(), state=state)
                meter.restart()
        state.epoch += 1
        figures = meter.read()
        evaluation = None
        if test_set is not None:
            evaluation = evaluate(model, test_set, settings.likelihood, settings.beta, settings.seed)
            if not math.isfinite(evaluation.total):  # the last step may be the one that broke the model
                raise _diverged(evaluation.total, state.iteration)
        figures["elapsed_seconds"] = state.elapsed_seconds = meter.elapsed_seconds()
        yield EpochReport(epoch=state.epoch, **figures, state=state, evaluation=evaluation)
        meter.restart()


class _Meter:
    """Sums the losses between two reports on the device; reading them waits for it, adding does not."""

    def __init__(self, state: TrainingState, batch_size: int, device: torch.device, group: Group) -> None:
        self._state = state
        self._group = group
        self._batch_size = batch_size
        self._sums = torch.zeros(3, device=device)  # total, reconstruction, kl
        self._count = 0
        self._posterior: tuple[Tensor, Tensor] | None = None
        self._start = time.monotonic() - state.elapsed_seconds
        self._last = time.monotonic()

    def add(self, loss: StepLoss) -> None:
        self._sums += torch.stack(loss[:3]).detach()
        self._count += 1
        self._posterior = loss.mean, loss.log_variance

    def is_due(self) -> bool:
        return time.monotonic() - self._last >= REPORT_SECONDS

    def elapsed_seconds(self) -> float:
        return time.monotonic() - self._start

    def read(self) -> dict[str, Any]:
        """The figures of a report.

        Raises:
            TrainingError: the loss is not finite.
        """
        total, reconstruction, kl = self._group.mean(self._sums / self._count).tolist()
        iteration = self._state.iteration
        if not math.isfinite(total):
            raise _diverged(total, iteration)
        assert self._posterior is not None
        return {
            "iteration": iteration,
            "total": total,
            "reconstruction": reconstruction,
            "kl": kl,
            "images_per_second": self._count * self._batch_size / max(time.monotonic() - self._last, 1e-9),
            "elapsed_seconds": self.elapsed_seconds(),
            "kl_per_dimension": self._group.mean(kl_per_dimension(*self._posterior)).tolist(),
        }

    def restart(self) -> None:
        """Begins the next stretch; what the consumer did meanwhile does not count as training."""
        self._sums.zero_()
        self._count = 0
        self._last = time.monotonic()


def _diverged(total: float, iteration: int) -> TrainingError:
    return TrainingError(
        f"the loss became {total} in iteration {iteration}: the training diverged; "
        "try a smaller learning rate"
    )


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
    optimizer = torch.optim.Adam(
        others, betas=(0.9, 0.999), eps=1e-8, fused=True, capturable=on_gpu,
        # In memory of the GPU, where a captured step finds it.
        lr=torch.tensor(settings.learning_rate, device=device) if on_gpu else settings.learning_rate,
    )  # fmt: skip
    soap = Soap(matrices, settings.learning_rate) if matrices else None
    return TrainingState(model, optimizer, torch.Generator(device).manual_seed(settings.seed), soap)


def check_state(tensors: dict[str, Tensor], settings: Settings, training_images: int) -> None:
    """Raises TrainingError unless a training of so many images can go on from here."""
    state = new_state(settings, torch.device("cpu"))
    state.load(tensors, training_images // settings.batch_size)


def shuffled_batches(count: int, settings: Settings, epoch: int, device: torch.device) -> Iterator[Tensor]:
    """The indices of each full mini-batch of an epoch, int64 (batch_size,).

    The order follows from seed and epoch alone, so that a resumed epoch sees the same batches.
    """
    order_seed = int(np.random.SeedSequence([settings.seed, epoch]).generate_state(1, np.uint64)[0]) >> 1
    order = torch.randperm(count, generator=torch.Generator().manual_seed(order_seed)).to(device)
    full = count - count % settings.batch_size
    yield from order[:full].split(settings.batch_size)


def learning_rate_at(settings: Settings, iteration: int, iterations_per_epoch: int) -> float:
    """The learning rate of an iteration: constant, or one cosine rise and fall over the whole run."""
    if settings.schedule == "constant":
        return settings.learning_rate
    done = iteration / (settings.epochs * iterations_per_epoch)
    if done < WARM_UP_SHARE:
        return settings.learning_rate * (0.04 + 0.96 * _cosine_rise(done / WARM_UP_SHARE))
    return settings.learning_rate * _cosine_rise((1 - done) / (1 - WARM_UP_SHARE))


def _cosine_rise(share: float) -> float:
    return 0.5 - 0.5 * math.cos(math.pi * share)


def choose_device(name: str) -> torch.device:
    """The torch device for auto, cpu, cuda or cuda:N; auto takes the GPU when there is one.

    Raises:
        SettingsError: a CUDA device was asked for that is not there.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    device = torch.device(name)
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise SettingsError(
            "device", f"device {name} is not there: PyTorch sees {torch.cuda.device_count()} CUDA devices"
        )
    return device


def device_in_words(device: torch.device) -> str:
    """Such as "CPU, 2 threads" or "NVIDIA H200"."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    threads = torch.get_num_threads()
    return f"CPU, {threads} thread{'' if threads == 1 else 's'}"


def _under(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
