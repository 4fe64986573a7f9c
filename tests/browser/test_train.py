"""Every tab used as a person would, in headless Chromium. Skipped where there is none."""

from __future__ import annotations

import contextlib
import json
import math
import os
import re
import shutil
import signal
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from scripts.faults import wait_for
from support.browser import (
    App,
    answer,
    choose_model,
    go_to,
    hold,
    open_app,
    open_tab,
    set_field,
    source_of,
    wait_for_address,
    wait_for_model,
    wait_for_new_source,
    wait_for_source,
    wait_for_state,
    wait_until_alive,
    watched_page,
)
from support.runs import change_settings
from vae_core import load_run
from vae_core.jobs.job import prepare
from vae_core.jobs.recording import perform
from vae_core.run_folder import Run, RunWriter
from vae_core.runs import create_run, list_runs
from vae_core.settings import Settings
from vae_core.training import diverged

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Locator, Page, Route

PLOT = "document.querySelector('#loss-curve .js-plotly-plot')"
TABS = ["Explore", "Draw", "Train", "Test errors", "Generate"]


AS_OPENED = pytest.mark.usefixtures("as_opened")
"""On a test that needs no page of its own: it begins at Explore, on a page shared by such."""


@pytest.fixture(scope="module")
def lasting(profile: BrowserContext, app: App) -> Iterator[Page]:
    """The page of the tests that can begin where another has ended; at Explore it asks nothing of Train."""
    with watched_page(profile, app) as page:
        open_app(page, f"{app.url}/?hide=map")
        yield page


@pytest.fixture
def as_opened(lasting: Page) -> Iterator[Page]:
    """The lasting page, which is left as it was: with the recipe in the form and nothing said below the
    buttons; once Train is opened, the newest run is watched."""
    yield lasting
    lasting.unroute_all()
    go_to(lasting, "?hide=map&model=reference&tab=train")
    lasting.evaluate("async () => (await import('./studio/static/training.js')).watchRun('sharp')")
    lasting.locator("#training-status [data-is=what]").get_by_text(re.compile("^sharp ·")).wait_for()
    lasting.locator("#training-problem p").wait_for(state="detached")
    for recipe, about in (("Minute", "A first model while you watch"), ("Reference", "The recipe of the")):
        lasting.get_by_role("radio", name=recipe).check()  # another fills the fields
        lasting.locator("#preset-about", has_text=about).wait_for()
    name = lasting.locator("#run-name :is(input, textarea)")
    if name.is_visible():
        name.fill("")
    go_to(lasting, "?hide=map&model=reference&watch=sharp")
    lasting.get_by_role("tab", name="Explore", selected=True).wait_for()
    go_to(lasting, "?hide=map&model=reference")


@pytest.fixture
def page(request: pytest.FixtureRequest) -> Page:
    """The lasting page, if the test asks for it, or a fresh one; nothing here is about the map."""
    return request.getfixturevalue("as_opened" if "as_opened" in request.fixturenames else "page_without_map")


def test_the_tabs_are_in_their_order(lasting: Page) -> None:
    names = [tab.inner_text() for tab in lasting.get_by_role("tab").all() if tab.is_visible()]
    assert names == TABS


def test_it_opens_on_explore_with_the_shipped_model_and_the_arrow_keys_go_from_tab_to_tab(page: Page) -> None:
    assert "reference" in page.get_by_label("Model").input_value()
    assert page.get_by_role("slider").count() == 16
    labels = [label.inner_text().split()[0] for label in page.locator(".latent label").all()]
    assert sorted(labels, key=lambda label: int(label[1:])) == [f"z{number}" for number in range(1, 17)]

    page.get_by_role("tab", name="Explore", exact=True).focus()
    for key, name in (("ArrowRight", "Draw"), ("End", "Generate"), ("ArrowRight", "Explore")):
        page.keyboard.press(key)
        tab = page.get_by_role("tab", name=name, exact=True, selected=True)
        tab.wait_for()
        assert tab.evaluate("tab => tab === document.activeElement")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.closest('[role=tabpanel]')?.id") == "tab-explore"


