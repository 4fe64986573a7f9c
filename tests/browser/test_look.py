"""What every tab owes to every screen and visitor: nothing too wide, all tabs in reach, everything named."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from scripts.faults import wait_for
from support.browser import (
    CHROMIUM_OPTIONS,
    PHONE,
    App,
    chromium_path,
    hold,
    new_page,
    open_app,
    open_tab,
    set_field,
    wait_until_alive,
    watched_page,
)

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page

TABS = ["Explore", "Draw", "Train", "Test errors", "Generate"]
LAST_TO_COME = {
    "Explore": "document.querySelector('.map-classes button')",
    "Draw": "document.querySelector('#sketch canvas')",
    "Train": "document.querySelector('#runs tr[data-run=reference]')"
    " && document.querySelector('#training-watch .small-plot .main-svg')",
    "Test errors": "document.querySelector('#errors-by-class .boxlayer')",
    "Generate": "document.querySelector('#generated-grid img').naturalWidth > 1",
}
"""What is true of a tab once all of it is there."""
LEAST_TARGET = 24
"""Pixels of the smallest thing to press, WCAG 2.2, 2.5.8."""
LEAST_FINGER = 44
"""Pixels of a thing made for fingers, WCAG 2.2, 2.5.5."""

NAMELESS = """() =>
  [...document.querySelectorAll('button, input, select, summary, a[href], [tabindex], [role=img]')]
  .filter((element) => element.checkVisibility({ visibilityProperty: true }) && !element.closest('.modebar'))
  .filter((element) => !(element.getAttribute('aria-label') || element.labels?.[0]?.innerText.trim()
    || element.innerText?.trim() || element.querySelector('img')?.alt))
  .map((element) => element.outerHTML.slice(0, 200))"""

WITHOUT_ALTERNATIVE = """() => [...document.querySelectorAll('img')]
  .filter((picture) => picture.checkVisibility() && !picture.hasAttribute('alt'))
  .map((picture) => picture.outerHTML.slice(0, 200))"""

TOO_SMALL = """(least) =>
  [...document.querySelectorAll('.chip, .text-button, .digit-buttons button, .segments label')]
  .concat([...document.querySelectorAll('button.md, summary, #preset label, .modebar-btn')])
  .filter((element) => element.checkVisibility())
  .filter((element) => least < 44 || !element.closest('.modebar'))  // not there on a screen for fingers
  .map((element) => [element.getBoundingClientRect(), element.outerHTML.slice(0, 200)])
  .filter(([box]) => box.width < least || box.height < least)
  .map(([, html]) => html)"""

OBSERVED = """
window.frames_asked = 0;
const ask = window.requestAnimationFrame;
window.requestAnimationFrame = (callback) => { window.frames_asked += 1; return ask(callback); };
window.jumped = 0;
window.jumpers = []; // what moved, for whoever reads that a test has failed
const place = ({ node, previousRect: from, currentRect: to }) =>
  `${node?.id || node?.className || node?.nodeName} from ${from.y} to ${to.y}`;
new PerformanceObserver((list) => {
  for (const jump of list.getEntries().filter(({ hadRecentInput }) => !hadRecentInput)) {
    window.jumped += jump.value;
    window.jumpers.push([jump.value, ...jump.sources.map(place)]);
  }
}).observe({ type: 'layout-shift', buffered: true });"""
"""Adds up how far the page jumps, and counts the frames that it asks for."""


@pytest.fixture(scope="module", params=[(1280, "light"), (390, "dark")], ids=["desktop", "phone"])
def opened(request: pytest.FixtureRequest, profile: BrowserContext, app: App) -> Iterator[Page]:
    """A page of a width, whose jumps while it loads are added up in `window.jumped`."""
    width, theme = request.param
    with watched_page(profile, app) as page:
        page.set_viewport_size({"width": width, "height": 844})
        page.add_init_script(OBSERVED)
        open_app(page, f"{app.url}/?__theme={theme}")
        page.wait_for_selector(".map-classes button")
        page.evaluate("window.jumpedWhileLoading = window.jumped")
        yield page


@pytest.fixture
def visitor(opened: Page) -> Page:
    """The page at Explore, whoever had it before."""
    open_tab(opened, "Explore")
    return opened


def test_nothing_moves_sideways_where_scrollbars_take_room(browser: Browser, app: App) -> None:
    """As on Windows and Linux; what the tests' own browser has takes none."""
    with_bars = browser.browser_type.launch(
        executable_path=chromium_path(), args=CHROMIUM_OPTIONS, ignore_default_args=["--hide-scrollbars"]
    )
    page = new_page(with_bars, viewport={"width": 1350, "height": 940})
    page.add_init_script(
        "window.shifts = []; new PerformanceObserver((list) => window.shifts.push(...list.getEntries()"
        ".map(({ value }) => value))).observe({ type: 'layout-shift', buffered: true });"
    )
    open_app(page, app.url)
    page.wait_for_selector("#latent-map .map-here", state="attached")
    assert page.evaluate("innerWidth - document.documentElement.clientWidth") > 0
    assert sum(page.evaluate("window.shifts")) < 0.1  # "good", by Google's Core Web Vitals
    left = "document.querySelector('#studio-header').getBoundingClientRect().left"
    at_explore = page.evaluate(left)
    page.set_viewport_size({"width": 1350, "height": 4000})  # all of it has room
    page.wait_for_function("document.documentElement.scrollHeight <= innerHeight")
    assert page.evaluate(left) == at_explore
    with_bars.close()


