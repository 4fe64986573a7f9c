"""The reference recipe, line by line: what the MathWorks example does, and what this code does.

The example's side are facts of "Train Variational Autoencoder (VAE) to Generate Images", or a few lines of
NumPy with its formulas. Our side is computed from the code that trains, measures and generates: nothing of
it is written down here.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import zip_longest

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vae_core.data import HOW_TO_GET_ALL, Dataset, ImageSet
from vae_core.engine.adam import Adam
from vae_core.engine.devices import choose_device
from vae_core.engine.gradients import TrainingLoss
from vae_core.engine.training_state import TrainingState, new_state
from vae_core.evaluation import BATCH, evaluate
from vae_core.generation import GENERATED_IMAGES
from vae_core.images import IMAGE_SIZE
from vae_core.inference import decode_latents, sample_latents
from vae_core.loss import elbo_loss, reconstruction_loss
from vae_core.model import VAE, as_batch, count_parameters
from vae_core.pictures import GAP, square_tiles
from vae_core.settings import PRESETS, Settings
from vae_core.training import learning_rate_at, shuffled_batches

MNIST_TRAINING_IMAGES = 60_000
TOLERANCE = 1e-4
"""Relative: two computations in single precision agree to this."""
ENCODER = (
    "convolution 3x3, 32 filters, stride 2 → 14x14x32, 320 parameters",
    "ReLU",
    "convolution 3x3, 64 filters, stride 2 → 7x7x64, 18,496 parameters",
    "ReLU",
    "fully connected → 32, 100,384 parameters",
)
DECODER = (
    "fully connected → 3,136, 53,312 parameters",
    "reshape → 7x7x64",
    "transposed convolution 3x3, 64 filters, stride 2 → 14x14x64, 36,928 parameters",
    "ReLU",
    "transposed convolution 3x3, 32 filters, stride 2 → 28x28x32, 18,464 parameters",
    "ReLU",
    "transposed convolution 3x3, 1 filter, stride 1 → 28x28x1, 289 parameters",
    "sigmoid",
)
ODD_ONE_LAST = "0 above and left, 1 below and right"
"""Where MATLAB's "same" adds, or crops, an odd number of rows and columns."""


@dataclass(frozen=True)
class Line:
    """One line of the table.

    Attributes:
        part: of the recipe, such as "encoder".
        what: is compared.
        mathworks: what the example does, or its formula gives.
        here: what this code does.
        agrees: whether that is the same.
        note: why it differs, or how it was seen to agree.
    """

    part: str
    what: str
    mathworks: str
    here: str
    agrees: bool
    note: str = ""


def parity(dataset: Dataset) -> list[Line]:
    """The whole table, with the data at hand; takes a second or two.

    Args:
        dataset: at least one mini-batch of training images, and some test images.
    """
    settings = PRESETS["reference"]
    state = new_state(settings, torch.device("cpu"))
    with torch.no_grad():
        return [
            *_data(dataset),
            *_encoder(state.model),
            *_sampling(state.model),
            *_decoder(state.model),
            *_size(state.model),
            *_loss(state.model, settings, dataset.train),
            *_training(state, settings, len(dataset.train)),
            *_test(state.model, dataset.test),
            *_generation(state.model),
        ]


def compared(part: str, what: str, mathworks: str, here: str, note: str = "") -> Line:
    """A line whose two sides agree if they read the same."""
    return Line(part, what, mathworks, here, mathworks == here, note)


def _near(part: str, what: str, mathworks: float, here: float | Tensor, note: str = "") -> Line:
    """A line whose two sides are numbers computed independently."""
    agrees = _is_near(mathworks, float(here))
    return Line(part, what, f"{mathworks:.4f}", f"{float(here):.4f}", agrees, note)


def _is_near(one: float, other: float) -> bool:
    return math.isclose(one, other, rel_tol=TOLERANCE)


def _data(dataset: Dataset) -> Iterator[Line]:
    yield compared(
        "data", "name", "MNIST", dataset.train.name, HOW_TO_GET_ALL if dataset.train.is_sample else ""
    )
    yield compared("data", "training images", "60,000", f"{len(dataset.train):,}")
    yield compared("data", "test images", "10,000", f"{len(dataset.test):,}")
    black_and_white = torch.tensor([0, 255], dtype=torch.uint8)[:, None, None].expand(
        2, IMAGE_SIZE, IMAGE_SIZE
    )
    batch = as_batch(black_and_white)
    shape = "x".join(map(str, (*batch.shape[2:], batch.shape[1])))
    scaled = f"{shape}, grey values 0 to 255 become {batch[0].max():g} to {batch[1].min():g}"
    yield compared("data", "image", "28x28x1, grey values 0 to 255 become 0 to 1", scaled)


