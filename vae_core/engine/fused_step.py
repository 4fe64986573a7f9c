"""A whole training step on a GPU, by the kernels of `kernels.py`: loss, gradients and Adam's step.

What `gradients.py` is for the CPU: the chain rule written out, here so that a layer is one kernel each way.
The weights, their gradients and Adam's moments lie one after the other in memory, so that a step of all of
them is one kernel too; SOAP's steps are made by `soap.py`, as everywhere.
"""

from __future__ import annotations

import contextlib
import importlib.util
import itertools
import math
import os
import warnings
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from vae_core.engine.adam import MOMENTS
from vae_core.engine.gradients import StepLoss
from vae_core.engine.training_state import TrainingState, new_state
from vae_core.errors import SlowerWarning
from vae_core.images import IMAGE_SIZE, PIXELS
from vae_core.loss import LOG_TWO_PI, SMALLEST_VARIANCE
from vae_core.settings import Settings

if TYPE_CHECKING:
    from types import ModuleType

SWITCH = "VAE_STUDIO_TRITON"
"""In the environment; 0 makes every step by cuDNN and autograd."""
ALIGNMENT = 32
"""Numbers between two parameters' beginnings in memory are a multiple of this."""
ROWS = 64
"""Pixels that a program works on at a time."""
FEW_ROWS = 16
"""As ROWS, for `spread` from a 7x7 map: few small pixels, each of which gives four."""
SHARES, PIXEL_SHARES = 64, 256
"""Parts in which the gradient of a kernel is added up, and that of one beside a picture."""
ADDED_ROWS, ADDED_COLUMNS = 64, 16
"""Rows and columns of the parts that a program adds up at a time."""
UPDATED = 1024
"""Weights that a program brings up to date."""


def fused_step(state: TrainingState, settings: Settings, images: Tensor) -> FusedStep | None:
    """The fused step of a training, where its kernels can be had: its arguments are `FusedStep`'s.

    Warns:
        SlowerWarning: there is a Triton that cannot be used for this GPU, and why.
    """
    device = images.device
    if not _is_for(device):
        return None
    try:  # by a step that is thrown away, as no smaller one says whether every kernel compiles and fits
        indices = torch.zeros(settings.batch_size, dtype=torch.int64, device=device)
        eps = torch.zeros(settings.batch_size, settings.latent_dim, device=device)
        FusedStep(new_state(settings, device), settings, images)(indices, eps)
        torch.cuda.synchronize(device)
    except Exception as error:  # whatever a compiler that is missing or broken makes of it
        reason = str(error).partition("\n")[0]
        warnings.warn(
            f"training goes by cuDNN's slower kernels, as Triton cannot be used here ({reason})",
            SlowerWarning,
            stacklevel=2,
        )
        return None
    return FusedStep(state, settings, images)


def _is_for(device: torch.device) -> bool:
    """Whether the kernels are made for such a device, and wanted: an NVIDIA GPU that multiplies in TF32."""
    return (
        device.type == "cuda"
        and torch.version.hip is None
        and torch.cuda.get_device_capability(device) >= (8, 0)
        and importlib.util.find_spec("triton") is not None
        and os.environ.get(SWITCH) != "0"
    )


def _kernels() -> ModuleType:
    """Imported late: where there is no GPU, there may be no Triton."""
    from vae_core.engine import kernels

    return kernels


class _Layer(NamedTuple):
    """A convolution at stride 2 between a small map and a large one, see `kernels.py`."""

    size: int
    """The small map's height and width."""
    small: int
    large: int
    """Channels of the maps."""
    planes: bool
    """Whether the small map's channels are apart in memory, as the linear layers have them."""
    transposed: bool
    """Whether the layer goes from the small map to the large one."""


LAYERS = {
    "encoder.2": _Layer(7, 64, 32, planes=True, transposed=False),
    "decoder.2": _Layer(7, 64, 64, planes=True, transposed=True),
    "decoder.4": _Layer(14, 64, 32, planes=False, transposed=True),
}


class _PictureLayer(NamedTuple):
    """A convolution between pictures and a map of `CHANNELS` channels."""

    size: int
    """The map's height and width."""
    stride: int
    scale: float
    """What the pictures' values are multiplied by."""


PICTURE_LAYERS = {"encoder.0": _PictureLayer(14, 2, 1 / 255), "decoder.6": _PictureLayer(IMAGE_SIZE, 1, 1.0)}
CHANNELS = 32