def training_processes() -> list[int]:
    """Those that an app of these tests has started, not of those that run beside them: by their cache."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it has just ended
            is_ours = os.environ["XDG_CACHE_HOME"].encode() in (path / "environ").read_bytes()
            if is_ours and b"vae_core.jobs.worker" in (path / "cmdline").read_bytes():
                found.append(int(path.name))
    return found


def test_a_training_process_gets_ready_when_train_opens_and_not_before(page: Page, app: App) -> None:
    if not Path("/proc/self/stat").exists():
        pytest.skip("this system does not tell a process's children")
    for left_by_another_test in training_processes():
        os.kill(left_by_another_test, signal.SIGKILL)
    wait_for(lambda: training_processes() == [])
    page.reload()
    wait_for_model(page)
    page.wait_for_timeout(500)
    assert training_processes() == []
    open_tab(page, "Train")
    wait_for(lambda: len(training_processes()) == 1)


def listen_to_state(page: Page) -> None:
    """Keeps in `said` all that the line of the state says from now on."""
    page.evaluate(
        """window.said = [];
        const line = document.querySelector('#training-status .state');
        new MutationObserver(() => said.push(line.innerText.trim())).observe(
          line, { subtree: true, childList: true, characterData: true });"""
    )


def test_training_is_started_watched_and_stopped(page: Page, app: App) -> None:
    open_tab(page, "Train")
    set_field(page, "Epochs", "1000")
    set_field(page, "Batch size", "1")  # an epoch of seconds
    listen_to_state(page)
    page.get_by_role("button", name="Start training").click()
    page.wait_for_function(
        "document.querySelector('#training-status').innerText.includes('Training')"
        f" && {PLOT}?.data?.[0].x.length > 5"
    )
    assert {words for words in page.evaluate("said") if "Starting" in words} == {"Starting…"}
    title = page.locator("#loss-curve h2").inner_text()
    assert re.search(r"epoch \d+ of 1000, \d\d:\d\d:\d\d", title)
    axis = page.evaluate(f"{PLOT}.layout.yaxis.range[0]")
    assert axis == 0
    points = f"{PLOT}.data[0].x.length"
    before = page.evaluate(points)
    page.wait_for_function(f"{points} > {before}")
    page.evaluate(  # on a machine that is not fast, where the training needs what it has
        """() => { const extend = Plotly.extendTraces; Plotly.extendTraces = (...all) => {
          const until = performance.now() + 15; while (performance.now() < until);
          return extend(...all); }; }"""
    )
    looks: list[str] = []
    page.on("request", lambda asked: looks.append(asked.url) if "/studio/training?" in asked.url else None)
    before = page.evaluate(points)
    page.wait_for_timeout(1500)
    assert len(looks) <= 4, "whoever watches a training slows it down"
    assert page.evaluate(points) > before
    page.get_by_role("button", name="Start training").click()
    page.wait_for_function("document.querySelector('#training-problem').innerText.includes('being trained')")
    running = page.locator("#runs tr", has=page.locator("[data-state=running]"))
    running.get_by_role("button", name="Card").wait_for()
    assert not running.get_by_role("button", name="Delete").is_visible()

    page.reload()
    open_tab(page, "Train")
    page.wait_for_function(f"{PLOT} && {points} > {before}")
    page.get_by_role("button", name="Stop").click()
    wait_for_state(page, "Stopped")
    assert page.locator(".previews img").first.get_attribute("src")


def test_one_click_starts_the_reference_recipe(page: Page, app: App) -> None:
    open_tab(page, "Train")
    page.get_by_role("button", name="Start training").click()  # and nothing else: Advanced was never opened
    wait_for_state(page, "Training")
    (run,) = [path for path in app.runs_dir.iterdir() if Run(path).info().state == "running"]
    assert Run(run).info().settings == Settings()
    page.get_by_role("button", name="Stop").click()
    wait_for_state(page, "Stopped", "Finished")


@AS_OPENED
def test_a_wrong_setting_is_said_before_anything_starts(page: Page, app: App) -> None:
    runs = sorted(app.runs_dir.glob("*")) if app.runs_dir.exists() else []
    open_tab(page, "Train")
    set_field(page, "Learning rate", "-1")
    page.locator(".wrong", has_text="must be a number above 0").wait_for()
    page.get_by_role("button", name="Start training").click()
    problem = page.locator("#training-problem [role=alert]")
    problem.wait_for()
    assert "Learning rate must be a number above 0" in problem.inner_text()
    set_field(page, "Learning rate", "0.001")
    problem.wait_for(state="detached")
    set_field(page, "Epochs", "2.5")  # which was rounded once
    page.get_by_role("button", name="Start training").click()
    problem.filter(has_text="Epochs must be a whole number from 1 to 10,000, not 2.5").wait_for()
    folded = page.locator("#advanced > button")
    folded.filter(has_text="Advanced: the recipe with epochs 2.5").wait_for()
    page.get_by_role("radio", name="Quick").check()
    folded.filter(has_text=re.compile("^Advanced[^:]*$")).wait_for()
    assert page.get_by_label("Epochs").input_value() == "10"
    assert page.locator(".wrong").count() == 0
    assert sorted(app.runs_dir.glob("*") if app.runs_dir.exists() else []) == runs


@AS_OPENED
def test_a_late_answer_about_the_form_does_not_come_over_a_later_one(page: Page) -> None:
    open_tab(page, "Train")
    set_field(page, "Epochs", "5")
    folded = page.locator("#advanced > button")
    folded.filter(has_text="epochs 5").wait_for()
    held = hold(page, "**/run/predict*", times=1)
    with page.expect_request("**/run/predict*"):
        set_field(page, "Batch size", "32")
    set_field(page, "Seed", "7")
    page.wait_for_timeout(500)  # time for the second one to be answered first
    held[0].continue_()
    changed = folded.filter(has_text="epochs 5, batch size 32, seed 7")
    changed.wait_for()
    page.wait_for_timeout(500)
    assert changed.count() == 1


def test_the_histogram_shows_the_test_errors(page: Page) -> None:
    open_tab(page, "Test errors")
    page.wait_for_selector("#error-histogram .bars path", state="attached")
    text = page.locator("#error-histogram").inner_text()
    for word in ("Test Data", "Error", "Frequency"):
        assert word in text
    assert "10,000 test images" in page.locator("#test-errors").inner_text()


def test_a_chosen_model_is_the_model_of_every_tab(page: Page, app: App, tiny_run: Path) -> None:
    shutil.copytree(tiny_run, app.runs_dir / "chosen", dirs_exist_ok=True)
    writer = RunWriter(app.runs_dir / "chosen")
    writer.update(state="stopped", epoch=0)
    writer.close()
    page.reload()
    wait_for_model(page)
    page.get_by_label("Model").click()
    page.get_by_role("option", name="chosen · under 1 epoch · 16 latents").click()
    page.wait_for_function("document.querySelector('#decoded-digit img').src.includes('/runs/chosen/')")
    open_tab(page, "Generate")
    page.wait_for_function("document.querySelector('#generated-grid img').src.includes('/runs/chosen/')")
    open_tab(page, "Explore")
    page.wait_for_function("document.querySelector('#decoded-digit img').src.includes('/runs/chosen/')")


def test_a_model_of_other_size_brings_its_own_sliders_and_gives_way_when_it_is_deleted(
    page: Page, app: App, small_mnist: Path
) -> None:
    settings = Settings(epochs=1, limit=64, batch_size=64, latent_dim=2)
    for _ in perform(prepare(settings, app.runs_dir, "plane-like", str(small_mnist), alone=False)):
        pass
    page.reload()
    wait_for_model(page)
    choose_model(page, "plane-like")
    page.wait_for_function("document.querySelectorAll('.latent').length === 2")
    page.get_by_text("No latent tells anything").wait_for()  # after a single step
    page.get_by_role("button", name="Random digit").click()
    shutil.rmtree(app.runs_dir / "plane-like")
    page.wait_for_function("document.querySelectorAll('.latent').length === 16")
    page.get_by_role("alert").get_by_text(
        "plane-like is no longer here: it was deleted or renamed. This is reference."
    ).wait_for()
    page.get_by_text("No latent tells anything").wait_for(state="hidden")
    assert "reference" in page.get_by_label("Model").input_value()
    page.wait_for_function("document.querySelector('#decoded-digit img').src.includes('/runs/reference/')")


def test_the_curve_stays_within_its_axes_when_the_address_changes(page: Page) -> None:
    open_tab(page, "Train")
    page.locator("#loss-curve .main-svg [clip-path]").first.wait_for(state="attached")
    go_to(page, "?model=plane&tab=train&watch=sharp")
    page.locator("#training-status").get_by_text(re.compile("^sharp ·")).wait_for()
    named = "[...document.querySelectorAll('[clip-path]')].map((cut) => cut.getAttribute('clip-path'))"
    clips = page.evaluate(named)
    assert clips
    assert all(re.fullmatch(r"url\(['\"]?#\w+['\"]?\)", clip) for clip in clips), clips


def test_the_chosen_model_stays_chosen_under_a_new_name(page: Page, app: App, tiny_run: Path) -> None:
    shutil.copytree(tiny_run, app.runs_dir / "before")
    page.reload()
    wait_for_model(page)
    choose_model(page, "before")
    page.wait_for_function("document.querySelector('#decoded-digit img').src.includes('/runs/before/')")
    page.locator(".latent input").first.fill("2")
    wait_for_address(page, "z=")
    open_tab(page, "Train")
    row_of(page, "before").get_by_role("button", name="Rename").click()
    answer(page, "Rename before", "Rename", "after")
    row_of(page, "after").wait_for()
    page.wait_for_function("document.querySelector('#model-choice input').value.startsWith('after ·')")
    wait_for_address(page, "model=after")
    with page.expect_request("**/studio/models") as asked:  # by whose answer it notices that a model is gone
        pass
    asked.value.response()
    page.wait_for_timeout(1000)
    assert page.get_by_role("alert").filter(has_text="no longer here").count() == 0
    assert page.get_by_label("Model", exact=True).input_value().startswith("after ·")
    open_tab(page, "Explore")
    assert page.locator(".latent input").first.input_value() == "2"
    assert page.locator(".starts [data-is=about]").inner_text() == ""  # they are this model's own numbers
    choose_model(page, "reference")
    page.wait_for_function("document.querySelector('#decoded-digit img').src.includes('/runs/reference/')")
    shutil.rmtree(app.runs_dir / "after")


@AS_OPENED
def test_a_refused_name_is_said_until_another_is_written(page: Page) -> None:
    open_tab(page, "Train")
    set_field(page, "Epochs", "1")
    name = page.locator("#run-name :is(input, textarea)")
    name.fill("reference")
    page.get_by_role("button", name="Start training").click()
    problem = page.locator("#training-problem [role=alert]")
    problem.get_by_text("The name reference is a shipped run's; choose another name").wait_for()
    name.fill("another")
    problem.wait_for(state="detached")


def test_zoom_and_hidden_curves_stay_and_the_new_run_becomes_a_model(page: Page, app: App) -> None:
    open_tab(page, "Train")
    set_field(page, "Batch size", "8")
    set_field(page, "Epochs", "1000")
    name = page.locator("#run-name :is(input, textarea)")
    name.fill("taught")
    page.get_by_role("button", name="Start training").click()
    points = f"{PLOT}?.data?.[0].x.length"
    wait_for_state(page, "Training")
    page.wait_for_function(f"{points} > 5 && {points} < 1000")
    before = page.evaluate(points)
    page.evaluate(
        """async () => {
          const plot = document.querySelector('#loss-curve .js-plotly-plot');
          await Plotly.restyle(plot, { visible: 'legendonly' }, [2]);
          await Plotly.relayout(plot, { 'xaxis.range': [0, 7], 'yaxis.range': [3, 33] });
        }"""
    )
    page.wait_for_function(f"{points} > {before} + 20")
    kept = page.evaluate(
        """() => {
          const { data, layout } = document.querySelector('#loss-curve .js-plotly-plot');
          return [data[2].visible, layout.xaxis.range, layout.yaxis.range];
        }"""
    )
    assert kept == ["legendonly", [0, 7], [3, 33]]

    run = next(path.name for path in app.runs_dir.iterdir() if Run(path).info().state == "running")
    assert run == "taught"
    alive, idle = colour(page, "Stop"), colour(page, "Resume")
    assert alive != idle  # what would do nothing now looks like it
    row_of(page, "reference").get_by_role("button", name="reference").click()
    wait_for_state(page, "Finished")
    assert (colour(page, "Stop"), colour(page, "Resume")) == (alive, idle)  # as the other is still trained
    row_of(page, run).get_by_role("button", name=run).click()
    wait_for_state(page, "Training")
    assert name.input_value() == ""  # of the next run
    page.get_by_role("button", name="Resume").click()  # as the second click of two: no mistake
    page.locator("#training-problem [role=status]", has_text=f"Run {run} is being trained now.").wait_for()
    row_of(page, run).get_by_role("checkbox").check()
    wait_for_overlays(page, run)
    end_of_overlay = f"{PLOT}.data[4].x.at(-1)"
    end = page.evaluate(end_of_overlay)
    page.wait_for_function("document.querySelector('.small-plot')?.data?.[0].x.length > 0", timeout=60_000)
    page.wait_for_function(f"{end_of_overlay} > {end}")
    page.get_by_role("button", name="Explore this model").click()
    page.get_by_role("tab", name="Explore", selected=True).wait_for()
    page.wait_for_function(f"document.querySelector('#decoded-digit img').src.includes('/runs/{run}/')")
    assert run in page.get_by_label("Model").input_value()
    open_tab(page, "Train")
    assert page.locator(".modebar-btn").count() > 0
    assert not re.search("cloud|share", page.locator(".modebar").first.inner_html(), re.IGNORECASE)
    page.get_by_role("button", name="Stop").click()
    wait_for_state(page, "Stopped", "Finished")


@pytest.fixture
def finished(app: App, tiny_run: Path) -> Iterator[str]:
    """A finished run of the visitor's own, newer than any other."""
    shutil.rmtree(app.runs_dir / "mine", ignore_errors=True)
    shutil.copytree(tiny_run, app.runs_dir / "mine")
    record = json.loads((app.runs_dir / "mine" / "run.json").read_text())
    record["created"] = (datetime.now(UTC) + timedelta(hours=20)).isoformat(timespec="seconds")
    (app.runs_dir / "mine" / "run.json").write_text(json.dumps(record))
    yield "mine"
    for name in ("mine", "renamed"):
        shutil.rmtree(app.runs_dir / name, ignore_errors=True)


