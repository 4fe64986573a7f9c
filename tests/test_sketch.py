from __future__ import annotations

import io
import warnings
from concurrent.futures import ThreadPoolExecutor, wait

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import ExifTags, Image, ImageDraw

from support import hostile
from support.pictures import png
from vae_core import sketch
from vae_core.data import Dataset
from vae_core.errors import EmptyPictureError, PictureError
from vae_core.sketch import on_square, read_image, read_picture, to_ink, to_mnist_form, without_paper


def drawn(size: int = 280, width: int = 22, scale: float = 1.0, at: tuple[int, int] = (0, 0)) -> np.ndarray:
    picture = Image.new("L", (size, size))
    points = [(60, 60), (200, 60), (140, 150), (110, 230)]
    ImageDraw.Draw(picture).line(
        [(x * scale + at[0], y * scale + at[1]) for x, y in points], fill=255, width=width, joint="curve"
    )
    return np.asarray(picture, np.float32) / 255


def assert_close(seen: np.ndarray, expected: np.ndarray, by: float) -> None:
    """In each pixel, by so much at most: pytest.approx would take a third of a second for a picture."""
    assert seen.shape == expected.shape
    assert np.abs(seen - expected).max() <= by


def small_file(file_format: str) -> bytes:
    picture = Image.new("RGB", (48, 48), "white")
    picture.paste("black", (12, 8, 30, 40))
    buffer = io.BytesIO()
    picture.save(buffer, file_format)
    return buffer.getvalue()


SMALL_FILES = {name: small_file(name) for name in ("PNG", "JPEG", "GIF", "TIFF", "WEBP", "TGA", "BMP")}


def test_mnists_own_digits_stay_as_they_are(dataset: Dataset) -> None:
    images = dataset.test.images.astype(np.float32) / 255
    differences = [np.abs(to_mnist_form(image).image - image).mean() for image in images]
    assert np.mean(differences) < 0.002


@pytest.mark.parametrize("turns", range(4))
def test_the_digit_fills_twenty_pixels_and_is_centred_by_mass(turns: int) -> None:
    image = to_mnist_form(np.rot90(drawn(), turns)).image
    rows, columns = np.nonzero(image > 0.05)
    assert 19 <= max(np.ptp(rows), np.ptp(columns)) + 1 <= 20
    mass = image.sum()
    assert (image.sum(1) * np.arange(28)).sum() / mass == pytest.approx(14, abs=0.501)
    assert (image.sum(0) * np.arange(28)).sum() / mass == pytest.approx(14, abs=0.501)
    assert image.dtype == np.float32
    assert image.min() >= 0
    assert image.max() == pytest.approx(1)


@pytest.mark.parametrize(
    "other",
    [drawn(at=(30, -20)), drawn(scale=0.5, width=11), drawn(size=140, scale=0.5, width=11), drawn() * 0.5],
    ids=["moved", "smaller", "coarser", "fainter"],
)
def test_place_size_and_strength_do_not_matter(other: np.ndarray) -> None:
    assert np.abs(to_mnist_form(other).image - to_mnist_form(drawn()).image).mean() < 0.02


def test_dark_on_light_is_the_same_as_light_on_dark() -> None:
    light = (drawn() * 255).astype(np.uint8)
    both = [to_mnist_form(read_picture(png(Image.fromarray(ink)))).image for ink in (light, 255 - light)]
    assert np.abs(both[0] - both[1]).max() < 0.02


def test_ink_that_covers_the_border_is_ink_where_there_is_no_paper() -> None:
    frame = np.ones((280, 280), np.float32)
    frame[30:250, 30:250] = 0
    ink = read_picture(png(Image.fromarray((frame * 255).astype(np.uint8))), on_paper=False)
    assert np.array_equal(ink, frame)
    seen = to_mnist_form(ink, on_paper=False)
    assert seen.box == (0, 0, 1, 1)
    assert seen.image[4, 4:24].min() > 0.9  # 20 pixels wide, in the middle
    assert seen.image[8:20, 8:20].max() < 0.1


def test_without_paper_only_no_ink_at_all_is_empty() -> None:
    assert np.array_equal(to_mnist_form(drawn(), on_paper=False).image, to_mnist_form(drawn()).image)
    with pytest.raises(EmptyPictureError):
        to_mnist_form(np.zeros((280, 280), np.float32), on_paper=False)


