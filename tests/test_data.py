from __future__ import annotations

import gzip
import shutil
import struct
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vae_core import data
from vae_core.data import load_dataset, load_mnist, read_idx_folder
from vae_core.errors import DataError

IMAGES = "train-images-idx3-ubyte.gz"


@pytest.fixture
def folder(small_mnist: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(small_mnist, tmp_path / "mnist"))


def repack(path: Path, change: Callable[[bytearray], object]) -> None:
    content = bytearray(gzip.decompress(path.read_bytes()))
    change(content)
    path.write_bytes(gzip.compress(bytes(content)))


def test_a_folder_is_read_as_it_was_written(small_mnist: Path) -> None:
    train = load_mnist("train", small_mnist)
    assert train.images.shape == (700, 28, 28)
    assert train.images.dtype == train.labels.dtype == np.uint8
    assert train.images.max() == 255
    assert sorted(set(train.labels.tolist())) == list(range(10))
    assert len(load_mnist("test", small_mnist)) == 205


def test_unpacked_files_are_read_too(folder: Path, small_mnist: Path) -> None:
    for path in folder.glob("*.gz"):
        path.with_suffix("").write_bytes(gzip.decompress(path.read_bytes()))
        path.unlink()
    assert np.array_equal(read_idx_folder(folder).test.images, read_idx_folder(small_mnist).test.images)


def test_another_set_is_named_as_not_the_original(small_mnist: Path) -> None:
    assert "not the original MNIST" in load_dataset(small_mnist).train.name


def test_a_missing_file_is_named(folder: Path) -> None:
    (folder / IMAGES).unlink()
    with pytest.raises(DataError, match="train-images-idx3-ubyte"):
        read_idx_folder(folder)


def test_a_folder_that_is_none_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is not a folder"):
        load_dataset(tmp_path / "nowhere")


def test_a_truncated_packed_file_is_refused(folder: Path) -> None:
    content = (folder / IMAGES).read_bytes()
    (folder / IMAGES).write_bytes(content[: len(content) // 2])
    with pytest.raises(DataError, match=f"{IMAGES} is damaged or truncated"):
        read_idx_folder(folder)


def test_an_altered_packed_file_is_refused(folder: Path) -> None:
    content = bytearray((folder / IMAGES).read_bytes())
    content[len(content) // 2] ^= 0xFF
    (folder / IMAGES).write_bytes(content)
    with pytest.raises(DataError, match=IMAGES):
        read_idx_folder(folder)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (
            lambda content: content.__setitem__(slice(0, 4), struct.pack(">I", 1234)),
            "magic number 2051, found 1234",
        ),
        (lambda content: content.__setitem__(slice(4, 8), b"\xff\xff\xff\xff"), "announces 4,294,967,295"),
        (lambda content: content.__setitem__(slice(4, 8), struct.pack(">I", 701)), "truncated: expected"),
        (lambda content: content.__setitem__(slice(4, 8), struct.pack(">I", 699)), "longer than its header"),
        (
            lambda content: content.__setitem__(slice(8, 12), struct.pack(">I", 29)),
            "29x28 pixels; expected 28x28",
        ),
        (lambda content: content.__delitem__(slice(10, None)), "header of 16 bytes"),
        (lambda content: content.__delitem__(slice(2, None)), "expected an IDX header"),
    ],
)
def test_a_header_that_lies_is_refused(folder: Path, change: Callable, expected: str) -> None:
    repack(folder / IMAGES, change)
    with pytest.raises(DataError, match=expected):
        read_idx_folder(folder)


def test_images_without_their_labels_are_refused(folder: Path, write_idx: Callable[..., None]) -> None:
    write_idx(folder, "t10k", np.zeros((4, 28, 28), np.uint8), np.zeros(4, np.uint8))
    write_idx(folder / "..", "t10k", np.zeros((5, 28, 28), np.uint8), np.zeros(5, np.uint8))
    shutil.move(folder / ".." / "t10k-labels-idx1-ubyte.gz", folder / "t10k-labels-idx1-ubyte.gz")
    with pytest.raises(DataError, match="4 images but 5 labels"):
        read_idx_folder(folder)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(max_size=200), packed=st.booleans())
def test_any_bytes_give_one_clear_error(folder: Path, content: bytes, packed: bool) -> None:
    (folder / IMAGES).write_bytes(gzip.compress(content) if packed else content)
    with pytest.raises(DataError):
        read_idx_folder(folder)


def test_the_environments_folder_comes_second(small_mnist: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MNIST_DIR", str(small_mnist))
    assert "$MNIST_DIR" in load_mnist("train").source
    assert "--data-dir" in load_mnist("train", small_mnist).source


def test_the_cache_comes_before_the_network(
    small_mnist: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    shutil.copytree(small_mnist, data.cache_folder() / "mnist")
    assert "cache" in load_mnist("test").source


def test_without_a_network_the_packaged_sample_comes_within_seconds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from torchvision.datasets import MNIST

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(MNIST, "mirrors", ["http://127.0.0.1:9/mnist/", "http://192.0.2.1/mnist/"])
    monkeypatch.setattr(data, "_answers", _timed(data._answers))
    sample = load_dataset()
    assert (len(sample.train), len(sample.test)) == (4500, 500)
    assert sample.train.is_sample
    assert "5,000 MNIST images" in sample.train.source
    assert np.bincount(sample.train.labels).tolist() == [450] * 10
    assert np.bincount(sample.test.labels).tolist() == [50] * 10
    monkeypatch.setattr(data, "_download", lambda target: pytest.fail("asked the network again at once"))
    assert np.array_equal(load_dataset().test.images, sample.test.images)


def _timed(answers: Callable[[str], bool]) -> Callable[[str], bool]:
    def timed(url: str) -> bool:
        start = time.monotonic()
        answered = answers(url)
        assert time.monotonic() - start < 2 * data.NETWORK_TIMEOUT_SECONDS
        return answered

    return timed


def test_split_names_are_checked() -> None:
    with pytest.raises(DataError, match="train or test"):
        load_mnist("validation")


def test_the_real_mnist_is_recognised(real_mnist: Path) -> None:
    real = read_idx_folder(real_mnist)
    assert (real.train.name, len(real.train), len(real.test)) == ("MNIST", 60_000, 10_000)


def test_an_altered_real_mnist_is_refused(real_mnist: Path, tmp_path: Path) -> None:
    for path in real_mnist.glob("*.gz"):
        shutil.copy(path, tmp_path)
    content = bytearray(gzip.decompress((tmp_path / IMAGES).read_bytes()))
    content[5000] ^= 1
    (tmp_path / IMAGES).unlink()
    (tmp_path / IMAGES).with_suffix("").write_bytes(content)
    with pytest.raises(DataError, match="train-images-idx3-ubyte was altered"):
        read_idx_folder(tmp_path)
