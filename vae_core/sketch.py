"""Brings any picture of a digit to MNIST's own form, the only form the model has learned.

MNIST's form (LeCun, Cortes and Burges, "The MNIST database"): light ink on black, the digit fitted with
its proportions into 20x20 pixels with anti-aliasing, and placed in 28x28 by its centre of mass.
"""

from __future__ import annotations

import io
import threading
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
from PIL import Image, ImageFilter, ImageOps

from vae_core.errors import EmptyPictureError, PictureError
from vae_core.images import IMAGE_SIZE

DIGIT_SIZE = 20
CENTRE = 14
"""Row and column, counted from 0, of the centre of mass of MNIST's digits (measured: 13.99 and 14.01)."""
INK_THRESHOLD = 0.05
"""Share of the strongest ink from which on a pixel belongs to the digit."""
PAPER_TOLERANCE = 0.2
"""Border pixels this far (of 1) from the paper are strokes that run off the picture."""
MID_GREY = 0.15
"""Paper this near to 0.5 may be dark or in a shadow: whether it is light shows by what is on it."""
NOISE_DEVIATIONS = 4
DARKEST_PAPER = 0.9
"""Darker paper (1 is black) counts as this dark: divided by hardly any light, its grain would be ink."""
LEAST_CONTRAST = 0.1
"""Less difference between paper and ink than this (of 1) is an empty picture."""
FORMATS = ("PNG", "JPEG", "GIF", "WEBP", "BMP", "TIFF")
"""Pillow knows many more; some of them start other programs."""
FORMATS_IN_WORDS = f"{', '.join(FORMATS[:-1])} or {FORMATS[-1]}"
MOST_PIXELS = 40_000_000
LONGEST_SIDE = 20_000
WORKING_SIZE = 560
"""Larger pictures are reduced to this before their digit is looked for."""

_A_FEW = threading.BoundedSemaphore(2)
"""A picture of 40 megapixels takes some hundred megabytes while it is reduced: no more than two at once."""


@dataclass(frozen=True)
class Sketch:
    """What the model sees of a picture.

    Attributes:
        image: float32 (28, 28) in [0, 1], ink is 1.
        box: the digit's left, top, right, bottom in the original, each as a share 0 to 1 of its size.
    """

    image: np.ndarray
    box: tuple[float, float, float, float]


def read_picture(content: bytes, on_paper: bool = True) -> np.ndarray:
    """A picture file's content as ink: float32 (H, W) in [0, 1], ink is 1.

    Args:
        content: the file's.
        on_paper: dark on light and light on dark are told apart by the picture's border, transparency is
            paper. False takes light for ink, whatever is at the border: so is what a drawing pad holds.

    Raises:
        PictureError: not a picture of a known format, of more than 40 megapixels or longer than
            20,000 pixels, or damaged.
    """

    def reduced(picture: Image.Image) -> np.ndarray:
        picture.draft("L", (2 * WORKING_SIZE, 2 * WORKING_SIZE))
        return to_ink(ImageOps.exif_transpose(picture), on_paper)

    return _read(content, reduced)


def read_image(content: bytes) -> np.ndarray:
    """A picture file that holds an image of MNIST's size, taken as it is: float32 (28, 28) in [0, 1].

    Raises:
        PictureError: as `read_picture`, or it is not 28x28 grey pixels.
    """

    def unchanged(picture: Image.Image) -> np.ndarray:
        if picture.mode != "L" or picture.size != (IMAGE_SIZE, IMAGE_SIZE):
            raise PictureError(
                f"a picture of {picture.width}x{picture.height} pixels in mode {picture.mode}; expected "
                f"{IMAGE_SIZE}x{IMAGE_SIZE} in grey"
            )
        return np.asarray(picture, dtype=np.float32) / 255

    return _read(content, unchanged)


