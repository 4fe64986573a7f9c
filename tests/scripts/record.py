"""The README's pictures, taken from the real app in headless Chromium: the tour and two still screenshots.

    MNIST_DIR=... python tests/scripts/record.py --out assets/tour.webp     # or a .gif, which is larger
    MNIST_DIR=... python tests/scripts/record.py --stills assets            # explore.png and train.png

The tour is stop motion: each step waits until its picture is there, so that a slow machine takes longer but
makes the same film, but for the times that the training at its end tells: it is a real one. With the sample
of 5,000 images, which the app falls back to, the images behind the bars are not the shipped model's own.
"""

from __future__ import annotations

import argparse
import io
import math
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent))

from PIL import Image

from support.browser import CHROMIUM_OPTIONS, App, chromium_path, open_tab, wait_for_state
from support.digit_strokes import STROKES

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator, Page

WIDTH, HEIGHT = 1200, 800
"""Of the page, in CSS pixels."""
FILM_WIDTH = 1000
FRAME_MILLISECONDS = 80
SETTLE_MILLISECONDS = 40
MOST_BYTES = 5_000_000
QUALITIES = (80, 65, 50, 35)
"""Of WebP, tried in this order until the film is small enough."""
LAPSE_STEP, LAPSE_ITERATIONS, LONGEST_LAPSE_SECONDS = 14, 480, 600
"""Of the training's iterations one is shown in so many, until its first epoch is over."""
STILLS = {"explore.png": 1000, "train.png": 1480}
"""The still pictures and their heights."""

CURSOR = """
() => {
  const cursor = document.createElement("div");
  cursor.id = "film-cursor";
  cursor.innerHTML =
    '<svg width="22" height="22" viewBox="0 0 22 22"><path d="M4 2v15l4-4 3 7 3-1.5-3-6.5h6z"' +
    ' fill="#111827" stroke="white" stroke-width="1.6"/></svg>';
  cursor.style.cssText = "position:fixed;left:-40px;top:0;z-index:99999;pointer-events:none;line-height:0";
  const halo = (pressed) => (cursor.style.filter = pressed ? "drop-shadow(0 0 5px #6366f1)" : "none");
  addEventListener("mousemove", ({ clientX, clientY }) => {
    cursor.style.left = `${clientX - 4}px`;
    cursor.style.top = `${clientY - 2}px`;
  }, true);
  addEventListener("mousedown", () => halo(true), true);
  addEventListener("mouseup", () => halo(false), true);
  document.body.append(cursor);
}
"""
SETTLED = """
async (milliseconds) => {
  await new Promise((done) => setTimeout(done, milliseconds));
  const isThere = () => [...document.images].every((picture) => picture.complete);
  for (let turn = 0; turn < 20 && !isThere(); turn += 1) await new Promise((done) => setTimeout(done, 20));
  await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
}
"""

ITERATION = "document.querySelector('#loss-curve .js-plotly-plot')?.data?.[0].x.at(-1)"

Point = tuple[float, float]


