"""Links that make a lesson, the panel that makes such links, and the table beside the MathWorks example."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

import pytest

from support.browser import App, open_tab, wait_until_alive

if TYPE_CHECKING:
    from playwright.sync_api import Page

LOOK = """
window.seen = new Set();
const look = () => {
  for (const part of document.querySelectorAll('[role=tab], [role=tabpanel], .part-map, .part-morph')) {
    const isSeen = part.checkVisibility({ visibilityProperty: true });
    if (isSeen) window.seen.add(part.dataset.tabId ?? `${part.className} ${part.id}`);
  }
  requestAnimationFrame(look);
};
requestAnimationFrame(look);
"""
"""Writes down whatever was on the screen in any frame, however short."""


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory, small_mnist: Path) -> Iterator[App]:
    """A server for a class: its address alone leaves out Generate, and trains by the quick recipe."""
    folder = tmp_path_factory.mktemp("class")
    lesson = "tabs=explore,draw,train,errors&preset=quick&model=plane&z=1,-1"
    server = App(folder / "runs", os.environ | {"MNIST_DIR": str(small_mnist)}, "--lesson", lesson)
    yield server
    server.end()


def visit(page: Page, app: App, search: str = "") -> None:
    """Opens it, and writes down from the first frame on what is seen."""
    page.add_init_script(LOOK)
    page.goto(app.url + search)
    wait_until_alive(page)


def tabs_of(page: Page) -> list[str]:
    return [tab.inner_text() for tab in page.get_by_role("tab").all()]


def test_a_link_leaves_out_what_it_says_and_nothing_of_it_is_seen(blank: Page, app: App) -> None:
    page = blank
    said = "tabs=draw,errors,explore,paint&hide=map,nose&preset=sharp&model=reference"
    visit(page, app, f"/?{said}&tab=paint&sead=5&__theme=light&utm_source=letter&view=")
    page.wait_for_selector("#decoded-digit img[src]")
    problem = page.locator("#studio-title [role=alert]")
    problem.wait_for()
    assert "“paint”: there are explore, draw, train, errors, generate." in problem.inner_text()
    assert "“nose”: there are model, compare" in problem.inner_text()
    assert "a parameter that is not here, “sead”: there are tabs, hide, preset, model" in problem.inner_text()
    assert "a tab that is not here, “paint”: there are explore, draw, errors." in problem.inner_text()
    assert "vector" not in problem.inner_text()  # an address with a model is not given the lesson's
    assert tabs_of(page) == ["Explore", "Draw", "Test errors"]
    assert page.get_by_role("application").count() == 0  # the map
    page.get_by_role("button", name="Random digit").click()
    page.wait_for_url(re.compile(r"[?&]z=.*"))
    asked = parse_qs(urlsplit(page.url).query)
    assert asked["tabs"] == ["draw,errors,explore,paint"]
    assert asked["hide"] == ["map,nose"]
    seen = page.evaluate("[...window.seen].join(' ')")
    assert "morph" in seen
    assert not re.search("train|generate|part-map", seen)


def test_without_explore_another_tab_opens_and_nothing_leads_there(blank: Page, app: App) -> None:
    page = blank
    visit(page, app, "/?tabs=draw,train&hide=recipe&model=reference")
    page.wait_for_selector("#sketch canvas")
    assert tabs_of(page) == ["Draw", "Train"]
    page.set_viewport_size({"width": 390, "height": 844})
    boxes = [tab.bounding_box() or {} for tab in page.get_by_role("tab").all()]
    assert boxes[1]["x"] - boxes[0]["x"] == pytest.approx(boxes[0]["width"], abs=2)  # side by side
    page.set_viewport_size({"width": 1280, "height": 860})
    open_tab(page, "Train")
    assert not page.get_by_role("radio", name="Quick").is_visible()
    assert page.get_by_text("SOAP and a one-cycle learning rate").is_visible()
    open_tab(page, "Draw")
    pad = page.locator("#sketch canvas").first
    pad.focus()
    for key in (" ", *["ArrowDown"] * 12):
        page.keyboard.press(key)
    page.wait_for_function("document.querySelector('#flow [data-is=explore]').hidden === false")
    assert not page.get_by_role("button", name="Explore from here").is_visible()
    page.goto(f"{app.url}/?tabs=draw,train&model=reference&tab=explore")
    page.get_by_text("Explore is left out here.").wait_for()
    assert "explore" not in page.evaluate("[...window.seen].join(' ')")


def test_the_servers_lesson_holds_until_an_address_says_otherwise(blank: Page, app: App) -> None:
    page = blank
    visit(page, app)
    page.wait_for_function("document.querySelectorAll('.latent').length === 2")
    page.wait_for_function("document.querySelector('.latent output').innerText !== '0.00'")
    assert tabs_of(page) == ["Explore", "Draw", "Train", "Test errors"]
    open_tab(page, "Train")
    page.wait_for_url("**tab=train**")
    page.get_by_role("radio", name="Quick").wait_for()
    assert page.get_by_role("radio", name="Quick").is_checked()
    page.get_by_role("button", name="Advanced").click()
    assert page.get_by_label("Optimizer").input_value() == "soap"
    page.goto(f"{app.url}/?model=plain&preset=quik&tab=train")
    page.wait_for_selector("#training-status", state="visible")
    wait_until_alive(page)
    assert tabs_of(page) == ["Explore", "Draw", "Train", "Test errors"]
    problem = page.locator("#studio-title [role=alert]")
    problem.get_by_text("“plain”").wait_for()
    assert "This is plane." in problem.inner_text()  # not the app's first model, but the lesson's
    assert page.get_by_role("radio", name="Quick").is_checked()

    summary = page.locator(".part-parity summary").first
    summary.click()
    page.wait_for_function("document.querySelector('.part-parity [role=status]').innerText.includes('agree')")
    assert "37 of 42 lines agree" in summary.inner_text()
    row = page.get_by_role("row", name="learnable parameters")
    assert row.get_by_text("119,200 + 108,993 = 228,193").count() == 2
    assert row.get_by_text("agrees").is_visible()
    assert page.get_by_role("row", name=re.compile("^padding")).get_by_text("differs").is_visible()


def test_the_panel_makes_the_link_of_a_lesson(blank: Page, app: App) -> None:
    page = blank
    visit(page, app, "/?tabs=explore,draw,train,errors,generate&preset=")
    page.wait_for_selector("#decoded-digit img[src]")
    assert "Generate" in tabs_of(page)
    page.get_by_role("button", name="Share").click()
    panel = page.get_by_role("dialog", name="Share, or make a lesson")
    hint = panel.get_by_text("Only this computer opens it")
    assert "--host 0.0.0.0 --auth-file users.txt" in hint.inner_text()  # as the command below
    assert panel.get_by_text("python -m vae_core password users.txt NAME").is_visible()
    panel.get_by_label("Recipe to train").select_option("sharp")
    for tick in ("Draw", "Train", "Generate", "Map"):
        panel.get_by_role("checkbox", name=tick, exact=True).uncheck()
    assert panel.get_by_role("checkbox", name="Walk").is_disabled()
    link = panel.get_by_label("The link").input_value()
    asked = parse_qs(urlsplit(link).query)
    assert asked["tabs"] == ["explore,errors"]
    assert asked["hide"] == ["map"]
    assert "preset" not in asked  # nobody is to train: the server's goes too
    assert asked["model"] == ["plane"]
    command = panel.get_by_text("python app.py")
    assert urlsplit(link).query in command.inner_text()
    assert "--read-only" in command.inner_text()
    assert "--host 0.0.0.0 --read-only" in hint.inner_text()
    assert not panel.get_by_text("python -m vae_core password users.txt NAME").is_visible()
    panel.get_by_role("checkbox", name="Explore", exact=True).uncheck()
    assert panel.get_by_role("checkbox", name="Test errors", exact=True).is_disabled()  # one always remains
    for tick in ("Draw", "Train", "Generate", "Explore"):
        panel.get_by_role("checkbox", name=tick, exact=True).check()
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Share").click()
    assert "preset=sharp" in panel.get_by_label("The link").input_value()  # as it was left
    assert "--auth-file users.txt" in command.inner_text()  # whoever is to train may not be read-only
    panel.get_by_label("Recipe to train").select_option("")
    free = parse_qs(urlsplit(panel.get_by_label("The link").input_value()).query, keep_blank_values=True)
    assert (free["tabs"], free["preset"]) == (
        ["explore,draw,train,errors,generate"],
        [""],
    )  # not the server's
    for tick in ("Draw", "Train", "Generate"):
        panel.get_by_role("checkbox", name=tick, exact=True).uncheck()
    link = panel.get_by_label("The link").input_value()
    panel.get_by_role("button", name="Copy link").click()
    panel.get_by_text("Copied.").wait_for()
    page.goto(link)
    page.wait_for_selector("#decoded-digit img[src]")
    assert tabs_of(page) == ["Explore", "Test errors"]