def row_of(page: Page, run: str) -> Locator:
    return page.locator(f"table.runs tr[data-run='{run}']")


def look_at_the_table(page: Page) -> None:
    """At once, and not when the page would look by itself."""
    page.get_by_label("Order").dispatch_event("change")


def colour(page: Page, button: str) -> str:
    return page.get_by_role("button", name=button, exact=True).evaluate("it => getComputedStyle(it).color")


def wait_for_overlays(page: Page, *runs: str) -> None:
    """Until the losses of just these runs, in this order, lie over the watched one's."""
    page.wait_for_function(
        f"runs => {PLOT}?.data?.slice(4).map(({{ name }}) => name).join() === runs",
        arg=",".join(runs),
    )


@AS_OPENED
def test_a_finished_run_is_replayed(page: Page, app: App, finished: str) -> None:
    open_tab(page, "Train")
    page.locator("table.runs tr[aria-current][data-run=mine]").wait_for()
    assert page.locator("table.runs tr[aria-current]").count() == 1
    wait_for_state(page, "Finished")
    page.wait_for_selector("#timeline", state="visible")
    wait_for_source(page, ".previews img", "/runs/mine/")
    last = source_of(page, ".previews img >> nth=1")
    page.locator("#timeline").focus()
    page.keyboard.press("Home")
    wait_for_new_source(page, ".previews figure:last-child img", last)
    assert "iteration 1, in epoch 1" in page.locator(".timeline output").inner_text()
    assert page.evaluate(f"{PLOT}.layout.shapes.length") == 1
    bars = page.locator("#training-watch .kl-bars i")
    heights = [float(bar.evaluate("bar => parseFloat(bar.style.height)")) for bar in bars.all()]
    assert len(heights) == 16
    assert heights == sorted(heights, reverse=True)
    assert {bar.get_attribute("data-name") for bar in bars.all()} == {f"z{n}" for n in range(1, 17)}
    evaluation = load_run(app.runs_dir / finished).evaluation
    assert evaluation is not None
    kl = -np.sort(-evaluation.kl_per_dimension)
    said = bars.evaluate_all("bars => bars.map((bar) => getComputedStyle(bar, '::before').content)")
    assert said == [f'"{nats:.1f}"' for nats in kl]
    assert page.get_by_role("heading", name="Latents above 0.05 nats").is_visible()
    baselines = page.evaluate("document.querySelector('.small-plot').data.map(trace => trace.name)")
    assert baselines == ["Model", "Mean image", "PCA"]


