"""`data`: which images there are."""

from __future__ import annotations

from vae_core.cli.options import DataDir
from vae_core.cli.output import load


def data(data_dir: DataDir = None) -> None:
    """Find or fetch the data set, verify it, and say what it is."""
    from vae_core.class_words import class_words

    dataset = load(data_dir)
    words = class_words(dataset.train.name)
    classes = [words.name(label) for label in sorted({*dataset.train.labels.tolist()})]
    print(f"{dataset.train.source}")
    if dataset.train.folder is not None:
        print(f"folder: {dataset.train.folder}")
    print(f"training images: {len(dataset.train):,}")
    print(f"test images: {len(dataset.test):,}")
    print(f"classes: {len(classes)} ({', '.join(classes)})")
    print("size: 28x28 pixels, grey, scaled to [0, 1] for training")