@pytest.mark.parametrize("hidden", [0, 255])
@pytest.mark.parametrize("ink", [0, 20, 235, 255])
def test_transparency_is_paper(ink: int, hidden: int) -> None:
    alpha = (drawn() * 255).astype(np.uint8)
    colour = np.where(
        alpha, np.uint8(ink), np.uint8(hidden)
    )  # as editors leave it where nothing is to be seen
    picture = Image.fromarray(np.dstack([colour, colour, colour, alpha]), "RGBA")
    seen = to_mnist_form(read_picture(png(picture))).image
    assert np.abs(seen - to_mnist_form(drawn()).image).mean() < 0.01


@pytest.mark.parametrize("ink", [0, 255])
def test_half_transparent_ink_is_half_as_strong(ink: int) -> None:
    alpha = np.zeros((40, 40), np.uint8)
    alpha[10:30, 12:28] = np.arange(0, 256, 17)  # as a soft brush leaves it
    colour = np.full_like(alpha, ink)
    seen = to_ink(Image.fromarray(np.dstack([colour, colour, colour, alpha]), "RGBA"))
    assert_close(seen, alpha / 255, 1e-6)


@pytest.mark.filterwarnings("error")
def test_a_picture_that_is_all_transparent_is_empty() -> None:
    with pytest.raises(PictureError, match="nothing on the picture"):
        to_mnist_form(read_picture(png(Image.new("RGBA", (40, 40)))))


@pytest.mark.parametrize("file_format", ["PNG", "GIF"])
def test_a_palettes_transparent_colour_is_paper(file_format: str) -> None:
    picture = Image.fromarray((drawn() > 0.5).astype(np.uint8), "P")
    picture.putpalette([0, 0, 0, 9, 9, 9])  # which without its transparency would be too faint to see
    buffer = io.BytesIO()
    picture.save(buffer, file_format, transparency=0)
    seen = to_mnist_form(read_picture(buffer.getvalue())).image
    assert np.abs(seen - to_mnist_form(drawn()).image).mean() < 0.01


@pytest.mark.parametrize(("paper", "ink"), [(110, 255), (145, 0)])
def test_grey_paper_is_told_from_its_ink(paper: int, ink: int) -> None:
    picture = np.rint(paper + (ink - paper) * drawn()).astype(np.uint8)
    seen = to_mnist_form(read_picture(png(Image.fromarray(picture)))).image
    assert np.abs(seen - to_mnist_form(drawn()).image).mean() < 0.01


@pytest.mark.parametrize("turns", range(4))
def test_a_dark_side_does_not_make_the_paper_dark(turns: int) -> None:
    grey = np.full((20, 60), 150, np.uint8)
    grey[0] = grey[6:15, 28:32] = 0
    ink = to_ink(Image.fromarray(np.rot90(grey, turns)))
    assert np.array_equal(ink, 1 - np.rot90(grey, turns) / np.float32(255))


def test_grey_of_eight_bits_is_taken_as_it_is() -> None:
    picture = np.zeros((40, 40), np.uint8)
    picture[10:30, 18:22] = 100
    assert np.array_equal(to_ink(Image.fromarray(picture)), picture / np.float32(255))


def test_ink_is_what_stands_out_by_a_tenth() -> None:
    assert to_mnist_form(0.11 * drawn()).image.max() == pytest.approx(1)
    with pytest.raises(PictureError, match=r"^there is nothing on the picture; expected ink that stands out"):
        to_mnist_form(0.09 * drawn())


def test_a_thin_stroke_has_full_ink() -> None:
    assert to_mnist_form(drawn(width=3)).image.max() == pytest.approx(1)


def test_a_large_digit_is_shrunk_to_the_means_of_its_areas() -> None:
    small = np.random.default_rng(0).random((20, 20), np.float32)
    small[[0, -1]] = small[:, [0, -1]] = 1
    seen = to_mnist_form(np.pad(np.kron(small, np.ones((3, 3), np.float32)), 20)).image
    assert_close(seen[4:24, 4:24], small, 1e-5)


def test_a_stroke_that_runs_off_the_picture_is_not_taken_for_paper() -> None:
    ink = np.zeros((60, 90), np.float32)
    ink[20:40, 45:] = 1
    assert_close(without_paper(ink), ink, 1e-5)
    assert_close(without_paper(0.4 * ink + 0.3), ink, 1e-5)