def wait_for_rows(page: Page, condition: str) -> None:
    """Until this is so of the rows of the table, of their `names` and their `errors`."""
    page.wait_for_function(
        "() => { const rows = [...document.querySelectorAll('table.runs tbody tr')];"
        " const names = rows.map((row) => row.dataset.run);"
        f" const errors = rows.map((row) => parseFloat(row.cells[6].innerText)); return {condition}; }}"
    )


def test_the_chosen_recipe_is_there_again_after_a_reload(page: Page) -> None:
    open_tab(page, "Train")
    page.get_by_role("radio", name="Minute").check()
    wait_for_address(page, "preset=minute")
    wait_for_address(page, "tab=train")
    page.reload()
    page.get_by_role("radio", name="Minute", checked=True).wait_for()
    page.get_by_text("A first model while you watch").wait_for()
    page.go_back()
    page.get_by_role("tab", name="Explore", exact=True, selected=True).wait_for()
    wait_for_address(page, "preset=minute")  # which that entry had not
    page.go_forward()
    page.get_by_role("radio", name="Minute", checked=True).wait_for()
    assert "hide=map" in page.evaluate("location.search")
    page.get_by_role("radio", name="Reference").check()
    page.wait_for_function("!location.search.includes('preset')")


def test_the_watched_run_stands_in_the_address_and_the_back_button_works(page: Page, app: App) -> None:
    open_tab(page, "Train")
    watched = page.locator("#training-status [data-is=what]")
    newest = watched.get_by_text("·").inner_text().split(" ·")[0]
    assert newest not in ("sharp", "plane")
    wait_for_address(page, "tab=train")
    row = page.locator("#runs tr[data-run=sharp]")
    row.get_by_role("button", name="sharp", exact=True).click()
    wait_for_address(page, "watch=sharp")
    watched.get_by_text(re.compile("^sharp ·")).wait_for()
    unit_variance = load_run("sharp").info.results["total_unit_variance"]  # its own loss is calibrated
    page.locator("#training-status").get_by_text(f"{unit_variance:.2f} at unit variance").wait_for()
    page.reload()
    watched.get_by_text(re.compile("^sharp ·")).wait_for()
    page.locator("#runs tr[data-run=plane]").get_by_role("button", name="plane", exact=True).click()
    wait_for_address(page, "watch=plane")
    watched.get_by_text(re.compile("^plane ·")).wait_for()
    page.wait_for_function("!document.querySelector('#training-status').innerText.includes('unit variance')")
    page.go_back()
    watched.get_by_text(re.compile("^sharp ·")).wait_for()
    page.go_back()  # to where none was named
    watched.get_by_text(re.compile(f"^{newest} ·")).wait_for()
    page.goto(f"{app.url}/?tab=train&watch=nose&hide=map")
    problem = page.locator("#studio-title [role=alert]")
    problem.get_by_text("The address names a run to watch that is not here, “nose”.").wait_for()
    page.wait_for_function("!location.search.includes('watch')")