def test_every_tab_fits_the_screen_and_names_what_can_be_pressed(visitor: Page) -> None:
    width = visitor.viewport_size["width"] if visitor.viewport_size else 0
    jumped = visitor.evaluate("window.jumpedWhileLoading")
    assert jumped < 0.2, f"the page jumps while it loads: {visitor.evaluate('window.jumpers')}"
    for tab in TABS:
        open_tab(visitor, tab)
        visitor.wait_for_selector(f"[role=tab][aria-selected=true]:text-is('{tab}')")
        visitor.wait_for_function(LAST_TO_COME[tab])  # it may be too wide as well
        visitor.wait_for_timeout(200)
        assert visitor.evaluate("document.documentElement.scrollWidth") <= width, tab
        assert visitor.evaluate(NAMELESS) == [], tab
        assert visitor.evaluate(WITHOUT_ALTERNATIVE) == [], tab
        assert visitor.get_by_role("tabpanel", name=tab).is_visible()
        assert visitor.locator(".main-svg:not([aria-hidden=true])").count() == 0, (
            "a plot is heard line by line"
        )
        assert visitor.evaluate(TOO_SMALL, LEAST_TARGET) == [], tab
        if width < 640:
            assert visitor.evaluate(TOO_SMALL, LEAST_FINGER) == [], tab


def test_a_screen_reader_hears_the_pad_and_each_number_once(visitor: Page) -> None:
    sliders = visitor.get_by_role("group", name="Latent vector")
    assert sliders.get_by_role("slider", name="z6").count() == 1
    assert sliders.get_by_role("status").count() == 0  # sixteen would speak at each random digit
    open_tab(visitor, "Draw")
    visitor.get_by_role("application", name="Drawing pad").wait_for()


def test_a_tablet_shows_explore_whole(visitor: Page) -> None:
    before = visitor.viewport_size
    try:
        visitor.set_viewport_size({"width": 768, "height": 844})
        visitor.wait_for_function("document.documentElement.scrollWidth <= 768")
    finally:
        if before is not None:
            visitor.set_viewport_size(before)


def test_the_fields_of_advanced_lie_side_by_side_where_there_is_room(visitor: Page) -> None:
    is_wide = visitor.viewport_size is not None and visitor.viewport_size["width"] > 900
    open_tab(visitor, "Train")
    set_field(visitor, "Epochs", "30")
    tops = {
        round(visitor.get_by_label(name).evaluate("field => field.getBoundingClientRect().top"))
        for name in ("Epochs", "Batch size", "Learning rate")
    }
    assert len(tops) == (1 if is_wide else 3)


def test_what_is_chosen_moves_nothing(visitor: Page) -> None:
    open_tab(visitor, "Generate")
    walk = visitor.locator("#walk")
    visitor.wait_for_function("document.querySelector('#generated-grid img').naturalWidth > 1")
    before = walk.evaluate("panel => panel.offsetTop")
    visitor.get_by_role("button", name="Image 12", exact=True).click()
    visitor.locator("#invention", has_text="is nearest").wait_for()
    assert walk.evaluate("panel => panel.offsetTop") == before


