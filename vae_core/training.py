"""The training loop: settings and images in, a stream of reports out. No files, no screen.

Whoever consumes the stream decides what to keep, what to show and when to stop (by not asking on).
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vae_core.data import ImageSet
from vae_core.engine.cuda_graph import Captured, CapturedStep, is_switched_off
from vae_core.engine.devices import choose_device
from vae_core.engine.distributed import ALONE, Group
from vae_core.engine.fused_step import fused_step
from vae_core.engine.gradients import StepLoss, TrainingLoss
from vae_core.engine.training_state import TrainingState, new_state
from vae_core.errors import DIVERGED, SettingsError, TrainingError, check_type
from vae_core.evaluated import Evaluation
from vae_core.evaluation import evaluate
from vae_core.loss import kl_per_dimension
from vae_core.settings import Settings

REPORT_SECONDS = 0.05
"""The shortest time between two reports: twenty a second at most."""
WARM_UP_SHARE = 0.3
"""The one-cycle schedule climbs for this share of the iterations (Smith and Topin, 2019)."""
FIRST_SHARE = 0.04
"""Where it begins, as a share of the peak: a 25th, as PyTorch's OneCycleLR does."""


@dataclass(frozen=True)
class Report:
    """How a training stands. Losses are nats per image, means over the iterations since the last report.

    Epochs and iterations are counted from 1. `images_per_second` is of the training steps alone;
    `elapsed_seconds` are also what was done between them: evaluations, and whatever the consumer did.
    """

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
            there exactly as if it had never stopped: bit for bit on a CPU, and with Adam on a GPU too.
        group: the processes that train together, each in this same loop; their reports come at the same
            iterations.

    Yields:
        `Report`s, and an `EpochReport` at each epoch's end.

    Raises:
        SettingsError: the device is not there, there are fewer images than in one mini-batch, or the group
            cannot share one.
        TrainingError: the loss is no longer finite, what it is to go on from is incomplete, or a GPU cannot
            capture the step.
        TypeError: the settings are not Settings, or the images not an ImageSet.
    """
    check_type("settings", settings, Settings)
    check_type("training_set", training_set, ImageSet)
    if test_set is not None:
        check_type("test_set", test_set, ImageSet)
    device = choose_device(settings.device)
    group.check(settings, device)
    images = torch.from_numpy(np.array(training_set.images[: settings.limit])).to(device)
    iterations_per_epoch = full_batches(settings, len(images))
    state = new_state(settings, device)
    if resume_from is not None:
        state.load(resume_from, iterations_per_epoch)
    model = state.model
    loss_of = group.averaging(TrainingLoss(model, settings, group.mean))
    # A graph holds one process's step; DistributedDataParallel also speaks with the other processes.
    is_capturable = device.type == "cuda" and group.count == 1
    fused = fused_step(state, settings, images) if is_capturable else None
    meter = _Meter(state, settings.batch_size, device, group)

    def make_step(indices: Tensor) -> StepLoss:
        """Trains on a mini-batch, int64 (batch_size,); the learning rate is set already."""
        eps = torch.empty(len(indices), settings.latent_dim, device=device).normal_(generator=state.noise)
        if fused is not None:
            return fused(indices, eps)
        with _the_same_bits():
            loss = loss_of(images[group.share(indices)], group.share(eps))
            model.zero_grad(set_to_none=True)
            loss.total.backward()
            for optimizer in state.optimizers():
                optimizer.step()
        return loss

    turn_axes = None
    if is_capturable and not is_switched_off():
        make_step = CapturedStep(make_step, state.noise)
        if state.soap is not None:
            turn_axes = Captured(state.soap.turn_axes, state.noise)

    while state.epoch < settings.epochs:
        for indices in shuffled_batches(len(images), settings, state.epoch, device):
            state.set_learning_rate(learning_rate_at(settings, state.iteration, iterations_per_epoch))
            meter.add(make_step(indices))
            if state.soap is not None:
                state.soap.turn(turn_axes)
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
                raise diverged(evaluation.total, state.iteration)
        figures["elapsed_seconds"] = state.elapsed_seconds = meter.elapsed_seconds()
        yield EpochReport(epoch=state.epoch, **figures, state=state, evaluation=evaluation)
        meter.restart()


def full_batches(settings: Settings, images: int) -> int:
    """The iterations of an epoch of so many training images.

    Raises:
        SettingsError: there is none.
    """
    if images < settings.batch_size:
        raise SettingsError(
            "batch_size",
            f"a mini-batch of {settings.batch_size} is more than the {images} training images; choose a "
            "smaller batch size, or more images",
        )
    return settings.iterations_per_epoch(images)


@contextlib.contextmanager
def _the_same_bits() -> Iterator[None]:
    """cuDNN adds gradients up in the same order each time; for this network that is faster, too."""
    before = torch.backends.cudnn.deterministic
    torch.backends.cudnn.deterministic = True
    try:
        yield
    finally:
        torch.backends.cudnn.deterministic = before


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
            raise diverged(total, iteration)
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
        """Begins the next stretch: what the consumer did meanwhile is not in its images per second."""
        self._sums.zero_()
        self._count = 0
        self._last = time.monotonic()


def diverged(total: float, iteration: int) -> TrainingError:
    """What a training ends with whose loss in nats is no number any more."""
    return TrainingError(
        f"the loss became {total} in iteration {iteration}: {DIVERGED}; try a smaller learning rate"
    )


def shuffled_batches(count: int, settings: Settings, epoch: int, device: torch.device) -> Iterator[Tensor]:
    """The indices of each full mini-batch of an epoch, int64 (batch_size,).

    The order follows from seed and epoch alone, so that a resumed epoch sees the same batches.
    """
    order_seed = int(np.random.SeedSequence([settings.seed, epoch]).generate_state(1, np.uint64)[0]) >> 1
    order = torch.randperm(count, generator=torch.Generator().manual_seed(order_seed)).to(device)
    full = count - count % settings.batch_size
    yield from order[:full].split(settings.batch_size)


def learning_rate_at(settings: Settings, iteration: int, iterations_per_epoch: int) -> float:
    """The learning rate of an iteration: constant, or one cosine rise and fall over the whole run.

    One cycle goes from `FIRST_SHARE` of the peak up to it in `WARM_UP_SHARE` of the training, then to zero.
    """
    if settings.schedule == "constant":
        return settings.learning_rate
    done = iteration / (settings.epochs * iterations_per_epoch)
    if done < WARM_UP_SHARE:
        return settings.learning_rate * (FIRST_SHARE + (1 - FIRST_SHARE) * _cosine_rise(done / WARM_UP_SHARE))
    return settings.learning_rate * _cosine_rise((1 - done) / (1 - WARM_UP_SHARE))


def _cosine_rise(share: float) -> float:
    return 0.5 - 0.5 * math.cos(math.pi * share)
