"""Test errors as a person would use it: bars that open as galleries, shortcuts, classes, a second model."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from support.browser import (
    HASTE,
    App,
    be_busy,
    compare_with,
    go_to,
    hastened,
    hold,
    open_app,
    open_tab,
    wait_for_address,
    wait_until_alive,
    watched_page,
)
from support.runs import save_altered_copy
from vae_core import load_run
from vae_core.data import Dataset
from vae_core.runs import LoadedRun

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext, Page

PLOT = "document.querySelector('#error-histogram')"
BARS = f"{PLOT}.data.filter((trace) => trace.type === 'bar')"
DRAWN = f"{PLOT}?._fullLayout && {BARS}.length"


@pytest.fixture(scope="module")
def run(app: App, tiny_run: Path) -> LoadedRun:
    """The tiny run, in the app under the name "tested", with the test images that the app has."""
    shutil.copytree(tiny_run, app.runs_dir / "tested", dirs_exist_ok=True)
    return load_run(app.runs_dir / "tested")


@pytest.fixture(scope="module")
def other(app: App, run: LoadedRun, dataset: Dataset) -> Iterator[LoadedRun]:
    """A second model, evaluated on the same images, which the lasting page knows from its beginning."""
    altered = save_altered_copy(run.info.folder, app.runs_dir / "other", dataset)
    yield load_run(altered.folder)
    shutil.rmtree(altered.folder)


@pytest.fixture
def fresh(blank: Page, app: App, run: LoadedRun) -> Page:
    """The tab on a page of its own, with the histogram of the run's 205 test images."""
    return opened(blank, app)


@pytest.fixture(scope="module")
def lasting(profile: BrowserContext, app: App, run: LoadedRun, other: LoadedRun) -> Iterator[Page]:
    """The page of the tests that can begin where another has ended."""
    with watched_page(profile, app) as page:
        yield opened(page, app)


@pytest.fixture
def errors(lasting: Page) -> Page:
    """The lasting page as a fresh one, but for a gallery that no test asks for."""
    lasting.unroute_all()
    go_to(lasting, "?model=tested&tab=errors&hide=map")
    for tick in ("log scale", "by digit"):
        lasting.get_by_label(tick).uncheck()
    lasting.get_by_label("sampled latents").check()
    lasting.get_by_text("decoded from sampled latents").wait_for()
    # They may be there already, and come again: what waits for them must not meet those of before.
    lasting.locator("#error-images [data-is=where]").evaluate("where => { where.textContent = ''; }")
    lasting.get_by_role("button", name="16 typical").click()
    gallery(lasting, "The 16 typical of")
    lasting.wait_for_function("document.querySelector('#error-images').innerText.includes('1 to 16 of')")
    lasting.wait_for_function(f"{BARS}.length === 1 && {PLOT}.layout.yaxis.type !== 'log'")
    lasting.wait_for_function(f"!{PLOT}.data.some((trace) => trace.meta?.overlay)")
    wait_for_bars(lasting, 205)
    return lasting


def opened(page: Page, app: App) -> Page:
    open_app(page, f"{app.url}/?model=tested&hide=map")
    page.wait_for_function("document.querySelector('#decoded-digit img').src.includes('/runs/tested/')")
    open_tab(page, "Test errors")
    wait_for_bars(page, 205)
    return page


def wait_for_bars(page: Page, images: int) -> None:
    """Waits for a histogram of so many images."""
    total = f"{BARS}.flatMap((bars) => [...bars.y]).reduce((sum, count) => sum + count, 0)"
    page.wait_for_function(f"{DRAWN} && {total} === {images}")


def gallery(page: Page, words: str) -> str:
    """What stands above the gallery once these words are in it."""
    about = page.locator("#error-images [role=status]").filter(has_text=re.compile(words))
    about.wait_for()
    return about.inner_text()


def shown_errors(page: Page) -> list[float]:
    """The errors beside the gallery's pictures."""
    texts = page.locator("#error-images li p").all_inner_texts()
    return [float(text.split("·")[1]) for text in texts]


def evaluated(run: LoadedRun) -> np.ndarray:
    """The errors that the run's evaluation holds, of sampled latents: float (205,)."""
    assert run.evaluation is not None
    return run.evaluation.errors.astype(np.float64)