@pytest.mark.parametrize(
    ("tab", "late", "words", "said"),
    [
        ("errors", "**/errors/facts*", ".part-errors [role=status]", "10,000"),
        ("generate", "**/generated.png*", "#generated-panel [role=status]", "64 images"),
    ],
)
def test_on_a_phone_there_is_room_for_the_words_that_come_last(
    blank: Page, app: App, tab: str, late: str, words: str, said: str
) -> None:
    page = blank
    page.set_viewport_size(PHONE)
    held = hold(page, late)
    with page.expect_request(late):
        page.goto(f"{app.url}/?tab={tab}&hide=map")
    wait_until_alive(page)
    room = page.locator(words).bounding_box()
    held[0].continue_()
    page.unroute(late)
    page.locator(words).filter(has_text=said).wait_for()
    assert page.locator(words).bounding_box() == room


def test_all_tabs_are_in_one_row_and_none_is_cut(visitor: Page) -> None:
    width = visitor.viewport_size["width"] if visitor.viewport_size else 0
    boxes = [visitor.get_by_role("tab", name=name, exact=True).bounding_box() for name in TABS]
    assert all(box and box["x"] >= 0 and box["x"] + box["width"] <= width for box in boxes)
    assert len({round(box["y"]) for box in boxes if box}) == 1


def test_on_a_phone_what_is_secondary_is_folded_until_it_is_opened(visitor: Page) -> None:
    is_phone = visitor.viewport_size is not None and visitor.viewport_size["width"] < 640
    unused = visitor.locator(".latent.unused input")
    assert unused.count() == 6
    hidden = (visitor.locator("#loss-panel .loss"), visitor.get_by_role("button", name="Pin A"), unused.first)
    for part in hidden:
        assert part.is_visible() != is_phone
    if not is_phone:
        assert not visitor.get_by_role("button", name="Show the 6 unused").is_visible()
        return
    for name in ("Morph", "The loss, to touch"):
        visitor.get_by_role("heading", name=name).click()
    visitor.get_by_role("button", name="Show the 6 unused").click()
    for part in hidden:
        part.wait_for()
    visitor.get_by_role("button", name="Hide the 6 unused").click()
    unused.first.wait_for(state="hidden")


def test_on_a_phone_what_the_numbers_mean_is_told_to_who_asks(visitor: Page) -> None:
    is_phone = visitor.viewport_size is not None and visitor.viewport_size["width"] < 640
    open_tab(visitor, "Test errors")
    meaning = visitor.get_by_text("One image in twenty is further from its original than this.")
    meaning.wait_for(state="attached")
    assert meaning.is_visible() != is_phone
    if is_phone:
        visitor.get_by_role("heading", name="What the numbers mean").click()
        meaning.wait_for()


def test_a_page_that_nobody_touches_draws_no_frames(visitor: Page) -> None:
    def frames_in_a_second() -> int:
        before = visitor.evaluate("window.frames_asked")
        visitor.wait_for_timeout(1000)
        return visitor.evaluate("window.frames_asked") - before

    wait_for(lambda: frames_in_a_second() == 0, seconds=20)  # what has moved comes to rest
    before = visitor.evaluate("window.frames_asked")
    visitor.evaluate("new Promise(requestAnimationFrame)")  # who wants one gets it, and no timer in its place
    assert visitor.evaluate("window.frames_asked") > before


def test_nobody_can_log_out_where_nobody_had_to_log_in(visitor: Page) -> None:
    assert not visitor.get_by_role("link", name="Log out").is_visible()


def test_light_or_dark_is_chosen_once_for_this_browser(browser: Browser, app: App) -> None:
    wide: Any = {"width": 1280, "height": 860}
    with watched_page(browser, app, viewport=wide, color_scheme="light") as page:
        page.goto(f"{app.url}/?hide=map")
        wait_until_alive(page)
        is_dark = "document.body.classList.contains('dark')"
        assert not page.evaluate(is_dark)
        page.get_by_role("group", name="Colours").get_by_text("dark").click()
        assert page.evaluate(is_dark)
        background = "getComputedStyle(document.body).backgroundColor"
        dark = page.evaluate(background)
        page.goto(f"{app.url}/?hide=map")  # without a word of it
        wait_until_alive(page)
        assert page.evaluate(is_dark)
        assert page.evaluate(background) == dark
        page.goto(f"{app.url}/?hide=map&__theme=light")  # a link that says it itself
        wait_until_alive(page)
        assert not page.evaluate(is_dark)
        page.get_by_role("group", name="Colours").get_by_text("as the system").click()
        page.emulate_media(color_scheme="dark")
        page.goto(f"{app.url}/?hide=map")
        wait_until_alive(page)
        assert "__theme" not in page.url
        assert page.evaluate(is_dark)
