"""Generate as a person would use it: the grid, its classes, its neighbours, its downloads, its walks."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from support.browser import (
    PHONE,
    App,
    be_busy,
    choose_model,
    go_to,
    hold,
    open_app,
    open_tab,
    source_of,
    wait_for_address,
    wait_for_new_source,
    wait_for_source,
    wait_until_alive,
    watched_page,
)
from vae_core import load_run
from vae_core.data import Dataset, spread
from vae_core.inference import decode_latents, nearest_errors, nearest_image, sample_latents
from vae_core.latent_space import ClassGaussians
from vae_core.quality.inspection import inspect
from vae_core.runs import find_run

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext, Page

GRID = "#generated-grid img"


@pytest.fixture(scope="module")
def runs(app: App, tiny_run: Path) -> Path:
    """Where the runs are that these tests choose and the page knows from its beginning; one is untested."""
    for name in ("untested", "learned", "going-on"):
        shutil.copytree(tiny_run, app.runs_dir / name)
    (app.runs_dir / "untested" / "evaluation.npz").unlink()
    return app.runs_dir


@pytest.fixture(scope="module")
def lasting(profile: BrowserContext, app: App, runs: Path) -> Iterator[Page]:
    """The page of these tests: each can begin where another has ended."""
    with watched_page(profile, app) as page:
        open_app(page, f"{app.url}/?hide=map")
        yield page


@pytest.fixture
def grid(lasting: Page) -> Page:
    """The page with the first images, as a visitor finds it."""
    lasting.unroute_all()
    for seed in (1, 0):  # by way of others, so that one sees when the fields have followed
        go_to(lasting, f"?hide=map&model=reference&tab=generate&seed={seed}")
        wait_for_source(
            lasting, GRID, f"/reference/generated.png?seed={seed}&count=64&temperature=1&sampler=prior"
        )
        lasting.wait_for_function(
            "seed => document.querySelector('.generate input[type=number]').value === seed", arg=str(seed)
        )
    wait_until_alive(lasting)
    return lasting


def set_number(page: Page, label: str, value: str) -> None:
    field = page.get_by_label(label).first
    field.fill(value)
    field.press("Tab")


def test_a_grid_is_made_and_downloaded_at_its_size(grid: Page) -> None:
    set_number(grid, "Seed", "7")  # left, it is followed, as the other fields
    wait_for_source(grid, GRID, "seed=7&")
    assert grid.evaluate("document.querySelector('#generated-grid img').naturalWidth") == 8 * 30 - 2
    set_number(grid, "Size of the download", "3")
    with grid.expect_download() as download:
        grid.get_by_role("link", name="Download PNG").click()
    assert download.value.suggested_filename == "generated-64-seed-7.png"
    with Image.open(Path(download.value.path())) as picture:
        assert picture.size == (3 * 238, 3 * 238)


def test_another_seed_makes_other_images_and_stands_in_its_field(grid: Page) -> None:
    for seed in ("1", "2"):
        before = source_of(grid, GRID)
        grid.get_by_role("button", name="Another seed").click()
        wait_for_new_source(grid, GRID, before)
        assert f"seed={seed}&" in source_of(grid, GRID)
        assert grid.get_by_label("Seed").first.input_value() == seed


@pytest.mark.parametrize(
    ("label", "value", "expected"),
    [
        ("Seed", "-5", "Seed: expected a whole number from 0 to 4,294,967,295."),
        ("Seed", "1.5", "Seed: expected a whole number"),
        ("Seed", "", "Seed: expected a whole number"),
        ("number input for Count", "2.5", "Count: expected a whole number from 1 to 400."),
    ],
)
def test_a_number_that_cannot_be_is_told_and_not_replaced(
    grid: Page, label: str, value: str, expected: str
) -> None:
    before = source_of(grid, GRID)
    grid.get_by_label(label).first.fill(value)
    grid.get_by_role("button", name="Generate", exact=True).click()
    problem = grid.locator(".part-mistake [role=alert]")
    problem.filter(has_text=expected).wait_for()
    assert source_of(grid, GRID) == before
    if label == "Seed":  # as it was: there is nothing to generate
        set_number(grid, label, "0")
        problem.wait_for(state="hidden")
    set_number(grid, label, "3")  # which is enough: a press besides might come after the next test's address
    wait_for_source(grid, GRID, "seed=3&" if label == "Seed" else "count=3&")
    problem.wait_for(state="hidden")


def test_a_picture_that_is_refused_is_told_in_the_servers_words(grid: Page) -> None:
    be_busy(grid, "**/generated.png*")
    grid.get_by_role("button", name="Another seed").click()
    told = grid.locator("#generated-panel [role=alert]")
    told.get_by_text(
        "The picture could not be made. Many visitors ask at once; try again in a moment."
    ).wait_for()
    grid.unroute_all()
    grid.get_by_role("button", name="Another seed").click()
    wait_for_source(grid, GRID, "seed=2&")
    told.wait_for(state="hidden")


def test_the_address_shares_the_images_and_the_back_button_works(blank: Page, app: App) -> None:
    page = blank
    search = "hide=map&model=plane&tab=generate&seed=7&count=9&temperature=0.5&class=3"
    page.goto(f"{app.url}/?{search}")
    wait_until_alive(page)
    wait_for_source(page, GRID, "count=9&temperature=0.5&label=3")
    assert "/plane/generated.png?seed=7&" in source_of(page, GRID)
    page.wait_for_function("document.querySelector('#generate-class input').value === '3'")
    fields = ("Seed", "number input for Count", "number input for Temperature")
    assert [page.get_by_label(field).first.input_value() for field in fields] == ["7", "9", "0.5"]
    page.wait_for_timeout(700)  # then the address is the page's
    first = source_of(page, GRID)
    page.get_by_role("button", name="Another seed").click()
    wait_for_address(page, "seed=8")
    assert "count=9&temperature=0.5&class=3" in page.url
    page.go_back()
    wait_for_source(page, GRID, first)
    page.wait_for_function("document.querySelector('#generated-panel').innerText.includes('seed 7')")
    assert page.get_by_label("Seed").first.input_value() == "7"
    page.get_by_role("button", name="Generate", exact=True).click()  # with what the fields hold
    page.wait_for_timeout(500)
    assert source_of(page, GRID) == first


def test_fields_that_follow_an_address_do_not_bring_it_back(grid: Page) -> None:
    go_to(grid, "?hide=map&model=reference&tab=generate&count=9")
    wait_for_source(grid, GRID, "count=9&")
    grid.wait_for_timeout(500)
    go_to(grid, "?hide=map&model=reference&tab=generate&seed=1")
    grid.wait_for_function("document.querySelector('.generate input[type=number]').value === '1'")
    go_to(grid, "?hide=map&model=reference&tab=generate&seed=2")  # of as many, so that no slider moves
    grid.wait_for_timeout(1000)
    wait_for_source(grid, GRID, "seed=2&count=64&")
    assert grid.get_by_label("Seed").first.input_value() == "2"


def test_a_control_that_is_about_to_rest_does_not_bring_back_what_was_before_an_address(grid: Page) -> None:
    grid.evaluate(  # what the control calls: on a busy machine, the address may come before it rests
        "async (search) => { const { generateSoon } = await import('./studio/static/generated.js');"
        " generateSoon(0, 5, 1, '', 'prior'); history.pushState(null, '', search);"
        " dispatchEvent(new PopStateEvent('popstate')); }",
        "?hide=map&model=reference&tab=generate&seed=7",
    )
    wait_for_source(grid, GRID, "seed=7&count=64&")
    grid.wait_for_timeout(600)
    assert "seed=7&count=64&" in source_of(grid, GRID)
    assert grid.get_by_label("Seed").first.input_value() == "7"


def test_the_mixture_is_a_second_sampler(grid: Page) -> None:
    before = source_of(grid, GRID)
    grid.get_by_role("radio", name="mixture").check()  # which is enough
    grid.wait_for_function(
        "document.querySelector('#generated-panel').innerText.includes('from the mixture')"
    )
    assert "sampler=mixture" in source_of(grid, GRID)
    grid.get_by_role("button", name="Image 3", exact=True).click()
    grid.get_by_role("button", name="Explore from here").locator("visible=true").click()
    grid.get_by_role("tab", name="Explore", selected=True).wait_for()
    shown = [float(grid.locator(f"#latent-{number}").input_value()) for number in range(1, 17)]
    mixture = find_run("reference", "checkpoints").mixture()
    assert mixture is not None
    assert shown == pytest.approx(np.clip(mixture.sample(64, seed=0)[2], -3, 3).tolist(), abs=0.011)
    open_tab(grid, "Generate")
    grid.get_by_role("radio", name="prior (reference)").check()
    wait_for_source(grid, GRID, before)


def test_a_model_without_a_mixture_says_so_and_shows_no_other_models_images(grid: Page) -> None:
    grid.get_by_role("radio", name="mixture").check()
    wait_for_source(grid, GRID, "sampler=mixture")
    why = "run plane has no mixture; the prior needs none"
    grid.route("**/plane/mixture*", lambda route: route.fulfill(status=400, json={"error": why}))
    grid.route("**/plane/walk*", lambda route: route.fulfill(status=400, json={"error": why}))
    choose_model(grid, "plane")
    grid.locator("#generated-panel [role=alert]", has_text="Run plane has no mixture").wait_for()
    assert "generated.png" not in source_of(grid, GRID)
    assert not grid.get_by_role("button", name="Image 3", exact=True).is_visible()
    assert not grid.get_by_role("link", name="Download PNG").is_visible()
    assert not grid.get_by_label("Size of the download").is_visible()
    grid.get_by_role("button", name="Start a walk").click()
    grid.locator("#walk [role=alert]", has_text="Run plane has no mixture").wait_for()
    grid.unroute_all()
    grid.get_by_role("radio", name="prior (reference)").check()
    wait_for_source(grid, GRID, "/plane/generated.png")
    assert grid.get_by_role("button", name="Image 3", exact=True).is_visible()
    assert not grid.locator("#generated-panel [role=alert]").is_visible()


def test_with_another_model_a_refused_number_gives_way_with_its_mistake(grid: Page) -> None:
    set_number(grid, "Seed", "-5")
    mistake = grid.locator(".part-mistake [role=alert]")
    mistake.filter(has_text="Seed: expected a whole number").wait_for()
    choose_model(grid, "quick")
    wait_for_source(grid, GRID, "/quick/generated.png?seed=0")
    mistake.wait_for(state="hidden")
    grid.wait_for_function("document.querySelector('.generate input[type=number]').value === '0'")


def test_a_class_that_the_next_model_lacks_is_said(grid: Page) -> None:
    grid.get_by_label("Class", exact=True).click()
    grid.locator("li[role=option]", has_text="7").click()
    wait_for_source(grid, GRID, "label=7")
    choose_model(grid, "untested")
    wait_for_source(grid, GRID, "/untested/generated.png?seed=0&count=64&temperature=1&sampler=prior")
    mistake = grid.locator(".part-mistake [role=alert]")
    mistake.get_by_text("untested knows no class 7: these are of all classes.").wait_for()
    grid.get_by_role("button", name="Another seed").click()
    mistake.wait_for(state="hidden")


def test_on_a_phone_what_is_said_of_an_image_stands_before_the_fields(blank: Page, app: App) -> None:
    page = blank
    page.set_viewport_size(PHONE)
    page.goto(f"{app.url}/?hide=map&tab=generate")
    wait_until_alive(page)
    wait_for_source(page, GRID, "seed=0")
    page.get_by_role("button", name="Image 12", exact=True).click()
    page.locator("#invention", has_text="is nearest").wait_for()
    parts = (
        page.locator("#generated-panel"),
        page.get_by_role("button", name="Generate", exact=True),
        page.locator("#invention"),
        page.get_by_label("Seed").first,
        page.locator("#walk"),
    )
    tops = [box["y"] for part in parts if (box := part.bounding_box())]
    assert len(tops) == len(parts)
    assert tops == sorted(tops)
    assert tops[2] < 844


def test_count_and_temperature(grid: Page) -> None:
    set_number(grid, "number input for Count", "5")
    set_number(grid, "number input for Temperature", "0")
    wait_for_source(grid, GRID, "count=5&temperature=0&")
    assert grid.locator("#generated-grid button").count() == 5
    with grid.expect_download() as download:
        grid.get_by_role("link", name="Download PNG").click()
    with Image.open(Path(download.value.path())) as picture:
        tiles = np.asarray(picture.convert("L").resize((88, 58), Image.Resampling.NEAREST))
    assert np.array_equal(tiles[:28, :28], tiles[:28, 30:58])  # without noise all are the same


def test_one_class_alone(grid: Page) -> None:
    grid.get_by_label("Class", exact=True).click()
    grid.locator("li[role=option]", has_text="3").click()
    wait_for_source(grid, GRID, "label=3")
    assert "label=3" in source_of(grid, GRID)
    assert "drawn around class 3" in grid.locator("#generated-panel").inner_text()
    grid.wait_for_function("document.querySelector('#generate-sampler input').disabled")
    assert grid.get_by_role("radio", name="mixture").is_disabled()  # a class is drawn without it
    reference = load_run("reference")
    evaluation = reference.evaluation
    assert evaluation is not None
    classes = ClassGaussians.fit(evaluation.means, evaluation.labels)
    z = sample_latents(16, 64, 0, classes=classes, label=3)
    grid.get_by_role("button", name="Image 10", exact=True).click()
    grid.get_by_role("button", name="Explore from here").click()
    grid.get_by_role("tab", name="Explore", selected=True).wait_for()
    values = [float(grid.locator(f"#latent-{number}").input_value()) for number in range(1, 17)]
    assert values == pytest.approx(np.clip(z[9], -3, 3).tolist(), abs=0.011)
    open_tab(grid, "Generate")
    grid.get_by_label("Class", exact=True).click()
    grid.locator("li[role=option]", has_text="all").click()
    grid.wait_for_function("!document.querySelector('#generate-sampler input').disabled")


def test_a_chosen_tile_is_shown_beside_the_nearest_training_image(grid: Page, dataset: Dataset) -> None:
    grid.get_by_role("button", name="Image 12", exact=True).click()
    grid.wait_for_function("document.querySelector('#invention').innerText.includes('nearest')")
    grid.locator("#invention img").first.wait_for()
    model = load_run("reference").model
    image = decode_latents(model, sample_latents(16, 64, 0)[11:12])[0]
    nearest = nearest_image(image, dataset.train.images)
    words = grid.locator("#invention").inner_text()
    said = re.search(r"a (\d), is nearest: they differ by (0\.\d+)", words)
    assert said
    assert int(said[1]) == dataset.train.labels[nearest.index]
    assert float(said[2]) == pytest.approx(nearest.error, abs=1e-4)
    assert "Of 700 training images" in words
    assert "learned from 60,000 images that are not all here, so this cannot tell" in words
    assert grid.locator("#generated-grid button[aria-pressed=true]").count() == 1


def test_a_press_between_two_images_chooses_one_of_them(grid: Page) -> None:
    left, right = (grid.get_by_role("button", name=f"Image {number}", exact=True) for number in (1, 2))
    left.scroll_into_view_if_needed()
    first, second = left.bounding_box(), right.bounding_box()
    assert first
    assert second
    middle = (first["x"] + first["width"] + second["x"]) / 2
    assert second["x"] - first["x"] - first["width"] > 3  # there is a gap
    grid.mouse.click(middle, first["y"] + 10)
    assert grid.locator("#generated-grid button[aria-pressed=true]").count() == 1


def test_how_near_unseen_images_come_tells_memory_from_invention(
    grid: Page, dataset: Dataset, runs: Path
) -> None:
    choose_model(grid, "learned")
    wait_for_source(grid, GRID, "/learned/")
    model = load_run(runs / "learned").model
    unseen = inspect(model, dataset.test.images[spread(205, 200)]).reconstructions
    learned = dataset.train.first(640).images  # by the run's limit
    nearest = nearest_errors(decode_latents(model, sample_latents(16, 64, 0)), learned)
    nearer = (nearest_errors(unseen, learned) < nearest[:, None]).sum(axis=1)
    for index in (nearer.argmax(), nearer.argmin()):
        grid.get_by_role("button", name=f"Image {index + 1}", exact=True).click()
        compared = f"Of 200 test images, which the model never saw, {nearer[index] or 'none'} come"
        verdict = "it may be remembered" if nearer[index] < 2 else "no sign of memory"
        grid.locator("#invention", has_text=compared).filter(has_text=verdict).wait_for()


def test_while_its_model_is_trained_on_the_fields_and_the_chosen_image_stay(grid: Page, runs: Path) -> None:
    choose_model(grid, "going-on")
    wait_for_source(grid, GRID, "/going-on/")
    grid.get_by_role("button", name="Image 6", exact=True).click()
    grid.locator("#invention", has_text="is nearest").wait_for()
    grid.get_by_label("Seed").first.fill("123")
    before = source_of(grid, GRID)
    os.utime(runs / "going-on" / "evaluation.npz")
    wait_for_new_source(grid, GRID, before)
    assert grid.get_by_label("Seed").first.input_value() == "123"
    assert grid.locator("#generated-grid button[aria-pressed=true]").get_attribute("aria-label") == "Image 6"
    grid.get_by_label("Seed").first.fill("0")


def test_while_a_chosen_image_is_looked_up_the_one_before_cannot_be_explored(grid: Page) -> None:
    grid.get_by_role("button", name="Image 1", exact=True).click()
    grid.locator("#invention", has_text="is nearest").wait_for()
    explore = grid.locator("#invention").get_by_role("button", name="Explore from here")
    assert explore.is_enabled()
    held = hold(grid, "**/generated/5*")
    grid.get_by_role("button", name="Image 6", exact=True).click()
    grid.locator("#invention", has_text="Looking through the training images").wait_for()
    assert explore.is_disabled()
    held[0].continue_()
    grid.locator("#invention", has_text="is nearest").wait_for()
    assert explore.is_enabled()


def test_a_walk_is_shown_and_taken_along(grid: Page) -> None:
    grid.get_by_role("button", name="Start a walk").click()
    grid.wait_for_function("document.querySelector('#walk img').naturalWidth === 224")
    for kind in ("GIF", "WebP"):
        with grid.expect_download() as download:
            grid.get_by_role("link", name=kind, exact=True).click()
        with Image.open(download.value.path()) as animation:
            assert animation.format == kind.upper()
            assert animation.n_frames > 60
    before = source_of(grid, "#walk img")
    grid.get_by_role("button", name="Another walk").click()
    wait_for_new_source(grid, "#walk img", before)
