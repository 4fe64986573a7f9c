from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image, ImageSequence

from vae_core.pictures import FRAME_MILLISECONDS, animation_bytes, png_bytes, square_tiles, tile, to_grey


def test_tiles_stand_in_rows() -> None:
    images = np.arange(1, 6, dtype=np.uint8)[:, None, None] * np.ones((1, 2, 2), np.uint8)
    picture = tile(images, columns=3, gap=1)
    assert picture.shape == (5, 8)
    assert picture[0, [0, 3, 6]].tolist() == [1, 2, 3]
    assert picture[3, [0, 3, 6]].tolist() == [4, 5, 0]
    assert picture[2].any() == picture[:, 2].any() == False  # noqa: E712


@pytest.mark.parametrize(
    ("count", "shape"), [(1, (28, 28)), (2, (28, 58)), (64, (238, 238)), (400, (598, 598))]
)
def test_generated_pictures_are_about_square(count: int, shape: tuple[int, int]) -> None:
    assert square_tiles(np.zeros((count, 28, 28))).shape == shape


def test_png_files_hold_the_very_pixels() -> None:
    grey = to_grey(np.linspace(-0.2, 1.2, 28 * 28).reshape(28, 28))
    assert grey.min() == 0
    assert grey.max() == 255
    for scale in (1, 3):
        read = np.asarray(Image.open(io.BytesIO(png_bytes(grey, scale))))
        assert np.array_equal(read[::scale, ::scale], grey)
        assert read.shape == (28 * scale, 28 * scale)


def test_grey_values_are_rounded_and_what_is_not_a_number_is_black() -> None:
    assert to_grey(np.array([0.0, 0.3 / 255, 0.7 / 255, 1.0, np.nan])).tolist() == [0, 0, 1, 255, 0]
    assert to_grey(np.array([np.inf, -np.inf])).tolist() == [255, 0]


@pytest.mark.parametrize("kind", ["gif", "webp"])
def test_an_animation_has_every_frame_and_repeats(kind: str) -> None:
    frames = np.zeros((5, 28, 28), np.uint8)
    for number in range(5):
        frames[number, number * 5, :] = 255
    with Image.open(io.BytesIO(animation_bytes(frames, kind, scale=3))) as animation:
        assert animation.format == kind.upper()
        assert (animation.size, animation.n_frames, animation.info["loop"]) == ((84, 84), 5, 0)
        for number, frame in enumerate(ImageSequence.Iterator(animation)):
            assert np.array_equal(np.asarray(frame.convert("L"))[::3, ::3], frames[number])
            assert frame.info["duration"] == FRAME_MILLISECONDS
