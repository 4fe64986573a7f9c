"""The app in a process of its own, and a headless Chromium to drive it."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from support.warm_start import warm_python
from vae_core.run_folder import Run
from vae_core.runs import list_runs

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page, Route

REPOSITORY = Path(__file__).parent.parent.parent
FORBIDDEN = "Content Security Policy"
"""In what Chromium says when a page's policy stops something."""
START_SECONDS = 90
PHONE: Any = {"width": 390, "height": 844}
HASTE = """
  window.patient ??= { setTimeout, setInterval };
  for (const [name, wait] of Object.entries(window.patient))
    window[name] = (perform, pause, ...more) => wait(perform, pause >= 3000 ? pause / 10 : pause, ...more);
"""
"""What a page would do in some seconds, such as ask again, it does in a tenth of them."""
CHROMIUM_OPTIONS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    # All pages of the app share a process, see conftest.profile: it has compiled the page's scripts already.
    "--process-per-site",
    "--host-resolver-rules=MAP * ~NOTFOUND,EXCLUDE 127.0.0.1",  # so watched_page sees what asks another host
    # For each window Chromium loads two pages of its own behind the address bar, which nobody sees here: they
    # take three times the processor time of the window. The switch replaces Playwright's list of features, of
    # which the second line are those that change what a page does.
    "--disable-features=WebUIOmniboxPopup,WebUIOmniboxAimPopup,"
    "AvoidUnnecessaryBeforeUnloadCheckSync,HttpsUpgrades,HttpsFirstBalancedModeAutoEnable,PaintHolding",
]


class App:
    """A server of app.py in a process of its own.

    Args:
        is_warm: it and its trainings begin as copies of a process that has PyTorch and Gradio; not where
            memory or the start is measured.
    """

    def __init__(
        self, runs_dir: Path, environment: dict[str, str], *options: str,
        host: str = "127.0.0.1", is_warm: bool = True,
    ) -> None:  # fmt: skip
        self.runs_dir = runs_dir
        self.port = free_port()
        self.url = f"http://{host}:{self.port}"
        self.log = runs_dir.parent / f"app-{self.port}.log"
        python = warm_python() if is_warm else sys.executable
        command = [python, REPOSITORY / "app.py", "--port", str(self.port), "--runs-dir", runs_dir, *options]
        with self.log.open("w") as log:
            self.process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        try:
            wait_for_answer(self.url, self.process)
        except RuntimeError as error:
            self.end()
            raise RuntimeError(f"{error}:\n{self.log.read_text()}") from error

    def end(self) -> None:
        """Ends the server, and the training it started, which would go on without it."""
        for run in list_runs(self.runs_dir):
            if run.state == "running":
                Run(run.folder).request_stop()
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


def wait_for_answer(url: str, process: subprocess.Popen[bytes]) -> None:
    """Waits until a server answers.

    Raises:
        RuntimeError: it has ended, or is too slow.
    """
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            urllib.request.urlopen(url, timeout=5).close()
            return
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
    raise RuntimeError("the app did not start")


def chromium_path() -> str | None:
    """The browser to test with, or None."""
    names = ("chromium", "chromium-browser", "google-chrome", "chrome")
    return os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, names)), None)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def new_page(browser: Browser | BrowserContext, **options: Any) -> Page:
    """A visitor's page that waits for long: these machines are shared."""
    page = browser.new_page(**options)
    page.set_default_timeout(60_000)
    return page


@contextlib.contextmanager
def watched_page(profile: Browser | BrowserContext, app: App, **options: Any) -> Iterator[Page]:
    """A page that is yet to be opened; a request to any other host, an error on the page or anything that its
    content security policy forbids fails the test. With options it is of a profile of its own."""
    page = new_page(profile, **options)
    outside: list[str] = []
    problems: list[str] = []
    ours = (app.url, "data:", "blob:")
    page.on("requestfailed", lambda asked: None if asked.url.startswith(ours) else outside.append(asked.url))
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("console", lambda said: problems.append(said.text) if FORBIDDEN in said.text else None)
    yield page
    page.close()
    assert not outside, outside
    assert not problems, problems


def wait_until_alive(page: Page) -> None:
    """Until the open tab has parts and each part on the screen listens: clicks before that are lost."""
    page.wait_for_function(
        "() => { const shown = [...document.querySelectorAll('.part')].filter((part) => part.offsetParent);"
        " return shown.some((part) => part.closest('[role=tabpanel]'))"
        " && shown.every((part) => part.matches('[data-alive]') || part.querySelector('[data-alive]')); }"
    )