class FusedStep:
    """Makes the training steps of a state: its model's weights and its optimisers' moments change in place.

    Args:
        state: begun by `new_state` on a GPU, or loaded since. With Adam alone its parameters and moments are
            moved in memory, once, here.
        settings: of which likelihood, beta and latents matter here.
        images: uint8 (M, 28, 28), on the state's device and contiguous, as are `indices` and `eps`.
    """

    def __init__(self, state: TrainingState, settings: Settings, images: Tensor) -> None:
        self._kernels = _kernels()
        self._images = images
        self._likelihood, self._beta = settings.likelihood, settings.beta
        self._latents = settings.latent_dim
        # No layer waits for a kernel's gradient, and one map fills no GPU.
        self._side = torch.cuda.Stream(images.device) if images.is_cuda else None
        self._weights = dict(state.model.named_parameters())
        places = _Places(self._weights)
        memory = places.zeros()
        self._gradients = places.views(memory)
        is_adam_alone = state.soap is None
        self._optimizers = [_FlatAdam(state, places, memory)] if is_adam_alone else state.optimizers()
        for name, parameter in self._weights.items():
            parameter.grad = self._gradients[name]

    @torch.no_grad()
    def __call__(self, indices: Tensor, eps: Tensor) -> StepLoss:
        """The step of the images at `indices`, int64 (N,), with the noise eps, float (N, K); its loss."""
        with torch.cuda.device(indices.device) if indices.is_cuda else contextlib.nullcontext():
            with _tf32():
                loss = self._loss(indices, eps)
            self._update()
        return loss

    def _update(self) -> None:
        """Moves the weights along their gradients."""
        for optimizer in self._optimizers:
            optimizer.step()

    def _loss(self, indices: Tensor, eps: Tensor) -> StepLoss:
        """Leaves its gradients in `_gradients`."""
        count, weights = len(indices), self._weights
        of_latents = (self._latents, 1 << (self._latents - 1).bit_length())

        # Maps are (N, height * width, channels), those of 7x7 (N, channels, height * width).
        features1 = self._gather_pixels("encoder.0", self._images, indices)
        features2 = self._gather("encoder.2", features1, forward=True)
        posterior = torch.addmm(
            weights["encoder.5.bias"], features2.flatten(1), weights["encoder.5.weight"].T
        )
        z, divergence = torch.empty_like(eps), eps.new_empty(count)
        self._kernels.sample[(count,)](posterior, eps, z, divergence, *of_latents)
        hidden0 = torch.addmm(weights["decoder.0.bias"], z, weights["decoder.0.weight"].T).view(count, 64, -1)
        hidden1 = self._spread("decoder.2", hidden0, forward=True)
        hidden2 = self._spread("decoder.4", hidden1, forward=True)
        by_logit, error = self._reconstruct(hidden2, indices)
        reconstruction = self._reconstruction_loss(error, by_logit)
        kl = divergence.mean()

        with self._beside():
            self._outer_pixels("decoder.6", hidden2, by_logit)
        by_hidden2 = self._gather_pixels("decoder.6", by_logit, outputs=hidden2)
        with self._beside():
            self._outer("decoder.4", hidden1, by_hidden2)
        by_hidden1 = self._gather("decoder.4", by_hidden2, outputs=hidden1)
        with self._beside():
            self._outer("decoder.2", hidden0, by_hidden1)
        by_hidden0 = self._gather("decoder.2", by_hidden1).flatten(1)
        with self._beside():
            self._outer_linear("decoder.0", by_hidden0, z)
        by_z = by_hidden0 @ weights["decoder.0.weight"]
        by_posterior = torch.empty_like(posterior)
        self._kernels.back_through_sample[(count,)](
            posterior, eps, by_z, by_posterior, self._beta / count, *of_latents
        )
        with self._beside():
            self._outer_linear("encoder.5", by_posterior, features2.flatten(1))
        by_features2 = (by_posterior @ weights["encoder.5.weight"]).view_as(features2)
        by_features2 = torch.ops.aten.threshold_backward(by_features2, features2, 0)
        with self._beside():
            self._outer("encoder.2", by_features2, features1)
        by_features1 = self._spread("encoder.2", by_features2, outputs=features1)
        self._outer_pixels("encoder.0", by_features1, self._images, indices)
        self._join()

        mean, log_variance = posterior.chunk(2, dim=1)
        return StepLoss(reconstruction + self._beta * kl, reconstruction, kl, mean, log_variance)

    @contextlib.contextmanager
    def _beside(self) -> Iterator[None]:
        """Work that nothing waits for before `_join`. What it reads must be kept until then."""
        if self._side is None:
            yield
            return
        self._side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self._side):
            yield

    def _join(self) -> None:
        if self._side is not None:
            torch.cuda.current_stream().wait_stream(self._side)

    def _gather_pixels(
        self, name: str, pixels: Tensor, indices: Tensor | None = None, outputs: Tensor | None = None
    ) -> Tensor:
        """From the pictures of a layer to its other map, (N, pixels, channels): from the images at `indices`,
        or from the last layer's back through the ReLU that gave `outputs`."""
        layer = PICTURE_LAYERS[name]
        count = len(pixels if indices is None else indices)
        rows = count * layer.size**2
        small = torch.empty(count, layer.size**2, CHANNELS, device=pixels.device)
        self._kernels.gather_pixels[(_programs(rows, ROWS),)](
            pixels, pixels if indices is None else indices, *self._parameters_of(name),
            small if outputs is None else outputs, small, rows, layer.scale,
            layer.size, layer.stride, CHANNELS, indices is not None, ROWS,
        )  # fmt: skip
        return small

    def _gather(
        self, name: str, large: Tensor, forward: bool = False, outputs: Tensor | None = None
    ) -> Tensor:
        """From a layer's large map, (N, 4 * pixels, channels), to its small one, (N, pixels, channels) or (N,
        channels, pixels); back through the ReLU that gave `outputs` if any."""
        layer = LAYERS[name]
        places, rows = layer.size**2, len(large) * layer.size**2
        shape = (layer.small, places) if layer.planes else (places, layer.small)
        small = large.new_empty(len(large), *shape)
        self._kernels.gather[(_programs(rows, ROWS),)](
            large, *self._parameters_of(name), small if outputs is None else outputs, small, rows,
            layer.size, 2, layer.small, layer.large, layer.planes, forward, outputs is not None, ROWS,
            num_stages=4,
        )  # fmt: skip
        return small

    def _spread(
        self, name: str, small: Tensor, forward: bool = False, outputs: Tensor | None = None
    ) -> Tensor:
        """From a layer's small map, (N, pixels, channels) or (N, channels, pixels), to its large one, (N, 4 *
        pixels, channels); back through the ReLU that gave `outputs` if any."""
        layer = LAYERS[name]
        rows = len(small) * layer.size**2
        large = small.new_empty(len(small), 4 * layer.size**2, layer.large)
        block = FEW_ROWS if layer.size == 7 else ROWS
        self._kernels.spread[(_programs(rows, block),)](
            small, *self._parameters_of(name), large if outputs is None else outputs, large, rows,
            layer.size, layer.small, layer.large, layer.planes, forward, outputs is not None, block,
        )  # fmt: skip
        return large

    def _reconstruct(self, hidden: Tensor, indices: Tensor) -> tuple[Tensor, Tensor]:
        """The last layer: the loss's derivative by the logits, (N, 784), and the error, a sum."""
        by_logit = hidden.new_empty(hidden.shape[:2])
        programs = _programs(by_logit.numel(), ROWS)
        errors = hidden.new_empty(programs)
        # The calibrated likelihood's slope needs the error of the whole batch.
        slope = 1.0 if self._likelihood == "calibrated" else 1 / len(hidden)
        self._kernels.spread_to_pixels[(programs,)](
            hidden, *self._parameters_of("decoder.6"), self._images, indices, by_logit, errors,
            by_logit.numel(), slope, IMAGE_SIZE, CHANNELS, self._likelihood == "bernoulli", ROWS,
        )  # fmt: skip
        return by_logit, errors.sum()

    def _reconstruction_loss(self, error: Tensor, by_logit: Tensor) -> Tensor:
        """Of the batch, from its summed error; brings `by_logit` to its scale where that depends on it."""
        count = len(by_logit)
        if self._likelihood != "calibrated":
            return error * ((0.5 if self._likelihood == "gaussian" else 1.0) / count)
        variance = error / by_logit.numel()
        by_logit.mul_(torch.where(variance >= SMALLEST_VARIANCE, 1 / (count * variance), 0.0))
        return 0.5 * PIXELS * (variance.clamp_min(SMALLEST_VARIANCE).log() + LOG_TWO_PI + 1)

    def _outer(self, name: str, small: Tensor, large: Tensor) -> None:
        """The gradient of a layer's kernel and bias, from its two maps as `_gather` has them."""
        layer = LAYERS[name]
        columns = 9 * layer.small * layer.large + (layer.large if layer.transposed else layer.small)
        parts = small.new_empty(SHARES, columns)
        self._kernels.outer[(SHARES, 4)](
            small, large, parts, len(small) * layer.size**2,
            layer.size, layer.small, layer.large, layer.planes, layer.transposed, SHARES, ROWS,
            num_stages=1,
        )  # fmt: skip
        self._add_up(parts, self._gradients[f"{name}.weight"])

    def _outer_pixels(self, name: str, small: Tensor, pixels: Tensor, indices: Tensor | None = None) -> None:
        """The same of a layer beside pictures: the images at `indices`, or the last layer's."""
        layer = PICTURE_LAYERS[name]
        parts = small.new_empty(PIXEL_SHARES, 9 * CHANNELS + (1 if indices is None else CHANNELS))
        self._kernels.outer_pixels[(PIXEL_SHARES,)](
            small, pixels, pixels if indices is None else indices, parts, len(small) * layer.size**2,
            layer.scale, layer.size, layer.stride, CHANNELS, indices is not None, PIXEL_SHARES, ROWS,
        )  # fmt: skip
        self._add_up(parts, self._gradients[f"{name}.weight"])

    def _outer_linear(self, name: str, by_output: Tensor, layer_input: Tensor) -> None:
        """The gradient of a linear layer's weight and bias, from (N, outputs) and (N, inputs)."""
        torch.mm(by_output.T, layer_input, out=self._gradients[f"{name}.weight"])
        self._add_up(by_output, self._gradients[f"{name}.bias"])

    def _add_up(self, parts: Tensor, gradient: Tensor) -> None:
        """Sums the rows of (R, C) into a gradient's memory and beyond it: a bias lies after its kernel."""
        rows, columns = parts.shape
        self._kernels.add_up[(_programs(columns, ADDED_COLUMNS),)](
            parts, gradient, rows, columns, ADDED_ROWS, ADDED_COLUMNS
        )

    def _parameters_of(self, name: str) -> tuple[Tensor, Tensor]:
        return self._weights[f"{name}.weight"], self._weights[f"{name}.bias"]


