"""How the app feels under the finger: milliseconds in headless Chromium, at rest and in training.

    python tests/scripts/latency.py
    python tests/scripts/latency.py --events 200

Wants the package installed. Starts the app on a free port of this machine, with the data set that MNIST_DIR
names, and ends it. A shared machine's figures change by the minute: look at several runs.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent))

from playwright.sync_api import sync_playwright

from support.browser import CHROMIUM_OPTIONS, App, chromium_path, new_page, open_app, open_tab, wait_for_state

if TYPE_CHECKING:
    from playwright.sync_api import Page

IN_THE_PAGE = Path(__file__).with_suffix(".js").read_text(encoding="utf-8")


def main() -> None:
    """Measures and prints one line for each way."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--events", type=int, default=100, help="events of each kind (default: %(default)s)")
    events = parser.parse_args().events
    path = chromium_path()
    if path is None:
        sys.exit("no Chromium on this machine; set CHROMIUM to its path")
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        app = App(Path(folder) / "runs", dict(os.environ), is_warm=False)
        try:
            print(f"app.py to its first answer: {time.perf_counter() - start:.1f} s")
            with sync_playwright() as playwright:
                browser = playwright.chromium.launch(executable_path=path, args=CHROMIUM_OPTIONS)
                page = new_page(browser, viewport={"width": 1280, "height": 860})
                start = time.perf_counter()
                page.goto(app.url)
                page.wait_for_function("document.querySelector('#decoded-digit img')?.naturalWidth === 28")
                print(f"page to its first digit: {time.perf_counter() - start:.1f} s")
                _measure(page, app, events)
                browser.close()
        finally:
            app.end()


def _measure(page: Page, app: App, events: int) -> None:
    page.wait_for_timeout(10_000)  # the app warms its training process
    _slider_and_stroke(page, app, events, "at rest")
    open_tab(page, "Train")
    start = time.perf_counter()
    page.get_by_role("button", name="Start training").click()
    page.wait_for_function(
        "document.querySelector('#training-status').innerText.includes('Training')"
        " && document.querySelector('#loss-curve .js-plotly-plot')?.data?.[0].x.length > 0"
    )
    print(f"click on Start to the first point: {time.perf_counter() - start:.1f} s")
    wait_for_state(page, "Training")
    page.wait_for_timeout(3000)
    _slider_and_stroke(page, app, events, "while training")


def _slider_and_stroke(page: Page, app: App, events: int, when: str) -> None:
    open_app(page, app.url)
    _tell(f"slider to digit, {when}", page.evaluate(f"{IN_THE_PAGE}.slider({events})"))
    open_tab(page, "Draw")
    _tell(f"pen to reconstruction, {when}", page.evaluate(f"{IN_THE_PAGE}.stroke({events})"))


def _tell(what: str, milliseconds: list[float]) -> None:
    p50, p95 = np.percentile(milliseconds, [50, 95])
    print(f"{what}: p50 {p50:.0f} ms, p95 {p95:.0f} ms ({len(milliseconds)} events)", flush=True)


if __name__ == "__main__":
    main()