def open_app(page: Page, url: str) -> None:
    """Opens the page at Explore and waits until it has come to life, with its model."""
    page.goto(url)
    wait_for_model(page)


def wait_for_model(page: Page) -> None:
    """After the page was opened or loaded again at Explore."""
    page.wait_for_selector("#decoded-digit img[src]")
    page.locator(".latent input").first.wait_for()
    wait_until_alive(page)


def open_tab(page: Page, name: str) -> None:
    page.get_by_role("tab", name=name, exact=True).click()
    wait_until_alive(page)


def hold(page: Page, address: str, **options: Any) -> list[Route]:
    """What the page asks of an address from now on, which waits until a test lets it go on."""
    held: list[Route] = []
    page.route(address, lambda route: held.append(route), **options)
    return held


@contextlib.contextmanager
def hastened(page: Page) -> Iterator[None]:
    """An open page, with HASTE as long as this lasts."""
    page.evaluate(HASTE)
    try:
        yield
    finally:
        page.evaluate("() => { Object.assign(window, window.patient); }")


def be_busy(page: Page, address: str | re.Pattern[str], **options: Any) -> None:
    """What the page asks of an address is refused from now on, as a server does that many ask at once."""
    words = {"error": "many visitors ask at once; try again in a moment"}
    page.route(address, lambda route: route.fulfill(status=503, json=words), **options)


def wait_for_address(page: Page, part: str) -> None:
    page.wait_for_function("part => decodeURIComponent(location.search).includes(part)", arg=part)


def go_to(page: Page, search: str) -> None:
    """As the back button would, without loading the page anew: what the address says becomes so."""
    page.evaluate(
        "search => { history.pushState(null, '', search); dispatchEvent(new PopStateEvent('popstate')); }",
        search,
    )


def source_of(page: Page, selector: str) -> str:
    return page.locator(selector).get_attribute("src") or ""


def wait_for_new_source(page: Page, selector: str, old: str) -> None:
    _wait_for_picture(page, selector, "picture.src !== value", old)


def wait_for_source(page: Page, selector: str, part: str) -> None:
    """Until a picture is there whose address has this in it."""
    _wait_for_picture(page, selector, "picture.src.includes(value)", part)


def _wait_for_picture(page: Page, selector: str, condition: str, value: str) -> None:
    page.wait_for_function(
        "([selector, value]) => { const picture = document.querySelector(selector);"
        f" return picture && {condition} && picture.complete && picture.naturalWidth > 1; }}",
        arg=[selector, value],
    )


def set_field(page: Page, label: str, value: str) -> None:
    """Fills a field under Advanced as a person does: it is there, then it is written to."""
    from playwright.sync_api import TimeoutError

    field = page.get_by_label(label)
    while not field.is_visible():
        page.get_by_role("button", name="Advanced").click()
        with contextlib.suppress(TimeoutError):  # a click on a page that is still coming to life is lost
            field.wait_for(timeout=5000)
            page.wait_for_timeout(300)
    field.fill(value)
    field.press("Tab")


def wait_for_state(page: Page, *words: str) -> None:
    page.wait_for_function(
        "words => words.includes(document.querySelector('#training-status .state strong')?.innerText)",
        arg=list(words),
    )


def swipe(page: Page, path: list[tuple[float, float]]) -> None:
    """A finger's way over the screen."""
    session = page.context.new_cdp_session(page)
    for kind, points in [("touchStart", path[:1]), *[("touchMove", [p]) for p in path[1:]], ("touchEnd", [])]:
        session.send(
            "Input.dispatchTouchEvent", {"type": kind, "touchPoints": [{"x": x, "y": y} for x, y in points]}
        )


def answer(page: Page, title: str, button: str, name: str | None = None) -> str:
    """Answers the question that is asked, with a name if one is wanted; tells what stood below its title."""
    question = page.get_by_role("dialog", name=title, exact=True)
    if name is not None:
        question.get_by_role("textbox").fill(name)
    words = question.locator("[data-is=words]").inner_text()
    question.get_by_role("button", name=button).click()
    return words


def choose_model(page: Page, run: str) -> None:
    page.get_by_label("Model", exact=True).click()
    page.get_by_role("option", name=re.compile(rf"(^|\s){re.escape(run)} ·")).click()


def compare_with(page: Page, run: str) -> None:
    """Chooses the second model in the tab that is open, as soon as it is offered there."""
    choice = page.locator(".compare-choice:visible")
    choice.locator("summary").click()
    choice.get_by_role("button", name=run, exact=True).click()