def place_of_bar(page: Page, index: int) -> tuple[float, float]:
    """A bar's middle in the window, in pixels, low in the plot, where even a short bar answers."""
    page.locator("#error-histogram").scroll_into_view_if_needed()
    x, y = page.evaluate(
        "index => { const plot = document.querySelector('#error-histogram');"
        " const bars = plot.data.find((trace) => trace.type === 'bar'), size = plot._fullLayout._size;"
        " const box = plot.getBoundingClientRect();"
        " return [box.left + size.l + plot._fullLayout.xaxis.d2p(bars.x[index]),"
        " box.top + size.t + size.h - 12]; }",
        index,
    )
    return x, y


def test_mean_median_and_95th_percentile_are_marked(errors: Page, run: LoadedRun) -> None:
    values = evaluated(run)
    entries = errors.locator("#test-errors .legend li").all_inner_texts()
    p95 = np.percentile(values, 95)
    for name, value in (("mean", values.mean()), ("median", np.median(values)), ("95th percentile", p95)):
        assert f"{name} {value:.4f}" in entries


def test_a_clicked_bar_opens_as_a_gallery_in_the_order_of_the_errors(errors: Page, run: LoadedRun) -> None:
    counts = errors.evaluate(f"[...{BARS}[0].y]")
    index = int(np.argmax(counts))
    low, high = errors.evaluate(f"index => [...{BARS}[0].customdata[index]]", index)
    errors.mouse.click(*place_of_bar(errors, index))
    assert gallery(errors, "with an error from").startswith(f"{counts[index]} test image")
    expected = np.sort(evaluated(run)[(evaluated(run) >= low) & (evaluated(run) <= high)])[:16]
    assert shown_errors(errors) == pytest.approx(expected.tolist(), abs=1e-3)
    pictures = errors.locator("#error-images li").first.locator("img")
    assert [picture.get_attribute("title") for picture in pictures.all()] == [
        "original", "reconstruction", "difference",
    ]  # fmt: skip


def wait_for_latents(page: Page, label: str) -> None:
    page.get_by_label(label, exact=True).and_(page.locator(":checked")).wait_for()


def test_a_choice_of_images_outlives_what_comes_late(blank: Page, app: App, run: LoadedRun) -> None:
    blank.add_init_script(HASTE)
    held = hold(blank, "**/errors/facts?*")
    with blank.expect_request("**/errors/facts?*"):
        blank.goto(f"{app.url}/?model=tested&tab=errors&hide=map&label=4")
    wait_until_alive(blank)
    blank.get_by_label("log scale").check()  # of a histogram that is on its way
    blank.get_by_role("button", name="16 worst").click()
    blank.wait_for_timeout(500)
    assert len(held) == 1  # nothing is asked for twice
    assert blank.locator("#test-errors .alert").count() == 0
    held[0].continue_()
    blank.unroute_all()
    wait_for_bars(blank, 205)
    gallery(blank, "The 16 worst of")
    wait_for_address(blank, "order=falling")
    at, steps = blank.url, blank.evaluate("history.length")
    assert "label" not in at
    with blank.expect_response("**/errors/gallery?*"):  # the run has been trained further
        os.utime(run.info.folder / "model.safetensors")
    gallery(blank, "The 16 worst of")
    blank.wait_for_timeout(700)
    assert (blank.url, blank.evaluate("history.length")) == (at, steps)


