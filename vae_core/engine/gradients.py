"""The loss of a training step and its gradients, fast: what autograd gives through `model.py`, in less time.

On the CPU the gradients are written out (Kingma and Welling, 2013; the chain rule from the last layer to
the first), which saves what autograd cannot know: that a ReLU may overwrite its input, that the bias
gradient of a transposed convolution is a plain sum, that the last layer is a small matrix product. Each
thread takes its own share of the mini-batch through the whole network and meets the others once a step,
not once a layer. Elsewhere autograd goes through the model itself, unless `fused_step.py` does it all.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vae_core.images import IMAGE_SIZE, PIXELS
from vae_core.loss import LOG_TWO_PI, SMALLEST_VARIANCE, cross_entropy, elbo_loss, kl_per_dimension
from vae_core.model import VAE, as_batch, reparameterize
from vae_core.settings import Settings

MOST_SHARES = 4
"""Shares that run side by side; more of them wait for Python's lock longer than they compute."""
MOST_IMAGES = 64
"""Images of a share that are in work at once: their activations, 13 MB, stay in a processor's cache and in
memory that malloc keeps."""

Item = TypeVar("Item")
Result = TypeVar("Result")


class StepLoss(NamedTuple):
    """The loss of a mini-batch: scalars in nats per image, and the posterior, float (N, K) each.

    Gradients flow from `total` alone.
    """

    total: Tensor
    reconstruction: Tensor
    kl: Tensor
    mean: Tensor
    log_variance: Tensor


class TrainingLoss(nn.Module):
    """The ELBO loss of a mini-batch as a module around the model, as DistributedDataParallel wants it.

    Args:
        model: whose parameters get the gradients.
        settings: of which likelihood and beta matter here.
        average: where processes share a mini-batch, gives the mean of what each of them has.
    """

    def __init__(
        self, model: VAE, settings: Settings, average: Callable[[Tensor], Tensor] | None = None
    ) -> None:
        super().__init__()
        self._average = average
        self.model = model
        self.likelihood, self.beta = settings.likelihood, settings.beta
        on_cpu = next(model.parameters()).device.type == "cpu"
        self._shares = _Shares() if on_cpu else None

    def forward(self, images: Tensor, eps: Tensor) -> StepLoss:
        """The loss of images, uint8 (N, 28, 28), with the noise eps, float (N, K), in the latents."""
        if self._shares is not None:
            weights = tuple(self.model.parameters())
            return StepLoss(*_WrittenOut.apply(self._compute, images, eps, *weights))
        batch = as_batch(images)  # (N, 1, 28, 28) in [0, 1]
        mean, log_variance = self.model.encode(batch)
        reconstruction = self.model.decode(reparameterize(mean, log_variance, eps))
        loss = elbo_loss(reconstruction, batch, mean, log_variance, self.beta, self.likelihood, self._average)
        return StepLoss(*loss, mean.detach(), log_variance.detach())

    def _compute(self, weights: _Weights, images: Tensor, eps: Tensor) -> tuple[StepLoss, list[Tensor]]:
        """The loss and the gradient of each parameter, in the parameters' order."""
        assert self._shares is not None
        shares = self._shares.of(images, eps)
        count = len(images)
        if self.likelihood == "calibrated":  # its gradients need the error of the whole batch
            tapes = self._shares.map(lambda share: _forward(weights, *share, self.likelihood), shares)
            error = torch.stack([tape.error for tape in tapes]).sum()
            variance = error / (count * PIXELS)
            if self._average is not None:
                variance = self._average(variance)
            slope = 1 / (count * variance) if variance >= SMALLEST_VARIANCE else torch.zeros(())
            reconstruction = variance.clamp_min(SMALLEST_VARIANCE).log()
            reconstruction = 0.5 * PIXELS * (reconstruction + LOG_TWO_PI + 1)
            gradients = self._shares.map(
                lambda tape: _backward(weights, tape, self.likelihood, self.beta, count, slope), tapes
            )
        else:
            half = 0.5 if self.likelihood == "gaussian" else 1.0

            def both_ways(share: tuple[Tensor, Tensor]) -> tuple[_Tape, list[Tensor]]:
                tape = _forward(weights, *share, self.likelihood)
                return tape, _backward(weights, tape, self.likelihood, self.beta, count, 1 / count)

            tapes, gradients = zip(*self._shares.map(both_ways, shares), strict=True)
            reconstruction = half * sum(tape.error for tape in tapes) / count
        mean = torch.cat([tape.mean for tape in tapes])
        log_variance = torch.cat([tape.log_variance for tape in tapes])
        kl = kl_per_dimension(mean, log_variance).sum()
        total = reconstruction + self.beta * kl
        summed = [torch.stack(parts).sum(dim=0) for parts in zip(*gradients, strict=True)]
        return StepLoss(total, torch.as_tensor(reconstruction), kl, mean, log_variance), summed