def test_runs_are_ordered_overlaid_renamed_and_deleted(
    page: Page, app: App, finished: str, tiny_run: Path
) -> None:
    open_tab(page, "Train")
    row_of(page, "mine").wait_for()
    made = sorted(list_runs(app.runs_dir), key=lambda run: run.created, reverse=True)
    newest = [run.name for run in made]
    assert newest.index("mine") < newest.index("sharp")
    wait_for_rows(page, f"names.join() === {newest}.join()")
    order = page.get_by_label("Order")
    order.select_option("least test error first")
    wait_for_rows(page, "names[0] === 'sharp' && errors.every((it, at) => !(it < errors[at - 1]))")
    order.select_option("by name")
    wait_for_rows(
        page, "names.indexOf('mine') < names.indexOf('plane') && names.join() === [...names].sort().join()"
    )
    order.select_option("newest first")
    assert row_of(page, "reference").get_by_role("button", name="Delete").count() == 0
    assert "data 28x28 IDX set" in row_of(page, "mine").inner_text()  # not comparable
    assert "data" not in row_of(page, "reference").inner_text()
    for run in ("reference", "mine"):
        row_of(page, run).get_by_role("checkbox").check()
    wait_for_overlays(page, "reference", "mine")
    page.wait_for_function(  # the axis has room for them
        """() => {
          const { data, layout } = document.querySelector('#loss-curve .js-plotly-plot');
          const share = ({ y }) => [...y].filter((loss) => loss < layout.yaxis.range[1]).length / y.length;
          return data.slice(4).every((overlaid) => share(overlaid) >= 0.9);
        }"""
    )
    assert len(set(page.evaluate(f"{PLOT}.data.slice(4).map((overlaid) => overlaid.line.dash)"))) == 2
    row_of(page, "sharp").get_by_role("checkbox").check()
    page.locator(
        "#runs [role=status]", has_text="Not laid over mine (gaussian): sharp (calibrated)"
    ).wait_for()
    wait_for_overlays(page, "reference", "mine")
    row_of(page, "sharp").get_by_role("checkbox").uncheck()
    page.locator("#runs [role=status]", has_text="Tick runs to lay their curves").wait_for()
    change_settings(Path(shutil.copytree(tiny_run, app.runs_dir / "weighted")), beta=0.5)
    row_of(page, "weighted").get_by_role("checkbox").check()
    assert "\nKL × 0.5: " in row_of(page, "weighted").locator(".test-loss").inner_text()
    figures = next(run for run in list_runs(app.runs_dir) if run.name == "sharp").results
    assert row_of(page, "sharp").locator(".test-loss").inner_text().split("\n") == [
        f"{figures['total_unit_variance']:.2f}", f"calibrated: {figures['total']:.2f}",
    ]  # fmt: skip
    page.locator("#runs [role=status]", has_text="weighted (KL × 0.5)").wait_for()
    wait_for_overlays(page, "reference", "mine")
    shutil.rmtree(app.runs_dir / "weighted")
    row_of(page, "mine").get_by_role("button", name="Rename").click()
    answer(page, "Rename mine", "Rename", "plane")
    question = page.get_by_role("dialog", name="Rename mine")
    question.get_by_role("alert").filter(has_text="plane").wait_for()  # there is one of that name
    assert question.get_by_role("textbox").input_value() == "plane"
    answer(page, "Rename mine", "Rename", " renamed ")
    row_of(page, "renamed").wait_for()
    assert question.count() == 0
    rename = row_of(page, "renamed").get_by_role("button", name="Rename", exact=True)
    assert rename.evaluate("it => it === document.activeElement")
    shutil.copytree(tiny_run, app.runs_dir / "other")  # the table is drawn anew
    row_of(page, "other").wait_for()
    assert rename.evaluate("it => it === document.activeElement")
    shutil.rmtree(app.runs_dir / "other")
    assert row_of(page, "renamed").get_by_role("checkbox").is_checked()
    wait_for_overlays(page, "reference", "renamed")
    drawn = f"{PLOT}.data.find(({{ name }}) => name === 'renamed').line.color"
    colour_of_renamed = page.evaluate(drawn)
    row_of(page, "reference").get_by_role("checkbox").uncheck()
    wait_for_overlays(page, "renamed")
    assert page.evaluate(drawn) == colour_of_renamed
    row_of(page, "reference").get_by_role("checkbox").check()
    wait_for_overlays(page, "renamed", "reference")
    row_of(page, "renamed").get_by_role("button", name="Delete").click()
    page.keyboard.press("Enter")  # who goes on by the keyboard keeps it
    assert page.get_by_role("dialog").count() == 0
    assert (app.runs_dir / "renamed").is_dir()
    row_of(page, "renamed").get_by_role("button", name="Delete").click()
    assert "cannot be undone" in answer(page, "Delete renamed?", "Delete")
    row_of(page, "renamed").wait_for(state="detached")
    wait_for_overlays(page, "reference")
    assert not (app.runs_dir / "renamed").exists()


