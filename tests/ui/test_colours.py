"""The colours of the classes are told apart by everyone, also without red or green cones."""

from __future__ import annotations

import itertools
import re

import numpy as np
import pytest

from vae_core.ui.parts import STATIC

LEAST_DIFFERENCE = 15
"""CIEDE2000; about 2 is just noticeable side by side."""

SIGHTS = {  # Machado, Oliveira and Fernandes (2009), severity 1.0, on linear RGB
    "usual": np.eye(3),
    "protanopia": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    "deuteranopia": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
}
RGB_TO_XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
)
WHITE = np.array([0.95047, 1.0, 1.08883])  # D65


def class_colours(theme: str) -> list[str]:
    """#rrggbb of the classes 0 to 9, as the style sheet has them: first for light, then for dark."""
    found = re.findall(r"--class-(\d): (#[0-9a-f]{6});", (STATIC / "studio.css").read_text(encoding="utf-8"))
    assert [int(label) for label, _ in found] == [*range(10)] * 2
    colours = [colour for _, colour in found]
    return colours[:10] if theme == "light" else colours[10:]


def lab(colour: str, sight: np.ndarray) -> np.ndarray:
    """CIELAB of a colour as it is seen."""
    encoded = np.array([int(colour[at : at + 2], 16) for at in (1, 3, 5)]) / 255
    linear = np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)
    ratio = RGB_TO_XYZ @ np.clip(sight @ linear, 0, 1) / WHITE
    root = np.where(ratio > 216 / 24389, np.cbrt(ratio), (24389 / 27 * ratio + 16) / 116)
    return np.array([116 * root[1] - 16, 500 * (root[0] - root[1]), 200 * (root[1] - root[2])])


def ciede2000(one: np.ndarray, other: np.ndarray) -> float:
    """Sharma, Wu and Dalal (2005), equations 2 to 22."""
    mean_chroma = (np.hypot(*one[1:]) + np.hypot(*other[1:])) / 2
    stretch = 1.5 - 0.5 * np.sqrt(mean_chroma**7 / (mean_chroma**7 + 25**7))
    a, b = np.array([one[1], other[1]]) * stretch, np.array([one[2], other[2]])
    chroma, hue = np.hypot(a, b), np.degrees(np.arctan2(b, a)) % 360
    turn = (hue[1] - hue[0] + 180) % 360 - 180
    lightness_step, chroma_step = other[0] - one[0], chroma[1] - chroma[0]
    hue_step = 2 * np.sqrt(chroma[0] * chroma[1]) * np.sin(np.radians(turn) / 2)
    lightness, chroma_mean, hue_mean = (one[0] + other[0]) / 2, chroma.mean(), (hue[0] + turn / 2) % 360
    waves = np.cos(np.radians([hue_mean - 30, 2 * hue_mean, 3 * hue_mean + 6, 4 * hue_mean - 63]))
    toned = 1 + waves @ np.array([-0.17, 0.24, 0.32, -0.20])
    lightness_scale = 1 + 0.015 * (lightness - 50) ** 2 / np.sqrt(20 + (lightness - 50) ** 2)
    chroma_scale, hue_scale = 1 + 0.045 * chroma_mean, 1 + 0.015 * chroma_mean * toned
    rotation = -2 * np.sqrt(chroma_mean**7 / (chroma_mean**7 + 25**7)) * np.sin(
        np.radians(60 * np.exp(-(((hue_mean - 275) / 25) ** 2)))
    )  # fmt: skip
    steps = np.array([lightness_step / lightness_scale, chroma_step / chroma_scale, hue_step / hue_scale])
    return float(np.sqrt(steps @ steps + rotation * steps[1] * steps[2]))


@pytest.mark.parametrize(
    ("one", "other", "difference"),  # of the test data of Sharma, Wu and Dalal (2005)
    [
        ([50.0, 2.6772, -79.7751], [50.0, 0.0, -82.7485], 2.0425),
        ([50.0, 2.5, 0.0], [58.0, 24.0, 15.0], 19.4535),
        ([2.0776, 0.0795, -1.1350], [0.9033, -0.0636, -0.5514], 0.9082),
    ],
)
def test_the_measure_agrees_with_published_values(
    one: list[float], other: list[float], difference: float
) -> None:
    assert ciede2000(np.array(one), np.array(other)) == pytest.approx(difference, abs=1e-4)


@pytest.mark.parametrize("sight", SIGHTS)
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_no_two_classes_look_alike(theme: str, sight: str) -> None:
    places = [lab(colour, SIGHTS[sight]) for colour in class_colours(theme)]
    assert min(ciede2000(*pair) for pair in itertools.combinations(places, 2)) > LEAST_DIFFERENCE
