"""Polygons, whole and hollow, as images of 28x28: a data set that is of no digits."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

FINER = 4


def drawn_shapes(count: int, classes: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Polygons of so many corners more than two as their label says: uint8 (N, 28, 28) and (N,)."""
    random = np.random.default_rng(seed)
    labels = (np.arange(count) % classes).astype(np.uint8)
    return np.stack([_polygon(int(label) + 3, random) for label in labels]), labels


def write_shapes(folder: Path, classes: int, write_idx: Callable[..., None]) -> Path:
    """A folder of IDX files: 600 images to train and 100 to test."""
    folder.mkdir()
    for prefix, count in (("train", 600), ("t10k", 100)):
        write_idx(folder, prefix, *drawn_shapes(count, classes, seed=count))
    return folder


def _polygon(corners: int, random: np.random.Generator) -> np.ndarray:
    picture = Image.new("L", (28 * FINER, 28 * FINER))
    middle, radius = random.uniform(12, 16, 2) * FINER, random.uniform(7, 11) * FINER
    angles = np.linspace(0, 2 * np.pi, corners, endpoint=False) + random.uniform(-0.2, 0.2)
    points = [tuple(middle + radius * np.array([np.cos(angle), np.sin(angle)])) for angle in angles]
    if corners % 2:
        ImageDraw.Draw(picture).polygon(points, fill=255)
    else:
        ImageDraw.Draw(picture).line([*points, points[0]], fill=255, width=10, joint="curve")
    return np.asarray(picture.resize((28, 28), Image.Resampling.BOX))