def test_a_link_opens_with_the_images_that_are_shown(errors: Page, run: LoadedRun, blank: Page) -> None:
    errors.get_by_label("their mean").check()
    errors.get_by_role("button", name="16 worst").click()
    for part in ("latents=mean", "order=falling"):
        wait_for_address(errors, part)
    described = gallery(errors, "The 16 worst of")
    assert run.evaluation is not None
    worst = np.sort(run.evaluation.errors_mean)[::-1][:16]
    script = hold(blank, "**/static/gallery.js", times=1)
    images = hold(blank, "**/errors/gallery?*", times=1)
    blank.goto(errors.url)
    wait_for_bars(blank, 205)
    script[0].continue_()  # the gallery comes after the facts
    gallery(blank, "Looking for these images")
    images[0].continue_()
    assert gallery(blank, "The 16 worst of") == described
    assert shown_errors(blank) == pytest.approx(worst.tolist(), abs=1e-3)
    wait_for_latents(blank, "their mean")

    go_to(errors, "?model=tested&tab=errors&label=4&order=typical")
    fours = run.evaluation.labels == 4
    assert gallery(errors, "of class 4,").startswith(f"{fours.sum()} test images")
    wait_for_latents(errors, "sampled latents")
    errors.go_back()
    gallery(errors, "The 16 worst of")
    wait_for_latents(errors, "their mean")
    low, high = np.quantile(evaluated(run), [0.2, 0.6]).round(3)
    go_to(errors, f"?model=tested&tab=errors&high={high}&low={low}")
    count = ((evaluated(run) >= low) & (evaluated(run) <= high)).sum()
    gallery(errors, f"^{count} test images with an error from {low:.4f} to {high:.4f}")
    go_to(errors, "?model=tested&tab=errors&high=2&read_as=1.5&order=random")
    told = errors.get_by_role("alert").filter(has_text="high=2: expected a number from 0 to 1.")
    for words in (
        "read_as=1.5: expected a whole number from 0 to 255.",
        "a way to order that is not here, “random”",
    ):
        told.filter(has_text=words).wait_for()
    gallery(errors, "Click in the histogram")
    go_to(errors, "?model=tested&tab=errors&label=200&read_as=3")
    gallery(errors, "a class that is not here, “200”: there are 0, 1, 2,")


def test_a_drag_over_several_bars_shows_all_of_them(errors: Page, run: LoadedRun) -> None:
    start, end = place_of_bar(errors, 8), place_of_bar(errors, 30)
    errors.mouse.move(*start)
    errors.mouse.down()
    for share in np.linspace(0, 1, 8):
        errors.mouse.move(start[0] + share * (end[0] - start[0]), start[1] - 40)
    errors.mouse.up()
    words = gallery(errors, "with an error from")
    found = re.match(r"(\d+) test images? with an error from (0\.\d+) to (0\.\d+)", words)
    assert found
    count, low, high = int(found[1]), float(found[2]), float(found[3])
    middles = errors.evaluate(f"[...{BARS}[0].x]")
    bar = middles[1] - middles[0]
    assert (low, high) == pytest.approx((middles[8], middles[30]), abs=1.5 * bar)
    inside = [(evaluated(run) >= low + at) & (evaluated(run) <= high - at) for at in (1e-4, -1e-4)]
    assert inside[0].sum() <= count <= inside[1].sum()  # the range is said to four digits
    errors.get_by_role("button", name="Next").click()
    errors.wait_for_function("document.querySelector('#error-images').innerText.includes('17 to ')")
    assert shown_errors(errors) == sorted(shown_errors(errors))
    errors.get_by_label("their mean").check()  # with other errors, the images begin anew
    errors.wait_for_function("document.querySelector('#error-images').innerText.includes('1 to 16 of')")


def test_show_asks_for_the_same_range_until_another_is_written(errors: Page) -> None:
    low, high = 0.03090511, 0.05254427  # between what four digits say
    go_to(errors, f"?model=tested&tab=errors&hide=map&low={low}&high={high}")
    said = gallery(errors, "with an error from 0.0309 to 0.0525")
    with errors.expect_request("**/errors/gallery?*") as asked:
        errors.get_by_role("button", name="Show", exact=True).click()
    assert f"low={low}&high={high}" in asked.value.url
    assert gallery(errors, "with an error from") == said
    errors.get_by_label("Error to").fill("0.04")
    errors.get_by_role("button", name="Show", exact=True).click()
    gallery(errors, "with an error from 0.0309 to 0.0400")


def test_a_range_beyond_the_errors_does_not_stretch_their_axis(errors: Page) -> None:
    axis = errors.evaluate(f"{PLOT}.layout.xaxis.range")
    go_to(errors, "?model=tested&tab=errors&hide=map&low=0.05&high=0.9")
    gallery(errors, "with an error from 0.0500 to 0.9000")
    errors.wait_for_function(f"{PLOT}.layout.shapes?.length === 1")
    assert errors.evaluate(f"{PLOT}.layout.xaxis.range") == axis
    assert errors.evaluate(f"{PLOT}.layout.shapes[0].x1") < axis[1]