@pytest.mark.parametrize("turns", range(4))
def test_ink_along_a_whole_long_side_is_not_taken_for_paper(turns: int) -> None:
    ink = np.zeros((20, 90), np.float32)
    ink[:8] = 1
    ink = np.rot90(ink, turns)
    assert_close(without_paper(0.6 * ink + 0.3), ink, 1e-5)


@pytest.mark.parametrize("turns", range(4))
def test_a_glare_on_the_edge_of_slanting_light_does_not_tilt_the_paper(turns: int) -> None:
    ink = np.zeros((60, 80), np.float32)
    ink[20:40, 30:50] = 1
    light = np.linspace(0.7, 0.4, 80, dtype=np.float32)
    grey = 1 - light * (1 - 0.8 * ink)
    grey[:10, :20] = 0
    assert_close(without_paper(np.rot90(grey, turns)), np.rot90(ink, turns), 1e-4)


@pytest.mark.parametrize(
    ("full", "kind", "file_format"),
    [(65_535, np.uint16, "PNG"), (4_095, np.uint16, "PNG"), (10**6, np.int32, "TIFF")],
    ids=["16 bits", "12 of 16 bits", "32 bits"],
)
def test_pictures_of_more_than_eight_bits_are_read(full: int, kind: type, file_format: str) -> None:
    buffer = io.BytesIO()
    on_grey_paper = 0.2 + 0.8 * drawn()
    Image.fromarray((on_grey_paper * full).astype(kind)).save(buffer, file_format)
    seen = to_mnist_form(read_picture(buffer.getvalue())).image
    assert np.abs(seen - to_mnist_form(drawn()).image).mean() < 0.01


def test_soft_edges_belong_to_a_faint_digit_as_to_a_strong_one() -> None:
    ink = np.zeros((100, 100), np.float32)
    ink[30:70, 40:60] = 0.1
    ink[35:65, 45:55] = 1
    strong, faint = to_mnist_form(ink), to_mnist_form(0.2 * ink)
    assert strong.box == faint.box == (0.4, 0.3, 0.6, 0.7)
    assert_close(strong.image, faint.image, 1e-5)


@pytest.mark.parametrize(
    "ink", [np.zeros((28, 28)), np.ones((5, 9)), np.full((1, 1), 0.3), np.full((9, 9), 0.5)]
)
def test_a_picture_without_ink_is_said_to_be_empty(ink: np.ndarray) -> None:
    with pytest.raises(PictureError, match="nothing on the picture"):
        to_mnist_form(ink)


def test_the_box_is_the_digits() -> None:
    ink = np.zeros((100, 200), np.float32)
    ink[20:60, 50:80] = 1
    assert to_mnist_form(ink).box == (0.25, 0.2, 0.4, 0.6)


@given(st.binary(max_size=300))
def test_any_bytes_are_a_picture_or_one_clear_error(content: bytes) -> None:
    with pytest.raises(PictureError):
        read_picture(content)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 2**32 - 1))
def test_any_drawing_gives_28x28_or_is_empty(height: int, width: int, seed: int) -> None:
    ink = np.random.default_rng(seed).random((height, width)) ** 4
    try:
        image = to_mnist_form(ink).image
    except PictureError:
        return
    assert image.shape == (28, 28)
    assert np.isfinite(image).all()


@pytest.mark.parametrize(("orientation", "turns"), [(1, 0), (3, 2), (6, 1), (8, 3)])
def test_a_phones_photo_is_read_upright(orientation: int, turns: int) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    buffer = io.BytesIO()
    stored = (np.rot90(drawn(), turns) * 255).astype(np.uint8)
    Image.fromarray(stored).save(buffer, "JPEG", quality=95, exif=exif)
    seen = to_mnist_form(read_picture(buffer.getvalue())).image
    assert np.abs(seen - to_mnist_form(drawn()).image).mean() < 0.01


@pytest.mark.parametrize("mode", ["L", "LA"])
def test_hairlines_on_a_large_picture_are_shrunk_to_their_share_of_it(mode: str) -> None:
    hairlines = np.zeros((60, 3360), np.uint8)
    hairlines[:, 3::6] = 255
    picture = Image.fromarray(hairlines)
    if mode == "LA":
        picture = Image.merge(mode, [Image.new("L", picture.size, 255), picture])
    ink = to_ink(picture)
    assert ink.shape == (10, 560)
    assert_close(ink, np.full((10, 560), 1 / 6), 0.005)


