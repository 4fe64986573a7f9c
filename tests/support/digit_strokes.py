"""The ten digits as a hand draws them: strokes of points in a unit square, x to the right, y down."""

from __future__ import annotations

import io
import math

import numpy as np
from PIL import Image, ImageDraw

Point = tuple[float, float]


def _arc(x: float, y: float, wide: float, high: float, start: float, end: float) -> list[Point]:
    """Part of an ellipse, angles in degrees, clockwise from the right."""
    angles = [math.radians(start + (end - start) * step / 20) for step in range(21)]
    return [(x + wide * math.cos(angle), y + high * math.sin(angle)) for angle in angles]


STROKES: dict[int, list[list[Point]]] = {
    0: [_arc(0.5, 0.5, 0.32, 0.48, -90, 270)],
    1: [[(0.52, 0.02), (0.48, 0.98)]],
    2: [[*_arc(0.5, 0.27, 0.3, 0.25, -170, 20), (0.2, 0.95), (0.85, 0.93)]],
    3: [_arc(0.45, 0.26, 0.3, 0.24, -140, 90) + _arc(0.45, 0.74, 0.34, 0.25, -90, 150)],
    4: [[(0.3, 0.03), (0.18, 0.55), (0.85, 0.52)], [(0.72, 0.1), (0.66, 0.98)]],
    5: [[(0.8, 0.05), (0.3, 0.05), (0.27, 0.42), *_arc(0.48, 0.68, 0.32, 0.28, -120, 150)]],
    6: [[(0.66, 0.03), (0.4, 0.3), (0.25, 0.62), *_arc(0.5, 0.72, 0.25, 0.25, 180, 540)]],
    7: [[(0.15, 0.06), (0.85, 0.06), (0.42, 0.98)]],
    8: [_arc(0.5, 0.26, 0.24, 0.23, 90, 450) + _arc(0.5, 0.74, 0.28, 0.25, -90, 270)],
    9: [[*_arc(0.5, 0.28, 0.25, 0.25, 0, -360), (0.74, 0.45), (0.66, 0.98)]],
}


def random_drawing(random: np.random.Generator) -> bytes:
    """A drawing pad with a stroke through four random places, as a PNG."""
    picture = Image.new("L", (280, 280))
    points = random.integers(40, 240, size=(4, 2))
    ImageDraw.Draw(picture).line([tuple(point) for point in points.tolist()], fill=255, width=20)
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return buffer.getvalue()