def _encoder(model: VAE) -> Iterator[Line]:
    images = torch.rand(2, 1, IMAGE_SIZE, IMAGE_SIZE, generator=torch.Generator().manual_seed(0))
    yield from _layers("encoder", ENCODER, model.encoder, images)
    mean, log_variance = model.encode(images)
    halves = torch.equal(torch.cat([mean, log_variance], dim=1), model.encoder(images))
    split = f"mean {mean.shape[1]}, then log-variance {log_variance.shape[1]}" if halves else "otherwise"
    yield compared("encoder", "split", "mean 16, then log-variance 16", split)
    convolution = next(layer for layer in model.encoder if isinstance(layer, nn.Conv2d))
    before, size = int(convolution.padding[0]), convolution(images).shape[-1]
    after = (size - 1) * convolution.stride[0] + convolution.kernel_size[0] - IMAGE_SIZE - before
    weight, bias = convolution.weight.flip(2, 3), convolution.bias
    matlab = F.conv2d(F.pad(images.flip(2, 3), (0, 1, 0, 1)), weight, bias, stride=2).flip(2, 3)
    yield compared(
        "encoder", "padding", ODD_ONE_LAST, _rows(before, after), _mirrored(matlab, convolution(images))
    )


def _decoder(model: VAE) -> Iterator[Line]:
    noise = torch.Generator().manual_seed(0)
    yield from _layers("decoder", DECODER, model.decoder, torch.randn(2, model.latent_dim, generator=noise))
    layer = next(layer for layer in model.decoder if isinstance(layer, nn.ConvTranspose2d))
    small = torch.rand(2, layer.in_channels, 7, 7, generator=noise)
    whole = F.conv_transpose2d(small.flip(2, 3), layer.weight.flip(2, 3), layer.bias, stride=2)
    before = int(layer.padding[0])
    after = whole.shape[-1] - layer(small).shape[-1] - before
    matlab = whole[:, :, :-1, :-1].flip(2, 3)
    yield compared("decoder", "cropping", ODD_ONE_LAST, _rows(before, after), _mirrored(matlab, layer(small)))


def _layers(part: str, expected: tuple[str, ...], layers: nn.Sequential, inputs: Tensor) -> Iterator[Line]:
    """A line for each layer, with the shape that comes out of it. MATLAB's fully connected layer flattens."""
    found = []
    for layer in layers:
        inputs = layer(inputs)
        if not isinstance(layer, nn.Flatten):
            found.append(_in_words(layer, inputs))
    for number, (mathworks, here) in enumerate(zip_longest(expected, found, fillvalue="nothing"), start=1):
        yield compared(part, f"layer {number}", mathworks, here)


def _in_words(layer: nn.Module, output: Tensor) -> str:
    """Such as "convolution 3x3, 32 filters, stride 2 → 14x14x32, 320 parameters"."""
    shape = "x".join(f"{size:,}" for size in (*output.shape[2:], output.shape[1]))
    words = type(layer).__name__
    if isinstance(layer, (nn.ReLU, nn.Sigmoid)):
        return {"Sigmoid": "sigmoid"}.get(words, words)
    if isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d)):
        kind = "convolution" if isinstance(layer, nn.Conv2d) else "transposed convolution"
        filters = f"{layer.out_channels} filter{'s' if layer.out_channels > 1 else ''}"
        words = f"{kind} {'x'.join(map(str, layer.kernel_size))}, {filters}, stride {layer.stride[0]}"
    words = {"Linear": "fully connected", "Unflatten": "reshape"}.get(words, words)
    parameters = count_parameters(layer)
    return f"{words} → {shape}" + (f", {parameters:,} parameters" if parameters else "")


def _rows(before: int, after: int) -> str:
    return f"{before} above and left, {after} below and right"


def _mirrored(matlab: Tensor, ours: Tensor) -> str:
    """The note that explains the difference, if it is one of a mirror's only."""
    if not torch.allclose(matlab, ours, atol=1e-5):
        return ""
    return (
        "The same layer seen in a mirror: MATLAB's, with images and weights turned by 180 degrees, gives "
        f"what ours gives (largest difference {(matlab - ours).abs().max():.0e})."
    )