@pytest.mark.parametrize("file_format", ["PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP"])
def test_the_usual_formats_are_read(file_format: str) -> None:
    buffer = io.BytesIO()
    Image.fromarray((drawn() * 255).astype(np.uint8)).save(buffer, file_format, quality=95)
    seen = to_mnist_form(read_picture(buffer.getvalue())).image
    assert np.abs(seen - to_mnist_form(drawn()).image).mean() < 0.02


@pytest.mark.parametrize("mode", ["1", "P", "LA", "RGB", "CMYK"])
def test_pictures_of_any_mode_are_read(mode: str) -> None:
    buffer = io.BytesIO()
    picture = Image.fromarray((255 - drawn() * 255).astype(np.uint8)).convert(mode)
    picture.save(buffer, "TIFF" if mode == "CMYK" else "PNG")
    seen = to_mnist_form(read_picture(buffer.getvalue())).image
    assert np.abs(seen - to_mnist_form(drawn()).image).mean() < 0.02


@pytest.mark.filterwarnings("ignore")  # Pillow grumbles about what it can still read
@settings(max_examples=150)
@given(
    st.sampled_from(["PNG", "JPEG", "GIF", "TIFF", "WEBP", "TGA", "BMP"]),
    st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), min_size=1, max_size=4),
    st.integers(1, 10**6),
)
def test_a_damaged_picture_is_read_or_one_clear_error(
    file_format: str, changes: list[tuple[int, int]], length: int
) -> None:
    content = bytearray(SMALL_FILES[file_format])
    for position, value in changes:
        content[position % len(content)] = value
    try:
        ink = read_picture(bytes(content[: max(1, length % (2 * len(content)))]))
    except PictureError:
        return
    assert ink.dtype == np.float32
    assert ink.min() >= 0
    assert ink.max() <= 1


def test_half_a_picture_is_told_from_what_is_none() -> None:
    with pytest.raises(
        PictureError,
        match=r"^this is not a picture that can be read \(.+\); expected PNG, JPEG, GIF, WEBP, BMP or TIFF$",
    ):
        read_picture(SMALL_FILES["PNG"][:60])
    with pytest.raises(
        PictureError, match=r"^this is not a picture; expected PNG, JPEG, GIF, WEBP, BMP or TIFF$"
    ):
        read_picture(b"half a picture")


def test_an_image_of_mnists_size_is_read_as_it_is(dataset: Dataset) -> None:
    pixels = dataset.test.images[3]
    image = read_image(png(Image.fromarray(pixels)))
    assert np.array_equal(image, pixels / np.float32(255))
    assert image.dtype == np.float32


@pytest.mark.parametrize(
    ("mode", "size", "given"),
    [("L", (28, 27), "28x27 pixels in mode L"), ("RGB", (28, 28), "28x28 pixels in mode RGB")],
)
def test_no_other_picture_is_taken_for_an_image_of_mnists_size(
    mode: str, size: tuple[int, int], given: str
) -> None:
    with pytest.raises(PictureError, match=f"^a picture of {given}; expected 28x28 in grey$"):
        read_image(png(Image.new(mode, size)))


@pytest.mark.parametrize("size", [(1, 1), (1, 3000), (3000, 1), (2, 2)])
def test_tiny_and_narrow_pictures_have_nothing_on_them(size: tuple[int, int]) -> None:
    with pytest.raises(PictureError, match="nothing on the picture"):
        to_mnist_form(read_picture(png(Image.new("L", size, 90))))


def test_a_single_dot_is_enlarged_to_the_digits_size() -> None:
    ink = np.zeros((60, 60), np.float32)
    ink[30, 30] = 1
    image = to_mnist_form(ink).image
    assert (image > 0.5).sum() == 400
    assert image[4:24, 4:24].min() > 0.5


def test_a_hairline_is_one_pixel_wide() -> None:
    ink = np.zeros((200, 200), np.float32)
    ink[10:190, 100] = 1
    for turned, axis in ((ink, 1), (ink.T, 0)):
        image = to_mnist_form(turned).image
        assert image.sum() == pytest.approx(20)
        assert np.ptp(np.nonzero(image)[axis]) == 0