class Film:
    """What a visitor sees, picture by picture, with the visitor's hand."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.pictures: list[bytes] = []
        self.milliseconds: list[int] = []
        self.hand: Point = (WIDTH / 2, HEIGHT / 2)
        page.evaluate(CURSOR)

    def shoot(self, settle: int = SETTLE_MILLISECONDS) -> None:
        """One more picture; if nothing has changed the last one stands longer."""
        self.page.evaluate(SETTLED, settle)
        picture = self.page.screenshot()
        if self.pictures and picture == self.pictures[-1]:
            self.milliseconds[-1] += FRAME_MILLISECONDS
        else:
            self.pictures.append(picture)
            self.milliseconds.append(FRAME_MILLISECONDS)

    def hold(self, seconds: float) -> None:
        """Time to look at it."""
        self.shoot(300)
        self.milliseconds[-1] += round(1000 * seconds)

    def go(self, target: Point, steps: int = 6) -> None:
        """Moves the hand, gently at both ends."""
        start = self.hand
        for step in range(1, steps + 1):
            share = 0.5 - 0.5 * math.cos(math.pi * step / steps)
            self._move((start[0] + share * (target[0] - start[0]), start[1] + share * (target[1] - start[1])))
            self.shoot()

    def press(self, target: Point, steps: int = 6) -> None:
        """Goes there and clicks."""
        self.go(target, steps)
        self.page.mouse.down()
        self.shoot()
        self.page.mouse.up()
        self.shoot()

    def follow(self, points: list[Point], is_pressed: bool = True) -> None:
        """Goes to the first point, then along the others, a picture for each."""
        self.go(points[0], 4)
        if is_pressed:
            self.page.mouse.down()
        for point in points[1:]:
            self._move(point)
            self.shoot()
        if is_pressed:
            self.page.mouse.up()

    def _move(self, target: Point) -> None:
        self.page.mouse.move(*target)
        self.hand = target

    def box(self, selector: str) -> tuple[float, float, float, float]:
        """Where the first visible of these is: left, top, width, height."""
        return _box(self.page.locator(f"{selector} >> visible=true").first)

    def middle(self, role: Literal["tab", "button", "radio"], name: str) -> Point:
        """The middle of what has this role and name."""
        left, top, width, height = _box(self.page.get_by_role(role, name=name, exact=True))
        return left + width / 2, top + height / 2

    def write(self, out: Path) -> int:
        """The film as WebP, in the best quality that is small enough, or as GIF; its size in bytes."""
        frames = [Image.open(io.BytesIO(picture)).convert("RGB") for picture in self.pictures]
        options = {"save_all": True, "append_images": frames[1:], "duration": self.milliseconds, "loop": 0}
        if out.suffix == ".gif":
            palette = frames[0].quantize(128, dither=Image.Dither.NONE)
            flat = [frame.quantize(palette=palette, dither=Image.Dither.NONE) for frame in frames]
            flat[0].save(out, **(options | {"append_images": flat[1:]}), optimize=True)
            return out.stat().st_size
        for quality in QUALITIES:
            frames[0].save(out, **options, quality=quality, method=2)
            if out.stat().st_size <= MOST_BYTES:
                break
        return out.stat().st_size


def _box(found: Locator) -> tuple[float, float, float, float]:
    found.scroll_into_view_if_needed()
    box = found.bounding_box()
    assert box, found
    return box["x"], box["y"], box["width"], box["height"]


def explore(film: Film) -> None:
    """A digit morphs under two sliders; then the pointer travels over the map."""
    film.hold(0.4)
    film.press(film.middle("button", "Mean of class 3"))
    for number, first, second in ((0, 2.4, -2.2), (2, -2.0, 1.2)):
        slider = film.page.get_by_role("slider").nth(number)
        left, top, width, height = _box(slider)
        values = np.interp(range(17), (0, 7, 16), (float(slider.input_value()), first, second))
        film.follow([(left + 9 + (width - 18) * (value + 3) / 6, top + height / 2) for value in values])
    left, top, width, height = film.box("#latent-map")
    turns = [math.radians(200 + 15 * step) for step in range(21)]
    way = [(0.5 + 0.27 * math.cos(turn), 0.45 + 0.25 * math.sin(turn)) for turn in turns]
    film.follow([(left + x * width, top + y * height) for x, y in way], is_pressed=False)
    film.press(film.hand, 1)
    film.hold(0.5)


def draw(film: Film) -> None:
    """A digit is drawn, and reconstructed meanwhile."""
    film.press(film.middle("tab", "Draw"))
    left, top, width, height = film.box("#sketch canvas")
    for stroke in STROKES[3]:
        points = [
            (left + width * (0.5 + 0.46 * (x - 0.5)), top + height * (0.5 + 0.6 * (y - 0.5)))
            for x, y in stroke
        ]
        film.follow(points[::2])
    film.hold(1)


def errors(film: Film) -> None:
    """A bar of the histogram is clicked, and the images in it appear."""
    film.press(film.middle("tab", "Test errors"))
    film.page.wait_for_selector("#error-histogram .bars path", state="attached")
    film.hold(0.3)
    bars = film.page.locator("#error-histogram .bars .point path")
    box = bars.nth(30).bounding_box()
    assert box
    film.press((box["x"] + box["width"] / 2, box["y"] + box["height"] - 3))
    film.page.wait_for_selector("#error-images li img")
    _scroll(film, 420)
    film.hold(1)
    _scroll(film, -2000)


def _scroll(film: Film, pixels: float) -> None:
    for _ in range(5):
        film.page.mouse.wheel(0, pixels / 5)
        film.shoot()


def generate(film: Film) -> None:
    """New digits, and the training image that is most like one of them."""
    film.press(film.middle("tab", "Generate"))
    film.page.wait_for_selector("#generated-grid button")
    film.page.get_by_label("Seed").fill("7")
    film.press(film.middle("button", "Generate"))
    film.hold(0.3)
    left, top, width, height = film.box("#generated-grid button:nth-of-type(12)")
    film.press((left + width / 2, top + height / 2))
    film.page.wait_for_function("document.querySelector('#invention [data-is=nearest]').naturalWidth > 1")
    film.hold(0.8)


def train(film: Film) -> None:
    """A training starts, and its curve grows."""
    film.press(film.middle("tab", "Train"))
    film.press(film.middle("radio", "Minute"))
    film.press(film.middle("button", "Start training"))
    wait_for_state(film.page, "Training")
    for iteration in range(1, LAPSE_ITERATIONS, LAPSE_STEP):
        film.page.wait_for_function(f"{ITERATION} >= {iteration}", timeout=1000 * LONGEST_LAPSE_SECONDS)
        film.shoot()
    film.hold(1)


def record(browser: Browser, app: App, out: Path) -> None:
    """The tour, written to a file."""
    page = browser.new_page(
        viewport={"width": WIDTH, "height": HEIGHT},
        device_scale_factor=FILM_WIDTH / WIDTH,
        color_scheme="light",
    )
    page.goto(f"{app.url}/?model=reference")
    page.wait_for_selector("#decoded-digit img[src]")
    page.wait_for_selector(".map-label")
    film = Film(page)
    for scene in (explore, draw, errors, generate, train):
        started = time.monotonic()
        scene(film)
        print(
            f"{scene.__name__}: {time.monotonic() - started:.0f} s, {len(film.pictures)} pictures", flush=True
        )
    page.close()
    size = film.write(out)
    print(f"{out}: {sum(film.milliseconds) / 1000:.1f} s, {size / 1e6:.2f} MB")


def take_stills(browser: Browser, app: App, folder: Path) -> None:
    """Explore with a digit of the class 3, and Train with the reference run."""
    for name, height in STILLS.items():
        page = browser.new_page(viewport={"width": 1280, "height": height}, color_scheme="light")
        page.goto(f"{app.url}/?model=reference")
        page.wait_for_selector(".map-label")
        if name == "explore.png":
            page.locator(".digit-buttons button").nth(3).click()
        else:
            open_tab(page, "Train")
            page.locator("table.runs tr[data-run='reference'] button").first.click()
            page.wait_for_function("document.querySelector('.state').innerText.includes('reference')")
            page.wait_for_function("document.querySelector('.small-plot')?.data?.[0].x.length === 30")
        page.evaluate("scrollTo({ top: 0 })")
        page.mouse.move(0, 0)
        page.wait_for_timeout(1500)
        page.screenshot(path=folder / name)
        print(folder / name)
        page.close()


def main() -> None:
    """Starts the app with an empty folder for runs, and takes what is asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, help="the film to write, .webp or .gif")
    parser.add_argument("--stills", type=Path, help="the folder to write the still pictures to")
    options = parser.parse_args()
    if options.out is None and options.stills is None:
        parser.error("say --out FILE or --stills FOLDER")
    from playwright.sync_api import sync_playwright

    path = chromium_path()
    if path is None:
        sys.exit("error: there is no Chromium here; set CHROMIUM to its path")
    with tempfile.TemporaryDirectory() as scratch, sync_playwright() as playwright:
        app = App(Path(scratch) / "runs", dict(os.environ))
        try:
            browser = playwright.chromium.launch(executable_path=path, args=CHROMIUM_OPTIONS)
            if options.stills is not None:
                take_stills(browser, app, options.stills)
            if options.out is not None:
                record(browser, app, options.out)
            browser.close()
        finally:
            app.end()


if __name__ == "__main__":
    main()