def test_two_quick_presses_do_not_lead_beyond_the_first_images(errors: Page) -> None:
    errors.get_by_role("button", name="Next").click()
    errors.wait_for_function("document.querySelector('#error-images').innerText.includes('17 to ')")
    errors.get_by_role("button", name="Previous").evaluate("button => { button.click(); button.click(); }")
    errors.wait_for_function("document.querySelector('#error-images').innerText.includes('1 to 16 of')")
    assert not errors.locator("#error-images [data-is=problem]").is_visible()
    assert errors.get_by_role("button", name="Next").is_enabled()


def test_who_turns_the_pages_by_keys_keeps_the_focus(errors: Page) -> None:
    errors.get_by_role("button", name="16 worst").click()
    gallery(errors, "The 16 worst of")
    following = errors.locator("#error-images").get_by_role("button", name="Next")
    following.focus()
    where = errors.locator("#error-images [data-is=where]")
    for words in ("17 to 32 of 205", "33 to 48 of 205"):
        errors.keyboard.press("Enter")
        where.filter(has_text=words).wait_for()
    previous = errors.locator("#error-images").get_by_role("button", name="Previous")
    previous.focus()
    for words in ("17 to 32 of 205", "1 to 16 of 205"):
        errors.keyboard.press("Enter")
        where.filter(has_text=re.compile(f"^{words}")).wait_for()
    assert following.evaluate("button => button === document.activeElement")  # the other one rests


def test_a_page_that_did_not_come_is_not_skipped(errors: Page) -> None:
    be_busy(errors, "**/errors/gallery?*", times=1)
    errors.get_by_role("button", name="Next").click()
    errors.get_by_role("alert").filter(has_text="Many visitors ask at once").wait_for()
    assert errors.get_by_role("button", name="Previous").is_disabled()  # the first images are still there
    errors.get_by_role("button", name="Next").click()
    errors.wait_for_function("document.querySelector('#error-images').innerText.includes('17 to ')")


@pytest.mark.parametrize(("button", "at"), [("16 best", 0), ("16 worst", -1)])
def test_the_best_and_the_worst_are_a_click_away(errors: Page, run: LoadedRun, button: str, at: int) -> None:
    errors.get_by_role("button", name=button).click()
    gallery(errors, f"The {button} of 205 test images")
    expected = np.sort(evaluated(run))[:: -1 if at else 1][:16]
    assert shown_errors(errors) == pytest.approx(expected.tolist(), abs=1e-3)
    low, high = (float(errors.get_by_label(name).input_value()) for name in ("Error from", "Error to"))
    assert low <= expected.min() < low + 1.01e-4  # from where to where these go
    assert high - 1.01e-4 < expected.max() <= high
    errors.get_by_role("button", name="Show", exact=True).click()
    words = gallery(errors, "with an error from")
    count = ((evaluated(run) >= low) & (evaluated(run) <= high)).sum()
    assert words.startswith(f"{count} test images with an error from {low:.4f} to {high:.4f}")


def test_an_image_of_the_gallery_is_explored_from_its_own_latents(errors: Page) -> None:
    errors.get_by_role("button", name="16 worst").click()
    gallery(errors, "The 16 worst of")
    name = errors.get_by_role("button", name="Explore from here").first.get_attribute("aria-label") or ""
    number = re.search(r"test image (\d+)", name)
    assert number
    errors.get_by_role("button", name="Explore from here").first.click()
    errors.get_by_role("tab", name="Explore", selected=True).wait_for()
    errors.wait_for_function(
        "words => document.querySelector('.starts').innerText.includes(words)",
        arg=f"from test image {number[1]}, class",
    )
    assert errors.locator(".latent .track i:visible").count() == 16


def test_errors_from_the_mean_and_by_digit_on_a_log_scale(errors: Page, run: LoadedRun) -> None:
    assert run.evaluation is not None
    errors.get_by_label("their mean").check()
    mean = f"mean {run.evaluation.errors_mean.mean():.4f}"
    errors.wait_for_function("text => document.querySelector('.legend').innerText.includes(text)", arg=mean)
    errors.get_by_label("by digit").check()
    errors.wait_for_function(f"{BARS}.length === 10")
    wait_for_bars(errors, 205)
    colours = errors.evaluate(f"{BARS}.map((bars) => bars.marker.color)")
    assert len(set(colours)) == 10
    errors.get_by_label("log scale").check()
    errors.wait_for_function(f"{PLOT}.layout.yaxis.type === 'log'")
    # stacked on a logarithmic axis, equal heights would be unequal counts: each class is a line instead
    lines = f"{PLOT}.data.filter((trace) => Number.isInteger(trace.meta?.label))"
    assert errors.evaluate(f"{lines}.map(({{ type, line }}) => [type, line.color])") == [
        ["scatter", colour] for colour in colours
    ]
    counts = errors.evaluate(f"{lines}.flatMap((line) => [...line.y])")
    assert sum(count for count in counts if count is not None) == 2 * 205  # at both ends of each step
    assert 0 not in counts