def _size(model: VAE) -> Iterator[Line]:
    encoder, decoder = count_parameters(model.encoder), count_parameters(model.decoder)
    here = f"{encoder:,} + {decoder:,} = {count_parameters(model):,}"
    yield compared("size", "learnable parameters", "119,200 + 108,993 = 228,193", here)
    layers = [
        layer for layer in model.modules() if isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d, nn.Linear))
    ]
    fills = [_share_of_glorot(layer.weight) for layer in layers]
    fit = all(0.9 < reach <= 1 and abs(spread - 1) < 0.1 for reach, spread in fills)
    bias = max(float(layer.get_parameter("bias").abs().max()) for layer in layers)
    first = f"{'Glorot-uniform' if fit else 'other'} weights, biases {bias:g}"
    note = (
        f"Weights reach {min(reach for reach, _ in fills):.1%} or more of Glorot's bound, and never pass it."
    )
    yield compared("size", "before training", "Glorot-uniform weights, biases 0", first, note if fit else "")


def _share_of_glorot(weight: Tensor) -> tuple[float, float]:
    """The largest weight and the deviation, as shares of what Glorot and Bengio (2010), eq. 16, give."""
    field = weight[0, 0].numel() if weight.dim() == 4 else 1
    bound = math.sqrt(6 / (field * (weight.shape[0] + weight.shape[1])))
    return float(weight.abs().max()) / bound, float(weight.std()) / (bound / math.sqrt(3))


def _sampling(model: VAE) -> Iterator[Line]:
    mean, log_variance = torch.randn(2, 128, model.latent_dim, generator=torch.Generator().manual_seed(0))
    model.eval()
    ours = model.sample(mean, log_variance, torch.Generator().manual_seed(1)).numpy()
    eps = torch.randn(mean.shape, generator=torch.Generator().manual_seed(1)).numpy()
    formula = mean.numpy() + np.exp(log_variance.numpy() / 2) * eps
    off = float(np.abs(ours - formula).max())
    words = (
        f"the same for {ours.size:,} numbers, within {off:.0e}"
        if off < TOLERANCE
        else f"up to {off:.2g} away"
    )
    yield Line("sampling", "formula", "mean + exp(log-variance / 2) · eps", words, off < TOLERANCE)
    again = model.sample(mean, log_variance).numpy()
    anew = "drawn anew" if np.abs(again - ours).mean() > TOLERANCE else "not drawn"
    model.train()
    yield compared("sampling", "in prediction", "drawn anew", anew)


def _loss(model: VAE, settings: Settings, train: ImageSet) -> Iterator[Line]:
    """On a fixed mini-batch: the first images, and noise of a fixed seed."""
    pixels = torch.from_numpy(np.array(train.images[: settings.batch_size]))
    images = as_batch(pixels)
    mean, log_variance = model.encode(images)
    eps = torch.randn(mean.shape, generator=torch.Generator().manual_seed(0))
    decoded = model.decode(mean + torch.exp(log_variance / 2) * eps)
    ours = elbo_loss(decoded, images, mean, log_variance, settings.beta, settings.likelihood)

    x, y, m, v = (tensor.double().numpy() for tensor in (images, decoded, mean, log_variance))
    squared = ((y - x) ** 2).sum() / (2 * len(x))
    kl = -0.5 * (1 + v - m**2 - np.exp(v)).sum() / len(x)

    note = f"In nats per image, on the first {len(x)} training images, before any training."
    yield _near("loss", "sum((y − x)²) / (2 N)", squared, ours.reconstruction, note)
    yield _near("loss", "KL = −½ Σ (1 + log σ² − μ² − σ²)", kl, ours.kl)
    for what, found in (
        ("ELBO loss", ours),
        ("in a training step", TrainingLoss(model, settings)(pixels, eps)),
    ):
        numbers = [float(found.reconstruction), float(found.kl), float(found.total)]
        expected = [squared, kl, squared + kl]
        agrees = all(map(_is_near, expected, numbers))
        yield Line(
            "loss",
            what,
            "{:.4f} + {:.4f} = {:.4f}".format(*expected),
            "{:.4f} + {:.4f} = {:.4f}".format(*numbers),
            agrees,
        )
    times = reconstruction_loss(decoded, images, settings.likelihood) / F.mse_loss(decoded, images)
    yield _near(
        "loss", "times PyTorch's mse_loss", 784 / 2, times, "Averaged over pixels, the KL term would win."
    )


