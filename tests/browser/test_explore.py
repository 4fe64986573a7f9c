"""Explore as a person would use it: sliders, starts, strips, map, morph, loss, address."""

from __future__ import annotations

import base64
import io
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest
from PIL import Image

from support.browser import (
    HASTE,
    PHONE,
    App,
    be_busy,
    choose_model,
    compare_with,
    go_to,
    hastened,
    hold,
    open_app,
    open_tab,
    source_of,
    swipe,
    wait_for_address,
    wait_for_new_source,
    wait_for_source,
    wait_until_alive,
    watched_page,
)
from support.runs import change_settings
from vae_core import load_run
from vae_core.data import Dataset
from vae_core.inference import decode_latents, reconstruct_image
from vae_core.latent_space import LatentMap, slerp
from vae_core.runs import LoadedRun

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext, Page, Route

DIGIT = "#decoded-digit img"
AT_ZERO = pytest.mark.usefixtures("at_zero")
"""On a test that needs no page of its own: it begins with all sliders at zero, on a page shared by such."""


@pytest.fixture
def reference() -> Any:
    return load_run("reference")


@pytest.fixture(scope="module")
def lasting(profile: BrowserContext, app: App) -> Iterator[Page]:
    """The page of the tests that can begin where another has ended."""
    with watched_page(profile, app) as page:
        open_app(page, app.url)
        yield page


@pytest.fixture
def at_zero(lasting: Page) -> Page:
    """The lasting page at Explore, with all sliders of the shipped model at zero, no picture behind them, and
    nothing said above."""
    lasting.unroute_all()
    go_to(lasting, "?model=reference")
    wait_for_source(lasting, DIGIT, "/runs/reference/")
    lasting.wait_for_function("document.querySelector('#model-choice input').value.startsWith('reference')")
    lasting.evaluate("async () => (await import('./studio/static/studio.js')).tellProblem(null)")
    lasting.get_by_role("button", name="Reset").click()
    wait_for_vector(lasting, np.zeros(16))
    lasting.locator(".latent .track i:visible").first.wait_for(state="detached")
    lasting.wait_for_function(
        "[...document.querySelectorAll('#decoded-digit img, #film-strip img')].every((picture) =>"
        " picture.complete && /[?&]z=(0,)*0(&|$)/.test(decodeURIComponent(picture.src)))"
    )  # the strip follows when the vector has rested
    return lasting


@pytest.fixture
def page(request: pytest.FixtureRequest) -> Page:
    """The lasting page at zero, if the test asks for it, or a fresh one."""
    if "at_zero" in request.fixturenames:
        return request.getfixturevalue("at_zero")
    fresh = request.getfixturevalue("blank")
    open_app(fresh, request.getfixturevalue("app").url)
    return fresh


def vector(page: Page) -> np.ndarray:
    """The sliders' values, z1 first."""
    count = page.locator(".latent input").count()
    return np.array(
        [float(page.locator(f"#latent-{number}").input_value()) for number in range(1, count + 1)]
    )


def wait_for_vector(page: Page, expected: np.ndarray, tolerance: float = 0.011) -> None:
    page.wait_for_function(
        "([wanted, tolerance]) => wanted.every((value, index) => Math.abs(Math.max(-3, Math.min(3, value))"
        " - document.querySelector(`#latent-${index + 1}`)?.value) <= tolerance)",
        arg=[np.asarray(expected, float).tolist(), tolerance],
    )


def marked(page: Page, latent: int) -> tuple[float, ...]:
    """Mean and spread that the mark on a latent's track stands for."""
    words = page.locator(f"#latent-{latent + 1}").locator("xpath=../i").get_attribute("title") or ""
    found = re.search(r"mean (-?[\d.]+), spread ([\d.]+)", words)
    assert found
    return tuple(map(float, found.groups()))


def shown_pixels(page: Page, selector: str) -> np.ndarray:
    """What an <img> of 28x28 shows: float (28, 28) in [0, 1]."""
    values = page.evaluate(
        """async (selector) => {
          const picture = document.querySelector(selector);
          await picture.decode();
          const context = new OffscreenCanvas(28, 28).getContext('2d');
          context.drawImage(picture, 0, 0);
          return Array.from(context.getImageData(0, 0, 28, 28).data).filter((_, i) => i % 4 === 0);
        }""",
        selector,
    )
    return np.array(values).reshape(28, 28) / 255


@AT_ZERO
def test_a_list_closes_when_the_focus_goes_on(page: Page) -> None:
    page.get_by_label("Model", exact=True).click()
    page.get_by_role("listbox").wait_for()
    page.keyboard.press("Tab")
    page.get_by_role("listbox").wait_for(state="detached", timeout=5000)


@AT_ZERO
def test_moving_a_slider_changes_the_digit(page: Page) -> None:
    before = source_of(page, DIGIT)
    slider = page.get_by_role("slider", name=re.compile(r"^z1\b"))
    slider.focus()
    for _ in range(6):
        slider.press("PageUp")
    wait_for_new_source(page, DIGIT, before)
    assert slider.input_value() == "3"


@AT_ZERO
def test_random_digit_and_reset(page: Page) -> None:
    at_zero = source_of(page, DIGIT)
    page.get_by_role("button", name="Random digit").click()
    wait_for_new_source(page, DIGIT, at_zero)
    values = vector(page)
    assert len(set(values)) > 8
    assert np.abs(values).max() <= 3
    page.get_by_role("button", name="Reset").click()
    page.wait_for_function("([selector, source]) => document.querySelector(selector).src === source",
                           arg=[DIGIT, at_zero])  # fmt: skip


@AT_ZERO
def test_the_sliders_are_in_the_order_of_their_kl(page: Page, reference: Any) -> None:
    kl = reference.evaluation.kl_per_dimension
    labels = page.locator(".latent label").all_inner_texts()
    order = np.argsort(-kl.round(4), kind="stable")
    assert [label.split()[0] for label in labels] == [f"z{latent + 1}" for latent in order]
    for label, nats in zip(labels, kl[order], strict=True):
        if nats < 0.05:
            assert "unused" in label
        else:
            assert float(label.split()[1]) == pytest.approx(nats, abs=0.006)


@AT_ZERO
def test_keys_move_finely_and_coarsely_and_a_double_click_resets(page: Page) -> None:
    slider = page.locator("#latent-6")
    slider.focus()
    for key, value in [("ArrowRight", 0.05), ("Shift+ArrowRight", 0.06), ("PageUp", 0.56), ("PageDown", 0.06),
                       ("ArrowDown", 0.01), ("Home", -3), ("End", 3), ("ArrowRight", 3)]:  # fmt: skip
        slider.press(key)
        assert float(slider.input_value()) == pytest.approx(value)
    assert page.locator("output[for=latent-6]").inner_text() == "3.00"
    slider.dblclick()
    assert float(slider.input_value()) == 0


@AT_ZERO
def test_digit_buttons_go_to_the_class_means(page: Page, reference: Any) -> None:
    for digit in (0, 7):
        page.get_by_role("button", name=f"Mean of class {digit}").click()
        wait_for_vector(page, reference.evaluation.class_means[digit])
    page.wait_for_function("selector => document.querySelector(selector).complete", arg=DIGIT)
    expected = decode_latents(reference.model, reference.evaluation.class_means[7][None].astype(np.float32))[
        0
    ]
    assert np.abs(shown_pixels(page, DIGIT) - expected).max() < 0.02