def test_a_step_of_a_classes_line_opens_the_images_of_that_class(errors: Page) -> None:
    errors.get_by_label("by digit").check()
    errors.get_by_label("log scale").check()
    errors.wait_for_function(f"{PLOT}.layout.yaxis.type === 'log'")
    errors.locator("#error-histogram").scroll_into_view_if_needed()
    x, y, count, name = errors.evaluate(
        """() => {
          const plot = document.querySelector('#error-histogram');
          const { xaxis, yaxis, _size: size } = plot._fullLayout;
          const box = plot.getBoundingClientRect();
          const isLine = ({ type, meta }) => type === 'scatter' && Number.isInteger(meta?.label);
          const steps = plot.data.filter(isLine).flatMap(
            ({ name, x, y }) => [...y].map((count, bin) => ({ name, count, at: x[bin] })));
          const isAlone = ({ at, count }) =>
            steps.filter((other) => other.at === at && other.count === count).length === 1;
          const highest = (best, other) => (other.count > best.count ? other : best);
          const { name, count, at } = steps.filter(isAlone).reduce(highest);
          return [box.left + size.l + xaxis.d2p(at), box.top + size.t + yaxis.d2p(count), count, name];
        }"""
    )
    errors.mouse.move(x, y)
    errors.mouse.click(x, y)
    words = gallery(errors, "with an error from")
    assert words.startswith(f"{count} ")
    assert f"of class {name} " in words


def test_a_second_model_is_measured_on_the_first_ones_images(errors: Page) -> None:
    compare_with(errors, "reference")
    errors.wait_for_function(f"{PLOT}.data.some((trace) => trace.meta?.overlay === 'reference')")
    note = errors.locator("#test-errors .beside").filter(
        has_text="reference on the same images: mean error 0.0"
    )
    assert re.search(r"smaller one on \d+ of 205 images", note.inner_text())


def test_where_the_images_are_not_here_only_the_curves_are_compared(
    page_without_map: Page, run: LoadedRun
) -> None:
    page = page_without_map
    open_tab(page, "Test errors")
    wait_for_bars(page, 10_000)
    compare_with(page, "tested")
    page.wait_for_function(f"{PLOT}.data.some((trace) => trace.meta?.overlay === 'tested')")
    note = page.locator("#test-errors .beside")
    note.filter(has_text="tested was evaluated on another set: 205 images").wait_for()
    assert not page.get_by_role("button", name="better", exact=True).is_visible()


def test_two_models_are_compared_image_by_image_and_digit_by_digit(
    errors: Page, run: LoadedRun, other: LoadedRun
) -> None:
    errors.get_by_role("button", name="16 typical").click()
    gallery(errors, "The 16 typical of")
    assert errors.locator("#error-images li").first.locator("img").count() == 3
    compare_with(errors, "other")
    first, second = evaluated(run), evaluated(other)
    words = f"Its error is the smaller one on {(second < first).sum()} of 205 images"
    errors.locator("#test-errors .beside").filter(has_text=words).wait_for()
    errors.get_by_role("button", name="better", exact=True).click()
    better = np.argsort(second - first, kind="stable")[: (second < first).sum()]
    words = f"^{len(better)} test images on which other is better, by the most first.*the lower by other"
    gallery(errors, words)
    assert shown_errors(errors)[::2] == pytest.approx(first[better[:16]].tolist(), abs=1e-3)
    assert shown_errors(errors)[1::2] == pytest.approx(second[better[:16]].tolist(), abs=1e-3)
    titles = [
        picture.get_attribute("title")
        for picture in errors.locator("#error-images li").first.locator("img").all()
    ]
    assert titles == [
        "original",
        "reconstruction",
        "difference",
        "reconstruction by other",
        "difference by other",
    ]
    assert other.evaluation is not None
    of_four = second[other.evaluation.labels == 4].mean()
    row = errors.locator("#errors-by-class tbody tr").nth(4)
    assert float(row.locator("td").nth(2).inner_text()) == pytest.approx(of_four, abs=6e-5)
    heads = errors.locator("#errors-by-class thead th:visible").all_inner_texts()
    assert [" ".join(head.split()) for head in heads[2:5]] == ["mean", "mean of other", "median"]
    name = run.info.name  # whose figures these are, where the second's are not beside them
    assert errors.locator("#error-meanings h2").inner_text() == f"What the numbers of {name} mean"
    errors.locator("#turned-into").scroll_into_view_if_needed()
    errors.locator("#turned-into").get_by_text(f"By {name} alone.").wait_for()
    errors.set_viewport_size({"width": 390, "height": 844})
    table = errors.locator("#errors-by-class table")
    assert table.locator("th:visible", has_text="95th percentile").count() == 1
    assert table.locator("th:visible", has_text="images").count() == 0
    assert table.evaluate("table => table.offsetWidth <= table.parentElement.clientWidth")
    errors.set_viewport_size({"width": 1280, "height": 860})
    wait_for_address(errors, "order=better")
    errors.reload()
    gallery(errors, words)
    compare_with(errors, "nothing")
    gallery(errors, "Better and worse need a second model that was tested on the same images: choose one")
    assert not errors.get_by_role("button", name="better", exact=True).is_visible()
    assert row.locator("td").count() == 4