@AS_OPENED
def test_a_resume_that_begins_again_says_so(page: Page, app: App, tiny_run: Path) -> None:
    shutil.copytree(tiny_run, app.runs_dir / "early")
    (app.runs_dir / "early" / "training_state.safetensors").unlink()
    writer = RunWriter(app.runs_dir / "early")
    writer.update(state="stopped", epoch=0)
    writer.close()
    open_tab(page, "Train")
    row_of(page, "early").get_by_role("button", name="early").click()
    page.locator("#training-status [data-is=what]").filter(has_text="early").wait_for()
    listen_to_state(page)
    page.get_by_role("button", name="Resume").click()
    page.locator("#training-problem").get_by_text(
        "early begins again: no epoch of it was finished."
    ).wait_for()
    wait_for_state(page, "Finished")
    assert "Starting… early" in page.evaluate("said")
    shutil.rmtree(app.runs_dir / "early")


@AS_OPENED
def test_a_refused_resume_leaves_the_run_that_is_watched(page: Page) -> None:
    open_tab(page, "Train")
    page.locator("#runs").get_by_role("button", name="reference", exact=True).click()
    what = page.locator("#training-status [data-is=what]")
    what.filter(has_text="reference").wait_for()
    subdued = colour(page, "Stop")
    page.wait_for_function(  # its colour fades
        "wanted => getComputedStyle(document.querySelector('#resume-training')).color === wanted", arg=subdued
    )
    page.get_by_role("button", name="Resume").click()
    problem = page.locator("#training-problem")
    problem.get_by_text("reference came with the app and cannot be trained on").wait_for()
    page.locator("#training-status [data-is=state]").filter(has_text="Finished").wait_for()
    what.filter(has_text="reference").wait_for()
    page.locator("#runs").get_by_role("button", name="plane", exact=True).click()
    problem.locator("p").wait_for(state="detached")  # it was about another run


def test_after_a_refused_resume_the_training_of_another_is_still_anothers(
    page: Page, app: App, finished: str
) -> None:
    change_settings(app.runs_dir / finished, epochs=1000, batch_size=1)
    open_tab(page, "Train")
    row_of(page, "reference").get_by_role("button", name="reference").click()
    page.locator("#training-status [data-is=what]", has_text="reference").wait_for()
    page.get_by_role("button", name="Resume").click()
    page.locator("#training-problem", has_text="cannot be trained on").wait_for()
    page.wait_for_timeout(600)  # twice as long as an answer is waited for
    asked = f"{app.url}/studio/runs/{finished}/again"
    answered = page.request.post(asked, headers={"X-VAE-Studio": "page"})  # as from another window
    run = answered.json()["run"]
    row_of(page, run).get_by_text("running").wait_for()
    page.wait_for_function("document.body.dataset.training === 'true'")  # the watching page has seen it, too
    page.get_by_role("button", name="Stop").click()
    assert answer(page, f"Stop {run}?", "Stop it").startswith("It was not started in this window")
    row_of(page, run).get_by_text("stopped").wait_for()
    shutil.rmtree(app.runs_dir / run)  # which would be the newest of all runs


def test_of_two_trainings_in_one_folder_the_one_that_is_watched_is_stopped(page: Page, app: App) -> None:
    """As with `train --parallel` into the app's folder."""
    runs = [
        create_run(app.runs_dir, name, Settings(), {"name": "MNIST", "training_images": 60_000}, "CPU")
        for name in ("watched", "newer")
    ]
    try:
        open_tab(page, "Train")
        row_of(page, "watched").get_by_role("button", name="watched").click()
        page.locator("#training-status [data-is=what]", has_text="watched").wait_for()
        page.get_by_role("button", name="Stop").click()
        answer(page, "Stop watched?", "Stop it")
        wait_for(lambda: any(run.stop_requested() for run in runs))
        assert [run.stop_requested() for run in runs] == [True, False]
    finally:
        for run in runs:
            run.close()
            shutil.rmtree(run.folder)


def test_what_is_watched_stays_while_other_runs_are_deleted(
    page: Page, app: App, finished: str, tiny_run: Path
) -> None:
    shutil.copytree(tiny_run, app.runs_dir / "other", dirs_exist_ok=True)
    open_tab(page, "Train")
    page.locator("#training-status", has_text="mine").wait_for()  # the newest
    row_of(page, "plane").get_by_role("button", name="plane").click()
    page.locator("#training-status", has_text="plane").wait_for()
    rows = [row.get_attribute("data-run") for row in page.locator("#runs tbody tr").all()]
    at = rows.index("other")
    neighbour = (rows[at + 1 :] or rows[at - 1 :])[0]
    row_of(page, "other").get_by_role("button", name="Delete").click()
    answer(page, "Delete other?", "Delete")
    row_of(page, "other").wait_for(state="detached")
    focused = "document.activeElement.closest('tr')?.dataset.run"
    assert page.evaluate(focused) == neighbour  # where one was, and not at the table's head
    page.wait_for_timeout(2000)
    for told in (page.locator("#training-status"), row_of(page, "plane")):
        assert "learning rate 0.003, latents 2, schedule one-cycle" in told.inner_text()
    page.reload()  # at this tab
    page.locator("#training-status", has_text="plane").wait_for()
    row_of(page, "mine").get_by_role("button", name="mine").click()
    page.locator("#training-status", has_text="mine").wait_for()
    hold(page, "**/studio/training?*")
    row_of(page, "mine").get_by_role("button", name="Delete").click()
    answer(page, "Delete mine?", "Delete")
    row_of(page, "mine").wait_for(state="detached")
    wait_for_state(page, "Deleted")  # before the server has told which there are
    page.unroute("**/studio/training?*")
    page.wait_for_function("!document.querySelector('#training-status').innerText.includes('mine')")


