"""How fast training is, beside the loop that everyone writes: both in turns, in one process, as a ratio.

A machine's absolute figures say little to others, and a shared machine's change by the minute; the ratio
of two loops that took turns holds.
"""

from __future__ import annotations

import statistics
import time
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch.utils.data import DataLoader
from torchvision.datasets import VisionDataset
from torchvision.transforms import ToTensor

from vae_core.data import Dataset, ImageSet
from vae_core.engine.cuda_graph import WARM_UP
from vae_core.engine.devices import choose_device, device_in_words
from vae_core.evaluation import evaluate
from vae_core.inference import decode_latents
from vae_core.model import VAE
from vae_core.pictures import png_bytes, to_grey
from vae_core.progress import Progress, untold
from vae_core.settings import Settings
from vae_core.training import full_batches, train

DECODES = 100
"""How often a single latent vector is decoded to see how long that takes."""


@dataclass(frozen=True)
class Benchmark:
    """What was measured: medians over the rounds. The rounds' own figures tell how much they scatter."""

    engine_images_per_second: float
    plain_images_per_second: float
    ratio: float
    """The median of the rounds' own ratios."""
    device: str
    engine_rounds: list[float]
    plain_rounds: list[float]
    evaluation_seconds: float
    """For all test images, sampled and from the mean."""
    evaluation_images: int
    decode_milliseconds: float
    """From a latent vector to the PNG of its digit, on the CPU: the server's part of a slider's way."""
    decode_milliseconds_p95: float
    batch_size: int
    iterations: int
    source: str

    def to_dict(self) -> dict[str, Any]:
        """The fields as plain JSON values."""
        return asdict(self)


class MnistLike(VisionDataset):
    """Images served as `torchvision.datasets.MNIST` serves them: one by one, through PIL and `ToTensor`."""

    def __init__(self, images: ImageSet) -> None:
        super().__init__(root=".", transform=ToTensor())
        self._images = torch.from_numpy(np.array(images.images))
        self._labels = images.labels.tolist()

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        assert self.transform is not None
        return self.transform(Image.fromarray(self._images[index].numpy())), self._labels[index]


def run_benchmark(
    dataset: Dataset,
    device_name: str = "auto",
    rounds: int = 5,
    iterations: int = 60,
    progress: Progress = untold,
) -> Benchmark:
    """Trains the reference recipe by both loops in turns, then times evaluation and decoding.

    Args:
        dataset: what to train on and to evaluate.
        device_name: as in `Settings.device`.
        rounds: how often each loop runs, the engine first.
        iterations: measured mini-batches of each round; those before them that set the loop up are not.
        progress: told how often a loop has run and will: two for each round.

    Raises:
        SettingsError: the device is not there, or there are too few images for a mini-batch.
    """
    settings = Settings(epochs=1, device=device_name)
    device = choose_device(device_name)
    full_batches(settings, len(dataset.train))
    engine, plain = [], []
    for done in range(rounds):
        engine.append(engine_images_per_second(dataset.train, settings, iterations))
        progress(2 * done + 1, 2 * rounds)
        plain.append(plain_images_per_second(dataset.train, device, settings.batch_size, iterations))
        progress(2 * done + 2, 2 * rounds)
    model = VAE().to(memory_format=torch.channels_last).eval()
    milliseconds = _decode_milliseconds(model)
    model = model.to(device)
    start = time.perf_counter()
    evaluate(model, dataset.test)
    return Benchmark(
        engine_images_per_second=statistics.median(engine),
        plain_images_per_second=statistics.median(plain),
        ratio=statistics.median(ours / theirs for ours, theirs in zip(engine, plain, strict=True)),
        device=device_in_words(device),
        engine_rounds=engine,
        plain_rounds=plain,
        evaluation_seconds=time.perf_counter() - start,
        evaluation_images=len(dataset.test),
        decode_milliseconds=statistics.median(milliseconds),
        decode_milliseconds_p95=float(np.percentile(milliseconds, 95)),
        batch_size=settings.batch_size,
        iterations=iterations,
        source=dataset.train.source,
    )


def engine_images_per_second(images: ImageSet, settings: Settings, iterations: int) -> float:
    """The engine's speed from the end of its first step on, reports and all.

    On a GPU from the first report after the step was captured, which is a cost of the start too.
    """
    set_up = 1 if choose_device(settings.device).type == "cpu" else WARM_UP + 1
    reports = train(replace(settings, epochs=10_000), images)
    first = next(report.iteration for report in reports if report.iteration >= set_up)
    start = time.perf_counter()
    done = 0
    for report in reports:
        done = report.iteration - first
        if done >= iterations:
            break
    reports.close()
    return done * settings.batch_size / (time.perf_counter() - start)


def plain_images_per_second(
    images: ImageSet, device: torch.device, batch_size: int, iterations: int
) -> float:
    """The speed of the plain PyTorch loop: the same network and recipe as a tutorial would train them."""
    loader = DataLoader(MnistLike(images), batch_size=batch_size, shuffle=True, drop_last=True)
    model = VAE().to(device)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    done, start, running_loss = -1, 0.0, 0.0
    while done < iterations:
        for batch, _ in loader:
            batch = batch.to(device)
            reconstruction, mean, log_variance = model(batch)
            error = 0.5 * F.mse_loss(reconstruction, batch, reduction="sum") / len(batch)
            kl = -0.5 * torch.sum(1 + log_variance - mean**2 - log_variance.exp()) / len(batch)
            loss = error + kl
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            running_loss += loss.item()
            done += 1
            if done == 0:  # the first step brings half of PyTorch into memory
                start = time.perf_counter()
            if done >= iterations:
                break
    return done * batch_size / (time.perf_counter() - start)


def _decode_milliseconds(model: VAE) -> list[float]:
    """How long each of many single latent vectors takes to become a PNG."""
    vectors = np.random.default_rng(0).standard_normal((DECODES + 1, 1, model.latent_dim), dtype=np.float32)
    times = []
    for vector in vectors:
        start = time.perf_counter()
        png_bytes(to_grey(decode_latents(model, vector))[0])
        times.append(1000 * (time.perf_counter() - start))
    return times[1:]