def test_pictures_of_one_second_model_are_not_shown_as_those_of_the_next(
    errors: Page, other: LoadedRun
) -> None:
    go_to(errors, "?model=tested&tab=errors&hide=map")
    gallery(errors, "Click in the histogram")  # nothing is shown yet
    compare_with(errors, "other")
    errors.locator("#test-errors .beside", has_text="other on the same images").wait_for()
    held = hold(errors, "**/errors/gallery?*", times=2)
    with errors.expect_request("**/errors/gallery?*other=other*"):
        errors.get_by_role("button", name="16 typical").click()
    compare_with(errors, "reference")
    errors.locator("#test-errors .beside", has_text="reference on the same images").wait_for()
    with errors.expect_request("**/errors/gallery?*other=reference*"):
        held[0].continue_()
    assert errors.locator("#error-images li").count() == 0
    held[1].continue_()
    gallery(errors, "The 16 typical of.*the lower by reference")
    assert errors.locator("#error-images li", has_text="reference").count() == 16


def test_each_digit_has_its_figures_and_its_images(errors: Page, run: LoadedRun) -> None:
    labels = load_run(run.info.folder).evaluation.labels  # type: ignore[union-attr]
    rows = errors.locator("#errors-by-class tbody tr")
    assert rows.count() == 10
    cells = rows.nth(4).locator("td").all_inner_texts()
    of_four = evaluated(run)[labels == 4]
    assert cells[0] == str(len(of_four))
    assert float(cells[1]) == pytest.approx(of_four.mean(), abs=6e-5)
    rows.nth(4).get_by_role("button").click()
    assert gallery(errors, "of class 4").startswith(f"{len(of_four)} test images of class 4")
    assert shown_errors(errors) == pytest.approx(np.sort(of_four)[::-1][:16].tolist(), abs=1e-3)


def test_what_turns_into_what_counts_every_image_and_opens(errors: Page) -> None:
    errors.locator("#turned-into").scroll_into_view_if_needed()
    errors.wait_for_selector("#turned-into table button")
    counts = [int(text) for text in errors.locator("#turned-into table button").all_inner_texts()]
    assert sum(counts) == 205
    cell = errors.locator("#turned-into td:not(.kept) button").first
    count, name = cell.inner_text(), cell.get_attribute("aria-label") or ""
    kinds = re.fullmatch(r"\d+ of class (\d) read as (\d)", name)
    assert kinds
    cell.click()
    words = gallery(errors, f"of class {kinds[1]} whose reconstruction is read as {kinds[2]}")
    assert words.startswith(f"{count} test image")
    assert errors.get_by_label("Error from").input_value() == ""  # "Show" would ask for all classes