@AS_OPENED
def test_a_run_that_diverged_is_not_resumed_to_diverge_again(page: Page, app: App, tiny_run: Path) -> None:
    shutil.copytree(tiny_run, app.runs_dir / "wild")
    writer = RunWriter(app.runs_dir / "wild")
    writer.update(state="failed", epoch=0, error=str(diverged(math.nan, 2)))
    writer.close()
    open_tab(page, "Train")
    row_of(page, "wild").get_by_role("button", name="wild").click()
    page.locator("#training-status [data-is=what]").filter(has_text="wild").wait_for()
    page.get_by_role("button", name="Resume").click()
    page.locator("#training-problem").get_by_text("wild diverged, and with the same settings").wait_for()
    assert Run(app.runs_dir / "wild").info().state == "failed"
    shutil.rmtree(app.runs_dir / "wild")


@AS_OPENED
def test_a_damaged_run_is_named_where_it_is_missed(page: Page, app: App) -> None:
    folder = app.runs_dir / "torn"
    folder.mkdir()
    (folder / "run.json").write_text("{")
    open_tab(page, "Train")
    page.locator("#runs").get_by_text("Left out: run torn: run.json is damaged").wait_for()
    shutil.rmtree(folder)
    look_at_the_table(page)
    page.locator("#runs").get_by_text("Left out").wait_for(state="hidden")


@AS_OPENED
def test_the_table_says_that_nobody_answers_until_somebody_does(page: Page) -> None:
    open_tab(page, "Train")
    row_of(page, "reference").wait_for()
    page.route("**/studio/runs", lambda route: route.abort())
    look_at_the_table(page)
    problem = page.locator("#runs [role=alert]", has_text="The app does not answer")
    problem.wait_for()
    page.unroute("**/studio/runs")  # it is asked for again
    problem.wait_for(state="hidden")
    assert row_of(page, "reference").is_visible()


@AS_OPENED
def test_a_finished_run_is_trained_further_only_if_that_is_wanted(
    page: Page, app: App, finished: str
) -> None:
    record = json.loads((app.runs_dir / "mine" / "run.json").read_text())
    record["settings"]["schedule"] = "one-cycle"
    (app.runs_dir / "mine" / "run.json").write_text(json.dumps(record))
    open_tab(page, "Train")
    page.locator("#training-status", has_text="mine").wait_for()
    page.get_by_role("button", name="Resume").click()
    with page.expect_response("**/queue/join*"):
        words = answer(page, "Train mine on to 30 epochs?", "Cancel")
    page.wait_for_timeout(1000)
    assert words.startswith("It has finished its 2 epochs. Epochs under Advanced says 30.")
    assert "In one cycle over 30 epochs it stands higher again" in words
    assert Run(app.runs_dir / "mine").info().state == "finished"
    assert page.locator("#training-problem p").count() == 0  # nothing is to be said to a no
    set_field(page, "Epochs", "2")
    page.get_by_role("button", name="Resume").click()
    page.locator("#training-problem", has_text="mine is finished, with 2 epochs").wait_for()
    assert page.get_by_role("dialog").count() == 0


@AS_OPENED
def test_what_breaks_in_the_app_is_told_below_the_buttons(page: Page) -> None:
    open_tab(page, "Train")

    def without_values(route: Route) -> None:
        """What no button of the page sends stands for all that the app was not written for."""
        call = route.request.post_data_json
        route.continue_(post_data=json.dumps(call | {"data": call["data"][:2]}))

    page.route("**/queue/join*", without_values, times=1)
    page.get_by_role("button", name="Start training").click()
    problem = page.locator("#training-problem [role=alert]", has_text="The app could not do this")
    problem.wait_for()
    state = page.locator("#training-status [data-is=state]")
    state.filter(has_not_text="Starting").wait_for(timeout=8000)  # by itself it says so for two minutes

    held = hold(page, "**/queue/join*", times=1)
    with page.expect_request("**/queue/join*"):
        page.get_by_role("button", name="Start training").click()
    state.filter(has_text="Starting").wait_for()
    problem.wait_for(state="hidden")  # it was of the press before
    figures = page.locator("#training-status dd").all_inner_texts()
    assert set(figures) == {"–"}  # and these of the run before
    without_values(held[0])
    problem.wait_for()


@AS_OPENED
def test_that_an_epoch_ends_with_measuring_is_told(page: Page, finished: str) -> None:
    """What the server says of a run between an epoch's last step and its figures, for as long as we like."""
    standing: dict[str, Any] = {}

    def at_the_end_of_an_epoch(route: Route) -> None:
        if not standing:
            news = route.fetch().json()
            last = news["last"] | {"iteration": 19, "images_per_second": 9000.0, "epoch": 2}
            standing.update(news, state="running", training=True, tests=[], last=last)
        else:
            standing.update(last=standing.get("told"), points=[], fresh=False)
        route.fulfill(json=standing)

    page.route("**/studio/training?*", at_the_end_of_an_epoch)
    open_tab(page, "Train")
    wait_for_state(page, "Measuring on the test images…")
    elapsed = page.locator("#training-status [data-is=elapsed]")
    before = elapsed.inner_text()
    elapsed.filter(has_not_text=before).wait_for()  # the clock goes on
    standing["stopping"] = True
    wait_for_state(page, "Stopping, once the test images are measured…")
    first = {"epoch": 1, "iteration": 3, "elapsed_seconds": 1.0, "images_per_second": 9000.0}
    standing.update(epoch=0, told={"total": 50.0, "reconstruction": 49.0, "kl": 1.0} | first)
    wait_for_state(page, "Stopping; as no epoch is finished, Resume will begin again…")
    page.unroute("**/studio/training?*")
    wait_for_state(page, "Finished")


@AS_OPENED
def test_a_run_is_taken_along_and_brought_in_again(page: Page, app: App, finished: str) -> None:
    open_tab(page, "Train")
    with page.expect_download() as download:
        row_of(page, "mine").get_by_role("link", name="Zip").click()
    assert download.value.suggested_filename == "mine.zip"
    page.locator("#runs input[type=file]").set_input_files(
        {
            "name": "mine.zip",
            "mimeType": "application/zip",
            "buffer": Path(download.value.path()).read_bytes(),
        }
    )
    row_of(page, "mine-2").wait_for()
    page.locator("#runs").get_by_text("Loaded as mine-2: from the same training as mine, ").wait_for()
    shutil.rmtree(app.runs_dir / "mine-2")
    page.locator("#runs input[type=file]").set_input_files(
        {"name": "bad.zip", "mimeType": "application/zip", "buffer": b"not a zip"}
    )
    page.locator("#runs [role=alert]", has_text=re.compile("^This is not a zip file; expected")).wait_for()
    assert page.locator("#runs input[type=file]").input_value() == ""  # the same file can be tried again