def open_picture(file: BinaryIO, formats: tuple[str, ...]) -> Image.Image:
    """Image.open, without Pillow's warning of many pixels: who reads them has a lower limit."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        return Image.open(file, formats=formats)


def _read(content: bytes, take: Callable[[Image.Image], np.ndarray]) -> np.ndarray:
    """What is taken of a picture file, once its size is known to be bearable. Raises PictureError."""
    most = f"{MOST_PIXELS // 1_000_000} megapixels"
    expected = f"expected {most} at most, and no side longer than {LONGEST_SIDE:,}"
    try:
        with open_picture(io.BytesIO(content), FORMATS) as picture:
            if max(picture.size) > LONGEST_SIDE or picture.width * picture.height > MOST_PIXELS:
                raise PictureError(f"the picture has {picture.width}x{picture.height} pixels; {expected}")
            with _A_FEW:
                return take(picture)
    except PictureError:
        raise
    except Image.DecompressionBombError as error:
        raise PictureError(f"the picture has far too many pixels; {expected}") from error
    except Image.UnidentifiedImageError as error:
        raise PictureError(f"this is not a picture; expected {FORMATS_IN_WORDS}") from error
    except Exception as error:  # Pillow's readers raise whatever a damaged file leads them to
        raise PictureError(
            f"this is not a picture that can be read ({error}); expected {FORMATS_IN_WORDS}"
        ) from error


def to_ink(picture: Image.Image, on_paper: bool = True) -> np.ndarray:
    """A Pillow image of any mode as float32 (H, W) in [0, 1], ink is 1; `on_paper` as in `read_picture`.

    Raises:
        PictureError: its values are not all finite numbers.
    """
    if picture.mode.startswith(("I", "F")):  # grey without a largest value of its own
        picture = Image.fromarray(_to_bytes(np.asarray(picture, dtype=np.float32)))
    if "A" in picture.getbands() or "transparency" in picture.info:
        picture = picture.convert("RGBA")
        picture.thumbnail((2 * WORKING_SIZE, 2 * WORKING_SIZE), Image.Resampling.BOX)
        picture = _on_paper(picture)
    grey = picture.convert("L")
    grey.thumbnail((WORKING_SIZE, WORKING_SIZE), Image.Resampling.BOX)
    values = np.asarray(grey, dtype=np.float32) / 255
    if not on_paper:
        return values
    return 1 - values if _is_on_light(grey) else values


def _is_on_light(grey: Image.Image) -> bool:
    """Whether dark ink is on light paper, by the border; where that is neither, by what stands out most from
    its own surroundings, which are paper lit alike."""
    values = np.asarray(grey, dtype=np.float32) / 255
    brightness = np.median(values[_border_of(values)])
    if abs(brightness - 0.5) > MID_GREY:
        return bool(brightness > 0.5)
    around = grey.filter(ImageFilter.BoxBlur(max(grey.size) / 6))
    contrast = values - np.asarray(around, dtype=np.float32) / 255
    return bool((contrast**3).sum() < 0)


def _to_bytes(values: np.ndarray) -> np.ndarray:
    """Grey of any range as uint8: the largest, or 1 if none is larger, becomes 255; below 0 becomes 0."""
    if not np.isfinite(values).all():
        raise PictureError("a picture's values must be finite numbers")
    values = values.clip(min=0)
    return (values / max(float(values.max()), 1.0) * 255).astype(np.uint8)


def _on_paper(picture: Image.Image) -> Image.Image:
    """Behind transparency goes black where the opaque ink is light, white where it is dark."""
    alpha = np.asarray(picture.getchannel("A"), dtype=np.float32)
    grey = np.asarray(picture.convert("L"), dtype=np.float32)
    ink = (grey * alpha).sum() / max(float(alpha.sum()), 1)
    paper = Image.new("RGBA", picture.size, (0, 0, 0, 255) if ink > 127 else (255, 255, 255, 255))
    paper.alpha_composite(picture)
    return paper


def to_mnist_form(ink: np.ndarray, centre: bool = True, on_paper: bool = True) -> Sketch:
    """Finds the digit, fits it into 20x20 and centres it by mass in 28x28.

    Args:
        ink: float (H, W) in [0, 1], ink is 1.
        centre: False leaves the digit where and as large as it is, and only shrinks the whole picture
            to 28x28; a picture of 28x28 stays what it is, paper and all.
        on_paper: False where all that is not 0 is ink, up to the border; else paper is taken off.

    Raises:
        EmptyPictureError: there is no ink on it.
        PictureError: it is not a drawing at all.
    """
    ink = np.asarray(ink, dtype=np.float32)
    if ink.ndim != 2 or 0 in ink.shape:
        raise PictureError(f"a drawing must have height and width, not the shape {ink.shape}")
    if not np.isfinite(ink).all():
        raise PictureError("a drawing's values must be numbers from 0 to 1")
    ink = ink.clip(0, 1)
    clean = without_paper(ink) if on_paper else _strongest_one(ink)
    if not centre:
        is_mnists = ink.shape == (IMAGE_SIZE, IMAGE_SIZE)
        seen = clean if on_paper and not is_mnists else ink
        return Sketch(on_square(seen, IMAGE_SIZE), (0.0, 0.0, 1.0, 1.0))
    rows, columns = np.nonzero(clean > INK_THRESHOLD)
    top, bottom = int(rows.min()), int(rows.max()) + 1
    left, right = int(columns.min()), int(columns.max()) + 1
    digit = _fit(clean[top:bottom, left:right])
    height, width = ink.shape
    return Sketch(_centre_by_mass(digit), (left / width, top / height, right / width, bottom / height))


def without_paper(ink: np.ndarray) -> np.ndarray:
    """The ink alone, the strongest 1: a plane of light through the border and the noise on it are taken off.

    What is left is divided by how light the paper is there: a shadow takes its share of paper and ink alike.

    Args:
        ink: float32 (H, W) in [0, 1], ink is 1; a photo's paper is seldom 0 and seldom even.

    Returns:
        float32 (H, W) in [0, 1].

    Raises:
        EmptyPictureError: nothing is left.
    """
    rows, columns = np.mgrid[0 : 1 : ink.shape[0] * 1j, 0 : 1 : ink.shape[1] * 1j].astype(np.float32)
    edge = _border_of(ink)
    at = np.stack([rows[edge], columns[edge], np.ones(edge.sum(), np.float32)], axis=1)
    border = ink[edge]
    plane = np.array([0, 0, np.median(border)], np.float32)
    for _ in range(3):
        is_paper = np.abs(border - at @ plane) < PAPER_TOLERANCE
        plane = np.linalg.lstsq(at[is_paper], border[is_paper], rcond=None)[0]
    noise = float(np.median(np.abs(border - at @ plane))) / 0.6745  # as a normal distribution's deviation
    paper = plane[0] * rows + plane[1] * columns + plane[2]
    clean = np.clip(ink - paper - NOISE_DEVIATIONS * noise, 0, 1)
    return _strongest_one(clean, 1 - paper.clip(0, DARKEST_PAPER))


def _border_of(picture: np.ndarray) -> np.ndarray:
    """Its outermost pixels: bool (H, W)."""
    edge = np.ones(picture.shape, bool)
    edge[1:-1, 1:-1] = False
    return edge


def _strongest_one(ink: np.ndarray, light: np.ndarray | float = 1.0) -> np.ndarray:
    """Ink as a share of the light that its paper has, the strongest 1. Raises EmptyPictureError."""
    if ink.max() < LEAST_CONTRAST:
        raise EmptyPictureError(
            "there is nothing on the picture; expected ink that stands out from its paper"
        )
    ink = ink / light
    return ink / ink.max()


def on_square(ink: np.ndarray, size: int) -> np.ndarray:
    """A picture of any proportions in the middle of an empty square: float32 (size, size) in [0, 1]."""
    height, width = ink.shape
    scale = size / max(height, width)
    width, height = max(1, round(width * scale)), max(1, round(height * scale))
    method = Image.Resampling.BOX if scale < 1 else Image.Resampling.BILINEAR
    resized = np.asarray(Image.fromarray(ink.astype(np.float32)).resize((width, height), method))
    square = np.zeros((size, size), np.float32)
    top, left = (size - height) // 2, (size - width) // 2
    square[top : top + height, left : left + width] = np.clip(resized, 0, 1)
    return square


def _fit(digit: np.ndarray) -> np.ndarray:
    """The digit with its proportions in 20x20, anti-aliased: float32 (at most 20, at most 20) in [0, 1]."""
    height, width = digit.shape
    scale = DIGIT_SIZE / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    method = Image.Resampling.BOX if scale < 1 else Image.Resampling.BICUBIC
    resized = Image.fromarray(digit).resize(size, method)
    fitted = np.clip(np.asarray(resized, dtype=np.float32), 0, 1)
    return fitted / float(fitted.max())


def _centre_by_mass(digit: np.ndarray) -> np.ndarray:
    """float32 (28, 28) with the centre of mass as near to pixel (14, 14) as whole pixels allow."""
    height, width = digit.shape
    mass = float(digit.sum())
    centre_row = float((digit.sum(axis=1) * np.arange(height)).sum()) / mass
    centre_column = float((digit.sum(axis=0) * np.arange(width)).sum()) / mass

    top = int(np.clip(round(CENTRE - centre_row), 0, IMAGE_SIZE - height))
    left = int(np.clip(round(CENTRE - centre_column), 0, IMAGE_SIZE - width))
    image = np.zeros((IMAGE_SIZE, IMAGE_SIZE), np.float32)
    image[top : top + height, left : left + width] = digit
    return image