@pytest.mark.parametrize("turns", range(4))
def test_a_digit_heavy_on_one_side_is_moved_no_further_than_the_picture_goes(turns: int) -> None:
    digit = np.zeros((20, 20), np.float32)
    digit[:17, 10] = digit[17:] = 1  # its centre of mass lies in row 16, two rows too far down
    expected = np.zeros((28, 28), np.float32)
    expected[:20, 4:24] = digit
    seen = to_mnist_form(np.rot90(np.pad(digit, 9), turns)).image
    assert np.rot90(seen, -turns).sum(axis=1) == pytest.approx(expected.sum(axis=1), abs=1e-4)


@pytest.mark.parametrize("size", [5, 13])
def test_a_small_digit_is_enlarged_with_soft_edges_and_full_ink(size: int) -> None:
    ring = np.ones((size, size), np.float32)
    ring[2:-2, 2:-2] = 0
    image = to_mnist_form(np.pad(ring, 9)).image
    digit = image[image.any(axis=1)][:, image.any(axis=0)]
    assert digit.shape == (20, 20)
    assert ((digit > 0.1) & (digit < 0.9)).sum() >= 20
    assert digit[: 20 // size].min() == pytest.approx(1, abs=0.02)
    assert image.min() == 0


@pytest.mark.parametrize("kind", [np.float16, np.float64])
def test_a_drawing_in_any_floating_point_is_the_same_drawing(kind: type) -> None:
    seen = to_mnist_form(drawn().astype(kind)).image
    assert np.array_equal(seen, to_mnist_form(drawn()).image)
    assert seen.dtype == np.float32


@pytest.mark.parametrize(
    ("ink", "reason"),
    [
        (np.zeros((0, 5)), r"must have height and width, not the shape \(0, 5\)"),
        (np.zeros(5), r"must have height and width, not the shape \(5,\)"),
        (np.zeros((2, 2, 2)), r"must have height and width, not the shape \(2, 2, 2\)"),
        (np.diag([0, 1, np.nan]), r"'s values must be numbers from 0 to 1"),
    ],
)
def test_what_is_no_drawing_is_refused(ink: np.ndarray, reason: str) -> None:
    with pytest.raises(PictureError, match=f"^a drawing ?{reason}$"):
        to_mnist_form(ink)


@pytest.mark.parametrize(("largest", "too_large"), [((8000, 5000), (8000, 5001)), ((20_000, 1), (20_001, 1))])
def test_giant_pictures_are_refused_before_they_are_unpacked(
    largest: tuple[int, int], too_large: tuple[int, int]
) -> None:
    assert max(read_picture(png(Image.new("1", largest))).shape) == 560
    given = f"{too_large[0]}x{too_large[1]}"
    with pytest.raises(
        PictureError, match=rf"^the picture has {given} pixels; expected 40 mega.* than 20,000$"
    ):
        read_picture(png(Image.new("1", too_large)))


@pytest.mark.parametrize(
    ("side", "begins"), [(12_000, "the picture has 12000x12000"), (30_000, "the picture has far too many")]
)
def test_a_picture_that_pillow_itself_refuses_is_told_in_our_words(side: int, begins: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(PictureError, match=rf"^{begins} pixels; expected 40 mega.* than 20,000$"):
            read_picture(hostile.png(side, side))


def test_no_more_than_two_pictures_are_unpacked_at_once() -> None:
    places = sketch._A_FEW
    assert places.acquire(timeout=60)
    assert places.acquire(timeout=60)
    with ThreadPoolExecutor(1) as reader:
        third = reader.submit(read_picture, SMALL_FILES["PNG"])
        waited = not wait([third], timeout=0.3).done
        places.release(2)
        assert third.result().shape == (48, 48)
    assert waited


@pytest.mark.parametrize("file_format", ["PPM", "TGA", "EPS"])
def test_a_format_not_listed_is_refused_though_pillow_knows_it(file_format: str) -> None:
    with pytest.raises(PictureError, match="expected PNG, JPEG, GIF, WEBP, BMP or TIFF"):
        read_picture(small_file(file_format))


def test_without_centring_the_digit_stays_where_and_as_large_as_it_is() -> None:
    ink = np.zeros((280, 280), np.float32)
    ink[10:50, 200:240] = 1
    seen = to_mnist_form(ink, centre=False)
    expected = np.zeros((28, 28))
    expected[1:5, 20:24] = 1
    assert np.array_equal(seen.image, expected)
    assert seen.box == (0, 0, 1, 1)


def test_without_centring_the_paper_is_taken_off_too() -> None:
    paper = np.full((280, 280), 0.3, np.float32)
    paper[100:160, 100:160] = 1
    seen = to_mnist_form(paper, centre=False).image
    assert seen[:9].max() == pytest.approx(0, abs=0.01)
    assert seen[11:15, 11:15].min() > 0.95
    assert to_mnist_form(paper, centre=False, on_paper=False).image[:9] == pytest.approx(0.3, abs=0.01)


def test_a_picture_in_mnists_size_goes_through_without_centring_unchanged(dataset: Dataset) -> None:
    image = dataset.test.images[3] / np.float32(255)
    seen = to_mnist_form(image.astype(np.float64), centre=False).image
    assert np.array_equal(seen, image)
    assert seen.dtype == np.float32


def test_a_wide_or_tall_picture_lies_in_the_middle_of_its_square() -> None:
    square = on_square(np.ones((10, 40), np.float32), 80)
    assert square[30:50].min() == 1
    assert square[:29].max() == square[51:].max() == 0
    assert np.array_equal(on_square(np.ones((40, 10), np.float32), 80), square.T)


def test_without_centring_a_large_picture_is_shrunk_to_the_means_of_its_areas() -> None:
    ink = np.pad(np.random.default_rng(0).random((260, 260), np.float32), 10)
    means = ink.reshape(28, 10, 28, 10).mean(axis=(1, 3))
    assert to_mnist_form(ink, centre=False).image == pytest.approx(means, abs=1e-5)


def test_proportions_are_kept_to_the_nearest_pixel() -> None:
    for height, width in ((100, 73), (73, 100)):  # 0.73 of 20 is 14.6, of 30 it is 21.9
        ink = np.ones((height, width), np.float32)
        for image, size in ((to_mnist_form(np.pad(ink, 9)).image, 20), (on_square(ink, 30), 30)):
            shape = [np.count_nonzero(image.any(axis=axis)) for axis in (1, 0)]
            assert shape == [round(height / 100 * size), round(width / 100 * size)]


@pytest.mark.parametrize("size", [6, 16])
def test_a_small_picture_is_enlarged_smoothly_to_its_square(size: int) -> None:
    square = on_square(np.tile(np.linspace(0, 1, 4, dtype=np.float32), (4, 1)), size)
    assert np.array_equal(square, np.tile(square[0], (size, 1)))
    assert (np.diff(square[0, 1:-1]) > 0).all()


@pytest.mark.parametrize("shape", [(1, 400), (400, 1)])
def test_a_line_stays_a_line_in_its_square(shape: tuple[int, int]) -> None:
    square = on_square(np.ones(shape, np.float32), 28)
    assert square.sum() == 28
    assert np.ptp(np.nonzero(square), axis=1).tolist() == ([0, 27] if shape[0] == 1 else [27, 0])


def photo(picture: np.ndarray, dark_on_light: bool) -> np.ndarray:
    """Ink, float (400, 520), as a camera sees it: uneven light, grain, and never black or white."""
    random = np.random.default_rng(0)
    rows, columns = np.mgrid[0:1:400j, 0:1:520j]
    light = 0.95 - 0.25 * columns - 0.12 * rows
    values = light * (1 - 0.6 * picture) if dark_on_light else 0.1 + 0.2 * columns + 0.5 * picture
    values = values + random.normal(0, 0.012, values.shape)
    return np.rint(np.clip(values, 0, 1) * 255).astype(np.uint8)


@pytest.mark.parametrize("dark_on_light", [True, False])
def test_a_photo_in_uneven_light_is_read_as_its_digit(dataset: Dataset, dark_on_light: bool) -> None:
    for digit in dataset.test.images[:8]:
        ink = np.zeros((400, 520))
        ink[50:350, 120:420] = np.asarray(Image.fromarray(digit).resize((300, 300))) / 255
        content = png(Image.fromarray(photo(ink, dark_on_light)))
        seen, clean = to_mnist_form(read_picture(content)), to_mnist_form(ink)
        assert np.square(seen.image - clean.image).mean() < 0.01


@pytest.mark.parametrize("turns", range(4))
def test_strokes_in_the_shadow_are_as_strong_as_those_in_the_light(dataset: Dataset, turns: int) -> None:
    light = np.rot90(np.broadcast_to(np.linspace(0.95, 0.25, 300), (300, 300)), turns)
    for digit in dataset.test.images[:8]:
        ink = np.zeros((300, 300))
        ink[50:250, 50:250] = np.asarray(Image.fromarray(digit).resize((200, 200))) / 255
        shaded = Image.fromarray(np.rint(light * (1 - 0.8 * ink) * 255).astype(np.uint8))
        seen, clean = to_mnist_form(to_ink(shaded)).image, to_mnist_form(ink).image
        assert np.square(seen - clean).mean() < 0.003


ROWS, COLUMNS = np.mgrid[-1:1:300j, -1:1:300j]
GREY = {
    "a shadow": np.broadcast_to(np.linspace(0.7, 0.25, 300), (300, 300)),  # at most of its border dark
    "a lamp": 0.4 + 0.3 * (1 - (ROWS**2 + COLUMNS**2) / 2),  # which is lighter than the ink is dark
    "grey": np.full((300, 300), 0.45),
}
"""What paper in this light is, where neither its border is light nor dark."""


@pytest.mark.parametrize("dark_on_light", [True, False])
@pytest.mark.parametrize("lit", GREY)
def test_on_grey_paper_the_ink_is_what_differs_from_it(
    dataset: Dataset, lit: str, dark_on_light: bool
) -> None:
    light = GREY[lit]
    for digit in dataset.test.images[:8]:
        ink = np.zeros((300, 300))
        ink[50:250, 50:250] = np.asarray(Image.fromarray(digit).resize((200, 200))) / 255
        paper = light if dark_on_light else 1 - light
        values = paper * (1 - 0.8 * ink) if dark_on_light else paper + (1 - paper) * 0.8 * ink
        seen = to_ink(Image.fromarray(np.rint(values * 255).astype(np.uint8)))
        assert_close(seen, 1 - values if dark_on_light else values, 0.01)


@pytest.mark.parametrize("size", [28, 280])
@pytest.mark.parametrize("centre", [True, False])
def test_what_the_model_sees_is_from_0_to_1_whatever_the_drawing(centre: bool, size: int) -> None:
    drawing = np.full((size, size), -3, np.float32)
    drawing[size * 2 // 7 - size // 50 : size * 5 // 7, size * 3 // 7 : size * 4 // 7] = 7
    within = to_mnist_form(drawing.clip(0, 1), centre).image
    assert np.array_equal(to_mnist_form(drawing, centre).image, within)
    assert (within.min(), within.max()) == (0, 1)


@pytest.mark.parametrize(("least", "most"), [(0, 1), (-40, 1), (0, 255), (-40, 1000)])
@pytest.mark.parametrize("kind", [np.float32, np.int32])
def test_grey_of_any_range_is_read_by_its_largest_value(least: int, most: int, kind: type) -> None:
    grey = np.full((40, 40), least, kind)
    grey[10:30, 18:22] = most
    ink = to_ink(Image.fromarray(grey))
    assert np.array_equal(ink, (grey == most).astype(np.float32))


def test_a_float_picture_that_stays_below_1_is_made_no_stronger() -> None:
    grey = np.zeros((40, 40), np.float32)
    grey[10:30, 18:22] = 0.5
    assert to_ink(Image.fromarray(grey)).max() == pytest.approx(0.5, abs=0.005)


def test_a_float_picture_that_is_not_finite_is_refused() -> None:
    grey = np.zeros((40, 40), np.float32)
    for value in (np.nan, np.inf):
        grey[10:30, 18:22] = value
        with pytest.raises(PictureError, match=r"^a picture's values must be finite numbers$"):
            to_ink(Image.fromarray(grey))


@pytest.mark.parametrize("turned", [False, True], ids=["light", "dark"])
def test_a_clear_border_says_what_is_paper_whatever_stands_out_within(turned: bool) -> None:
    photo = np.full((120, 120), 255, np.uint8)
    photo[20:100, 20:100] = 0  # a board, with light lines on it that stand out more than its edges
    photo[28:92:8, 24:96] = 255
    ink = to_ink(Image.fromarray(255 - photo if turned else photo))
    assert ink[5, 5] == 0
    assert ink[24, 60] == 1