def test_a_run_card_starts_the_same_training_again(page: Page, app: App, finished: str) -> None:
    open_tab(page, "Train")
    page.context.new_cdp_session(page).send("Emulation.setTimezoneOverride", {"timezoneId": "Asia/Kolkata"})
    row_of(page, "mine").get_by_role("button", name="Card").click()
    card = page.get_by_role("dialog", name="Run card")
    card.wait_for()
    for label in ("Batch size", "Latents", "Limit of training images"):  # as the form calls them
        assert label in card.inner_text()
    assert "Test error, 95th percentile" in card.inner_text()
    made = datetime.fromisoformat(Run(app.runs_dir / "mine").info().created)
    visitors = made.astimezone(timezone(timedelta(hours=5, minutes=30)))
    assert f"{visitors:%Y-%m-%d %H:%M}" in card.inner_text()  # as the visitor's clock had it
    before = {path.name for path in app.runs_dir.iterdir()}
    card.get_by_role("button", name="Train again").click()
    page.wait_for_function("!document.querySelector('#training-status').innerText.includes('mine')")
    wait_for_state(page, "Training", "Finished")
    assert not page.locator("#runs [role=alert]").is_visible()
    page.wait_for_function(  # from the table it is out of sight
        "document.querySelector('#training-status').getBoundingClientRect().top >= 0"
    )
    (new,) = {path.name for path in app.runs_dir.iterdir()} - before
    settings = [
        json.loads((app.runs_dir / run / "run.json").read_text())["settings"] for run in ("mine", new)
    ]
    assert settings[0] == settings[1]
    if json.loads((app.runs_dir / new / "run.json").read_text())["state"] == "running":
        page.get_by_role("button", name="Stop").click()
    wait_for_state(page, "Stopped", "Finished")


def test_training_again_that_is_refused_is_not_waited_for(page: Page, finished: str) -> None:
    open_tab(page, "Train")
    page.wait_for_selector("#loss-curve .main-svg")
    row_of(page, "mine").get_by_role("button", name="Card").click()
    held = hold(page, "**/again")
    page.get_by_role("button", name="Train again").click()
    state = page.locator("#training-status [data-is=state]")
    state.filter(has_text="Starting").wait_for()
    page.evaluate(
        "() => { const now = performance.now.bind(performance); performance.now = () => now() + 2e4; }"
    )
    page.wait_for_timeout(500)
    assert state.inner_text() == "Starting…"  # however long it takes
    held.pop().fulfill(status=400, json={"error": "no such device"})
    page.locator("#runs [role=alert]", has_text="No such device").wait_for()
    state.filter(has_not_text="Starting").wait_for(timeout=8000)  # by itself it says so for two minutes


def test_a_tab_opened_while_the_page_comes_to_life_stays_open(blank: Page, app: App) -> None:
    page = blank
    held = []
    page.route("**/card?*", lambda route: held.append(route))
    page.route("**/card", lambda route: held.append(route))
    page.goto(f"{app.url}/?hide=map")
    with page.expect_request("**/card*"):  # the page does not know its model yet
        open_tab(page, "Train")
    page.wait_for_selector("#training-status", state="visible")
    for route in held:
        route.continue_()
    page.unroute_all()
    page.wait_for_url("**tab=train**")
    assert page.locator("#training-status").is_visible()


def test_a_training_outlives_the_app_and_every_browser_sees_it(
    browser: Browser, small_mnist: Path, tmp_path: Path
) -> None:
    environment = os.environ | {"MNIST_DIR": str(small_mnist)}
    first = App(tmp_path / "runs", environment)
    try:
        with watched_page(browser, first) as page:
            page.goto(f"{first.url}/?tab=train&hide=map")
            wait_until_alive(page)
            set_field(page, "Batch size", "8")
            set_field(page, "Epochs", "1000")  # it must not end by itself, however slow the machine
            page.get_by_role("button", name="Start training").click()
            wait_for_state(page, "Training")
    except BaseException:
        first.end()
        raise
    first.process.kill()
    first.process.wait()

    second = App(tmp_path / "runs", environment)
    try:
        with watched_page(browser, second) as here, watched_page(browser, second) as there:
            pages = [here, there]
            for page in pages:
                page.goto(f"{second.url}/?tab=train&hide=map")
                wait_for_state(page, "Training")
            wait_until_alive(here)
            (run,) = (tmp_path / "runs").iterdir()
            held = hold(there, "**/studio/training?*", times=1)
            with there.expect_request("**/studio/training?*"):
                there.reload()
            wait_until_alive(there)
            there.get_by_role("button", name="Stop", exact=True).click()  # before it is seen that one trains
            there.wait_for_timeout(300)
            held[0].continue_()
            question = there.get_by_role("dialog", name=f"Stop {run.name}?")
            question.wait_for()
            for button in ("Cancel", "Stop it"):
                here.get_by_role("button", name="Stop", exact=True).click()
                with here.expect_response("**/run/predict*"):
                    words = answer(here, f"Stop {run.name}?", button)
                assert words.startswith("It was not started in this window")
                if button == "Cancel":
                    assert Run(run).info().state == "running"
                    assert not Run(run).stop_requested()
            for page in pages:
                wait_for_state(page, "Stopped")
            question.wait_for(state="detached")  # there is nothing to stop any more
            there.locator("#training-problem").get_by_text(f"{run.name} has ended already.").wait_for()
    finally:
        second.end()
