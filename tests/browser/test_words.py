"""Models of other data sets in the browser: their own words everywhere, and no shoe is called a digit."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import numpy as np
import pytest

from support.browser import App, choose_model, open_tab, source_of, wait_for_new_source
from support.drawn_shapes import write_shapes
from vae_core import load_run
from vae_core.jobs.job import prepare
from vae_core.jobs.recording import perform
from vae_core.settings import Settings

if TYPE_CHECKING:
    from playwright.sync_api import Page

SHORT = Settings(epochs=1, limit=300, batch_size=100)
TABS = ("Explore", "Draw", "Train", "Test errors", "Generate")
SAID = """() => {
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const said = [];
  while (texts.nextNode()) {
    const { parentElement, nodeValue } = texts.currentNode;
    if (!["SCRIPT", "STYLE"].includes(parentElement.tagName)) said.push(nodeValue);
  }
  for (const element of document.querySelectorAll("body *"))
    for (const name of ["alt", "aria-label", "title", "placeholder", "value"])
      said.push(element.getAttribute(name) ?? "");
  return said;
}"""


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory, write_idx: Callable[..., None]) -> Iterator[App]:
    """The app with a set named fashion-mnist, a run of it, and a run of a set that nothing is known of."""
    folder = tmp_path_factory.mktemp("other-sets")
    for name, classes in (("fashion-mnist", 10), ("shapes", 12)):
        data = write_shapes(folder / name, classes, write_idx)
        for _ in perform(prepare(SHORT, folder / "runs", name, str(data), alone=False)):
            pass
    server = App(folder / "runs", dict(os.environ), "--data-dir", str(folder / "fashion-mnist"))
    yield server
    server.end()


def choose(page: Page, run: str) -> None:
    choose_model(page, run)
    page.wait_for_function("run => document.querySelector('#decoded-digit img').src.includes(run)", arg=run)


def draw_something(page: Page) -> None:
    box = page.locator("#sketch canvas").bounding_box()
    assert box
    page.mouse.move(box["x"] + 60, box["y"] + 60)
    page.mouse.down()
    page.mouse.move(box["x"] + 200, box["y"] + 160)
    page.mouse.up()
    page.locator(".verdict", has_text=re.compile("Your picture (is most like|lies)")).wait_for()


def use(page: Page, tab: str) -> None:
    """Opens a tab and lets it say what it has to say."""
    open_tab(page, tab)
    if tab == "Explore":
        page.get_by_role("heading", name="Start from the mean of a class").wait_for()
        page.get_by_role("button", name=re.compile("^A test")).click()
        page.locator(".starts", has_text="from test image").wait_for()
        page.get_by_role("button", name="All latents").click()
        page.locator("#whole-map img[alt*=latents]").wait_for()
    elif tab == "Draw":
        page.locator(".verdict", has_text="open a photo").wait_for()
        assert "digit" not in page.locator(".verdict").inner_text()
        draw_something(page)
    elif tab == "Train":
        page.get_by_role("radio", name="Sharp").click()
        page.get_by_text("Crisper").wait_for()
        page.get_by_role("button", name="Advanced").click()
        page.get_by_label("Beta (KL weight)").wait_for()
        page.locator("#training-status", has_text="Finished").wait_for()
    elif tab == "Test errors":
        meanings = page.locator("#error-meanings", has_text="Importance-weighted bound")
        meanings.wait_for()
        assert "Fréchet" not in meanings.inner_text()  # which is of digits alone
        page.locator("#errors-by-class .plot .boxlayer").wait_for(state="attached")
    else:
        page.get_by_role("button", name="Image 3", exact=True).click()
        page.locator("#invention", has_text="is nearest").wait_for()


@pytest.mark.parametrize("run", ["fashion-mnist", "shapes"])
def test_nothing_says_digit_where_there_is_none_and_all_fits_a_phone(page: Page, run: str) -> None:
    choose(page, run)
    for tab in TABS:
        use(page, tab)
        assert [text for text in page.evaluate(SAID) if "digit" in text.lower()] == []
    page.set_viewport_size({"width": 390, "height": 844})
    for tab in TABS:
        open_tab(page, tab)
        page.get_by_role("tab", name=tab, selected=True).wait_for()
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        narrow = "[...document.querySelectorAll('.digit-buttons button, .chip')].filter(button =>"
        assert page.evaluate(f"{narrow} button.scrollWidth > button.clientWidth + 1).length") == 0


def test_classes_are_called_by_their_names(page: Page, app: App) -> None:
    choose(page, "fashion-mnist")
    evaluation = load_run("fashion-mnist", app.runs_dir).evaluation
    assert evaluation is not None
    page.get_by_role("button", name="Random item", exact=True).wait_for()
    page.get_by_role("button", name="Mean of class Ankle boot", exact=True).click()
    boot = evaluation.class_means[9].astype(float)
    farthest = int(np.abs(boot).argmax())
    page.wait_for_function(
        "([latent, value]) => Math.abs(document.querySelector(`#latent-${latent}`).value - value) < 0.011",
        arg=[farthest + 1, boot[farthest]],
    )
    page.locator(".map-classes button", has_text="Ankle boot").click()
    page.locator(".map-label", has_text="Ankle boot").wait_for(state="detached")
    assert page.locator(".map-label", has_text="Sneaker").count() == 1
    open_tab(page, "Draw")
    page.wait_for_function("document.querySelector('.pen-centre input')?.checked === false")
    draw_something(page)
    assert re.match(
        "Your picture (is most like|lies among|lies between) the images of class [A-Z]",
        page.locator(".verdict").inner_text(),
    )
    open_tab(page, "Generate")
    grid = "#generated-grid img"
    page.wait_for_function("selector => document.querySelector(selector)?.naturalWidth > 1", arg=grid)
    before = source_of(page, grid)
    page.get_by_label("Class", exact=True).click()
    page.locator("li[role=option]", has_text="Sneaker").click()
    page.get_by_role("button", name="Generate", exact=True).click()
    wait_for_new_source(page, grid, before)
    assert "label=7" in source_of(page, grid)
    page.locator("#generated-panel", has_text="drawn around class Sneaker").wait_for()


def test_the_words_follow_the_model(page: Page) -> None:
    page.get_by_role("button", name="Random digit", exact=True).wait_for()
    choose(page, "shapes")
    page.get_by_role("button", name="Random image", exact=True).wait_for()
    page.get_by_text("the numbers that describe an image").wait_for()
    assert (
        page.locator("#decoded-digit img").get_attribute("alt") == "The image decoded from the latent vector"
    )
    page.get_by_role("button", name="A test image", exact=True).click()
    page.locator(".starts", has_text=", which shapes has not learned").wait_for()
    choose(page, "reference")
    page.get_by_role("button", name="Random digit", exact=True).wait_for()
    page.get_by_text("the numbers that describe a digit").wait_for()
    page.get_by_role("button", name="Mean of class 7", exact=True).wait_for()
    assert (
        page.locator("#decoded-digit img").get_attribute("alt") == "The digit decoded from the latent vector"
    )