class _WrittenOut(torch.autograd.Function):
    """Makes loss and gradients in one go, and hands the gradients out when autograd asks for them."""

    @staticmethod
    def forward(ctx: Any, compute: Callable, images: Tensor, eps: Tensor, *parameters: Tensor) -> StepLoss:
        loss, ctx.gradients = compute(_Weights(*parameters), images, eps)
        ctx.mark_non_differentiable(*loss[1:])
        return loss

    @staticmethod
    def backward(ctx: Any, *outputs: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        return None, None, None, *[gradient.mul_(outputs[0]) for gradient in ctx.gradients]


class _Shares:
    """Threads that each take a share of a mini-batch, always the same one, so that its memory is near."""

    def __init__(self) -> None:
        threads = torch.get_num_threads()
        count = min(threads, MOST_SHARES)
        self._threads = [ThreadPoolExecutor(1, thread_name_prefix="share") for _ in range(count)]
        for thread in self._threads:
            thread.submit(_compute_with, max(threads // count, 1)).result()
        torch.set_num_threads(threads)  # for every thread that is yet to come

    def of(self, images: Tensor, eps: Tensor) -> list[tuple[Tensor, Tensor]]:
        """A mini-batch in parts, at least one for each thread as long as there are images."""
        parts = max(len(self._threads), math.ceil(len(images) / MOST_IMAGES))
        return list(zip(images.chunk(parts), eps.chunk(parts), strict=True))

    def map(self, function: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
        """The function's results in the items' order."""
        threads = len(self._threads)
        waiting = [self._threads[i % threads].submit(function, item) for i, item in enumerate(items)]
        return [result.result() for result in waiting]


def _compute_with(threads: int) -> None:
    """Sets how many threads this one computes with. The question first: PyTorch gives a thread the common
    number when it first asks, and would undo what was set before."""
    torch.get_num_threads()
    torch.set_num_threads(threads)


class _Weights(NamedTuple):
    """The parameters of a `VAE`, in their order."""

    conv1: Tensor  # (32, 1, 3, 3)
    conv1_bias: Tensor
    conv2: Tensor  # (64, 32, 3, 3)
    conv2_bias: Tensor
    posterior: Tensor  # (2K, 3136)
    posterior_bias: Tensor
    project: Tensor  # (3136, K)
    project_bias: Tensor
    tconv1: Tensor  # (64, 64, 3, 3)
    tconv1_bias: Tensor
    tconv2: Tensor  # (64, 32, 3, 3)
    tconv2_bias: Tensor
    tconv3: Tensor  # (32, 1, 3, 3)
    tconv3_bias: Tensor


class _Tape(NamedTuple):
    """What the way forward leaves for the way back."""

    batch: Tensor  # (N, 1, 28, 28) in [0, 1]
    eps: Tensor  # (N, K)
    features1: Tensor  # (N, 32, 14, 14)
    features2: Tensor  # (N, 64, 7, 7)
    mean: Tensor  # (N, K)
    log_variance: Tensor  # (N, K)
    z: Tensor  # (N, K)
    hidden0: Tensor  # (N, 64, 7, 7)
    hidden1: Tensor  # (N, 64, 14, 14)
    hidden2: Tensor  # (N, 32, 28, 28)
    reconstruction: Tensor  # (N, 1, 28, 28) in [0, 1]
    error: Tensor  # the squared error, or the cross-entropy in nats, summed over images and pixels


@torch.no_grad()
def _forward(weights: _Weights, images: Tensor, eps: Tensor, likelihood: str) -> _Tape:
    """Images, uint8 (N, 28, 28), through encoder, sampling and decoder."""
    batch = as_batch(images).to(weights.conv1.dtype)
    features1 = F.conv2d(batch, weights.conv1, weights.conv1_bias, stride=2, padding=1).relu_()
    features2 = F.conv2d(features1, weights.conv2, weights.conv2_bias, stride=2, padding=1).relu_()
    posterior = F.linear(features2.flatten(1), weights.posterior, weights.posterior_bias)  # (N, 2K)
    mean, log_variance = posterior.chunk(2, dim=1)
    z = reparameterize(mean, log_variance, eps)
    hidden0 = _channels_last(F.linear(z, weights.project, weights.project_bias))
    hidden1 = F.conv_transpose2d(hidden0, weights.tconv1, weights.tconv1_bias, 2, 1, 1).relu_()
    hidden2 = F.conv_transpose2d(hidden1, weights.tconv2, weights.tconv2_bias, 2, 1, 1).relu_()
    # One output channel is too few for the convolution's kernels. What each pixel gives to its nine
    # neighbours is a matrix product; `fold` adds it up in place.
    rows = hidden2.permute(0, 2, 3, 1).flatten(1, 2)  # (N, 784, 32), no copy where channels are last
    given = weights.tconv3.flatten(1).T @ rows.transpose(1, 2)  # (N, 9, 784)
    logits = F.fold(given, (IMAGE_SIZE, IMAGE_SIZE), kernel_size=3, padding=1)  # (N, 1, 28, 28)
    reconstruction = logits.add_(weights.tconv3_bias).sigmoid_()
    if likelihood == "bernoulli":
        error = cross_entropy(reconstruction, batch).sum()
    else:
        error = F.mse_loss(reconstruction, batch, reduction="sum")
    return _Tape(
        batch, eps, features1, features2, mean, log_variance, z,
        hidden0, hidden1, hidden2, reconstruction, error,
    )  # fmt: skip


@torch.no_grad()
def _backward(
    weights: _Weights, tape: _Tape, likelihood: str, beta: float, count: int, slope: float | Tensor
) -> list[Tensor]:
    """This share's part of every parameter's gradient.

    Args:
        count: images of the whole mini-batch, over which the loss is averaged.
        slope: the loss's derivative by a pixel (by its logit under the "bernoulli" likelihood), for each
            unit by which the reconstruction is too bright.
    """
    by_logit = tape.reconstruction - tape.batch
    if likelihood != "bernoulli":  # whose cross-entropy cancels the sigmoid's derivative
        by_logit.mul_(tape.reconstruction).mul_(1 - tape.reconstruction)
    by_logit.mul_(slope)  # (N, 1, 28, 28)
    tconv3 = _by_kernel(by_logit, tape.hidden2, weights.tconv3, stride=1, transposed=True)
    # Back through a transposed convolution is the convolution with the same kernel.
    by_hidden2 = _where_active(F.conv2d(by_logit, weights.tconv3, padding=1), tape.hidden2)
    tconv2 = _by_kernel(by_hidden2, tape.hidden1, weights.tconv2, stride=2, transposed=True)
    by_hidden1 = F.conv2d(by_hidden2, weights.tconv2, stride=2, padding=1)
    by_hidden1 = _where_active(by_hidden1, tape.hidden1)
    tconv1 = _by_kernel(by_hidden1, tape.hidden0, weights.tconv1, stride=2, transposed=True)
    by_hidden0 = F.conv2d(by_hidden1, weights.tconv1, stride=2, padding=1).flatten(1)  # (N, 3136)

    by_z = by_hidden0 @ weights.project  # (N, K)
    deviation = torch.exp(0.5 * tape.log_variance)
    by_mean = by_z + beta / count * tape.mean
    by_log_variance = 0.5 * (by_z * deviation * tape.eps + beta / count * (deviation.square() - 1))
    by_posterior = torch.cat([by_mean, by_log_variance], dim=1)  # (N, 2K)

    by_features2 = _where_active(_channels_last(by_posterior @ weights.posterior), tape.features2)
    conv2 = _by_kernel(by_features2, tape.features1, weights.conv2, stride=2)
    by_features1 = F.conv_transpose2d(by_features2, weights.conv2, None, 2, 1, 1)
    by_features1 = _where_active(by_features1, tape.features1)
    conv1 = _by_kernel(by_features1, tape.batch, weights.conv1, stride=2)
    return [
        conv1, _by_bias(by_features1),
        conv2, _by_bias(by_features2),
        by_posterior.T @ tape.features2.flatten(1), by_posterior.sum(0),
        by_hidden0.T @ tape.z, by_hidden0.sum(0),
        tconv1, _by_bias(by_hidden1),
        tconv2, _by_bias(by_hidden2),
        tconv3, _by_bias(by_logit),
    ]  # fmt: skip


def _by_kernel(
    by_output: Tensor, layer_input: Tensor, kernel: Tensor, stride: int, transposed=False
) -> Tensor:
    """The gradient of a convolution's kernel alone: the bias's, made with it, would cost as much again."""
    output_padding = stride - 1 if transposed else 0
    _, by_kernel, _ = torch.ops.aten.convolution_backward(
        by_output, layer_input, kernel, None, [stride, stride], [1, 1], [1, 1], transposed,
        [output_padding, output_padding], 1, [False, True, False],
    )  # fmt: skip
    return by_kernel


def _by_bias(by_output: Tensor) -> Tensor:
    """(N, C, height, width) to (C,)."""
    return by_output.sum((0, 2, 3))


def _where_active(by_output: Tensor, output: Tensor) -> Tensor:
    """Back through a ReLU, in place: nothing passes where its output is zero."""
    return torch.ops.aten.threshold_backward.grad_input(by_output, output, 0, grad_input=by_output)


def _channels_last(flat: Tensor) -> Tensor:
    """(N, 3136) to (N, 64, 7, 7) with a pixel's channels side by side, as the convolutions like them."""
    return flat.view(-1, 64, 7, 7).contiguous(memory_format=torch.channels_last)