class _Places:
    """Where each parameter of a model has its numbers in a memory that they share, one after the other."""

    def __init__(self, parameters: Mapping[str, Tensor]) -> None:
        self._parameters = parameters
        sizes = [-(-parameter.numel() // ALIGNMENT) * ALIGNMENT for parameter in parameters.values()]
        *self._starts, self._size = itertools.accumulate(sizes, initial=0)

    def zeros(self) -> Tensor:
        """Returns a memory as large as all, of zeros."""
        return torch.zeros(self._size, device=next(iter(self._parameters.values())).device)

    def views(self, memory: Tensor) -> dict[str, Tensor]:
        """Its parts, in their parameters' shapes."""
        items = zip(self._starts, self._parameters.items(), strict=True)
        return {name: _as_parameter(memory[start:], parameter) for start, (name, parameter) in items}


class _FlatAdam:
    """Adam of all parameters at once; its state stays the optimiser's, where it is kept and loaded."""

    def __init__(self, state: TrainingState, places: _Places, gradients: Tensor) -> None:
        self._kernels = _kernels()
        self._gradients = gradients
        self._weights, *self._moments = (places.zeros() for _ in range(3))
        weights, *moments = (places.views(memory) for memory in (self._weights, *self._moments))
        self._steps = torch.zeros(len(weights), device=gradients.device)
        self._adam = state.optimizer
        for number, (name, parameter) in enumerate(state.model.named_parameters()):
            parameter.data = weights[name].copy_(parameter.data)
            moved = {key: views[name] for key, views in zip(MOMENTS, moments, strict=True)}
            moved["step"] = self._steps[number]
            kept = state.optimizer.state[parameter]
            for key, value in kept.items():
                moved[key].copy_(value)
            kept.update(moved)

    def step(self) -> None:
        """Of all parameters, along the gradients."""
        self._steps.add_(1)
        beta1, beta2 = self._adam.betas
        self._kernels.adam[(_programs(len(self._weights), UPDATED),)](
            self._weights, self._gradients, *self._moments, self._steps, self._adam.learning_rate,
            len(self._weights), beta1, beta2, self._adam.eps, math.log2(beta1), math.log2(beta2), UPDATED,
        )  # fmt: skip


@contextlib.contextmanager
def _tf32() -> Iterator[None]:
    """TF32 in the linear layers, as in the convolutions. A caller who has set it by PyTorch's newer names
    keeps that setting: PyTorch refuses the older name from then on."""
    newer = [torch.backends.cuda.matmul, torch.backends.mkldnn.matmul]  # pyright: ignore[reportAttributeAccessIssue]
    try:
        before = torch.get_float32_matmul_precision()
    except RuntimeError:
        yield
        return
    before_newer = [module.fp32_precision for module in newer]
    torch.set_float32_matmul_precision("high")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)
        for module, precision in zip(newer, before_newer, strict=True):  # which the line before changed
            module.fp32_precision = precision


def _as_parameter(memory: Tensor, parameter: Tensor) -> Tensor:
    """The beginning of flat memory in a parameter's shape, a kernel's in the order of `kernels.py`."""
    memory = memory[: parameter.numel()]
    if parameter.dim() < 4:
        return memory.view(parameter.shape)
    a, b, height, width = parameter.shape
    return memory.view(a, height, width, b).permute(0, 3, 1, 2)


def _programs(items: int, block: int) -> int:
    return -(-items // block)
