"""Arrays of grey values to tiled pictures and PNG files."""

from __future__ import annotations

import base64
import io
import math

import numpy as np
from PIL import Image

GAP = 2
"""Pixels between the pictures of a grid: also in ui/static/tiles.js, which lays a button on each."""
FRAME_MILLISECONDS = 60
"""How long each picture of an animation stands; GIF counts in tens."""


def to_grey(images: np.ndarray) -> np.ndarray:
    """float (..., 28, 28) in [0, 1] to uint8, rounded; what is not a number is black."""
    return np.rint(np.clip(np.nan_to_num(images), 0.0, 1.0) * 255).astype(np.uint8)


def tile(images: np.ndarray, columns: int, gap: int = GAP) -> np.ndarray:
    """Lays pictures out in rows, left to right, with black gaps between them.

    Args:
        images: uint8 (N, H, W), N at least 1.
        columns: pictures in a row; the last row may be shorter.
        gap: pixels between pictures.

    Returns:
        uint8 (rows * (H + gap) - gap, columns * (W + gap) - gap).
    """
    count, height, width = images.shape
    columns = min(columns, count)
    rows = -(-count // columns)
    canvas = np.zeros((rows * (height + gap) - gap, columns * (width + gap) - gap), np.uint8)
    for index, image in enumerate(images):
        top, left = index // columns * (height + gap), index % columns * (width + gap)
        canvas[top : top + height, left : left + width] = image
    return canvas


def png_bytes(image: np.ndarray, scale: int = 1) -> bytes:
    """uint8 (H, W) as a PNG file, each pixel `scale` pixels wide and high."""
    picture = Image.fromarray(image)
    if scale > 1:
        picture = picture.resize((picture.width * scale, picture.height * scale), Image.Resampling.NEAREST)
    buffer = io.BytesIO()
    picture.save(buffer, format="PNG")
    return buffer.getvalue()


def data_uri(image: np.ndarray) -> str:
    """A picture, uint8 (H, W) or float in [0, 1], as a PNG that is its own address (RFC 2397)."""
    grey = image if image.dtype == np.uint8 else to_grey(image)
    return "data:image/png;base64," + base64.b64encode(png_bytes(grey)).decode()


def animation_bytes(frames: np.ndarray, kind: str, scale: int = 1) -> bytes:
    """Pictures shown one after the other, without end.

    Args:
        frames: uint8 (T, H, W), T at least 1.
        kind: "gif" or "webp".
        scale: width and height of each pixel.
    """
    shape = (frames.shape[2] * scale, frames.shape[1] * scale)
    first, *others = (
        Image.fromarray(frame).resize(shape, Image.Resampling.NEAREST)
        for frame in np.ascontiguousarray(frames)
    )
    options = {"save_all": True, "append_images": others, "duration": FRAME_MILLISECONDS, "loop": 0}
    buffer = io.BytesIO()
    if kind == "webp":
        first.convert("RGB").save(buffer, "WEBP", lossless=True, **options)
    else:
        first.save(buffer, "GIF", **options)
    return buffer.getvalue()


def square_tiles(images: np.ndarray) -> np.ndarray:
    """float (N, 28, 28) in [0, 1], N at least 1, as one tiled picture about as wide as high: uint8 (H, W)."""
    return tile(to_grey(images), columns=math.ceil(math.sqrt(len(images))))
