"""The guide as a newcomer walks it: each step leads to its place, and says there what is to be seen."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from support.browser import (
    App,
    choose_model,
    hold,
    open_app,
    open_tab,
    source_of,
    wait_for_address,
    wait_for_new_source,
    wait_for_source,
    wait_until_alive,
)
from vae_core.ui.lesson import STEPS

if TYPE_CHECKING:
    from playwright.sync_api import Page

SHOWN = ".guide-steps article:not([hidden])"


@pytest.fixture
def page(page_without_map: Page) -> Page:
    """Nothing here is about the map."""
    return page_without_map


def step_of(page: Page) -> str:
    return page.locator(SHOWN).get_attribute("data-step") or ""


def wait_for_open_tab(page: Page, name: str) -> None:
    page.locator(f"[role=tab][aria-selected=true][data-tab-id={name}]").wait_for()


def test_a_newcomer_is_led_from_step_to_step(page: Page) -> None:
    guide = page.get_by_role("button", name="Guide", exact=True)
    guide.click()
    steps = [name for name in STEPS if name != "map"]  # which this page leaves out
    assert page.locator(".guide nav button").count() == len(steps)
    for number, name in enumerate(steps):
        assert step_of(page) == name  # at once, whatever has to be loaded
        wait_for_address(page, f"step={name}")
        place = dict(said.split("=") for said in STEPS[name].place.split("&"))
        for said in place.items():
            wait_for_address(page, "=".join(said))
        wait_for_open_tab(page, place.get("tab", "explore"))
        answer = page.locator(f"{SHOWN} details")
        assert answer.get_attribute("open") is None
        answer.locator("summary").click()
        assert answer.locator("p").is_visible()
        on = page.get_by_role("button", name="Next" if number < len(steps) - 1 else "Done", exact=True)
        on.click()
    assert not page.locator("#guide-steps").is_visible()
    assert guide.evaluate("button => button === document.activeElement")
    page.wait_for_function("!location.search.includes('step=')")
    guide.click()
    assert step_of(page) == steps[-1]  # where it was left
    assert page.evaluate("document.activeElement.tagName") == "H2"  # so that it is read
    page.locator(".guide nav button").nth(2).click()
    assert step_of(page) == steps[2]
    page.wait_for_function(
        "document.querySelector('.starts [role=status]').innerText.includes('test image 4')"
    )
    page.keyboard.press("Escape")
    assert not page.locator("#guide-steps").is_visible()


def test_who_has_only_looked_at_the_guide_is_where_they_were(page: Page) -> None:
    choose_model(page, "plane")
    page.wait_for_function("document.querySelectorAll('.latent').length === 2")
    page.get_by_role("slider", name=re.compile(r"^z1\b")).fill("1.5")
    wait_for_address(page, "z=1.5,0")
    before = page.url
    page.get_by_role("button", name="Guide", exact=True).click()
    wait_for_address(page, "model=reference")
    page.wait_for_function("document.querySelectorAll('.latent').length === 16")
    page.wait_for_timeout(300)  # the way there has come to its end
    page.get_by_role("button", name="Close the guide").click()
    page.wait_for_url(before)
    page.wait_for_function("document.querySelector('#latent-1').value === '1.5'")
    page.wait_for_function("document.querySelector('#model-choice input').value.startsWith('plane ')")
    page.get_by_role("button", name="Guide", exact=True).click()
    wait_for_address(page, "model=reference")
    page.locator(".guide nav button").nth(list(STEPS).index("draw") - 1).click()  # without the map
    wait_for_open_tab(page, "draw")
    wait_for_address(page, "step=draw")
    page.wait_for_timeout(300)
    page.get_by_role("button", name="Close the guide").click()
    page.wait_for_url(before)  # from another tab, too
    page.get_by_role("button", name="Guide", exact=True).click()
    page.locator(".guide nav button").first.click()
    page.wait_for_function("document.querySelectorAll('.latent').length === 16")
    page.get_by_role("slider", name=re.compile(r"^z1\b")).fill("0.5")
    wait_for_address(page, "z=0.5,")
    page.get_by_role("button", name="Close the guide").click()
    page.wait_for_timeout(700)
    assert "z=0.5," in page.url  # who has done something there stays there
    assert "model=reference" in page.url


def test_the_guide_gives_back_the_drawing_that_is_explored(page: Page) -> None:
    open_tab(page, "Draw")
    page.locator("#sketch canvas").click()
    page.get_by_role("button", name="Explore from here").click()
    origin = page.locator(".starts [data-is=about]")
    origin.get_by_text("from your drawing").wait_for()
    wait_for_address(page, "z=")
    page.get_by_role("button", name="Guide", exact=True).click()
    origin.get_by_text("from your drawing").wait_for(state="hidden")
    page.wait_for_timeout(300)
    page.get_by_role("button", name="Close the guide").click()
    origin.get_by_text("from your drawing").wait_for()


def test_the_guide_opens_before_there_is_a_model(blank: Page, app: App) -> None:
    held = hold(blank, "**/runs/reference/card")
    with blank.expect_request("**/runs/reference/card"):
        blank.goto(f"{app.url}/?hide=map")
    wait_until_alive(blank)
    blank.get_by_role("button", name="Guide", exact=True).click()
    assert step_of(blank) == "numbers"
    held[0].continue_()
    wait_for_address(blank, "step=numbers")


def test_a_step_says_of_which_model_it_speaks_where_another_is_shown(page: Page) -> None:
    page.get_by_role("button", name="Guide", exact=True).click()
    wait_for_address(page, "step=numbers")
    other = page.locator(".guide-other")
    assert not other.is_visible()
    choose_model(page, "plane")
    other.get_by_text("These words are about reference, and the page shows plane.").wait_for()
    page.get_by_role("button", name="Begin it with reference").click()
    other.wait_for(state="hidden")
    wait_for_address(page, "model=reference")
    assert step_of(page) == "numbers"


def test_steps_that_are_taken_faster_than_tabs_open_end_at_the_right_one(page: Page) -> None:
    page.get_by_role("button", name="Guide", exact=True).click()
    for ways, step, tab in (
        (["next"] * 3, "draw", "draw"),
        (["next", "next"], "generate", "generate"),
        (["back", "back", "back", "next"], "draw", "draw"),
        (["back", "next", "back"], "loss", "explore"),
    ):
        for way in ways:
            page.evaluate("way => document.querySelector(`.guide [data-is=${way}]`).click()", way)
            page.wait_for_timeout(60)
        page.wait_for_timeout(1200)  # all that is on its way has come
        assert step_of(page) == step
        wait_for_open_tab(page, tab)
        wait_for_address(page, f"step={step}")
        assert ("tab=" in page.url) == (tab != "explore")
    page.locator(".guide nav button").first.focus()
    for _ in range(2):
        page.get_by_role("button", name="Back", exact=True).press("Enter")
    assert page.evaluate("document.activeElement.dataset.is") == "next"  # Back rests at the first step


def test_a_link_opens_a_step_and_a_lesson_keeps_those_of_which_nothing_is_left_out(
    blank: Page, app: App
) -> None:
    page = blank
    open_app(page, f"{app.url}/?tabs=explore,draw&hide=map&step=loss")
    assert [step_of(page), page.locator(".guide nav button").count()] == ["loss", 4]
    loss = page.get_by_text("The loss, to touch")
    page.wait_for_function("document.querySelector('#loss-panel .loss-sum dd').innerText.includes('nats')")
    page.wait_for_function("scrollY > 0")  # it is brought into sight
    box = loss.bounding_box()
    assert box is not None
    assert 0 < box["y"] < 600
    wait_for_address(page, "step=loss")
    wait_for_address(page, "image=4")
    # A visitor who has moved on from there comes back to where they are, at the same step.
    before = page.url
    page.locator(".latent input").first.fill("2")
    page.wait_for_function("before => location.href !== before", arg=before)
    page.reload()
    wait_until_alive(page)
    page.wait_for_function("document.querySelector('.latent input')?.value === '2'")
    assert step_of(page) == "loss"
    # The browser's back button takes back the step too.
    page.get_by_role("button", name="Next", exact=True).click()
    wait_for_address(page, "step=draw")
    wait_for_open_tab(page, "draw")
    page.go_back()
    page.wait_for_function(
        "document.querySelector('.guide-steps article:not([hidden])').dataset.step === 'loss'"
    )
    wait_for_open_tab(page, "explore")


def test_a_step_with_another_model_opens_its_tab_and_who_has_left_that_stays_away(
    blank: Page, app: App
) -> None:
    blank.goto(f"{app.url}/?hide=map&model=plane&step=draw")
    wait_until_alive(blank)
    wait_for_open_tab(blank, "draw")
    assert step_of(blank) == "draw"
    open_tab(blank, "Explore")
    wait_for_address(blank, "tab=explore")
    blank.reload()
    wait_until_alive(blank)
    blank.wait_for_timeout(700)
    wait_for_open_tab(blank, "explore")
    assert step_of(blank) == "draw"


def test_a_link_to_the_last_step_leads_to_the_replay_of_the_reference(blank: Page, app: App) -> None:
    page = blank
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto(f"{app.url}/?hide=map&step=train")
    page.wait_for_function("document.querySelector('.watch-pictures')?.getBoundingClientRect().top < 500")
    page.locator("#training-status [data-is=what]").get_by_text("reference ·").wait_for()


def test_what_a_step_asks_for_is_a_press_away(blank: Page, app: App) -> None:
    page = blank
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto(f"{app.url}/?hide=map&step=generate")
    wait_for_source(page, "#generated-grid img", "sampler=prior")
    before = source_of(page, "#generated-grid img")
    page.locator(SHOWN).get_by_role("button", name="mixture").click()
    wait_for_new_source(page, "#generated-grid img", before)
    wait_for_address(page, "sampler=mixture")
    assert step_of(page) == "generate"
    assert page.get_by_role("radio", name="mixture").is_checked()
    box = page.locator("#generated-grid img").bounding_box()
    guide = page.locator("#guide-steps").bounding_box()
    assert box is not None
    assert guide is not None
    assert 0 <= box["y"] < box["y"] + box["height"] <= guide["y"]  # all of the picture is in sight


def test_the_best_are_shown_of_the_images_that_are_looked_at(page: Page, app: App) -> None:
    page.goto(f"{app.url}/?hide=map&step=errors")  # whose images of the evaluation the app has not
    page.locator("#error-images").get_by_role("button", name="Measure it on the 205 test images here").click()
    page.get_by_text("The 16 worst of 205 test images").wait_for()
    page.get_by_label("Error from").fill("0.02")
    page.get_by_role("button", name="Show", exact=True).click()
    page.get_by_text("with an error from 0.02").wait_for()
    page.locator(SHOWN).get_by_role("button", name="16 best").click()
    page.get_by_text("The 16 best of 205 test images").wait_for()
    page.get_by_role("tab", name="Explore").click()
    page.locator(SHOWN).get_by_role("button", name="16 best").click()  # from elsewhere the step begins anew
    wait_for_open_tab(page, "errors")
    wait_for_address(page, "order=rising")


def test_the_guides_buttons_stay_where_they_are(page: Page) -> None:
    page.get_by_role("button", name="Guide", exact=True).click()
    places = set()
    for number in range(len(STEPS) - 1):
        page.locator(".guide nav button").nth(number).click()
        box = page.locator(".guide [data-is=next]").bounding_box()
        assert box is not None
        places.add(round(box["y"]))
    assert len(places) == 1


def test_a_step_that_is_left_out_or_unknown_is_said(blank: Page, app: App) -> None:
    page = blank
    problem = page.locator("#studio-title [role=alert]")
    page.goto(f"{app.url}/?tabs=explore,draw&hide=map&step=train")
    problem.get_by_text("The step “train” of the guide is left out here.").wait_for()
    assert not page.locator("#guide-steps").is_visible()
    page.goto(f"{app.url}/?hide=guide&step=loss")
    problem.get_by_text("The step “loss” of the guide is left out here.").wait_for()
    assert not page.evaluate("document.documentElement.classList.contains('guided')")
    page.goto(f"{app.url}/?tabs=explore,draw&hide=map,guide&step=nose")
    problem.get_by_text("a step that is not here, “nose”: there are").wait_for()
    assert page.get_by_role("button", name="Guide", exact=True).count() == 0
