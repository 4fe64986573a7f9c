"""A small classifier of MNIST's digits, to judge generated ones by: the Fréchet distance sees through it.

Its weights come with the package; `python -m vae_core.quality.classifier --out FILE` trains them again. It
knows nothing but MNIST's digits, and is of no use for other images.
"""

from __future__ import annotations

import argparse
import functools
import math
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vae_core.data import ImageSet, load_dataset
from vae_core.errors import DataError, RunError, reason_of
from vae_core.model import as_batch
from vae_core.scratch import write_whole

FEATURES = 64
EPOCHS = 8
BATCH_SIZE = 128
PEAK_LEARNING_RATE = 4e-3
LARGEST_SHIFT = 2
"""Training images are moved by up to this many pixels each way, so that a digit's place matters little."""
CHUNK = 1000
WEIGHTS = Path(__file__).parent / "weights" / "digit_classifier.safetensors"


class DigitClassifier(nn.Module):
    """Two convolutions and two fully connected layers: 105,866 parameters."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(  # images (N, 1, 28, 28)
            nn.Conv2d(1, 16, 3, padding=1),  # (N, 16, 28, 28)
            nn.MaxPool2d(2),  # (N, 16, 14, 14)
            nn.ReLU(),
            nn.Conv2d(16, 32, 3, padding=1),  # (N, 32, 14, 14)
            nn.MaxPool2d(2),  # (N, 32, 7, 7)
            nn.ReLU(),
            nn.Flatten(),  # (N, 1568)
            nn.Dropout(0.25),
            nn.Linear(32 * 7 * 7, FEATURES),  # (N, 64)
            nn.ReLU(),
        )
        self.head = nn.Linear(FEATURES, 10)

    def features(self, images: Tensor) -> Tensor:
        """float (N, 1, 28, 28) in [0, 1] to float (N, 64): what the last layer decides from."""
        return self.body(images)

    def forward(self, images: Tensor) -> Tensor:
        """float (N, 1, 28, 28) in [0, 1] to a score for each digit, float (N, 10)."""
        return self.head(self.features(images))


def train_classifier(images: ImageSet, epochs: int = EPOCHS, seed: int = 0) -> DigitClassifier:
    """Trains on all images of a set: Adam, cross-entropy, the learning rate falling to nothing by a cosine.

    Raises:
        DataError: a label is not a digit.
    """
    if int(images.labels.max()) > 9:
        raise DataError(f"a label is {int(images.labels.max())}; the classifier expects digits, 0 to 9")
    pixels = torch.from_numpy(np.array(images.images))
    labels = torch.from_numpy(np.array(images.labels)).long()
    noise = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng(devices=[]):  # dropout draws from the global generator
        torch.manual_seed(seed)
        model = DigitClassifier().to(memory_format=torch.channels_last).train()
        optimizer = torch.optim.Adam(model.parameters(), lr=PEAK_LEARNING_RATE, fused=True)
        steps = epochs * math.ceil(len(pixels) / BATCH_SIZE)
        step = 0
        for _ in range(epochs):
            for indices in torch.randperm(len(pixels), generator=noise).split(BATCH_SIZE):
                for group in optimizer.param_groups:
                    group["lr"] = PEAK_LEARNING_RATE * 0.5 * (1 + math.cos(math.pi * step / steps))
                scores = model(_shifted(as_batch(pixels[indices]), noise))  # (N, 10)
                optimizer.zero_grad(set_to_none=True)
                F.cross_entropy(scores, labels[indices]).backward()
                optimizer.step()
                step += 1
    return model.eval()


def _shifted(batch: Tensor, noise: torch.Generator) -> Tensor:
    """The whole batch moved by the same few pixels; what comes in at the edge is background."""
    down, right = torch.randint(0, 2 * LARGEST_SHIFT + 1, (2,), generator=noise).tolist()
    padded = F.pad(batch, [LARGEST_SHIFT] * 4)  # (N, 1, 32, 32)
    return padded[:, :, down : down + batch.shape[2], right : right + batch.shape[3]]


@torch.inference_mode()
def read_digits(model: DigitClassifier, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What the classifier sees in images.

    Args:
        images: uint8 (N, 28, 28), or float32 (N, 28, 28) in [0, 1].

    Returns:
        features, float64 (N, 64), and the probability of each digit, float64 (N, 10).
    """
    features, probabilities = [], []
    for start in range(0, len(images), CHUNK):
        chunk = torch.from_numpy(np.array(images[start : start + CHUNK]))
        batch = as_batch(chunk) if chunk.dtype == torch.uint8 else chunk.unsqueeze(1)  # (N, 1, 28, 28)
        seen = model.features(batch)
        features.append(seen.double())
        probabilities.append(model.head(seen).double().softmax(dim=1))
    return torch.cat(features).numpy(), torch.cat(probabilities).numpy()


def accuracy(model: DigitClassifier, images: ImageSet) -> float:
    """The share of images whose most probable digit is their label."""
    _, probabilities = read_digits(model, images.images)
    return float((probabilities.argmax(axis=1) == images.labels).mean())


def save_classifier(model: DigitClassifier, path: Path, description: dict[str, str]) -> None:
    """Weights as safetensors, with what they were trained on as metadata; a whole file or none."""
    import safetensors.torch

    weights = {name: value.contiguous() for name, value in model.state_dict().items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, safetensors.torch.save(weights, description))


@functools.cache
def shipped_classifier(path: Path = WEIGHTS) -> DigitClassifier:
    """The trained classifier that comes with the package.

    Raises:
        RunError: the file is not there, or is damaged.
    """
    import safetensors
    import safetensors.torch

    with torch.random.fork_rng(devices=[]):
        model = DigitClassifier()
    try:
        model.load_state_dict(safetensors.torch.load(Path(path).read_bytes()))
    except (OSError, safetensors.SafetensorError, RuntimeError) as error:
        raise RunError(
            f"the digit classifier cannot be read ({reason_of(error)}); install VAE Studio again"
        ) from error
    return model.to(memory_format=torch.channels_last).eval()


def main() -> None:
    """Trains the classifier on the training images, measures it on the test images and writes it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-dir")
    parser.add_argument("--out", type=Path, default=WEIGHTS)
    options = parser.parse_args()
    dataset = load_dataset(options.data_dir)
    model = train_classifier(dataset.train)
    share = accuracy(model, dataset.test)
    description = {
        "data": dataset.train.name,
        "training_images": str(len(dataset.train)),
        "test_images": str(len(dataset.test)),
        "test_accuracy": f"{share:.4f}",
        "epochs": str(EPOCHS),
        "seed": "0",
    }
    save_classifier(model, options.out, description)
    print(f"{dataset.train.source}: {share:.2%} of {len(dataset.test):,} test images read correctly")


if __name__ == "__main__":
    main()