@AT_ZERO
def test_a_number_beyond_its_slider_is_told_apart(page: Page) -> None:
    beyond = page.locator(".latent output.beyond")
    assert beyond.count() == 0
    z = ",".join(["4.25", *["0"] * 15])
    go_to(page, f"?model=reference&z={z}")
    beyond.wait_for()
    assert beyond.inner_text() == "4.25"
    slider = page.get_by_role("slider", name=re.compile(r"^z1\b"))
    assert slider.get_attribute("aria-valuetext") == "4.25, beyond the slider"
    slider.fill("2")
    beyond.wait_for(state="detached")
    assert slider.get_attribute("aria-valuetext") is None


@AT_ZERO
def test_a_test_digit_is_encoded_and_marked_on_the_tracks(
    page: Page, reference: Any, dataset: Dataset
) -> None:
    page.get_by_role("button", name="A test digit", exact=True).click()
    page.wait_for_function("document.querySelector('.starts').innerText.includes('from test image')")
    found = re.search(r"test image (\d+), an? (\d)", page.locator(".starts").inner_text())
    assert found
    index, label = map(int, found.groups())
    assert dataset.test.labels[index] == label
    posterior = reconstruct_image(reference.model, dataset.test.images[index] / np.float32(255))
    wait_for_vector(page, posterior.mean)
    for latent in (0, 5, 15):
        spread = np.exp(0.5 * posterior.log_variance[latent])
        assert marked(page, latent) == pytest.approx((posterior.mean[latent], spread), abs=0.006)
        assert page.locator(f"#latent-{latent + 1}").locator("xpath=../i").is_visible()
    page.get_by_role("button", name="Reset").click()
    page.locator(".latent .track i:visible").first.wait_for(state="detached")


@AT_ZERO
def test_a_film_strip_frame_moves_its_latent(page: Page) -> None:
    before = source_of(page, "#film-strip img")
    page.locator("#latent-3").focus()  # passing by with the Tab key changes nothing
    assert source_of(page, "#film-strip img") == before
    page.locator("#latent-12").press("ArrowRight")
    page.wait_for_function("document.querySelector('#film-strip img').src.includes('rows=12')")
    page.wait_for_function(f"document.querySelector('#film-strip img').naturalWidth === {11 * 30 - 2}")
    page.locator("#film-strip").get_by_role("button", name="Latent 12 at 1.8").click()
    assert float(page.locator("#latent-12").input_value()) == pytest.approx(1.8)
    marked = page.locator("#film-strip button[aria-pressed=true]")
    assert marked.get_attribute("aria-label") == "Latent 12 at 1.8"


@AT_ZERO
def test_the_whole_map_shows_every_latent_and_is_walked_by_keys(page: Page, reference: Any) -> None:
    page.get_by_role("button", name="All latents").click()
    page.wait_for_function("document.querySelector('#whole-map img').naturalWidth > 1")
    tiles = page.locator("#whole-map button")
    assert tiles.count() == 16 * 11
    most_used, second = (-reference.evaluation.kl_per_dimension).argsort()[:2] + 1
    tiles.first.focus()
    for key in ("ArrowDown", "ArrowRight", "ArrowRight", "Enter"):
        page.keyboard.press(key)
    assert float(page.locator(f"#latent-{second}").input_value()) == pytest.approx(-1.8)
    assert float(page.locator(f"#latent-{most_used}").input_value()) == 0


@AT_ZERO
def test_an_example_of_a_morph_is_a_press_away(page: Page, reference: Any) -> None:
    for model, size in (("plane", 2), ("reference", 16)):  # of other sizes: nothing is pinned any more
        there = np.eye(size)[0]
        go_to(page, f"?model={model}&z={','.join(map(str, there))}")
        wait_for_vector(page, there)
    ends = reference.evaluation.class_means[[0, 1]].astype(float)
    example = page.get_by_role("button", name="Try it: from 0 to 1")
    example.click()
    pause = page.get_by_role("button", name="Pause")
    pause.wait_for()
    assert pause.evaluate("it => it === document.activeElement")
    before = source_of(page, "#film-strip img")
    wait_for_new_source(page, "#film-strip img", before)  # it follows while the vector moves
    assert pause.is_visible()
    page.wait_for_function("document.querySelector('#morph-at').value > 0.4")
    pause.click()
    at = float(page.get_by_role("slider", name="From A to B").input_value())
    wait_for_vector(page, slerp(ends[0], ends[1], np.array([at]))[0])
    assert not example.is_visible()


@AT_ZERO
def test_morphing_follows_the_arc_and_can_be_downloaded(page: Page, reference: Any) -> None:
    ends = reference.evaluation.class_means[[3, 8]].astype(float)
    for name, digit in (("A", 3), ("B", 8)):
        page.get_by_role("button", name=f"Mean of class {digit}").click()
        page.get_by_role("button", name=f"Pin {name}").click()
    page.get_by_role("slider", name="From A to B").fill("0.3")
    wait_for_vector(page, slerp(ends[0], ends[1], np.array([0.3]))[0])
    page.get_by_role("button", name="Play").click()
    page.wait_for_function("document.querySelector('#morph-at').value > 0.6")
    page.get_by_role("button", name="Mean of class 7").click()  # whoever goes elsewhere means it
    page.get_by_role("button", name="Play").wait_for()
    assert vector(page) == pytest.approx(reference.evaluation.class_means[7].astype(float), abs=0.006)
    at = float(page.get_by_role("slider", name="From A to B").input_value())
    assert page.get_by_role("img", name="The digit between A and B").is_visible()
    page.wait_for_function(
        """wanted => {
          const z = new URL(document.querySelector('.between img').src).searchParams.get('z').split(',');
          return wanted.every((value, latent) => Math.abs(value - z[latent]) < 0.02);
        }""",
        arg=slerp(ends[0], ends[1], np.array([at]))[0].tolist(),
    )
    with page.expect_download() as download:
        page.get_by_role("link", name="Download GIF").click()
    with Image.open(download.value.path()) as animation:
        assert animation.format == "GIF"
        assert animation.n_frames == 46
        assert animation.size == (224, 224)


def place_of(page: Page, selector: str, text: str = "") -> list[float]:
    """The middle of something above the dots, in pixels of the map."""
    element = page.locator(f"#latent-map {selector}", has_text=text).first
    return element.evaluate(
        "shape => ['x', 'y'].map((axis) => +(shape.getAttribute(axis) ?? shape.getAttribute(`c${axis}`)))"
    )


def show_whole_map(page: Page) -> None:
    """All of it, with nothing behind, whatever a test before has done."""
    page.wait_for_selector("#latent-map .map-here", state="attached")
    page.get_by_label("digits behind").uncheck()
    page.get_by_role("button", name="All", exact=True).click()