def _steps_as_adam(adam: Adam) -> bool:
    """Whether two steps of a weight are those of Kingma and Ba (2015), algorithm 1, with these constants."""
    weight = torch.zeros((), requires_grad=True)
    ours = type(adam)([weight], 0.1)
    ours.betas, ours.eps = adam.betas, adam.eps
    (decay, square), expected, momentum, second = adam.betas, 0.0, 0.0, 0.0
    for step, gradient in enumerate((1.0, -3.0), start=1):
        weight.grad = torch.tensor(gradient)
        ours.step()
        momentum = decay * momentum + (1 - decay) * gradient
        second = square * second + (1 - square) * gradient**2
        scale = math.sqrt(second / (1 - square**step)) + adam.eps
        expected -= 0.1 * momentum / (1 - decay**step) / scale
    return _is_near(expected, float(weight))


def _training(state: TrainingState, settings: Settings, count: int) -> Iterator[Line]:
    adam = state.optimizer
    (decay, square), name = adam.betas, "Adam" if _steps_as_adam(adam) else "another than Adam"
    trained = sum(parameter.numel() for parameter in adam.state)
    constants = f"{name}: {decay:g}, {square:g}, {adam.eps:g}, weight decay {adam.weight_decay:g}"
    yield compared("training", "optimiser", "Adam: 0.9, 0.999, 1e-08, weight decay 0", constants)
    yield compared("training", "parameters it trains", "228,193", f"{trained:,}")
    batches, again = (
        list(shuffled_batches(MNIST_TRAINING_IMAGES, settings, epoch, torch.device("cpu")))
        for epoch in (0, 1)
    )
    last = settings.epochs * len(batches) - 1
    rates = {learning_rate_at(settings, iteration, len(batches)) for iteration in (0, last // 2, last)}
    rate = " and ".join(f"{rate:g}" for rate in sorted(rates))
    yield compared("training", "learning rate", "0.001 throughout", f"{rate} throughout")
    sizes = ", ".join(str(size) for size in sorted({len(batch) for batch in batches}))
    used = sum(len(batch) for batch in batches)
    yield compared(
        "training",
        "mini-batches",
        "of 128: 59,904 of 60,000 images",
        f"of {sizes}: {used:,} of 60,000 images",
    )
    here = settings.iterations_per_epoch(count)
    note = "" if count == MNIST_TRAINING_IMAGES else f"With the {count:,} images here it is {here}."
    yield compared("training", "iterations an epoch, of 60,000 images", "468", str(len(batches)), note)
    yield compared("training", "epochs", "30", str(settings.epochs))
    orders = [torch.cat(order) for order in (batches, again)]
    is_new = not torch.equal(*orders) and all(len(order.unique()) == len(order) for order in orders)
    yield compared(
        "training", "order", "shuffled every epoch", "shuffled every epoch" if is_new else "not shuffled anew"
    )
    gpu, device = torch.cuda.is_available(), choose_device(settings.device).type
    where = {"cpu": "the CPU, as there is no GPU" if not gpu else "the CPU", "cuda": "the GPU"}[device]
    yield compared("training", "where", "the GPU" if gpu else "the CPU, as there is no GPU", where)


def _test(model: VAE, test: ImageSet) -> Iterator[Line]:
    some = ImageSet(test.images[: BATCH + 1], test.labels[: BATCH + 1], test.name, test.source)
    measured = evaluate(model, some, seed=0).errors
    errors, noise = [], torch.Generator().manual_seed(0)
    for start in range(0, len(some), BATCH):
        x = as_batch(torch.from_numpy(np.array(some.images[start : start + BATCH])))
        mean, log_variance = model.encode(x)
        z = mean + torch.exp(log_variance / 2) * torch.randn(mean.shape, generator=noise)
        errors.extend(((model.decode(z) - x).double().numpy() ** 2).reshape(-1, 784).sum(axis=1) / 784)
    every = f"kept: {len(some)} of {len(some)} images"
    yield compared("test", "a partial mini-batch", every, f"kept: {len(measured)} of {len(some)} images")
    note = f"The mean over {len(some)} test images, before any training."
    yield _near(
        "test",
        "error of an image: squared, mean of 784 pixels",
        float(np.mean(errors)),
        measured.mean(),
        note,
    )


def _generation(model: VAE) -> Iterator[Line]:
    images = decode_latents(model, sample_latents(model.latent_dim, GENERATED_IMAGES, seed=0))
    rows, columns = ((edge + GAP) // (IMAGE_SIZE + GAP) for edge in square_tiles(images).shape)
    tiled = f"{len(images)} images, tiled {rows} by {columns}"
    yield compared("generation", "figure", "64 images, tiled 8 by 8", tiled)
    many = sample_latents(model.latent_dim, 16_384, seed=0)
    moments = f"N(0, I): mean {abs(many.mean()):.2f}, deviation {many.std():.2f}"
    yield compared("generation", "latent vectors", "N(0, I): mean 0.00, deviation 1.00", moments)