def test_images_that_are_not_here_are_said_and_others_can_be_measured(page_without_map: Page) -> None:
    page = page_without_map
    open_tab(page, "Test errors")
    wait_for_bars(page, 10_000)
    page.locator("#test-errors .caution").filter(has_text="The 10,000 images of this evaluation").wait_for()
    measure = "Measure it on the 205 test images here"
    gallery(page, "The images are not in this app: see the note above the histogram.")
    assert page.get_by_role("button", name="16 worst").is_disabled()
    page.locator("#turned-into").scroll_into_view_if_needed()
    page.locator("#turned-into").get_by_text("not in this app: see the note above").wait_for()
    page.locator("#test-errors").get_by_role("button", name=measure).click()
    wait_for_bars(page, 205)
    page.get_by_role("button", name="16 typical").click()
    gallery(page, "The 16 typical of")
    assert page.locator("#error-images li").count() == 16
    page.wait_for_timeout(700)
    assert "order" not in page.url  # who gets the link has other images
    go_to(page, "?model=reference&tab=errors&order=falling")
    wait_for_bars(page, 10_000)
    gallery(page, "not in this app")
    page.locator("#error-images").get_by_role("button", name=measure).click()  # also where they would be
    gallery(page, "The 16 worst of 205")  # what the address asks for
    assert not page.locator("#error-images").get_by_role("button", name=measure).is_visible()


def test_what_goes_wrong_is_said_and_no_figure_of_before_stays_below_it(errors: Page) -> None:
    errors.route("**/errors/facts*", lambda route: route.abort())
    with hastened(errors):
        errors.get_by_label("their mean").check()
        errors.locator("#test-errors .alert").wait_for()
        below = ("#error-histogram", "#error-images", "#error-classes", "#error-meanings")
        assert not any(errors.locator(part).is_visible() for part in below)
        errors.unroute("**/errors/facts*")  # it is asked for again
        for part in below:
            errors.locator(part).wait_for()
    wait_for_bars(errors, 205)
    assert errors.locator("#test-errors .alert").count() == 0


def test_that_nobody_knows_where_the_images_are_takes_no_figure_away(fresh: Page, run: LoadedRun) -> None:
    fresh.evaluate(HASTE)
    fresh.route("**/errors/images*", lambda route: route.abort())
    fresh.get_by_label("their mean").check()
    said = fresh.locator("#test-errors .caution", has_text="The app does not answer")
    said.wait_for()
    fresh.get_by_text("decoded from the posterior's mean").wait_for()
    assert run.evaluation is not None
    fresh.locator(".legend", has_text=f"mean {run.evaluation.errors_mean.mean():.4f}").wait_for()
    assert fresh.locator("#error-histogram").is_visible()
    fresh.unroute_all()  # it is asked for again
    said.wait_for(state="hidden")
    fresh.locator("#turned-into table").wait_for()


def test_from_images_that_cannot_be_measured_there_is_a_way_back(page_without_map: Page) -> None:
    page = page_without_map
    open_tab(page, "Test errors")
    wait_for_bars(page, 10_000)
    refusal = {"error": "these cannot be measured"}
    page.route("**/errors/measured*", lambda route: route.fulfill(status=400, json=refusal))
    page.locator("#test-errors").get_by_role("button", name="Measure it on the 205").click()
    alert = page.locator("#test-errors .alert", has_text="These cannot be measured")
    alert.wait_for()
    page.get_by_role("button", name="Back to the images it was evaluated on").click()
    alert.wait_for(state="detached")
    wait_for_bars(page, 10_000)
    page.locator("#error-meanings").wait_for()


def test_a_histogram_that_did_not_come_is_shown_when_it_comes(errors: Page) -> None:
    errors.route(re.compile(r"/runs/tested/errors\?"), lambda route: route.abort())
    with hastened(errors):
        errors.get_by_label("log scale").check()
        problem = errors.locator("#test-errors .alert")
        problem.wait_for()
        assert not errors.locator("#error-histogram").is_visible()
        errors.unroute_all()  # it is asked for again
        errors.locator("#error-histogram").wait_for()
    assert problem.count() == 0
    errors.get_by_text("How far each of 205 test images").wait_for()


def test_a_plotting_library_that_did_not_come_is_asked_for_again(
    blank: Page, app: App, run: LoadedRun
) -> None:
    blank.route("**/plotly.min.js", lambda route: route.abort())
    blank.goto(f"{app.url}/?model=tested&hide=map&tab=errors")
    blank.get_by_text("The plotting library could not be loaded").first.wait_for()
    blank.unroute_all()
    blank.get_by_label("log scale").check()
    wait_for_bars(blank, 205)
