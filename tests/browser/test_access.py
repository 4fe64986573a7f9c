"""The page under its content security policy, behind a log-in, and for looking only."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from support.browser import FORBIDDEN, App, new_page, open_tab, wait_for_model, watched_page
from vae_core.passwords import set_password
from vae_core.ui.tabs.train import SHOWN

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

LOADED = "(address) => performance.getEntriesByType('resource').some((entry) => entry.name.includes(address))"


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory, small_mnist: Path) -> Iterator[App]:
    """An app for looking only, with one user."""
    folder = tmp_path_factory.mktemp("locked")
    set_password(folder / "users", "alice", "correct horse")
    options = ("--read-only", "--auth-file", str(folder / "users"))
    server = App(folder / "runs", os.environ | {"MNIST_DIR": str(small_mnist)}, *options)
    yield server
    server.end()


SAID_BY_STYLE = "it => getComputedStyle(it, '::after').content"
"""Gradio's own words, which speak of credentials, are replaced."""


@pytest.fixture(scope="module")
def forbidden() -> list[str]:
    """What the policy stopped, and what failed in the page."""
    return []


@pytest.fixture(scope="module")
def lasting(browser: Browser, app: App, forbidden: list[str]) -> Iterator[Page]:
    """Alice's page, after her log-in."""
    page = new_page(browser, viewport={"width": 1280, "height": 860})
    page.on("console", lambda said: forbidden.append(said.text) if FORBIDDEN in said.text else None)
    page.on("pageerror", lambda error: forbidden.append(str(error)))
    log_in(page, app)
    wait_for_model(page)
    yield page
    page.close()


@pytest.fixture
def page(lasting: Page, app: App, forbidden: list[str]) -> Iterator[Page]:
    """Alice's page; what the policy forbids fails the test, and who was logged out by it logs in again."""
    if lasting.get_by_role("button", name="Login").is_visible():
        log_in(lasting, app)
        wait_for_model(lasting)
    yield lasting
    assert forbidden == []


def log_in(page: Page, app: App, password: str = "correct horse") -> None:
    page.goto(f"{app.url}/?hide=map")
    page.get_by_label("username").fill("alice")
    page.get_by_label("password").fill(password)
    page.get_by_role("button", name="Login").click()


def test_a_wrong_password_is_said(browser: Browser, app: App) -> None:
    with watched_page(browser, app) as page:
        log_in(page, app, "wrong horse")
        page.get_by_text("Incorrect").wait_for()
        assert page.title() == "VAE Studio"  # Gradio gives it none
        assert "The name or the password is wrong." in page.locator(".creds").evaluate(SAID_BY_STYLE)


def test_all_tabs_work_for_who_has_logged_in_and_nothing_is_forbidden(page: Page) -> None:
    open_tab(page, "Draw")
    box = page.locator("#sketch canvas").first.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 4)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] * 3 / 4, steps=4)
    page.mouse.up()
    page.wait_for_function(LOADED, arg="/sketch")
    open_tab(page, "Test errors")
    page.wait_for_selector("#error-histogram .bars path", state="attached")
    open_tab(page, "Generate")
    page.wait_for_function("document.querySelector('#generated-grid img').naturalWidth > 1")
    open_tab(page, "Explore")
    page.wait_for_function("document.querySelector('#decoded-digit img').naturalWidth > 1")


def test_where_nothing_can_be_trained_no_setting_can_be_typed(page: Page) -> None:
    open_tab(page, "Train")
    page.locator("#advanced button").first.click()
    page.locator("#run-name :disabled").wait_for()
    fields = page.locator("#advanced input, #advanced textarea")
    assert fields.count() == len(SHOWN) + 1
    assert [field for field in fields.all() if field.is_enabled()] == []


def test_markup_that_gets_into_the_page_cannot_act(page: Page, forbidden: list[str]) -> None:
    assert page.evaluate(
        """() => new Promise((done) => {
          document.addEventListener("securitypolicyviolation", (event) => done(event.violatedDirective));
          const image = document.createElement("img");
          image.setAttribute("onerror", "document.title = 'taken over'");
          image.src = "data:image/png;base64,x";
          document.body.append(image);
        })"""
    ).startswith("script-src")
    assert page.title() != "taken over"
    assert len(forbidden) == 1
    forbidden.clear()


def test_a_studio_for_looking_only_says_so_and_offers_no_change(page: Page) -> None:
    open_tab(page, "Train")
    page.locator("#training-problem", has_text="for looking only").wait_for()
    for name in ("Start training", "Stop", "Resume"):
        assert page.get_by_role("button", name=name, exact=True).is_disabled()
    page.locator("#runs", has_text="for looking only").wait_for()
    page.locator("#runs tr[data-run=reference]").wait_for()
    assert not page.get_by_text("Load a run").is_visible()
    for name in ("Rename", "Delete"):
        assert not page.locator("#runs").get_by_role("button", name=name).first.is_visible()
    page.locator("#runs tr[data-run=reference]").get_by_role("button", name="Card").click()
    page.locator("#runs dialog").wait_for()
    assert not page.get_by_role("button", name="Train again with these settings").is_visible()
    page.get_by_role("button", name="Close", exact=True).click()


def test_who_is_logged_in_can_log_out(page: Page) -> None:
    before = page.url
    way_out = page.get_by_role("link", name="Log out alice")
    way_out.click()
    page.get_by_role("button", name="Login").wait_for()
    assert page.url == before  # where one is again after the next log-in
    page.reload()
    page.get_by_role("button", name="Login").wait_for()


@pytest.mark.parametrize("tab", ["Explore", "Generate"])
def test_a_page_that_is_still_open_after_the_log_out_says_so(page: Page, tab: str) -> None:
    open_tab(page, tab)
    page.evaluate("fetch('logout')")
    if tab == "Explore":
        page.get_by_role("button", name="Mean of class 3").click()
    if tab == "Generate":
        page.get_by_label("Temperature").last.fill("0.5")
    page.get_by_role("alert").filter(has_text="You are logged out").wait_for()
    page.get_by_role("alert").get_by_role("link", name="Log in").click()
    page.get_by_role("button", name="Login").wait_for()
    assert "hide=map" in page.url