class ShownMap:
    """The dots on the screen, and where they should be while all of the map is shown."""

    def __init__(self, page: Page, run: LoadedRun) -> None:
        evaluation = run.evaluation
        assert evaluation is not None
        canvas = page.evaluate("document.querySelector('#latent-map canvas').toDataURL()")
        picture = Image.open(io.BytesIO(base64.b64decode(canvas.partition(",")[2])))
        self.pixels = np.asarray(picture.convert("RGBA")).astype(int)  # (height, width, 4)
        self.labels = evaluation.labels
        self._places = LatentMap.fit(evaluation.means).to_plane(evaluation.means)
        self.at = self.on_screen(self._places)

    def on_screen(self, places: np.ndarray) -> np.ndarray:
        """Pixels (N, 2), x first, of places (N, 2) on the plane, whose middle is the middle of the map."""
        sides = np.array(self.pixels.shape[1::-1])
        reach = np.minimum(1.05 * np.abs(self._places).max(0), 6)
        return sides / 2 + places * [1, -1] * (sides / 2 / reach).min()

    def alone(self, digit: int) -> np.ndarray:
        """Where those dots of a class are, int (N, 2), that touch no other dot and no axis."""
        own = self.at[self.labels == digit]
        x, y = self.at.astype(np.float32).T
        is_near = np.abs(own[:, :1].astype(np.float32) - x) < 6
        is_near &= np.abs(own[:, 1:].astype(np.float32) - y) < 6
        neighbours = is_near.sum(1)
        is_alone = (neighbours == 1) & (np.abs(own - np.array(self.pixels.shape[1::-1]) / 2) > 6).all(1)
        return own[is_alone].astype(int)

    def pixels_alone(self, digit: int) -> np.ndarray:
        """Their pixels, (N, 4)."""
        x, y = self.alone(digit).T
        return self.pixels[y, x]


def colour_of(page: Page, digit: int) -> list[int]:
    """What the class's dot beside its button has."""
    button = page.locator(".map-classes button", has_text=str(digit))
    colour = button.evaluate("button => getComputedStyle(button, '::before').backgroundColor")
    return [int(part) for part in re.findall(r"\d+", colour)[:3]]


@AT_ZERO
def test_the_map_has_a_dot_for_each_test_image_in_its_classes_colour(page: Page, reference: Any) -> None:
    show_whole_map(page)
    shown = ShownMap(page, reference)
    x, y = shown.at.astype(int).T
    assert (shown.pixels[y, x, 3] > 100).all()
    near = np.zeros(shown.pixels.shape[:2], bool)
    for right in range(-3, 4):
        for down in range(-3, 4):
            near[(y + down).clip(0, len(near) - 1), (x + right).clip(0, near.shape[1] - 1)] = True
    height, width = near.shape
    near[height // 2 - 1 : height // 2 + 1] = near[:, width // 2 - 1 : width // 2 + 1] = True  # the axes
    assert shown.pixels[~near, 3].max() == 0
    for digit in (0, 1, 4, 7):
        assert len(shown.alone(digit)) > 2
        expected = [*colour_of(page, digit), 166]
        for pixel in shown.pixels_alone(digit):
            assert pixel.tolist() == pytest.approx(expected, abs=4)


@AT_ZERO
def test_the_map_is_drawn_anew_in_the_dark_also_while_it_is_not_seen(page: Page, reference: Any) -> None:
    show_whole_map(page)
    dot = ShownMap(page, reference).alone(1)[0].tolist()

    def wait_for_dot(colour: list[int]) -> None:
        page.wait_for_function(
            "([dot, colour]) => { const canvas = document.querySelector('#latent-map canvas');"
            " const pixel = canvas.getContext('2d').getImageData(...dot, 1, 1).data;"
            " return colour.every((part, index) => Math.abs(part - pixel[index]) < 5); }",
            arg=[dot, colour],
        )

    light = colour_of(page, 1)
    wait_for_dot(light)
    open_tab(page, "Draw")
    page.evaluate("document.body.classList.add('dark')")
    open_tab(page, "Explore")
    dark = colour_of(page, 1)
    assert dark != light
    wait_for_dot(dark)
    page.evaluate("document.body.classList.remove('dark')")
    wait_for_dot(light)


def test_explore_loads_no_plotting_library(blank: Page, app: App) -> None:
    asked: list[str] = []
    blank.on("request", lambda request: asked.append(request.url))
    open_app(blank, app.url)
    blank.wait_for_selector("#latent-map .map-here", state="attached")
    assert not [url for url in asked if "plotly" in url]
    open_tab(blank, "Test errors")
    blank.wait_for_selector("#error-histogram .main-svg")
    assert [url for url in asked if "plotly" in url]


@AT_ZERO
def test_the_map_follows_the_sliders(page: Page, reference: Any) -> None:
    show_whole_map(page)
    plane = LatentMap.fit(reference.evaluation.means)
    percents = [f"{share:.0%}" for share in plane.shares]
    assert all(percent in page.locator(".map-panel").inner_text() for percent in percents)

    here = "['cx', 'cy'].map(name => +document.querySelector('.map-here').getAttribute(name))"
    before = page.evaluate(here)
    page.get_by_role("button", name="Mean of class 0").click()
    page.wait_for_function(f"JSON.stringify({here}) !== '{before}'.replaceAll(' ', '')")
    x, y = page.evaluate(here)
    place = plane.to_plane(reference.evaluation.class_means[:1])
    assert ShownMap(page, reference).on_screen(place)[0] == pytest.approx([x, y], abs=0.5)


@AT_ZERO
def test_the_pointer_over_the_map_decodes_and_a_press_goes_there(page: Page, reference: Any) -> None:
    show_whole_map(page)
    surface = page.locator(".map-surface")
    surface.scroll_into_view_if_needed()
    box = surface.bounding_box()
    assert box
    page.mouse.move(box["x"] + box["width"] * 0.7, box["y"] + box["height"] * 0.3)
    page.wait_for_function("document.querySelector('.map-preview img').naturalWidth === 28")
    z = parse_qs(urlsplit(source_of(page, ".map-preview img")).query)["z"][0]
    page.mouse.down()
    page.mouse.up()
    wait_for_vector(page, np.array([float(value) for value in z.split(",")]))
    plane = LatentMap.fit(reference.evaluation.means)
    place = plane.to_plane(np.array([[float(value) for value in z.split(",")]]))
    assert plane.from_plane(place)[0] == pytest.approx([float(value) for value in z.split(",")], abs=2e-3)
    surface.focus()
    before = vector(page)
    page.keyboard.press("ArrowUp")
    wait_for_vector(page, before + 0.1 * plane.axes[1], tolerance=0.02)


@AT_ZERO
def test_a_place_that_waits_to_be_decoded_is_given_up_with_its_model(page: Page) -> None:
    show_whole_map(page)
    problems: list[object] = []
    page.on("pageerror", lambda error: problems.append(error))
    surface = page.locator(".map-surface")
    surface.scroll_into_view_if_needed()
    pictures = hold(page, "**/runs/reference/decode.png*")
    for x in (90, 120):  # the first is asked for, the second waits
        surface.hover(position={"x": x, "y": 100})
    maps = hold(page, "**/runs/plane/map.json*")
    with page.expect_request("**/runs/plane/map.json*"):
        go_to(page, "?model=plane")
    for route in pictures:
        route.continue_()
    page.wait_for_timeout(500)
    assert problems == []
    maps[0].continue_()
    page.unroute_all()
    go_to(page, "?model=reference")
    wait_for_source(page, DIGIT, "/runs/reference/")


@AT_ZERO
def test_a_digit_that_is_refused_is_told_in_the_servers_words(page: Page) -> None:
    last = source_of(page, DIGIT)
    others = re.compile(rf"/decode\.png(?!{re.escape(last.partition('/decode.png')[2])}$)")
    be_busy(page, others)
    page.locator("#latent-2").focus()
    be_busy(page, "**/traversal.png*")
    slider = page.get_by_role("slider", name=re.compile(r"^z1\b"))
    told = page.get_by_text(
        "The digit could not be decoded. Many visitors ask at once; try again in a moment."
    )
    with hastened(page):
        slider.press("PageUp")
        told.wait_for()
        wait_for_source(page, DIGIT, last)  # it stays
        page.unroute_all()
        told.wait_for(state="hidden")  # it is tried again
    wait_for_new_source(page, DIGIT, last)
    page.wait_for_function("document.querySelector('#film-strip img').naturalWidth > 1")


def test_the_map_stays_as_it_was_when_its_model_is_trained_on(page: Page, reference: Any) -> None:
    four = page.locator(".map-classes button", has_text="4")
    four.click()
    page.get_by_role("button", name="Zoom in on the current vector").click()
    before = place_of(page, "text.map-label", "1")

    def trained_on(route: Route) -> None:
        route.fulfill(json=route.fetch().json() | {"version": "later"})

    page.route("**/runs/reference/card", trained_on)
    with page.expect_response("**/map.json*v=later") as news:
        page.evaluate("async () => (await import('./studio/static/studio.js')).refreshModel()")
    news.value.finished()
    page.wait_for_timeout(200)
    assert four.get_attribute("aria-pressed") == "false"
    assert ShownMap(page, reference).pixels_alone(4)[:, 3].max() == 0
    assert place_of(page, "text.map-label", "1") == pytest.approx(before, abs=0.5)


@AT_ZERO
def test_no_other_models_map_stays_where_a_models_own_does_not_come(page: Page) -> None:
    words = {"error": "no map today"}
    page.route("**/runs/plane/map.json*", lambda route: route.fulfill(status=503, json=words))
    go_to(page, "?model=plane")
    page.locator(".map-panel", has_text="No map today").wait_for()
    assert page.locator(".map-classes button").count() == 0
    assert page.locator("#latent-map svg > *").count() == 0
    assert page.evaluate("document.querySelector('#latent-map canvas').width") == 0
    go_to(page, "?model=reference")
    page.locator(".map-classes button").first.wait_for()


@AT_ZERO
def test_what_changes_while_nobody_looks_is_shown_when_somebody_does(page: Page) -> None:
    def look_away(away: bool) -> None:
        page.evaluate(
            "away => { Object.defineProperty(document, 'hidden', { value: away, configurable: true });"
            " document.dispatchEvent(new Event('visibilitychange')); }",
            away,
        )

    page.locator(".map-classes button").first.wait_for()
    look_away(True)
    go_to(page, "?model=plane")
    page.wait_for_function("document.querySelectorAll('.latent').length === 2")
    page.wait_for_timeout(300)
    assert page.locator(".map-classes button").count() == 0
    look_away(False)
    page.locator(".map-classes button").first.wait_for()
    page.evaluate("() => { delete document.hidden; }")  # the browser says it again


def test_a_model_that_did_not_come_is_asked_for_again(blank: Page, app: App) -> None:
    cards = "**/runs/reference/card"
    blank.add_init_script(HASTE)
    blank.route(cards, lambda route: route.abort())
    blank.goto(app.url)
    problem = blank.get_by_role("alert").filter(has_text="The app does not answer")
    problem.wait_for()
    blank.unroute(cards)
    wait_for_source(blank, DIGIT, "/runs/reference/")
    problem.wait_for(state="hidden")


def test_a_class_mean_keeps_the_focus_while_its_model_is_trained_on(page: Page) -> None:
    seven = page.get_by_role("button", name="Mean of class 7")
    seven.focus()
    page.route(
        "**/runs/reference/card",
        lambda route: route.fulfill(json=route.fetch().json() | {"version": "later"}),
    )
    page.evaluate("async () => (await import('./studio/static/studio.js')).refreshModel()")
    wait_for_source(page, "#film-strip img", "v=later")
    assert seven.evaluate("button => button === document.activeElement")


@AT_ZERO
def test_of_waiting_values_the_newest_is_done_even_after_a_failure(page: Page) -> None:
    done = page.evaluate(
        """async () => {
          const { Latest } = await import('./studio/static/studio.js');
          const done = [];
          const task = new Latest(async (value) => {
            await null;
            if (value < 0) throw new Error('negative');
            done.push(value);
          });
          const first = task.submit(-1).then(() => 'done', () => 'failed');
          task.submit(2);
          task.submit(3);
          const alone = await first.then(() => task.submit(-4)).then(() => 'done', () => 'failed');
          return [await first, done, alone];
        }"""
    )
    assert done == ["done", [3], "failed"]


@AT_ZERO
def test_classes_are_hidden_and_the_map_zoomed(page: Page, reference: Any) -> None:
    show_whole_map(page)
    four = page.locator(".map-classes button", has_text="4")
    four.click()
    shown = ShownMap(page, reference)
    assert shown.pixels_alone(4)[:, 3].max() == 0
    assert shown.pixels_alone(1)[:, 3].min() > 100
    assert "4" not in page.locator(".map-label").all_inner_texts()
    four.click()
    assert ShownMap(page, reference).pixels_alone(4)[:, 3].min() > 100

    def apart() -> np.ndarray:
        """From the marker to the middle of the ones, in pixels."""
        return np.subtract(place_of(page, "text.map-label", "1"), place_of(page, ".map-here"))

    wide = apart()
    page.get_by_role("button", name="Zoom in on the current vector").click()
    assert apart() == pytest.approx(1.6 * wide, abs=0.5)
    page.locator(".map-surface").press("-")
    assert apart() == pytest.approx(wide, abs=0.5)
    page.locator(".map-surface").press("+")
    page.get_by_role("button", name="All", exact=True).click()
    assert apart() == pytest.approx(wide, abs=0.5)
    for _ in range(12):
        page.get_by_role("button", name="Zoom out").click()
    with page.expect_response("**/manifold.png*") as far:
        page.get_by_label("digits behind").check()
    assert far.value.ok  # all that is shown can be decoded


@AT_ZERO
def test_the_wheel_with_ctrl_zooms_around_the_pointer_and_alone_scrolls(page: Page) -> None:
    show_whole_map(page)
    page.locator(".map-surface").scroll_into_view_if_needed()
    box = page.locator(".map-surface").bounding_box()
    assert box
    ones, marker = place_of(page, "text.map-label", "1"), place_of(page, ".map-here")
    page.mouse.move(box["x"] + ones[0], box["y"] + ones[1])
    page.keyboard.down("Control")
    page.mouse.wheel(0, -40)
    page.keyboard.up("Control")
    page.wait_for_function(f"+document.querySelector('.map-here').getAttribute('cx') !== {marker[0]}")
    assert place_of(page, "text.map-label", "1") == pytest.approx(ones, abs=0.5)
    expected = np.add(ones, 1.01**40 * np.subtract(marker, ones))
    assert place_of(page, ".map-here") == pytest.approx(expected.tolist(), abs=0.5)
    assert page.evaluate("window.devicePixelRatio") == 1
    before, scrolled = place_of(page, ".map-here"), page.evaluate("window.scrollY")
    page.mouse.wheel(0, 40)
    page.wait_for_function(f"window.scrollY > {scrolled}")
    assert place_of(page, ".map-here") == before


def test_a_model_of_two_latents_shows_its_plane(blank: Page, app: App) -> None:
    page = blank
    open_app(page, f"{app.url}/?model=plane&z=0.5,-1")
    page.wait_for_selector("#latent-map > img:visible", state="attached")
    behind = parse_qs(urlsplit(source_of(page, "#latent-map > img")).query)
    assert "/runs/plane/manifold.png" in source_of(page, "#latent-map > img")
    width, height = page.evaluate(
        "(({ clientWidth, clientHeight }) => [clientWidth, clientHeight])"
        "(document.querySelector('#latent-map canvas'))"
    )
    left, right, bottom, top = (float(behind[side][0]) for side in ("left", "right", "bottom", "top"))
    assert (right - left) / width == pytest.approx((top - bottom) / height, rel=1e-6)
    place = np.array([0.5, -1])
    middle = LatentMap.fit(load_run("plane").evaluation.means).to_plane(place[None])[0]  # type: ignore[union-attr]
    assert place_of(page, ".map-here") == pytest.approx(
        [(middle[0] - left) / (right - left) * width, (top - middle[1]) / (top - bottom) * height], abs=0.5
    )
    assert "The latent plane itself" in page.locator(".map-panel").inner_text()
    assert vector(page).tolist() == [0.5, -1]
    page.get_by_role("button", name="A test digit", exact=True).click()
    page.wait_for_selector(".map-spread", state="attached")


def test_a_finger_scrolls_over_the_map_taps_and_drags_the_marker(phone: Page, app: App) -> None:
    page = phone
    open_app(page, f"{app.url}/?model=plane&z=60,0")
    page.locator(".map-here.beyond").wait_for()  # it lies outside, and is seen at the edge
    page.locator(".map-surface").scroll_into_view_if_needed()
    box = page.locator(".map-surface").bounding_box()
    marker = page.locator(".map-here").bounding_box()
    assert box
    assert marker
    assert marker["x"] + marker["width"] <= box["x"] + box["width"] + 2  # its outline's width
    scrolled = page.evaluate("window.scrollY")
    swipe(page, [(box["x"] + 60, box["y"] + 120 - step * 8) for step in range(14)])
    page.wait_for_function(f"window.scrollY > {scrolled} + 20")
    assert vector(page).tolist() == [3, 0]  # as far as a slider goes

    page.locator(".map-surface").tap()  # in its middle, once the page stands still
    wait_for_vector(page, np.zeros(2), tolerance=0.05)
    box = page.locator(".map-surface").bounding_box()
    assert box
    middle = (box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    assert page.locator(".map-here.beyond").count() == 0
    scrolled = page.evaluate("window.scrollY")
    swipe(page, [(middle[0] + 10, middle[1] + 10 - step * 8) for step in range(14)])
    page.wait_for_function("+document.querySelectorAll('.latent input')[1].value > 0.2")
    assert page.evaluate("window.scrollY") == scrolled

    for _ in range(3):
        page.get_by_role("button", name="Zoom in on the current vector").tap()
    surface = page.locator(".map-surface")
    surface.tap(position={"x": box["width"] - 8, "y": box["height"] / 2})
    across = "+document.querySelector('.map-here').getAttribute('cx')"
    page.wait_for_function(f"Math.abs({across} - {box['width'] / 2}) < 3")  # the part has moved on


def test_a_second_model_stands_beside_the_first(twin: Path, page: Page) -> None:
    held = hold(page, "**/runs/plane/card")
    compare_with(page, "plane")
    menu = page.locator(".compare-choice:visible")  # by the keyboard, which stays there
    menu.locator("summary").press("Enter")
    menu.get_by_role("button", name="twin", exact=True).wait_for()
    menu.get_by_role("button", name="nothing", exact=True).focus()
    names = menu.get_by_role("button").all_inner_texts()
    for name in names[1 : names.index("twin") + 1]:
        page.keyboard.press("ArrowDown")
        assert page.evaluate("document.activeElement.innerText") == name
    page.keyboard.press("Enter")
    assert menu.locator("summary").evaluate("summary => summary === document.activeElement")
    second = ".digits figure:nth-child(2) img"
    page.wait_for_function(
        "selector => document.querySelector(selector).src.includes('/runs/twin/')", arg=second
    )
    assert page.locator(".digits figcaption").all_inner_texts() == [
        "reference",
        "twin, same vector, which means something else to it",
    ]
    with page.expect_response("**/runs/plane/card"):  # too late: another one is wanted by now
        held[0].continue_()
    page.unroute("**/runs/plane/card")
    os.utime(twin / "model.safetensors")  # it has been trained further
    version = "-".join(
        str((twin / name).stat().st_mtime_ns) for name in ("model.safetensors", "evaluation.npz")
    )
    page.get_by_role("button", name="Mean of class 2").click()
    page.wait_for_function(
        "second => new URL(document.querySelector(second).src).searchParams.get('z')"
        " === new URL(document.querySelector('#decoded-digit img').src).searchParams.get('z')",
        arg=second,
    )
    page.wait_for_function(
        "([second, version]) => document.querySelector(second).src.endsWith(`v=${version}`)",
        arg=[second, version],
    )
    compare_with(page, "plane")
    page.wait_for_function("document.querySelector('.digits').innerText.includes('has 2 latents')")
    page.get_by_role("button", name="A test digit", exact=True).click()
    page.wait_for_function("document.querySelector('.digits').innerText.includes('same picture')")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    for value in ("1", "2"):  # the picture is the same wherever the vector goes
        before = source_of(page, DIGIT)
        page.locator("#latent-6").fill(value)
        wait_for_new_source(page, DIGIT, before)
    assert not [url for url in asked if "/runs/plane/" in url]
    wait_for_address(page, "with=plane")
    page.get_by_role("button", name="A test digit", exact=True).click()
    compare_with(page, "twin")  # of as many latents, which mean other things
    page.wait_for_function("document.querySelector('.digits').innerText.includes('twin, same picture')")
    page.locator("#latent-6").fill("2.5")
    page.wait_for_function("document.querySelector('.digits').innerText.includes('twin, same vector')")
    choose_model(page, "twin")  # the two change places
    page.wait_for_function("document.querySelector('.digits figcaption').innerText === 'twin'")
    # The new first model has read the picture again, so that the vector is its mean.
    page.wait_for_function("document.querySelector('.digits').innerText.includes('reference, same picture')")
    wait_for_address(page, "with=reference")


def test_a_choice_is_not_lost_to_news_of_the_model_before(twin: Path, blank: Page, app: App) -> None:
    page = blank
    page.add_init_script(HASTE)
    open_app(page, f"{app.url}/?hide=map&model=twin")
    page.wait_for_function("document.querySelector('#decoded-digit img')?.src.includes('/runs/twin/')")
    held = hold(page, "**/runs/plane/card")
    with page.expect_request("**/runs/plane/card"):
        choose_model(page, "plane")
    os.utime(twin / "model.safetensors")  # it has been trained further
    with page.expect_request("**/studio/models") as asked:  # whose answer knows it
        pass
    asked.value.response()
    page.wait_for_timeout(500)
    held[0].continue_()
    page.wait_for_function("document.querySelector('#decoded-digit img').src.includes('/runs/plane/')")


def test_a_press_while_the_page_comes_to_life_is_obeyed(blank: Page, app: App) -> None:
    held = hold(blank, "**/runs/reference/card")
    with blank.expect_request("**/runs/reference/card"):
        blank.goto(f"{app.url}/?hide=map")
    wait_until_alive(blank)
    says = "getComputedStyle(document.querySelector('#decoded-digit'), '::before').content"
    assert blank.evaluate(says) == '"Loading…"'  # and not a black square
    blank.get_by_role("button", name="Random digit").click()
    blank.wait_for_timeout(300)
    held[0].continue_()
    wait_for_address(blank, "z=")
    blank.wait_for_function(f"{says} === 'none'")
    assert np.abs(vector(blank)).max() > 0


TOUCH = """([selector, value]) => {
  const slider = document.querySelector(selector);
  const tell = (event) => slider.dispatchEvent(event);
  tell(new PointerEvent('pointerdown'));
  if (value !== null) { slider.value = value; tell(new Event('input')); }
  tell(new PointerEvent('pointercancel'));
}"""
"""A finger that scrolls the page, which has moved a slider or not."""


@AT_ZERO
def test_numbers_that_were_set_with_another_model_are_told_so(page: Page) -> None:
    about = page.locator(".starts [data-is=about]")
    first = page.locator(".latent input").first
    first.fill("2")
    assert about.inner_text() == ""
    choose_model(page, "quick")
    about.get_by_text("numbers set with reference, which mean something else to quick").wait_for()
    choose_model(page, "sharp")
    about.get_by_text("numbers set with reference, which mean something else to sharp").wait_for()
    choose_model(page, "reference")
    page.wait_for_function("document.querySelector('.starts [data-is=about]').innerText === ''")
    choose_model(page, "quick")
    about.get_by_text("numbers set with reference").wait_for()
    page.evaluate(TOUCH, ["#latent-1", "0.5"])
    assert "numbers set with reference" in about.inner_text()
    first.fill("1.5")
    page.wait_for_function("document.querySelector('.starts [data-is=about]').innerText === ''")


@AT_ZERO
def test_a_finger_that_scrolls_over_sliders_changes_nothing(page: Page) -> None:
    page.get_by_role("button", name="Pin A").click()
    page.get_by_role("button", name="Mean of class 3").click()
    page.get_by_role("button", name="Pin B").click()
    page.get_by_role("button", name="A test digit", exact=True).click()
    page.wait_for_selector(".latent .track i:visible")
    page.locator("#latent-6").fill("1.5")
    strip = page.locator(".part-traversal [data-is=title]")
    strip.filter(has_text="What z6 does").wait_for()
    about = page.locator(".starts [data-is=about]")
    from_image, before = about.inner_text(), vector(page)
    assert "from test image" in from_image
    for selector in (".part-morph input[type=range]", "#latent-1"):
        for value in ("0.5", None):
            page.evaluate(TOUCH, [selector, value])
            assert np.array_equal(vector(page), before), selector
            assert about.inner_text() == from_image
    page.wait_for_timeout(300)
    assert strip.inner_text() == "What z6 does"


@AT_ZERO
def test_keys_that_are_the_browsers_move_nothing(page: Page) -> None:
    show_whole_map(page)
    is_left_alone = """selector => document.querySelector(selector).dispatchEvent(
      new KeyboardEvent('keydown', { key: 'ArrowLeft', altKey: true, cancelable: true, bubbles: true }))"""
    before = vector(page)
    page.locator("#film-strip button").nth(3).focus()
    for selector in ("#latent-1", ".map-surface", "#film-strip button:focus"):
        assert page.evaluate(is_left_alone, selector), selector
    assert np.array_equal(vector(page), before)


@AT_ZERO
def test_a_test_digit_is_read_by_the_model_that_is_there_when_it_comes(page: Page, dataset: Dataset) -> None:
    held = hold(page, "**/runs/reference/test-images/*")
    with page.expect_request("**/runs/reference/test-images/*"):
        page.get_by_role("button", name="A test digit", exact=True).click()
    choose_model(page, "quick")
    wait_for_source(page, DIGIT, "/runs/quick/")
    held[0].continue_()
    page.wait_for_selector(".latent .track i:visible")
    found = re.search(r"from test image (\d+)", page.locator(".starts").inner_text())
    assert found
    image = dataset.test.images[int(found[1])] / np.float32(255)
    wait_for_vector(page, reconstruct_image(load_run("quick").model, image).mean)


@AT_ZERO
def test_a_slider_that_is_moved_while_the_picture_is_read_again_stays(page: Page) -> None:
    page.get_by_role("button", name="A test digit", exact=True).click()
    page.wait_for_selector(".latent .track i:visible")
    before = marked(page, 5)
    held = hold(page, "**/runs/quick/encode*")
    with page.expect_request("**/runs/quick/encode*"):
        choose_model(page, "quick")
    page.locator("#latent-6").fill("2.5")
    held[0].continue_()
    page.wait_for_function(
        "old => !document.querySelector('#latent-6').parentElement.querySelector('i').title.includes(old)",
        arg=f"mean {before[0]:.2f}, spread {before[1]:.2f}",
    )
    assert page.locator("#latent-6").input_value() == "2.5"


@AT_ZERO
def test_that_a_model_chosen_away_could_not_read_the_picture_is_no_matter(page: Page) -> None:
    page.get_by_role("button", name="A test digit", exact=True).click()
    page.wait_for_selector(".latent .track i:visible")
    held = hold(page, "**/runs/quick/encode*")
    with page.expect_request("**/runs/quick/encode*"):
        choose_model(page, "quick")
    with page.expect_response("**/runs/sharp/encode*"):
        choose_model(page, "sharp")
    held[0].fulfill(status=503, json={"error": "busy with quick"})
    page.wait_for_timeout(500)
    assert page.get_by_text("Busy with quick").count() == 0
    assert "from test image" in page.locator(".starts [data-is=about]").inner_text()


@AT_ZERO
def test_that_a_digit_of_a_model_chosen_away_did_not_come_is_no_matter(page: Page) -> None:
    held = hold(page, "**/runs/reference/decode.png*", times=1)
    with page.expect_request("**/runs/reference/decode.png*"):
        page.get_by_role("button", name="Random digit").click()
    with page.expect_response("**/runs/quick/card"):
        choose_model(page, "quick")
    page.locator(".starts", has_text="numbers set with reference").wait_for()
    page.evaluate(
        "import(new URL('studio/static/studio.js', document.baseURI)).then((m) => m.tellProblem('Another.'))"
    )
    held[0].abort()
    wait_for_source(page, DIGIT, "/runs/quick/")
    page.wait_for_timeout(300)
    assert page.get_by_text("Another.").is_visible()  # and nothing has taken its place


@AT_ZERO
def test_a_picture_that_another_model_cannot_read_is_not_behind_its_vector(page: Page) -> None:
    page.get_by_role("button", name="A test digit", exact=True).click()
    page.wait_for_selector(".latent .track i:visible")
    page.route("**/runs/quick/encode*", lambda route: route.abort())
    choose_model(page, "quick")
    page.locator(".starts", has_text="numbers set with reference").wait_for()
    assert page.locator(".latent .track i:visible").count() == 0


@AT_ZERO
def test_files_of_one_time_are_not_taken_for_one_model(page: Page) -> None:
    """As in an archive that was unpacked."""
    same = page.evaluate(
        """async () => {
          const { isSameModel } = await import(new URL('studio/static/studio.js', document.baseURI));
          const card = { run: 'reference', version: '1-1', created: '2026-01-01' };
          const others = [{ ...card, run: 'renamed' }, { ...card, version: '2-2' },
            { ...card, run: 'quick', created: '2026-01-02' }, { ...card, created: '2026-01-02' }, null];
          return others.map((other) => isSameModel(card, other)); }"""
    )
    assert same == [True, True, False, False, False]


def test_a_map_that_was_refused_comes_by_itself(blank: Page, app: App) -> None:
    be_busy(blank, "**/map.json*")
    blank.add_init_script(HASTE)
    open_app(blank, app.url)
    blank.locator("#latent-map").scroll_into_view_if_needed()
    blank.get_by_text("Many visitors ask at once; try again in a moment").wait_for()
    blank.unroute_all()
    blank.get_by_text("Each dot is a test image").wait_for()


@AT_ZERO
def test_a_model_that_cannot_be_had_is_not_what_the_list_says(page: Page) -> None:
    gone = {"error": "there is no run quick"}
    page.route("**/runs/quick/card", lambda route: route.fulfill(status=404, json=gone))
    choose_model(page, "quick")
    problem = page.get_by_text("There is no run quick")
    problem.wait_for()
    page.wait_for_function("document.querySelector('#model-choice input').value.startsWith('reference')")
    page.wait_for_timeout(500)
    assert problem.is_visible()


def test_another_model_reads_the_same_picture_again(
    page: Page, app: App, dataset: Dataset, tiny_run: Path, reference: Any
) -> None:
    page.get_by_role("button", name="A test digit", exact=True).click()
    page.wait_for_selector(".latent .track i:visible")
    found = re.search(r"test image (\d+)", page.locator(".starts").inner_text())
    assert found
    image = dataset.test.images[int(found[1])] / np.float32(255)
    choose_model(page, "plane")
    page.wait_for_function("document.querySelectorAll('.latent').length === 2")
    wait_for_vector(page, reconstruct_image(load_run("plane").model, image).mean)
    assert page.locator(".latent .track i:visible").count() == 2

    weights = shutil.copytree(tiny_run, app.runs_dir / "learning") / "model.safetensors"
    choose = (
        "run => import(new URL('studio/static/studio.js', document.baseURI)).then((m) => m.chooseModel(run))"
    )
    page.evaluate(choose, "learning")
    wait_for_vector(page, reconstruct_image(load_run(app.runs_dir / "learning").model, image).mean)
    page.locator("#latent-6").fill("1.5")
    here, before = vector(page), marked(page, 5)
    shutil.copy(reference.info.folder / "model.safetensors", weights)  # it has been trained further
    page.evaluate(choose, "learning")
    old = "mean {:.2f}, spread {:.2f}".format(*before)
    page.locator(f"xpath=//*[@id='latent-6']/../i[not(contains(@title, '{old}'))]").wait_for()
    expected = reconstruct_image(reference.model, image).mean[5]
    assert marked(page, 5)[0] == pytest.approx(expected, abs=0.006)
    assert np.array_equal(vector(page), here)  # only the marks move
    assert page.evaluate("document.activeElement.id") == "latent-6"  # whoever moves it goes on


@AT_ZERO
def test_the_loss_is_that_of_the_digit_and_moves_with_the_sliders(page: Page, dataset: Dataset) -> None:
    page.get_by_role("button", name="Take a test digit").click()
    panel = page.locator("#loss-panel")
    page.wait_for_function("document.querySelector('#loss-panel').innerText.includes(' nats\\n')")
    page.wait_for_timeout(500)

    def numbers() -> tuple[float, ...]:
        return tuple(float(text.split()[0]) for text in panel.locator("dd").all_inner_texts())

    found = re.search(r"test image (\d+)", page.locator(".starts").inner_text())
    assert found
    image = dataset.test.images[int(found[1])] / 255
    model = load_run("reference").model
    posterior = reconstruct_image(model, image.astype(np.float32))
    for _ in range(2):
        z = vector(page)
        decoded = decode_latents(model, z[None].astype(np.float32))[0]
        deviation = np.exp(0.5 * posterior.log_variance)
        squared = 0.5 * np.square(decoded - image).sum()
        kl = 0.5 * (z**2 + deviation**2 - 1 - 2 * np.log(deviation)).sum()
        assert numbers() == pytest.approx((squared, kl, squared + kl), abs=0.12)
        said = re.search(r"the first term would be (\d\.\d+), 392 times less", panel.inner_text())
        assert said
        assert float(said[1]) == pytest.approx(squared / 392, abs=1e-3)
        assert f"ELBO loss {numbers()[2]:.2f} nats" in page.locator(".starts").inner_text()
        page.locator("#latent-6").fill("2.5")
        page.wait_for_timeout(700)
    page.get_by_role("button", name="Mean of class 1").click()
    page.locator(".starts").filter(has_not_text="ELBO").wait_for()


@pytest.fixture
def weighted(app: App, tiny_run: Path) -> Iterator[Path]:
    """A run in the app with half the weight of the KL."""
    folder = Path(shutil.copytree(tiny_run, app.runs_dir / "weighted"))
    change_settings(folder, beta=0.5, likelihood="bernoulli")
    yield folder
    shutil.rmtree(folder)


@AT_ZERO
def test_the_loss_has_the_kl_weight_that_the_model_has_learned_by(
    page: Page, dataset: Dataset, weighted: Path
) -> None:
    go_to(page, "?model=weighted&image=3")
    panel = page.locator("#loss-panel")
    for words in ("KL, all latents × 0.5", "Sum: loss (KL × 0.5)", "another first term, bernoulli:"):
        panel.get_by_text(words).wait_for()
    page.wait_for_function("document.querySelector('#loss-panel').innerText.includes(' nats\\n')")
    kl = float(panel.locator("dd").nth(1).inner_text().split()[0])
    posterior = reconstruct_image(load_run(weighted).model, dataset.test.images[3] / np.float32(255))
    assert kl == pytest.approx(0.5 * posterior.kl.sum(), abs=0.02)
    page.locator(".starts", has_text="loss (KL × 0.5)").wait_for()
    go_to(page, "?model=reference")
    wait_for_source(page, DIGIT, "/runs/reference/")


@AT_ZERO
def test_the_address_names_the_test_image_behind_the_vector(
    page: Page, dataset: Dataset, reference: Any
) -> None:
    go_to(page, "?model=reference&image=3")
    came = page.locator(".starts", has_text="from test image 3,")
    came.wait_for()
    image = dataset.test.images[3] / np.float32(255)
    wait_for_vector(page, reconstruct_image(reference.model, image).mean)
    page.locator("#latent-6").fill("2.5")
    wait_for_address(page, "z=")
    wait_for_address(page, "image=3")
    shared, here = urlsplit(page.url).query, vector(page)
    page.get_by_role("button", name="Reset").click()
    came.wait_for(state="detached")
    page.wait_for_function("!location.search.includes('image=')")
    go_to(page, f"?{shared}")  # without what the browser kept of it
    came.wait_for()
    wait_for_vector(page, here)
    go_to(page, "?model=reference&image=205")
    page.get_by_text("There is no test image 205; expected 0 to 204.").wait_for()
    go_to(page, "?model=reference")


def test_the_address_shares_the_vector_and_the_back_button_works(page: Page, app: App) -> None:
    page.get_by_role("button", name="Mean of class 1").click()
    wait_for_address(page, "z=")
    first, at = vector(page), page.url
    page.get_by_role("button", name="Mean of class 5").click()
    page.wait_for_function("old => location.href !== old", arg=at)
    open_tab(page, "Generate")
    wait_for_address(page, "tab=generate")
    page.go_back()
    page.get_by_role("tab", name="Explore", selected=True).wait_for()
    page.go_back()
    wait_for_vector(page, first)

    page.route("**/studio/models", lambda route: route.abort())
    page.evaluate("['?model=plane', '?'].forEach((search) => history.pushState(null, '', search))")
    page.go_back()
    page.get_by_role("alert").filter(has_text="The address could not be followed").wait_for()
    page.unroute("**/studio/models")
    page.wait_for_timeout(700)  # then the address is the page's again
    page.get_by_role("button", name="Mean of class 5").click()
    wait_for_address(page, "model=reference")

    with watched_page(page.context, app) as other:
        open_app(other, at)
        wait_for_vector(other, first)
        steps = other.evaluate("history.length")
        other.goto(f"{app.url}/?tab=generate")  # which becomes the model's as well: no step to go back
        other.wait_for_function("location.search.includes('model=')")
        other.wait_for_timeout(700)
        assert other.evaluate("history.length") == steps + 1


def test_of_two_quick_steps_back_the_later_counts(blank: Page, app: App) -> None:
    page = blank
    first = [0.5] * 16
    open_app(page, f"{app.url}/?model=reference&z={','.join(map(str, first))}")
    wait_for_vector(page, np.array(first))
    page.wait_for_timeout(700)  # then the address is the page's
    page.evaluate(
        "['?model=plane&z=1,1', '?model=reference'].forEach((search) => history.pushState(null, '', search))"
    )
    held = hold(page, "**/studio/models")
    with page.expect_request("**/studio/models"):  # is there a model of this name?
        page.go_back()
    page.go_back()  # to the model that is still there, of which nothing need be asked
    for route in held:
        route.continue_()
    page.unroute("**/studio/models")
    page.wait_for_timeout(2000)
    assert "reference" in page.get_by_label("Model").input_value()
    assert vector(page).tolist() == first
    assert "model=reference" in page.url


@AT_ZERO
def test_a_step_that_was_overtaken_while_it_waited_for_a_model_changes_nothing(page: Page) -> None:
    held = hold(page, "**/runs/plane/card*", times=1)
    with page.expect_request("**/runs/plane/card*"):
        go_to(page, "?model=reference&with=plane&seed=3&label=4")
    go_to(page, "?model=reference&seed=5")
    held[0].continue_()
    page.wait_for_timeout(1000)
    assert parse_qs(urlsplit(page.url).query).get("seed") == ["5"]
    assert "label" not in page.url
    go_to(page, "?model=reference")
    page.locator(".compare-choice:visible", has_text="nothing").wait_for()


@AT_ZERO
def test_the_picture_comes_back_with_the_back_button(page: Page) -> None:
    page.get_by_role("button", name="A test digit", exact=True).click()
    page.wait_for_selector(".latent .track i:visible")
    wait_for_address(page, "z=")
    page.get_by_role("button", name="Reset").click()
    page.wait_for_function("!location.search.includes('z=')")
    page.go_back()
    page.wait_for_selector(".latent .track i:visible")
    assert "from test image" in page.locator(".starts").inner_text()


def test_an_address_that_cannot_be_followed_is_said(blank: Page, app: App) -> None:
    page = blank
    problems = {
        "model=nope&tab=xyz": (
            "a model that is not here, “nope”: there are reference, quick",
            "a tab that is not here, “xyz”: there are explore, draw",
        ),
        "z=1,2": ("expected 16 numbers from -100 to 100",),
        "z=a" + 15 * ",0": ("expected 16 numbers from -100 to 100",),
        "count=401&z=1": ("expected 16 numbers", "asks for: Count: expected a whole number from 1 to 400."),
        "seed=&temperature=3": ("Seed: expected a whole number from 0", "Temperature: expected a number"),
        "with=nope&z=1": ("a model to compare with that is not here, “nope”: there are reference, quick",),
        "with=reference": ("The address compares reference with itself.",),
        "image=abc": ("The address says image=abc: expected a whole number.",),
        "class=ten": ("Class: expected one of 0, 1, 2",),
        "sampler=best": ("Sampler: expected prior or mixture.",),
        "model=plane&z=1,101": ("expected 2 numbers from -100 to 100",),
    }
    alert = page.locator("#studio-title [role=alert]")
    for number, (search, words) in enumerate(problems.items()):
        if number == 0:
            page.goto(f"{app.url}/?hide=map&{search}")
        else:  # as well, without loading the page anew
            go_to(page, f"?hide=map&{search}")
        alert.wait_for()
        assert all(word in alert.inner_text() for word in words)
        run = "plane" if "plane" in search else "reference"
        page.wait_for_function(
            "run => document.querySelector('#model-choice input')?.value.startsWith(`${run} `)", arg=run
        )
        page.get_by_role("button", name="Close this message").click()
        assert not alert.is_visible()


@AT_ZERO
def test_the_choice_of_a_second_model_closes_when_one_turns_away(page: Page) -> None:
    menu = page.locator(".compare-choice:visible")
    for leave in (
        lambda: page.get_by_role("heading", name="VAE Studio").click(),
        lambda: page.keyboard.press("Escape"),
    ):
        menu.locator("summary").click()
        menu.get_by_role("button", name="plane", exact=True).wait_for()
        leave()
        menu.get_by_role("button", name="plane", exact=True).wait_for(state="hidden")


@AT_ZERO
def test_help_is_folded_away_and_needs_no_other_host(page: Page) -> None:
    assert not page.locator(".help math").first.is_visible()
    page.get_by_text("What does KL cost?").click()
    assert page.locator(".help details[open] math").first.is_visible()
    assert "Kingma and M. Welling" in page.locator(".help").inner_text()


def test_on_a_phone_the_digit_stays_in_sight_and_all_tabs_fit(blank: Page, app: App) -> None:
    page = blank
    page.set_viewport_size(PHONE)
    open_app(page, app.url)
    assert sum(tab.is_visible() for tab in page.get_by_role("tab").all()) == 5
    page.get_by_role("button", name="Show the 6 unused").click()
    page.locator("#latent-15").scroll_into_view_if_needed()
    box = page.locator(DIGIT).first.bounding_box()
    assert box
    assert -5 <= box["y"] < 300

    for width, height in ((844, 390), (740, 360)):  # held sideways
        page.set_viewport_size({"width": width, "height": height})
        for latent in (6, 5):  # the first and one of the last
            slider = page.locator(f"#latent-{latent}")
            slider.scroll_into_view_if_needed()
            digit, beside = page.locator(DIGIT).first.bounding_box(), slider.bounding_box()
            assert digit
            assert beside
            assert digit["x"] + digit["width"] < beside["x"]
            assert -1 <= digit["y"] < digit["y"] + digit["height"] <= height + 1
